//! How much each layer of a mixture minds that experts are left out.
//!
//! What it is: the divergence of answers when one layer alone leaves out its weak experts, over how much those counted, layer
//! by layer; a layer that minds less may leave out more, at the same loss (Zhong et al., "AdapMoE", arXiv 2408.10284, which
//! takes second derivatives of the loss for it; here it is measured). What it is not: a choice, which is the user's.

use crate::{Economy, Error, EvalOptions, Model};
use graph::Op;

/// What is left out to find out: experts that count for less than half of the strongest.
const PROBE: Economy = Economy { weak: 0.5, cold: 0.0, coarse: 0.0 };
/// How far from the others' the share of a layer may go.
const MOST: f64 = 4.0;

impl Model {
    /// How much each layer with experts minds what it leaves out, in nats for a weight of one of the strongest expert. The
    /// conversation is forgotten. A model without experts gives nothing.
    ///
    /// # Errors
    /// As [`Model::perplexity`].
    pub fn sensitivity(&mut self, ids: &[u32], options: &EvalOptions) -> Result<Vec<f64>, Error> {
        let routers = self.live.graph.nodes.iter().filter(|node| matches!(node.op, Op::Route(_)));
        let layers = routers.count();
        let mut found = Vec::with_capacity(layers);
        for layer in 0..layers {
            let alone = (0..layers).map(|other| if other == layer { 1.0 } else { 0.0 }).collect();
            self.executor.set_leniency(alone);
            let before = self.executor.stats().weight_skipped;
            let price = self.price(ids, options, PROBE);
            self.executor.set_leniency(Vec::new());
            let price = price?;
            let weight = self.executor.stats().weight_skipped - before;
            let of_token = weight / price.economical.tokens.max(1) as f64;
            found.push(price.economical.mean_kld.unwrap_or(0.0) / of_token.max(1e-9));
        }
        self.clear();
        Ok(found)
    }

    /// Leaves out more of the weak experts of layers that mind less, from now on, and fewer of those that mind more; `found` is
    /// what [`Model::sensitivity`] gave, nothing for the same share everywhere.
    ///
    /// # Errors
    /// [`Error::Option`] if it is not of this model.
    pub fn follow_sensitivity(&mut self, found: &[f64]) -> Result<(), Error> {
        let sets = self.placement.experts.len();
        if !found.is_empty() && found.len() != sets {
            let (option, value) = ("--by-sensitivity", format!("{} layers", found.len()));
            return Err(Error::Option { option, value, expected: "measured with this very model" });
        }
        self.executor.set_leniency(leniency(found));
        Ok(())
    }
}

/// By layer, the factor on the share below which experts are left out. What a layer loses grows with the square of what is left
/// out, so factors go with the root.
fn leniency(found: &[f64]) -> Vec<f32> {
    let logs = found.iter().map(|x| x.max(1e-12).ln());
    let mean = logs.sum::<f64>() / found.len().max(1) as f64;
    let factor = |x: &f64| ((mean - x.max(1e-12).ln()) / 2.0).exp().clamp(1.0 / MOST, MOST) as f32;
    found.iter().map(factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_minds_less_leaves_out_more() {
        let factors = leniency(&[1.0, 4.0, 0.25]);
        assert!((factors[0] - 1.0).abs() < 1e-6 && (factors[1] - 0.5).abs() < 1e-6);
        assert!((factors[2] - 2.0).abs() < 1e-6);
        assert_eq!(leniency(&[1e-30, 1e30]), [4.0, 0.25]);
        assert!(leniency(&[]).is_empty());
    }
}
