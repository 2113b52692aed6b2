//! Faults that are known and not repaired yet, each as a test of what should be, marked
//! `#[should_panic]` with the cause above it. A test that stops to fail here then fails as such,
//! and moves to the module of what it is about.
//!
//! None is known at present.
