"""Compares what our readers find in networks with what the packages `onnx` and `tflite` find, line by line.

    cargo build -p pintpot-formats --example listing
    python tests/networks/compare.py target/debug/examples/listing [FILE OR FOLDER ...]

Without a name: the conformance suite of the package `onnx`, models and data sets, and what `fetch.py` fetched.
"""

import subprocess
import sys
from pathlib import Path

import onnx

from fetch import FOLDER
from listing import list_network


def files(places):
    for place in places:
        place = Path(place)
        found = sorted(place.rglob("*")) if place.is_dir() else [place]
        yield from (str(file) for file in found if file.suffix in (".onnx", ".tflite"))


def ours(program, paths):
    """Lists of lines by path."""
    run = subprocess.run([program], input="\n".join(paths), stdout=subprocess.PIPE, text=True, check=True)
    lists, current = {}, []
    for line in run.stdout.splitlines():
        if line.startswith("file "):
            current = lists.setdefault(line[5:], [])
        else:
            current.append(line)
    return lists


def main():
    program, places = sys.argv[1], sys.argv[2:]
    places = places or [Path(onnx.__file__).parent / "backend/test/data", FOLDER]
    paths = list(files(places))
    found = ours(program, paths)
    wrong = lines = cases = 0
    for path in paths:
        want, have = list_network(path), found.get(path, [])
        lines += len(want)
        cases += sum(not line.startswith(" ") and line.startswith(("input ", "output ")) for line in want)
        if want != have:
            wrong += 1
            pairs = list(zip(want + ["(end)"], have + ["(end)"]))
            at, (theirs, our) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
            print(f"{path}: line {at + 1}\n  theirs {theirs[:300]}\n  ours   {our[:300]}")
    print(f"{len(paths)} networks, {cases} values beside them, {lines} lines, {wrong} networks differ")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
