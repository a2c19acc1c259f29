"""Batch inference over a Ray dataset: one engine with one budget in every worker.

>>> import pintpot.ray, ray.data
>>> rows = ray.data.from_items([{"prompt": "Say hello."}, {"prompt": "Say goodbye."}])
>>> answers = pintpot.ray.map_batches(rows, "smollm2", memory="128MiB", workers=2, max_tokens=16)
>>> answers.take_all()

Importing this module does not need Ray; `map_batches` works on the dataset that it is given.
"""

from typing import Any, Dict, Optional

from . import Engine

__all__ = ["Worker", "map_batches"]


class Worker:
    """Answers batches of rows. Ray makes one for each of its workers; anything else that maps batches may, too.

    A batch is a dictionary of columns. `prompt` is the name of the column of prompts, or of conversations; the answers, their
    ends and their digests become the columns `answer`, `answer_finish` and `answer_digest`, or whatever `answer` is.
    """

    def __init__(
        self,
        model: str,
        memory: str = "auto",
        *,
        threads: Optional[int] = None,
        context: Optional[int] = None,
        kv: str = "f16",
        parallel: int = 8,
        prompt: str = "prompt",
        answer: str = "answer",
        chat: bool = True,
        **options: Any,
    ) -> None:
        self.engine = Engine(memory, threads=threads)
        self.model = self.engine.load(model, context=context, kv=kv, parallel=parallel)
        self.prompt, self.answer, self.chat, self.options = prompt, answer, chat, options

    def __call__(self, batch: Dict[str, Any]) -> Dict[str, Any]:
        answers = list(self.model.map((self._asked(asked) for asked in batch[self.prompt]), **self.options))
        columns = {
            "": [answer.text for answer in answers],
            "_finish": [answer.finish for answer in answers],
            "_digest": [answer.logits_digest for answer in answers],
        }
        return {**batch, **{self.answer + name: column for name, column in columns.items()}}

    def _asked(self, asked: Any) -> Any:
        if not isinstance(asked, str):
            return [dict(turn) for turn in asked]
        return [{"role": "user", "content": asked}] if self.chat else asked


def map_batches(
    dataset: Any, model: str, *, memory: str, workers: int = 1, batch_size: int = 64, threads: int = 1, **options: Any
) -> Any:
    """The dataset with a column of answers: `workers` engines, each with a budget of `memory` and `threads` of the machine.

    `options` are those of `Worker`. What Ray itself takes is not in the budgets.
    """
    arguments = {"model": model, "memory": memory, "threads": threads, **options}
    actors = _actors(workers)
    return dataset.map_batches(
        Worker, fn_constructor_kwargs=arguments, batch_size=batch_size, num_cpus=threads, **actors
    )


def _actors(workers: int) -> Dict[str, Any]:
    """How many workers there are, in the words of the Ray that is here."""
    import ray.data

    strategy = getattr(ray.data, "ActorPoolStrategy", None)
    return {"concurrency": workers} if strategy is None else {"compute": strategy(size=workers)}
