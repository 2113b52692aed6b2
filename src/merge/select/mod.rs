//! Which pair is merged next: one file for each way to choose, on what was measured ([`scores`]).
//! The caller ([`super::greedy`]) asks the one that the plan names.

pub mod block_influence;
pub mod loss;
pub mod pair;
pub mod scores;
pub mod tail;
pub mod trials;
pub mod validation;
pub mod window;
