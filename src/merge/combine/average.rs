//! A weighted average of two blocks: where its weight comes from.

use super::proposal::Proposal;
use crate::error::Result;
use crate::merge::choices::{Alpha, AlphaSource};
use crate::merge::select::scores::SelectionScores;
use crate::merge::state::{Join, MergeState};
use crate::task::Task;

/// The weights that `search` tries; its ends are the two drops.
const SEARCHED: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// The averages to try for the survivors `index` and `index + 1`.
pub(super) async fn averages(
    alpha: Alpha,
    scores: &mut SelectionScores<'_>,
    state: &MergeState,
    index: usize,
    task: &Task,
) -> Result<Vec<Proposal>> {
    let of = |weight| Proposal::of(Join::Average(weight));
    let source = match alpha {
        Alpha::Weight(weight) => return Ok(vec![of(weight)]),
        Alpha::From(source) => source,
    };
    Ok(match source {
        AlphaSource::Search => SEARCHED.map(of).to_vec(),
        // A plan has a weight instead.
        AlphaSource::Fixed => Vec::new(),
        AlphaSource::Equal => {
            let merged = state.blocks()[index].terms.len() as f64;
            vec![of(merged / (merged + 1.0))]
        }
        AlphaSource::Similarity => {
            let similarity = scores.similarities(state, task).await?.pair(index);
            vec![Proposal { similarity: Some(similarity), ..of(similarity) }]
        }
        AlphaSource::Published => {
            let similarities = scores.similarities(state, task).await?;
            let (earlier, later) = (similarities.row_mean(index), similarities.row_mean(index + 1));
            let alpha = 1.0 / (1.0 + (-earlier / (earlier + later)).exp());
            vec![Proposal { similarity: Some(similarities.pair(index)), ..of(alpha) }]
        }
    })
}
