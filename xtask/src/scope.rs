//! How much of the tests is run. Must not know the steps.

/// From the least to the most; each runs what the smaller ones run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// What a developer runs every few minutes: under three minutes once everything is built.
    Quick,
    /// What every change has to pass: at most fifteen minutes on two cores, twenty where nothing is
    /// built yet.
    Gate,
    /// Whole matrices, the largest models, and how the crate is packed.
    All,
}

impl Scope {
    /// The word that the end-to-end tests and the reports know it by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Gate => "gate",
            Self::All => "all",
        }
    }
}
