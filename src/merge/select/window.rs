//! The run of blocks over which the residual stream turns least (arXiv 2403.17887).

use super::pair::{Pair, Rules};
use crate::calibration::Calibration;
use crate::error::Result;
use crate::merge::state::MergeState;
use crate::task::Task;

/// The pairs that merge the flattest run of `count` blocks into the block before it.
///
/// # Errors
/// As [`flattest_window`]; [`crate::error::Error::Cancelled`], or what measuring fails with.
pub async fn window_pairs(rules: Rules<'_>, count: usize, calibration: &Calibration, task: &Task) -> Result<Vec<Pair>> {
    let mut distances = Vec::new();
    for start in 0..=rules.layers() - count {
        distances.push(calibration.angular_distance(start, start + count)?);
        calibration.yield_now().await?;
        task.check()?;
    }
    flattest_window(rules, count, |start| distances[start])
}

/// The pairs that merge the `count` contiguous blocks l..l+count over which the stream turns least
/// into block l - 1, from the first to the last.
///
/// `distance(l)` is the mean angular distance of `x[l]` and `x[l + count]`; the earlier of equals.
///
/// # Errors
/// [`crate::error::Error::BadArgument`] when no window fits between what is protected.
pub fn flattest_window(rules: Rules<'_>, count: usize, distance: impl Fn(usize) -> f64) -> Result<Vec<Pair>> {
    let fits = |start: &usize| {
        let removed = *start..*start + count;
        removed.end <= rules.layers() && removed.clone().all(|removed| rules.allow(start - 1, removed))
    };
    let scored = (1..rules.layers()).filter(fits).map(|start| (start, distance(start)));
    let least = scored.min_by(|a, b| a.1.total_cmp(&b.1));
    let (start, score) = least.ok_or_else(|| rules.nothing_left(&MergeState::all(rules.layers())))?;
    let pair = |removed| Pair { keep: start - 1, removed, score: Some(score) };
    Ok((start..start + count).map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::choices::{Combination, Protect};

    #[test]
    fn windows_fit_between_what_is_protected() {
        let distances = [0.0, 0.4, 0.3, 0.2, 0.1, 0.0];
        let window = |count, both, combination| {
            let rules = Rules { kinds: &[0; 6], protect: Protect { first: both, last: both }, combination };
            let pairs = flattest_window(rules, count, |l| distances[l]);
            pairs.map(|pairs| pairs.iter().map(|pair| (pair.keep, pair.removed)).collect::<Vec<_>>())
        };
        assert_eq!(window(2, true, Combination::Drop).unwrap(), [(2, 3), (2, 4)]);
        assert_eq!(window(2, false, Combination::Average).unwrap(), [(3, 4), (3, 5)]);
        assert_eq!(window(4, true, Combination::Drop).unwrap(), [(0, 1), (0, 2), (0, 3), (0, 4)]);
        assert!(window(4, true, Combination::Average).is_err());
        assert!(window(5, true, Combination::Drop).is_err());
    }
}
