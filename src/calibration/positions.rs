//! The token positions whose hidden states a calibration keeps: their texts, and the norms there.

use super::calibrated::Calibration;
use crate::error::Result;
use crate::task::Task;

/// Tokens of context on either side of a row's token.
const CONTEXT: usize = 6;
/// The token of a row, in its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The window that it is in.
    pub sequence: usize,
    /// Its position in the window.
    pub position: usize,
    /// The token's id.
    pub id: u32,
    /// The token's own text; empty without a tokenizer.
    pub text: String,
    /// The text of the six tokens before it, fewer at the start of a window.
    pub before: String,
    /// The text of the six tokens after it.
    pub after: String,
}

impl Calibration {
    /// The tokens of the rows, in the order of the activation matrices.
    ///
    /// # Errors
    /// [`crate::error::Error::BadTokenizer`] when the tokenizer cannot decode its own ids.
    pub fn rows(&self) -> Result<Vec<Row>> {
        let row = |&(sequence, position): &(usize, usize)| {
            let ids = &self.sample.windows[sequence];
            let [before, text, after] = self.context(ids, position)?;
            Ok(Row { sequence, position, id: ids[position], text, before, after })
        };
        self.sample.chosen.iter().map(row).collect()
    }

    /// What stands before, at and after a position of a window. A token's text depends on what is
    /// before it (a space, half a character), so it is what it adds to that.
    fn context(&self, ids: &[u32], position: usize) -> Result<[String; 3]> {
        let Some(tokenizer) = &self.tokenizer else {
            return Ok(Default::default());
        };
        let ids = &ids[position.saturating_sub(CONTEXT)..(position + CONTEXT + 1).min(ids.len())];
        let at = position.min(CONTEXT);
        let texts = [tokenizer.decode(&ids[..at])?, tokenizer.decode(&ids[..=at])?, tokenizer.decode(ids)?];
        let first = common_start(&texts[0], &texts[1]);
        let second = common_start(&texts[1], &texts[2]);
        Ok([&texts[1][..first], &texts[1][first..], &texts[2][second..]].map(Into::into))
    }

    /// The mean Euclidean norm of `x[l]` over the rows, for l = 0..=L.
    ///
    /// # Errors
    /// [`crate::error::Error::Cancelled`].
    pub async fn norms(&self, task: &Task) -> Result<Vec<f64>> {
        let mut norms = Vec::new();
        for layer in 0..=self.activations.layers() {
            let values = self.activations.hidden(layer)?;
            let rows = values.chunks_exact(self.activations.columns);
            let sum: f64 = rows.map(|row| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()).sum();
            norms.push(sum / self.activations.rows as f64);
            self.yield_now().await?;
            task.check()?;
        }
        Ok(norms)
    }
}

/// How many bytes two texts have in common at their start, whole characters.
fn common_start(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::common_start;

    #[test]
    fn texts_part_at_whole_characters() {
        assert_eq!(common_start("a cat", "a cat sat"), 5);
        assert_eq!(common_start("é\u{fffd}", "éü"), 2);
        assert_eq!(common_start("", "x"), 0);
    }
}
