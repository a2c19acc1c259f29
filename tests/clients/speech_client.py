"""OpenAI's own Python package, unmodified, against a server of a model of speech: every format, a stream, refusals, a crowd.

usage: speech_client.py PROGRAM FOLDER     with the packages of requirements.txt; the folder is that of tests/speech/fetch.py
"""

import concurrent.futures
import io
import pathlib
import subprocess
import sys
import urllib.request

import openai

program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
clip = folder / "beckett" / "beckett.wav"
# What faster-whisper 1.2.1 writes down of it.
TEXT = "Ever tried, ever failed. No matter, try again. Fail again. Fail better."


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind} was expected")


command = [program, "serve", str(folder / "whisper-tiny.en"), "--memory", "140MiB", "--port", "0"]
server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
try:
    address = next(line.split("answers at ")[1].strip() for line in server.stderr if "answers at " in line)
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    name = client.models.list().data[0].id
    assert name == "whisper-tiny.en" and client.models.retrieve(name).id == name

    ask = lambda file=clip, **more: client.audio.transcriptions.create(model=name, file=file, **more)
    assert ask().text == TEXT
    assert ask(language="en", temperature=0, response_format="json").usage.seconds == 10
    assert ask(response_format="text") == TEXT + "\n"
    told = ask(response_format="verbose_json", timestamp_granularities=["segment"])
    assert (told.text, told.task, told.language, round(told.duration)) == (TEXT, "transcribe", "en", 10), told
    assert [segment.id for segment in told.segments] == list(range(len(told.segments)))
    assert "".join(segment.text for segment in told.segments).strip() == TEXT
    assert all(a.end <= b.start for a, b in zip(told.segments, told.segments[1:]))
    srt, vtt = ask(response_format="srt"), ask(response_format="vtt")
    assert srt.startswith("1\n00:00:00,000 --> ") and srt.count(" --> ") == len(told.segments), srt
    assert vtt.startswith("WEBVTT\n\n00:00.000 --> ") and vtt.count(" --> ") == len(told.segments), vtt
    events = list(ask(stream=True))
    assert [event.type for event in events] == ["transcript.text.delta"] * (len(events) - 1) + ["transcript.text.done"]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == TEXT
    # What the model is told changes how it spells.
    assert ask(prompt="EVER TRIED, EVER FAILED.").text != TEXT

    bad = lambda **more: refused(openai.BadRequestError, lambda: ask(**more))
    assert bad(temperature=0.4).param == "temperature"
    assert bad(language="de").param == "language"
    assert bad(response_format="docx").param == "response_format"
    assert bad(response_format="verbose_json", timestamp_granularities=["word"]).code == "unsupported_parameter"
    assert bad(extra_body={"mood": "good"}).code == "unknown_parameter"
    assert bad(include=["logprobs"]).code == "unsupported_parameter"
    assert "WAV" in bad(file=("sound.mp3", b"ID3 no sound at all")).message
    assert refused(openai.NotFoundError, lambda: client.audio.transcriptions.create(model="other", file=clip)).code == "model_not_found"
    refused(openai.NotFoundError, lambda: client.chat.completions.create(model=name, messages=[{"role": "user", "content": "a"}]))
    refused(openai.BadRequestError, lambda: client.audio.translations.create(model=name, file=clip))
    large = refused(openai.APIStatusError, lambda: ask(file=("large.wav", io.BytesIO(bytes(64 << 20)))))
    assert large.status_code == 413 and "--memory" in large.message, large

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: ask().text, range(8))) == {TEXT}
    assert urllib.request.urlopen(f"{address}/metrics").status == 200
    server.terminate()
    assert server.wait(30) == 0
finally:
    server.kill()
print("openai", openai.__version__, "is heard")
