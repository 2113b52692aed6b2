//! Which layers go, what the survivors become, and the record of it.
//!
//! Selection and combination are independent: [`selection`] names a pair (keep, gone) of ORIGINAL indices at a time, [`Survivors`] keeps the books,
//! [`combine`] turns the books into tensors. A [`recipe::Recipe`] is the record, and enough to do it again. This module must not know the web.

pub mod combine;
pub mod presets;
pub mod recipe;
pub mod repair;
pub mod selection;

use std::rc::Rc;

use crate::architecture::Description;
use crate::error::{Error, Result};
use crate::parked::Parked;

/// A block of the merged model: where it stands, and of which original blocks it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Survivor {
    /// The original block whose place it has.
    pub layer: usize,
    /// Original blocks and their weights, in ascending order; a single one of weight 1 is the block unchanged.
    pub terms: Vec<(usize, f64)>,
    /// What its down projection, or the norm behind that, is multiplied by, if its gap was repaired.
    pub repair: Option<Rc<RepairMap>>,
}

/// The matrix T of a linear repair, in f32: W_down becomes T' W_down. Where a norm stands between the MLP and the stream, T is a diagonal, and
/// the norm's gain g becomes T g.
#[derive(Debug)]
pub struct RepairMap {
    /// The step of the recipe that it belongs to.
    pub step: usize,
    /// T, row-major, in the shape [`RepairMap::shape`].
    pub values: Parked,
}

impl RepairMap {
    /// `[hidden, hidden]`, or `[hidden]` where T is a diagonal.
    pub fn shape(description: &Description) -> Vec<usize> {
        vec![description.hidden; if description.norm_behind_mlp().is_some() { 1 } else { 2 }]
    }
}

impl PartialEq for RepairMap {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// The blocks that are left, front to back.
#[derive(Debug, Clone, PartialEq)]
pub struct Survivors(Vec<Survivor>);

impl Survivors {
    /// All blocks of a model of `layers` blocks.
    pub fn all(layers: usize) -> Self {
        Self((0..layers).map(|layer| Survivor { layer, terms: vec![(layer, 1.0)], repair: None }).collect())
    }

    /// The blocks, front to back.
    pub fn blocks(&self) -> &[Survivor] {
        &self.0
    }

    /// The original indices of the blocks that are left.
    pub fn layers(&self) -> Vec<usize> {
        self.0.iter().map(|survivor| survivor.layer).collect()
    }

    /// How many blocks in front are those of the original model, unchanged.
    pub fn untouched(&self) -> usize {
        self.0
            .iter()
            .enumerate()
            .take_while(|(index, survivor)| survivor.terms == [(*index, 1.0)] && survivor.repair.is_none())
            .count()
    }

    /// How many blocks in front are the same in both.
    pub fn common(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).take_while(|(a, b)| a == b).count()
    }

    /// The index of the survivor that stands for the original block `layer`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when that block is gone.
    pub fn index_of(&self, layer: usize) -> Result<usize> {
        let index = self.0.iter().position(|survivor| survivor.layer == layer);
        index.ok_or_else(|| Error::argument("pairs", format!("{layer} is gone; left are {:?}", self.layers())))
    }

    /// Books a repair of the survivor at `index`; none takes it away.
    pub fn set_repair(&mut self, index: usize, repair: Option<Rc<RepairMap>>) {
        if let Some(survivor) = self.0.get_mut(index) {
            survivor.repair = repair;
        }
    }

    /// Merges block `gone` into `keep`: keep = alpha keep + (1 - alpha) gone. Alpha 1 drops `gone`, alpha 0 puts it in the place of `keep`.
    ///
    /// # Errors
    /// [`Error::BadArgument`] unless both are left, `gone` is the next survivor after `keep`, and alpha is finite.
    pub fn merge(&mut self, keep: usize, gone: usize, alpha: f64) -> Result<()> {
        if !alpha.is_finite() {
            return Err(Error::argument("alpha", format!("is {alpha} for the pair [{keep}, {gone}]")));
        }
        let index = self.0.iter().position(|survivor| survivor.layer == keep);
        let Some(index) = index.filter(|index| self.0.get(index + 1).is_some_and(|next| next.layer == gone)) else {
            let reason =
                format!("[{keep}, {gone}]: {gone} is not the next survivor after {keep}; left are {:?}", self.layers());
            return Err(Error::argument("pairs", reason));
        };
        let other = self.0.remove(index + 1);
        let scaled = |terms: &[(usize, f64)], by: f64| {
            terms.iter().map(|(layer, weight)| (*layer, weight * by)).collect::<Vec<_>>()
        };
        let mut terms = scaled(&self.0[index].terms, alpha);
        terms.extend(scaled(&other.terms, 1.0 - alpha));
        terms.retain(|(_, weight)| *weight != 0.0);
        terms.sort_by_key(|(layer, _)| *layer);
        self.0[index].terms = terms;
        // A repair was fitted to what the block was before.
        self.0[index].repair = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_the_books() {
        let mut survivors = Survivors::all(5);
        survivors.merge(2, 3, 0.75).unwrap();
        assert_eq!(survivors.layers(), [0, 1, 2, 4]);
        assert_eq!(survivors.untouched(), 2);
        survivors.merge(1, 2, 0.5).unwrap();
        assert_eq!(survivors.blocks()[1].terms, [(1, 0.5), (2, 0.375), (3, 0.125)]);
        survivors.merge(1, 4, 1.0).unwrap();
        assert_eq!(survivors.layers(), [0, 1]);
        survivors.merge(0, 1, 0.0).unwrap();
        assert_eq!(
            survivors.blocks(),
            [Survivor { layer: 0, terms: vec![(1, 0.5), (2, 0.375), (3, 0.125)], repair: None }]
        );
        assert_eq!(survivors.untouched(), 0);
    }

    #[test]
    fn pairs_that_are_not_neighbours_are_refused() {
        let mut survivors = Survivors::all(4);
        for (keep, gone) in [(0, 2), (1, 0), (3, 4), (2, 2)] {
            assert_eq!(survivors.merge(keep, gone, 1.0).unwrap_err().code(), "bad-argument");
        }
        assert!(survivors.merge(0, 1, f64::NAN).is_err());
        survivors.merge(1, 2, 1.0).unwrap();
        survivors.merge(1, 3, 1.0).unwrap();
    }
}
