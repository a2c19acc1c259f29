"""Runs TFLite networks through pintpot and LiteRT's reference kernels on the same arrays and says how far apart the outputs are.

    python tests/networks/against_tflite.py target/release/pintpot FOLDER_OR_FILE... [--fast] [--runs 3]

Floats: the largest difference by the largest number. Whole numbers: the largest difference in steps. With --fast the other
side is LiteRT as it runs by default (XNNPACK), whose whole numbers are a step apart here and there. With --runs a network with
variables is run so many times on as many inputs.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy
from ai_edge_litert.interpreter import Interpreter, OpResolverType

STEPS = 1
APART = 1e-4


def fed(port, rng):
    shape, kind = port["shape"], port["dtype"]
    if numpy.issubdtype(kind, numpy.integer):
        info = numpy.iinfo(kind)
        return rng.integers(max(info.min, -128), min(info.max, 255), shape, endpoint=True).astype(kind)
    # As pictures and spectra are: mostly between -1 and 1.
    return rng.uniform(-1, 1, shape).astype(kind)


def main():
    program, words, fast, runs = sys.argv[1], [], False, 1
    rest = iter(sys.argv[2:])
    for word in rest:
        if word == "--fast":
            fast = True
        elif word == "--runs":
            runs = int(next(rest))
        else:
            words.append(pathlib.Path(word))
    files = [f for w in words for f in (sorted(w.rglob("*.tflite")) if w.is_dir() else [w])]
    failed = 0
    resolver = OpResolverType.AUTO if fast else OpResolverType.BUILTIN_REF
    for file in files:
        name = f"{file.parent.name}/{file.name}"
        rng = numpy.random.default_rng(7)
        try:
            other = Interpreter(model_path=str(file), experimental_op_resolver_type=resolver, num_threads=2)
            ports = other.get_input_details()
            for port in ports:
                if (port["shape"] == 0).any():
                    other.resize_tensor_input(port["index"], [max(n, 1) for n in port["shape"]])
            other.allocate_tensors()
            ports = other.get_input_details()
            feeds = [{port["name"]: fed(port, rng) for port in ports} for _ in range(runs)]
            expected = []
            for feed in feeds:
                for port in ports:
                    other.set_tensor(port["index"], feed[port["name"]])
                start = time.perf_counter()
                other.invoke()
                theirs = time.perf_counter() - start
                expected.append({port["name"]: other.get_tensor(port["index"]) for port in other.get_output_details()})
        except Exception as error:  # noqa: BLE001
            print(f"{name}: LiteRT: {str(error)[:160]}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            words = [program, "run", str(file), "--out-dir", str(folder / "out"), "--json"]
            for port in ports:
                path = folder / f"{len(words)}.npy"
                numpy.save(path, feeds[0][port["name"]])
                words += ["--input", f"{port['name']}={path}"]
            ran = subprocess.run(words, capture_output=True, text=True)
            if ran.returncode:
                failed += 1
                print(f"{name}: {ran.stderr.strip()[:300]}")
                continue
            seconds = json.loads(ran.stdout)["seconds"]
            worst, steps = 0.0, 0
            for port, reference in expected[0].items():
                ours = numpy.load(folder / "out" / (port.replace("/", "_") + ".npy"))
                if ours.shape != reference.shape or ours.dtype != reference.dtype:
                    worst = numpy.inf
                    print(f"  {port}: {ours.dtype}{ours.shape}, expected {reference.dtype}{reference.shape}")
                elif reference.size and numpy.issubdtype(reference.dtype, numpy.integer):
                    steps = max(steps, int(numpy.abs(ours.astype("i8") - reference.astype("i8")).max()))
                elif reference.size:
                    a, b = ours.astype("f8"), reference.astype("f8")
                    worst = max(worst, float(numpy.abs(a - b).max() / max(numpy.abs(b).max(), 1e-6)))
            wrong = worst > APART or steps > STEPS or not numpy.isfinite(worst)
            failed += wrong
            times = f"{seconds * 1e3:.1f} ms beside {theirs * 1e3:.1f}"
            print(f"{name}: apart {worst:.2e}, {steps} steps; {times}{' WRONG' if wrong else ''}", flush=True)
    print(f"{failed} of {len(files)} wrong")
    sys.exit(failed > 0)


main()
