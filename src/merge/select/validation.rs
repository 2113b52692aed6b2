//! How many tokens a choice is made on, and how windows are spread over a calibration set.

/// What is merged is chosen by fits to at most so many tokens.
pub const FIT_TOKENS: usize = 8192;
/// A choice is validated on at most so many held-out tokens, spread over all that are held out.
pub const VALIDATION_TOKENS: usize = 2048;
/// The loss of a trial is measured on at most so many tokens from the start of the calibration
/// text.
pub const LOSS_TOKENS: usize = 4096;

/// Windows of at most `tokens` tokens together, at least one, evenly spread over all.
pub fn spread(windows: &[Vec<u32>], tokens: usize) -> Vec<Vec<u32>> {
    let count = (tokens / windows.first().map_or(1, |window| window.len().max(1))).clamp(1, windows.len().max(1));
    (0..count.min(windows.len())).map(|i| windows[i * windows.len() / count].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_spread_over_all() {
        let windows: Vec<Vec<u32>> = (0..10).map(|i| vec![i; 4]).collect();
        let firsts = |tokens| spread(&windows, tokens).iter().map(|window| window[0]).collect::<Vec<_>>();
        assert_eq!(firsts(3), [0]);
        assert_eq!(firsts(16), [0, 2, 5, 7]);
        assert_eq!(firsts(1000), (0..10).collect::<Vec<_>>());
        assert!(spread(&[], 8).is_empty());
    }
}
