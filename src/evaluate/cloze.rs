//! Facts to complete: the rank of the true next token among all.

use serde::{Deserialize, Serialize};

use super::predictions::read_text;
use crate::error::{Error, Result};
use crate::task::Task;
use crate::tokens::{Tokenizer, check_ids};
use crate::transformer::Transformer;

/// The most facts of one call.
const MOST: usize = 2000;

/// A fact with its end left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Fact {
    /// The beginning: "The capital of France is".
    pub prompt: String,
    /// What comes next: " Paris"; its first token counts.
    pub answer: String,
}

/// The rank of the true token among all.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ClozeFact {
    /// The beginning.
    pub prompt: String,
    /// The text of the true token.
    pub token: String,
    /// 1 is the likeliest of the vocabulary.
    pub rank: usize,
    /// Its probability.
    pub probability: f64,
    /// The text of the likeliest token.
    pub likeliest: String,
}

/// How a model completes facts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ClozeResult {
    /// Fact by fact.
    pub facts: Vec<ClozeFact>,
    /// Mean of 1 / rank.
    pub mean_reciprocal_rank: f64,
    /// Perplexity on the facts' text, mean over the facts of the loss per prediction.
    pub perplexity: f64,
}

/// The ranks of the true next tokens of some facts.
///
/// # Errors
/// [`Error::BadArgument`] for no fact or too many, or one without a token before or after the end
/// of its beginning; [`Error::NotFinite`], [`Error::Cancelled`], or what reading and computing fail
/// with.
pub async fn complete_facts(
    model: &Transformer,
    tokenizer: &Tokenizer,
    facts: &[Fact],
    task: &Task,
) -> Result<ClozeResult> {
    if facts.is_empty() || facts.len() > MOST {
        return Err(Error::argument("facts", format!("are {}, expected 1 to {MOST}", facts.len())));
    }
    let step = task.step("cloze", facts.len(), "facts");
    let (mut completed, mut reciprocal, mut loss) = (Vec::new(), 0.0, 0.0);
    for fact in facts {
        let before = tokenizer.encode(&fact.prompt)?;
        let whole = tokenizer.encode(&format!("{}{}", fact.prompt, fact.answer))?;
        let shared = before.iter().zip(&whole).take_while(|(a, b)| a == b).count();
        let Some(&target) = whole.get(shared).filter(|_| shared > 0) else {
            let reason = format!("{:?} with {:?} leaves no token to predict", fact.prompt, fact.answer);
            return Err(Error::argument("facts", reason));
        };
        check_ids(whole.iter(), model.description.vocabulary)?;
        let (found, logits) = read_text(model, &whole[..=shared], shared - 1, &task.inner()).await?;
        let own = logits[target as usize];
        let rank = 1 + logits.iter().filter(|logit| **logit > own).count();
        let (likeliest, most) = logits
            .iter()
            .enumerate()
            .fold((0, f32::NEG_INFINITY), |best, (id, logit)| if *logit > best.1 { (id as u32, *logit) } else { best });
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
        completed.push(ClozeFact {
            prompt: fact.prompt.clone(),
            token: tokenizer.decode(&[target])?,
            rank,
            probability: f64::from(own - most).exp() / sum,
            likeliest: tokenizer.decode(&[likeliest])?,
        });
        reciprocal += 1.0 / rank as f64;
        loss += found.nll;
        step.advance(1)?;
    }
    let count = facts.len() as f64;
    let (mean_reciprocal_rank, perplexity) = (reciprocal / count, (loss / count).exp());
    Ok(ClozeResult { facts: completed, mean_reciprocal_rank, perplexity })
}
