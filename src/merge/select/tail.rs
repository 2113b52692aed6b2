//! The last pair, again and again (as CoMe does, arXiv 2510.15304).

use super::pair::{Pair, Rules};
use crate::error::Result;
use crate::merge::state::MergeState;

/// The last pair that may be merged.
///
/// # Errors
/// [`crate::error::Error::BadArgument`] when none is left.
pub fn last_pair(rules: Rules<'_>, state: &MergeState) -> Result<Pair> {
    rules.neighbours(state).pop().map(|(_, pair)| pair).ok_or_else(|| rules.nothing_left(state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::choices::{Combination, Selection};
    use crate::merge::state::Join;

    #[test]
    fn the_last_goes_until_the_first_is_reached() {
        let mut state = MergeState::all(4);
        let protect = Selection::Tail.default_protect();
        let rules = |combination| Rules { kinds: &[0; 4], protect, combination };
        for expected in [(2, 3), (1, 2)] {
            let pair = last_pair(rules(Combination::Average), &state).unwrap();
            assert_eq!((pair.keep, pair.removed), expected);
            state.merge(pair.keep, pair.removed, &Join::Average(0.5)).unwrap();
        }
        assert!(last_pair(rules(Combination::Average), &state).is_err(), "averaging would change the first block");
        assert!(last_pair(rules(Combination::Drop), &state).is_ok(), "dropping into it does not");
    }
}
