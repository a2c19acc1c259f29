"""Encoders of texts and networks, with NumPy's arrays in and out.

NumPy is not needed to import this, only to call what takes or gives arrays.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from . import _pintpot
from .errors import UsageError

if TYPE_CHECKING:
    import numpy

#: Texts that are worked on between two looks at Ctrl-C.
_TOGETHER = 64


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise ImportError("arrays are NumPy's, which is not installed: pip install numpy") from error
    return numpy


class Encoder:
    """An encoder of texts in memory: `embed` makes vectors of them, or `rerank` scores, whichever it was made for.

    Threads may ask it at the same time, and are answered one after the other.
    """

    def __init__(self, inner: "_pintpot.Encoder") -> None:
        self._inner = inner

    @property
    def dimensions(self) -> Optional[int]:
        """Numbers of a vector; `None` if it gives scores."""
        return self._inner.dimensions

    @property
    def longest(self) -> int:
        """Tokens that a text may have; longer ones are cut."""
        return self._inner.longest

    @property
    def lines(self) -> Dict[str, int]:
        """What it takes, in bytes by part of the account."""
        return dict(self._inner.lines)

    def embed(self, texts: Union[str, Sequence[str]]) -> "numpy.ndarray[Any, Any]":
        """The vectors of texts, float32 of [texts, dimensions]; of a single text, which is no list, its vector."""
        numpy = _numpy()
        several = [texts] if isinstance(texts, str) else list(texts)
        vectors = numpy.empty((len(several), self.dimensions or 0), numpy.float32)
        for start in range(0, len(several), _TOGETHER):
            some = several[start : start + _TOGETHER]
            made = numpy.frombuffer(self._inner.embed(some), numpy.float32)
            vectors[start : start + len(some)] = made.reshape(len(some), -1)
        return vectors[0] if isinstance(texts, str) else vectors

    def rerank(self, query: str, texts: Sequence[str]) -> "numpy.ndarray[Any, Any]":
        """How well each text answers the query, float32 of [texts], in their order; more is better."""
        numpy = _numpy()
        if isinstance(texts, str):
            raise UsageError("texts is a single text; rerank scores a list of them")
        several = list(texts)
        scores = numpy.empty(len(several), numpy.float32)
        for start in range(0, len(several), _TOGETHER):
            some = several[start : start + _TOGETHER]
            scores[start : start + len(some)] = numpy.frombuffer(self._inner.rerank(query, some), numpy.float32)
        return scores

    def close(self) -> None:
        """Gives the memory back at once."""
        self._inner.close()

    def __enter__(self) -> "Encoder":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


@dataclass(frozen=True)
class Port:
    """An input or an output of a network."""

    name: str
    #: NumPy's name of its kind of elements, such as "float32".
    dtype: str
    #: Its extents; of an output whose extents only a run can tell, the most.
    shape: Tuple[int, ...]


class Network:
    """A network in memory, in ONNX or TFLite, built for arrays of the kinds that `inputs` says.

    Threads may run it at the same time, and are answered one after the other.
    """

    def __init__(self, inner: "_pintpot.Network") -> None:
        self._inner = inner

    @property
    def inputs(self) -> List[Port]:
        """What it takes."""
        return [_port(port) for port in self._inner.inputs]

    @property
    def outputs(self) -> List[Port]:
        """What it gives."""
        return [_port(port) for port in self._inner.outputs]

    @property
    def lines(self) -> Dict[str, int]:
        """What it takes, in bytes by part of the account."""
        return dict(self._inner.lines)

    def run(self, inputs: Mapping[str, Any]) -> "Dict[str, numpy.ndarray[Any, Any]]":
        """Runs it on arrays by name, and gives those that come out, by name.

        Arrays must be of the kind that the network was built for; numbers and lists are made arrays of it.
        """
        numpy = _numpy()
        kinds = {name: kind for name, kind, _ in self._inner.inputs}
        given = [_given(numpy, name, array, kinds.get(name)) for name, array in inputs.items()]
        outputs = {}
        for (name, kind, extents), elements in self._inner.run(given):
            outputs[name] = numpy.frombuffer(elements, kind).reshape(extents)
        return outputs

    def reset(self) -> None:
        """Forgets what was carried from run to run: the next one is as the first."""
        self._inner.reset()

    def close(self) -> None:
        """Gives the memory back at once."""
        self._inner.close()

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


#: The names that people know these kinds by.
_NAMES = {"b1": "bool", "f": "float", "i": "int", "u": "uint"}


def _port(port: Tuple[str, str, List[int]]) -> Port:
    name, kind, extents = port
    dtype = _NAMES.get(kind) or f"{_NAMES[kind[0]]}{8 * int(kind[1:])}"
    return Port(name, dtype, tuple(extents))


def _given(numpy: Any, name: str, array: Any, kind: Optional[str]) -> Dict[str, Any]:
    """An array as the library takes it: without gaps, rows first, in this machine's order of bytes."""
    if not isinstance(array, numpy.ndarray) and not isinstance(array, numpy.generic):
        array = numpy.asarray(array, kind)
    array = numpy.asarray(array, array.dtype.newbyteorder("="))
    return {
        "name": name,
        "kind": f"{array.dtype.kind}{array.dtype.itemsize}",
        "extents": list(array.shape),
        "bytes": array.tobytes(),
    }


def wanted(inputs: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """What is said of inputs when a network is loaded: an array, or its extents alone as a tuple."""
    given = []
    for name, what in inputs.items():
        if isinstance(what, (tuple, list)) and all(isinstance(extent, int) for extent in what):
            given.append({"name": name, "kind": None, "extents": list(what), "bytes": None})
        else:
            given.append(_given(_numpy(), name, what, None))
    return given
