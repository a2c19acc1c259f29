"""Writes small_*.json: little tokenizers of every shape that tokenizer.json has, and what they make of the corpus.

    python small.py              (needs: tokenizers)
"""

import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from corpus import texts

HERE = pathlib.Path(__file__).parent
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
SPACES = [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]


def trained(model, normalizer, cut, size=420):
    made = Tokenizer(model)
    if normalizer:
        made.normalizer = normalizer
    if cut:
        made.pre_tokenizer = cut
    named = {"special_tokens": ["<unk>", "<s>", "</s>"], "vocab_size": size, "show_progress": False}
    if isinstance(model, models.Unigram):
        # Characters that it does not see become unknown ones.
        made.train_from_iterator(texts()[:20], trainers.UnigramTrainer(unk_token="<unk>", **named))
    elif isinstance(model, models.WordPiece):
        named["special_tokens"] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        made.train_from_iterator(texts(), trainers.WordPieceTrainer(limit_alphabet=256, **named))
    else:
        alphabet = pre_tokenizers.ByteLevel.alphabet() if "ByteLevel" in str(cut) else [f"<0x{b:02X}>" for b in range(0)]
        made.train_from_iterator(texts(), trainers.BpeTrainer(initial_alphabet=alphabet, limit_alphabet=256, **named))
    return made


def with_bytes(made):
    """The same tokenizer with byte tokens, as SentencePiece's converters write them."""
    data = json.loads(made.to_str())
    model = data["model"]
    model["byte_fallback"] = True
    names = [f"<0x{b:02X}>" for b in range(256)]
    if model["type"] == "BPE":
        model["fuse_unk"] = True
        model["unk_token"] = "<unk>"
        for name in names:
            model["vocab"][name] = len(model["vocab"])
    else:
        model["vocab"] += [[name, 0.0] for name in names]
    return Tokenizer.from_str(json.dumps(data))


def llama3():
    made = trained(models.BPE(ignore_merges=True), None, pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), BYTES]))
    made.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])])
    return made


def qwen():
    made = trained(models.BPE(), normalizers.NFC(), pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3.replace("{1,3}", "")), "isolated"), BYTES]))
    made.add_special_tokens(["<|im_start|>", "<|im_end|>", "<|endoftext|>"])
    made.add_tokens(["<tool_call>", AddedToken("</tool_call>", lstrip=True, rstrip=True, normalized=False)])
    return made


def gemma():
    made = with_bytes(trained(models.BPE(), normalizers.Replace(" ", "\u2581"), None))
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("<table>", normalized=False)])
    return made


def bert(cased):
    normalizer = normalizers.BertNormalizer(lowercase=not cased)
    made = trained(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=30), normalizer, pre_tokenizers.BertPreTokenizer())
    single, pair = "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"
    made.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return made


def pairs(made):
    """What is made of neighbours in the corpus as pairs, in rooms of many sizes: ids and types."""
    rows, all_texts = [], texts()
    for at in range(0, len(all_texts) - 1, 3):
        longest = 3 + at % 17
        made.enable_truncation(longest)
        one, two = made.encode(all_texts[at]), made.encode(all_texts[at], all_texts[at + 1])
        rows.append([at, longest, one.ids, two.ids, two.type_ids])
    made.no_truncation()
    return rows


KINDS = {
    "bert": lambda: bert(False),
    "bert_cased": lambda: bert(True),
    "gpt2": lambda: trained(models.BPE(), None, pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "roberta": lambda: trained(models.BPE(), None, pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "smollm": lambda: trained(models.BPE(), None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])),
    "llama3": llama3,
    "qwen": qwen,
    "llama2": lambda: with_bytes(trained(models.BPE(), normalizers.Sequence(SPACES), None)),
    "mistral": lambda: with_bytes(trained(models.BPE(), None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False))),
    "gemma": gemma,
    "unigram": lambda: trained(models.Unigram(), None, pre_tokenizers.Metaspace()),
    "unigram_bytes": lambda: with_bytes(trained(models.Unigram(), None, pre_tokenizers.Metaspace(prepend_scheme="never", split=False))),
}


def main():
    for name, make in KINDS.items():
        made = make()
        rows = []
        for text in texts():
            made.encode_special_tokens = True
            plain = made.encode(text, add_special_tokens=False).ids
            made.encode_special_tokens = False
            special = made.encode(text, add_special_tokens=False).ids
            rows.append([plain] if plain == special else [plain, special])
        more = {"pairs": pairs(made)} if name.startswith("bert") else {}
        out = {"tokenizer": json.loads(made.to_str()), "ids": rows, **more}
        (HERE / f"small_{name}.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")
        print(name, made.get_vocab_size())


main()
