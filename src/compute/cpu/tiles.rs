//! Products in a browser that knows fused multiply-add: packed, tile by tile, a third faster than
//! `gemm` does them with WebAssembly's first SIMD, and more where products and sums share the
//! processor's units.
//!
//! The instruction belongs to relaxed SIMD, which not every browser has; a module that contains it
//! is refused as a whole where it is not known. So the innermost loops are a module of their own
//! (`tiles.wat`, half a kilobyte), which works on this one's memory by addresses: as unsafe as a
//! raw pointer, although the compiler cannot know. All else here is safe code. Must not know of
//! tensors.

use super::layout::{Layout, Operand};

/// Columns of a tile, rows of a tile.
const COLUMNS: usize = 8;
const ROWS: usize = 4;

/// What is packed at once: so many rows, columns and products. A panel of columns (12 kB) stays in
/// a first-level cache while all rows (768 kB) go by.
const MOST_ROWS: usize = 512;
const MOST_COLUMNS: usize = 128;
const MOST_PRODUCTS: usize = 384;

/// `out = alpha a b` with a `[m, k]`, b `[k, n]`, out `[m, n]`, none of them empty and all inside
/// their slices; `scratch` is made as large as it has to be.
///
/// `tiles` gets panels of 8 columns, `[panels, length, 8]`, groups of 4 rows,
/// `[groups, length, 4]`, the length, and writes the sums `[panels, groups, 4, 8]`; false where it
/// could not. So does this, and out is undefined then.
pub(super) fn product(
    (m, n, k): (usize, usize, usize),
    (out, out_layout): (&mut [f32], Layout),
    (a, a_layout): Operand<'_>,
    (b, b_layout): Operand<'_>,
    alpha: f32,
    scratch: &mut Vec<f32>,
    tiles: impl Fn(&[f32], &[f32], &mut [f32], usize) -> bool,
) -> bool {
    let most_rows = m.min(MOST_ROWS).next_multiple_of(ROWS);
    let most_columns = n.min(MOST_COLUMNS).next_multiple_of(COLUMNS);
    // Equal parts, since each costs a round over out.
    let most_products = k.div_ceil(k.div_ceil(MOST_PRODUCTS));
    scratch.resize(most_products * (most_rows + most_columns) + most_rows * most_columns, 0.0);
    let (rows, rest) = scratch.split_at_mut(most_products * most_rows);
    let (columns, sums) = rest.split_at_mut(most_products * most_columns);
    for first_row in (0..m).step_by(MOST_ROWS) {
        let high = MOST_ROWS.min(m - first_row);
        for first in (0..k).step_by(most_products) {
            let length = most_products.min(k - first);
            let rows = &mut rows[..high.next_multiple_of(ROWS) * length];
            for (row, group) in (0..high).step_by(ROWS).zip(rows.chunks_exact_mut(ROWS * length)) {
                let at = a_layout.offset + (first_row + row) * a_layout.row_stride + first * a_layout.column_stride;
                pack::<ROWS>(&a[at..], [a_layout.column_stride, a_layout.row_stride], high - row, group);
            }
            for first_column in (0..n).step_by(MOST_COLUMNS) {
                let wide = MOST_COLUMNS.min(n - first_column);
                let columns = &mut columns[..wide.next_multiple_of(COLUMNS) * length];
                for (column, panel) in (0..wide).step_by(COLUMNS).zip(columns.chunks_exact_mut(COLUMNS * length)) {
                    let column = first_column + column;
                    let at = b_layout.offset + first * b_layout.row_stride + column * b_layout.column_stride;
                    let strides = [b_layout.row_stride, b_layout.column_stride];
                    pack::<COLUMNS>(&b[at..], strides, n - column, panel);
                }
                let sums = &mut sums[..high.next_multiple_of(ROWS) * wide.next_multiple_of(COLUMNS)];
                if !tiles(columns, rows, sums, length) {
                    return false;
                }
                let at =
                    out_layout.offset + first_row * out_layout.row_stride + first_column * out_layout.column_stride;
                unpack(sums, (&mut out[at..], out_layout), [high, wide], alpha, first == 0);
            }
        }
    }
    true
}

/// Packs `N` rows (or columns) `[length, N]`, the last of them zeros where there are only `count`.
/// Strides are those along one and to the next.
fn pack<const N: usize>(values: &[f32], [along, next]: [usize; 2], count: usize, packed: &mut [f32]) {
    let packed = packed.as_chunks_mut::<N>().0;
    let length = packed.len();
    if next == 1 && count >= N {
        packed.iter_mut().enumerate().for_each(|(i, packed)| packed.copy_from_slice(&values[i * along..][..N]));
    } else if along == 1 && count >= N {
        let rows: [&[f32]; N] = std::array::from_fn(|j| &values[j * next..][..length]);
        for (i, packed) in packed.iter_mut().enumerate() {
            *packed = std::array::from_fn(|j| rows[j][i]);
        }
    } else {
        packed.fill([0.0; N]);
        for j in 0..count.min(N) {
            let values = values[j * next..].iter().step_by(along);
            packed.iter_mut().zip(values).for_each(|(packed, value)| packed[j] = *value);
        }
    }
}

/// Adds alpha times the sums `[panels, groups, 4, 8]` to the first `high` rows and `wide` columns
/// of out, or replaces what is there.
fn unpack(sums: &[f32], (out, layout): (&mut [f32], Layout), [high, wide]: [usize; 2], alpha: f32, replace: bool) {
    let scale = |(out, sum): (&mut f32, &f32)| match replace {
        true => *out = alpha * sum,
        false => *out += alpha * sum,
    };
    let panels = sums.chunks_exact(COLUMNS * high.next_multiple_of(ROWS));
    for (column, panel) in (0..wide).step_by(COLUMNS).zip(panels) {
        let count = COLUMNS.min(wide - column);
        for (row, sums) in (0..high).zip(panel.as_chunks::<COLUMNS>().0) {
            let out = &mut out[row * layout.row_stride + column * layout.column_stride..];
            // Adjacent columns, the usual case, are stored four at once.
            match (layout.column_stride, out.first_chunk_mut::<COLUMNS>()) {
                (1, Some(out)) if count == COLUMNS => out.iter_mut().zip(sums).for_each(scale),
                (stride, _) => out.iter_mut().step_by(stride).take(count).zip(sums).for_each(scale),
            }
        }
    }
}

/// The module of `tiles.wat`, on the memory of this one.
#[cfg(target_arch = "wasm32")]
pub(super) mod fused {
    use std::cell::{OnceCell, RefCell};

    use js_sys::{Function, Object, Reflect, Uint8Array, WebAssembly};
    use wasm_bindgen::{JsCast, JsValue};

    use super::{COLUMNS, Layout, Operand, ROWS};

    static MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tiles.wasm"));

    /// Below so many rows or columns, or products altogether, packing costs more than it gains.
    const FEW: usize = 32;
    const FEW_PRODUCTS: usize = 1 << 20;

    struct Kernel {
        tiles: Function,
        scratch: RefCell<Vec<f32>>,
    }

    thread_local! {
        static KERNEL: OnceCell<Option<Kernel>> = const { OnceCell::new() };
    }

    /// None where the browser does not know the instructions.
    ///
    /// SAFETY, of an instance that can write all of our memory: the module is our own, checked at
    /// build time, imports nothing else and has one export, which [`Kernel::tiles`] alone calls.
    fn start() -> Option<Kernel> {
        let module = WebAssembly::Module::new(&Uint8Array::from(MODULE)).ok()?;
        let (imports, main) = (Object::new(), Object::new());
        Reflect::set(&main, &"memory".into(), &wasm_bindgen::memory()).ok()?;
        Reflect::set(&imports, &"main".into(), &main).ok()?;
        let exports = WebAssembly::Instance::new(&module, &imports).ok()?.exports();
        let tiles = Reflect::get(&exports, &"tiles".into()).ok()?.dyn_into().ok()?;
        Some(Kernel { tiles, scratch: RefCell::default() })
    }

    impl Kernel {
        /// The `tiles` of [`super::product`].
        fn tiles(&self, columns: &[f32], rows: &[f32], sums: &mut [f32], length: usize) -> bool {
            if length == 0 {
                return false;
            }
            let (panels, groups) = (columns.len() / COLUMNS / length, rows.len() / ROWS / length);
            let whole = (panels * COLUMNS * length, groups * ROWS * length, panels * groups * COLUMNS * ROWS);
            if panels == 0 || groups == 0 || (columns.len(), rows.len(), sums.len()) != whole {
                return false;
            }
            let number = |value: usize| JsValue::from(value as u32);
            // SAFETY, of a call for which the compiler asks no `unsafe`: the module reads panels *
            // COLUMNS * length values from the first address on, groups * ROWS * length from the
            // second, and writes panels * groups * ROWS * COLUMNS to the third. The comparison
            // above says that these are the lengths of the three slices, and that each of its loops
            // has a round to do, which it takes for granted. `sums` is borrowed mutably, so it
            // overlaps neither input; the call returns before any of them can move or be freed, and
            // the module keeps no address. Addresses and counts fit 32 bits, as `usize` does here.
            let (columns, rows, sums) = (columns.as_ptr() as usize, rows.as_ptr() as usize, sums.as_mut_ptr() as usize);
            let [columns, rows, sums] = [columns, rows, sums].map(number);
            let [panels, groups, length] = [panels, groups, length].map(number);
            self.tiles.call6(&JsValue::NULL, &columns, &rows, &sums, &panels, &groups, &length).is_ok()
        }
    }

    /// Whether `[m, n]` sums of k products each are worth packing for.
    pub(in crate::compute::cpu) fn pay((m, n, k): (usize, usize, usize)) -> bool {
        m >= FEW && n >= FEW && m.saturating_mul(n).saturating_mul(k) >= FEW_PRODUCTS
    }

    /// Whether this browser has it.
    pub(in crate::compute::cpu) fn is_there() -> bool {
        KERNEL.with(|kernel| kernel.get_or_init(start).is_some())
    }

    /// As [`super::product`], under the same conditions; false, with out undefined, where the
    /// browser does not know the instructions.
    pub(in crate::compute::cpu) fn product(
        shape: (usize, usize, usize),
        out: (&mut [f32], Layout),
        a: Operand<'_>,
        b: Operand<'_>,
        alpha: f32,
    ) -> bool {
        KERNEL.with(|kernel| {
            let Some(kernel) = kernel.get_or_init(start) else {
                return false;
            };
            let scratch = &mut *kernel.scratch.borrow_mut();
            let tiles =
                |columns: &[f32], rows: &[f32], sums: &mut [f32], length| kernel.tiles(columns, rows, sums, length);
            super::product(shape, out, a, b, alpha, scratch, tiles)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The twin of the WebAssembly module in plain Rust.
    fn tiles(columns: &[f32], rows: &[f32], sums: &mut [f32], length: usize) -> bool {
        let mut tiles = sums.chunks_exact_mut(ROWS * COLUMNS);
        for panel in columns.chunks_exact(COLUMNS * length) {
            for group in rows.chunks_exact(ROWS * length) {
                for (i, sum) in tiles.next().unwrap().iter_mut().enumerate() {
                    let (row, column) = (i / COLUMNS, i % COLUMNS);
                    *sum = (0..length).map(|l| group[l * ROWS + row] * panel[l * COLUMNS + column]).sum();
                }
            }
        }
        tiles.next().is_none()
    }

    /// Small whole numbers, so that all sums are exact; sizes of one, primes, and over each limit;
    /// rows and columns apart, each way round.
    #[test]
    fn what_is_packed_gives_the_product() {
        let mut scratch = Vec::new();
        for (m, n, k) in [(1, 1, 1), (3, 7, 5), (4, 8, 256), (13, 131, 257), (515, 17, 3), (5, 257, 521)] {
            for transposed in [false, true] {
                let layout = |rows, columns| match transposed {
                    true => Layout::transposed(2, rows + 1),
                    false => Layout::rows(2, columns + 1),
                };
                let at = |layout: Layout, i: usize, j: usize| {
                    layout.offset + i * layout.row_stride + j * layout.column_stride
                };
                let values = |length: usize, by: usize| -> Vec<f32> {
                    (0..length).map(|i| ((i * by % 11) as f32) - 5.0).collect()
                };
                let (a, a_layout) = (values((m + 1) * (k + 1) + 2, 37), layout(m, k));
                let (b, b_layout) = (values((k + 1) * (n + 1) + 2, 17), layout(k, n));
                let (mut out, out_layout) = (vec![9.0; (m + 1) * (n + 1) + 2], layout(m, n));
                let mut expected = out.clone();
                for i in 0..m {
                    for j in 0..n {
                        let products = (0..k).map(|l| a[at(a_layout, i, l)] * b[at(b_layout, l, j)]);
                        expected[at(out_layout, i, j)] = 2.0 * products.sum::<f32>();
                    }
                }
                let out_of = (&mut out[..], out_layout);
                assert!(product((m, n, k), out_of, (&a, a_layout), (&b, b_layout), 2.0, &mut scratch, tiles));
                assert_eq!(out, expected, "{m} {n} {k} {transposed}");
            }
        }
    }
}
