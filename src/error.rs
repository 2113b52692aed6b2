//! The one error type. Every variant says what was found and where; [`Error::hint`] says what to do
//! about it.
//!
//! This module must not know any other module of the crate.

use std::future::Future;
use std::pin::Pin;

use thiserror::Error;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an async method of a trait object returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// Why a step failed. `Display` tells what was found and where.
#[derive(Debug, Clone, Error, PartialEq)]
#[expect(missing_docs, reason = "the fields say what the message above each variant says")]
pub enum Error {
    /// The file is something else than a safetensors checkpoint: a pickle, a Git LFS pointer, a web
    /// page…
    #[error("{file}: {found}")]
    NotACheckpoint { file: String, found: String, hint: &'static str },
    /// The header of a safetensors file breaks one of the format's rules.
    #[error("{file}: the safetensors header is not valid: {reason}")]
    BadHeader { file: String, reason: String },
    /// `config.json` cannot be used.
    #[error("config.json: {reason}")]
    BadConfig { reason: String },
    /// `tokenizer.json` cannot be used.
    #[error("tokenizer.json: {reason}")]
    BadTokenizer { reason: String },
    /// The index of a sharded checkpoint cannot be used.
    #[error("{file}: {reason}")]
    BadIndex { file: String, reason: String },
    /// A file that the checkpoint needs was not given.
    #[error("{file} is missing")]
    MissingFile { file: String },
    /// A tensor that the architecture needs is in no file.
    #[error("the tensor {tensor} is missing from the checkpoint")]
    MissingTensor { tensor: String },
    /// A tensor has another shape than the configuration says.
    #[error("the tensor {tensor} has the shape {found:?}, config.json asks for {expected:?}")]
    WrongShape { tensor: String, found: Vec<u64>, expected: Vec<u64> },
    /// The model family is not one that this tool knows.
    #[error("the model family \"{family}\" is not supported: {reason}")]
    UnsupportedFamily { family: String, reason: String },
    /// The weights are quantised: packed into whole numbers, or numbers of 8 bits with scales.
    #[error("the weights are quantised ({method}), as the tensor {tensor} tells")]
    Quantised { tensor: String, method: String },
    /// A weight is stored in a number format that this tool does not read.
    #[error("the tensor {tensor} is stored as {dtype}")]
    UnsupportedDtype { tensor: String, dtype: String },
    /// Weights, activations or logits are infinite or not a number, or weights are all zero.
    #[error("{what}: {found}")]
    NotFinite { what: String, found: String },
    /// Activations from which a measure or a fit makes nothing: without variance, all the same, all
    /// zero.
    #[error("{what}: {found}")]
    Degenerate { what: String, found: String },
    /// The kernel of a diffusion map has groups of rows without a connection.
    #[error("{layer}: {reason}")]
    Disconnected { layer: String, reason: String },
    /// An argument of a call is out of range, or two do not fit together.
    #[error("{argument}: {reason}")]
    BadArgument { argument: &'static str, reason: String },
    /// An allocation failed or a budget is exceeded.
    #[error("out of memory: {what}")]
    OutOfMemory { what: String },
    /// The WebGPU device was lost while in use.
    #[error("the GPU device was lost: {reason}")]
    DeviceLost { reason: String },
    /// WebGPU was asked for and is not there, or its numbers are wrong.
    #[error("WebGPU cannot be used: {reason}")]
    NoWebGpu { reason: String },
    /// A download failed.
    #[error("{url}: {reason}")]
    Network { url: String, reason: String },
    /// A local file could not be read or written.
    #[error("{file}: {reason}")]
    Storage { file: String, reason: String },
    /// What the page reads files with told in its own words why it cannot: a broken download, a
    /// file that has gone.
    #[error("{message}")]
    Unreadable { message: String, hint: String, network: bool },
    /// Something that no input should lead to: a bug of this program.
    #[error("a bug in this program: {what}")]
    Internal { what: String },
    /// The user cancelled the step. Not a failure; the page sees an `AbortError`.
    #[error("cancelled")]
    Cancelled,
}

/// Signs of a message that a page is given.
const LONGEST_MESSAGE: usize = 2000;

impl Error {
    /// What `Display` says, cut where a name or a value out of a file makes it long.
    pub fn message(&self) -> String {
        let text = self.to_string();
        match text.char_indices().nth(LONGEST_MESSAGE) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    }

    /// A short constructor for the most frequent case.
    pub fn argument(argument: &'static str, reason: impl Into<String>) -> Self {
        Self::BadArgument { argument, reason: reason.into() }
    }

    /// A short constructor for what no input should lead to.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::Internal { what: what.into() }
    }

    /// A short constructor for a configuration that cannot be used.
    pub fn config(reason: impl Into<String>) -> Self {
        Self::BadConfig { reason: reason.into() }
    }

    /// The stable code that programs test for (listed in the programming interface).
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotACheckpoint { .. } => "not-a-checkpoint",
            Self::BadHeader { .. } => "bad-header",
            Self::BadConfig { .. } => "bad-config",
            Self::BadTokenizer { .. } => "bad-tokenizer",
            Self::BadIndex { .. } => "bad-index",
            Self::MissingFile { .. } => "missing-file",
            Self::MissingTensor { .. } => "missing-tensor",
            Self::WrongShape { .. } => "wrong-shape",
            Self::UnsupportedFamily { .. } => "unsupported-family",
            Self::Quantised { .. } => "quantised",
            Self::UnsupportedDtype { .. } => "unsupported-dtype",
            Self::NotFinite { .. } => "not-finite",
            Self::Degenerate { .. } => "degenerate",
            Self::Disconnected { .. } => "disconnected",
            Self::BadArgument { .. } => "bad-argument",
            Self::OutOfMemory { .. } => "out-of-memory",
            Self::DeviceLost { .. } => "device-lost",
            Self::NoWebGpu { .. } => "no-webgpu",
            Self::Network { .. } => "network",
            Self::Storage { .. } => "storage",
            Self::Unreadable { network: true, .. } => "network",
            Self::Unreadable { network: false, .. } => "storage",
            Self::Internal { .. } => "internal",
            Self::Cancelled => "cancelled",
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> &str {
        match self {
            Self::NotACheckpoint { hint, .. } => hint,
            Self::BadHeader { .. } => "Download the file again; if it stays so, the program that wrote it has a bug.",
            Self::BadConfig { .. } => "Take the config.json that belongs to these weights, unchanged.",
            Self::BadTokenizer { .. } => "Take the tokenizer.json that belongs to these weights.",
            Self::BadIndex { .. } => "Take the index file from the same download as the shards.",
            Self::MissingFile { .. } => "Drop the whole model folder, or add the missing file to the selection.",
            Self::MissingTensor { .. } => "The checkpoint is incomplete or of another family than config.json says.",
            Self::WrongShape { found, .. } if found.contains(&0) => {
                "The tensor is empty: the program that saved it held a part of the model only (as ZeRO-3 does). Gather the weights and save again."
            }
            Self::WrongShape { .. } => {
                "config.json and the weights do not belong together; take both from one download."
            }
            Self::UnsupportedFamily { .. } => "The documentation lists the families that work (docs/families.md).",
            Self::Quantised { .. } => {
                "Take the original model in float32, float16 or bfloat16; packed numbers cannot be merged."
            }
            Self::UnsupportedDtype { .. } => "Convert the weights to float32, float16 or bfloat16 first.",
            Self::NotFinite { .. } => "The weights are damaged; download them again, or try another model.",
            Self::Degenerate { .. } => "The text is too short or too uniform; take more of it, or another one.",
            Self::Disconnected { .. } => "Take more text and rows, or a larger sigma.",
            Self::BadArgument { .. } => "Change this option and try again.",
            Self::OutOfMemory { .. } => "Close other tabs, take fewer or shorter sequences, or use a smaller model.",
            Self::DeviceLost { .. } => {
                "The next step starts another one, and your models stay open. If it happens again, choose the CPU engine."
            }
            Self::NoWebGpu { .. } => "Choose the CPU engine, or a browser and driver with WebGPU.",
            Self::Network { .. } => "Check the address and the connection, then try again.",
            Self::Storage { .. } => "Check that the file still exists and that the disk has room, then try again.",
            Self::Unreadable { hint, .. } => hint,
            Self::Internal { .. } => "Please report it, with the recipe and what you did before.",
            Self::Cancelled => "Start the step again when you like.",
        }
    }
}
