//! What a change is worth on rows that it was not fitted to.

use super::normal_equations::{NormalEquations, Sums, blocks, numbers};
use crate::compute::sliced::product;
use crate::compute::{Compute, Tensor};
use crate::error::{Error, Result};
use crate::task::Task;

impl NormalEquations {
    /// By how much X, `[inputs, outputs]`, makes the squared error smaller on these rows: 2
    /// tr(X'x'W(t - s)) - tr(X'x'Wx X). Negative where it does not.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for a diagonal map, or an X of another size; [`Error::Cancelled`], or
    /// what the engine fails with.
    pub async fn error_reduction(&self, engine: &dyn Compute, change: &Tensor, task: &Task) -> Result<f64> {
        let (n, outputs) = (self.inputs, self.outputs);
        let Sums::Full(sums) = &self.sums else {
            return Err(Error::internal("a diagonal map was to be validated on held-out rows"));
        };
        if (change.rows, change.columns) != (n, outputs) {
            let found = format!("[{}, {}] for a map of {n} to {outputs}", change.rows, change.columns);
            return Err(Error::internal(found));
        }
        // X above -I: times a block of the sums, from its diagonal on, it gives that block's share
        // of x'WxX less that of x'W(t - s).
        let mut factors = engine.zeros(n + outputs, outputs)?;
        engine.copy_rows(&mut factors, 0, change)?;
        let mut minus = vec![0.0; outputs * outputs];
        minus.iter_mut().step_by(outputs + 1).for_each(|value| *value = -1.0);
        engine.copy_rows(&mut factors, n, &engine.upload(outputs, &minus)?)?;
        let mut shares = engine.zeros(n, outputs)?;
        for (columns, sums) in blocks(n).zip(sums) {
            let mut below = engine.gather(&factors, &numbers(columns.start..n + outputs))?;
            // What lies below the diagonal blocks counts twice, for what lies above them; these
            // have both.
            engine.add(&mut below, -0.5, &engine.gather(change, &numbers(columns.clone()))?)?;
            let below = engine.to_matrix(&engine.transpose(&below, None)?)?;
            let share = product(engine, task, &engine.transpose(sums, None)?, &below, None).await?;
            engine.copy_rows(&mut shares, columns.start, &share)?;
        }
        let (change, shares) = (engine.read(change).await?, engine.read(&shares).await?);
        Ok(-2.0 * change.iter().zip(&shares).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>())
    }
}
