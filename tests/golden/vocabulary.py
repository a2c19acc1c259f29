"""Small real vocabularies for the tiny models, trained on a paragraph, with outside tokenizers as the judge.

Two kinds: byte-level BPE (all 256 bytes, a few merges, three published cuts) and SentencePiece BPE with byte
fallback. Each can be written as GGUF metadata and as tokenizer.json, and turns the sample texts into ids.
"""

import io
import json
from collections.abc import Iterable

import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

PARAGRAPH = (
    "A small machine has little memory, and the memory it has is not all yours. The weights of a network lie on the "
    "disk until they are needed; then they are read, used and let go again. What is the capital of France? The "
    "capital of France is Paris. In 1999 there were 12 of them, now there are 2048.\n\n"
    "def add(a, b):\n    return a + b\n\nfor i in range(10):\n    print(add(i, 2))\n"
)
SAMPLES = [
    "The capital of France is Paris.",
    "  two  spaces,\ttabs\tand\r\nlines \n",
    "def f(x):\n    return x**2  # 12345",
    "naïve café Übung Straße",
    "漢字かな交じり文 한국어",
    "مرحبا بالعالم",
    "👩‍👩‍👧 🙂 e\u0301",
    "I'LL we'll don't",
    "<|user|>hello<|end|>",
    "\u0000\u0007\u200b\ufeff",
    "",
]
CUTS = {
    "gpt-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+",
}
SIZE = 320
NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6  # GGUF's token types


class ByteLevel:
    """256 bytes, merges that are learnt from `texts`, and three special tokens at the end: `size` tokens in all."""

    SPECIALS = ["<|end|>", "<|begin|>", "<|user|>"]

    def __init__(self, cut: str, texts: Iterable[str] = (PARAGRAPH,), size: int = SIZE):
        self.cut = cut
        self.size = size
        self.words = Tokenizer(models.BPE())
        self.words.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(CUTS[cut]), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        self.words.decoder = decoders.ByteLevel()
        self.words.train_from_iterator(
            texts,
            trainers.BpeTrainer(
                vocab_size=size - len(self.SPECIALS),
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                show_progress=False,
            ),
        )
        self.words.add_special_tokens([AddedToken(s, special=True) for s in self.SPECIALS])
        self.begin = self.words.token_to_id("<|begin|>")
        self.end = self.words.token_to_id("<|end|>")

    def encode(self, text: str) -> list[int]:
        return self.words.encode(text, add_special_tokens=False).ids

    def to_json(self) -> str:
        return json.dumps(json.loads(self.words.to_str()), separators=(",", ":"), ensure_ascii=False)

    def to_gguf(self, writer: gguf.GGUFWriter) -> None:
        merges = json.loads(self.words.to_str())["model"]["merges"]
        tokens = [self.words.id_to_token(i) for i in range(self.size)]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.cut)
        writer.add_token_list(tokens)
        writer.add_token_types([CONTROL if t in self.SPECIALS else NORMAL for t in tokens])
        writer.add_token_merges([" ".join(pair) for pair in merges])
        writer.add_bos_token_id(self.begin)
        writer.add_eos_token_id(self.end)
        writer.add_add_bos_token(False)


class Pieces:
    """SentencePiece BPE with byte fallback, in Gemma's manner: spaces are kept, none is added in front."""

    begin, end = 2, 1

    def __init__(self):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(PARAGRAPH.split("\n")),
            model_writer=model,
            model_type="bpe",
            vocab_size=SIZE,
            byte_fallback=True,
            pad_id=0,
            eos_id=1,
            bos_id=2,
            unk_id=3,
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            normalization_rule_name="identity",
            user_defined_symbols=["<|user|>", "<|end|>"],
            minloglevel=2,
            hard_vocab_limit=True,
        )
        self.words = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())

    def encode(self, text: str) -> list[int]:
        return self.words.encode(text)

    def kind(self, i: int) -> int:
        if self.words.is_unknown(i):
            return UNKNOWN
        if self.words.is_control(i):
            return CONTROL
        if self.words.is_byte(i):
            return BYTE
        return USER if self.words.id_to_piece(i).startswith("<|") else NORMAL

    def to_json(self) -> str:
        tokens = [self.words.id_to_piece(i) for i in range(SIZE)]
        rank = {t: i for i, t in enumerate(tokens)}
        merges = [
            (t[:k], t[k:])
            for i, t in sorted(enumerate(tokens), key=lambda it: -self.words.get_score(it[0]))
            if self.kind(i) == NORMAL
            for k in range(1, len(t))
            if t[:k] in rank and t[k:] in rank
        ]
        words = Tokenizer(models.BPE(rank, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        words.normalizer = normalizers.Replace(" ", "▁")
        words.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        words.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        words.add_special_tokens(
            [
                AddedToken(t, special=True, normalized=False)
                for i, t in enumerate(tokens)
                if self.kind(i) in (CONTROL, UNKNOWN, USER)
            ]
        )
        return json.dumps(json.loads(words.to_str()), separators=(",", ":"), ensure_ascii=False)

    def to_gguf(self, writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([self.words.id_to_piece(i) for i in range(SIZE)])
        writer.add_token_scores([self.words.get_score(i) for i in range(SIZE)])
        writer.add_token_types([self.kind(i) for i in range(SIZE)])
        writer.add_bos_token_id(self.begin)
        writer.add_eos_token_id(self.end)
        writer.add_unk_token_id(3)
        writer.add_pad_token_id(0)
        writer.add_add_bos_token(True)
        writer.add_add_space_prefix(False)
