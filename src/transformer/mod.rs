//! Embedding, blocks, head: a decoder run one block at a time on any engine.
//!
//! A [`Stream`] holds the hidden states of all windows between two blocks. This module must not
//! know what the states are for: nothing of MKA, nothing of the web.

mod block;
mod embed;
mod generate;
mod head;
mod model;
mod norm;
mod prefetch;
mod rates;
mod stream;
mod trace;
mod weights;

pub use block::{Linear, Parts};
pub use generate::{Decoder, Sampler};
pub use model::{Sizes, Transformer};
pub use rates::Rates;
pub use stream::{Observer, Stream, windows_per_chunk};
pub use trace::ActivationTrace;
pub use weights::WeightStore;
