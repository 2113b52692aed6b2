//! Model families as data: what their tensors are called and which options they have.
//!
//! One file per family turns a `config.json` into one neutral [`Description`]; nothing here
//! computes. To add a family, write its file, add a line to `families.rs`, and its defaults to
//! `defaults.json`.

mod activation;
mod apertus;
mod arcee;
mod assume;
mod block_kind;
mod cohere;
mod description;
mod exaone;
mod exaone4;
mod families;
mod files;
mod float8;
mod gemma;
mod glm;
mod gpt2;
mod gpt_neo;
mod gpt_neox;
mod granite;
mod helium;
mod hunyuan;
mod layers;
mod llama;
mod llama_fallback;
mod mistral;
mod names;
mod olmo2;
mod opt;
mod options;
mod phi;
mod phi3;
mod quantised;
mod qwen;
mod role;
pub mod rope;
mod smollm3;
mod stablelm;
mod starcoder2;
mod wrapper;
mod wrapping;

pub use activation::NeuronActivation;
pub use assume::Assume;
pub use block_kind::{BlockKind, Norm, Projection};
pub use description::{Description, EmbeddingProjection, Learned, NormKind};
pub use families::describe;
pub use layers::{LayerKind, LayerList, LayerOptions};
pub use role::Role;
pub use wrapping::Wrapping;

#[cfg(test)]
mod tests;
