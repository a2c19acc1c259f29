"""Runs networks through pintpot and onnxruntime on the same arrays and says how far apart the outputs are.

    python tests/networks/against.py target/release/pintpot FOLDER_OR_FILE... [--shape name=1x3x224x224 ...]

Apart is the largest difference by the largest number of an output. Where that is more than 1e-4 onnxruntime is run again: with its
graph as it was written, with half of its optimisations, and with the last bit of every weight moved. Networks may be as far from it
as it is from itself, and a little: where numbers are rounded to whole ones as a network runs, one that lies between two goes
either way, and all behind it follows.
Dimensions that a network leaves open are 1, or what --shape or the tables below say.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy
import onnx
import onnx.numpy_helper
import onnxruntime

APART = 1e-4
# Such a network may be so many times as far apart as onnxruntime's own runs.
ROOM = 1.5
JOLTS = 4
# The step in which onnxruntime's sigmoid counts, whose polynomial is added to a half.
STEP = 2.0**-24
OPEN = {"sequence": 32, "seq": 32, "length": 32, "phonemes": 32, "height": 96, "width": 320, "samples": 16000}
# By the beginnings of names of files and of inputs: what a network leaves open and does not take one of.
SHAPES = [
    ("ch_PP-OCRv4_det", {"x": [1, 3, 224, 224]}),
    ("ch_PP-OCRv4_rec", {"x": [1, 3, 48, 320]}),
    ("ch_ppocr_mobile_v2.0_cls", {"x": [1, 3, 48, 192]}),
    ("ppocrv5_cls", {"x": [1, 3, 80, 160]}),
    ("ppocrv5_det", {"x": [1, 3, 224, 224]}),
    ("ppocrv5_rec", {"x": [1, 3, 48, 320]}),
    ("silero_vad_16k_sequence", {"input": [1, 576], "h": [1, 1, 128], "c": [1, 1, 128]}),
    ("silero_vad_openvino", {"input": [1, 576]}),
    ("silero_vad", {"input": [1, 512], "state": [2, 1, 128], "h": [2, 1, 64], "c": [2, 1, 64]}),
]
# What is run by a task, in parts: see tests/speech/make_speak.py.
IN_PARTS = ("en_US-joe",)
TYPES = {
    "tensor(float)": "f4", "tensor(double)": "f8", "tensor(float16)": "f2", "tensor(int64)": "i8", "tensor(int32)": "i4",
    "tensor(bool)": "?", "tensor(uint8)": "u1", "tensor(int8)": "i1",
}
LEVELS = onnxruntime.GraphOptimizationLevel


def session(file, level=LEVELS.ORT_ENABLE_ALL):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(file if isinstance(file, bytes) else str(file), options, providers=["CPUExecutionProvider"])


def jolted(file, seed):
    """The network with weights that are a last bit larger or smaller."""
    model, rng = onnx.load(file), numpy.random.default_rng(seed)
    for tensor in model.graph.initializer:
        # Few numbers are no weights but factors of a size.
        if tensor.data_type == onnx.TensorProto.FLOAT and numpy.prod(tensor.dims) > 16:
            weights = onnx.numpy_helper.to_array(tensor)
            way = numpy.where(rng.random(weights.shape) < 0.5, -numpy.inf, numpy.inf).astype("f4")
            tensor.CopyFrom(onnx.numpy_helper.from_array(numpy.nextafter(weights, way), tensor.name))
    return model.SerializeToString()


def fed(port, shapes, rng):
    shape = shapes.get(port.name)
    if shape is None:
        shape = [d if isinstance(d, int) else next((n for key, n in OPEN.items() if key in str(d).lower()), 1)
                 for d in port.shape]
    kind = TYPES[port.type]
    if kind == "?":
        return rng.integers(0, 2, shape).astype("?")
    if kind[0] in "iu":
        name = port.name.lower()
        if name == "sr":
            return numpy.array(16000, kind).reshape(shape)
        if "mask" in name:
            return numpy.ones(shape, kind)
        if "length" in name:
            return numpy.full(shape, 32, kind)
        return rng.integers(0, 1 if "type" in name or name == "sid" else 100, shape).astype(kind)
    numbers = rng.standard_normal(shape).astype(kind)
    # How much noise there is has no sign.
    return numpy.abs(numbers) if port.name == "sigma" else numbers


def far(found, reference, name):
    """How far apart two outputs are, by the largest number."""
    if found.shape != reference.shape or found.dtype != reference.dtype:
        print(f"  {name}: {found.dtype}{found.shape}, expected {reference.dtype}{reference.shape}")
        return numpy.inf
    if not reference.size:
        return 0.0
    a, b = found.astype("f8"), reference.astype("f8")
    apart = float(max(numpy.abs(a - b).max() - STEP, 0) / max(numpy.abs(b).max(), 1e-6))
    return apart if numpy.isfinite(apart) else numpy.inf


def compare(program, file, shapes):
    """A line of what was found, and whether that is right."""
    rng = numpy.random.default_rng(7)
    try:
        own = session(file)
        feeds = {port.name: fed(port, shapes, rng) for port in own.get_inputs()}
        expected = own.run(None, feeds)
    except Exception as error:  # noqa: BLE001
        return f"onnxruntime: {str(error)[:200]}", False
    names = [port.name for port in own.get_outputs()]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        words = [program, "run", str(file), "--out-dir", str(folder / "out"), "--json"]
        for name, array in feeds.items():
            numpy.save(folder / f"{len(words)}.npy", array)
            words += ["--input", f"{name}={folder / f'{len(words)}.npy'}"]
        ran = subprocess.run(words, capture_output=True, text=True)
        if ran.returncode:
            return ran.stderr.strip()[:300], False
        seconds = json.loads(ran.stdout)["seconds"]
        ours = [numpy.load(folder / "out" / (name.replace("/", "_") + ".npy")) for name in names]
    start = time.perf_counter()
    own.run(None, feeds)
    theirs = time.perf_counter() - start
    worst = max(map(far, ours, expected, names))
    line = f"apart {worst:.2e}; {seconds * 1e3:.1f} ms beside {theirs * 1e3:.1f}"
    if worst <= APART:
        return line, True
    others = [session(file, level) for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_EXTENDED)]
    others += [session(jolted(file, seed)) for seed in range(JOLTS)]
    runs = [expected, *(other.run(None, feeds) for other in others)]
    between = max(max(map(far, a, b, names)) for a in runs for b in runs)
    nearest = min(max(map(far, ours, run, names)) for run in runs)
    line += f"; onnxruntime's own runs are {between:.2e} apart, ours is {nearest:.2e} from the nearest"
    return line, nearest <= ROOM * between


def main():
    program, words, shapes = sys.argv[1], [], {}
    rest = iter(sys.argv[2:])
    for word in rest:
        if word == "--shape":
            name, shape = next(rest).split("=")
            shapes[name] = [int(n) for n in shape.split("x")] if shape else []
        else:
            words.append(pathlib.Path(word))
    files = [f for w in words for f in (sorted(w.rglob("*.onnx")) if w.is_dir() else [w])]
    failed = 0
    for file in files:
        name = f"{file.parent.name}/{file.name}"
        if file.name.startswith(IN_PARTS):
            print(f"{name}: run in parts by its task")
            continue
        known = next((known for start, known in SHAPES if file.name.startswith(start)), {})
        line, is_right = compare(program, file, {**known, **shapes})
        failed += not is_right
        print(f"{name}: {line}{'' if is_right else ' WRONG'}", flush=True)
    print(f"{failed} of {len(files)} wrong")
    sys.exit(failed > 0)


main()
