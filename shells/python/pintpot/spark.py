"""Batch inference in Spark: a function for `DataFrame.mapInPandas`, with one engine and one budget in every Python worker.

>>> from pintpot.spark import answers
>>> frame = spark.createDataFrame([("Say hello.",), ("Say goodbye.",)], "prompt string")
>>> frame.mapInPandas(answers("smollm2", memory="128MiB", max_tokens=16), "prompt string, answer string").show()

Spark starts a Python worker for each core that an executor uses, so an executor's memory must hold that many budgets, and
`spark.executor.memoryOverhead` is where they count. Importing this module does not need Spark.
"""

from typing import Any, Callable, Iterator

__all__ = ["answers"]


def answers(
    model: str, *, memory: str, prompt: str = "prompt", answer: str = "answer", **options: Any
) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """A function that adds a column of answers to frames of pandas; `options` are those of `pintpot.ray.Worker`."""

    def add(frames: Iterator[Any]) -> Iterator[Any]:
        from .ray import Worker

        worker = Worker(model, memory, prompt=prompt, answer=answer, **options)
        try:
            for frame in frames:
                columns = worker({prompt: frame[prompt].tolist()})
                yield frame.assign(**{answer: columns[answer]})
        finally:
            worker.model.close()

    return add
