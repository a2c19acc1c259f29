//! Latent attention: keys and values of all heads come from one short row, which alone is kept (arXiv 2405.04434).
//!
//! A head's key has a part that a matrix makes of the latent and a part that is turned by position and the same for all
//! heads. Where the file has those matrices apart, queries go through the keys' matrix instead of keys, and results through
//! the values': all heads read one row, the latent and the turned part, whose beginning is their value too. Older files
//! have both matrices in one tensor, whose rows would have to be read across for that; there keys and values are made and
//! kept for each head, which takes several times the cache.

use crate::Error;
use crate::decoder::Builder;
use crate::names::Role;
use graph::op::{Concat, HeadLinear, Rope, Slice};
use graph::{State, StateKind, ValueId, Values};

/// What latent attention has besides heads, whose width is that of their queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatentSpec {
    /// Elements of the latent.
    pub rank: u32,
    /// Elements of a head's value.
    pub value_dim: u32,
}

/// What a row is before heads are looked at.
struct Parts {
    /// Queries that are not turned, (rows, heads * ...), and those that are, by as many columns as RoPE turns.
    queries: [ValueId; 2],
    /// The latent, (rows, rank).
    latent: ValueId,
    /// The part of the keys that is turned, (rows, turned).
    turned: ValueId,
}

impl Builder<'_> {
    /// Results of all heads, (rows, heads * value_dim).
    pub(crate) fn latent_attention(
        &mut self,
        latent: LatentSpec,
        layer: u32,
        h: ValueId,
    ) -> Result<ValueId, Error> {
        let parts = self.parts(latent, layer, h)?;
        match self.tensors.find(Role::KeyValueUp, layer, "weight") {
            Some(_) => self.each_with_keys(latent, layer, &parts),
            None => self.all_with_one_key(latent, layer, &parts),
        }
    }

    fn parts(&mut self, spec: LatentSpec, layer: u32, h: ValueId) -> Result<Parts, Error> {
        let (head_dim, turned) = (self.spec.head_dim, self.spec.rope.dims);
        let q = match self.tensors.find(Role::QueryDown, layer, "weight") {
            Some(_) => {
                let q = self.linear(Role::QueryDown, layer, h)?;
                let q = self.norm(Role::QueryDownNorm, layer, q)?;
                self.linear(Role::QueryUp, layer, q)?
            }
            None => self.linear(Role::Query, layer, h)?,
        };
        let row = self.linear(Role::KeyValueDown, layer, h)?;
        let table = self.angles(self.spec.rope)?;
        let turn = Rope { head_dim: turned, style: self.spec.rope.style };
        let still = head_dim - turned;
        let plain = self.graph.push(Slice { head_dim, first: 0, len: still }, &[q])?;
        let q = self.graph.push(Slice { head_dim, first: still, len: turned }, &[q])?;
        let q = self.graph.push(turn.clone(), &[q, table])?;
        let wide = spec.rank + turned;
        let latent = self.graph.push(Slice { head_dim: wide, first: 0, len: spec.rank }, &[row])?;
        let latent = self.norm(Role::LatentNorm, layer, latent)?;
        let k = self.graph.push(Slice { head_dim: wide, first: spec.rank, len: turned }, &[row])?;
        let k = self.graph.push(turn, &[k, table])?;
        Ok(Parts { queries: [plain, q], latent, turned: k })
    }

    /// Queries and results go through the matrices of their heads; one row is key and value of all.
    fn all_with_one_key(&mut self, spec: LatentSpec, layer: u32, parts: &Parts) -> Result<ValueId, Error> {
        let heads = self.spec.heads;
        let join = Concat { dims: [spec.rank, self.spec.rope.dims] };
        let key = self.graph.push(join.clone(), &[parts.latent, parts.turned])?;
        let weight = self.matrix(Role::KeyUp, layer)?;
        let q = self.graph.push(HeadLinear { weight, heads }, &[parts.queries[0]])?;
        let q = self.graph.push(join, &[q, parts.queries[1]])?;
        let (kind, head_dim) = (StateKind::Append, spec.rank + self.spec.rope.dims);
        let state = State { kind, kv_heads: 1, head_dim, values: Values::OfKeys(spec.rank) };
        let y = self.attend(state, layer, [q, key, key])?;
        let weight = self.matrix(Role::ValueUp, layer)?;
        Ok(self.graph.push(HeadLinear { weight, heads }, &[y])?)
    }

    /// Keys and values of each head are made of the latent.
    fn each_with_keys(&mut self, spec: LatentSpec, layer: u32, parts: &Parts) -> Result<ValueId, Error> {
        let (head_dim, turned) = (self.spec.head_dim, self.spec.rope.dims);
        let (still, value_dim) = (head_dim - turned, spec.value_dim);
        let both = self.linear(Role::KeyValueUp, layer, parts.latent)?;
        let wide = still + value_dim;
        let k = self.graph.push(Slice { head_dim: wide, first: 0, len: still }, &[both])?;
        let v = self.graph.push(Slice { head_dim: wide, first: still, len: value_dim }, &[both])?;
        let join = Concat { dims: [still, turned] };
        let k = self.graph.push(join.clone(), &[k, parts.turned])?;
        let q = self.graph.push(join, &parts.queries)?;
        let (kind, kv_heads) = (StateKind::Append, self.spec.heads);
        let state = State { kind, kv_heads, head_dim, values: Values::Own(value_dim) };
        self.attend(state, layer, [q, k, v])
    }
}
