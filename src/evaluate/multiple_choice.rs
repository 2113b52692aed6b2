//! Questions with four choices. They come with the perplexity on their own text, since letters
//! alone deceive: replications of MKA report 0.647 on MMLU at 13 of 32 layers of Llama-3-8B, with a
//! perplexity of 31,000 on the questions.

use serde::Serialize;

use super::predictions::read_text;
use crate::error::{Error, Result};
use crate::task::Task;
use crate::tokens::{Tokenizer, check_ids};
use crate::transformer::Transformer;

const LETTERS: [&str; 4] = ["A", "B", "C", "D"];
/// The most questions of one call.
const MOST: usize = 2000;

/// How a model answers questions by letter. Never shown without the perplexity: a ruined model can
/// be right by letter.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct ChoiceResult {
    /// Number of questions.
    pub questions: usize,
    /// Share of questions whose right letter is the likeliest of the four. Guessing gives 0.25.
    pub accuracy: f64,
    /// Mean probability of the right letter among the four.
    pub confidence: f64,
    /// Perplexity on the text of the questions, mean over the questions of the loss per prediction.
    pub perplexity: f64,
    /// The letter that was chosen for each.
    pub answers: Vec<String>,
}

/// A question with its choices and the index of the right one.
struct Question {
    prompt: String,
    right: usize,
}

/// Asks at most `limit` questions of `csv`, MMLU's format: after the question, the choices and
/// "Answer:", the likeliest of the four letters is the answer.
///
/// # Errors
/// [`Error::BadArgument`] naming the line that is no question, [`Error::BadTokenizer`] where
/// letters are no tokens, [`Error::NotFinite`], [`Error::Cancelled`], or what reading and computing
/// fail with.
pub async fn answer_questions(
    model: &Transformer,
    tokenizer: &Tokenizer,
    csv: &str,
    limit: usize,
    task: &Task,
) -> Result<ChoiceResult> {
    let questions = questions(csv, limit.min(MOST))?;
    let mut letters = Vec::new();
    for letter in LETTERS {
        let ids = tokenizer.encode(&format!("Answer: {letter}"))?;
        letters.extend(ids.last().copied().filter(|id| !letters.contains(id)));
    }
    if letters.len() < LETTERS.len() {
        let reason = "it has no token of its own for each of the letters A to D, so questions cannot be asked";
        return Err(Error::BadTokenizer { reason: reason.into() });
    }
    let step = task.step("choice", questions.len(), "questions");
    let (mut right, mut confidence, mut loss, mut answers) = (0, 0.0, 0.0, Vec::new());
    for question in &questions {
        let ids = tokenizer.encode(&question.prompt)?;
        check_ids(ids.iter(), model.description.vocabulary)?;
        let (found, logits) = read_text(model, &ids, ids.len().saturating_sub(1), &task.inner()).await?;
        let scores: Vec<f64> = letters.iter().map(|id| f64::from(logits[*id as usize])).collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let chosen = scores.iter().position(|score| *score == most).unwrap_or(0);
        let sum: f64 = scores.iter().map(|score| (score - most).exp()).sum();
        right += u32::from(chosen == question.right);
        confidence += (scores[question.right] - most).exp() / sum;
        loss += found.nll;
        answers.push(LETTERS[chosen].into());
        step.advance(1)?;
    }
    let count = questions.len() as f64;
    Ok(ChoiceResult {
        questions: questions.len(),
        accuracy: f64::from(right) / count,
        confidence: confidence / count,
        perplexity: (loss / count).exp(),
        answers,
    })
}

/// The questions of a file in the format of MMLU, as the model reads them.
fn questions(csv: &str, limit: usize) -> Result<Vec<Question>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(csv.as_bytes());
    let mut questions = Vec::new();
    for (number, record) in reader.records().take(limit).enumerate() {
        let bad = |reason: String| Error::argument("csv", format!("row {}: {reason}", number + 1));
        let record = record.map_err(|e| bad(e.to_string()))?;
        let fields: Vec<&str> = record.iter().map(str::trim).collect();
        let [question, choices @ .., answer] = &fields[..] else {
            return Err(bad("it is empty".into()));
        };
        let right = LETTERS.iter().position(|letter| letter.eq_ignore_ascii_case(answer));
        let Some(right) = right.filter(|_| choices.len() == LETTERS.len()) else {
            return Err(bad("expected a question, four choices and the letter A, B, C or D".into()));
        };
        let choices = LETTERS.iter().zip(choices).map(|(letter, choice)| format!("{letter}. {choice}\n"));
        questions.push(Question { prompt: format!("{question}\n{}Answer:", choices.collect::<String>()), right });
    }
    if questions.is_empty() {
        return Err(Error::argument("csv", "it has no question"));
    }
    Ok(questions)
}

#[cfg(test)]
mod tests {
    use super::questions;

    #[test]
    fn questions_are_read_as_mmlu_writes_them() {
        let csv = "\"Which, of \"\"these\"\"?\",one,two,\"three,\n3\",four,C\nNext?,a,b,c,d,a\n";
        let read = questions(csv, 10).unwrap_or_default();
        assert_eq!(read.iter().map(|q| q.right).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(read[0].prompt, "Which, of \"these\"?\nA. one\nB. two\nC. three,\n3\nD. four\nAnswer:");
        assert_eq!(questions(csv, 1).map(|q| q.len()), Ok(1));
        for bad in ["", "a,b,c", "q,a,b,c,d,E", "q,a,b,c,A"] {
            assert!(questions(bad, 10).is_err(), "{bad:?}");
        }
    }
}
