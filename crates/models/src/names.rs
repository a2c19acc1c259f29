//! Names of tensors: GGUF's and the hub's spelling side by side.

use crate::Error;
use formats::{Format, ModelFile};
use graph::Weight;

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    AttentionNorm,
    AttentionOut,
    Down,
    Embedding,
    FeedForwardNorm,
    Gate,
    Head,
    Key,
    KeyNorm,
    OutputNorm,
    PostAttentionNorm,
    PostFeedForwardNorm,
    Query,
    QueryNorm,
    RopeFactors,
    Up,
    Value,
}

/// Role, GGUF's name, the hub's name. `{}` stands for the layer's number; a bias ends in `.bias`.
const NAMES: &[(Role, &str, &str)] = &[
    (Role::AttentionNorm, "blk.{}.attn_norm", "model.layers.{}.input_layernorm"),
    (Role::AttentionOut, "blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"),
    (Role::Down, "blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"),
    (Role::Embedding, "token_embd", "model.embed_tokens"),
    (Role::FeedForwardNorm, "blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"),
    (Role::Gate, "blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"),
    (Role::Head, "output", "lm_head"),
    (Role::Key, "blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"),
    (Role::KeyNorm, "blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"),
    (Role::OutputNorm, "output_norm", "model.norm"),
    (Role::PostAttentionNorm, "blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"),
    (Role::PostFeedForwardNorm, "blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm"),
    (Role::Query, "blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"),
    (Role::QueryNorm, "blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"),
    (Role::RopeFactors, "rope_freqs", "rope_freqs"),
    (Role::Up, "blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"),
    (Role::Value, "blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"),
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
    fn name(&self, role: Role, layer: u32, suffix: &str) -> String {
        let row = NAMES.iter().find(|row| row.0 == role);
        let (gguf, hub) = row.map_or(("", ""), |row| (row.1, row.2));
        let pattern = match self.file.format {
            Format::Gguf { .. } => gguf,
            _ if self.sandwich && role == Role::FeedForwardNorm => FEED_FORWARD_NORM_OF_SANDWICH,
            _ => hub,
        };
        format!("{}.{suffix}", pattern.replacen("{}", &layer.to_string(), 1))
    }

    /// The tensor, if the file has it; `suffix` is `weight` or `bias`.
    pub fn find(&self, role: Role, layer: u32, suffix: &str) -> Option<Weight> {
        self.named(self.name(role, layer, suffix)).ok()
    }

    /// The tensor's weight, or an error that names it.
    pub fn get(&self, role: Role, layer: u32) -> Result<Weight, Error> {
        Ok(self.named(self.name(role, layer, "weight"))?)
    }

    fn named(&self, name: String) -> Result<Weight, formats::Error> {
        let info = self.file.tensor(&name)?;
        let tensor = self.file.tensor_index(&name).unwrap_or_default();
        Ok(Weight { name, tensor, dtype: info.dtype, shape: info.shape, offset: 0.0 })
    }
}
