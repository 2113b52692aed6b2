//! What the survivor of a pair becomes: itself, an average, a difference, or a concatenation of
//! neurons and heads of both. [`proposals`] is the one place that knows all of them.

mod average;
mod concatenate;
mod importance;
mod proposal;
mod proposals;
mod saliency_choice;

pub use concatenate::{ChannelOrigins, ChannelSelection, ChannelSelectionText, Source};
pub use proposal::Proposal;
pub use proposals::proposals;
pub use saliency_choice::select_by_saliency;
