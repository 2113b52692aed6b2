//! Faults that are known and not repaired yet, each as a test of what should be, marked
//! `#[should_panic]`, with the cause above it. Once the fault is repaired its test fails here: take
//! the mark away then, and move the test to the module of what it is about.
//!
//! None is known at present.
