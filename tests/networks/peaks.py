"""The peak of a process that runs a network once: ours in the smallest budget that `plan` names, and without a budget, beside onnxruntime's.

    python tests/networks/peaks.py target/release/pintpot FOLDER [--encoder whisper-base-encoder.onnx] [--threads 2]

FOLDER is what fetch.py filled. Ours runs in a memory cgroup whose hard limit is the budget (as root; the limit must never be met, and
outputs must be those of a run in 2 GiB), page cache dropped: its peak is what the kernel charged, files that were read included. Of
onnxruntime the most that was resident (VmHWM) is told, which its page cache is not in; once as it is, and once without what Python
and NumPy have before `import onnxruntime`. All in MiB.
"""

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy

MOST = 0.7
TEXT = {name: ("i8", (1, 128)) for name in ("input_ids", "attention_mask", "token_type_ids")}
# Name, file, inputs: type and extents; whole numbers are ones.
CASES = [
    ("MobileNetV2, 224 x 224", "mobilenetv2/mobilenetv2.onnx", {"input": ("f4", (1, 3, 224, 224))}),
    ("MiniLM-L3, 128 tokens", "paraphrase-minilm/paraphrase-MiniLM-L3-v2.onnx", TEXT),
    ("MiniLM-L6 int8, 128 tokens", "minilm-int8/model.onnx", TEXT),
    ("PP-OCRv5 det, 640 x 640", "ppocr-v5/ppocrv5_det.onnx", {"x": ("f4", (1, 3, 640, 640))}),
    ("Silero VAD", "silero-vad/silero_vad.onnx",
     {"input": ("f4", (1, 576)), "state": ("f4", (2, 1, 128)), "sr": ("i8", ())}),
]
ENCODER = ("Whisper base encoder", None, {"mel": ("f4", (1, 80, 3000))})

THEIRS = """
import sys, numpy
def hwm():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))
file, threads, *inputs = sys.argv[1:]
feeds = {name: numpy.load(path) for name, path in (text.split("=", 1) for text in inputs)}
before = hwm()
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
options.log_severity_level = 4
session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
known = {port.name for port in session.get_inputs()}
session.run(None, {name: array for name, array in feeds.items() if name in known})
print(before, hwm())
"""


class Group:
    """A memory cgroup of its own, of either version, with a hard limit."""

    def __init__(self, limit):
        old = pathlib.Path("/sys/fs/cgroup/memory")
        self.is_old = old.is_dir()
        self.path = (old if self.is_old else pathlib.Path("/sys/fs/cgroup")) / f"peaks-{os.getpid()}"
        self.path.mkdir()
        if limit:
            (self.path / ("memory.limit_in_bytes" if self.is_old else "memory.max")).write_text(str(limit))

    def run(self, words):
        enter = lambda: (self.path / "cgroup.procs").write_text(str(os.getpid()))  # noqa: E731
        return subprocess.run(words, capture_output=True, text=True, preexec_fn=enter)

    def end(self):
        """The peak, and how often the limit was met."""
        number = lambda name: int((self.path / name).read_text())  # noqa: E731
        if self.is_old:
            found = number("memory.max_usage_in_bytes"), number("memory.failcnt")
        else:
            events = dict(line.split() for line in (self.path / "memory.events").read_text().splitlines())
            found = number("memory.peak"), int(events["max"])
        self.path.rmdir()
        return found


def drop_cache():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")


def digest(folder):
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.iterdir()))).hexdigest()


def ours(program, file, inputs, folder, budget, limit):
    """Peak, how often the limit was met, and a digest of the outputs."""
    words = [program, "run", file, "--json", "--out-dir", str(folder)]
    words += [word for text in inputs for word in ("--input", text)]
    words += ["--memory", str(budget)] if budget else []
    drop_cache()
    group = Group(limit)
    ran = group.run(words)
    peak, met = group.end()
    if ran.returncode:
        sys.exit(f"{file}: {ran.stderr.strip()[:300]}")
    return peak, met, digest(folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--encoder")
    parser.add_argument("--threads", default="2")
    args = parser.parse_args()
    cases = [(name, args.folder / file, feeds) for name, file, feeds in CASES]
    cases += [(ENCODER[0], args.encoder, ENCODER[2])] if args.encoder else []
    mib, wrong = lambda count: f"{count / (1 << 20):.1f}", 0  # noqa: E731
    print("| | smallest budget | its peak | peak without a budget | onnxruntime | less Python | times |\n|---|---|---|---|---|---|---|")
    for name, file, feeds in cases:
        with tempfile.TemporaryDirectory() as folder:
            folder, rng, inputs = pathlib.Path(folder), numpy.random.default_rng(7), []
            for number, (port, (kind, extents)) in enumerate(feeds.items()):
                ones = numpy.full(extents, 16000 if port == "sr" else 1, kind)
                array = ones if kind == "i8" else rng.uniform(-1, 1, extents).astype(kind)
                numpy.save(folder / f"{number}.npy", array)
                inputs.append(f"{port}={folder / f'{number}.npy'}")
            told = subprocess.run([sys.executable, "-c", THEIRS, str(file), args.threads, *inputs], capture_output=True, text=True)
            if told.returncode:
                sys.exit(told.stderr)
            before, theirs = map(int, told.stdout.split())
            # A file may declare fewer inputs than there are of its kind.
            show = json.loads(subprocess.run([args.program, "show", str(file), "--json"], capture_output=True, text=True).stdout)
            known = {port["name"] for port in show["inputs"]}
            inputs = [text for text in inputs if text.split("=")[0] in known]
            shapes = [word for text in inputs for word in ("--input", text)]
            plan = subprocess.run([args.program, "plan", str(file), "--json", "--memory", "2GiB", *shapes], capture_output=True, text=True)
            smallest = json.loads(plan.stdout)["smallest_budget_bytes"]
            peak, met, small = ours(args.program, str(file), inputs, folder / "small", smallest, smallest)
            _, _, large = ours(args.program, str(file), inputs, folder / "large", "2GiB", None)
            free, _, _ = ours(args.program, str(file), inputs, folder / "free", None, None)
        times = peak / (theirs - before)
        wrong += met > 0 or small != large or times > MOST
        note = f"{' LIMIT MET' if met else ''}{' OTHER OUTPUTS' if small != large else ''}"
        print(f"| {name} | {mib(smallest)} | {mib(peak)} | {mib(free)} | {mib(theirs)} | {mib(theirs - before)} | {times:.2f}{note} |", flush=True)
    sys.exit(wrong > 0)


main()
