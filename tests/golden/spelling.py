"""The two spellings of a model, the hub's and GGUF's, and the way from one to the other.

What it is: names of tensors and settings side by side, and the changes that GGUF's conversion makes to weights: rows
of Llama's queries and keys are reordered for pairs that are neighbours, Gemma's norms have one added, Llama 3's
frequency ramp becomes a tensor, experts are stacked, a latent's keys and values lie apart. Weights here are in the
hub's names with experts and latents as GGUF has them: `model.layers.0.mlp.experts.gate_proj.weight` is (experts, out,
in). `apart` makes the hub's files of that, `joined` what `transformers` holds. What it is not: arithmetic of a network;
that is left to `transformers`.
"""

import gguf
import numpy as np

# Hub, GGUF; {} is the layer.
TENSORS = [
    ("lm_head", "output"),
    ("model.embed_tokens", "token_embd"),
    ("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    ("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
    ("model.layers.{}.mlp.experts.down_proj", "blk.{}.ffn_down_exps"),
    ("model.layers.{}.mlp.experts.gate_proj", "blk.{}.ffn_gate_exps"),
    ("model.layers.{}.mlp.experts.up_proj", "blk.{}.ffn_up_exps"),
    ("model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp"),
    ("model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"),
    ("model.layers.{}.mlp.router", "blk.{}.ffn_gate_inp"),
    ("model.layers.{}.mlp.shared_expert.down_proj", "blk.{}.ffn_down_shexp"),
    ("model.layers.{}.mlp.shared_expert.gate_proj", "blk.{}.ffn_gate_shexp"),
    ("model.layers.{}.mlp.shared_expert.up_proj", "blk.{}.ffn_up_shexp"),
    ("model.layers.{}.mlp.shared_expert_gate", "blk.{}.ffn_gate_inp_shexp"),
    ("model.layers.{}.mlp.shared_experts.down_proj", "blk.{}.ffn_down_shexp"),
    ("model.layers.{}.mlp.shared_experts.gate_proj", "blk.{}.ffn_gate_shexp"),
    ("model.layers.{}.mlp.shared_experts.up_proj", "blk.{}.ffn_up_shexp"),
    ("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
    ("model.layers.{}.self_attn.k_b_proj", "blk.{}.attn_k_b"),
    ("model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
    ("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"),
    ("model.layers.{}.self_attn.kv_a_layernorm", "blk.{}.attn_kv_a_norm"),
    ("model.layers.{}.self_attn.kv_a_proj_with_mqa", "blk.{}.attn_kv_a_mqa"),
    ("model.layers.{}.self_attn.kv_b_proj", "blk.{}.attn_kv_b"),
    ("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
    ("model.layers.{}.self_attn.q_a_layernorm", "blk.{}.attn_q_a_norm"),
    ("model.layers.{}.self_attn.q_a_proj", "blk.{}.attn_q_a"),
    ("model.layers.{}.self_attn.q_b_proj", "blk.{}.attn_q_b"),
    ("model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
    ("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"),
    ("model.layers.{}.self_attn.v_b_proj", "blk.{}.attn_v_b"),
    ("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
    ("model.norm", "output_norm"),
]
# Names whose endings differ too.
WHOLE = [
    ("model.layers.{}.mlp.gate.e_score_correction_bias", "blk.{}.exp_probs_b.bias"),
    ("model.layers.{}.self_attn.sinks", "blk.{}.attn_sinks.weight"),
]
PLAIN = [("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm")]
SANDWICH = [
    ("model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
    ("model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"),
    ("model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm"),
]
SINKS = [("model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm")]
NORMS = {"gemma3": SANDWICH, "gpt-oss": SINKS}
# Mixtral's matrices of an expert.
MIXTRAL = {"mlp.": "block_sparse_moe.", "gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}

# Hub, GGUF without the architecture's prefix.
SETTINGS = [
    ("attn_logit_softcapping", "attn_logit_softcapping"),
    ("final_logit_softcapping", "final_logit_softcapping"),
    ("first_k_dense_replace", "leading_dense_block_count"),
    ("head_dim", "attention.key_length"),
    ("head_dim", "attention.value_length"),
    ("head_dim", "rope.dimension_count"),
    ("hidden_act", "hidden_activation"),
    ("hidden_size", "embedding_length"),
    ("intermediate_size", "feed_forward_length"),
    ("kv_lora_rank", "attention.kv_lora_rank"),
    ("max_position_embeddings", "context_length"),
    ("moe_intermediate_size", "expert_feed_forward_length"),
    ("n_group", "expert_group_count"),
    ("n_routed_experts", "expert_count"),
    ("n_shared_experts", "expert_shared_count"),
    ("num_attention_heads", "attention.head_count"),
    ("num_experts", "expert_count"),
    ("num_experts_per_tok", "expert_used_count"),
    ("num_hidden_layers", "block_count"),
    ("num_key_value_heads", "attention.head_count_kv"),
    ("num_local_experts", "expert_count"),
    ("q_lora_rank", "attention.q_lora_rank"),
    ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
    ("rope_theta", "rope.freq_base"),
    ("routed_scaling_factor", "expert_weights_scale"),
    ("shared_expert_intermediate_size", "expert_shared_feed_forward_length"),
    ("sliding_window", "attention.sliding_window"),
    ("topk_group", "expert_group_used_count"),
    ("vocab_size", "vocab_size"),
]
ARCHITECTURES = {"gemma3": "gemma3_text", "llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
# The hub's name -> GGUF's, of models with experts; more than one may have GGUF's name.
EXPERTS = {
    "deepseek_v2": "deepseek2",
    "deepseek_v3": "deepseek2",
    "gpt_oss": "gpt-oss",
    "mixtral": "llama",
    "olmoe": "olmoe",
    "qwen2_moe": "qwen2moe",
    "qwen3_moe": "qwen3moe",
}


def architecture(kind: str) -> str:
    """GGUF's name for the hub's `model_type`."""
    return EXPERTS.get(kind) or next(ours for ours, hub in ARCHITECTURES.items() if hub == kind)


def names(arch: str, layers: int) -> dict[str, str]:
    """Hub's name -> GGUF's name, weights and biases of every layer."""
    ends = ("weight", "bias")
    table = [(f"{hub}.{end}", f"{ours}.{end}") for hub, ours in TENSORS + NORMS.get(arch, PLAIN) for end in ends]
    return {hub.replace("{}", str(i)): ours.replace("{}", str(i)) for hub, ours in table + WHOLE for i in range(layers)}


def head_dim(config: dict) -> int:
    """Width of a head, which some configurations do not say."""
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def experts_of(config: dict) -> int:
    """How many experts a layer has; 0 where it is dense."""
    return next((config[k] for k in ("num_experts", "num_local_experts", "n_routed_experts") if k in config), 0)


def is_whole(config: dict) -> bool:
    """Whether a latent's keys and values come from one tensor, as in older files."""
    return config.get("kv_b_whole", False)


def latent(config: dict) -> dict[str, int | bool]:
    """GGUF's settings of a model whose keys and values are latents, which it reads as one wide head; not in older files."""
    if "kv_lora_rank" not in config:
        return {}
    rank, turned = config["kv_lora_rank"], config["qk_rope_head_dim"]
    key, value = config["qk_nope_head_dim"] + turned, config["v_head_dim"]
    gating = {"sigmoid": gguf.ExpertGatingFuncType.SIGMOID, "softmax": gguf.ExpertGatingFuncType.SOFTMAX}
    widths = {
        "attention.head_count_kv": 1,
        "attention.key_length": rank + turned,
        "attention.key_length_mla": key,
        "attention.value_length": rank,
        "attention.value_length_mla": value,
        "expert_gating_func": int(gating[config["scoring_func"]]),
    }
    if is_whole(config):
        widths = {"attention.key_length": key, "attention.value_length": value}
    norm = {"expert_weights_norm": True} if config["norm_topk_prob"] else {}
    return widths | {"rope.dimension_count": turned} | norm


def apart(weights: dict[str, np.ndarray], config: dict) -> dict[str, np.ndarray]:
    """Weights as the hub's files have them: a tensor for each expert."""
    out = {}
    for name, w in weights.items():
        for plain, other in MIXTRAL.items() if config["model_type"] == "mixtral" else ():
            name = name.replace(plain, other)
        front, stack, back = name.partition(".experts.")
        out |= {f"{front}.experts.{e}.{back}": m for e, m in enumerate(w)} if stack else {name: w}
    return out


def joined(weights: dict[str, np.ndarray], config: dict) -> dict[str, np.ndarray]:
    """Weights as `transformers` holds them: an expert's gate and up in one tensor, a latent's keys and values too."""
    out = {}
    for name, w in weights.items():
        if ".experts." in name and config["model_type"] == "gpt_oss":
            out |= turned_stack(name, weights)
        elif ".experts.gate_proj." in name:
            up = weights[name.replace("gate_proj", "up_proj")]
            out[name.replace("gate_proj.weight", "gate_up_proj")] = np.concatenate([w, up], 1)
        elif ".experts.down_proj." in name:
            out[name.removesuffix(".weight")] = w
        elif ".k_b_proj." in name:
            both = np.concatenate([w.swapaxes(1, 2), weights[name.replace("k_b", "v_b")]], 1)
            out[name.replace("k_b", "kv_b")] = both.reshape(-1, both.shape[2])
        elif ".experts.up_proj." not in name and ".v_b_proj." not in name:
            out[name] = w
    return out


def turned_stack(name: str, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """gpt-oss's experts: matrices lie (in, out), and rows of gate and up alternate."""
    if ".up_proj." in name:
        return {}
    w = weights[name]
    if ".gate_proj." in name:
        up = weights[name.replace("gate_proj", "up_proj")]
        w = np.stack([w, up], 2).reshape(len(w), -1, *w.shape[2:])
    name = name.replace("gate_proj", "gate_up_proj")
    if name.endswith("bias"):
        return {name.replace(".bias", "_bias"): w}
    return {name.removesuffix(".weight"): np.ascontiguousarray(w.swapaxes(1, 2))}


def heads_of(name: str, config: dict) -> int | None:
    """How many heads' rows GGUF reorders in this tensor of the hub; None where it does not."""
    if config["model_type"] not in ("llama", "mixtral"):
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
