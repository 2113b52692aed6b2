//! The options and results of the programming interface, as JavaScript sees them; TypeScript types
//! are generated from here.
//!
//! Plain data: no logic but defaults.

mod options;
mod results;

pub use options::*;
pub use results::*;
