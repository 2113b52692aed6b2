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

/// Which pairs leave the protected blocks alone, and can be joined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules<'a> {
    /// A number for each block of the original model, the same for those of the same kind.
    pub kinds: &'a [usize],
    /// Which ends are protected: they may not be removed, nor change.
    pub protect: Protect,
    /// What the survivor becomes: a drop does not change it.
    pub combination: Combination,
}

impl Rules<'_> {
    /// Blocks of the original model.
    pub fn layers(&self) -> usize {
        self.kinds.len()
    }

    /// Whether `removed` may be merged into `keep`. Of different kinds they have no common tensors:
    /// the one can be dropped, and that is all.
    pub fn allow(&self, keep: usize, removed: usize) -> bool {
        let protect = self.protect;
        let protected = |layer: usize| (protect.first && layer == 0) || (protect.last && layer + 1 == self.layers());
        let joins = self.kinds.get(keep) == self.kinds.get(removed);
        !(protected(removed) || self.combination.changes_survivor() && (protected(keep) || !joins))
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
        let removed = self.layers() - state.blocks().len();
        let mut reason =
            format!("after {removed} removed, no further layer may go; remove fewer, or protect neither end");
        if self.combination.changes_survivor() && self.kinds.windows(2).any(|pair| pair[0] != pair[1]) {
            reason += "; blocks of different kinds can only be dropped";
        }
        Error::argument("remove", reason)
    }
}

/// The pairs in descending order of their scores, `score(i)` being that of the survivors i and i +
/// 1; the later of equals first.
///
/// # Errors
/// [`Error::BadArgument`] when none is left.
pub fn ranked(rules: Rules<'_>, state: &MergeState, score: impl Fn(usize) -> f64) -> Result<Vec<Pair>> {
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
        let rules = Rules { kinds: &[0; 5], protect: Protect { first: both, last: both }, combination };
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
    fn blocks_of_different_kinds_are_only_dropped() {
        let kinds = [0, 1, 1, 0, 0];
        let pairs = |combination| {
            let rules = Rules { kinds: &kinds, protect: Protect { first: false, last: false }, combination };
            let allowed = rules.neighbours(&MergeState::all(5)).into_iter();
            (allowed.map(|(_, pair)| (pair.keep, pair.removed)).collect::<Vec<_>>(), rules)
        };
        assert_eq!(pairs(Combination::Drop).0, [(0, 1), (1, 2), (2, 3), (3, 4)]);
        for combination in [Combination::Average, Combination::Difference, Combination::Concatenate] {
            let (allowed, rules) = pairs(combination);
            assert_eq!(allowed, [(1, 2), (3, 4)]);
            assert!(rules.nothing_left(&MergeState::all(5)).to_string().contains("of different kinds"));
        }
        assert!(!pairs(Combination::Drop).1.nothing_left(&MergeState::all(5)).to_string().contains("kinds"));
    }

    #[test]
    fn where_no_pair_is_left_that_is_an_error() {
        let protect = Protect { first: true, last: true };
        let rules = Rules { kinds: &[0; 2], protect, combination: Combination::Average };
        assert!(ranked(rules, &MergeState::all(2), |_| 0.5).is_err());
    }
}
