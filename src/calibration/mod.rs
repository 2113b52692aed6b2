//! The pass over a calibration set with chosen rows kept, and what is measured on them:
//! similarities, block influence, diffusion maps, error bars. This module must not know merging,
//! sessions or the web.

mod activations;
mod calibrated;
mod error_bars;
pub mod measures;
mod positions;

pub use activations::{Activations, Rows, STREAM_BUDGET, Sample, choose_rows, stream_at};
pub use calibrated::{Calibration, CalibrationInfo};
pub use error_bars::Spread;
pub use positions::Row;
