//! What differs between the browser and a native program: everything below `web` that asks for the
//! target. Must not know tensors, models or files.

pub mod off_heap;
