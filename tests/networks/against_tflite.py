"""Runs TFLite networks through pintpot and LiteRT's reference kernels on the same arrays and says how far apart the outputs are.

    python tests/networks/against_tflite.py target/release/pintpot FOLDER_OR_FILE... [--fast] [--runs 3] [--shape name=1x16000]

Floats: the largest difference by the largest number. Whole numbers: the largest difference in steps. With --fast the other
side is LiteRT as it runs by default (XNNPACK), whose whole numbers are a step apart here and there. Float networks may also be as
far apart as LiteRT's two sets of kernels are. With --runs a network is run so many times on as many inputs, without a break, by
`crates/runtime/examples/stream.rs`, which is then the program.
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


def run(program, file, ports, feeds, expected):
    """Outputs by name of one run of the program, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        words = [program, "run", str(file), "--out-dir", str(folder / "out"), "--json"]
        for port in ports:
            path = folder / f"{len(words)}.npy"
            numpy.save(path, feeds[0][port["name"]])
            words += ["--input", f"{port['name']}={path}"]
        ran = subprocess.run(words, capture_output=True, text=True)
        if ran.returncode:
            return None, ran.stderr.strip()[:300]
        load = lambda name: numpy.load(folder / "out" / (name.replace("/", "_") + ".npy"))  # noqa: E731
        return [{name: load(name) for name in expected[0]}], json.loads(ran.stdout)["seconds"]


def streamed(program, file, ports, feeds, expected):
    """Outputs by name of each run, and seconds of all."""
    fed = b"".join(feed[port["name"]].tobytes() for feed in feeds for port in ports)
    start = time.perf_counter()
    ran = subprocess.run([program, str(file), str(len(feeds))], input=fed, capture_output=True)
    if ran.returncode:
        return None, ran.stderr.decode()[:300]
    ours, at = [], 0
    for reference in expected:
        ours.append({})
        for name, array in reference.items():
            ours[-1][name] = numpy.frombuffer(ran.stdout, array.dtype, array.size, at).reshape(array.shape)
            at += array.nbytes
    return ours, time.perf_counter() - start


def apart(ours, expected):
    """How far apart arrays are: floats by the largest number, whole numbers in steps."""
    worst, steps = 0.0, 0
    for name, reference in expected.items():
        found = ours[name]
        if found.shape != reference.shape or found.dtype != reference.dtype:
            print(f"  {name}: {found.dtype}{found.shape}, expected {reference.dtype}{reference.shape}")
            worst = numpy.inf
        elif reference.size and numpy.issubdtype(reference.dtype, numpy.integer):
            steps = max(steps, int(numpy.abs(found.astype("i8") - reference.astype("i8")).max()))
        elif reference.size:
            a, b = found.astype("f8"), reference.astype("f8")
            worst = max(worst, float(numpy.abs(a - b).max() / max(numpy.abs(b).max(), 1e-6)))
    return worst, steps


def main():
    program, words, fast, runs, shapes = sys.argv[1], [], False, 1, {}
    rest = iter(sys.argv[2:])
    for word in rest:
        if word == "--fast":
            fast = True
        elif word == "--runs":
            runs = int(next(rest))
        elif word == "--shape":
            name, shape = next(rest).split("=")
            shapes[name] = [int(n) for n in shape.split("x")]
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
                # What leaves both open takes samples.
                samples = [1, 16000] if list(port["shape_signature"]) == [-1, -1] else None
                if shape := shapes.get(port["name"], samples):
                    other.resize_tensor_input(port["index"], shape)
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
        ours, seconds = (streamed if runs > 1 else run)(program, file, ports, feeds, expected)
        if ours is None:
            failed += 1
            print(f"{name}: {seconds}")
            continue
        worst, steps = 0.0, 0
        for found, reference in zip(ours, expected):
            far = apart(found, reference)
            worst, steps = max(worst, far[0]), max(steps, far[1])
        between = 0.0
        if worst > APART:
            quick = Interpreter(model_path=str(file), num_threads=2)
            quick.allocate_tensors()
            for port in ports:
                quick.set_tensor(port["index"], feeds[0][port["name"]])
            quick.invoke()
            quick = {port["name"]: quick.get_tensor(port["index"]) for port in quick.get_output_details()}
            between = apart(quick, expected[0])[0]
        wrong = worst > max(APART, between) or steps > STEPS or not numpy.isfinite(worst)
        failed += wrong
        times = f"{seconds * 1e3:.1f} ms beside {theirs * 1e3:.1f}"
        own = f" (LiteRT's own: {between:.2e})" if between else ""
        print(f"{name}: apart {worst:.2e}{own}, {steps} steps; {times}{' WRONG' if wrong else ''}", flush=True)
    print(f"{failed} of {len(files)} wrong")
    sys.exit(failed > 0)


main()
