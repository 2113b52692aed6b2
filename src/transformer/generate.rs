//! Token after token: keys and values of what came before are kept, so that each step computes one
//! position.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::block::{LayerCache, Pass, Positions};
use super::model::Transformer;
use crate::architecture::rope::Rope;
use crate::compute::Tensor;
use crate::error::{Error, Result};
use crate::task::Task;

/// A sequence in the making.
pub struct Decoder<'a> {
    model: &'a Transformer,
    caches: Vec<LayerCache>,
    ropes: Vec<Tensor>,
    capacity: usize,
    /// The sequence so far, all of it in the caches.
    ids: Vec<u32>,
}

impl<'a> Decoder<'a> {
    /// Room for a sequence of at most `capacity` tokens.
    ///
    /// # Errors
    /// [`Error::BadArgument`] beyond the positions that the model has learned, or what the engine's
    /// allocation fails with.
    pub fn new(model: &'a Transformer, capacity: usize) -> Result<Self> {
        let cache = |_| LayerCache::new(model.engine.as_ref(), &model.description, capacity);
        let caches = (0..model.description.layers).map(cache).collect::<Result<_>>()?;
        model.check_positions(capacity)?;
        Ok(Self { model, caches, ropes: model.rope_tables(capacity)?, capacity, ids: Vec::new() })
    }

    /// Appends `ids`, at least one, and returns the logits after the last of them.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when there are no ids or no room for them, [`Error::Cancelled`], or
    /// what reading and computing fail with.
    pub async fn append(&mut self, ids: &[u32], task: &Task) -> Result<Vec<f32>> {
        let (model, before) = (self.model, self.ids.len());
        model
            .with_less(async || {
                self.ids.truncate(before);
                self.try_append(ids, task).await
            })
            .await
    }

    async fn try_append(&mut self, ids: &[u32], task: &Task) -> Result<Vec<f32>> {
        let (model, before, length) = (self.model, self.ids.len(), self.ids.len() + ids.len());
        if ids.is_empty() || length > self.capacity {
            return Err(Error::argument("prompt", format!("{length} tokens do not fit in {}", self.capacity)));
        }
        self.ids.extend(ids);
        let ropes = &model.description.ropes;
        // Where the rotation depends on the length, later keys are rotated otherwise than those in
        // the cache; but for a change to a list of its own, at which all of them are computed anew.
        // So does transformers.
        let past = if ropes.iter().any(|rope| rope.breaks_between(before, length)) { 0 } else { before };
        if ropes.iter().any(Rope::varies) {
            self.ropes = model.rope_tables(length)?;
        }
        let ids = &self.ids[past..];
        let pass = Pass { engine: model.engine.as_ref(), description: &model.description, ropes: &self.ropes, task };
        let mut states = model.embed_rows(ids, ids.len(), past).await?;
        let positions = Positions { sequences: 1, length: ids.len(), past };
        for (layer, cache) in self.caches.iter_mut().enumerate() {
            let block = model.load_block(layer).await?;
            block.run(&pass, &mut states, positions, Some(cache)).await?;
        }
        let last = model.engine.gather(&states, &[ids.len() as u32 - 1])?;
        model.logits(last, task).await
    }
}

/// Draws tokens from logits.
pub struct Sampler {
    temperature: f32,
    random: ChaCha8Rng,
}

impl Sampler {
    /// Temperature 0 takes the most likely token always.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for a temperature that is negative or not finite.
    pub fn new(temperature: f32, seed: u64) -> Result<Self> {
        if !(temperature.is_finite() && temperature >= 0.0) {
            return Err(Error::argument("temperature", format!("is {temperature}, expected a number from 0 on")));
        }
        Ok(Self { temperature, random: ChaCha8Rng::seed_from_u64(seed) })
    }

    /// The next token: the lowest index of the largest logit, or a draw from softmax(logits /
    /// temperature).
    ///
    /// # Errors
    /// [`Error::NotFinite`] when the logits are not numbers.
    pub fn draw(&mut self, logits: &[f32]) -> Result<u32> {
        let best = logits.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
        let Some((index, largest)) = best.filter(|(_, largest)| largest.is_finite()) else {
            return Err(Error::NotFinite {
                what: "the logits".into(),
                found: "the largest of them is not a number".into(),
            });
        };
        if self.temperature == 0.0 {
            return Ok(index as u32);
        }
        let weight = |logit: &f32| f64::from((logit - largest) / self.temperature).exp();
        let total: f64 = logits.iter().map(weight).sum();
        let mut rest = self.random.random::<f64>() * total;
        for (token, logit) in logits.iter().enumerate() {
            rest -= weight(logit);
            if rest < 0.0 {
                return Ok(token as u32);
            }
        }
        Ok(index as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_first_of_equals_and_seeds_repeat() {
        let logits = [0.0, 2.0, 2.0, -1.0];
        assert_eq!(Sampler::new(0.0, 1).unwrap().draw(&logits).unwrap(), 1);
        let draws = |seed| {
            let mut sampler = Sampler::new(1.0, seed).unwrap();
            (0..2_000).map(|_| sampler.draw(&logits).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draws(5), draws(5));
        assert_ne!(draws(5), draws(6));
        let share = draws(7).iter().filter(|token| **token == 1).count() as f64 / 2_000.0;
        let expected = 2f64.exp() / (2.0 * 2f64.exp() + 1.0 + (-1f64).exp());
        assert!((share - expected).abs() < 0.05, "{share} instead of {expected}");
        assert!(Sampler::new(-1.0, 0).is_err());
        assert!(Sampler::new(0.0, 0).unwrap().draw(&[f32::NAN]).is_err());
    }
}
