"""OpenAI's own Python package, unmodified, against a server of ours: chat, streams, usage, errors.

usage: openai_client.py PROGRAM MODEL.gguf     with the packages of requirements.txt
"""

import concurrent.futures
import json
import subprocess
import sys

import openai
import pydantic

program, model = sys.argv[1:]
command = [program, "serve", model, "-c", "1024", "--memory", "128MiB", "--port", "0", "--api-key", "secret"]
server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
try:
    address = next(line.split("answers at ")[1].strip() for line in server.stderr if "answers at " in line)
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="secret", max_retries=0)
    name = client.models.list().data[0].id
    assert client.models.retrieve(name).id == name

    asked = dict(model=name, temperature=0, seed=1, max_tokens=24)
    turns = [{"role": "system", "content": "You are a helpful AI assistant."},
             {"role": "user", "content": "What is the capital of France?"}]
    whole = client.chat.completions.create(messages=turns, **asked)
    answer = whole.choices[0].message.content
    assert "Paris" in answer, answer
    assert whole.choices[0].finish_reason in ("stop", "length")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

    chunks = list(client.chat.completions.create(
        messages=turns, stream=True, stream_options={"include_usage": True}, **asked))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == answer
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].choices == [] and chunks[-1].usage.prompt_tokens_details.cached_tokens > 0

    parts = [{"role": "system", "content": "Be brief."},
             {"role": "user", "content": [{"type": "text", "text": "Say"}, {"type": "text", "text": " hello."}]}]
    several = client.chat.completions.create(messages=parts, n=3, **{**asked, "temperature": 1.0})
    assert [choice.index for choice in several.choices] == [0, 1, 2]

    class City(pydantic.BaseModel):
        name: str = pydantic.Field(max_length=20)
        inhabitants: int = pydantic.Field(ge=0, le=50_000_000)
        seaside: bool

    parsed = client.chat.completions.parse(messages=turns, response_format=City, **{**asked, "max_tokens": 80})
    assert isinstance(parsed.choices[0].message.parsed, City), parsed
    loose = client.chat.completions.create(
        messages=turns, response_format={"type": "json_object"}, **{**asked, "max_tokens": 300})
    assert loose.choices[0].finish_reason == "length" or isinstance(json.loads(loose.choices[0].message.content), dict)
    assert client.completions.create(
        prompt="Yes or no?", extra_body={"guided_regex": "(yes|no)[.!]"}, **asked).choices[0].text[:-1] in ("yes", "no")

    text = client.completions.create(prompt="The capital of France is", stop=["."], **asked)
    assert "." not in text.choices[0].text
    assert "".join(c.choices[0].text for c in client.completions.create(
        prompt="The capital of France is", stop=["."], stream=True, **asked)) == text.choices[0].text

    newer = dict(model=name, temperature=0, max_output_tokens=24, instructions="You are a helpful AI assistant.")
    response = client.responses.create(input="What is the capital of France?", **newer)
    assert response.output_text == answer and response.usage.output_tokens == whole.usage.completion_tokens, response
    assert response.model_extra["logits_digest"] == whole.choices[0].model_extra["logits_digest"]
    with client.responses.stream(input="What is the capital of France?", **newer) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text == answer and final.status == "completed", final
    again = [{"role": "user", "content": "What is the capital of France?"}, *final.output, {"role": "user", "content": "And of Italy?"}]
    assert client.responses.create(input=again, **newer).usage.input_tokens_details.cached_tokens > 20
    city = client.responses.parse(input="Tell me of Paris.", text_format=City, **{**newer, "max_output_tokens": 80})
    assert isinstance(city.output_parsed, City), city

    def refused(kind, call):
        try:
            call()
        except kind as error:
            return error
        raise AssertionError(f"{kind} was expected")

    ask = lambda **more: client.chat.completions.create(**{**asked, "messages": turns, **more})
    assert refused(openai.NotFoundError, lambda: ask(model="other")).code == "model_not_found"
    assert refused(openai.BadRequestError, lambda: ask(logprobs=True, top_logprobs=20, max_tokens=500)).param == "logprobs"
    assert refused(openai.BadRequestError, lambda: ask(top_logprobs=2)).param == "top_logprobs"
    likely = ask(logprobs=True, top_logprobs=3).choices[0]
    tokens = likely.logprobs.content
    assert "".join(token.token for token in tokens) == likely.message.content == answer
    for token in tokens:
        assert token.top_logprobs[0].token == token.token and token.top_logprobs[0].logprob == token.logprob <= 0
        assert [top.logprob for top in token.top_logprobs] == sorted((t.logprob for t in token.top_logprobs), reverse=True)
    streamed = [token for chunk in ask(logprobs=True, top_logprobs=3, stream=True)
                for token in (chunk.choices[0].logprobs.content if chunk.choices[0].logprobs else [])]
    assert streamed == tokens
    assert ask(logit_bias={str(n): -100 for n in range(20)}).choices[0].message.content
    old = client.completions.create(prompt="The capital of France is", logprobs=2, **asked).choices[0]
    assert "".join(old.logprobs.tokens) == old.text and len(old.logprobs.top_logprobs[0]) >= 2
    assert all(old.text[at:].startswith(token) for at, token in zip(old.logprobs.text_offset, old.logprobs.tokens))
    echo = client.completions.create(prompt="The capital of France is", echo=True, best_of=1, **asked).choices[0]
    assert echo.text == "The capital of France is" + old.text
    assert "uniqueItems" in refused(openai.BadRequestError, lambda: ask(response_format={
        "type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "array", "uniqueItems": True}}})).message
    tool = {"type": "function", "function": {"name": "t", "parameters": {"type": "object"}}}
    assert "tools" in refused(openai.BadRequestError, lambda: ask(tools=[tool])).message  # this model has no place for them
    assert refused(openai.BadRequestError, lambda: ask(tools=[{"type": "web_search"}])).param == "tools"
    long = [{"role": "user", "content": "word " * 2000}]
    assert refused(openai.BadRequestError, lambda: ask(messages=long)).code == "context_length_exceeded"
    stranger = openai.OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0)
    refused(openai.AuthenticationError, stranger.models.list)

    alone = [ask(seed=n, temperature=1).choices[0].logits_digest for n in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        crowd = list(pool.map(lambda n: ask(seed=n, temperature=1).choices[0].logits_digest, range(6)))
    assert alone == crowd, (alone, crowd)

    # Who breaks off is forgotten, and the server ends when it is told to.
    stream = ask(stream=True, max_tokens=900)
    next(iter(stream))
    stream.close()
    server.terminate()
    assert server.wait(20) == 0
finally:
    server.kill()
print("openai", openai.__version__, "is content")
