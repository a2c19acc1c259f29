"""LiteLLM, unmodified, against servers of ours: completions, streams, tools, forms, vectors, orders, usage, its own errors.

usage: litellm_client.py PROGRAM MODEL.gguf CALLS.gguf     with the packages of requirements.txt; CALLS knows tools
"""

import asyncio
import base64
import importlib.metadata
import json
import os
import pathlib
import struct
import subprocess
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its list of prices comes with it; nothing is fetched
import litellm
import pydantic

litellm.suppress_debug_info = True
litellm.telemetry = False
program, talks, calls = sys.argv[1:]
texts = pathlib.Path(__file__).parent.parent / "networks" / "texts"


def serve(*models, more):
    command = [program, "serve", *map(str, models), "--port", "0", "--api-key", "secret", *more]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = next(line for line in server.stderr if " at http://" in line)
    return server, "http://" + line.split(" at http://")[1].strip()


def name(path):
    return path.rsplit("/", 1)[-1].removesuffix(".gguf")


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind} was expected")


def chats(address):
    turns = [{"role": "system", "content": "You are a helpful AI assistant."},
             {"role": "user", "content": "What is the capital of France?"}]
    asked = dict(api_base=f"{address}/v1", api_key="secret", temperature=0, max_tokens=24, num_retries=0, messages=turns)
    ask = lambda of=f"openai/{name(talks)}", **more: litellm.completion(**{**asked, "model": of, **more})

    whole = ask(seed=1)
    answer = whole.choices[0].message.content
    assert "Paris" in answer and whole.choices[0].finish_reason in ("stop", "length"), whole
    used = whole.usage
    assert used.prompt_tokens > 0 and used.total_tokens == used.prompt_tokens + used.completion_tokens, used
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == answer, chunks
    built = litellm.stream_chunk_builder(chunks, messages=turns)
    assert built.choices[0].message.content == answer and built.usage.completion_tokens == used.completion_tokens, built

    async def at_once():
        several = await asyncio.gather(*(litellm.acompletion(
            **{**asked, "model": f"openai/{name(talks)}", "seed": 1}) for _ in range(3)))
        stream = await litellm.acompletion(**asked, model=f"openai/{name(talks)}", stream=True)
        return [one.choices[0].message.content for one in several], [piece async for piece in stream]

    several, pieces = asyncio.run(at_once())
    assert several == [answer] * 3 and "".join(piece.choices[0].delta.content or "" for piece in pieces) == answer

    # The other ways by which it speaks to servers such as ours.
    assert ask(of=f"hosted_vllm/{name(talks)}", top_k=1, extra_body={"min_p": 0.1}).choices[0].message.content == answer
    claude = ask(of=f"anthropic/{name(talks)}", api_base=address)
    assert claude.choices[0].message.content == answer and claude.usage.completion_tokens == used.completion_tokens, claude
    pieces = ask(of=f"anthropic/{name(talks)}", api_base=address, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == answer
    olli = ask(of=f"ollama_chat/{name(talks)}", api_base=address)
    assert "Paris" in olli.choices[0].message.content, olli
    text = litellm.text_completion(
        model=f"text-completion-openai/{name(talks)}", prompt="The capital of France is", stop=["."],
        **{key: value for key, value in asked.items() if key != "messages"})
    assert text.choices[0].text and "." not in text.choices[0].text, text

    likely = ask(logprobs=True, top_logprobs=2).choices[0].logprobs.content
    assert "".join(token.token for token in likely) == answer and len(likely[0].top_logprobs) == 2, likely
    assert [choice.index for choice in ask(n=2, temperature=1).choices] == [0, 1]

    class City(pydantic.BaseModel):
        name: str = pydantic.Field(max_length=20)
        inhabitants: int = pydantic.Field(ge=0, le=50_000_000)

    City.model_validate_json(ask(response_format=City, max_tokens=80).choices[0].message.content)
    schema = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": City.model_json_schema()}}
    City.model_validate_json(ask(response_format=schema, max_tokens=80).choices[0].message.content)
    loose = ask(response_format={"type": "json_object"}, max_tokens=300).choices[0]
    assert loose.finish_reason == "length" or isinstance(json.loads(loose.message.content), dict), loose

    assert refused(litellm.NotFoundError, lambda: ask(of="openai/other")).status_code == 404
    refused(litellm.AuthenticationError, lambda: ask(api_key="wrong"))
    refused(litellm.ContextWindowExceededError, lambda: ask(messages=[{"role": "user", "content": "word " * 2000}]))
    refused(litellm.BadRequestError, lambda: ask(extra_body={"odd": 1}))
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    refused(litellm.BadRequestError, lambda: ask(messages=[{"role": "user", "content": [picture]}]))


def tools(address):
    schema = {"type": "object", "required": ["city"], "additionalProperties": False, "properties": {"city": {"type": "string"}}}
    weather = {"type": "function", "function": {
        "name": "get_weather", "description": "The weather of a city now", "parameters": schema}}
    turns = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked = dict(api_base=f"{address}/v1", api_key="secret", temperature=0, max_tokens=120, num_retries=0, tools=[weather])
    ask = lambda of=f"openai/{name(calls)}", **more: litellm.completion(**{**asked, "model": of, "messages": turns, **more})

    said = ask(tool_choice="required").choices[0]
    assert said.finish_reason == "tool_calls", said
    [call] = said.message.tool_calls
    assert call.function.name == "get_weather" and set(json.loads(call.function.arguments)) == {"city"}, call
    chunks = list(ask(tool_choice="required", stream=True))
    built = litellm.stream_chunk_builder(chunks, messages=turns).choices[0]
    assert built.message.tool_calls[0].function.arguments == call.function.arguments, built
    result = {"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": "21 degrees and sunny"}
    told = ask(messages=[*turns, said.message.model_dump(), result], tool_choice="none").choices[0].message
    assert told.content and "21" in told.content, told

    # The same in Anthropic's words.
    said = ask(of=f"anthropic/{name(calls)}", api_base=address, tool_choice="required").choices[0]
    assert said.finish_reason == "tool_calls" and said.message.tool_calls[0].function.name == "get_weather", said
    result = {**result, "tool_call_id": said.message.tool_calls[0].id}
    told = ask(of=f"anthropic/{name(calls)}", api_base=address, messages=[*turns, said.message.model_dump(), result], tool_choice="none")
    assert "21" in told.choices[0].message.content, told


def vectors(address):
    golden = json.loads((texts / "references.json").read_text())
    by_name = {model["name"]: model for model in golden["models"]}
    there = dict(api_base=f"{address}/v1", api_key="secret", num_retries=0)
    made = litellm.embedding(model="openai/encoder", input=golden["texts"], **there)
    for item, want in zip(made.data, by_name["encoder"]["vectors"], strict=True):
        want = [x for (x,) in struct.iter_unpack("<f", base64.b64decode(want))]
        # Both are one long.
        assert abs(1 - sum(a * b for a, b in zip(item["embedding"], want, strict=True))) < 1e-5
    assert made.usage.prompt_tokens == made.usage.total_tokens > 0, made.usage
    coded = litellm.embedding(model="openai/encoder", input=golden["texts"], encoding_format="base64", **there)
    assert len(coded.data) == len(golden["texts"])
    refused(litellm.BadRequestError, lambda: litellm.embedding(model="openai/encoder", input=["a"], dimensions=8, **there))

    scores = by_name["reranker"]["scores"]
    for way, base in [("hosted_vllm", address), ("jina_ai", address), ("cohere", f"{address}/v1/rerank")]:
        ordered = litellm.rerank(
            model=f"{way}/reranker", query=golden["query"], documents=golden["answers"], top_n=2, api_base=base, api_key="secret")
        assert len(ordered.results) == 2, ordered
        assert ordered.results[0]["index"] == max(range(len(scores)), key=scores.__getitem__), (way, ordered)
        assert all(abs(item["relevance_score"] - scores[item["index"]]) < 1e-4 for item in ordered.results), (way, ordered)


for models, more, session in [
    ([talks], ["-c", "1024", "--memory", "128MiB"], chats),
    ([calls], ["-c", "2048", "--memory", "900MiB"], tools),
    ([texts / "encoder", texts / "reranker"], ["--memory", "64MiB"], vectors),
]:
    server, address = serve(*models, more=more)
    try:
        session(address)
        server.terminate()
        assert server.wait(20) == 0
    finally:
        server.kill()
print("litellm", importlib.metadata.version("litellm"), "is content")
