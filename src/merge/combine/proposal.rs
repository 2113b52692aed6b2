//! One way to join two blocks.

use crate::merge::state::Join;

/// One way to join a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// What becomes of the two.
    pub join: Join,
    /// The similarity that its weight was taken from.
    pub similarity: Option<f64>,
}

impl Proposal {
    /// A join whose weight, if it has one, was taken from nothing.
    pub fn of(join: Join) -> Self {
        Self { join, similarity: None }
    }
}
