"""Writes chat.json: what jinja2, set up as transformers sets it up, makes of real chat templates.

    python chat.py FOLDER        (needs: gguf, jinja2; FOLDER as in PINTPOT_TEST_MODELS)
"""

import json
import pathlib
import sys

import gguf
import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent

# Idioms of the larger published templates, in the smallest form that still needs them.
IDIOMS = {
    "llama-3-like": "{{- bos_token }}\n{%- if custom_tools is defined %}\n    {%- set tools = custom_tools %}\n{%- endif %}\n{%- if not tools is defined %}\n    {%- set tools = none %}\n{%- endif %}\n{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content']|trim %}\n    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system_message = \"\" %}\n{%- endif %}\n{%- if tools is not none %}\n    {%- for t in tools %}\n        {{- t | tojson(indent=4) }}\n        {{- \"\\n\\n\" }}\n    {%- endfor %}\n{%- endif %}\n{{- system_message }}\n{%- for message in messages %}\n    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n",
    "gemma-like": "{{ bos_token }}\n{%- if messages[0]['role'] == 'system' -%}\n    {%- if messages[0]['content'] is string -%}\n        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}\n    {%- else -%}\n        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}\n    {%- endif -%}\n    {%- set loop_messages = messages[1:] -%}\n{%- else -%}\n    {%- set first_user_prefix = \"\" -%}\n    {%- set loop_messages = messages -%}\n{%- endif -%}\n{%- for message in loop_messages -%}\n    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}\n        {{ raise_exception(\"Conversation roles must alternate user/assistant/user/assistant/...\") }}\n    {%- endif -%}\n    {%- if (message['role'] == 'assistant') -%}\n        {%- set role = \"model\" -%}\n    {%- else -%}\n        {%- set role = message['role'] -%}\n    {%- endif -%}\n    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else \"\") }}\n    {%- if message['content'] is string -%}\n        {{ message['content'] | trim }}\n    {%- elif message['content'] is iterable -%}\n        {%- for item in message['content'] -%}\n            {%- if item['type'] == 'text' -%}\n                {{ item['text'] | trim }}\n            {%- endif -%}\n        {%- endfor -%}\n    {%- else -%}\n        {{ raise_exception(\"Invalid content type\") }}\n    {%- endif -%}\n    {{ '<end_of_turn>\n' }}\n{%- endfor -%}\n{%- if add_generation_prompt -%}\n    {{'<start_of_turn>model\n'}}\n{%- endif -%}\n",
    "qwen-3-like": "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}\n{%- for message in messages[::-1] %}\n    {%- set index = (messages|length - 1) - loop.index0 %}\n    {%- if ns.multi_step_tool and message.role == \"user\" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}\n        {%- set ns.multi_step_tool = false %}\n        {%- set ns.last_query_index = index %}\n    {%- endif %}\n{%- endfor %}\n{%- for message in messages %}\n    {%- set content = message.content if message.content is string else '' %}\n    {%- if message.role == \"assistant\" %}\n        {%- set reasoning = '' %}\n        {%- if '</think>' in content %}\n            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}\n            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}\n        {%- endif %}\n        {%- if loop.index0 > ns.last_query_index %}\n            {{- '<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' }}\n        {%- endif %}\n    {%- endif %}\n    {{- message.role ~ ': ' ~ content ~ '\\n' }}\n{%- endfor %}\n{%- if enable_thinking is defined and enable_thinking is false %}\n    {{- '<think>\\n\\n</think>\\n\\n' }}\n{%- endif %}\n",
    "odds": "{% macro pair(k, v='-') %}{{ k }}={{ v }};{% endmacro %}\n{% for m in messages %}\n{% if loop.first %}{% continue %}{% endif %}\n{{ pair(m.role, m.content|length) }}{{ pair('x') }}\n{% endfor %}\n{{ messages|map(attribute='role')|join(',') }} {{ messages|selectattr('role','equalto','user')|list|length }}\n{%- for k, v in {'b': 1, 'a': [true, none, 1.5]}.items() %} {{ k }}:{{ v }}{% endfor %}\n {{ messages[-1]['content'].replace('a', 'o').upper() }} {{ 'a,b'.split(',') }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 2 ** 3 }} {{ -7 % 3 }} {{ 'x' if false }}|{{ none }}|{{ '%s-%d' % ('a', 3) if false else '' }}{{ [1,2]|last }}{{ 'abc'[1:] }}{{ (1,2) }}\n",
}

CHATS = {
    "one": [{"role": "user", "content": "What is the capital of France?"}],
    "system": [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi \"é\" <b>&</b>\n"}],
    "turns": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nb"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d 😀"},
    ],
}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells é & <x>'s", "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "number", "default": 1.0}}, "required": ["city"]}}}]
CALL = [
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2}}}]},
    {"role": "tool", "content": "{\"t\": 21}"},
    {"role": "tool", "content": "sunny"},
    {"role": "user", "content": "Thanks"},
]


def environment():
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    return made


def main(folder):
    templates = dict(IDIOMS)
    for name in ["smollm2", "qwen2.5-coder-0.5b"]:
        reader = gguf.GGUFReader(pathlib.Path(folder) / f"{name}.gguf")
        templates[name] = reader.fields["tokenizer.chat_template"].contents()
    out = []
    for name, source in templates.items():
        cases = []
        for messages in [*CHATS.values(), CALL]:
            for generation in [True, False]:
                for variables in [{}, {"tools": TOOLS}, {"enable_thinking": False}]:
                    if name in ("smollm2", "gemma-like", "odds") and variables:
                        continue
                    case = {"messages": messages, "add_generation_prompt": generation, "variables": variables}
                    try:
                        case["text"] = environment().from_string(source).render(
                            messages=messages, add_generation_prompt=generation, bos_token="<s>", eos_token="</s>", **variables)
                    except jinja2.exceptions.TemplateError as e:
                        case["error"] = str(e)
                    cases.append(case)
        out.append({"name": name, "source": source, "cases": cases})
    (HERE / "chat.json").write_text(json.dumps(out, indent=1) + "\n")


main(sys.argv[1])
