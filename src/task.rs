//! What a long computation is given beside its data: a way to say how far it is, and to learn that
//! nobody wants it any more.
//!
//! This module must not know what is computed.

use std::cell::Cell;
use std::rc::Rc;

use serde::Serialize;
use web_time::{Duration, Instant};

use crate::error::{Error, Result};

/// No two reports of the same step come closer together than this, the last one excepted.
const REPORT_EVERY: Duration = Duration::from_millis(80);

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct Progress {
    /// What is being done, for the user: `"calibrate"`, `"evaluate"`…
    pub step: String,
    /// Units done.
    pub done: u64,
    /// Units in all.
    pub total: u64,
    /// What is counted: `"blocks"`, `"layers"`, `"tokens"`…
    pub unit: String,
    /// Seconds until the step ends, at the pace so far; absent before anything is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(target_arch = "wasm32", tsify(optional))]
    pub seconds_left: Option<f64>,
}

/// One call of the user: cancelled from outside, reporting to the outside.
pub struct Task {
    cancelled: Rc<Cell<bool>>,
    report: Box<dyn Fn(Progress)>,
}

impl Task {
    /// A task that reports to `report`.
    pub fn new(report: impl Fn(Progress) + 'static) -> Self {
        Self { cancelled: Rc::default(), report: Box::new(report) }
    }

    /// A task that nobody watches.
    pub fn silent() -> Self {
        Self::new(|_| ())
    }

    /// The same task for what one unit of a step consists of: cancelled with it, and silent, so
    /// that the user sees how far the step is.
    pub fn inner(&self) -> Self {
        Self { cancelled: self.cancelled.clone(), ..Self::silent() }
    }

    /// Asks the computation to stop; it does at its next [`Task::check`].
    pub fn cancel(&self) {
        self.cancelled.set(true);
    }

    /// Fails once the task is cancelled.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.cancelled.get() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Begins a step of `total` units.
    pub fn step(&self, step: &'static str, total: usize, unit: &'static str) -> Step<'_> {
        let now = Instant::now();
        let step = Step {
            task: self,
            step,
            done: Cell::new(0),
            total: total as u64,
            unit,
            begun: now,
            reported: Cell::new(now),
        };
        step.report();
        step
    }
}

/// A step of a task, counted in units.
pub struct Step<'a> {
    task: &'a Task,
    step: &'static str,
    done: Cell<u64>,
    total: u64,
    unit: &'static str,
    begun: Instant,
    reported: Cell<Instant>,
}

impl Step<'_> {
    /// Counts `units` as done, tells the user now and then, and fails once the task is cancelled.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn advance(&self, units: usize) -> Result<()> {
        self.done.set((self.done.get() + units as u64).min(self.total));
        if self.done.get() == self.total || self.reported.get().elapsed() >= REPORT_EVERY {
            self.reported.set(Instant::now());
            self.report();
        }
        self.task.check()
    }

    fn report(&self) {
        let done = self.done.get();
        let seconds_left =
            (done > 0).then(|| self.begun.elapsed().as_secs_f64() / done as f64 * (self.total - done) as f64);
        (self.task.report)(Progress {
            step: self.step.into(),
            done,
            total: self.total,
            unit: self.unit.into(),
            seconds_left,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_the_ends_and_stops_when_cancelled() {
        let seen = Rc::new(std::cell::RefCell::new(Vec::new()));
        let log = seen.clone();
        let task = Task::new(move |progress| log.borrow_mut().push((progress.done, progress.seconds_left.is_some())));
        let step = task.step("count", 3, "things");
        step.advance(1).unwrap();
        step.advance(5).unwrap();
        assert_eq!(seen.borrow().first(), Some(&(0, false)));
        assert_eq!(seen.borrow().last(), Some(&(3, true)), "never beyond the total");
        let inner = task.inner();
        let reports = seen.borrow().len();
        inner.step("count", 1, "parts").advance(1).unwrap();
        assert_eq!(seen.borrow().len(), reports, "what is inside is silent");
        task.cancel();
        assert_eq!(step.advance(0), Err(Error::Cancelled));
        assert_eq!(inner.check(), Err(Error::Cancelled));
    }
}
