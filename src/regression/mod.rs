//! Weighted ridge regression in closed form, on an engine.
//!
//! With x the inputs of a projection, s the stream after it and t what that stream should be:
//! X = (x'Wx + mu I)^-1 x'W(t - s) is what is added to its weights, W = diag(w^2),
//! mu = ridge trace(x'Wx) / inputs. The ridge draws the projection to what it was.
//!
//! [`NormalEquations`] are x'Wx and x'W(t - s), summed over rows in `f32` where the rows are. A map
//! that a recipe keeps is solved for in `f64` on the CPU ([`NormalEquations::map`]); weights, of
//! which a merge makes hundreds, on the engine ([`NormalEquations::solve`], by a blocked Cholesky
//! factor). This module must not know models, nor what x, s and t are.

mod cholesky;
mod error_reduction;
mod flop_rate;
mod normal_equations;
mod saliency;
#[cfg(test)]
mod tests;

pub use flop_rate::seconds_per_flop;
pub use normal_equations::{Features, NormalEquations, Samples, finite};
