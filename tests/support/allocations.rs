//! The system's allocator, counted: what is in use, the most that was, and a bound beyond which the
//! program ends. For whoever measures hostile input; it counts a whole program.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes in use, the most that were, and how many may be.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);

struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

// SAFETY: everything is done by the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are in use while the one is copied to the other.
        take(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn take(size: usize) {
    let live = LIVE.fetch_add(size, Ordering::Relaxed) + size;
    PEAK.fetch_max(live, Ordering::Relaxed);
    if live > MOST.load(Ordering::Relaxed) {
        MOST.store(usize::MAX, Ordering::Relaxed); // what is printed is allocated too
        eprintln!("{live} bytes are in use, {size} of them just asked for: more than the input allows");
        std::process::abort();
    }
}

/// Runs `job`; the most bytes that it had in use beyond those of before. A program that may take no
/// more than `most` ends there, with its stack.
pub fn measured<T>(most: usize, job: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    MOST.store(before.saturating_add(most), Ordering::Relaxed);
    let result = job();
    MOST.store(usize::MAX, Ordering::Relaxed);
    (result, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}
