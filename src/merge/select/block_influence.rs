//! The block that turns the residual stream least (ShortGPT, arXiv 2403.03853).

use super::pair::{Pair, Rules, ranked};
use crate::error::Result;
use crate::merge::state::MergeState;

/// The block of least influence, the later of equals, and the survivor before it. `influence` is
/// that of the original blocks: it is ranked once, as ShortGPT does.
///
/// # Errors
/// [`crate::error::Error::BadArgument`] when none is left.
pub fn least_influence(rules: Rules<'_>, state: &MergeState, influence: &[f64]) -> Result<Pair> {
    let pairs = ranked(rules, state, |index| -influence[state.blocks()[index + 1].layer])?;
    Ok(Pair { score: pairs[0].score.map(|score| -score), ..pairs[0] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::choices::{Combination, Protect};
    use crate::merge::state::Join;

    #[test]
    fn the_least_influence_goes_into_the_survivor_before_it() {
        let mut state = MergeState::all(5);
        let influence = [0.0, 0.3, 0.1, 0.2, 0.0];
        let protect = Protect { first: true, last: true };
        let rules = Rules { kinds: &[0; 5], protect, combination: Combination::Drop };
        let pair = least_influence(rules, &state, &influence).unwrap();
        assert_eq!((pair.keep, pair.removed, pair.score), (1, 2, Some(0.1)));
        state.merge(1, 2, &Join::Average(1.0)).unwrap();
        let pair = least_influence(rules, &state, &influence).unwrap();
        assert_eq!((pair.keep, pair.removed), (1, 3));
    }
}
