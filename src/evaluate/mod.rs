//! What a model predicts, and how far a merged one has gone from it: perplexity, KL divergence,
//! top-1 agreement, teacher-forced; questions with four choices, and facts to complete. This module
//! must not know merging, sessions or the web.

mod cloze;
mod multiple_choice;
mod predictions;

pub use cloze::{ClozeFact, ClozeResult, Fact, complete_facts};
pub use multiple_choice::{ChoiceResult, answer_questions};
pub use predictions::{Baseline, Divergence, Evaluation, Loss, Second, evaluate, loss_after};
