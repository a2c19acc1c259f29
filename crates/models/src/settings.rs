//! Settings of a model under both spellings: GGUF's `llama.block_count` and config.json's `num_hidden_layers`.

use crate::Error;
use formats::{Format, FromValue, ModelFile};

/// The settings of one file.
pub struct Settings<'a> {
    file: &'a ModelFile,
    prefix: &'a str,
}

/// One setting: its GGUF key without the architecture's prefix, and its key in config.json.
#[derive(Clone, Copy)]
pub(crate) struct Key(pub &'static str, pub &'static str);

pub(crate) const ACTIVATION: Key = Key("hidden_activation", "hidden_act");
pub(crate) const AWAKE: Key = Key("ffn_awake_share", "");
pub(crate) const CONTEXT: Key = Key("context_length", "max_position_embeddings");
pub(crate) const EXPERTS: Key = Key("expert_count", "num_local_experts");
pub(crate) const EXPERTS_USED: Key = Key("expert_used_count", "num_experts_per_tok");
pub(crate) const EXPERT_GROUPS: Key = Key("expert_group_count", "n_group");
pub(crate) const EXPERT_GROUPS_USED: Key = Key("expert_group_used_count", "topk_group");
pub(crate) const EXPERT_NORM: Key = Key("expert_weights_norm", "norm_topk_prob");
pub(crate) const EXPERT_SCALE: Key = Key("expert_weights_scale", "routed_scaling_factor");
pub(crate) const EXPERT_SCORE: Key = Key("expert_gating_func", "scoring_func");
pub(crate) const FINAL_SOFTCAP: Key = Key("final_logit_softcapping", "final_logit_softcapping");
pub(crate) const HEADS: Key = Key("attention.head_count", "num_attention_heads");
pub(crate) const HEAD_DIM: Key = Key("attention.key_length", "head_dim");
pub(crate) const KV_HEADS: Key = Key("attention.head_count_kv", "num_key_value_heads");
pub(crate) const LAYERS: Key = Key("block_count", "num_hidden_layers");
pub(crate) const LAYER_TYPES: Key = Key("attention.layer_types", "layer_types");
pub(crate) const NORM_EPS: Key = Key("attention.layer_norm_rms_epsilon", "rms_norm_eps");
pub(crate) const QUERY_SCALE: Key = Key("attention.query_pre_attn_scalar", "query_pre_attn_scalar");
pub(crate) const ROPE_BASE: Key = Key("rope.freq_base", "rope_theta");
pub(crate) const ROPE_BASE_LOCAL: Key = Key("rope.freq_base_swa", "rope_local_base_freq");
pub(crate) const ROPE_DIMS: Key = Key("rope.dimension_count", "rotary_dim");
pub(crate) const ROPE_FACTOR: Key = Key("rope.scaling.factor", "rope_scaling.factor");
pub(crate) const ROPE_TYPE: Key = Key("rope.scaling.type", "rope_scaling.rope_type");
pub(crate) const SCORE_SOFTCAP: Key = Key("attn_logit_softcapping", "attn_logit_softcapping");
pub(crate) const VALUE_DIM: Key = Key("attention.value_length", "v_head_dim");
pub(crate) const WIDTH: Key = Key("embedding_length", "hidden_size");
pub(crate) const WINDOW: Key = Key("attention.sliding_window", "sliding_window");
pub(crate) const WINDOW_PATTERN: Key = Key("attention.sliding_window_pattern", "sliding_window_pattern");

impl<'a> Settings<'a> {
    pub(crate) fn new(file: &'a ModelFile, prefix: &'a str) -> Settings<'a> {
        Settings { file, prefix }
    }

    /// Whether the file is GGUF, whose conversion has changed some weights (see each architecture).
    pub(crate) fn is_gguf(&self) -> bool {
        matches!(self.file.format, Format::Gguf { .. })
    }

    /// The key as this file spells it.
    pub(crate) fn spelled(&self, key: Key) -> String {
        if self.is_gguf() {
            return format!("{}.{}", self.prefix, key.0);
        }
        let is_there = |spelling: &String| self.file.metadata.value(spelling).is_some();
        spellings(key.1).into_iter().find(is_there).unwrap_or_else(|| key.1.to_string())
    }

    /// Whether the file says anything about it.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.file.metadata.value(&self.spelled(key)).is_some()
    }

    /// A setting that must be there.
    pub(crate) fn get<T: FromValue<'a>>(&self, key: Key) -> Result<T, Error> {
        Ok(self.file.metadata.get(&self.spelled(key))?)
    }

    /// A setting that may be absent.
    pub(crate) fn find<T: FromValue<'a>>(&self, key: Key) -> Result<Option<T>, Error> {
        Ok(self.file.metadata.find(&self.spelled(key))?)
    }

    /// A size that must be at least one.
    pub(crate) fn size(&self, key: Key) -> Result<u32, Error> {
        let value: u32 = self.get(key)?;
        if value == 0 {
            return Err(self.nonsense(key, value, "at least 1"));
        }
        Ok(value)
    }

    /// A factor that may be absent but must be a finite number above zero, as a float of 32 bits too.
    pub(crate) fn positive(&self, key: Key) -> Result<Option<f64>, Error> {
        let value: Option<f64> = self.find(key)?;
        match value {
            Some(value) if !(value as f32).is_normal() || value < 0.0 => {
                Err(self.nonsense(key, value, "a finite number above zero"))
            }
            other => Ok(other),
        }
    }

    /// An error for a setting whose value makes no sense.
    pub(crate) fn nonsense(&self, key: Key, value: impl ToString, expected: &'static str) -> Error {
        Error::Setting { key: self.spelled(key), value: value.to_string(), expected }
    }

    /// An error for a setting that asks for something not supported yet.
    pub(crate) fn unsupported(&self, key: Key, value: impl ToString) -> Error {
        Error::Unsupported { key: self.spelled(key), value: value.to_string() }
    }

    /// Refuses a file with experts.
    pub(crate) fn refuse_experts(&self) -> Result<(), Error> {
        match self.find::<u32>(EXPERTS)? {
            Some(n) if n > 0 => Err(self.unsupported(EXPERTS, n)),
            _ => Ok(()),
        }
    }
}

/// Ways in which configurations of different years say `key`, the plainest first.
fn spellings(key: &str) -> Vec<String> {
    let mut all = vec![key.to_string()];
    if let Some(part) = key.strip_prefix("rope_scaling.") {
        if part == "rope_type" {
            all.push("rope_scaling.type".to_string());
        }
        all.extend([format!("rope_parameters.{part}"), format!("rope_parameters.full_attention.{part}")]);
    } else if key == EXPERTS.1 {
        all.extend(["num_experts", "n_routed_experts"].map(str::to_string));
    } else if key == ROPE_BASE.1 {
        all.extend(["", "full_attention."].map(|of| format!("rope_parameters.{of}rope_theta")));
    } else if key == ROPE_BASE_LOCAL.1 {
        all.push("rope_parameters.sliding_attention.rope_theta".to_string());
    }
    all
}
