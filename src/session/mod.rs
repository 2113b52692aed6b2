//! One run from files to files. The only place that knows the order of things.
//!
//! A [`Lab`] owns an engine; it opens a [`Model`]; a model calibrates, measures, merges and
//! generates; a merged model is a [`Model`] with an [`Origin`]. This module must not know the web.

mod calibrate;
mod compare;
mod estimate;
mod export;
mod generate;
mod input;
mod lab;
mod measure;
mod merge;
mod model;
mod open;

pub use lab::Lab;
pub use model::{Model, Origin};
