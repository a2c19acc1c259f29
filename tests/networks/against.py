"""Runs networks through pintpot and onnxruntime on the same arrays and says how far apart the outputs are.

    python tests/networks/against.py target/release/pintpot FOLDER_OR_FILE... [--shape name=1x3x224x224 ...]

Dimensions that a network leaves open are 1, or what --shape or the table below says.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy
import onnxruntime

OPEN = {"sequence": 32, "seq": 32, "length": 32, "phonemes": 32, "height": 96, "width": 320, "samples": 16000}
TYPES = {
    "tensor(float)": "f4", "tensor(double)": "f8", "tensor(float16)": "f2", "tensor(int64)": "i8", "tensor(int32)": "i4",
    "tensor(bool)": "?", "tensor(uint8)": "u1", "tensor(int8)": "i1",
}


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
    return rng.standard_normal(shape).astype(kind)


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
    worst_of_all = 0.0
    for file in files:
        rng = numpy.random.default_rng(7)
        try:
            session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            feeds = {port.name: fed(port, shapes, rng) for port in session.get_inputs()}
            expected = session.run(None, feeds)
        except Exception as error:  # noqa: BLE001
            print(f"{file.name}: onnxruntime: {str(error)[:200]}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            words = [program, "run", str(file), "--out-dir", str(folder / "out"), "--json"]
            for name, array in feeds.items():
                numpy.save(folder / f"{len(words)}.npy", array)
                words += ["--input", f"{name}={folder / f'{len(words)}.npy'}"]
            ran = subprocess.run(words, capture_output=True, text=True)
            if ran.returncode:
                print(f"{file.name}: {ran.stderr.strip()[:300]}")
                continue
            seconds = json.loads(ran.stdout)["seconds"]
            start = time.perf_counter()
            session.run(None, feeds)
            theirs = time.perf_counter() - start
            worst = 0.0
            for port, reference in zip(session.get_outputs(), expected):
                ours = numpy.load(folder / "out" / (port.name.replace("/", "_") + ".npy"))
                if ours.shape != reference.shape or ours.dtype != reference.dtype:
                    worst = numpy.inf
                    print(f"  {port.name}: {ours.dtype}{ours.shape}, expected {reference.dtype}{reference.shape}")
                elif reference.size:
                    a, b = ours.astype("f8"), reference.astype("f8")
                    scale = max(numpy.abs(b).max(), 1e-6)
                    worst = max(worst, float(numpy.abs(a - b).max() / scale))
            worst_of_all = max(worst_of_all, worst)
            print(f"{file.name}: apart {worst:.2e}; {seconds * 1e3:.1f} ms beside {theirs * 1e3:.1f}")
    print(f"worst {worst_of_all:.2e}")


main()
