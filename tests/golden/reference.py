"""Reference logits from `transformers` in float32, and the file that holds them.

A logits file is one line of JSON, then rows of little-endian float32, one row for each of `positions`:

    {"format": "logits/1", "ids": [...], "positions": [...], "vocabulary": 320, "argmax": [...], "margin": [...], ...}

`ids` is the whole text; a row holds the logits after the token at its position; `argmax` and `margin` (best minus
second best) cover every position. Other keys (model, sha256, versions) are for people.
"""

import json
import os

import numpy as np
import torch
import transformers

# Attention and experts as a model's own file writes them down.
PLAIN = {"attn_implementation": "eager", "experts_implementation": "eager"}


def load(config: dict, weights: dict[str, np.ndarray]) -> torch.nn.Module:
    """The model that `transformers` builds for `config`, with these weights, in float32."""
    kind = config["model_type"]
    settings = {k: v for k, v in config.items() if k != "model_type"}
    config = transformers.AutoConfig.for_model(kind, **settings)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, **PLAIN)
    missing, unexpected = model.load_state_dict({k: torch.from_numpy(w) for k, w in weights.items()}, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return model.eval()


def open_folder(folder: str) -> torch.nn.Module:
    """The model in a folder of config.json and safetensors, in float32."""
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, **PLAIN
    )
    assert not any(report.values()), report
    return model.eval()


@torch.no_grad()
def logits(model: torch.nn.Module, ids: list[int]) -> np.ndarray:
    """Logits after every token: (len(ids), vocabulary), float32."""
    return model(torch.tensor([ids])).logits[0].float().numpy()


@torch.no_grad()
def greedy(model: torch.nn.Module, ids: list[int], count: int, stop: set[int]) -> list[int]:
    """Up to `count` tokens by argmax, a token of `stop` being the last."""
    out, cache, step = [], None, torch.tensor([ids])
    while len(out) < count and not (out and out[-1] in stop):
        result = model(step, past_key_values=cache, use_cache=True)
        cache = result.past_key_values
        out.append(int(result.logits[0, -1].argmax()))
        step = torch.tensor([[out[-1]]])
    return out


def margins(rows: np.ndarray) -> np.ndarray:
    """Best minus second best of every row."""
    best = np.partition(rows, -2, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]


def versions() -> dict[str, str]:
    """What made the numbers."""
    return {"torch": torch.__version__, "transformers": transformers.__version__}


def write(path: str, ids: list[int], rows: np.ndarray, positions: list[int], **facts) -> None:
    """Writes a logits file with the rows at `positions`; `rows` is (len(ids), vocabulary)."""
    header = {
        "format": "logits/1",
        **facts,
        **versions(),
        "vocabulary": int(rows.shape[1]),
        "ids": ids,
        "positions": positions,
        "argmax": [int(i) for i in rows.argmax(axis=1)],
        "margin": [round(float(m), 4) for m in margins(rows)],
    }
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(json.dumps(header, separators=(",", ":")).encode() + b"\n")
        f.write(rows[positions].astype("<f4").tobytes())


def read(path: str) -> tuple[dict, np.ndarray]:
    """The header and the rows of a logits file."""
    with open(path, "rb") as f:
        header = json.loads(f.readline())
        rows = np.frombuffer(f.read(), "<f4").reshape(len(header["positions"]), header["vocabulary"])
    return header, rows
