"""Writes tiny/: seeded random models of every architecture as real files, and what `transformers` makes of them.

GGUF files and folders of config.json, tokenizer.json and safetensors; beside each a logits file (reference.py) of a
text that is longer than the window and than two tiles of 64 keys. The reference always computes with the weights
as they are stored: quantised blocks are decoded by the `gguf` package first. Queries and keys are scaled up, so that
a wrong position shows.
"""

import json
import os
import shutil
from dataclasses import dataclass, field

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

import reference
import spelling
from vocabulary import SAMPLES, SIZE, ByteLevel, Pieces

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tiny")
Q = gguf.GGMLQuantizationType
# Bytes of a block where f16 scales lie, for random blocks; the IQ types that are not here have one at the start.
PLACES = {Q.Q2_K: [80, 82], Q.Q3_K: [108], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208], Q.IQ1_M: [None]}
LENGTH = 150  # tokens of the text
KEPT = [0, 1, 5, 31, 32, 33, 62, 63, 64, 65, 100, 127, 128, 129, 148, 149]  # rows that are stored
BASE = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": SIZE,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
GEMMA = {
    "model_type": "gemma3_text",
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "rope_local_base_freq": 10000.0,
    "sliding_window": 32,
    "tie_word_embeddings": True,
}


# A chat template of the vocabularies' own marks.
CHAT = (
    "{{ bos_token }}{% for m in messages %}<|user|>{{ m.content | trim }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|user|>{% endif %}"
)


@dataclass
class Tiny:
    """A model to write. `types`: GGUF's tensor types by part of the hub's name, the first that fits; or one dtype."""

    name: str
    vocabulary: ByteLevel | Pieces
    config: dict
    types: list[tuple[str, Q]] | torch.dtype
    shards: int = 1
    biases: tuple[str, ...] = ()
    extra: dict = field(default_factory=dict)
    chat: str = ""


def shapes(tiny: Tiny) -> dict[str, tuple[int, ...]]:
    """The hub's names -> shapes, as the architecture asks for."""
    c = tiny.config
    d, f, hd = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * hd, c["num_key_value_heads"] * hd
    out = {"model.embed_tokens.weight": (c["vocab_size"], d), "model.norm.weight": (d,)}
    if not c["tie_word_embeddings"]:
        out["lm_head.weight"] = (c["vocab_size"], d)
    gemma = c["model_type"] == "gemma3_text"
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        out |= {p + "self_attn.q_proj.weight": (q, d), p + "self_attn.k_proj.weight": (kv, d)}
        out |= {p + "self_attn.v_proj.weight": (kv, d), p + "self_attn.o_proj.weight": (d, q)}
        out |= {
            p + "mlp.gate_proj.weight": (f, d),
            p + "mlp.up_proj.weight": (f, d),
            p + "mlp.down_proj.weight": (d, f),
        }
        out |= {p + "input_layernorm.weight": (d,), p + "post_attention_layernorm.weight": (d,)}
        if gemma:
            out |= {p + "pre_feedforward_layernorm.weight": (d,), p + "post_feedforward_layernorm.weight": (d,)}
        if gemma or c["model_type"] == "qwen3":
            out |= {p + "self_attn.q_norm.weight": (hd,), p + "self_attn.k_norm.weight": (hd,)}
        out |= {f"{p}self_attn.{b}.bias": ({"q_proj": q}.get(b, kv),) for b in tiny.biases}
    return out


def draw(name: str, shape: tuple[int, ...], config: dict, rng: np.random.Generator) -> np.ndarray:
    """Random weights: activations stay of order one, and a tied head does not just repeat the last token."""
    x = rng.standard_normal(shape, dtype=np.float32)
    gemma, tied = config["model_type"] == "gemma3_text", config["tie_word_embeddings"]
    if "norm" in name:
        mean = (6.0 if gemma else 3.0) if name == "model.norm.weight" and tied else 1.0
        mean = 1.3 if "q_norm" in name or "k_norm" in name else mean
        mean = 0.4 if gemma and "layernorm" in name and "post" in name else mean
        return np.float32(mean - gemma) + np.float32(0.2) * x
    if name.endswith("bias"):
        return np.float32(0.3) * x
    gain = 2.0 if "q_proj" in name or "k_proj" in name or "lm_head" in name else 1.0
    if "embed" in name:
        gain = (0.4 if gemma else 1.2) if tied else np.sqrt(shape[-1])
    return np.float32(gain / np.sqrt(shape[-1])) * x


def put_scale(blocks: np.ndarray, at: int | None, scale: np.ndarray) -> None:
    """Writes f16 numbers, (blocks, 1), at a byte; at none, as IQ1_M has them, in the top nibbles of the last four words."""
    if at is not None:
        blocks[:, at : at + 2] = scale.view(np.uint8)
        return
    nibbles = scale.view("<u2") >> np.array([0, 4, 8, 12], "<u2") & np.uint16(15)
    words = blocks[:, -8:].copy().view("<u2") & np.uint16(0x0FFF) | nibbles << np.uint16(12)
    blocks[:, -8:] = words.view(np.uint8)


def random_blocks(kind: Q, shape: tuple[int, int], std: float, rng: np.random.Generator) -> np.ndarray:
    """Rows of a type that the `gguf` package can only decode: any bits are valid, the scales are set."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    count = shape[0] * shape[1] // elements
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    places = PLACES.get(kind, [0])
    for at in places:
        put_scale(blocks, at, np.ones((count, 1), "<f2"))
    values = gguf.quants.dequantize(blocks, kind)
    scale = (std / values.std() * (0.75 + 0.5 * rng.random((count, 1)))).astype("<f2")
    # Where there is a minimum too, a scale of its own takes the mean away.
    bare = blocks.copy()
    for at in places[1:]:
        bare[:, at : at + 2] = 0
    lift = gguf.quants.dequantize(bare, kind)
    ratio = lift.mean() / (lift - values).mean() if len(places) == 2 else 0.0
    for at, factor in zip(places, (1.0, ratio)):
        put_scale(blocks, at, (scale * np.float16(factor)).astype("<f2"))
    return blocks.reshape(shape[0], -1)


def encode(kind: Q, w: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A tensor's bytes as GGUF stores them."""
    if kind in PLACES or kind.name.startswith("IQ"):
        return random_blocks(kind, w.shape, float(w.std()), rng)
    return gguf.quants.quantize(w, kind)


def type_of(tiny: Tiny, name: str, shape: tuple[int, ...]) -> Q:
    if len(shape) == 1:
        return Q.F32
    kind = next(kind for part, kind in tiny.types if part in name)
    return kind if shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] == 0 else Q.Q8_0


def write_gguf(tiny: Tiny, weights: dict[str, np.ndarray], path: str, rng: np.random.Generator) -> dict:
    """Writes the file; returns the weights as they are stored in it."""
    c = tiny.config
    arch = next(ours for ours, hub in spelling.ARCHITECTURES.items() if hub == c["model_type"])
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name(f"pintpot tiny {tiny.name}")
    for hub, ours in spelling.SETTINGS:
        if (value := c.get(hub)) is not None:
            put = writer.add_float32 if isinstance(value, float) else writer.add_uint32
            put(f"{arch}.{ours}", value)
    if c.get("rope_scaling") == LINEAR:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(LINEAR["factor"])
    if c.get("rope_scaling") == YARN:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(YARN["factor"])
        writer.add_rope_scaling_orig_ctx_len(YARN["original_max_position_embeddings"])
    tiny.vocabulary.to_gguf(writer)
    if (factors := spelling.llama3_factors(c)) is not None:
        writer.add_tensor("rope_freqs.weight", factors)
    stored, table = {}, spelling.names(arch, c["num_hidden_layers"])
    for hub, w in weights.items():
        kind, heads = type_of(tiny, hub, w.shape), spelling.heads_of(hub, c)
        w = w + 1 if spelling.is_gemma_norm(hub, c) else w
        data = encode(kind, spelling.neighbours(w, heads) if heads else w, rng)
        writer.add_tensor(table[hub], data, raw_dtype=kind)
        w = gguf.quants.dequantize(data, kind).reshape(w.shape)
        w = spelling.halves(w, heads) if heads else w
        stored[hub] = w - 1 if spelling.is_gemma_norm(hub, c) else w
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stored


def write_folder(tiny: Tiny, weights: dict[str, np.ndarray], path: str) -> None:
    """Writes config.json and its kin, tokenizer.json and the weights, in shards if asked to."""
    os.makedirs(path)
    kind = str(tiny.types).removeprefix("torch.")
    ids = {"bos_token_id": tiny.vocabulary.begin, "eos_token_id": tiny.vocabulary.end}
    architecture = {"gemma3_text": "Gemma3", "llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}
    config = {
        "architectures": [architecture[tiny.config["model_type"]] + "ForCausalLM"],
        **tiny.config,
        **tiny.extra,
        **ids,
        "torch_dtype": kind,
    }
    config = {key: value for key, value in config.items() if value is not None}
    settings = {"config.json": config, "generation_config.json": ids}
    if tiny.chat:
        settings["tokenizer_config.json"] = {"chat_template": tiny.chat, "tokenizer_class": "PreTrainedTokenizerFast"}
    for name, facts in settings.items():
        with open(os.path.join(path, name), "w") as f:
            json.dump(facts, f, indent=2)
            f.write("\n")
    with open(os.path.join(path, "tokenizer.json"), "w") as f:
        f.write(tiny.vocabulary.to_json() + "\n")
    tensors = {name: torch.from_numpy(w).to(tiny.types) for name, w in weights.items()}
    if tiny.shards == 1:
        save_file(tensors, os.path.join(path, "model.safetensors"), metadata={"format": "pt"})
        return
    where = {}
    for i in range(tiny.shards):
        part = dict(list(tensors.items())[i :: tiny.shards])
        file = f"model-{i + 1:05}-of-{tiny.shards:05}.safetensors"
        save_file(part, os.path.join(path, file), metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    with open(os.path.join(path, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": total}, "weight_map": where}, f, indent=1)


def make(tiny: Tiny, seed: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = {name: draw(name, shape, tiny.config, rng) for name, shape in shapes(tiny).items()}
    ids = [tiny.vocabulary.begin] + [int(i) for i in rng.integers(4, SIZE - 4, LENGTH - 1)]
    path = os.path.join(HERE, tiny.name)
    if isinstance(tiny.types, torch.dtype):
        write_folder(tiny, weights, path)
        model = reference.open_folder(path)
    else:
        model = reference.load(tiny.config, write_gguf(tiny, weights, path, rng))
    rows = reference.logits(model, ids)
    assert np.isfinite(rows).all()
    reference.write(path + ".logits", ids, rows, KEPT, model=tiny.name)
    print(f"{tiny.name:20} logits std {rows.std():.2f}, median margin {np.median(reference.margins(rows)):.2f}")


def all_of_them() -> list[Tiny]:
    gpt2, llama, qwen, pieces = ByteLevel("gpt-2"), ByteLevel("llama-bpe"), ByteLevel("qwen2"), Pieces()
    qkv = ("q_proj", "k_proj", "v_proj")
    wide = {"hidden_size": 256, "intermediate_size": 256, "head_dim": 32}
    kinds = [
        ("0.self_attn.q", Q.Q4_K),
        ("0.self_attn.k", Q.Q5_K),
        ("0.self_attn.v", Q.Q6_K),
        ("0.mlp.gate", Q.Q4_K),
        ("0.mlp.up", Q.Q3_K),
        ("0.mlp.down", Q.Q2_K),
        ("1.self_attn.v", Q.Q6_K),
        ("1.mlp.down", Q.Q6_K),
        ("embed", Q.Q6_K),
        ("", Q.Q4_K),
    ]
    mix = [
        ("embed", Q.Q5_0),
        ("lm_head", Q.Q8_0),
        ("v_proj", Q.Q8_0),
        ("down", Q.F16),
        ("up", Q.Q5_1),
        ("gate", Q.BF16),
        ("", Q.Q5_0),
    ]
    # Every codebook, most in both layers.
    books = [
        ("0.self_attn.q", Q.IQ2_XXS),
        ("0.self_attn.k", Q.IQ2_XS),
        ("0.self_attn.v", Q.IQ3_S),
        ("0.self_attn.o", Q.IQ2_S),
        ("0.mlp.gate", Q.IQ1_S),
        ("0.mlp.up", Q.IQ3_XXS),
        ("0.mlp.down", Q.IQ1_M),
        ("1.self_attn.q", Q.IQ1_M),
        ("1.self_attn.k", Q.IQ3_XXS),
        ("1.self_attn.v", Q.IQ2_S),
        ("1.self_attn.o", Q.IQ4_XS),
        ("1.mlp.gate", Q.IQ2_XXS),
        ("1.mlp.up", Q.IQ1_S),
        ("1.mlp.down", Q.IQ3_S),
        ("embed", Q.IQ4_XS),
        ("", Q.IQ2_XS),
    ]
    # transformers does not apply Gemma 3's cap of scores, so there is none.
    caps = {"final_logit_softcapping": 6.0, "num_hidden_layers": 3}
    kinds_of_layer = ["sliding_attention", "full_attention", "sliding_attention"]
    return [
        Tiny("gemma3-bf16", pieces, BASE | GEMMA | caps, torch.bfloat16, extra={"layer_types": kinds_of_layer}),
        Tiny(
            "gemma3-q8_0.gguf", pieces, BASE | GEMMA | {"num_hidden_layers": 6, "rope_scaling": LINEAR}, [("", Q.Q8_0)]
        ),
        Tiny(
            "llama-bf16",
            llama,
            BASE
            | {"model_type": "llama", "rope_scaling": LLAMA3, "tie_word_embeddings": True, "intermediate_size": 48},
            torch.bfloat16,
            chat=CHAT,
        ),
        Tiny(
            "llama-f32.gguf",
            llama,
            BASE
            | {"model_type": "llama", "rope_scaling": LLAMA3, "tie_word_embeddings": True, "intermediate_size": 48},
            [("", Q.F32)],
        ),
        Tiny(
            "llama-q4.gguf",
            gpt2,
            BASE | {"model_type": "llama", "rope_scaling": LINEAR},
            [("embed", Q.Q8_0), ("lm_head", Q.Q4_0), ("self_attn", Q.Q4_0), ("", Q.Q4_1)],
        ),
        Tiny(
            "qwen2-f16",
            qwen,
            BASE | {"model_type": "qwen2", "tie_word_embeddings": True, "intermediate_size": 32, "vocab_size": 352},
            torch.float16,
            biases=qkv,
        ),
        Tiny("qwen2-mix.gguf", qwen, BASE | {"model_type": "qwen2", "rope_theta": 1e6}, mix, biases=qkv),
        Tiny(
            "qwen3-f32",
            qwen,
            BASE | {"model_type": "qwen3", "hidden_size": 32, "intermediate_size": 48, "head_dim": 32},
            torch.float32,
            shards=2,
        ),
        Tiny("qwen3-k.gguf", qwen, BASE | wide | {"model_type": "qwen3", "tie_word_embeddings": True}, kinds),
        Tiny(
            "qwen2-yarn",
            qwen,
            BASE | {"model_type": "qwen2", "tie_word_embeddings": True, "intermediate_size": 32, "rope_theta": None},
            torch.float16,
            biases=qkv,
            extra={"rope_parameters": YARN | {"rope_theta": 1000.0, "beta_fast": 4.0, "attention_factor": 1.2}},
        ),
        Tiny(
            "qwen3-yarn.gguf",
            qwen,
            BASE | {"model_type": "qwen3", "tie_word_embeddings": True, "rope_scaling": YARN},
            [("", Q.Q8_0)],
        ),
        Tiny(
            "qwen3-iq.gguf",
            qwen,
            BASE | wide | {"model_type": "qwen3", "num_attention_heads": 8, "tie_word_embeddings": True},
            books,
        ),
    ]


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    os.makedirs(HERE)
    models = all_of_them()
    for seed, tiny in enumerate(models):
        make(tiny, seed)
    texts = {tiny.name: [[text, tiny.vocabulary.encode(text)] for text in SAMPLES] for tiny in models}
    with open(os.path.join(HERE, "texts.json"), "w") as f:
        json.dump(texts, f, indent=None, separators=(",", ":"))
        f.write("\n")
