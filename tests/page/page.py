"""The page, clicked through in a browser without a window; makes the pictures of the documentation too.

usage: page.py PROGRAM MODEL.gguf [FOLDER FOR PICTURES]     with the packages of requirements.txt and a Chromium

What it is: load, send, see it stream, stop, change the budget while it talks, see the account move, reload and find the chat.
What it is not: a test of what a model says. The one design choice: it clicks and types where a person would.
"""

import os
import re
import shutil
import subprocess
import sys
import time

from playwright.sync_api import expect, sync_playwright

program, model, *pictures = sys.argv[1:]
chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
name = model.rsplit("/", 1)[-1].removesuffix(".gguf")
command = [program, "serve", model, "-c", "2048", "--memory", "160MiB", "--port", "0"]
server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.05)


def picture(page, file):
    if pictures:
        page.screenshot(path=os.path.join(pictures[0], file))


try:
    address = next(line.split("answers at ")[1].strip() for line in server.stderr if "answers at " in line)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 760}, color_scheme="light")
        context.set_default_timeout(30_000)
        page = context.new_page()
        wrong = []
        page.on("console", lambda message: message.type in ("error", "warning") and wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(address) or wrong.append(f"asked elsewhere: {asked.url}"))
        page.goto(address)
        expect(page.locator("#model")).to_have_value(name)
        status = lambda: page.evaluate("fetch('/v1/pintpot/status').then(reply => reply.json())")
        last = page.locator("article.assistant").last
        said = lambda: last.locator(".body").inner_text()
        talking = page.locator("body.talking")

        def settings(**fields):
            page.click("#open-settings")
            for field, text in fields.items():
                page.fill(f"dialog [name={field}]", text)
            page.keyboard.press("Escape")

        def ask(words):
            page.fill("#words", words)
            page.keyboard.press("Enter")

        # The pot holds what the account says, and both come to the budget.
        until(lambda: page.locator("#parts dd[data-bytes]").count() == 9)
        shown = sum(int(cell.get_attribute("data-bytes")) for cell in page.locator("#parts dd").all())
        assert shown == status()["budget_bytes"] == 160 << 20, shown

        # A whole answer.
        settings(temperature="0", max_tokens="24", seed="1")
        page.fill("#words", "one")
        page.keyboard.press("Shift+Enter")
        assert page.input_value("#words") == "one\n"
        ask("What is the capital of France?")
        expect(talking).to_have_count(0, timeout=60_000)
        first = said()
        assert "Paris" in first, first
        expect(page.locator("#list .entry.here")).to_contain_text("What is the capital")
        expect(last.locator(".stats")).to_contain_text("tokens")

        # A long one grows while one looks, and ends when it is stopped.
        settings(max_tokens="1500")
        ask("Write a very long story about a fox who goes to sea, in many chapters.")
        until(lambda: len(said()) > 20)
        length = len(said())
        until(lambda: len(said()) > length + 20)
        expect(talking).to_have_count(1)
        page.keyboard.press("Escape")
        expect(talking).to_have_count(0)
        expect(last.locator(".stats")).to_have_text("stopped")
        until(lambda: status()["requests"]["running"] == 0)

        # The budget changes while it talks: the account moves, weights leave memory, and it talks on.
        last.hover()
        last.locator("[data-do=again]").click()
        until(lambda: len(said()) > 20)
        before = status()
        page.locator("#slider").focus()
        page.keyboard.press("Home")
        until(lambda: status()["budget_bytes"] == before["smallest_budget_bytes"])
        until(lambda: status()["weights"]["resident_bytes"] < before["weights"]["resident_bytes"])
        after = status()
        assert sum(part["bytes"] for part in after["ledger"]) <= after["budget_bytes"], after
        shown = lambda part: int(page.locator(f"dt:has(.p-{part}) + dd").get_attribute("data-bytes"))
        until(lambda: shown("weights") == next(p["bytes"] for p in after["ledger"] if p["part"] == "weights"))
        expect(page.locator("#weights")).to_contain_text("read from disk")
        length = len(said())
        until(lambda: len(said()) > length + 20)
        expect(talking).to_have_count(1)
        # Too little is refused, with the least that works.
        page.fill("#amount", "20MiB")
        page.keyboard.press("Enter")
        expect(page.locator("#said.wrong")).to_contain_text("too little")
        assert status()["budget_bytes"] == after["budget_bytes"]
        page.click("#send")
        expect(talking).to_have_count(0)

        # In the smallest budget the answer is what it was.
        page.click("#new")
        settings(max_tokens="24")
        ask("What is the capital of France?")
        expect(talking).to_have_count(0, timeout=60_000)
        assert said() == first, (first, said())

        # What was asked can be changed; what comes after it is asked anew.
        page.locator("article.user").first.hover()
        page.locator("article.user [data-do=edit]").first.click()
        page.fill("textarea.edit", "Say **yes**.")
        page.keyboard.press("Enter")
        expect(page.locator("article.user .body").first).to_have_text("Say **yes**.")
        expect(talking).to_have_count(0, timeout=60_000)

        # Nothing that a model writes is run or parsed as HTML.
        shapes = page.evaluate("""async () => {
            const { render } = await import('/page/markdown.js');
            const box = document.createElement('div');
            box.append(...render('# T\\n\\n<img src=x onerror=alert(1)> **b** *i* `c` [l](https://a.example) [x](javascript:alert(1))'
                + '\\n\\n- a\\n  - b\\n\\n1. one\\n\\n|h|k|\\n|-|-:|\\n|1|2|\\n\\n> q\\n\\n```py\\ndef f(): # n\\n    return "<b>"\\n```'));
            return { html: box.innerHTML, text: box.querySelector('pre').textContent, names: [...box.querySelectorAll('*')].map(n => n.tagName) };
        }""")
        assert "IMG" not in shapes["names"] and "B" not in shapes["names"] and "javascript:" not in re.findall(r'href="([^"]*)"', shapes["html"]), shapes
        assert {"H2", "STRONG", "EM", "A", "UL", "OL", "TABLE", "BLOCKQUOTE", "PRE"} <= set(shapes["names"]), shapes["names"]
        assert shapes["text"] == 'def f(): # n\n    return "<b>"', shapes["text"]

        # A chat outlives the page.
        page.reload()
        expect(page.locator("#list .entry")).to_have_count(2)
        expect(page.locator("article.user .body").first).to_have_text("Say **yes**.")
        page.locator("#list .entry").last.locator("button").first.click()
        expect(page.locator("article.user .body").first).to_contain_text("What is the capital of France?")

        # A text goes along, chosen or dropped; what cannot is told why, and what was taken can be left out.
        page.click("#new")
        settings(max_tokens="8")
        notes = "The ship is called Beagle.\n```\nIts sails are green.\n```\n"
        attach = lambda name, data: page.set_input_files("#file", [{"name": name, "mimeType": "image/png" if name.endswith("png") else "", "buffer": data}])
        attached = page.locator("#files .file")
        attach("notes.txt", notes.encode())
        expect(attached).to_contain_text(re.compile(r"notes\.txt · \d+ tokens"))
        dropped = page.evaluate_handle("""() => {
            const data = new DataTransfer();
            data.items.add(new File(['a,b\\n1,2\\n'], 'table.csv'));
            return data;
        }""")
        page.dispatch_event("#talk", "dragover", {"dataTransfer": dropped})
        page.dispatch_event("#talk", "drop", {"dataTransfer": dropped})
        expect(attached).to_have_count(2)
        attached.last.locator("button").click()
        expect(attached).to_have_count(1)
        for file, data, why in [
            ("cat.png", b"\x89PNG", "is a picture, and the models here take none"),
            ("noise.bin", bytes(range(256)), "is not a text"),
            ("empty.txt", b"\n", "is empty"),
            ("long.txt", b"word " * 4000, "2,048 at most"),
            ("longer.txt", b"word " * 100_000, "500,000 bytes, far more than the 2,048 tokens"),
        ]:
            attach(file, data)
            expect(page.locator("#files-said")).to_contain_text(why)
        expect(attached).to_have_count(1)
        with page.expect_request("**/v1/chat/completions") as asked:
            ask("What is the ship called?")
        content = asked.value.post_data_json["messages"][-1]["content"]
        assert content == f"What is the ship called?\n\nnotes.txt:\n````\n{notes}````", content
        expect(attached).to_have_count(0)
        expect(talking).to_have_count(0, timeout=60_000)
        expect(last.locator(".wrong")).to_have_count(0)
        page.reload()
        expect(page.locator("article.user summary")).to_contain_text("notes.txt")
        page.click("article.user summary")
        expect(page.locator("article.user pre")).to_have_text(notes)

        # The pictures: while it talks, light and dark, and on a phone.
        page.click("#new")
        settings(max_tokens="600", temperature="0.7", seed="5")
        page.fill("#amount", "110MiB")
        page.keyboard.press("Enter")
        until(lambda: status()["budget_bytes"] == 110 << 20)
        ask("Write a Python function that counts the words of a text, and explain it in a few paragraphs.")
        until(lambda: len(said()) > 450 or talking.count() == 0, 90)
        picture(page, "server-page.png")
        page.click("#send") if talking.count() else None
        phone = browser.new_context(viewport={"width": 390, "height": 780}, color_scheme="dark", device_scale_factor=2,
                                    storage_state=context.storage_state())
        small = phone.new_page()
        small.goto(address)
        expect(small.locator("article.user").first).to_be_visible()
        assert small.evaluate("document.documentElement.scrollWidth") <= 390
        small.click("#open-account")
        expect(small.locator("#slider")).to_be_visible()
        small.wait_for_timeout(1200)
        picture(small, "server-page-phone.png")
        small.keyboard.press("Escape")
        small.click("#open-chats")
        expect(small.locator("#new")).to_be_visible()
        browser.close()
        # A refused budget is an answer with status 400, which browsers write to their console.
        wrong = [text for text in wrong if "status of 400" not in text]
        assert not wrong, wrong
    server.terminate()
    assert server.wait(40) == 0
    print("the page: all well")
finally:
    server.kill()
