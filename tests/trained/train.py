"""Trains the models of README.md: `python train.py NAME OUT`, NAME one of `MODELS`, OUT the file or folder to write.

One thread, one seed, deterministic algorithms: the same versions of torch on the same kind of processor write the same
bytes. After training, the weights are read as they are stored and judged on held-out text; what is printed then is
perplexity as `pintpot eval` and llama.cpp reckon it, what the routers did, and how many gates were zero. For the small
models, which are in the repository, the logits of `transformers` are written beside them.
"""

import math
import os
import sys
import time
from dataclasses import dataclass

import gguf
import numpy as np
import torch
from torch.nn import functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))

import network
import reference
import spelling
import text
from make_tiny import KEPT, LENGTH, Tiny, shapes, write_gguf
from vocabulary import ByteLevel

Q = gguf.GGMLQuantizationType
WINDOW = 512  # tokens of a sequence, in training and in judgement
JUDGED = 64  # windows of held-out text
DENSE = {"model_type": "llama", "hidden_act": "relu", "rope_theta": 10000.0}
MIXTURE = {"model_type": "qwen3_moe", "norm_topk_prob": True, "rope_theta": 10000.0}
COMMON = {"rms_norm_eps": 1e-5, "max_position_embeddings": WINDOW, "tie_word_embeddings": True}


@dataclass
class Recipe:
    """A model and how it is trained."""

    config: dict
    types: list[tuple[str, Q]]
    steps: int
    batch: int  # windows in a step
    rate: float  # the highest learning rate
    balance: float = 0.0  # weight of the routers' loss of balance
    zeros: float = 0.0  # the share of gates to be zero, which an L1 penalty is steered towards


MODELS = {
    "moe": Recipe(
        COMMON
        | MIXTURE
        | {"hidden_size": 256, "num_hidden_layers": 6, "vocab_size": 2048}
        | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64}
        | {"num_experts": 32, "num_experts_per_tok": 4, "moe_intermediate_size": 256, "intermediate_size": 256},
        [("", Q.Q8_0)],
        steps=450,
        batch=2,
        rate=1.5e-3,
        balance=0.0005,
    ),
    "moe-small": Recipe(
        COMMON
        | MIXTURE
        | {"hidden_size": 64, "num_hidden_layers": 4, "vocab_size": 512}
        | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
        | {"num_experts": 16, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "intermediate_size": 64},
        [("", Q.Q8_0)],
        steps=600,
        batch=4,
        rate=3e-3,
        balance=0.0003,
    ),
    "relu": Recipe(
        COMMON
        | DENSE
        | {"hidden_size": 256, "num_hidden_layers": 6, "vocab_size": 2048, "intermediate_size": 1024}
        | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64},
        [("", Q.F16)],
        steps=400,
        batch=2,
        rate=1.5e-3,
        zeros=0.88,
    ),
    "relu-small": Recipe(
        COMMON
        | DENSE
        | {"hidden_size": 64, "num_hidden_layers": 4, "vocab_size": 512, "intermediate_size": 320}
        | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16},
        [("", Q.F16)],
        steps=500,
        batch=4,
        rate=6e-3,
        zeros=0.88,
    ),
}


def train(recipe: Recipe, start: network.Weights, ids: torch.Tensor) -> network.Weights:
    """Weights after all steps, each on windows that no step before has seen."""
    w = {name: x.requires_grad_() for name, x in start.items()}
    matrices, rest = [x for x in w.values() if x.dim() > 1], [x for x in w.values() if x.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)
    windows = ids[: (len(ids) - 1) // WINDOW * WINDOW + 1].unfold(0, WINDOW + 1, WINDOW)
    order = torch.randperm(len(windows))
    assert recipe.steps * recipe.batch <= len(windows), len(windows)
    penalty, began = 1e-2, time.monotonic()
    for step in range(recipe.steps):
        rate = recipe.rate * min((step + 1) / 40, (recipe.steps - step) / recipe.steps)
        for group in adam.param_groups:
            group["lr"] = rate
        batch = windows[order[step * recipe.batch : (step + 1) * recipe.batch]]
        rows, seen = network.logits(w, recipe.config, batch[:, :-1])
        loss = F.cross_entropy(rows.flatten(0, 1), batch[:, 1:].flatten())
        total = loss + recipe.balance * sum(seen.balance)
        if recipe.zeros:
            zeros = mean([(gate == 0).float().mean() for gate in seen.gates])
            total = total + penalty * sum(gate.mean() for gate in seen.gates)
            penalty *= 1.02 if zeros < recipe.zeros else 1 / 1.02
        adam.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(w.values(), 1.0)
        adam.step()
        if step % 20 == 0 or step + 1 == recipe.steps:
            extra = f"{zeros:.3f} zero, penalty {penalty:.1e}" if recipe.zeros else f"balance {mean(seen.balance):.3f}"
            took = time.monotonic() - began
            print(f"step {step} loss {loss:.3f}, {extra}, {took:.0f} s", file=sys.stderr, flush=True)
    return {name: x.detach() for name, x in w.items()}


def mean(values: list[torch.Tensor]) -> float:
    return sum(float(x.detach()) for x in values) / len(values)


@torch.no_grad()
def judge(w: network.Weights, c: dict, ids: list[int]) -> None:
    """Prints what the model makes of held-out text: windows, of which the second half is scored."""
    windows = torch.tensor(ids[: len(ids) // WINDOW * WINDOW]).view(-1, WINDOW)[:JUDGED]
    losses, chosen, gates = [], [], []
    for window in windows:
        rows, seen = network.logits(w, c, window[None])
        losses.append(F.cross_entropy(rows[0, WINDOW // 2 : -1], window[WINDOW // 2 + 1 :]))
        chosen.append(seen.chosen)
        gates.append(seen.gates)
    print(f"held-out perplexity {math.exp(mean(losses)):.3f} ({len(windows)} windows of {WINDOW})")
    for layer, picks in enumerate(zip(*chosen)):
        load = torch.cat(picks).flatten().bincount(minlength=c["num_experts"]).double()
        load /= load.sum()
        entropy = -(load * load.clamp(min=1e-12).log2()).sum()
        again = torch.cat([(p[1:, :, None] == p[:-1, None, :]).any(-1).flatten() for p in picks]).double().mean()
        print(
            f"layer {layer}: entropy of experts {entropy:.2f} of {math.log2(c['num_experts']):.2f} bits, "
            f"busiest {load.max():.3f}, idlest {load.min():.4f}, chosen again by the next token {again:.3f}"
        )
    for layer, seen in enumerate(zip(*gates)):
        zero = torch.cat(seen) == 0
        print(f"layer {layer}: {zero.float().mean():.3f} of gates zero, {zero.all(0).float().mean():.3f} always")
    if gates[0]:
        print(f"all layers: {mean([(x == 0).float().mean() for seen in gates for x in seen]):.3f} of gates zero")


def write(tiny: Tiny, weights: network.Weights, out: str) -> network.Weights:
    """Writes the model; returns its weights as they are stored."""
    plain = {name: x.numpy() for name, x in weights.items()}
    stored = write_gguf(tiny, plain, out, np.random.default_rng(0))
    return {name: torch.from_numpy(x) for name, x in stored.items()}


def main(name: str, out: str) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(1)
    recipe = MODELS[name]
    c = recipe.config
    learnt, held = text.both()
    words = ByteLevel("gpt-2", learnt, c["vocab_size"])
    tiny = Tiny(name, words, c, recipe.types, family="trained")
    ids = torch.tensor([i for document in learnt for i in (words.end, *words.encode(document))])
    print(f"{len(ids)} tokens to train on, {recipe.steps * recipe.batch * WINDOW} used", file=sys.stderr)
    start = network.initial(shapes(tiny))
    stored = write(tiny, train(recipe, start, ids), out)
    ids = words.encode(held)
    judge(stored, c, ids)
    joined = spelling.joined({name: x.numpy() for name, x in stored.items()}, c)
    rows = reference.logits(reference.load(c, joined), ids[:LENGTH])
    ours = network.logits(stored, c, torch.tensor([ids[:LENGTH]]))[0][0].numpy()
    print(f"largest difference from transformers' logits {abs(rows - ours).max():.1e}")
    if name.endswith("-small"):
        reference.write(out + ".logits", ids[:LENGTH], rows, KEPT, model=os.path.basename(out))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].rstrip("/"))
