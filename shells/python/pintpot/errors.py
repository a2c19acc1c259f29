"""What can go wrong, as exceptions with their facts as fields."""

import json
from typing import Any, Dict, Optional


class Error(Exception):
    """Something that pintpot could not do. `exit_code` is what the program would have ended with."""

    exit_code = 1


class Failure(Error):
    """It did not work."""


class UsageError(Error, ValueError):
    """What was asked for cannot be."""

    exit_code = 2


class PromptTooLong(UsageError):
    """The prompt does not fit the context."""

    tokens: int
    context: int


class OverBudget(Error, MemoryError):
    """The budget has no room for it."""

    exit_code = 3


class Refused(OverBudget):
    """The budget is too small for the model; nothing was loaded.

    `needed` is the smallest budget that works, `budget` the one that there is, both in bytes; `lines` is what the
    smallest one is made of, in bytes by part; `context` is the number of tokens that this is said of.
    """

    needed: int
    budget: int
    lines: Dict[str, int]
    context: int


class Missing(Error, LookupError):
    """The model is not on this machine, or is of a kind that pintpot does not run."""

    exit_code = 4


class Damaged(Error, OSError):
    """A file is damaged, or cannot be read or written."""

    exit_code = 5


class NetworkError(Error, ConnectionError):
    """A model could not be fetched."""

    exit_code = 6


class QueueFull(Error):
    """As many requests wait as may: `most`."""

    most: int


def make(kind: str, message: str, facts: Optional[str]) -> Error:
    """The exception of that name. The library calls this."""
    error: Error = globals()[kind](message)
    fields: Dict[str, Any] = json.loads(facts or "{}")
    if kind == "Refused":
        fields = {
            "needed": fields["smallest_budget_bytes"],
            "budget": fields["budget_bytes"],
            "lines": fields["ledger"],
            "context": fields["context"],
        }
    for name, value in fields.items():
        setattr(error, name, value)
    return error
