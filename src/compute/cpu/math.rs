//! Elementary functions in a form that the compiler turns into SIMD: no branches, no calls.

/// Number of partial sums of [`dot`]: four SIMD registers of four.
const LANES: usize = 16;

/// Sum of the products of two rows; the shorter length counts. Partial sums in a fixed order, so
/// the same bits each time.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// Rows of `columns` values, each row times its weight if there are weights, as columns.
pub fn transpose(values: &[f32], columns: usize, weights: Option<&[f32]>) -> Vec<f32> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    let mut out = vec![0.0; rows * columns];
    // A few rows at a time, so that what is written lies in runs.
    for first in (0..rows).step_by(LANES) {
        let count = LANES.min(rows - first);
        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
            for (row, out) in (first..).zip(&mut out[first..first + count]) {
                *out = values[row * columns + column] * weights.map_or(1.0, |weights| weights[row]);
            }
        }
    }
    out
}

/// The largest value; -infinity of none.
pub fn max(values: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            best[lane] = if block[lane] > best[lane] { block[lane] } else { best[lane] };
        }
    }
    best.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// exp(x) within two units in the last place: x = n ln 2 + r, a polynomial in r, n into the
/// exponent.
///
/// Argument reduction in two parts after Cody and Waite; the polynomial is the Taylor series of
/// degree 7, whose remainder on
/// |r| <= ln 2 / 2 is below 6e-9. Saturates at x = -87 (1.6e-38) and x = 88 (1.7e38).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    p * f32::from_bits(exponent)
}

/// x / (1 + exp(-x)).
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// x / 2 (1 + erf(x / sqrt(2))), with erf after Abramowitz and Stegun 7.1.26, within 1.5e-7.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let tail = ((((1.061_405_4 * t - 1.453_152_1) * t + 1.421_413_8) * t - 0.284_496_72) * t + 0.254_829_6) * t;
    // 1 - erf(z), half of which is left of -z, and right of z.
    let outside = tail * exp(-z * z);
    0.5 * (x + x.abs()) - 0.5 * x.abs() * outside
}

/// x / 2 (1 + tanh(u)) with u = sqrt(2 / pi) (x + 0.044715 x^3), as x / (1 + exp(-2 u)), which is
/// the same.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    const TWICE: f32 = 2.0 * 0.797_884_6; // 2 sqrt(2 / pi)
    x / (1.0 + exp(-TWICE * (x + 0.044_715 * x * x * x)))
}

/// max(x, 0).
#[inline(always)]
pub fn relu(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}

/// max(x, 0)^2.
#[inline(always)]
pub fn relu2(x: f32) -> f32 {
    relu(x) * relu(x)
}

/// exp(x) - 1 for x from -88 to 88: within 2e-7, and near 0 within 2e-7 of itself.
#[inline(always)]
fn exp_less_one(x: f32) -> f32 {
    let mut series = 1.0 / 5040.0;
    series = series * x + 1.0 / 720.0;
    series = series * x + 1.0 / 120.0;
    series = series * x + 1.0 / 24.0;
    series = series * x + 1.0 / 6.0;
    series = series * x + 0.5;
    series = series * x + 1.0;
    if x.abs() < 0.5 { series * x } else { exp(x) - 1.0 }
}

/// p x^2 + beta x above 0, n (exp(min(x, eps)) - 1 - x) + beta x below.
#[inline(always)]
pub fn xielu(x: f32, [p, n, beta, eps]: [f32; 4]) -> f32 {
    let below = (exp_less_one(if x < eps { x } else { eps }) - x) * n;
    beta * x + if x > 0.0 { p * x * x } else { below }
}

/// tanh(x) within a few units in the last place: the rational function of degrees 13 and 6 that
/// Eigen has, on the range where tanh is not 1 in `f32`.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    const END: f32 = 7.905_311;
    let x = if x < -END { -END } else { x };
    let x = if x > END { END } else { x };
    let s = x * x;
    let mut p = -2.760_768_5e-16;
    p = p * s + 2.000_188e-13;
    p = p * s - 8.604_672e-11;
    p = p * s + 5.122_297e-8;
    p = p * s + 1.485_722_4e-5;
    p = p * s + 6.372_619_5e-4;
    p = p * s + 4.893_524_6e-3;
    let mut q = 1.198_258_4e-6;
    q = q * s + 1.185_347_1e-4;
    q = q * s + 2.268_434_6e-3;
    q = q * s + 4.893_525e-3;
    x * p / q
}

/// Each value x becomes cap tanh(x / cap).
pub fn soft_cap(values: &mut [f32], cap: f32) {
    let inverse = cap.recip();
    values.iter_mut().for_each(|x| *x = cap * tanh(*x * inverse));
}

/// Replaces each value by exp(value - shift) and returns their sum.
pub fn exp_sum(values: &mut [f32], shift: f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (blocks, rest) = values.as_chunks_mut::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            block[lane] = exp(block[lane] - shift);
            sums[lane] += block[lane];
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for value in rest {
        *value = exp(*value - shift);
        sum += *value;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error < 2.5e-7, "exp({x}) is off by {error:e}");
        }
        assert!(exp(-1e30) < 2e-38 && exp(1e30).is_finite());
    }

    #[test]
    fn sums_and_maxima_at_awkward_lengths() {
        for n in [0, 1, 15, 16, 17, 31, 97] {
            let a: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
            let b: Vec<f32> = (0..n).map(|i| (i as f32 * 0.3).cos()).collect();
            let expected: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            assert!((f64::from(dot(&a, &b)) - expected).abs() < 1e-5);
            assert_eq!(max(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let mut e = a.clone();
            let sum = exp_sum(&mut e, 0.5);
            let expected: f64 = a.iter().map(|x| f64::from(*x - 0.5).exp()).sum();
            assert!((f64::from(sum) - expected).abs() < 1e-4);
        }
    }
}
