//! What differs between the browser and a native program below `web`: how a worker yields, where
//! bytes lie outside the heap. (What differs between the two backends of wgpu stays beside its
//! kernels.) Must not know tensors, models or files.

pub mod event_loop;
pub mod off_heap;
pub mod written;
