//! What a fit loses with one of its inputs.

use faer::linalg::solvers::Solve;
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::{Mat, Par};

use super::{Map, Sums, factored};
use crate::error::{Error, Result};

impl Sums {
    /// By how much the squared error of the fit X = (x'Wx + mu I)^-1 x'W(t - s) grows when input i is left out and the others make up for it:
    /// |X_i|^2 / ((x'Wx + mu I)^-1)_ii (the saliency of the optimal brain surgeon, Hassibi and Stork, NeurIPS 1992).
    ///
    /// # Errors
    /// As [`Sums::solve`]; [`Error::BadArgument`] for a diagonal map.
    pub fn saliencies(&self, ridge: f64) -> Result<Vec<f64>> {
        let Map::Whole(sums) = &self.map else {
            return Err(Error::argument("repair", "the inputs of a diagonal map do not stand in for each other"));
        };
        let n = self.inputs;
        let (sums, factor) = factored(sums, n, self.outputs, ridge)?;
        let solution = factor.solve(sums.subcols(n, self.outputs));
        let mut inverse = Mat::<f64>::zeros(n, n);
        invert_lower_triangular(inverse.as_mut(), factor.L(), Par::Seq);
        // With A = LL', A^-1 = L^-T L^-1: its diagonal is the squares of the columns of L^-1.
        let squares = |column: faer::ColRef<'_, f64>| column.iter().map(|value| value * value).sum::<f64>();
        let saliency =
            |i: usize| (0..self.outputs).map(|o| solution[(i, o)].powi(2)).sum::<f64>() / squares(inverse.col(i));
        Ok((0..n).map(saliency).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::cpu::Cpu;
    use crate::merge::repair::{Rows, tests::values};
    use crate::task::Task;

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
        for (rows, inputs, outputs) in [(1, 1, 1), (5, 7, 2), (67, 13, 5)] {
            let (x, s, t) = (values(rows * inputs, 6), values(rows * outputs, 7), values(rows * outputs, 8));
            let mut sums = Sums::whole(inputs, outputs).unwrap();
            let read = Rows { read: &x, stream: &s, added: None, target: &t };
            pollster::block_on(sums.add(&Cpu::default(), read, usize::MAX, usize::MAX, &Task::silent())).unwrap();
            let Map::Whole(gram) = &sums.map else { panic!("not whole") };
            let mu = 0.3 * (0..inputs).map(|i| gram[i * (inputs + outputs) + i]).sum::<f64>() / inputs as f64;
            let all: Vec<usize> = (0..inputs).collect();
            let whole = least(&x, &s, &t, [inputs, outputs], &all, mu);
            for (input, saliency) in sums.saliencies(0.3).unwrap().into_iter().enumerate() {
                let others: Vec<usize> = all.iter().copied().filter(|other| *other != input).collect();
                let without = least(&x, &s, &t, [inputs, outputs], &others, mu);
                assert!(
                    (saliency - (without - whole)).abs() < 1e-5 * (whole + saliency),
                    "{input}: {saliency} {without} {whole}"
                );
            }
        }
        assert!(Sums::diagonal(3).saliencies(0.3).is_err());
    }
}
