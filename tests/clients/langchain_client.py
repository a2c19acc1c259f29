"""LangChain's ChatOpenAI and OpenAIEmbeddings, unmodified, against servers of ours: turns, streams, batches, tools, forms, errors.

usage: langchain_client.py PROGRAM MODEL.gguf CALLS.gguf     with the packages of requirements.txt; CALLS knows tools
"""

import asyncio
import base64
import json
import pathlib
import struct
import subprocess
import sys

import langchain_core
import langchain_openai
import openai
import pydantic
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool

program, talks, calls = sys.argv[1:]
texts = pathlib.Path(__file__).parent.parent / "networks" / "texts"


def serve(*models, more):
    command = [program, "serve", *map(str, models), "--port", "0", "--api-key", "secret", *more]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = next(line for line in server.stderr if " at http://" in line)
    return server, "http://" + line.split(" at http://")[1].strip() + "/v1"


def name(path):
    return path.rsplit("/", 1)[-1].removesuffix(".gguf")


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind} was expected")


def chats(address):
    def chat(**more):
        asked = dict(model=name(talks), base_url=address, api_key="secret", temperature=0, seed=1, max_tokens=24, max_retries=0)
        return langchain_openai.ChatOpenAI(**{**asked, **more})

    model = chat()
    turns = [SystemMessage("You are a helpful AI assistant."), HumanMessage("What is the capital of France?")]
    whole = model.invoke(turns)
    assert "Paris" in whole.content and whole.response_metadata["finish_reason"] in ("stop", "length"), whole
    used = whole.usage_metadata
    assert used["input_tokens"] > 0 and used["total_tokens"] == used["input_tokens"] + used["output_tokens"], used

    chunks = list(chat(stream_usage=True).stream(turns))
    assert "".join(chunk.content for chunk in chunks) == whole.content and len(chunks) > 4, chunks
    together = sum(chunks[1:], chunks[0])
    assert together.usage_metadata["output_tokens"] == used["output_tokens"], together
    assert together.response_metadata["finish_reason"] == whole.response_metadata["finish_reason"], together

    # A chain, one answer for each of several inputs, and what a crowd is told is what one is told alone.
    chain = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "Say {word}.")]) | model | StrOutputParser()
    alone = [chain.invoke({"word": word}) for word in ("hello", "no", "one")]
    assert chain.batch([{"word": word} for word in ("hello", "no", "one")]) == alone and all(alone)

    async def at_once():
        pieces = [piece.content async for piece in model.astream(turns)]
        several = await asyncio.gather(*(chain.ainvoke({"word": word}) for word in ("hello", "no", "one")))
        return "".join(pieces), list(several)

    assert asyncio.run(at_once()) == (whole.content, alone)

    likely = chat(logprobs=True, top_logprobs=2).invoke(turns).response_metadata["logprobs"]["content"]
    assert "".join(token["token"] for token in likely) == whole.content and len(likely[0]["top_logprobs"]) == 2, likely
    assert "," not in chat(stop=[","]).invoke("One, two, three").content
    parts = model.invoke([HumanMessage([{"type": "text", "text": "Say"}, {"type": "text", "text": " hello."}])])
    assert parts.content
    several = chat(n=2, temperature=1).generate([turns]).generations[0]
    assert len(several) == 2, several

    newer = chat(use_responses_api=True, seed=None)  # which that route of OpenAI does not have
    said = newer.invoke(turns)
    assert said.text == whole.content, said
    assert "".join(piece.text for piece in newer.stream(turns)) == whole.content

    class City(pydantic.BaseModel):
        """A city."""

        name: str = pydantic.Field(max_length=20)
        inhabitants: int = pydantic.Field(ge=0, le=50_000_000)

    for method, strict in [("json_schema", None), ("json_schema", True)]:
        city = chat(max_tokens=80).with_structured_output(City, method=method, strict=strict).invoke("Tell me of Paris.")
        assert isinstance(city, City), city
    raw = chat(max_tokens=80).with_structured_output(City, method="json_schema", include_raw=True).invoke("Tell me of Rome.")
    assert isinstance(raw["parsed"], City) and raw["parsing_error"] is None, raw
    *_, last = chat(max_tokens=80).with_structured_output(City, method="json_schema").stream("Tell me of Paris.")
    assert isinstance(last, City), last

    assert refused(openai.NotFoundError, lambda: chat(model="other").invoke("a")).code == "model_not_found"
    refused(openai.AuthenticationError, lambda: chat(api_key="wrong").invoke("a"))
    long = refused(ContextOverflowError, lambda: model.invoke("word " * 2000))
    assert isinstance(long, openai.BadRequestError), long
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    refused(openai.BadRequestError, lambda: model.invoke([HumanMessage([picture])]))


def tools(address):
    @tool
    def get_weather(city: str) -> str:
        """The weather of a city now."""
        return f"21 degrees and sunny in {city}"

    @tool
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    model = langchain_openai.ChatOpenAI(
        model=name(calls), base_url=address, api_key="secret", temperature=0, max_tokens=120, max_retries=0)
    turns = [HumanMessage("What is the weather in Paris?")]
    called = model.bind_tools([get_weather, add], tool_choice="get_weather").invoke(turns)
    [call] = called.tool_calls
    assert call["name"] == "get_weather" and set(call["args"]) == {"city"} and call["id"], called
    assert called.response_metadata["finish_reason"] in ("tool_calls", "stop") and not called.invalid_tool_calls, called
    pieces = list(model.bind_tools([get_weather, add], tool_choice="any").stream(turns))
    assert sum(pieces[1:], pieces[0]).tool_calls[0]["name"] in ("get_weather", "add"), pieces

    result = get_weather.invoke(call)
    assert isinstance(result, ToolMessage) and result.tool_call_id == call["id"]
    told = model.bind_tools([get_weather, add], tool_choice="none").invoke([*turns, called, result])
    assert isinstance(told, AIMessage) and "21" in told.content, told
    assert model.bind_tools([get_weather, add]).invoke(turns)

    class Sum(pydantic.BaseModel):
        """Two numbers to be added."""

        a: int = pydantic.Field(ge=0, le=99)
        b: int = pydantic.Field(ge=0, le=99)

    made = model.with_structured_output(Sum, method="function_calling").invoke("What is 3 + 4?")
    assert isinstance(made, Sum), made


def vectors(address):
    golden = json.loads((texts / "references.json").read_text())
    wanted = next(model for model in golden["models"] if model["name"] == "encoder")["vectors"]
    # Whose tokens it counts, this package would have to download.
    model = langchain_openai.OpenAIEmbeddings(
        model="encoder", base_url=address, api_key="secret", check_embedding_ctx_length=False, max_retries=0)
    ours = model.embed_documents(golden["texts"])
    for vector, want in zip(ours, wanted, strict=True):
        want = [x for (x,) in struct.iter_unpack("<f", base64.b64decode(want))]
        # Both are one long.
        assert abs(1 - sum(a * b for a, b in zip(vector, want, strict=True))) < 1e-5
    assert model.embed_query(golden["texts"][0]) == ours[0]
    assert asyncio.run(model.aembed_query(golden["texts"][0])) == ours[0]


for models, more, session in [
    ([talks], ["-c", "1024", "--memory", "128MiB"], chats),
    ([calls], ["-c", "2048", "--memory", "900MiB"], tools),
    ([texts / "encoder"], ["--memory", "64MiB"], vectors),
]:
    server, address = serve(*models, more=more)
    try:
        session(address)
        server.terminate()
        assert server.wait(20) == 0
    finally:
        server.kill()
print("langchain-openai, langchain-core", langchain_core.__version__, "is content")
