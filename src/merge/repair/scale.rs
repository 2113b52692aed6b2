//! By how much the stream grows over a gap, for the repair by a scale (Prune&Comp, arXiv 2507.18212). Must not know where the streams come from.

use crate::error::{Error, Result};

/// By how much a stream grows: the mean over the channels of mean |x behind| / mean |x before|.
pub struct Growth {
    /// Sum of |x| before and behind, for each channel.
    sums: Vec<(f64, f64)>,
}

impl Growth {
    /// Sums over nothing, for a stream of `hidden` channels.
    pub fn new(hidden: usize) -> Self {
        Self { sums: vec![(0.0, 0.0); hidden] }
    }

    /// Adds rows of the stream before and behind the gap, `[rows, hidden]` each.
    ///
    /// # Errors
    /// [`Error::BadArgument`] when the two differ in size.
    pub fn add(&mut self, before: &[f32], behind: &[f32]) -> Result<()> {
        let d = self.sums.len().max(1);
        if before.len() != behind.len() || !before.len().is_multiple_of(d) {
            return Err(Error::argument("rows", "the stream before and behind a gap differ in size"));
        }
        for (before, behind) in before.chunks_exact(d).zip(behind.chunks_exact(d)) {
            for (sums, (x, y)) in self.sums.iter_mut().zip(before.iter().zip(behind)) {
                sums.0 += f64::from(x.abs());
                sums.1 += f64::from(y.abs());
            }
        }
        Ok(())
    }

    /// The factor.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when all channels are zero before the gap, or the sums are not numbers.
    pub fn factor(&self) -> Result<f64> {
        // A channel that is never used (padding, pruning) has no growth.
        let used = self.sums.iter().filter(|(before, _)| *before > 0.0);
        let (count, sum) = used.fold((0u32, 0.0), |(n, sum), (before, behind)| (n + 1, sum + behind / before));
        let factor = sum / f64::from(count);
        let what = || "the growth of the stream over a gap".to_string();
        match factor > 0.0 && factor.is_finite() {
            true => Ok(factor),
            false => Err(Error::NotFinite { what: what(), found: format!("it is {factor}") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_the_mean_of_the_channels() {
        let mut growth = Growth::new(2);
        growth.add(&[1.0, -2.0], &[2.0, 2.0]).unwrap();
        growth.add(&[-1.0, 2.0], &[-2.0, -2.0]).unwrap();
        assert_eq!(growth.factor(), Ok(1.5));
        assert!(growth.add(&[1.0, 1.0], &[1.0]).is_err());
        assert!(Growth::new(2).factor().is_err());
    }
}
