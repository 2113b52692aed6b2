//! Which layer goes next. Pure functions of what was measured; indices are original ones unless said otherwise.

use super::Survivors;
use crate::error::{Error, Result};

/// A way to choose what goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The last pair, again and again.
    Tail,
    /// The adjacent pair of largest similarity, on the current model.
    Similarity,
    /// The block of smallest influence; its survivor is the one before it (ShortGPT, arXiv 2403.03853).
    BlockInfluence,
    /// The run of blocks over which the stream turns least (arXiv 2403.17887).
    Window,
    /// Of the most similar pairs, the one whose merge costs the least loss on the calibration text (with all pairs: SLEB, arXiv 2402.09025).
    Loss,
    /// Pairs that the user names.
    Manual,
}

/// Which blocks at the ends may neither go nor change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protect {
    /// The first block.
    pub first: bool,
    /// The last block.
    pub last: bool,
}

/// A pair to merge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The block that stays.
    pub keep: usize,
    /// The block that goes.
    pub gone: usize,
    /// What the choice was made by: similarity, influence or mean angular distance.
    pub score: Option<f64>,
}

impl Selection {
    /// The names of the programming interface.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("tail", Self::Tail),
        ("similarity", Self::Similarity),
        ("block-influence", Self::BlockInfluence),
        ("window", Self::Window),
        ("loss", Self::Loss),
        ("manual", Self::Manual),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, selection)| *selection == self).map_or("", |(name, _)| name)
    }

    /// What is protected unless the user says otherwise: both ends; the first for `tail`; nothing for `manual`.
    pub fn default_protect(self) -> Protect {
        match self {
            Self::Similarity | Self::BlockInfluence | Self::Window | Self::Loss => Protect { first: true, last: true },
            Self::Tail => Protect { first: true, last: false },
            Self::Manual => Protect { first: false, last: false },
        }
    }
}

/// Whether a pair leaves the protected blocks alone: neither may go; when the survivor changes, neither may be it.
fn allowed(keep: usize, gone: usize, layers: usize, protect: Protect, survivor_changes: bool) -> bool {
    let protected = |layer: usize| (protect.first && layer == 0) || (protect.last && layer + 1 == layers);
    !(protected(gone) || survivor_changes && protected(keep))
}

fn nothing_left(removed: usize) -> Error {
    Error::argument(
        "remove",
        format!("after {removed} removed, no further layer may go; remove fewer, or protect neither end"),
    )
}

/// The last pair that may be merged.
///
/// # Errors
/// [`Error::BadArgument`] when none is left.
pub fn tail(survivors: &Survivors, layers: usize, protect: Protect, survivor_changes: bool) -> Result<Pair> {
    let left = survivors.layers();
    let mut pairs = left.windows(2).rev().map(|pair| Pair { keep: pair[0], gone: pair[1], score: None });
    let found = pairs.find(|pair| allowed(pair.keep, pair.gone, layers, protect, survivor_changes));
    found.ok_or_else(|| nothing_left(layers - left.len()))
}

/// The adjacent pair of largest similarity, the deeper of equals. `similarity(i)` is that of survivors i and i + 1 of the current model.
///
/// # Errors
/// [`Error::BadArgument`] when none is left.
pub fn most_similar(
    survivors: &Survivors,
    layers: usize,
    protect: Protect,
    survivor_changes: bool,
    similarity: impl Fn(usize) -> f64,
) -> Result<Pair> {
    candidates(survivors, layers, protect, survivor_changes, 1, similarity).map(|pairs| pairs[0])
}

/// The `count` adjacent pairs of largest similarity, at least one: the most similar first, the deeper of equals.
///
/// # Errors
/// [`Error::BadArgument`] when none is left.
pub fn candidates(
    survivors: &Survivors,
    layers: usize,
    protect: Protect,
    survivor_changes: bool,
    count: usize,
    similarity: impl Fn(usize) -> f64,
) -> Result<Vec<Pair>> {
    let left = survivors.layers();
    let pairs =
        left.windows(2).enumerate().filter(|(_, pair)| allowed(pair[0], pair[1], layers, protect, survivor_changes));
    let mut scored: Vec<Pair> =
        pairs.map(|(index, pair)| Pair { keep: pair[0], gone: pair[1], score: Some(similarity(index)) }).collect();
    let by_score = |a: &Pair, b: &Pair| a.score.partial_cmp(&b.score).unwrap_or(std::cmp::Ordering::Equal);
    scored.sort_by(|a, b| by_score(b, a).then(b.keep.cmp(&a.keep)));
    scored.truncate(count.max(1));
    if scored.is_empty() { Err(nothing_left(layers - left.len())) } else { Ok(scored) }
}

/// The block of smallest influence, the deeper of equals, and the survivor before it. `influence` is that of the original blocks.
///
/// # Errors
/// [`Error::BadArgument`] when none is left.
pub fn least_influence(
    survivors: &Survivors,
    protect: Protect,
    survivor_changes: bool,
    influence: &[f64],
) -> Result<Pair> {
    most_similar(survivors, influence.len(), protect, survivor_changes, |index| {
        -influence[survivors.blocks()[index + 1].layer]
    })
    .map(|pair| Pair { score: pair.score.map(|score| -score), ..pair })
}

/// The pairs that merge the `count` contiguous blocks l..l+count over which the stream turns least into block l - 1, front to back.
///
/// `distance(l)` is the mean angular distance of `x[l]` and `x[l + count]`; the shallower of equals.
///
/// # Errors
/// [`Error::BadArgument`] when no window fits between what is protected.
pub fn flattest_window(
    layers: usize,
    count: usize,
    protect: Protect,
    survivor_changes: bool,
    distance: impl Fn(usize) -> f64,
) -> Result<Vec<Pair>> {
    let fits = |start: &usize| {
        let gone = *start..*start + count;
        gone.end <= layers && gone.clone().all(|gone| allowed(start - 1, gone, layers, protect, survivor_changes))
    };
    let scored = (1..layers).filter(fits).map(|start| (start, distance(start)));
    let (start, score) = scored.min_by(|a, b| a.1.total_cmp(&b.1)).ok_or_else(|| nothing_left(0))?;
    Ok((start..start + count).map(|gone| Pair { keep: start - 1, gone, score: Some(score) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::merge::Join;

    const BOTH: Protect = Protect { first: true, last: true };
    const NONE: Protect = Protect { first: false, last: false };

    #[test]
    fn tail_takes_the_last_until_the_first_is_reached() {
        let mut survivors = Survivors::all(4);
        let first_only = Selection::Tail.default_protect();
        for expected in [(2, 3), (1, 2)] {
            let pair = tail(&survivors, 4, first_only, true).unwrap();
            assert_eq!((pair.keep, pair.gone), expected);
            survivors.merge(pair.keep, pair.gone, &Join::Average(0.5)).unwrap();
        }
        assert!(tail(&survivors, 4, first_only, true).is_err(), "averaging would change the first block");
        assert!(tail(&survivors, 4, first_only, false).is_ok(), "dropping into it does not");
    }

    #[test]
    fn the_most_similar_pair_the_deeper_of_equals() {
        let survivors = Survivors::all(5);
        let values = [0.9, 0.5, 0.7, 0.99];
        let choose = |protect, changes| {
            let pair = most_similar(&survivors, 5, protect, changes, |i| values[i]).unwrap();
            (pair.keep, pair.gone)
        };
        assert_eq!(choose(NONE, true), (3, 4));
        assert_eq!(choose(BOTH, true), (2, 3));
        assert_eq!(choose(BOTH, false), (0, 1), "dropping block 1 leaves block 0 alone");
        let pair = most_similar(&survivors, 5, NONE, true, |_| 0.5).unwrap();
        assert_eq!((pair.keep, pair.gone), (3, 4));
    }

    #[test]
    fn the_least_influence_goes_into_the_survivor_before_it() {
        let mut survivors = Survivors::all(5);
        let influence = [0.0, 0.3, 0.1, 0.2, 0.0];
        let pair = least_influence(&survivors, BOTH, false, &influence).unwrap();
        assert_eq!((pair.keep, pair.gone, pair.score), (1, 2, Some(0.1)));
        survivors.merge(1, 2, &Join::Average(1.0)).unwrap();
        let pair = least_influence(&survivors, BOTH, false, &influence).unwrap();
        assert_eq!((pair.keep, pair.gone), (1, 3));
    }

    #[test]
    fn windows_fit_between_what_is_protected() {
        let distances = [0.0, 0.4, 0.3, 0.2, 0.1, 0.0];
        let window = |count, protect, changes| {
            let pairs = flattest_window(6, count, protect, changes, |l| distances[l]);
            pairs.map(|pairs| pairs.iter().map(|pair| (pair.keep, pair.gone)).collect::<Vec<_>>())
        };
        assert_eq!(window(2, BOTH, false).unwrap(), [(2, 3), (2, 4)]);
        assert_eq!(window(2, NONE, true).unwrap(), [(3, 4), (3, 5)]);
        assert_eq!(window(4, BOTH, false).unwrap(), [(0, 1), (0, 2), (0, 3), (0, 4)]);
        assert!(window(4, BOTH, true).is_err());
        assert!(window(5, BOTH, false).is_err());
    }
}
