"""What a model's routers choose, how near they come to a tie, and a text for which they do not.

A gap is the distance from the last chosen expert, or group of experts, to the first that is not, in router logits. A
choice among sigmoids is measured times four, for the slope of a sigmoid is a quarter at most.
"""

import numpy as np
import torch
from transformers import DynamicCache

GAP = 0.4  # What a text keeps clear of; the routers of these models have logits of about 2.


def routers(model: torch.nn.Module) -> list[torch.nn.Module]:
    return [m for m in model.modules() if type(m).__name__.lower().endswith("topkrouter")]


@torch.no_grad()
def choices(
    model: torch.nn.Module, ids: list[int], past: DynamicCache | None = None
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Of each router: its logits (tokens, experts), and whom it chose (tokens, used). The past grows."""
    seen, hooks = [], []
    for router in routers(model):
        hooks.append(router.register_forward_hook(lambda _, __, out: seen.append((out[0], out[2]))))
    model(torch.tensor([ids]), past_key_values=past, use_cache=past is not None)
    for hook in hooks:
        hook.remove()
    return seen


def last_in(scores: torch.Tensor, count: int) -> torch.Tensor:
    """From the last of the `count` best to the next, in each row; endless where there is no next."""
    best = scores.sort(dim=-1, descending=True).values
    return best[:, count - 1] - best[:, count] if count < scores.shape[1] else torch.full(scores.shape[:1], torch.inf)


def gaps(router: torch.nn.Module, logits: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The gap at every token."""
    used, scores, nearest = chosen.shape[1], logits, torch.full(logits.shape[:1], torch.inf)
    judged_by = 1 if getattr(router, "topk_method", None) == "group_limited_greedy" else 0
    if (shift := getattr(router, "e_score_correction_bias", None)) is not None:
        scores, judged_by = 4 * (logits.sigmoid() + shift), 2
    if judged_by > 0:
        groups = scores.view(len(scores), router.num_group, -1)
        totals = groups.topk(judged_by).values.sum(-1)
        nearest = last_in(totals, router.topk_group)
        keep = totals.argsort(dim=-1, descending=True)[:, : router.topk_group]
        kept = torch.zeros_like(totals, dtype=torch.bool).scatter(1, keep, True)
        scores = groups.masked_fill(~kept[..., None], -torch.inf).view_as(scores)
    assert (scores.topk(used).indices.sort().values == chosen.sort().values).all()
    return torch.minimum(nearest, last_in(scores, used))


def nearest(model: torch.nn.Module, ids: list[int], past: DynamicCache | None = None) -> float:
    """The smallest gap of all routers at all these tokens."""
    found = zip(routers(model), choices(model, ids, past))
    return min(float(gaps(router, *choice).min()) for router, choice in found)


def decisive(model: torch.nn.Module, ids: list[int], rng: np.random.Generator, low: int, high: int) -> list[int]:
    """The text with other tokens, from `low` to below `high`, wherever a router would be near a tie."""
    ids, past = list(ids), DynamicCache()
    for i in range(len(ids)):
        while nearest(model, ids[i : i + 1], past) < GAP:
            past.crop(-1)
            ids[i] = int(rng.integers(low, high))
    return ids


def report(model: torch.nn.Module, ids: list[int]) -> str:
    """How near a tie the text comes, after a look that every expert has work and every choice is clear."""
    least = nearest(model, ids)
    assert least > 0.99 * GAP, least
    counts = [chosen.flatten().bincount(minlength=logits.shape[1]) for logits, chosen in choices(model, ids)]
    assert all((count > 0).all() for count in counts), counts
    return f", smallest gap {least:.2f}, an expert has {min(int(c.min()) for c in counts)} tokens or more"
