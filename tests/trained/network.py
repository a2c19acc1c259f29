"""A decoder in plain torch, as functions of named weights: fast enough to train a small one on a core.

Two kinds of feed-forward part: Qwen3's mixture of experts (arXiv 2505.09388) and Llama's gate with ReLU in SiLU's
place (arXiv 2310.04564). Weights go by the hub's names with experts stacked, as golden/spelling.py has them, and
settings by those of config.json, so that what is trained is written down without translation. What it is not: the
reference; that is `transformers`, whose logits train.py compares with these.
"""

from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

Weights = dict[str, torch.Tensor]


@dataclass
class Seen:
    """What a pass saw in each layer; tensors that are trained on keep their gradient."""

    balance: list[torch.Tensor] = field(default_factory=list)  # the loss of routers that prefer few experts
    chosen: list[torch.Tensor] = field(default_factory=list)  # experts, (tokens, used)
    gates: list[torch.Tensor] = field(default_factory=list)  # activations of the gate, (tokens, width)


def initial(shapes: dict[str, tuple[int, ...]]) -> Weights:
    """Weights to start from, by torch's generator: what ends a branch is zero, so that layers join one by one."""
    out = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            out[name] = torch.ones(shape)
            continue
        last = "o_proj" in name or "down_proj" in name
        gain = 0.0 if last else 0.25 if "embed" in name else 1.0
        out[name] = gain * shape[-1] ** -0.5 * torch.randn(shape)
    return out


def logits(w: Weights, c: dict, ids: torch.Tensor) -> tuple[torch.Tensor, Seen]:
    """ids (batch, length) -> logits (batch, length, vocabulary), and what was seen on the way."""
    seen, eps = Seen(), c["rms_norm_eps"]
    turn = rotation(c, ids.shape[1])
    x = w["model.embed_tokens.weight"][ids]
    for i in range(c["num_hidden_layers"]):
        part = f"model.layers.{i}."
        x = x + attention(w, c, part + "self_attn.", norm(x, w[part + "input_layernorm.weight"], eps), turn)
        h = norm(x, w[part + "post_attention_layernorm.weight"], eps).flatten(0, 1)
        forward = mixture if "num_experts" in c else gated
        x = x + forward(w, c, part + "mlp.", h, seen).view_as(x)
    x = norm(x, w["model.norm.weight"], eps)
    return F.linear(x, w["model.embed_tokens.weight"]), seen


def norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    return F.rms_norm(x, weight.shape, weight, eps)


def rotation(c: dict, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of RoPE, (length, head_dim), for pairs that are halves of a head."""
    half = c["head_dim"] // 2
    angles = torch.outer(torch.arange(length), c["rope_theta"] ** (-torch.arange(half) / half)).repeat(1, 2)
    return angles.cos(), angles.sin()


def attention(w: Weights, c: dict, part: str, x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    batch, length, _ = x.shape

    def heads(name: str) -> torch.Tensor:  # (batch, heads, length, head_dim)
        y = F.linear(x, w[f"{part}{name}_proj.weight"]).view(batch, length, -1, c["head_dim"])
        scale = w.get(f"{part}{name}_norm.weight")
        return (y if scale is None else norm(y, scale, c["rms_norm_eps"])).transpose(1, 2)

    def turned(y: torch.Tensor) -> torch.Tensor:
        a, b = y.chunk(2, -1)
        return y * turn[0] + torch.cat([-b, a], -1) * turn[1]

    q, k, v = turned(heads("q")), turned(heads("k")), heads("v")
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return F.linear(y.transpose(1, 2).flatten(2), w[part + "o_proj.weight"])


def gated(w: Weights, c: dict, part: str, x: torch.Tensor, seen: Seen) -> torch.Tensor:
    """down(relu(gate(x)) * up(x)); x (tokens, width)."""
    gate = F.linear(x, w[part + "gate_proj.weight"]).relu()
    seen.gates.append(gate)
    return F.linear(gate * F.linear(x, w[part + "up_proj.weight"]), w[part + "down_proj.weight"])


def mixture(w: Weights, c: dict, part: str, x: torch.Tensor, seen: Seen) -> torch.Tensor:
    """The shares of the chosen add up to one. Tokens are gathered by expert; x (tokens, width)."""
    count, used = c["num_experts"], c["num_experts_per_tok"]
    scores = F.linear(x, w[part + "gate.weight"]).softmax(-1)
    shares, chosen = scores.topk(used)
    shares = shares / shares.sum(-1, keepdim=True)
    order = chosen.flatten().argsort(stable=True)
    loads = chosen.flatten().bincount(minlength=count)
    rows = order // used
    stacks = [w[f"{part}experts.{name}_proj.weight"].unbind() for name in ("gate", "up", "down")]
    outs = []
    for h, gate, up, down in zip(x[rows].split(loads.tolist()), *stacks):
        outs.append(F.linear(F.silu(F.linear(h, gate)) * F.linear(h, up), down))
    y = torch.cat(outs) * shares.flatten()[order, None]
    # Of the Switch Transformer (arXiv 2101.03961): least where all experts have the same work.
    seen.balance.append(count * (scores.mean(0) * loads / loads.sum()).sum())
    seen.chosen.append(chosen)
    return torch.zeros_like(x).index_add(0, rows, y)
