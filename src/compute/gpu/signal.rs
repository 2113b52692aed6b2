//! A one-shot event: set once by a callback of the device, awaited by a future. Must not know what
//! the event is.
//!
//! The device's callbacks must be `Send`, also where there is one thread; hence the lock.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// An event that happens at most once. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Signal(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    outcome: Option<bool>,
    waker: Option<Waker>,
}

impl Signal {
    /// Sets the outcome, true for success, unless it is set; wakes the future.
    pub(super) fn set(&self, success: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.outcome.get_or_insert(success);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// True for success, false for failure; none before the event.
    pub(super) fn outcome(&self) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).outcome
    }
}

impl Future for Signal {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.outcome {
            Some(success) => Poll::Ready(success),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_outcome_stays() {
        let setter = Signal::default();
        let mut signal = setter.clone();
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut signal).poll(&mut context), Poll::Pending);
        setter.set(false);
        setter.set(true);
        assert_eq!(Pin::new(&mut signal).poll(&mut context), Poll::Ready(false));
        assert_eq!(signal.outcome(), Some(false));
    }
}
