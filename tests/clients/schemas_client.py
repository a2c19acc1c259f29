"""Schemas without end: answers of a server of ours that must be JSON as a schema allows, judged by another's validator.

usage: schemas_client.py PROGRAM MODEL.gguf [COUNT]     with the packages of requirements.txt

The schemas come from a generator, from well-known shapes, and from a fixed seed. An answer that the model ends, or that the
schema does, must be valid; one that is cut at its last token says "length", and is counted apart.
"""

import json
import random
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import jsonschema

program, model = sys.argv[1:3]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 40

KNOWN = [
    {"type": "object", "required": ["latitude", "longitude"], "additionalProperties": False, "properties": {
        "latitude": {"type": "number", "minimum": -90, "maximum": 90},
        "longitude": {"type": "number", "minimum": -180, "maximum": 180}}},
    {"type": "object", "required": ["checked", "id", "tags"], "properties": {
        "checked": {"type": "boolean"}, "id": {"type": "integer"}, "name": {"type": "string", "maxLength": 20},
        "tags": {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 12}}},
     "additionalProperties": False},
    {"$ref": "#/$defs/tree", "$defs": {"tree": {
        "type": "object", "required": ["value"], "additionalProperties": False, "properties": {
            "value": {"type": "integer", "minimum": 0, "maximum": 99},
            "left": {"$ref": "#/$defs/tree"}, "right": {"$ref": "#/$defs/tree"}}}}},
    {"type": "object", "required": ["kind"], "additionalProperties": False, "properties": {
        "kind": {"const": "circle"}, "radius": {"type": "number", "exclusiveMinimum": 0, "maximum": 10}}},
    {"type": "array", "minItems": 1, "maxItems": 4, "prefixItems": [{"type": "string", "enum": ["N", "E", "S", "W"]}],
     "items": {"type": "integer", "minimum": -5, "maximum": 5}},
    {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"error": {"type": "string", "maxLength": 30}},
                                  "required": ["error"], "additionalProperties": False}]},
    {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 9},
     "properties": {"date": {"type": "string", "format": "date"}}, "required": ["date"], "maxProperties": 4},
    {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"},
    {"type": "object", "required": ["steps", "final_answer"], "additionalProperties": False, "properties": {
        "steps": {"type": "array", "maxItems": 2, "items": {
            "type": "object", "required": ["explanation", "output"], "additionalProperties": False, "properties": {
                "explanation": {"type": "string", "maxLength": 40}, "output": {"type": "string", "maxLength": 20}}}},
        "final_answer": {"type": "string", "maxLength": 20}}},
    {"type": "string", "format": "uuid"},
    {"type": "string", "format": "date-time"},
    {"enum": [1, "two", None, [3], {"four": 4}]},
]
WORDS = "name size colour price when owner street count level note path état größe 名前 a_b x-y".split()


def schema(draw, depth):
    """A schema of the generator."""
    kinds = ["boolean", "integer", "number", "string", "enum", "const", "null", "pattern", "any"]
    kind = draw.choice(kinds[:-1] if depth == 0 else kinds[:7] + ["object"] * 4 + ["array"] * 3 + ["any"])
    if kind == "object":
        names = draw.sample(WORDS, draw.randint(1, 4))
        made = {"type": "object", "properties": {name: schema(draw, depth - 1) for name in names}}
        made["required"] = [name for name in names if draw.random() < 0.7]
        made["additionalProperties"] = False
        return made
    if kind == "array":
        least = draw.randint(0, 2)
        return {"type": "array", "items": schema(draw, depth - 1), "minItems": least, "maxItems": least + draw.randint(0, 2)}
    if kind == "any":
        return {"anyOf": [schema(draw, depth - 1) for _ in range(2)]}
    if kind == "integer":
        low = draw.randint(-1000, 1000)
        return {"type": "integer", "minimum": low, "maximum": low + draw.randint(0, 5000)}
    if kind == "number":
        low = draw.randint(-50, 50)
        return {"type": "number", "minimum": low, "exclusiveMaximum": low + draw.randint(1, 500)}
    if kind == "string":
        least = draw.randint(0, 3)
        return {"type": "string", "minLength": least, "maxLength": least + draw.randint(0, 15)}
    if kind == "enum":
        return {"enum": draw.sample(["red", "grün", 3, 4.5, None, True, "a \"b\"\n"], 3)}
    if kind == "const":
        return {"const": draw.choice(["x", 7, {"k": [1, 2]}])}
    if kind == "pattern":
        return {"type": "string", "pattern": draw.choice(["^[a-z]{1,8}$", "^(yes|no)$", "^[0-9]{4}-[0-9]{2}$", "^\\+?[0-9 ]{3,9}$"])}
    return {"type": kind}


def prompt(draw):
    """Words that have nothing to do with the schema."""
    some = "the fox iron bread sea quickly 7 Tell write JSON list of people \n {} why é".split(" ")
    return " ".join(draw.choice(some) for _ in range(draw.randint(1, 12)))


def ask(address, path, body):
    request = urllib.request.Request(address + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=600) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def one(address, name, number):
    """Whether the answer to a schema is what it must be: valid, cut or wrong."""
    draw = random.Random(number)
    asked = KNOWN[number] if number < len(KNOWN) else schema(draw, draw.randint(0, 3))
    body = {"model": name, "seed": number, "temperature": draw.choice([0, 0.7, 1.0]), "max_tokens": 400,
            "top_k": draw.choice([0, 20]), "top_p": draw.choice([0.9, 1]), "repetition_penalty": draw.choice([1, 1.1]),
            "messages": [{"role": "user", "content": prompt(draw)}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": asked}}}
    status, reply = ask(address, "/v1/chat/completions", body)
    if status != 200:
        return "wrong", f"{status}: {reply} for {json.dumps(asked)}"
    choice = reply["choices"][0]
    text = choice["message"]["content"]
    if choice["finish_reason"] == "length":
        return "cut", text[-60:]
    try:
        jsonschema.validate(json.loads(text), asked, format_checker=jsonschema.FormatChecker())
    except (ValueError, jsonschema.ValidationError) as error:
        return "wrong", f"{error} in {text!r} for {json.dumps(asked)}"
    return "valid", text


if __name__ == "__main__":
    command = [program, "serve", model, "-c", "512", "--contexts", "4", "--memory", "200MiB", "--port", "0", "--queue", "64"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = next(line.split("answers at ")[1].strip() for line in server.stderr if "answers at " in line)
        name = model.rsplit("/", 1)[-1].removesuffix(".gguf")
        begin = time.time()
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda number: one(address, name, number), range(count)))
        counts = {kind: sum(1 for found_kind, _ in found if found_kind == kind) for kind in ("valid", "cut", "wrong")}
        for kind, what in found:
            if kind != "valid":
                print(kind, what)
        print(counts, f"in {time.time() - begin:.0f} s")
        assert counts["wrong"] == 0 and counts["valid"] >= 0.95 * count, counts

        def refused(**format):
            status, reply = ask(address, "/v1/chat/completions", {
                "model": name, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8, **format})
            assert status == 400, (status, reply)
            return reply["error"]["message"]

        begin = time.time()
        refused(response_format={"type": "json_schema", "json_schema": {"schema": {"type": "array", "uniqueItems": True}}})
        refused(guided_regex="(")
        refused(grammar="root ::= nonesuch")
        wide = {f"p{n}": {"enum": [f"{m}{n}" for m in range(20)]} for n in range(120)}
        deep = wide
        for _ in range(60):
            deep = {"d": {"type": "object", "properties": deep}}
        refused(json_schema={"allOf": [{"anyOf": [{"pattern": f".{{{a},{b}}}x", "type": "string"} for b in range(300, 309)]}
                                       for a in range(100, 112)]})
        assert time.time() - begin < 30
        status, _ = ask(address, "/v1/chat/completions", {
            "model": name, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8, "json_schema": deep["d"]})
        assert status in (200, 400), status
        status, reply = ask(address, "/v1/chat/completions", {
            "model": name, "messages": [{"role": "user", "content": "hi"}], "guided_choice": ["yes", "no"]})
        assert reply["choices"][0]["message"]["content"] in ("yes", "no"), reply
        server.terminate()
        assert server.wait(20) == 0
    finally:
        server.kill()
    print("jsonschema is content")
