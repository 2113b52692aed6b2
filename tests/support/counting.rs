//! An engine around another that counts what is asked of it, and that refuses matrices beyond its
//! room.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use mka_lab::compute::{Activation, Attention, Compute, EngineInfo, Matrix, RotatedHeads, Tensor};
use mka_lab::dtype::Dtype;
use mka_lab::error::{Error, Pending, Result};

/// The engine around another.
pub struct Counting {
    inner: Rc<dyn Compute>,
    room: u64,
    calls: RefCell<BTreeMap<&'static str, u64>>,
}

impl Counting {
    /// Around `inner`, with room for everything.
    pub fn new(inner: Rc<dyn Compute>) -> Self {
        Self::with_room(inner, u64::MAX)
    }

    /// Around `inner`; a matrix that makes it hold more than `room` bytes is
    /// [`Error::OutOfMemory`].
    pub fn with_room(inner: Rc<dyn Compute>, room: u64) -> Self {
        Self { inner, room, calls: RefCell::default() }
    }

    /// How often the operation of this name was called since the last time that this was asked.
    pub fn take(&self, operation: &'static str) -> u64 {
        self.calls.borrow_mut().remove(operation).unwrap_or(0)
    }

    fn count(&self, operation: &'static str) {
        *self.calls.borrow_mut().entry(operation).or_default() += 1;
    }
}

/// Methods that count themselves and are passed on.
macro_rules! counted {
    ($(fn $name:ident(&self $(, $argument:ident: $kind:ty)*) -> $result:ty;)+) => {$(
        fn $name(&self $(, $argument: $kind)*) -> $result {
            self.count(stringify!($name));
            self.inner.$name($($argument),*)
        }
    )+};
}

impl Compute for Counting {
    fn matrix(&self, rows: usize, columns: usize, dtype: Dtype) -> Result<Matrix> {
        self.count("matrix");
        let bytes = (rows * columns * dtype.size()) as u64;
        if self.inner.memory().0 + bytes > self.room {
            return Err(Error::OutOfMemory { what: "the test's engine is full".into() });
        }
        self.inner.matrix(rows, columns, dtype)
    }

    // What the elision of a macro's types cannot say.
    fn read<'a>(&'a self, tensor: &'a Tensor) -> Pending<'a, Vec<f32>> {
        self.count("read");
        self.inner.read(tensor)
    }

    counted! {
        fn info(&self) -> &EngineInfo;
        fn memory(&self) -> (u64, u64);
        fn zeros(&self, rows: usize, columns: usize) -> Result<Tensor>;
        fn upload(&self, rows: usize, values: &[f32]) -> Result<Tensor>;
        fn write_rows(&self, matrix: &mut Matrix, first_row: usize, bytes: &[u8]) -> Result<()>;
        fn offload(&self, tensor: Tensor) -> Result<Tensor>;
        fn copy_to_engine(&self, tensor: &Tensor) -> Result<Tensor>;
        fn yield_now(&self) -> Pending<'_, ()>;
        fn matmul(&self, x: &Tensor, w: &Matrix, rows: Range<usize>, bias: Option<&Tensor>, out: &mut Tensor) -> Result<()>;
        fn rms_norm(&self, x: &Tensor, gain: &Tensor, epsilon: f32) -> Result<Tensor>;
        fn layer_norm(&self, x: &Tensor, gain: &Tensor, bias: &Tensor, epsilon: f32) -> Result<Tensor>;
        fn rotate(&self, x: &mut Tensor, heads: RotatedHeads, table: &Tensor, first: usize, length: usize) -> Result<()>;
        fn attention(
            &self, q: &Tensor, k: &Tensor, v: &Tensor, shape: &Attention, kv_heads: Range<usize>, out: &mut Tensor
        ) -> Result<()>;
        fn gated(&self, gate: &mut Tensor, up: &Tensor, activation: Activation) -> Result<()>;
        fn activate(&self, x: &mut Tensor, activation: Activation) -> Result<()>;
        fn soft_cap(&self, x: &mut Tensor, cap: f32) -> Result<()>;
        fn add(&self, x: &mut Tensor, factor: f32, y: &Tensor) -> Result<()>;
        fn inverse_row_norms(&self, x: &Tensor, factors: &[f32]) -> Result<Tensor>;
        fn transpose(&self, x: &Tensor, weights: Option<&Tensor>) -> Result<Tensor>;
        fn to_matrix(&self, x: &Tensor) -> Result<Matrix>;
        fn gather(&self, x: &Tensor, rows: &[u32]) -> Result<Tensor>;
        fn copy_rows(&self, target: &mut Tensor, first: usize, source: &Tensor) -> Result<()>;
        fn head_statistics(
            &self, logits: &Tensor, second: Option<&Tensor>, first: usize, targets: &[u32], state: &mut Tensor
        ) -> Result<()>;
    }
}
