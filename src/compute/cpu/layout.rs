//! Where the elements of a matrix lie in a slice: the bounds that raw pointers to it rest on. Must
//! not know products.

/// Element `(row, column)` has the index `offset + row * row_stride + column * column_stride`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Index of element (0, 0).
    pub(super) offset: usize,
    /// Distance of two rows.
    pub(super) row_stride: usize,
    /// Distance of two columns.
    pub(super) column_stride: usize,
}

/// A matrix to multiply.
pub(super) type Operand<'a> = (&'a [f32], Layout);

impl Layout {
    /// Row-major with `stride` elements from row to row, starting at `offset`.
    pub(super) const fn rows(offset: usize, stride: usize) -> Self {
        Self { offset, row_stride: stride, column_stride: 1 }
    }

    /// The transpose of a row-major matrix with `stride` elements from row to row, starting at
    /// `offset`.
    pub(super) const fn transposed(offset: usize, stride: usize) -> Self {
        Self { offset, row_stride: 1, column_stride: stride }
    }

    /// True when all of `[rows, columns]` lies inside `length` elements; always, where there is no
    /// element. The strides are then valid for pointers too, also those along a single row or
    /// column, by which nothing is ever moved.
    pub(super) fn fits(self, rows: usize, columns: usize, length: usize) -> bool {
        if rows == 0 || columns == 0 {
            return true;
        }
        // Checked throughout: a sum that wraps around would let a matrix pass that ends far
        // outside.
        let last = || {
            let (down, across) = (self.row_stride.checked_mul(rows - 1)?, self.column_stride.checked_mul(columns - 1)?);
            self.offset.checked_add(down)?.checked_add(across)
        };
        let pointers = [self.row_stride, self.column_stride].into_iter().all(|stride| isize::try_from(stride).is_ok());
        pointers && last().is_some_and(|last| last < length)
    }

    /// True when rows follow one another without overlap, or columns do, so that no two elements of
    /// `[rows, columns]` share an index. For a layout that [`Layout::fits`].
    pub(super) fn is_nested(self, rows: usize, columns: usize) -> bool {
        let apart = |outer: usize, outer_count: usize, inner: usize, inner_count: usize| {
            let inner_apart = inner_count <= 1 || inner > 0;
            let span = inner.saturating_mul(inner_count.saturating_sub(1));
            inner_apart && (outer_count <= 1 || outer > span)
        };
        rows == 0
            || columns == 0
            || apart(self.row_stride, rows, self.column_stride, columns)
            || apart(self.column_stride, columns, self.row_stride, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same in 128 bits, where nothing wraps around but what is far too long anyway.
    fn fits_by_definition(layout: Layout, rows: usize, columns: usize, length: usize) -> bool {
        if rows == 0 || columns == 0 {
            return true;
        }
        let product = |count: usize, stride: usize| (count as u128 - 1) * stride as u128;
        let (down, across) = (product(rows, layout.row_stride), product(columns, layout.column_stride));
        let last = (layout.offset as u128).saturating_add(down).saturating_add(across);
        let longest = layout.row_stride.max(layout.column_stride);
        longest <= isize::MAX as usize && last < length as u128
    }

    const AWKWARD: [usize; 14] = [
        0,
        1,
        2,
        3,
        7,
        1 << 16,
        u32::MAX as usize,
        1 << 31,
        isize::MAX as usize,
        isize::MAX as usize + 1,
        usize::MAX / 2,
        usize::MAX / 3,
        usize::MAX - 1,
        usize::MAX,
    ];

    #[test]
    fn bounds_hold_for_every_combination_of_awkward_numbers() {
        let mut accepted = 0;
        for offset in AWKWARD {
            for row_stride in AWKWARD {
                for column_stride in AWKWARD {
                    let layout = Layout { offset, row_stride, column_stride };
                    for rows in AWKWARD {
                        for columns in AWKWARD {
                            for length in [0, 1, 8, 29, isize::MAX as usize / 4] {
                                let expected = fits_by_definition(layout, rows, columns, length);
                                let found = layout.fits(rows, columns, length);
                                assert_eq!(found, expected, "{layout:?} [{rows}, {columns}] in {length}");
                                accepted += usize::from(found && rows > 0 && columns > 0);
                            }
                        }
                    }
                }
            }
        }
        assert!(accepted > 1000, "{accepted}");
    }

    #[test]
    fn nested_layouts_name_no_element_twice() {
        let mut nested = 0;
        for (row_stride, column_stride) in (0..9).flat_map(|row| (0..9).map(move |column| (row, column))) {
            let layout = Layout { offset: 0, row_stride, column_stride };
            for (rows, columns) in (0..5).flat_map(|rows| (0..5).map(move |columns| (rows, columns))) {
                let index = |i: usize| i / columns * row_stride + i % columns * column_stride;
                let mut indices: Vec<usize> = (0..rows * columns).map(index).collect();
                indices.sort_unstable();
                let distinct = indices.windows(2).all(|pair| pair[0] != pair[1]);
                assert!(distinct || !layout.is_nested(rows, columns), "{layout:?} [{rows}, {columns}]");
                nested += usize::from(layout.is_nested(rows, columns));
            }
        }
        assert!(nested > 1000, "{nested}");
        assert!(Layout::rows(3, 4).is_nested(9, 4) && Layout::transposed(3, 4).is_nested(4, 9));
        assert!(!Layout::rows(0, 3).is_nested(2, 4));
    }
}
