"""Writes tiny/: seeded random models of every architecture as real files, and what `transformers` makes of them.

GGUF files and folders of config.json, tokenizer.json and safetensors; beside each a logits file (reference.py) of a
text that is longer than the window and than two tiles of 64 keys. The reference always computes with the weights
as they are stored: quantised blocks are decoded by the `gguf` package first. Queries and keys are scaled up, so that
a wrong position shows. Where experts are chosen, the text keeps clear of ties (routing.py). `make_tiny.py` makes all
models again, `make_tiny.py NAME...` those only.
"""

import json
import os
import shutil
import sys
from dataclasses import dataclass, field

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

import reference
import routing
import spelling
from vocabulary import SAMPLES, SIZE, ByteLevel, Pieces

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tiny")
Q = gguf.GGMLQuantizationType
# Bytes of a block where f16 scales lie, for random blocks; the IQ types that are not here have one at the start.
PLACES = {Q.Q2_K: [80, 82], Q.Q3_K: [108], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208], Q.IQ1_M: [None]}
CLASSES = {
    "gemma3_text": "Gemma3",
    "llama": "Llama",
    "mixtral": "Mixtral",
    "olmoe": "Olmoe",
    "qwen2": "Qwen2",
    "qwen2_moe": "Qwen2Moe",
    "qwen3": "Qwen3",
    "qwen3_moe": "Qwen3Moe",
}
# Parts of a model that are scaled up: positions show, and routers are decided.
LOUD = ["q_proj", "k_proj", "lm_head", "q_b_proj", "kv_a_proj", "gate.weight", "router", "experts.down"]
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
# As configurations that leave the width of a head to be worked out.
BARE = {k: v for k, v in BASE.items() if k != "head_dim"}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
RELU = {"model_type": "llama", "hidden_act": "relu", "intermediate_size": 128, "tie_word_embeddings": True}
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


QWEN3_MOE = {
    "model_type": "qwen3_moe",
    "moe_intermediate_size": 32,
    "norm_topk_prob": True,
    "num_experts": 8,
    "num_experts_per_tok": 2,
}
QWEN2_MOE = {
    "model_type": "qwen2_moe",
    "moe_intermediate_size": 32,
    "norm_topk_prob": False,
    "num_experts": 6,
    "num_experts_per_tok": 3,
    "shared_expert_intermediate_size": 64,
}
MIXTRAL = {"model_type": "mixtral", "num_experts_per_tok": 2, "num_local_experts": 4, "rope_theta": 1e6}
OLMOE = {
    "model_type": "olmoe",
    "intermediate_size": 32,
    "norm_topk_prob": False,
    "num_experts": 8,
    "num_experts_per_tok": 3,
    "num_key_value_heads": 4,
}
GPT_OSS = {
    "model_type": "gpt_oss",
    "intermediate_size": 32,
    "moe_intermediate_size": 32,
    "num_experts_per_tok": 2,
    "num_local_experts": 6,
    "rope_scaling": YARN | {"beta_fast": 32.0, "beta_slow": 1.0, "truncate": False},
    "rope_theta": 150000.0,
    "sliding_window": 32,
}
DEEPSEEK = {
    "first_k_dense_replace": 1,
    "kv_lora_rank": 32,
    "moe_intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "rms_norm_eps": 1e-6,
    "v_head_dim": 32,
}
DEEPSEEK2 = DEEPSEEK | {
    "model_type": "deepseek_v2",
    "n_group": 1,
    "n_routed_experts": 6,
    "n_shared_experts": 2,
    "norm_topk_prob": False,
    "num_experts_per_tok": 3,
    "q_lora_rank": None,
    "rope_scaling": YARN | {"beta_fast": 32.0, "beta_slow": 1.0, "mscale": 0.707, "mscale_all_dim": 0.707},
    "routed_scaling_factor": 1.5,
    "scoring_func": "softmax",
    "topk_group": 1,
    "topk_method": "greedy",
}
# As files were made at first, and groups judged by their best.
GROUPED = {
    "kv_b_whole": True,
    "n_group": 3,
    "topk_group": 2,
    "topk_method": "group_limited_greedy",
    "v_head_dim": 16,
}
DEEPSEEK3 = DEEPSEEK | {
    "model_type": "deepseek_v3",
    "n_group": 4,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_experts_per_tok": 3,
    "num_nextn_predict_layers": 0,
    "q_lora_rank": 32,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "topk_group": 2,
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
    family: str = "tiny"


def attention(c: dict) -> dict[str, tuple[int, ...]]:
    """Matrices of a layer's attention, by what stands after `self_attn.`."""
    d, h, hd = c["hidden_size"], c["num_attention_heads"], spelling.head_dim(c)
    if (rank := c.get("kv_lora_rank")) is None:
        q, kv = h * hd, c["num_key_value_heads"] * hd
        return {"q_proj.weight": (q, d), "k_proj.weight": (kv, d), "v_proj.weight": (kv, d), "o_proj.weight": (d, q)}
    still, turned, v = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
    if (narrow := c.get("q_lora_rank")) is None:
        out = {"q_proj.weight": (h * (still + turned), d)}
    else:
        out = {"q_a_proj.weight": (narrow, d), "q_a_layernorm.weight": (narrow,)}
        out |= {"q_b_proj.weight": (h * (still + turned), narrow)}
    out |= {"kv_a_proj_with_mqa.weight": (rank + turned, d), "kv_a_layernorm.weight": (rank,)}
    if spelling.is_whole(c):
        out["kv_b_proj.weight"] = (h * (still + v), rank)
    else:
        out |= {"k_b_proj.weight": (h, rank, still), "v_b_proj.weight": (h, v, rank)}
    return out | {"o_proj.weight": (d, h * v)}


def feed_forward(c: dict, layer: int) -> dict[str, tuple[int, ...]]:
    """Matrices of a layer's feed-forward part, by what stands after `mlp.`."""
    d, n, kind = c["hidden_size"], spelling.experts_of(c), c["model_type"]

    def gated(part: str, f: int, *stack: int) -> dict[str, tuple[int, ...]]:
        ins = {f"{part}{name}_proj.weight": (*stack, f, d) for name in ("gate", "up")}
        return ins | {f"{part}down_proj.weight": (*stack, d, f)}

    if n == 0 or layer < c.get("first_k_dense_replace", 0):
        return gated("", c["intermediate_size"])
    f = c.get("moe_intermediate_size", c["intermediate_size"])
    router = "router" if kind == "gpt_oss" else "gate"
    out = {f"{router}.weight": (n, d)} | gated("experts.", f, n)
    if kind == "gpt_oss":
        out |= {f"{name.removesuffix('weight')}bias": shape[:-1] for name, shape in out.items()}
    if kind == "qwen2_moe":
        out |= gated("shared_expert.", c["shared_expert_intermediate_size"]) | {"shared_expert_gate.weight": (1, d)}
    if kind in ("deepseek_v2", "deepseek_v3"):
        out |= gated("shared_experts.", c["n_shared_experts"] * f)
    return out | ({"gate.e_score_correction_bias": (n,)} if kind == "deepseek_v3" else {})


def shapes(tiny: Tiny) -> dict[str, tuple[int, ...]]:
    """The hub's names, but stacks of experts (spelling.py) -> shapes, as the architecture asks for."""
    c = tiny.config
    d, hd, kind = c["hidden_size"], spelling.head_dim(c), c["model_type"]
    q, kv = c["num_attention_heads"] * hd, c["num_key_value_heads"] * hd
    out = {"model.embed_tokens.weight": (c["vocab_size"], d), "model.norm.weight": (d,)}
    if not c["tie_word_embeddings"]:
        out["lm_head.weight"] = (c["vocab_size"], d)
    gemma = kind == "gemma3_text"
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        out |= {f"{p}self_attn.{name}": shape for name, shape in attention(c).items()}
        out |= {f"{p}mlp.{name}": shape for name, shape in feed_forward(c, i).items()}
        out |= {p + "input_layernorm.weight": (d,), p + "post_attention_layernorm.weight": (d,)}
        if gemma:
            out |= {p + "pre_feedforward_layernorm.weight": (d,), p + "post_feedforward_layernorm.weight": (d,)}
        if gemma or kind in ("qwen3", "qwen3_moe"):
            out |= {p + "self_attn.q_norm.weight": (hd,), p + "self_attn.k_norm.weight": (hd,)}
        if kind == "olmoe":
            out |= {p + "self_attn.q_norm.weight": (q,), p + "self_attn.k_norm.weight": (kv,)}
        if kind == "gpt_oss":
            out[p + "self_attn.sinks"] = (c["num_attention_heads"],)
        out |= {f"{p}self_attn.{b}.bias": ({"q_proj": q, "o_proj": d}.get(b, kv),) for b in tiny.biases}
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
        return np.float32(0.1 if "correction" in name else 0.3) * x
    if name.endswith("sinks"):
        return np.float32(1) + x
    gain = 2.0 if any(part in name for part in LOUD) else 1.0
    if config["model_type"] == "gpt_oss" and "experts." in name:
        gain = 0.3 if "down" in name else 3.0  # Some values meet the activation's limits.
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


def random_blocks(kind: Q, shape: tuple[int, ...], std: float, rng: np.random.Generator) -> np.ndarray:
    """Rows of a type that the `gguf` package can only decode: any bits are valid, the scales are set."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    count = int(np.prod(shape)) // elements
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
    return blocks.reshape(*shape[:-1], -1)


def encode(kind: Q, w: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A tensor's bytes as GGUF stores them."""
    if kind in PLACES or kind.name.startswith("IQ"):
        return random_blocks(kind, w.shape, float(w.std()), rng)
    return gguf.quants.quantize(w, kind)


def type_of(tiny: Tiny, name: str, shape: tuple[int, ...]) -> Q:
    if len(shape) == 1 or name.endswith("bias") or "gate.weight" in name or "router" in name:
        return Q.F32
    kind = next(kind for part, kind in tiny.types if part in name)
    return kind if shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] == 0 else Q.Q8_0


def write_gguf(tiny: Tiny, weights: dict[str, np.ndarray], path: str, rng: np.random.Generator) -> dict:
    """Writes the file; returns the weights as they are stored in it."""
    c = tiny.config
    arch = spelling.architecture(c["model_type"])
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name(f"pintpot {tiny.family} {tiny.name}")
    settings = {ours: c[hub] for hub, ours in spelling.SETTINGS if c.get(hub) is not None} | spelling.latent(c)
    for name, value in settings.items():
        puts = {bool: writer.add_bool, float: writer.add_float32, int: writer.add_uint32, str: writer.add_string}
        puts[type(value)](f"{arch}.{name}", value)
    if c.get("rope_scaling") == LINEAR:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(LINEAR["factor"])
    if (yarn := c.get("rope_scaling") or {}).get("rope_type") == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(yarn["factor"])
        writer.add_rope_scaling_orig_ctx_len(yarn["original_max_position_embeddings"])
        if "beta_fast" in yarn:
            writer.add_rope_scaling_yarn_beta_fast(yarn["beta_fast"])
            writer.add_rope_scaling_yarn_beta_slow(yarn["beta_slow"])
        if "mscale_all_dim" in yarn:
            writer.add_rope_scaling_yarn_log_mul(0.1 * yarn["mscale_all_dim"])
    tiny.vocabulary.to_gguf(writer)
    if (factors := spelling.llama3_factors(c)) is not None:
        writer.add_tensor("rope_freqs.weight", factors)
    stored, table = {}, spelling.names(arch, c["num_hidden_layers"])
    for hub, w in weights.items():
        kind, heads, shape = type_of(tiny, hub, w.shape), spelling.heads_of(hub, c), w.shape
        w = w[0] if shape[0] == 1 else w
        w = w + 1 if spelling.is_gemma_norm(hub, c) else w
        data = encode(kind, spelling.neighbours(w, heads) if heads else w, rng)
        writer.add_tensor(table[hub], data, raw_dtype=kind)
        w = gguf.quants.dequantize(data, kind).reshape(shape)
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
    config = {
        "architectures": [CLASSES[tiny.config["model_type"]] + "ForCausalLM"],
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
    files = spelling.apart(weights, tiny.config)
    tensors = {name: torch.from_numpy(w).to(tiny.types) for name, w in files.items()}
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
        stored = write_gguf(tiny, weights, path, rng)
        model = reference.load(tiny.config, spelling.joined(stored, tiny.config))
    note = ""
    if spelling.experts_of(tiny.config):
        ids = routing.decisive(model, ids, rng, 4, SIZE - 4)
        note = routing.report(model, ids)
    rows = reference.logits(model, ids)
    assert np.isfinite(rows).all()
    reference.write(path + ".logits", ids, rows, KEPT, model=tiny.name)
    print(f"{tiny.name:20} logits std {rows.std():.2f}, median margin {np.median(reference.margins(rows)):.2f}{note}")


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
        *with_experts(gpt2, llama, qwen),
        Tiny("llama-relu-f16", llama, BASE | RELU, torch.float16),
    ]


def with_experts(gpt2: ByteLevel, llama: ByteLevel, qwen: ByteLevel) -> list[Tiny]:
    qkv = ("q_proj", "k_proj", "v_proj")
    # Three experts, for 256 values is the least that a row of these types has.
    wide = {"hidden_size": 256, "intermediate_size": 256, "num_local_experts": 3}
    kinds = [
        ("0.self_attn", Q.Q5_K),
        ("0.mlp.experts.down", Q.Q6_K),
        ("1.mlp.experts.gate", Q.Q2_K),
        ("1.mlp.experts.up", Q.Q2_K),
        ("1.mlp.experts.down", Q.Q3_K),
        ("", Q.Q4_K),
    ]
    return [
        Tiny(
            "qwen3moe-q4.gguf",
            qwen,
            BASE | QWEN3_MOE,
            [("1.mlp.experts.down", Q.Q8_0), ("experts", Q.Q4_0), ("", Q.Q8_0)],
        ),
        Tiny("qwen3moe-bf16", qwen, BASE | QWEN3_MOE | {"tie_word_embeddings": True}, torch.bfloat16),
        Tiny("qwen2moe-q8_0.gguf", qwen, BARE | QWEN2_MOE, [("", Q.Q8_0)], biases=qkv),
        Tiny(
            "qwen2moe-f16",
            qwen,
            BARE
            | QWEN2_MOE
            | {"moe_intermediate_size": 24, "num_experts": 5, "num_experts_per_tok": 2}
            | {"shared_expert_intermediate_size": 40, "num_hidden_layers": 3},
            torch.float16,
            biases=qkv,
        ),
        Tiny("mixtral-k.gguf", llama, BASE | MIXTRAL | wide, kinds),
        Tiny("mixtral-f16", llama, BASE | MIXTRAL | {"intermediate_size": 48}, torch.float16),
        Tiny("olmoe-f16", gpt2, BARE | OLMOE | {"num_key_value_heads": 2}, torch.float16),
        Tiny(
            "olmoe-q5.gguf",
            gpt2,
            BARE | OLMOE,
            [("experts.gate", Q.Q5_0), ("experts.up", Q.Q5_1), ("0.mlp.experts.down", Q.Q5_1), ("experts", Q.Q5_0)]
            + [("", Q.Q8_0)],
        ),
        Tiny(
            "gpt-oss-mxfp4.gguf",
            gpt2,
            BASE | GPT_OSS,
            [("experts", Q.MXFP4), ("embed", Q.BF16), ("lm_head", Q.BF16), ("", Q.Q8_0)],
            biases=(*qkv, "o_proj"),
        ),
        Tiny("deepseek2-lite.gguf", llama, BARE | DEEPSEEK2, [("experts", Q.Q4_0), ("", Q.Q8_0)]),
        Tiny("deepseek3-tiny.gguf", llama, BARE | DEEPSEEK3, [("experts.down", Q.Q5_0), ("", Q.Q8_0)]),
        Tiny("deepseek2-whole.gguf", llama, BARE | DEEPSEEK2 | GROUPED, [("experts", Q.Q4_0), ("", Q.Q8_0)]),
    ]


def main(wanted: list[str]) -> None:
    models = all_of_them()
    assert set(wanted) <= {tiny.name for tiny in models}, wanted
    if not wanted:
        shutil.rmtree(HERE, ignore_errors=True)
    os.makedirs(HERE, exist_ok=True)
    for seed, tiny in enumerate(models):
        if not wanted or tiny.name in wanted:
            shutil.rmtree(os.path.join(HERE, tiny.name), ignore_errors=True)
            make(tiny, seed)
    texts = {tiny.name: [[text, tiny.vocabulary.encode(text)] for text in SAMPLES] for tiny in models}
    with open(os.path.join(HERE, "texts.json"), "w") as f:
        json.dump(texts, f, indent=None, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1:])
