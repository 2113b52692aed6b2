//! A pair of neighbours, and which pairs may be merged. Indices are those of the original blocks.
//! Must not know how pairs are compared.

use crate::error::{Error, Result};
use crate::merge::choices::{Combination, Protect};
use crate::merge::state::MergeState;

/// A pair to merge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The block that stays.
    pub keep: usize,
    /// The block that is removed.
    pub removed: usize,
    /// What the choice was made by: similarity, influence, mean angular distance, loss or
    /// divergence.
    pub score: Option<f64>,
}

/// Which pairs leave the protected blocks alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Blocks of the original model.
    pub layers: usize,
    /// Which ends are protected: they may not be removed, nor change.
    pub protect: Protect,
    /// What the survivor becomes: a drop does not change it.
    pub combination: Combination,
}

impl Rules {
    /// Whether `removed` may be merged into `keep`.
    pub fn allow(&self, keep: usize, removed: usize) -> bool {
        let protect = self.protect;
        let protected = |layer: usize| (protect.first && layer == 0) || (protect.last && layer + 1 == self.layers);
        !(protected(removed) || self.combination.changes_survivor() && protected(keep))
    }

    /// The neighbours among the survivors that may be merged, with the index of the first of each
    /// pair, from the first to the last.
    pub fn neighbours(&self, state: &MergeState) -> Vec<(usize, Pair)> {
        let left = state.layers();
        let pairs = left.windows(2).map(|pair| Pair { keep: pair[0], removed: pair[1], score: None });
        pairs.enumerate().filter(|(_, pair)| self.allow(pair.keep, pair.removed)).collect()
    }

    /// The error that no pair is left.
    pub fn nothing_left(&self, state: &MergeState) -> Error {
        let removed = self.layers - state.blocks().len();
        let reason = format!("after {removed} removed, no further layer may go; remove fewer, or protect neither end");
        Error::argument("remove", reason)
    }
}

/// The pairs in descending order of their scores, `score(i)` being that of the survivors i and i +
/// 1; the later of equals first.
///
/// # Errors
/// [`Error::BadArgument`] when none is left.
pub fn ranked(rules: Rules, state: &MergeState, score: impl Fn(usize) -> f64) -> Result<Vec<Pair>> {
    let pairs = rules.neighbours(state).into_iter();
    let mut scored: Vec<Pair> = pairs.map(|(index, pair)| Pair { score: Some(score(index)), ..pair }).collect();
    let by_score = |a: &Pair, b: &Pair| a.score.partial_cmp(&b.score).unwrap_or(std::cmp::Ordering::Equal);
    scored.sort_by(|a, b| by_score(b, a).then(b.keep.cmp(&a.keep)));
    if scored.is_empty() { Err(rules.nothing_left(state)) } else { Ok(scored) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 4] = [0.9, 0.5, 0.7, 0.99];

    fn first(both: bool, combination: Combination, values: [f64; 4]) -> (usize, usize) {
        let rules = Rules { layers: 5, protect: Protect { first: both, last: both }, combination };
        let pair = ranked(rules, &MergeState::all(5), |i| values[i]).unwrap()[0];
        (pair.keep, pair.removed)
    }

    #[test]
    fn the_pair_of_the_largest_score_the_later_of_equals() {
        assert_eq!(first(false, Combination::Average, VALUES), (3, 4));
        assert_eq!(first(true, Combination::Average, VALUES), (2, 3));
        assert_eq!(first(true, Combination::Drop, VALUES), (0, 1), "dropping block 1 leaves block 0 alone");
        assert_eq!(first(false, Combination::Average, [0.5; 4]), (3, 4));
    }

    #[test]
    fn where_no_pair_is_left_that_is_an_error() {
        let protect = Protect { first: true, last: true };
        let rules = Rules { layers: 2, protect, combination: Combination::Average };
        assert!(ranked(rules, &MergeState::all(2), |_| 0.5).is_err());
    }
}
