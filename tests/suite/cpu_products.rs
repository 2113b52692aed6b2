//! Large products of the CPU engine against their definition, natively and in a browser, where they are made by a module of their own.

use mka_lab::compute::Compute;
use mka_lab::compute::cpu::Cpu;
use mka_lab::dtype::Dtype;

/// Reproducible values in [-1, 1).
fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Rows of x, products of a sum, rows of w: at the size from which on it pays to pack, and primes over the limits of what is packed at once.
const SIZES: [[usize; 3]; 5] = [[32, 1024, 32], [33, 1009, 37], [521, 67, 131], [67, 577, 139], [37, 1601, 41]];

async fn check(engine: &Cpu) {
    for [n, k, m] in SIZES {
        let (x, w) = (values(n * k, 1), values(m * k, 2));
        let mut matrix = engine.matrix(m, k, Dtype::F32).unwrap();
        engine.write_rows(&mut matrix, 0, bytemuck::cast_slice(&w)).unwrap();
        let (input, mut out) = (engine.upload(n, &x).unwrap(), engine.upload(n, &vec![7.0; n * m]).unwrap());
        engine.matmul(&input, &matrix, 0..m, None, &mut out).unwrap();
        let found = engine.read(&out).await.unwrap();
        for (i, x) in x.chunks_exact(k).enumerate() {
            for (j, w) in w.chunks_exact(k).enumerate() {
                let sum: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                let found = f64::from(found[i * m + j]);
                assert!((found - sum).abs() < 1e-5 * (k as f64).sqrt(), "{n} {k} {m} [{i}, {j}]: {found}, {sum}");
            }
        }
    }
}

async fn large_products() {
    let engine = Cpu::default();
    check(&engine).await;
    // The memory that the other module works on has grown meanwhile.
    let more = engine.upload(1, &vec![1.0; 32 << 20]).unwrap();
    check(&engine).await;
    drop(more);
    if cfg!(target_arch = "wasm32") {
        let told = &engine.info().adapter;
        assert!(told.contains("fused"), "a browser of today knows fused multiply-add: {told}");
    }
}

#[cfg(target_arch = "wasm32")]
#[wasm_bindgen_test::wasm_bindgen_test]
async fn large_products_agree_with_their_definition() {
    large_products().await;
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn large_products_agree_with_their_definition() {
    pollster::block_on(large_products());
}
