//! How kernels that work on channels read them: four at a time where their number allows it.

/// The declarations of `Lanes` for `channels`, and how many of them `channels` are.
pub(super) fn lanes(channels: usize) -> (&'static str, usize) {
    if channels.is_multiple_of(4) {
        (include_str!("lanes/four.wgsl"), channels / 4)
    } else {
        (include_str!("lanes/one.wgsl"), channels)
    }
}
