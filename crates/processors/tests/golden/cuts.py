"""Writes cuts.json: how the `tokenizers` library cuts the corpus with the expressions of src/text/pretokenizer.rs.

    python cuts.py               (needs: tokenizers)

The expressions are taken from the source, so that both sides run the very same. For every text the CRC-32 of the
pieces' lengths in bytes is stored.
"""

import json
import pathlib
import re
import zlib

from tokenizers import Regex, pre_tokenizers

from corpus import texts

HERE = pathlib.Path(__file__).parent
SOURCE = (HERE / "../../src/text/pretokenizer.rs").read_text()
LITERAL = r'r?(?P<hash>#*)"(?P<text>.*?)"(?P=hash)'


def rows():
    consts = {m[1]: m["text"] for m in re.finditer(rf"const (\w+): &str =\s*{LITERAL};", SOURCE, re.S)}
    table = SOURCE[SOURCE.index("pub const PRETOKENIZERS") : SOURCE.index("impl Pretokenizer")]
    for m in re.finditer(r"&\[(.*?)\],\s*(?:patterns: )?&\[(.*?)\n?\s*\],?\s*(?:\)|whole_words)", table, re.S):
        name = re.search(r'"(.*?)"', m[1])[1]
        yield name, [
            consts[p["name"]] if p["name"] else p["text"]
            for p in re.finditer(rf"{LITERAL}|(?P<name>\b[A-Z][A-Z0-9]+\b)", m[2], re.S)
        ]


def main():
    out = {}
    for name, patterns in rows():
        cut = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns])
        pieces = [[str(len(p.encode())) for p, _ in cut.pre_tokenize_str(text)] for text in texts()]
        out[name] = [zlib.crc32(",".join(p).encode()) for p in pieces]
        print(name, len(patterns))
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(sums, separators=(',', ':'))}" for name, sums in out.items())
    (HERE / "cuts.json").write_text(f"{{\n{lines}\n}}\n")
    lines = ",\n".join(json.dumps(text) for text in texts())
    (HERE / "corpus.json").write_text(f"[\n{lines}\n]\n")


main()
