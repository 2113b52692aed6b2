//! Evidence beside perplexity: questions with four choices, and facts to complete. Each comes with the perplexity on its own text, since letters alone
//! deceive: replications of MKA report 0.647 on MMLU at 13 of 32 layers of Llama-3-8B, with a perplexity of 31,000 on the questions.

use super::Model;
use crate::error::{Error, Result};
use crate::evaluate::read_text;
use crate::interface::{ChoiceOptions, ChoiceResult, ClozeFact, ClozeOptions, ClozeResult};
use crate::task::Task;

const LETTERS: [&str; 4] = ["A", "B", "C", "D"];
/// The most questions or facts of one call.
const MOST: usize = 2000;

/// A question with its choices and the index of the right one.
struct Question {
    prompt: String,
    right: usize,
}

impl Model {
    /// Has the model answer questions: it reads the question and the choices, and the likeliest of the four letters after "Answer:" is its answer.
    ///
    /// # Errors
    /// [`Error::BadArgument`] naming the line that is no question, [`Error::MissingFile`] without a tokenizer, [`Error::NotFinite`],
    /// [`Error::Cancelled`], or what reading and computing fail with.
    pub async fn choice(&self, options: &ChoiceOptions, task: &Task) -> Result<ChoiceResult> {
        self.lab.weights.sweep();
        let questions = questions(&options.csv, options.limit.unwrap_or(20).min(MOST))?;
        let tokenizer = self.tokenizer()?;
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
            self.check_ids(ids.iter())?;
            let (found, logits) =
                read_text(&self.transformer, &ids, ids.len().saturating_sub(1), &task.inner()).await?;
            let scores: Vec<f64> = letters.iter().map(|id| f64::from(logits[*id as usize])).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let chosen = scores.iter().position(|score| *score == most).unwrap_or(0);
            let sum: f64 = scores.iter().map(|score| (score - most).exp()).sum();
            right += usize::from(chosen == question.right);
            confidence += (scores[question.right] - most).exp() / sum;
            loss += found.nll;
            answers.push(LETTERS[chosen].into());
            step.advance(1)?;
        }
        let count = questions.len() as f64;
        Ok(ChoiceResult {
            questions: questions.len(),
            accuracy: right as f64 / count,
            confidence: confidence / count,
            perplexity: (loss / count).exp(),
            answers,
        })
    }

    /// Has the model complete facts: the rank of the true next token among all.
    ///
    /// # Errors
    /// As [`Model::choice`]; [`Error::BadArgument`] for a fact without a token before or behind its end.
    pub async fn cloze(&self, options: &ClozeOptions, task: &Task) -> Result<ClozeResult> {
        self.lab.weights.sweep();
        if options.facts.is_empty() || options.facts.len() > MOST {
            return Err(Error::argument("facts", format!("are {}, expected 1 to {MOST}", options.facts.len())));
        }
        let tokenizer = self.tokenizer()?;
        let step = task.step("cloze", options.facts.len(), "facts");
        let (mut facts, mut reciprocal, mut loss) = (Vec::new(), 0.0, 0.0);
        for fact in &options.facts {
            let before = tokenizer.encode(&fact.prompt)?;
            let whole = tokenizer.encode(&format!("{}{}", fact.prompt, fact.answer))?;
            let shared = before.iter().zip(&whole).take_while(|(a, b)| a == b).count();
            let Some(&target) = whole.get(shared).filter(|_| shared > 0) else {
                let reason = format!("{:?} with {:?} leaves no token to predict", fact.prompt, fact.answer);
                return Err(Error::argument("facts", reason));
            };
            self.check_ids(whole.iter())?;
            let (found, logits) = read_text(&self.transformer, &whole[..=shared], shared - 1, &task.inner()).await?;
            let own = logits[target as usize];
            let rank = 1 + logits.iter().filter(|logit| **logit > own).count();
            let (likeliest, most) = logits.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (id, logit)| {
                if *logit > best.1 { (id as u32, *logit) } else { best }
            });
            let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
            facts.push(ClozeFact {
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
        Ok(ClozeResult { facts, mean_reciprocal_rank: reciprocal / count, perplexity: (loss / count).exp() })
    }
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
