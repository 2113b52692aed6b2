//! What is to be tried for a pair: one join for most combinations, several where a weight is
//! searched.

use super::average::averages;
use super::importance::select_by_importance;
use super::proposal::Proposal;
use super::saliency_choice::saliency_choice_of;
use crate::error::{Error, Result};
use crate::merge::choices::{Combination, Repair};
use crate::merge::plan::MergePlan;
use crate::merge::select::pair::Pair;
use crate::merge::select::scores::SelectionScores;
use crate::merge::state::{Join, MergeState};
use crate::task::Task;

/// What is to be tried for `pair`, two neighbours among the survivors.
///
/// # Errors
/// [`Error::BadArgument`] when the block after `pair.keep` is not there, or what measuring fails
/// with.
pub async fn proposals(
    plan: &MergePlan,
    scores: &mut SelectionScores<'_>,
    state: &MergeState,
    pair: Pair,
    task: &Task,
) -> Result<Vec<Proposal>> {
    let index = state.index_of(pair.keep)?;
    if index + 1 >= state.blocks().len() {
        let reason = format!("[{}, {}]: left are {:?}", pair.keep, pair.removed, state.layers());
        return Err(Error::argument("pairs", reason));
    }
    Ok(match plan.combination {
        Combination::Drop => vec![Proposal::of(Join::Average(1.0))],
        Combination::Difference => vec![Proposal::of(Join::Difference)],
        Combination::Average => averages(plan.alpha, scores, state, index, task).await?,
        Combination::Concatenate => {
            let selection = match plan.repair {
                Repair::Refit => saliency_choice_of(scores, state, index, plan.fit.ridge, task).await?,
                _ => select_by_importance(scores, state, index, task).await?,
            };
            vec![Proposal::of(Join::Concatenate(selection))]
        }
    })
}
