//! A checked door to the `gemm` crate, whose interface is raw pointers. The only unsafe code of the crate is here.

#[cfg(target_arch = "wasm32")]
use super::tiles::fused;

/// Where the elements of a matrix lie in a slice: `offset + row * row_stride + column * column_stride`.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Index of element (0, 0).
    pub offset: usize,
    /// Distance of two rows.
    pub row_stride: usize,
    /// Distance of two columns.
    pub column_stride: usize,
}

impl Layout {
    /// Row-major with `stride` elements from row to row, starting at `offset`.
    pub const fn rows(offset: usize, stride: usize) -> Self {
        Self { offset, row_stride: stride, column_stride: 1 }
    }

    /// The transpose of a row-major matrix with `stride` elements from row to row, starting at `offset`.
    pub const fn transposed(offset: usize, stride: usize) -> Self {
        Self { offset, row_stride: 1, column_stride: stride }
    }

    /// True when all of `[rows, columns]` lies inside `length` elements.
    fn fits(self, rows: usize, columns: usize, length: usize) -> bool {
        rows == 0
            || columns == 0
            || self.offset + (rows - 1) * self.row_stride + (columns - 1) * self.column_stride < length
    }
}

/// A matrix to multiply.
pub type Operand<'a> = (&'a [f32], Layout);

/// `out = alpha a b` with a `[m, k]`, b `[k, n]`, out `[m, n]`; what out was is not read.
///
/// Returns false, having done nothing, when one of the three does not lie inside its slice.
#[must_use]
pub fn gemm(
    (m, n, k): (usize, usize, usize),
    (out, out_layout): (&mut [f32], Layout),
    (a, a_layout): Operand<'_>,
    (b, b_layout): Operand<'_>,
    alpha: f32,
) -> bool {
    let fits = out_layout.fits(m, n, out.len()) && a_layout.fits(m, k, a.len()) && b_layout.fits(k, n, b.len());
    if !fits {
        return false;
    }
    if m == 0 || n == 0 {
        return true;
    }
    #[cfg(target_arch = "wasm32")]
    if fused::pay((m, n, k)) && fused::product((m, n, k), (out, out_layout), (a, a_layout), (b, b_layout), alpha) {
        return true;
    }
    #[expect(unsafe_code, reason = "gemm takes raw pointers; the bounds of all three matrices were checked above")]
    // SAFETY: every element that gemm touches lies inside its slice, and `out` is borrowed mutably, so it overlaps neither input.
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
    use super::*;

    #[test]
    fn odd_sizes_and_transposes_agree_with_the_definition() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (17, 1, 13), (1, 31, 2), (19, 23, 29)] {
            let a: Vec<f32> = (0..m * k).map(|i| ((i * 37 % 11) as f32) - 5.0).collect();
            let b: Vec<f32> = (0..n * k).map(|i| ((i * 17 % 13) as f32) - 6.0).collect();
            let mut out = vec![1.0; m * n];
            let (a_layout, b_layout, out_layout) = (Layout::rows(0, k), Layout::transposed(0, k), Layout::rows(0, n));
            assert!(gemm((m, n, k), (&mut out, out_layout), (&a, a_layout), (&b, b_layout), 2.0));
            for i in 0..m {
                for j in 0..n {
                    let sum: f32 = (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum();
                    assert_eq!(out[i * n + j], 2.0 * sum);
                }
            }
            let too_long = gemm((m, n, k + 1), (&mut out, out_layout), (&a, a_layout), (&b, b_layout), 1.0);
            assert!(!too_long, "a matrix that does not lie in its slice is refused");
        }
    }
}
