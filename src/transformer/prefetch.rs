//! Two things at once, one of which may have to wait. Must not know what they are.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Runs `work` to its end, and `prefetch` beside it whenever `may` says so; returns what `prefetch`
/// gave if it came that far. The caller may go on with `prefetch` afterwards.
pub(super) async fn beside<T, A>(
    mut work: Pin<&mut impl Future<Output = T>>,
    mut prefetch: Pin<&mut impl Future<Output = A>>,
    may: impl Fn() -> bool,
) -> (T, Option<A>) {
    let mut read = None;
    poll_fn(|context| {
        // Before the work, so that a read is under way while the work computes.
        if read.is_none()
            && may()
            && let Poll::Ready(value) = prefetch.as_mut().poll(context)
        {
            read = Some(value);
        }
        work.as_mut().poll(context).map(|value| (value, read.take()))
    })
    .await
}
