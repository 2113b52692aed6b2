//! Checked products by the `gemm` crate, whose interface is raw pointers, or by `tiles` where they
//! pay. The only `unsafe` block of the crate is here; what `tiles` calls by addresses says in the
//! same way why it is sound.

use super::layout::{Layout, Operand};
#[cfg(target_arch = "wasm32")]
use super::tiles::fused;

/// `out = alpha a b` with a `[m, k]`, b `[k, n]`, out `[m, n]`; what out was is not read. With k =
/// 0 all sums are empty and out becomes zeros; with m = 0 or n = 0 there is nothing to write.
///
/// Returns false, having done nothing, when one of the three does not lie inside its slice, or when
/// elements of out overlap.
#[must_use]
pub(super) fn gemm(
    (m, n, k): (usize, usize, usize),
    (out, out_layout): (&mut [f32], Layout),
    (a, a_layout): Operand<'_>,
    (b, b_layout): Operand<'_>,
    alpha: f32,
) -> bool {
    let fits = out_layout.fits(m, n, out.len()) && a_layout.fits(m, k, a.len()) && b_layout.fits(k, n, b.len());
    if !fits || !out_layout.is_nested(m, n) {
        return false;
    }
    if m == 0 || n == 0 {
        return true;
    }
    if k == 0 {
        // Neither input has an element: their offsets may lie anywhere, and no pointer to them may
        // be made.
        for row in (0..m).map(|row| out_layout.offset + row * out_layout.row_stride) {
            (0..n).for_each(|column| out[row + column * out_layout.column_stride] = 0.0);
        }
        return true;
    }
    #[cfg(target_arch = "wasm32")]
    if fused::pay((m, n, k)) && fused::product((m, n, k), (out, out_layout), (a, a_layout), (b, b_layout), alpha) {
        return true;
    }
    #[expect(unsafe_code, reason = "gemm takes raw pointers; the bounds of all three matrices were checked above")]
    // SAFETY: m, n and k are at least 1, so `Layout::fits` has checked, in arithmetic that cannot
    // wrap, that the index of the last element of each matrix, and so of every one and of the
    // first, to which the pointer goes, is below the length of its slice. Strides fit `isize`, so
    // the casts keep them, and a slice has at most `isize::MAX` bytes, so no offset between two
    // elements leaves `isize` either. gemm reads and writes only elements of the matrices; it does
    // not read `out` (`read_dst` is false). `out` is borrowed mutably, so it overlaps neither
    // input.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr().add(out_layout.offset),
            out_layout.column_stride as isize,
            out_layout.row_stride as isize,
            false,
            a.as_ptr().add(a_layout.offset),
            a_layout.column_stride as isize,
            a_layout.row_stride as isize,
            b.as_ptr().add(b_layout.offset),
            b_layout.column_stride as isize,
            b_layout.row_stride as isize,
            0.0,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
    true
}

#[cfg(test)]
mod tests {
    use rand::{Rng, RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn index(layout: Layout, row: usize, column: usize) -> usize {
        layout.offset + row * layout.row_stride + column * layout.column_stride
    }

    /// The definition; small whole numbers make all sums exact.
    fn plain_loop(
        (m, n, k): (usize, usize, usize),
        (out, out_layout): (&mut [f32], Layout),
        (a, a_layout): Operand<'_>,
        (b, b_layout): Operand<'_>,
        alpha: f32,
    ) {
        for row in 0..m {
            for column in 0..n {
                let products = (0..k).map(|l| a[index(a_layout, row, l)] * b[index(b_layout, l, column)]);
                out[index(out_layout, row, column)] = alpha * products.sum::<f32>();
            }
        }
    }

    fn values(length: usize, by: usize) -> Vec<f32> {
        (0..length).map(|i| ((i * by % 11) as f32) - 5.0).collect()
    }

    /// A layout of `[rows, columns]` either way round, with room between rows, and the length that
    /// it needs.
    fn layout(random: &mut impl Rng, rows: usize, columns: usize) -> (Layout, usize) {
        let (offset, room) = (random.random_range(0..4), random.random_range(0..3));
        let layout = match random.random() {
            true => Layout::rows(offset, columns + room),
            false => Layout::transposed(offset, rows + room),
        };
        let length = if rows * columns == 0 { 0 } else { index(layout, rows - 1, columns - 1) + 1 };
        (layout, length)
    }

    #[test]
    fn products_agree_with_the_definition_and_write_nothing_else() {
        let mut random = ChaCha8Rng::seed_from_u64(15);
        let sizes = [0, 1, 2, 3, 5, 8, 17];
        for m in sizes {
            for n in sizes {
                for k in sizes {
                    let shape = (m, n, k);
                    let ((a_layout, a_length), (b_layout, b_length)) =
                        (layout(&mut random, m, k), layout(&mut random, k, n));
                    let (out_layout, out_length) = layout(&mut random, m, n);
                    let (a, b) = (values(a_length, 37), values(b_length, 17));
                    // NaN: what is written anew must not depend on it.
                    let mut out = vec![f32::NAN; out_length + 3];
                    let mut expected = out.clone();
                    plain_loop(shape, (&mut expected, out_layout), (&a, a_layout), (&b, b_layout), 2.0);
                    assert!(gemm(shape, (&mut out, out_layout), (&a, a_layout), (&b, b_layout), 2.0), "{shape:?}");
                    let bits = |values: &[f32]| values.iter().map(|value| (value + 0.0).to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&out), bits(&expected), "{shape:?} {out_layout:?} {a_layout:?} {b_layout:?}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_is_written() {
        let mut random = ChaCha8Rng::seed_from_u64(16);
        let huge = [usize::MAX, usize::MAX - 1, usize::MAX / 2 + 2, isize::MAX as usize, usize::MAX / 4 + 1];
        for round in 0..20_000 {
            let shape = [1, 2, 3, 7].map(|limit| random.random_range(1..=limit));
            let shape @ (m, n, k) = (shape[1], shape[2], shape[3]);
            let mut layouts = [layout(&mut random, m, n), layout(&mut random, m, k), layout(&mut random, k, n)];
            let which = random.random_range(0..3);
            let (spoiled, length) = &mut layouts[which];
            let value = huge[random.random_range(0..huge.len())].wrapping_sub(random.random_range(0..2));
            let (rows, columns) = [(m, n), (m, k), (k, n)][which];
            match round % 4 {
                0 => *length -= 1,
                1 => spoiled.offset = value,
                2 if rows > 1 => spoiled.row_stride = value,
                3 if columns > 1 => spoiled.column_stride = value,
                _ => continue,
            }
            let [(out_layout, out_length), (a_layout, a_length), (b_layout, b_length)] = layouts;
            let (a, b, mut out) = (values(a_length, 37), values(b_length, 17), vec![9.0; out_length]);
            let done = gemm(shape, (&mut out, out_layout), (&a, a_layout), (&b, b_layout), 1.0);
            assert!(!done, "{shape:?} {out_layout:?} {a_layout:?} {b_layout:?}");
            assert!(out.iter().all(|value| *value == 9.0));
        }
    }

    #[test]
    fn elements_of_the_output_must_not_overlap() {
        let (a, b, mut out) = (values(6, 37), values(6, 17), vec![9.0; 4]);
        for row_stride in [0, 1] {
            let overlapping = Layout::rows(0, row_stride);
            assert!(!gemm((2, 2, 3), (&mut out, overlapping), (&a, Layout::rows(0, 3)), (&b, Layout::rows(0, 2)), 1.0));
        }
        assert_eq!(out, [9.0; 4]);
    }

    #[test]
    fn empty_sums_are_zeros_wherever_the_inputs_begin() {
        let mut out = vec![9.0; 7];
        let nowhere = Layout::rows(usize::MAX, usize::MAX);
        assert!(gemm((2, 2, 0), (&mut out, Layout::rows(1, 3)), (&[], nowhere), (&[], nowhere), 1.0));
        assert_eq!(out, [9.0, 0.0, 0.0, 9.0, 0.0, 0.0, 9.0]);
        for shape in [(0, 2, 3), (2, 0, 3), (0, 0, 0)] {
            let b = values(9, 17);
            let layout = Layout::rows(0, 3);
            assert!(gemm(shape, (&mut out, layout), (&b, layout), (&b, layout), 1.0), "{shape:?}");
        }
        assert_eq!(out, [9.0, 0.0, 0.0, 9.0, 0.0, 0.0, 9.0]);
    }
}
