"""Reference runs of the real models: `python make_logits.py MODELS OUT`.

MODELS holds smollm2.gguf, gemma3-270m.gguf and qwen2.5-coder-0.5b.gguf. Beside this file, in real/, a small JSON for
each: greedy tokens, and for every position of a text the eight best logits, the margin between the first two, and
the logarithm of the sum of exponentials. In OUT, not for committing: all float32 logits of that text, as a logits
file (see reference.py), for the KL divergence of an engine.
"""

import hashlib
import json
import os
import sys

import gguf
import numpy as np

import reference
import spelling

TEXT = (
    "The river rose three metres in a single night. By morning the lower streets of the town were under water, and "
    'the mayor asked everyone who lived south of the railway to leave their homes. "We have seen floods before," '
    'said Anna Keller, 71, who runs the bakery, "but never in June." Engineers measured the flow at 1,240 cubic '
    "metres a second, about twice what the old bridge was built for in 1932. Schools stay closed until Thursday."
)
CODE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWrite a Python function that "
    "returns the n-th Fibonacci number.<|im_end|>\n<|im_start|>assistant\n```python\ndef fibonacci(n: int) -> int:\n"
    '    """Return the n-th Fibonacci number, counting from zero."""\n    a, b = 0, 1\n    for _ in range(n):\n'
    "        a, b = b, a + b\n    return a\n```\nThe loop keeps two neighbours of the sequence, so it needs constant "
    "memory and n additions.<|im_end|>\n"
)
CHAT = "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
MODELS = {
    "gemma3-270m": {
        "prompt": [2, 818, 5279, 529, 7001, 563],
        "count": 14,
        "text": TEXT,
        "stop": {1},
    },
    "qwen2.5-coder-0.5b": {
        "prompt": CHAT.format("You are a helpful assistant.", "Write a Python function that adds two numbers."),
        "count": 24,
        "text": CODE,
        "stop": {151645},
    },
    "smollm2": {
        "prompt": [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198],
        "count": 8,
        "text": TEXT,
        "stop": {2},
    },
}


def tokenizer(path: str):
    """Text -> ids, by `transformers`' own reading of the file's vocabulary."""
    folder, file = os.path.split(path)
    words = reference.transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file)
    return lambda text: words(text)["input_ids"] if isinstance(text, str) else text


def summary(rows: np.ndarray) -> dict:
    """What is committed of the logits of a text."""
    best = np.argsort(-rows, axis=1, kind="stable")[:, :8]
    top = rows.max(axis=1, keepdims=True)
    total = np.log(np.exp(rows.astype(np.float64) - top).sum(axis=1)) + top[:, 0]
    return {
        "margin": [round(float(m), 4) for m in reference.margins(rows)],
        "log_sum_exp": [round(float(t), 4) for t in total],
        "top": [[[int(i), round(float(row[i]), 4)] for i in ids] for row, ids in zip(rows, best)],
    }


def run(name: str, job: dict, models: str, out: str) -> None:
    path = os.path.join(models, name + ".gguf")
    model = reference.load(*spelling.from_gguf(gguf.GGUFReader(path)))
    encode = tokenizer(path)
    prompt = encode(job["prompt"])
    answer = reference.greedy(model, prompt, job["count"], job["stop"])
    ids = encode(job["text"])
    with open(path, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    facts = {"model": name + ".gguf", "sha256": digest}
    forced = reference.logits(model, prompt + answer)
    rows = reference.logits(model, ids)
    golden = {
        **facts,
        **reference.versions(),
        "greedy": {"prompt": prompt, "answer": answer, **summary(forced[len(prompt) - 1 : -1])},
        "text": {"ids": ids, **summary(rows)},
    }
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "real")
    os.makedirs(here, exist_ok=True)
    with open(os.path.join(here, name + ".json"), "w") as f:
        json.dump(golden, f, separators=(",", ":"))
        f.write("\n")
    reference.write(os.path.join(out, name + ".logits"), ids, rows, list(range(len(ids))), **facts)
    print(name, len(ids), "tokens; greedy", answer)


if __name__ == "__main__":
    for name, job in MODELS.items():
        run(name, job, sys.argv[1], sys.argv[2])
