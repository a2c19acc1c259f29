//! Names of tensors: GGUF's and the hub's spelling side by side.

use crate::Error;
use formats::{Format, ModelFile};
use graph::Weight;

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    AttentionNorm,
    AttentionOut,
    AttentionSinks,
    Down,
    DownRows,
    Embedding,
    ExpertChoice,
    ExpertDown,
    ExpertDownLow,
    ExpertGate,
    ExpertGateLow,
    ExpertUp,
    ExpertUpLow,
    FeedForwardNorm,
    Gate,
    GateThreshold,
    Head,
    Key,
    KeyNorm,
    KeyUp,
    KeyValueDown,
    KeyValueUp,
    LatentNorm,
    OutputNorm,
    PostAttentionNorm,
    PostFeedForwardNorm,
    Query,
    QueryDown,
    QueryDownNorm,
    QueryNorm,
    QueryUp,
    RopeFactors,
    Router,
    SharedDown,
    SharedGate,
    SharedRouter,
    SharedUp,
    Up,
    Value,
    ValueUp,
}

/// Role, GGUF's name, the hub's name. The first `{}` stands for the layer's number, a second one for the expert's; a bias
/// ends in `.bias`. A role may have several rows, the usual spelling first; an empty name is none.
const NAMES: &[(Role, &str, &str)] = &[
    (Role::AttentionNorm, "blk.{}.attn_norm", "model.layers.{}.input_layernorm"),
    (Role::AttentionOut, "blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"),
    (Role::AttentionSinks, "blk.{}.attn_sinks", "model.layers.{}.self_attn.sinks"),
    (Role::Down, "blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"),
    (Role::DownRows, "blk.{}.ffn_down_t", ""),
    (Role::Embedding, "token_embd", "model.embed_tokens"),
    (Role::ExpertChoice, "blk.{}.exp_probs_b", ""),
    (Role::ExpertDown, "blk.{}.ffn_down_exps", "model.layers.{}.mlp.experts.{}.down_proj"),
    (Role::ExpertDown, "blk.{}.ffn_down.{}", "model.layers.{}.block_sparse_moe.experts.{}.w2"),
    (Role::ExpertDownLow, "blk.{}.ffn_down_exps_low", ""),
    (Role::ExpertGate, "blk.{}.ffn_gate_exps", "model.layers.{}.mlp.experts.{}.gate_proj"),
    (Role::ExpertGate, "blk.{}.ffn_gate.{}", "model.layers.{}.block_sparse_moe.experts.{}.w1"),
    (Role::ExpertGateLow, "blk.{}.ffn_gate_exps_low", ""),
    (Role::ExpertUp, "blk.{}.ffn_up_exps", "model.layers.{}.mlp.experts.{}.up_proj"),
    (Role::ExpertUp, "blk.{}.ffn_up.{}", "model.layers.{}.block_sparse_moe.experts.{}.w3"),
    (Role::ExpertUpLow, "blk.{}.ffn_up_exps_low", ""),
    (Role::FeedForwardNorm, "blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"),
    (Role::FeedForwardNorm, "blk.{}.post_attention_norm", ""),
    (Role::Gate, "blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"),
    (Role::GateThreshold, "blk.{}.ffn_gate_threshold", ""),
    (Role::Head, "output", "lm_head"),
    (Role::Key, "blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"),
    (Role::KeyNorm, "blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"),
    (Role::KeyUp, "blk.{}.attn_k_b", ""),
    (Role::KeyValueDown, "blk.{}.attn_kv_a_mqa", "model.layers.{}.self_attn.kv_a_proj_with_mqa"),
    (Role::KeyValueUp, "blk.{}.attn_kv_b", "model.layers.{}.self_attn.kv_b_proj"),
    (Role::LatentNorm, "blk.{}.attn_kv_a_norm", "model.layers.{}.self_attn.kv_a_layernorm"),
    (Role::OutputNorm, "output_norm", "model.norm"),
    (Role::PostAttentionNorm, "blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"),
    (Role::PostFeedForwardNorm, "blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm"),
    (Role::Query, "blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"),
    (Role::QueryDown, "blk.{}.attn_q_a", "model.layers.{}.self_attn.q_a_proj"),
    (Role::QueryDownNorm, "blk.{}.attn_q_a_norm", "model.layers.{}.self_attn.q_a_layernorm"),
    (Role::QueryNorm, "blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"),
    (Role::QueryUp, "blk.{}.attn_q_b", "model.layers.{}.self_attn.q_b_proj"),
    (Role::RopeFactors, "rope_freqs", "rope_freqs"),
    (Role::Router, "blk.{}.ffn_gate_inp", "model.layers.{}.mlp.gate"),
    (Role::Router, "", "model.layers.{}.block_sparse_moe.gate"),
    (Role::SharedDown, "blk.{}.ffn_down_shexp", "model.layers.{}.mlp.shared_expert.down_proj"),
    (Role::SharedDown, "", "model.layers.{}.mlp.shared_experts.down_proj"),
    (Role::SharedGate, "blk.{}.ffn_gate_shexp", "model.layers.{}.mlp.shared_expert.gate_proj"),
    (Role::SharedGate, "", "model.layers.{}.mlp.shared_experts.gate_proj"),
    (Role::SharedRouter, "blk.{}.ffn_gate_inp_shexp", "model.layers.{}.mlp.shared_expert_gate"),
    (Role::SharedUp, "blk.{}.ffn_up_shexp", "model.layers.{}.mlp.shared_expert.up_proj"),
    (Role::SharedUp, "", "model.layers.{}.mlp.shared_experts.up_proj"),
    (Role::Up, "blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"),
    (Role::Value, "blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"),
    (Role::ValueUp, "blk.{}.attn_v_b", ""),
];

/// The norm before the feed-forward where the hub's models have norms after attention too.
const FEED_FORWARD_NORM_OF_SANDWICH: &str = "model.layers.{}.pre_feedforward_layernorm";

/// Finds the tensors of a file by role.
pub(crate) struct Tensors<'a> {
    pub file: &'a ModelFile,
    /// Whether layers have norms after attention and feed-forward as well.
    pub sandwich: bool,
}

impl Tensors<'_> {
    /// The names that a tensor may have, the usual one first.
    fn names(&self, role: Role, layer: u32, expert: u32, suffix: &str) -> impl Iterator<Item = String> {
        let gguf = matches!(self.file.format, Format::Gguf { .. });
        let sandwich = self.sandwich && role == Role::FeedForwardNorm && !gguf;
        let patterns = NAMES.iter().filter(move |row| row.0 == role).filter_map(move |row| match gguf {
            _ if sandwich => Some(FEED_FORWARD_NORM_OF_SANDWICH),
            true => Some(row.1).filter(|name| !name.is_empty()),
            false => Some(row.2).filter(|name| !name.is_empty()),
        });
        let (layer, expert) = (layer.to_string(), expert.to_string());
        patterns.map(move |pattern| {
            format!("{}.{suffix}", pattern.replacen("{}", &layer, 1).replacen("{}", &expert, 1))
        })
    }

    /// The tensor, if the file has it; `suffix` is `weight` or `bias`.
    pub fn find(&self, role: Role, layer: u32, suffix: &str) -> Option<Weight> {
        self.find_of(role, layer, 0, suffix)
    }

    /// As [`Tensors::find`], for a tensor that each expert has.
    pub fn find_of(&self, role: Role, layer: u32, expert: u32, suffix: &str) -> Option<Weight> {
        self.names(role, layer, expert, suffix).find_map(|name| self.named(name).ok())
    }

    /// The tensor's weight, or an error that names it.
    pub fn get(&self, role: Role, layer: u32) -> Result<Weight, Error> {
        self.get_of(role, layer, 0)
    }

    /// As [`Tensors::get`], for a tensor that each expert has.
    pub fn get_of(&self, role: Role, layer: u32, expert: u32) -> Result<Weight, Error> {
        match self.find_of(role, layer, expert, "weight") {
            Some(weight) => Ok(weight),
            None => Ok(self.named(self.names(role, layer, expert, "weight").next().unwrap_or_default())?),
        }
    }

    fn named(&self, name: String) -> Result<Weight, formats::Error> {
        let info = self.file.tensor(&name)?;
        let tensor = self.file.tensor_index(&name).unwrap_or_default();
        Ok(Weight { name, tensor, dtype: info.dtype, shape: info.shape, offset: 0.0 })
    }
}
