//! What a fit loses with one of its inputs.

use super::normal_equations::NormalEquations;
use crate::compute::Compute;
use crate::error::Result;
use crate::task::Task;

impl NormalEquations {
    /// By how much the squared error of the fit X = (x'Wx + mu I)^-1 x'W(t - s) grows when input i
    /// is left out and the others make up for it:
    /// its squared row of X over ((x'Wx + mu I)^-1)_ii (the saliency of the optimal brain surgeon,
    /// Hassibi and Stork, NeurIPS 1992).
    ///
    /// # Errors
    /// As [`NormalEquations::solve`].
    pub async fn saliencies(&self, engine: &dyn Compute, ridge: f64, task: &Task) -> Result<Vec<f64>> {
        let (n, width) = (self.inputs, self.inputs + self.outputs);
        let panels = self.factor(engine, ridge, true, task).await?;
        // With A = LL', A^-1 = L'^-1 L^-1: its diagonal is the squares of the columns of L^-1.
        let mut diagonal = vec![0.0; n];
        for panel in &panels {
            let columns = panel.rows(engine, width..width + panel.columns.end)?;
            let norms = engine.inverse_row_norms(&columns, &vec![1.0; columns.rows])?;
            let norms = engine.read(&norms).await?;
            diagonal.iter_mut().zip(norms).for_each(|(sum, over)| *sum += f64::from(over).powi(-2));
        }
        let solution = engine.read(&self.solution(engine, &panels, task).await?).await?;
        let squares = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
        Ok(solution
            .chunks_exact(self.outputs.max(1))
            .zip(diagonal)
            .map(|(row, inverse)| squares(row) / inverse)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use faer::Mat;
    use faer::linalg::solvers::Solve;

    use super::*;
    use crate::compute::cpu::Cpu;
    use crate::regression::normal_equations::BLOCK;
    use crate::regression::tests::{projection, values};

    /// The least of the ridge's objective, |w(t - s - xX)|^2 + mu |X|^2, over the inputs `kept`.
    fn least(x: &[f32], s: &[f32], t: &[f32], [inputs, outputs]: [usize; 2], kept: &[usize], mu: f64) -> f64 {
        let rows = t.len() / outputs;
        let weight = |i: usize| {
            let norm = t[i * outputs..(i + 1) * outputs].iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            if i == 0 { 10.0 / norm } else { 1.0 / norm }
        };
        let read = Mat::from_fn(rows, kept.len(), |i, a| weight(i) * f64::from(x[i * inputs + kept[a]]));
        let wanted = Mat::from_fn(rows, outputs, |i, o| {
            weight(i) * (f64::from(t[i * outputs + o]) - f64::from(s[i * outputs + o]))
        });
        let mut system = read.transpose() * &read;
        for a in 0..kept.len() {
            system[(a, a)] += mu;
        }
        let solution = system.partial_piv_lu().solve(read.transpose() * &wanted);
        (wanted - &read * &solution).squared_norm_l2() + mu * solution.squared_norm_l2()
    }

    /// Against what leaving each input out and fitting again really costs.
    #[test]
    fn a_saliency_is_what_a_fit_loses() {
        let engine = Cpu::default();
        let saliencies = |sums: &NormalEquations| pollster::block_on(sums.saliencies(&engine, 0.3, &Task::silent()));
        for (rows, inputs, outputs) in [(1, 1, 1), (5, 7, 2), (67, 13, 5), (20, BLOCK + 3, 2)] {
            let (x, s, t) = (values(rows * inputs, 6), values(rows * outputs, 7), values(rows * outputs, 8));
            let sums = projection([&x, &s, &t], [rows, inputs, outputs], usize::MAX, usize::MAX);
            let gram = pollster::block_on(sums.diagonal_of_gram(&engine)).unwrap();
            let mu = 0.3 * gram.iter().map(|value| f64::from(*value)).sum::<f64>() / inputs as f64;
            let all: Vec<usize> = (0..inputs).collect();
            let whole = least(&x, &s, &t, [inputs, outputs], &all, mu);
            for (input, saliency) in saliencies(&sums).unwrap().into_iter().enumerate().step_by(inputs / 17 + 1) {
                let others: Vec<usize> = all.iter().copied().filter(|other| *other != input).collect();
                let without = least(&x, &s, &t, [inputs, outputs], &others, mu);
                assert!(
                    (saliency - (without - whole)).abs() < 1e-5 * (whole + saliency),
                    "{input}: {saliency} {without} {whole}"
                );
            }
        }
        assert!(saliencies(&NormalEquations::diagonal(3)).is_err());
    }
}
