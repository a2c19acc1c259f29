"""Anthropic's own Python package, unmodified, against a server of ours: messages, streams, counts, errors.

usage: anthropic_client.py PROGRAM MODEL.gguf     with the packages of requirements.txt
"""

import json
import subprocess
import sys

import anthropic

program, model = sys.argv[1:]
command = [program, "serve", model, "-c", "1024", "--memory", "128MiB", "--port", "0", "--api-key", "secret"]
server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
try:
    address = next(line.split("answers at ")[1].strip() for line in server.stderr if "answers at " in line)
    client = anthropic.Anthropic(base_url=address, api_key="secret", max_retries=0)
    name = model.rsplit("/", 1)[-1].removesuffix(".gguf")

    asked = dict(model=name, max_tokens=24, extra_body={"temperature": 0}, system="You are a helpful AI assistant.",
                 messages=[{"role": "user", "content": "What is the capital of France?"}])
    whole = client.messages.create(**asked)
    answer = whole.content[0].text
    assert "Paris" in answer, answer
    assert whole.role == "assistant" and whole.stop_reason in ("end_turn", "max_tokens")

    with client.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream) == answer
        final = stream.get_final_message()
    assert final.stop_reason == whole.stop_reason
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.usage.cache_read_input_tokens > 0

    counted = client.messages.count_tokens(
        model=name, system=asked["system"], messages=asked["messages"]).input_tokens
    assert counted == whole.usage.input_tokens + whole.usage.cache_read_input_tokens

    ended = client.messages.create(**{**asked, "stop_sequences": ["France"]})
    assert (ended.stop_reason, ended.stop_sequence) == ("stop_sequence", "France"), ended

    schema = {"type": "object", "required": ["city"], "additionalProperties": False,
              "properties": {"city": {"type": "string", "maxLength": 20}}}
    held = client.messages.create(**{**asked, "max_tokens": 60, "extra_body": {
        "temperature": 0, "output_config": {"format": {"type": "json_schema", "schema": schema}}}})
    assert list(json.loads(held.content[0].text)) == ["city"], held

    def refused(kind, **more):
        try:
            client.messages.create(**{**asked, **more})
        except kind as error:
            return error
        raise AssertionError(f"{kind} was expected")

    refused(anthropic.NotFoundError, model="other")
    assert "tools" in str(refused(anthropic.BadRequestError, tools=[{"name": "t", "input_schema": {"type": "object"}}]))
    refused(anthropic.BadRequestError, messages=[{"role": "user", "content": "word " * 2000}])
    client.api_key = "wrong"
    refused(anthropic.AuthenticationError)
    server.terminate()
    assert server.wait(20) == 0
finally:
    server.kill()
print("anthropic", anthropic.__version__, "is content")
