//! Solutions on the engine: a Cholesky factor by blocks, in `f32` but for the diagonal blocks,
//! which are factored in `f64` on the CPU.
//!
//! With A = x'Wx + mu I = LL' and C = (t - s)'Wx, the rows of C stand below those of A and are
//! eliminated with them, which makes CL'^-1 of them; the transpose of X is that times L^-1. So all
//! that is much is a product. The rows of the identity, where they are asked for, become L'^-1 in
//! the same way.

use std::ops::Range;

use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, Par, Side};

use super::normal_equations::{NormalEquations, Sums, blocks, broken, damping, indefinite, numbers};
use crate::compute::sliced::product;
use crate::compute::{Compute, Tensor};
use crate::error::{Error, Result};
use crate::task::Task;

/// The diagonal is raised by this share of itself, which is more than what `f32` may take from it.
const RAISE: f32 = 1.0e-6;

/// What one block of columns became.
pub(super) struct Panel {
    pub columns: Range<usize>,
    /// L from the diagonal block down, CL'^-1 and, where it was asked for, the transpose of these
    /// rows of L^-1 as far as it is not zero: `[inputs - first + outputs (+ last), columns]`.
    pub values: Tensor,
    /// The inverse of the diagonal block of L, row-major.
    inverse: Vec<f32>,
}

impl Panel {
    /// Rows of the panel by their number in the whole.
    pub fn rows(&self, engine: &dyn Compute, rows: Range<usize>) -> Result<Tensor> {
        let first = self.columns.start;
        engine.gather(&self.values, &numbers(rows.start - first..rows.end - first))
    }
}

impl NormalEquations {
    /// X, `[inputs, outputs]`, on the engine.
    ///
    /// # Errors
    /// [`Error::Degenerate`] when all that is read is zero, or the sums are not numbers;
    /// [`Error::BadArgument`] for a diagonal map; [`Error::Cancelled`], or what the engine fails
    /// with.
    pub async fn solve(&self, engine: &dyn Compute, ridge: f64, task: &Task) -> Result<Tensor> {
        self.solution(engine, &self.factor(engine, ridge, false, task).await?, task).await
    }

    /// The factor of the whole, and with it what stands below.
    pub(super) async fn factor(
        &self,
        engine: &dyn Compute,
        ridge: f64,
        with_inverse: bool,
        task: &Task,
    ) -> Result<Vec<Panel>> {
        let Sums::Full(sums) = &self.sums else {
            return Err(Error::internal("a diagonal map was to be solved for on an engine"));
        };
        let diagonal = self.diagonal_of_gram(engine).await?;
        let mu = damping(ridge, diagonal.iter().map(|value| f64::from(*value)))? as f32;
        let mut rest = Vec::new();
        for (columns, sums) in blocks(self.inputs).zip(sums) {
            let more = if with_inverse { columns.end } else { 0 };
            let mut values = engine.zeros(sums.rows + more, sums.columns)?;
            engine.copy_rows(&mut values, 0, sums)?;
            let raised = |i: usize| mu + RAISE * diagonal[columns.start + i];
            engine.add(&mut values, 1.0, &engine.upload(columns.len(), &square(columns.len(), raised))?)?;
            if with_inverse {
                let ones = engine.upload(columns.len(), &square(columns.len(), |_| 1.0))?;
                engine.copy_rows(&mut values, sums.rows + columns.start, &ones)?;
            }
            rest.push((columns, values));
        }
        let mut panels = Vec::new();
        let mut rest = rest.into_iter();
        while let Some((columns, values)) = rest.next() {
            task.check()?;
            let diagonal = engine.read(&engine.gather(&values, &numbers(0..columns.len()))?).await?;
            let inverse = inverse_of_factor(&diagonal, columns.len())?;
            let factor = engine.to_matrix(&engine.upload(columns.len(), &inverse)?)?;
            let values = product(engine, task, &values, &factor, None).await?;
            let panel = Panel { columns, values, inverse };
            let end = panel.columns.start + panel.values.rows;
            for (columns, values) in rest.as_mut_slice() {
                let below = panel.rows(engine, columns.start..end)?;
                let across = engine.to_matrix(&panel.rows(engine, columns.clone())?)?;
                engine.add(values, -1.0, &product(engine, task, &below, &across, None).await?)?;
            }
            panels.push(panel);
        }
        Ok(panels)
    }

    /// X, from the factor: its transpose, block by block from the last, is (CL'^-1 less what later
    /// blocks of it give) times L^-1.
    pub(super) async fn solution(&self, engine: &dyn Compute, panels: &[Panel], task: &Task) -> Result<Tensor> {
        let (n, width) = (self.inputs, self.inputs + self.outputs);
        let mut solution = engine.zeros(n, self.outputs)?;
        for panel in panels.iter().rev() {
            let (columns, later) = (panel.columns.clone(), panel.columns.end..n);
            let mut wanted = panel.rows(engine, n..width)?;
            if !later.is_empty() {
                let found = engine.transpose(&engine.gather(&solution, &numbers(later.clone()))?, None)?;
                let below = engine.to_matrix(&engine.transpose(&panel.rows(engine, later)?, None)?)?;
                engine.add(&mut wanted, -1.0, &product(engine, task, &found, &below, None).await?)?;
            }
            let inverse = engine.upload(columns.len(), &panel.inverse)?;
            let inverse = engine.to_matrix(&engine.transpose(&inverse, None)?)?;
            let found = product(engine, task, &wanted, &inverse, None).await?;
            engine.copy_rows(&mut solution, columns.start, &engine.transpose(&found, None)?)?;
        }
        Ok(solution)
    }

    /// The diagonal of x'Wx. It is read once for all ridges: each reading back waits for a GPU.
    pub(super) async fn diagonal_of_gram(&self, engine: &dyn Compute) -> Result<&[f32]> {
        let Sums::Full(sums) = &self.sums else {
            return Ok(&[]);
        };
        if let Some(diagonal) = self.diagonal.get() {
            return Ok(diagonal);
        }
        let mut diagonal = Vec::with_capacity(self.inputs);
        for (columns, sums) in blocks(self.inputs).zip(sums) {
            let values = engine.read(&engine.gather(sums, &numbers(0..columns.len()))?).await?;
            diagonal.extend(values.iter().step_by(columns.len() + 1));
        }
        Ok(self.diagonal.get_or_init(|| diagonal))
    }
}

/// `[size, size]` with this diagonal, row-major.
fn square(size: usize, diagonal: impl Fn(usize) -> f32) -> Vec<f32> {
    let mut values = vec![0.0; size * size];
    (0..size).for_each(|i| values[i * (size + 1)] = diagonal(i));
    values
}

/// L^-1 for LL' = A `[size, size]`.
fn inverse_of_factor(values: &[f32], size: usize) -> Result<Vec<f32>> {
    let system = Mat::from_fn(size, size, |i, j| f64::from(values[i * size + j]));
    let factor = system.llt(Side::Lower).map_err(|e| indefinite(&e))?;
    let mut inverse = Mat::<f64>::identity(size, size);
    solve_lower_triangular_in_place(factor.L(), inverse.as_mut(), Par::Seq);
    let inverse: Vec<f32> = (0..size * size).map(|i| inverse[(i / size, i % size)] as f32).collect();
    match inverse.iter().all(|value| value.is_finite()) {
        true => Ok(inverse),
        false => Err(broken("the inverse of its factor is not finite".into())),
    }
}
