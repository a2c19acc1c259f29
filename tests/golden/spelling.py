"""The two spellings of a model, the hub's and GGUF's, and the way from one to the other.

What it is: names of tensors and settings side by side, and the three changes that GGUF's conversion makes to
weights: rows of Llama's queries and keys are reordered for pairs that are neighbours, Gemma's norms have one added,
Llama 3's frequency ramp becomes a tensor. What it is not: arithmetic of a network; that is left to `transformers`.
"""

import gguf
import numpy as np

# Hub, GGUF; {} is the layer.
TENSORS = [
    ("lm_head", "output"),
    ("model.embed_tokens", "token_embd"),
    ("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    ("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
    ("model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"),
    ("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
    ("model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
    ("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"),
    ("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
    ("model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
    ("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"),
    ("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
    ("model.norm", "output_norm"),
]
PLAIN = [("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm")]
SANDWICH = [
    ("model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
    ("model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"),
    ("model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm"),
]

# Hub, GGUF without the architecture's prefix.
SETTINGS = [
    ("attn_logit_softcapping", "attn_logit_softcapping"),
    ("final_logit_softcapping", "final_logit_softcapping"),
    ("head_dim", "attention.key_length"),
    ("head_dim", "attention.value_length"),
    ("head_dim", "rope.dimension_count"),
    ("hidden_size", "embedding_length"),
    ("intermediate_size", "feed_forward_length"),
    ("max_position_embeddings", "context_length"),
    ("num_attention_heads", "attention.head_count"),
    ("num_hidden_layers", "block_count"),
    ("num_key_value_heads", "attention.head_count_kv"),
    ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
    ("rope_theta", "rope.freq_base"),
    ("sliding_window", "attention.sliding_window"),
    ("vocab_size", "vocab_size"),
]
ARCHITECTURES = {"gemma3": "gemma3_text", "llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}


def names(arch: str, layers: int) -> dict[str, str]:
    """Hub's name -> GGUF's name, weights and biases of every layer."""
    table = TENSORS + (SANDWICH if arch == "gemma3" else PLAIN)
    return {
        f"{hub}.{kind}".replace("{}", str(i)): f"{ours}.{kind}".replace("{}", str(i))
        for hub, ours in table
        for kind in ("weight", "bias")
        for i in range(layers)
    }


def heads_of(name: str, config: dict) -> int | None:
    """How many heads' rows GGUF reorders in this tensor of the hub; None where it does not."""
    if config["model_type"] != "llama":
        return None
    if "q_proj" in name:
        return config["num_attention_heads"]
    return config["num_key_value_heads"] if "k_proj" in name else None


def neighbours(w: np.ndarray, heads: int) -> np.ndarray:
    """Rows (heads, 2, half) -> (heads, half, 2): pairs of RoPE become neighbours."""
    return w.reshape(heads, 2, -1, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def halves(w: np.ndarray, heads: int) -> np.ndarray:
    """The way back: rows (heads, half, 2) -> (heads, 2, half)."""
    return w.reshape(heads, -1, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def is_gemma_norm(name: str, config: dict) -> bool:
    """Whether the hub stores this tensor as w - 1 and GGUF as w."""
    return config["model_type"] == "gemma3_text" and "norm" in name


def llama3_factors(config: dict) -> np.ndarray | None:
    """What each frequency of RoPE is divided by (head_dim / 2), for Llama 3's ramp over wavelengths."""
    ramp = config.get("rope_scaling") or {}
    if ramp.get("rope_type") != "llama3":
        return None
    half = config["head_dim"] // 2
    wavelength = 2 * np.pi * config["rope_theta"] ** (np.arange(half) / half)
    turns = ramp["original_max_position_embeddings"] / wavelength
    low, high, factor = ramp["low_freq_factor"], ramp["high_freq_factor"], ramp["factor"]
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1.0 / ((1.0 - smooth) / factor + smooth)).astype(np.float32)


def from_gguf(reader: gguf.GGUFReader) -> tuple[dict, dict[str, np.ndarray]]:
    """A file's settings as config.json has them, and its weights, dequantised to float32, under the hub's names."""

    def get(key: str):
        return reader.fields[key].contents() if key in reader.fields else None

    arch = get("general.architecture")
    config = {"model_type": ARCHITECTURES[arch]}
    for hub, ours in SETTINGS:
        if (value := get(f"{arch}.{ours}")) is not None:
            config[hub] = value
    config.setdefault("head_dim", config["hidden_size"] // config["num_attention_heads"])
    config.setdefault("vocab_size", len(get("tokenizer.ggml.tokens")))
    if arch == "gemma3":
        config |= {"query_pre_attn_scalar": config["head_dim"], "rope_local_base_freq": 10000.0}
    if get(f"{arch}.rope.scaling.type") == "linear":
        config["rope_scaling"] = {"rope_type": "linear", "factor": get(f"{arch}.rope.scaling.factor")}
    tensors = {t.name: t for t in reader.tensors}
    config["tie_word_embeddings"] = "output.weight" not in tensors
    weights = {}
    for hub, ours in names(arch, config["num_hidden_layers"]).items():
        if (t := tensors.get(ours)) is None:
            continue
        w = gguf.quants.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1]).astype(np.float32)
        if heads := heads_of(hub, config):
            w = halves(w, heads)
        weights[hub] = w - 1 if is_gemma_norm(hub, config) else w
    return config, weights
