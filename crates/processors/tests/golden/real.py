"""Writes real_*.json: what independent tokenizers make of the corpus with the vocabularies of real GGUF files.

    python real.py FOLDER        (needs: gguf, sentencepiece, tokenizers; FOLDER as in PINTPOT_TEST_MODELS)

Byte-level vocabularies go through `tokenizers`, SentencePiece ones through `sentencepiece`.
"""

import json
import pathlib
import sys

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

from corpus import texts

HERE = pathlib.Path(__file__).parent
LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CUTS = {
    "smollm": [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)],
    "qwen2": [
        pre_tokenizers.Split(Regex(LETTERS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ],
}


def fields(path):
    reader = gguf.GGUFReader(path)
    return lambda key: reader.fields[f"tokenizer.ggml.{key}"].contents()


def byte_level(get):
    tokens, types = get("tokens"), get("token_type")
    merges = [tuple(line.split(" ")) for line in get("merges")]
    made = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(CUTS[get("pre")])
    made.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, y in zip(tokens, types) if y == 3])
    made.add_tokens([AddedToken(t, normalized=False) for t, y in zip(tokens, types) if y == 4])

    def encode(text, special):
        made.encode_special_tokens = not special
        return made.encode(text, add_special_tokens=False).ids

    return encode


def scored(get):
    model = proto.ModelProto()
    model.trainer_spec.model_type = proto.TrainerSpec.BPE
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = get("add_space_prefix")
    model.normalizer_spec.remove_extra_whitespaces = False
    unknown = get("unknown_token_id")
    model.trainer_spec.unk_id = unknown
    for i, (text, score, kind) in enumerate(zip(get("tokens"), get("scores"), get("token_type"))):
        # The converter writes the spaces of user-defined pieces as spaces.
        text = text.replace(" ", "\u2581") if kind == 4 else text
        model.pieces.add(piece=text, score=score, type=2 if i == unknown else kind)
    made = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    return lambda text, special: None if special else made.encode(text)


def main(folder):
    for name, kind in [("smollm2", byte_level), ("qwen2.5-coder-0.5b", byte_level), ("gemma3-270m", scored)]:
        encode = kind(fields(pathlib.Path(folder) / f"{name}.gguf"))
        rows = []
        for text in texts():
            plain, special = encode(text, False), encode(text, True)
            row = {"text": text, "plain": plain}
            if special not in (None, plain):
                row["special"] = special
            rows.append(row)
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        (HERE / f"real_{name}.json").write_text(f"[\n{lines}\n]\n")


main(sys.argv[1])
