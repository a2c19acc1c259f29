"""pintpot runs neural networks in the memory you give it.

>>> import pintpot
>>> engine = pintpot.Engine(memory="64MiB")
>>> model = engine.load("smollm2")
>>> for piece in model.chat([{"role": "user", "content": "What is the capital of France?"}]):
...     print(piece, end="", flush=True)
"""

import asyncio
import concurrent.futures
import json
import os
from collections import deque
from dataclasses import dataclass
from typing import Any, AsyncIterator, Dict, Generator, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from . import _pintpot
from ._pintpot import __version__
from .arrays import Encoder, Network, Port, wanted
from .errors import (
    Damaged,
    Error,
    Failure,
    Missing,
    NetworkError,
    OverBudget,
    PromptTooLong,
    QueueFull,
    Refused,
    UsageError,
)

__all__ = [
    "Answer",
    "Call",
    "Completion",
    "Damaged",
    "Encoder",
    "Engine",
    "Error",
    "Failure",
    "Missing",
    "Model",
    "Network",
    "NetworkError",
    "OverBudget",
    "Port",
    "PromptTooLong",
    "QueueFull",
    "Refused",
    "Token",
    "UsageError",
    "__version__",
    "find",
    "pull",
]

Messages = Sequence[Dict[str, Any]]
Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Call:
    """A call of a tool that an answer makes."""

    name: str
    #: A dictionary, or the text that the model wrote if that is no JSON.
    arguments: Any


@dataclass(frozen=True)
class Token:
    """A token of an answer, and how likely it was."""

    id: int
    #: What it stands for; not always whole characters.
    bytes: bytes
    #: The natural logarithm of its probability, by the model itself: before temperature and all else.
    logprob: float
    #: The likeliest at its place, the likeliest first.
    top: "List[Token]"


@dataclass(frozen=True)
class Completion:
    """An answer that has come to its end."""

    text: str
    #: Its tokens, without the one that ended it.
    ids: List[int]
    #: Why it ended: "stop", "length", "cancelled" or "time".
    finish: str
    #: The text of `stop` that ended it, if one did.
    stop: Optional[str]
    #: Fingerprint of the logits: the same at every budget, on every machine.
    logits_digest: str
    prompt_tokens: int
    #: Tokens of the prompt that were remembered from before.
    cached_tokens: int
    answer_tokens: int
    queue_seconds: float
    prompt_seconds: float
    answer_seconds: float
    prompt_tokens_per_second: float
    #: `None` of an answer of one token.
    tokens_per_second: Optional[float]
    #: Calls of tools, if there were tools; they are not in the text.
    calls: List[Call]
    #: How likely its tokens were, if `logprobs` was given.
    logprobs: List[Token]


class Answer:
    """An answer as it comes: iterate over its pieces, with `for` or `async for`, or wait for all of it.

    Answers are given whether they are listened to or not; `cancel()`, or letting go of this object, ends one.
    """

    def __init__(self, inner: "_pintpot.Answer") -> None:
        self._inner = inner
        self._waiter: Optional[concurrent.futures.ThreadPoolExecutor] = None
        self._ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        piece = self._next()
        if piece is None:
            raise StopIteration
        return piece

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        if self._waiter is None:
            self._waiter = concurrent.futures.ThreadPoolExecutor(1, "pintpot-answer")
        try:
            piece = await asyncio.get_running_loop().run_in_executor(self._waiter, self._next)
        except asyncio.CancelledError:
            self.cancel()
            raise
        if piece is None:
            self._waiter.shutdown(wait=False)
            raise StopAsyncIteration
        return piece

    def __await__(self) -> Generator[Any, None, Completion]:
        async def whole() -> Completion:
            async for _ in self:
                pass
            return self.completion()

        return whole().__await__()

    def _next(self) -> Optional[str]:
        if self._ended:
            return None
        piece = self._inner.next()
        self._ended = piece is None
        return piece

    def completion(self) -> Completion:
        """The whole answer; waits for its end."""
        while self._next() is not None:
            pass
        whole = self._inner.whole()
        if whole is None:
            raise Failure("the answer ended early: its model was closed")
        fields = json.loads(whole)
        fields["calls"] = [Call(call["name"], _parsed(call["arguments"])) for call in fields["calls"]]
        fields["logprobs"] = [_token(token) for token in fields["logprobs"]]
        return Completion(**fields)

    def text(self) -> str:
        """The text of the whole answer; waits for its end."""
        return self.completion().text

    def cancel(self) -> None:
        """Ends the answer before its next token; what was said stays."""
        self._inner.cancel()


class Model:
    """A model in memory. Threads and tasks may ask it at the same time."""

    def __init__(self, inner: "_pintpot.Model", parallel: int) -> None:
        self._inner = inner
        self._parallel = parallel

    @property
    def context(self) -> int:
        """Tokens that a prompt and its answer may have."""
        return self._inner.context

    @property
    def plan(self) -> Dict[str, Any]:
        """Where everything lies, as `Engine.plan` gives it."""
        return json.loads(self._inner.plan)

    def generate(
        self,
        prompt: Union[str, Sequence[int]],
        *,
        max_tokens: Optional[int] = None,
        temperature: float = 0.0,
        top_k: int = 40,
        top_p: float = 0.95,
        min_p: float = 0.05,
        repetition_penalty: float = 1.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        seed: int = 0,
        stop: Union[str, Sequence[str]] = (),
        json_schema: Union[None, str, Dict[str, Any]] = None,
        regex: Optional[str] = None,
        grammar: Optional[str] = None,
        logprobs: Optional[int] = None,
    ) -> Answer:
        """Goes on with a text, or with ids of tokens.

        A `temperature` of 0 takes the likeliest token. `stop` are texts that end the answer. `json_schema`, `regex` or
        `grammar` (GBNF, or Lark as llguidance has it) say what the answer may be, one of them at most. With
        `logprobs` the completion tells how likely each token was, and so many of the likeliest at its place.
        """
        given = [name for name in (json_schema, regex, grammar) if name is not None]
        if len(given) > 1:
            raise UsageError("json_schema, regex and grammar do not go together")
        wanted = {
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "repetition_penalty": repetition_penalty,
            "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty,
            "seed": seed,
            "stop": [stop] if isinstance(stop, str) else list(stop),
            "json_schema": json.dumps(json_schema) if isinstance(json_schema, dict) else json_schema,
            "regex": regex,
            "grammar": grammar,
            "logprobs": logprobs,
        }
        asked = prompt if isinstance(prompt, (str, dict)) else [int(token) for token in prompt]
        return Answer(self._inner.ask(asked, wanted))

    def chat(
        self, messages: Messages, *, tools: Sequence[Dict[str, Any]] = (), tool_choice: str = "auto", **options: Any
    ) -> Answer:
        """Answers a conversation, `[{"role": "user", "content": "Hello"}]`; other options are those of `generate`.

        `tools` are functions that the model may call, as OpenAI has them: `{"type": "function", "function": {"name": ...,
        "description": ..., "parameters": SCHEMA}}`. `tool_choice` is "auto", "none", "required", or the name of the one
        that must be called. Calls are in the completion.
        """
        asked = {
            "turns": json.dumps([{"role": turn["role"], **turn} for turn in messages]),
            "tools": [_tool(tool) for tool in tools],
            "choice": tool_choice,
        }
        if tool_choice not in ("auto", "none") and not tools:
            raise UsageError("there are no tools to choose from")
        return self.generate(asked, **options)  # type: ignore[arg-type]

    def map(self, prompts: Iterable[Union[str, Sequence[int], Messages]], **options: Any) -> Iterator[Completion]:
        """Answers many prompts or conversations, in their order; as many at once as the model was loaded for.

        What is a list of dictionaries is a conversation. Options are those of `generate`.
        """
        running: "deque[Answer]" = deque()
        for prompt in prompts:
            is_chat = not isinstance(prompt, str) and len(prompt) > 0 and isinstance(prompt[0], dict)
            if len(running) >= 2 * self._parallel:
                yield running.popleft().completion()
            running.append(self.chat(prompt, **options) if is_chat else self.generate(prompt, **options))  # type: ignore[arg-type]
        while running:
            yield running.popleft().completion()

    def close(self) -> None:
        """Ends all answers, and gives the memory back at once."""
        self._inner.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Engine:
    """A budget, and the account of it. Models are planned and loaded in it.

    `memory` is "2GiB", "1.5G", "800MiB", "50%", a number of bytes, or "auto", what the machine can spare. It covers all that
    the engine holds; the rest of the process is `host_bytes()`. `threads` is how many compute, all cores if not said.
    """

    def __init__(self, memory: Union[str, int] = "auto", *, threads: Optional[int] = None) -> None:
        self._inner = _pintpot.Engine(str(memory), threads)

    def load(
        self, model: Path, *, context: Optional[int] = None, kv: str = "f16", parallel: int = 1, queue: int = 64
    ) -> Model:
        """Loads a model: a path, or a name of one that `pull` has fetched.

        `context` is how many tokens a prompt and its answer may have; `kv` how keys and values are kept, "f16" or "q8_0";
        `parallel` how many answers share a step; `queue` how many requests may wait.

        Raises `Refused` before a weight is read if the budget is too small.
        """
        queue = max(queue, 2 * parallel)
        return Model(self._inner.load(os.fspath(model), _load(context, kv, parallel, queue)), parallel)

    def plan(
        self, model: Path, *, context: Optional[int] = None, kv: str = "f16", parallel: int = 1, queue: int = 64
    ) -> Dict[str, Any]:
        """What `load` would do, before a weight is read: bytes by part, a forecast of the speed and what bounds it.

        Raises `Refused` if the budget is too small; its `needed` would do.
        """
        queue = max(queue, 2 * parallel)
        return json.loads(self._inner.plan(os.fspath(model), _load(context, kv, parallel, queue)))

    def encoder(
        self,
        model: Path,
        *,
        tokenizer: Optional[Path] = None,
        longest: Optional[int] = None,
        pooling: Optional[str] = None,
        normalize: bool = True,
    ) -> Encoder:
        """Loads an encoder of texts: a folder with `model.safetensors` and its settings, or a network in ONNX.

        `tokenizer` is where its vocabulary is, if not beside it; `longest` how many tokens a text may have; `pooling` how
        vectors of tokens become one ("cls", "last", "max", "mean", "network"), if its files do not say; `normalize` makes
        vectors one long.

        Raises `Refused` before a weight is read if the budget is too small.
        """
        how = {
            "tokenizer": None if tokenizer is None else os.fspath(tokenizer),
            "longest": longest,
            "pooling": pooling,
            "normalize": normalize,
        }
        return Encoder(_pintpot.Encoder(self._inner, os.fspath(model), how))

    def network(self, model: Path, inputs: Optional[Mapping[str, Any]] = None, *, carry: Optional[Mapping[str, str]] = None) -> Network:
        """Loads a network in ONNX or TFLite, built for its inputs.

        `inputs` says of those that the file leaves open what they will be: extents, as a tuple, or an array where its
        numbers matter. `carry` makes outputs states: what a run gives there by this name the next one is given as the
        input of that name.

        Raises `Refused` before a weight is read if the budget is too small.
        """
        carried = list((carry or {}).items())
        return Network(_pintpot.Network(self._inner, os.fspath(model), wanted(inputs or {}), carried))

    @property
    def budget(self) -> int:
        """The budget in bytes."""
        return self._inner.budget

    @property
    def used(self) -> int:
        """Bytes that are held now."""
        return self._inner.used

    @property
    def peak(self) -> int:
        """The most bytes that were held at once."""
        return self._inner.peak

    @property
    def threads(self) -> int:
        """Threads that compute."""
        return self._inner.threads

    @property
    def isa(self) -> str:
        """The instruction set of the kernels in use."""
        return self._inner.isa

    def ledger(self) -> Dict[str, int]:
        """The account: bytes by part."""
        return dict(self._inner.ledger())

    def host_bytes(self) -> int:
        """Bytes of this process in memory beyond those of the account."""
        return self._inner.host_bytes()


def _tool(tool: Dict[str, Any]) -> Tuple[str, str, Optional[str]]:
    """The name of a tool, the whole of it, and the schema of its arguments."""
    function = tool.get("function") if tool.get("type", "function") == "function" else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise UsageError('a tool is {"type": "function", "function": {"name": ..., "parameters": SCHEMA}}')
    parameters = function.get("parameters")
    text = json.dumps({"type": "function", "function": function})
    return function["name"], text, None if parameters is None else json.dumps(parameters)


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def _token(token: Dict[str, Any]) -> Token:
    top = [_token(other) for other in token.get("top", ())]
    return Token(token["id"], bytes(token["bytes"]), token["logprob"], top)


def _load(context: Optional[int], kv: str, parallel: int, queue: int) -> Dict[str, Any]:
    return {"context": context, "kv": kv, "parallel": parallel, "queue": queue}


def find(model: str) -> str:
    """Where a model is that was fetched."""
    return os.fspath(_pintpot.find(model))


def pull(model: str) -> str:
    """Fetches a model, if it is not here, and gives where it is. What that takes is outside of any budget."""
    return os.fspath(_pintpot.pull(model))
