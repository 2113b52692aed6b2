//! The non-linearity of a family's MLPs, which may have numbers that each block has learned.

use crate::compute::Activation;

/// The non-linearity of the MLPs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NeuronActivation {
    /// The same in all blocks.
    Fixed(Activation),
    /// xIELU, whose numbers each block has learned: tensors `{prefix}.{name}.{number}` of one
    /// value, with the numbers of [`NeuronActivation::LEARNED`].
    Learned(&'static str),
}

impl NeuronActivation {
    /// What is learned, with the shape that it is stored in.
    pub const LEARNED: [(&'static str, &'static [u64]); 4] =
        [("alpha_p", &[1]), ("alpha_n", &[1]), ("beta", &[]), ("eps", &[])];

    /// The name of what each block has learned, if anything.
    pub fn learned(self) -> Option<&'static str> {
        match self {
            Self::Fixed(_) => None,
            Self::Learned(name) => Some(name),
        }
    }
}
