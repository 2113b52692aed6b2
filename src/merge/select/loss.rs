//! The pair whose merge costs least: each of some pairs, and all that it may become, is tried (with
//! all pairs: SLEB, arXiv 2402.09025).

use super::pair::Pair;
use super::scores::SelectionScores;
use crate::error::{Error, Result};
use crate::merge::combine::{Proposal, proposals};
use crate::merge::plan::MergePlan;
use crate::merge::state::MergeState;
use crate::task::Task;

/// Of some pairs and what may become of them, the one whose merge gives the least loss on the
/// calibration text; a single one is not tried.
///
/// # Errors
/// [`Error::BadArgument`] when there is no pair, [`Error::Cancelled`], or what measuring fails
/// with.
pub async fn cheapest(
    plan: &MergePlan,
    pairs: Vec<Pair>,
    state: &MergeState,
    scores: &mut SelectionScores<'_>,
    task: &Task,
) -> Result<(Pair, Proposal)> {
    let mut trials = Vec::new();
    for pair in pairs {
        let proposals = proposals(plan, scores, state, pair, task).await?;
        trials.extend(proposals.into_iter().map(|proposal| (pair, proposal)));
    }
    if trials.len() > 1 {
        let step = task.step("choose", trials.len(), "candidates");
        let (mut least, inner) = (f64::INFINITY, task.inner());
        for index in 0..trials.len() {
            let (pair, proposal) = &trials[index];
            let loss = match scores.loss_of(state, *pair, &proposal.join, &inner).await {
                // A model that is beyond measuring is the worst choice, and no reason to stop.
                Err(Error::NotFinite { .. }) => f64::INFINITY,
                loss => loss?,
            };
            trials[index].0.score = Some(loss);
            if loss < least {
                least = loss;
                trials.swap(0, index);
            }
            step.advance(1)?;
        }
    }
    let best = trials.into_iter().next();
    best.ok_or_else(|| Error::argument("candidates", "there is nothing to choose from"))
}
