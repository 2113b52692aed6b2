//! Products at odd sizes against their definition, before anything is trusted to an adapter: wrong
//! numbers happen in the field.

use crate::compute::Compute;
use crate::dtype::Dtype;
use crate::error::{Error, Result};

/// Rows, inner size and columns: few and many rows, whole fours and not, more than one workgroup.
const SIZES: [(usize, usize, usize); 3] = [(3, 37, 11), (67, 13, 71), (9, 64, 5)];
/// Largest difference allowed, for sums of up to 64 products of numbers below 1.
const TOLERANCE: f32 = 1e-4;

/// Fails with [`Error::NoWebGpu`] when a product is wrong.
pub(super) async fn run(gpu: &dyn Compute) -> Result<()> {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        for size in SIZES {
            let worst = difference(gpu, dtype, size).await.map_err(|error| {
                let reason = format!("the first product on {} failed: {error}", gpu.info().adapter);
                Error::NoWebGpu { reason }
            })?;
            if worst > TOLERANCE {
                let (n, k, m) = size;
                let reason = format!(
                    "{} computes wrong numbers: a product [{n}, {k}] x [{k}, {m}] in {} is off by {worst}",
                    gpu.info().adapter,
                    dtype.name()
                );
                return Err(Error::NoWebGpu { reason });
            }
        }
    }
    Ok(())
}

/// The largest difference of one product to its definition; infinite if any value is no number.
async fn difference(gpu: &dyn Compute, dtype: Dtype, (n, k, m): (usize, usize, usize)) -> Result<f32> {
    let value = |i: usize| (i * 7_919 % 1_013) as f32 / 1_013.0 - 0.5;
    let values: Vec<f32> = (0..n * k).map(value).collect();
    let mut stored = Vec::new();
    dtype.encode(&(7..m * k + 7).map(value).collect::<Vec<_>>(), &mut stored);
    let mut weights = vec![0.0; m * k];
    dtype.decode(&stored, &mut weights);

    let x = gpu.upload(n, &values)?;
    let mut w = gpu.matrix(m, k, dtype)?;
    gpu.write_rows(&mut w, 0, &stored)?;
    let mut out = gpu.zeros(n, m)?;
    gpu.matmul(&x, &w, 0..m, None, &mut out)?;
    let found = gpu.read(&out).await?;

    let mut worst = 0.0f32;
    for (row, sums) in values.chunks_exact(k).zip(found.chunks_exact(m)) {
        for (weights, sum) in weights.chunks_exact(k).zip(sums) {
            let expected: f32 = row.iter().zip(weights).map(|(a, b)| a * b).sum();
            let off = (sum - expected).abs();
            worst = worst.max(if off.is_nan() { f32::INFINITY } else { off });
        }
    }
    Ok(worst)
}
