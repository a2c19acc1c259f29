"""OpenAI's and Ollama's own Python packages, unmodified, against servers of encoders: vectors, scores, refusals.

usage: texts_client.py PROGRAM     with the packages of requirements.txt; the encoders are those of tests/networks/texts
"""

import base64
import json
import pathlib
import struct
import subprocess
import sys
import urllib.error
import urllib.request

import ollama
import openai

program = sys.argv[1]
texts = pathlib.Path(__file__).parent.parent / "networks" / "texts"
golden = json.loads((texts / "references.json").read_text())
by_name = {model["name"]: model for model in golden["models"]}


def serve(*models, more=()):
    command = [program, "serve", *map(str, models), "--memory", "64MiB", "--port", "0", *more]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = next(line for line in server.stderr if " at http://" in line)
    return server, "http://" + line.split(" at http://")[1].strip()


def cosine(a, b):
    dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))
    return dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


server, address = serve(texts / "encoder", texts / "reranker")
try:
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list().data] == ["encoder", "reranker"]
    assert client.models.retrieve("encoder").id == "encoder"

    # The package asks for base64 unless it is told otherwise.
    coded = client.embeddings.create(model="encoder", input=golden["texts"])
    plain = client.embeddings.create(model="encoder", input=golden["texts"], encoding_format="float")
    assert [item.index for item in coded.data] == list(range(len(golden["texts"])))
    for ours, also, want in zip(coded.data, plain.data, by_name["encoder"]["vectors"], strict=True):
        want = [x for (x,) in struct.iter_unpack("<f", base64.b64decode(want))]
        assert abs(1 - cosine(ours.embedding, want)) < 1e-5, (ours, want)
        assert max(abs(a - b) for a, b in zip(ours.embedding, also.embedding, strict=True)) < 1e-7
    tokens = sum(min(len(ids), 48) for ids in by_name["encoder"]["ids"][:5]) + 48
    assert coded.usage.total_tokens == coded.usage.prompt_tokens == tokens, (coded.usage, tokens)
    inner = [ids[1:-1] for ids in by_name["encoder"]["ids"][:5]]
    by_ids = client.embeddings.create(model="encoder", input=inner)
    assert [item.embedding for item in by_ids.data] == [item.embedding for item in coded.data[:5]]
    assert client.embeddings.create(model="encoder", input=inner[0]).data[0].embedding == coded.data[0].embedding
    many = client.embeddings.create(model="encoder", input=["it is the age"] * 1000)
    assert len({tuple(item.embedding) for item in many.data}) == 1 and len(many.data) == 1000
    assert client.embeddings.create(model="encoder", input="a", dimensions=24).data[0].embedding == coded.data[3].embedding

    for kind, call in [
        (openai.BadRequestError, lambda: client.embeddings.create(model="encoder", input="a", dimensions=8)),
        (openai.BadRequestError, lambda: client.embeddings.create(model="encoder", input=[])),
        (openai.BadRequestError, lambda: client.embeddings.create(model="encoder", input=[99999])),
        (openai.BadRequestError, lambda: client.embeddings.create(model="encoder", input="a", extra_body={"odd": 1})),
        (openai.NotFoundError, lambda: client.embeddings.create(model="reranker", input="a")),
        (openai.NotFoundError, lambda: client.chat.completions.create(model="encoder", messages=[{"role": "user", "content": "a"}])),
    ]:
        try:
            call()
        except kind:
            continue
        raise AssertionError(f"{kind} was expected")

    friend = ollama.Client(host=address)
    assert [model.model for model in friend.list().models] == ["encoder", "reranker"]
    assert friend.show("encoder").capabilities == ["embedding"]
    newer = friend.embed(model="encoder", input=golden["texts"])
    assert newer.prompt_eval_count == tokens and len(newer.embeddings) == len(golden["texts"])
    older = friend.embeddings(model="encoder", prompt=golden["texts"][0])
    assert list(older.embedding) == list(newer.embeddings[0])
    assert abs(1 - cosine(newer.embeddings[0], coded.data[0].embedding)) < 1e-6
    assert len(friend.embed(model="encoder:latest", input="a").embeddings) == 1

    asked = {"model": "reranker", "query": golden["query"], "documents": golden["answers"]}
    for path in ["/v1/rerank", "/rerank"]:
        status, reply = post(address + path, asked)
        assert status == 200, reply
        scores = [result["relevance_score"] for result in reply["results"]]
        assert scores == sorted(scores, reverse=True)
        for result in reply["results"]:
            assert abs(result["relevance_score"] - by_name["reranker"]["scores"][result["index"]]) < 1e-4
    status, reply = post(f"{address}/v1/rerank", {**asked, "model": None, "top_n": 1, "return_documents": True})
    assert status == 200 and len(reply["results"]) == 1, reply
    assert reply["results"][0]["document"]["text"] == golden["answers"][reply["results"][0]["index"]]
    assert post(f"{address}/v1/rerank", {"query": "a"})[0] == 400
    assert post(f"{address}/v1/rerank", {**asked, "model": "encoder"})[0] == 404
    status, account = 200, json.load(urllib.request.urlopen(f"{address}/v1/pintpot/status"))
    assert account["held_bytes"] <= account["budget_bytes"]
    assert urllib.request.urlopen(f"{address}/metrics").status == 200
finally:
    server.terminate()
    assert server.wait(30) == 0
print("vectors and scores: as they should be")
