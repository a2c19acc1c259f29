"""Tools, with the unmodified packages of OpenAI, Anthropic and Ollama, against a server of ours and a model that calls tools.

usage: tools_client.py PROGRAM MODEL.gguf     with the packages of requirements.txt, and a model whose template knows tools
"""

import json
import subprocess
import sys

import anthropic
import ollama
import openai

program, model = sys.argv[1:]
command = [program, "serve", model, "-c", "2048", "--memory", "900MiB", "--port", "0"]
server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
try:
    address = next(line.split("answers at ")[1].strip() for line in server.stderr if "answers at " in line)
    name = model.rsplit("/", 1)[-1].removesuffix(".gguf")
    schema = {"type": "object", "required": ["city"], "additionalProperties": False, "properties": {
        "city": {"type": "string", "description": "The city, such as Paris"}, "unit": {"enum": ["celsius", "fahrenheit"]}}}
    function = {"name": "get_weather", "description": "The weather of a city now", "parameters": schema}
    weather = {"type": "function", "function": function}
    add = {"type": "function", "function": {"name": "add", "description": "Adds two numbers", "parameters": {
        "type": "object", "required": ["a", "b"], "additionalProperties": False,
        "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}},
        "$defs": {"n": {"type": "integer", "minimum": 0, "maximum": 99}}}}}

    def is_weather(arguments):
        return set(arguments) <= {"city", "unit"} and isinstance(arguments["city"], str)

    # OpenAI
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    asked = dict(model=name, temperature=0, seed=1, max_tokens=120)
    turns = [{"role": "user", "content": "What is the weather in Paris?"}]
    ask = lambda **more: client.chat.completions.create(**{**asked, "messages": turns, **more})

    named = ask(tools=[weather, add], tool_choice={"type": "function", "function": {"name": "add"}}).choices[0]
    assert named.finish_reason == "tool_calls" and named.message.content is None, named
    [call] = named.message.tool_calls
    assert call.function.name == "add" and set(json.loads(call.function.arguments)) == {"a", "b"}, call

    for seed in range(4):
        some = ask(tools=[weather, add], tool_choice="required", temperature=1, seed=seed).choices[0]
        assert some.finish_reason == "tool_calls", some
        arguments = json.loads(some.message.tool_calls[0].function.arguments)
        assert some.message.tool_calls[0].function.name == "add" or is_weather(arguments), some

    whole = ask(tools=[weather]).choices[0]
    print("auto:", whole.finish_reason, repr(whole.message.content), whole.message.tool_calls)
    strict = {**weather, "function": {**function, "strict": True}}
    assert "strict" in ask(tools=[strict]).model_extra["warnings"][0]
    forced = dict(tools=[weather], tool_choice="required")
    assert "warnings" not in (ask(tools=[strict], tool_choice="required").model_extra or {})
    call = ask(**forced).choices[0].message.tool_calls[0]
    chunks = [chunk.choices[0] for chunk in ask(stream=True, **forced)]
    pieces = [piece for chunk in chunks for piece in chunk.delta.tool_calls or []]
    assert pieces[0].index == 0 and pieces[0].id and pieces[0].function.name == "get_weather", pieces
    assert "".join(piece.function.arguments for piece in pieces) == call.function.arguments
    assert chunks[-1].finish_reason == "tool_calls" and not any(chunk.delta.content for chunk in chunks)

    flat = {"type": "function", **function, "strict": True}
    newer = dict(model=name, temperature=0, max_output_tokens=120, tools=[flat])
    response = client.responses.create(input=turns, tool_choice="required", **newer)
    [made] = [item for item in response.output if item.type == "function_call"]
    assert made.arguments == call.function.arguments and made.name == "get_weather" and response.status == "completed", response
    with client.responses.stream(input=turns, tool_choice="required", **newer) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output[0].arguments == made.arguments
    assert "response.function_call_arguments.done" in kinds, kinds
    gave = {"type": "function_call_output", "call_id": made.call_id, "output": "21 degrees and sunny"}
    said = client.responses.create(input=[*turns, *response.output, gave], tool_choice="none", **newer)
    assert "21" in said.output_text, said

    later = turns + [{"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
                     {"role": "tool", "tool_call_id": call.id, "content": "21 degrees and sunny"}]
    # Small models call again; what they were told is in the prompt all the same.
    told = ask(messages=later, tools=[weather], tool_choice="none").choices[0].message
    assert told.content and "21" in told.content, told
    assert len(ask(tools=[weather], parallel_tool_calls=False).choices[0].message.tool_calls or []) <= 1
    quiet = ask(tools=[weather], tool_choice="none").choices[0]
    assert quiet.message.tool_calls is None and quiet.finish_reason != "tool_calls"

    def refused(kind, call):
        try:
            call()
        except kind as error:
            return error
        raise AssertionError(f"{kind} was expected")

    bad = openai.BadRequestError
    refused(bad, lambda: ask(tools=[weather], tool_choice={"type": "function", "function": {"name": "nonesuch"}}))
    refused(bad, lambda: ask(tool_choice="required"))
    refused(bad, lambda: ask(tools=[weather], response_format={"type": "json_object"}))
    refused(bad, lambda: ask(tools=[{"type": "function", "function": {"name": "f", "parameters": {
        "type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(4000)}}}}]))

    # Anthropic
    claude = anthropic.Anthropic(base_url=address, api_key="none", max_retries=0)
    tool = {"name": "get_weather", "description": "The weather of a city now", "input_schema": schema}
    asked = dict(model=name, max_tokens=120, extra_body={"temperature": 0}, messages=turns, tools=[tool])
    said = claude.messages.create(**asked, tool_choice={"type": "any"})
    assert said.stop_reason == "tool_use", said
    [use] = [block for block in said.content if block.type == "tool_use"]
    assert use.name == "get_weather" and is_weather(use.input), use
    with claude.messages.stream(**asked, tool_choice={"type": "tool", "name": "get_weather"}) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use" and final.content[0].input == use.input and "input_json" in kinds, final
    result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "21 degrees and sunny"}]}
    later = turns + [{"role": "assistant", "content": [block.model_dump() for block in said.content]},
                     {"role": "user", "content": [result]}]
    told = claude.messages.create(**{**asked, "messages": later}, tool_choice={"type": "none"})
    assert "21" in told.content[0].text, told
    assert claude.messages.count_tokens(model=name, messages=turns, tools=[tool]).input_tokens > 100

    # Ollama
    olli = ollama.Client(host=address)
    assert "tools" in olli.show(name).capabilities
    options = {"temperature": 0, "num_predict": 120}
    heard = olli.chat(model=name, messages=turns, tools=[weather], options=options)
    print("ollama:", repr(heard.message.content), heard.message.tool_calls)
    later = turns + [{"role": "assistant", "content": "", "tool_calls": [
                         {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}]},
                     {"role": "tool", "tool_name": "get_weather", "content": "21 degrees and sunny"}]
    assert olli.chat(model=name, messages=later, options=options).message.content
    server.terminate()
    assert server.wait(20) == 0
finally:
    server.kill()
print("tools are called")
