"""Rude and broken clients against a server of ours: right answers for the rest, no crash, and memory as it was before.

usage: chaos.py PROGRAM MODEL.gguf [--requests N] [--half-open N] [--memory SIZE]

What it needs is Python alone. In turn: requests drawn from the server's own /openapi.json, N for each route (1,000 if not said), by
eight clients at once; bodies that are cut, not UTF-8, deep or of 100 MB; clients who leave in the middle or read a byte at a time; N
half-open connections at once (10,000 if not said). After each part a good request is answered as it was at the start, and
the process holds what it held after a first round of everything. The budget is the smallest if none is said; where a memory group
can be made, its peak is held to it. Every draw comes from a seed, which is told with what went wrong.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import re
import resource
import selectors
import socket
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("model")
parser.add_argument("--requests", type=int, default=1000)
parser.add_argument("--half-open", type=int, default=10_000)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--memory", help="the smallest budget if not said")
asked = parser.parse_args()

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
flags = [asked.program, "serve", asked.model, "-c", "512", "-n", "8", "--port", "0", "--memory"]
if not asked.memory:
    refused = subprocess.run([*flags, "1M"], capture_output=True, text=True)
    asked.memory = re.search(r"smallest budget: --memory (\S+)", refused.stderr)[1]


def group():
    """A memory group of our own and the file that tells its peak, if they can be had."""
    for root, peak in [("/sys/fs/cgroup/memory", "memory.max_usage_in_bytes"), ("/sys/fs/cgroup", "memory.peak")]:
        made = pathlib.Path(root, f"pintpot-chaos-{os.getpid()}")
        try:
            made.mkdir()
            if (made / peak).exists():
                return made, made / peak
            made.rmdir()
        except OSError:
            pass
    return None, None


def join():
    if cgroup:
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))


cgroup, peak = group()
for path in [asked.program, asked.model]:  # what is in the page cache already would be on another's account
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
server = subprocess.Popen([*flags, asked.memory], stderr=subprocess.PIPE, text=True, preexec_fn=join)
name = asked.model.rsplit("/", 1)[-1].removesuffix(".gguf")
GOOD = {"model": name, "messages": [{"role": "user", "content": "Say something."}], "temperature": 0, "max_tokens": 6}
MOST_MEMORY = 4 << 20  # bytes that a process may hold more after a part than before


def address():
    for line in server.stderr:
        if " at http://" in line:
            host, port = line.strip().rsplit("http://", 1)[1].rsplit(":", 1)
            return host, int(port)
    raise SystemExit("the server did not start")


def request(method, path, body, kind="application/json"):
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    if body is not None:
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return (head + "\r\n").encode() + (body or b"")


def connect(timeout=120):
    sock = socket.create_connection(at, timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def reply(sock):
    """Status, headers and body of all that comes."""
    data = b""
    try:
        while piece := sock.recv(1 << 16):
            data += piece
    except ConnectionResetError:
        pass  # who sends on after a refusal may lose the end of it
    head, _, body = data.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1]) if head.startswith(b"HTTP/1.1 ") else 0
    return status, head.lower(), body


def send(data):
    with connect() as sock:
        try:
            sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was refused before it was all there
        return reply(sock)


def post(path, value):
    return send(request("POST", path, json.dumps(value).encode()))


def unchunked(head, body):
    if b"transfer-encoding: chunked" not in head:
        return body
    out = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        size = int(size, 16)
        if size == 0:
            return out
        out, body = out + rest[:size], rest[size + 2:]
    raise AssertionError("a stream was cut")


def good():
    status, _, body = post("/v1/chat/completions", GOOD)
    assert status == 200, (status, body)
    return json.loads(body)["choices"][0]["logits_digest"]


def held():
    """Bytes that the process holds of its own, and files that it has open."""
    text = open(f"/proc/{server.pid}/smaps_rollup").read()
    kilobytes = {line.split()[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    return kilobytes["Anonymous:"] * 1024, len(os.listdir(f"/proc/{server.pid}/fd"))


def metric(name):
    text = send(request("GET", "/metrics", None))[2].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(f"pintpot_{name}{{"))


def quiet():
    """Waits until nobody is being answered and only we are connected."""
    end = time.monotonic() + 60
    while metric("num_requests_running") + metric("num_requests_waiting") > 0 or metric("connections") > 1:
        assert time.monotonic() < end, "somebody is still being answered"
        time.sleep(0.1)


# Requests drawn from our own list of routes.

WORDS = ["", "a", "hello there", "\u0000", "\ud7ff", "😀" * 9, "user", "assistant", name, "json_object", "x" * 3000, "../../etc/passwd",
         "<tool_call>", "{{ 1 }}", "-1", "1e999"]


def anything(draw, depth=0):
    kinds = [lambda: None, lambda: draw.choice([True, False]), lambda: draw.choice([0, 1, -1, 2, 7, 2**31, 2**53, -2**63, 2**64]),
             lambda: draw.choice([0.0, 0.5, 1.0, -0.1, 1e300, 1e-320]), lambda: draw.choice(WORDS)]
    if depth < 3:
        kinds += [lambda: [anything(draw, depth + 1) for _ in range(draw.randrange(4))],
                  lambda: {draw.choice(WORDS + ["type", "text", "role", "content", "name"]): anything(draw, depth + 1)
                           for _ in range(draw.randrange(4))}]
    return draw.choice(kinds)()


def of_type(draw, kind):
    return {"string": lambda: draw.choice(WORDS), "integer": lambda: draw.choice([0, 1, 2, 5, -1, 2**31, 2**63]),
            "number": lambda: draw.choice([0, 0.3, 1, 2.5, -1, 1e300]), "boolean": lambda: draw.choice([True, False]),
            "array": lambda: [anything(draw, 1) for _ in range(draw.randrange(3))],
            "object": lambda: {draw.choice(WORDS): anything(draw, 1) for _ in range(draw.randrange(3))},
            }.get(kind, lambda: anything(draw))()


PLAUSIBLE = {
    "model": lambda draw: name,
    "messages": lambda draw: [{"role": draw.choice(["user", "assistant", "system"]), "content": draw.choice(WORDS[1:8])}
                              for _ in range(draw.randrange(1, 4))],
    "prompt": lambda draw: draw.choice([draw.choice(WORDS[1:8]), [1, 2, 3]]),
    "input": lambda draw: draw.choice(WORDS[1:8]),
    "max_tokens": lambda draw: draw.randrange(1, 8),
    "stream": lambda draw: draw.choice([True, False]),
    # Never more than it has, or its peak would say nothing.
    "memory": lambda draw: draw.choice([asked.memory, "1M", 0, -1, "all", "", 2**63, None, [], {}, 0.5, "1e9", True]),
    "response_format": lambda draw: {"type": draw.choice(["json_object", "text", "xml"])},
    "guided_regex": lambda draw: draw.choice(["[ab]{3}", "(a*)*b", "((a{1,99}){1,99}){1,99}", "["]),
    "grammar": lambda draw: draw.choice(['root ::= "a" | "b"', "root ::= root", "start: /a+/"]),
    "tools": lambda draw: [],
}


def drawn(draw, schema):
    """A body that the schema allows, mostly, and that the route may take, sometimes."""
    fields, required = schema.get("properties", {}), schema.get("required", [])
    names = set(required) | {field for field in fields if draw.random() < draw.choice([0.0, 0.1, 0.5])}
    if draw.random() < 0.1:
        names.discard(draw.choice(required or [""]))
    body = {}
    for field in sorted(names):
        plausible = PLAUSIBLE.get(field)
        body[field] = plausible(draw) if plausible and (field == "memory" or draw.random() < 0.85) else of_type(draw, fields[field].get("type"))
    if draw.random() < 0.05:
        body[draw.choice(WORDS)] = anything(draw)
    data = json.dumps(body).encode()
    damage = draw.random()
    if damage < 0.04 and data:
        at = draw.randrange(len(data))
        data = data[:at] + bytes([draw.randrange(256)]) + data[at + 1:]
    elif damage < 0.07:
        data = data[:draw.randrange(len(data))]
    elif damage < 0.09:
        data = json.dumps(anything(draw)).encode()
    return data


def judge(method, path, status, head, body, data):
    told = (method, path, status, body[:300], data[:600])
    # 503: a grammar has no room in a small budget; 504 and the like we do not have.
    assert status in (200, 400, 401, 403, 404, 405, 413, 415, 422, 429, 503), told
    body = unchunked(head, body)
    if b"application/json" in head:
        value = json.loads(body)
        if status != 200 and method == "POST":
            assert "error" in value, told
        if status in (429, 503):
            assert b"retry-after" in head or b"memory_budget_exceeded" in body, told
    if b"text/event-stream" in head:
        assert body.endswith(b"\n\n"), told


def fuzz(count):
    listed = json.loads(send(request("GET", "/openapi.json", None))[2])
    seen = {}

    def one(method, path, data):
        status, head, body = send(request(method.upper(), path.replace("{name}", name), data))
        if method != "head":
            judge(method.upper(), path, status, head, body, data or b"")
        return status

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        for path, methods in sorted(listed["paths"].items()):
            for method, route in sorted(methods.items()):
                draw = random.Random(f"{asked.seed} {method} {path}")
                schema = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
                # A route that takes nothing has nothing that could be drawn but what does not belong there.
                datas = [drawn(draw, schema) if schema else draw.choice([None, b"", b"{}", b"\xff"])
                         for _ in range(count if schema else max(1, count // 10))]
                for status in clients.map(lambda data: one(method, path, data), datas):
                    seen[status] = seen.get(status, 0) + 1
                assert server.poll() is None, (path, "the server has ended", server.poll())
    return seen


# Clients who break the rules.


def bodies():
    path = "/v1/chat/completions"
    head = lambda length: request("POST", path, b"").replace(b"Content-Length: 0", b"Content-Length: %d" % length)
    with connect() as sock:  # 100 MB that are sent as long as they are taken
        sock.settimeout(60)
        sock.sendall(head(100 << 20))
        try:
            for _ in range(100):
                sock.sendall(b" " * (1 << 20))
        except OSError:
            pass
        assert reply(sock)[0] in (0, 413)
    chunked = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    assert send(chunked + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 100)[0] in (0, 413)
    deep = b'{"model": ' + b"[" * 60_000
    whole = json.dumps(GOOD).encode()
    for body in [b"\xff\xfe\x00", whole.replace(b"Say", b"\xc3\x28"), whole.replace(b"Say", b"\\ud800"), deep, deep + b"]" * 60_000 + b"}",
                 b"{" * 60_000, whole[:-1], whole + whole, b"", b"null", b"[]", b'"' + b"a" * 100_000]:
        status, _, told = send(request("POST", path, body))
        assert status == 400 and b"error" in told, (status, body[:60], told[:200])
    assert send(request("POST", path, whole, "text/plain"))[0] == 415
    assert send(b"\x16\x03\x01\x02\x00\x01\x00\x01" * 100)[0] in (0, 400)
    assert send(b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n")[0] in (0, 400, 414, 431)
    assert send(head(1 << 62))[0] in (400, 413)
    assert send(request("POST", path, whole).replace(b"Content-Length", b"Content-Length: 5\r\nContent-Length"))[0] == 400


def vanish(count):
    """Clients who go before, while and after they are answered."""
    body = json.dumps({**GOOD, "stream": True, "max_tokens": 200, "ignore_eos": True}).encode()
    data = request("POST", "/v1/chat/completions", body)
    for n in range(count):
        sock = connect()
        sock.sendall(data[:len(data) * (n % 5 + 1) // 4])
        if n % 3 == 0 and n % 5 >= 3:
            sock.recv(100)
        if n % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset, not an end
        sock.close()


def slow(count):
    """Clients who take a byte at a time, while another is answered at once."""
    body = json.dumps({**GOOD, "stream": True, "max_tokens": 8}).encode()
    readers = []
    for _ in range(count):
        sock = connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        sock.sendall(request("POST", "/v1/chat/completions", body))
        readers.append(sock)
    for sock in readers:
        for _ in range(40):
            sock.recv(1)
    start = time.monotonic()
    good()
    assert time.monotonic() - start < 30, "somebody who reads slowly holds up the rest"
    for sock in readers:
        assert reply(sock)[2].endswith(b"0\r\n\r\n"), "a slow reader lost the end"
        sock.close()


def half_open(count):
    """Connections that begin a request and say no more, all at once."""
    chooser, socks = selectors.DefaultSelector(), []
    for n in range(min(count, hard - 100)):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(at)
        chooser.register(sock, selectors.EVENT_WRITE)
        socks.append(sock)
        if n % 500 == 499:
            whisper(chooser)
    whisper(chooser)
    start = time.monotonic()
    good()
    took = time.monotonic() - start
    assert took < 60, f"a good request took {took:.0f} s"
    most = metric("connections")
    assert most <= 32, most
    for sock in socks:
        sock.close()
    return len(socks), took


def whisper(chooser):
    for key, _ in chooser.select(0.05):
        try:
            key.fileobj.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 4000)
        except OSError:
            pass
        chooser.unregister(key.fileobj)


def part(what, run):
    start, before = time.monotonic(), held()
    said = run()
    assert server.poll() is None, f"{what}: the server has ended, {server.poll()}"
    quiet()
    assert good() == digest, f"{what}: another answer than before"
    after, end = held(), time.monotonic() + 20
    while after[1] > before[1] + 1 and time.monotonic() < end:  # the kernel hands over who came long ago
        time.sleep(0.1)
        after = held()
    print(f"{what}: {time.monotonic() - start:.1f} s, holds {before[0] / 2**20:.1f} -> {after[0] / 2**20:.1f} MiB, "
          f"{before[1]} -> {after[1]} files", said or "", flush=True)
    assert after[1] <= before[1] + 1, f"{what}: files stay open"
    return before, after


def everything(requests, crowd, half):
    parts = [("drawn requests", lambda: fuzz(requests)), ("bodies", bodies), ("vanishing clients", lambda: vanish(crowd)),
             ("slow readers", lambda: slow(8)), ("half-open connections", lambda: half_open(half))]
    return [(what, *part(what, run)) for what, run in parts]


try:
    at = address()
    digest = good()
    # What is held once somebody has asked for it; a model that was told to go holds nothing for a while.
    baseline = max(after[0] for _, _, after in everything(min(20, asked.requests), 20, 50))
    for what, before, after in everything(asked.requests, max(20, asked.requests // 10), asked.half_open):
        grown = after[0] - baseline
        assert grown <= MOST_MEMORY, f"{what}: {grown} bytes more than at the start"
    refusals = metric("request_refusals_total")
    print(f"{refusals:.0f} requests refused; memory {(held()[0] - baseline) / 1024:+.0f} KiB")
    server.terminate()
    assert server.wait(60) == 0, server.returncode
    if cgroup:
        most, sizes = int(peak.read_text()), {"K": 2**10, "M": 2**20, "G": 2**30}
        budget = float(re.match(r"[\d.]+", asked.memory)[0]) * sizes[re.search(r"[KMG]", asked.memory)[0]]
        print(f"peak {most / 2**20:.1f} of {budget / 2**20:.1f} MiB")
        assert most <= budget, (most, budget)
    print("ok")
finally:
    server.kill()
    server.wait()
    if cgroup:
        cgroup.rmdir()
