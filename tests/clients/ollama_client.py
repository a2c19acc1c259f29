"""Ollama's own Python package, unmodified, against a server of ours: chat, generate, lists, errors.

usage: ollama_client.py PROGRAM MODEL.gguf     with the packages of requirements.txt
"""

import importlib.metadata
import json
import subprocess
import sys

import ollama

program, model = sys.argv[1:]
command = [program, "serve", model, "-c", "1024", "--memory", "128MiB", "--port", "0"]
server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
try:
    address = next(line.split("answers at ")[1].strip() for line in server.stderr if "answers at " in line)
    client = ollama.Client(host=address)
    name = client.list().models[0].model
    assert client.show(name).details.format == "gguf"
    assert client.ps().models[0].model == name

    options = {"temperature": 0, "num_predict": 24, "seed": 1}
    turns = [{"role": "system", "content": "You are a helpful AI assistant."},
             {"role": "user", "content": "What is the capital of France?"}]
    whole = client.chat(model=name, messages=turns, options=options)
    assert "Paris" in whole.message.content, whole
    assert whole.done and whole.done_reason in ("stop", "length") and whole.eval_count > 0
    pieces = list(client.chat(model=name, messages=turns, options=options, stream=True))
    assert "".join(piece.message.content for piece in pieces) == whole.message.content
    assert pieces[-1].done and pieces[-1].eval_count == whole.eval_count

    schema = {"type": "object", "required": ["city"], "additionalProperties": False,
              "properties": {"city": {"type": "string", "maxLength": 20}}}
    assert list(json.loads(client.chat(model=name, messages=turns, options={**options, "num_predict": 60},
                                       format=schema).message.content)) == ["city"]

    text = client.generate(model=name, prompt="The capital of France is", raw=True,
                           options={**options, "stop": ["."]})
    assert "." not in text.response
    spoken = client.generate(model=name, prompt="What is the capital of France?", options=options, stream=True)
    assert "Paris" in "".join(piece.response for piece in spoken)

    for more, status in [({"model": "other"}, 404), ({"options": {"mirostat": 1}}, 400)]:
        try:
            client.chat(**{"model": name, "messages": turns, **more})
        except ollama.ResponseError as error:
            assert error.status_code == status, error
        else:
            raise AssertionError(f"{more} was to be refused")
    server.terminate()
    assert server.wait(20) == 0
finally:
    server.kill()
print("ollama", importlib.metadata.version("ollama"), "is content")
