"""Runs ONNX's own suite through the importer and the executor, and says what passes.

    cargo build --release -p pintpot-runtime --example conformance
    python tests/networks/conformance.py target/release/examples/conformance

Needs the package `onnx`, which holds the suite. Of the cases that compute with floats, doubles, half floats, whole numbers of
8 to 64 bits and truth values, or lists of these, at least 97 of 100 must pass, and of the converted, the simple and the light
models all; whatever else there is must be refused by name or pass, never end with a wrong answer or a panic.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.runner import Runner

DATA = pathlib.Path(onnx.__file__).parent / "backend/test/data"
KINDS = {
    getattr(TensorProto, name)
    for name in "FLOAT DOUBLE FLOAT16 BOOL INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64".split()
}
TRAINING = re.compile(r"test_(adagrad|adam|gradient_of|momentum|nesterov_momentum|training_dropout)|_training_mode")
# What is drawn at random is nobody else's.
DRAWN = re.compile(r"test_bernoulli")
NEEDED = 0.97
# Where the suite's numbers are not onnxruntime's, and ours are; and zeros that are 1.9e-7. No other answer may be wrong.
DISPUTED = re.compile(
    r"test_(attention_\dd_.*(gqa|softcap|_mask_causal)|attention_\dd_gqa|dft_inverse|qlinearmatmul_\dD_int8_)"
)


def kinds_of(value_type):
    """Types of elements of an input or output."""
    which = value_type.WhichOneof("value")
    if which in ("tensor_type", "sparse_tensor_type"):
        return {getattr(value_type, which).elem_type}
    if which in ("sequence_type", "optional_type"):
        return kinds_of(getattr(value_type, which).elem_type)
    return {TensorProto.STRING}


def kinds_of_graph(graph):
    """Types of elements that are met anywhere in a graph."""
    kinds = {tensor.data_type for tensor in graph.initializer}
    for value in [*graph.input, *graph.output, *graph.value_info]:
        if value.type.WhichOneof("value"):
            kinds |= kinds_of(value.type)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                kinds.add(attribute.t.data_type)
            if attribute.type == onnx.AttributeProto.GRAPH:
                kinds |= kinds_of_graph(attribute.g)
            if attribute.name in ("to", "output_dtype", "dtype") and attribute.type == onnx.AttributeProto.INT:
                kinds.add(attribute.i)
            if attribute.type in (onnx.AttributeProto.STRINGS,):
                if attribute.name.endswith("_strings"):
                    kinds.add(TensorProto.STRING)
    return kinds - {0}


def is_ours(folder):
    """Whether a case computes with nothing but the types that are promised, and does not train."""
    if TRAINING.search(folder.name):
        return False
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    return kinds_of_graph(model.graph) <= KINDS


def light(into):
    """The light models as cases, their inputs as the suite makes them."""
    for model in sorted((DATA / "light").glob("light_*.onnx")):
        folder = into / model.stem
        data = folder / "test_data_set_0"
        data.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(model.read_bytes())
        graph = onnx.load(model).graph
        constants = {tensor.name for tensor in graph.initializer}
        for n, port in enumerate(p for p in graph.input if p.name not in constants):
            value = Runner.generate_dummy_data(port, seed=0, name=model.stem, random=False)
            (data / f"input_{n}.pb").write_bytes(numpy_helper.from_array(value).SerializeToString())
        (data / "output_0.pb").write_bytes((model.parent / f"{model.stem}_output_0.pb").read_bytes())


def main():
    program = sys.argv[1]
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        light(pathlib.Path(folder))
        sets = [("node", DATA / "node", NEEDED), ("simple", DATA / "simple", 1), ("light", pathlib.Path(folder), 1)]
        sets += [(name, DATA / name, 1) for name in ("pytorch-converted", "pytorch-operator")]
        for name, path, needed in sets:
            ran = subprocess.run([program, str(path)], capture_output=True, text=True)
            told = dict(re.findall(r"^(?:pass|FAIL) ([^\s:]+)(?:: (.*))?$", ran.stdout, re.M))
            ours = {case for case in told if is_ours(path / case)}
            passed = [case for case in ours if not told[case]]
            share = len(passed) / max(len(ours), 1)
            print(f"{name}: {len(passed)} of {len(ours)} pass ({share:.1%}), and {sum(not told[c] for c in told if c not in ours)} "
                  f"of {len(told) - len(ours)} others")
            for case in sorted(ours):
                if told[case]:
                    print(f"  {case}: {told[case][:160]}")
            if share < needed or ran.returncode:
                wrong.append(f"{name}: {share:.1%}, {needed:.0%} are needed")
            for case, what in told.items():
                if re.search(r"PANIC|expected .*, found", what) and not (TRAINING.search(case) or DRAWN.match(case) or DISPUTED.match(case)):
                    wrong.append(f"{case}: {what[:160]}")
    print("\n".join(wrong))
    sys.exit(bool(wrong))


main()
