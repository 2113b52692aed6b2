//! The WebGPU engine beyond its kernels: copies, empty tensors, the order of commands, memory,
//! limits.

use mka_lab::compute::Activation;
use mka_lab::compute::Compute;
use mka_lab::compute::cpu::Cpu;
use mka_lab::compute::gpu::Gpu;
use mka_lab::dtype::Dtype;

use crate::support::{on_webgpu, values};

async fn rows_and_copies(gpu: &Gpu) {
    let x = gpu.upload(3, &values(9, 1)).unwrap();
    let kept = gpu.offload(x).unwrap();
    let mut changed = gpu.copy_to_engine(&kept).unwrap();
    gpu.add(&mut changed, 1.0, &kept).unwrap();
    let doubled: Vec<f32> = values(9, 1).iter().map(|value| value * 2.0).collect();
    assert_eq!(gpu.read(&changed).await.unwrap(), doubled, "a copy may be changed");
    assert_eq!(gpu.read(&kept).await.unwrap(), values(9, 1), "the parked tensor stays");

    let mut target = gpu.zeros(5, 3).unwrap();
    gpu.copy_rows(&mut target, 2, &kept).unwrap();
    let mut expected = vec![0.0; 15];
    expected[6..].copy_from_slice(&values(9, 1));
    assert_eq!(gpu.read(&target).await.unwrap(), expected);
    assert!(gpu.copy_rows(&mut target, 3, &kept).is_err());
    assert!(gpu.gather(&kept, &[3]).is_err());

    for (rows, columns) in [(0, 5), (5, 0), (0, 0)] {
        let mut nothing = gpu.zeros(rows, columns).unwrap();
        let w = gpu.matrix(2, columns, Dtype::Bf16).unwrap();
        let mut out = gpu.zeros(rows, 2).unwrap();
        gpu.matmul(&nothing, &w, 0..2, None, &mut out).unwrap();
        assert_eq!(gpu.read(&out).await.unwrap(), vec![0.0; rows * 2]);
        let other = gpu.rms_norm(&nothing, &gpu.zeros(1, columns).unwrap(), 1e-5).unwrap();
        gpu.add(&mut nothing, 1.0, &other).unwrap();
        gpu.gated(&mut nothing, &other, Activation::Silu).unwrap();
        gpu.activate(&mut nothing, Activation::Gelu).unwrap();
        assert_eq!(gpu.read(&nothing).await.unwrap(), Vec::<f32>::new());
        assert_eq!(gpu.gather(&nothing, &[]).unwrap().rows, 0);
    }

    let on_cpu = Cpu::default().zeros(1, 1).unwrap();
    assert!(gpu.read(&on_cpu).await.is_err(), "tensors of another engine are refused");
}

/// Rewriting a matrix while a product that is not submitted yet needs the old rows.
async fn order(gpu: &Gpu) {
    let x = gpu.upload(5, &[1.0; 5 * 4]).unwrap();
    let mut w = gpu.matrix(1, 4, Dtype::F32).unwrap();
    let mut out = gpu.zeros(5, 1).unwrap();
    let mut sum = gpu.zeros(5, 1).unwrap();
    for i in 0..300u16 {
        let row = [f32::from(i); 4];
        gpu.write_rows(&mut w, 0, bytemuck::cast_slice(&row)).unwrap();
        gpu.matmul(&x, &w, 0..1, None, &mut out).unwrap();
        gpu.add(&mut sum, 1.0, &out).unwrap();
        if i % 50 == 0 {
            gpu.yield_now().await.unwrap();
        }
    }
    assert_eq!(gpu.read(&sum).await.unwrap(), [4.0 * 300.0 * 299.0 / 2.0; 5]);
}

/// What is dropped is no longer counted, and reading gives more than one piece back.
async fn memory(gpu: &Gpu) {
    let (before, _) = gpu.memory();
    let count = (5 << 20) / 4 + 3;
    let large = gpu.upload(1, &values(count, 1)).unwrap();
    assert_eq!(gpu.memory().0 - before, (count as u64 * 4).next_multiple_of(16));
    assert_eq!(gpu.read(&large).await.unwrap(), values(count, 1));
    drop(large);
    assert_eq!(gpu.memory().0, before);
    assert!(gpu.memory().1 >= before + count as u64 * 4);
}

/// Too much is an error, and the engine goes on.
async fn limits(gpu: &Gpu) {
    let rows = (gpu.info().max_matrix_bytes / 4 + 4) as usize;
    assert_eq!(gpu.zeros(rows, 1).unwrap_err().code(), "out-of-memory");
    assert_eq!(gpu.matrix(rows, 1, Dtype::F32).unwrap_err().code(), "out-of-memory");
    gpu.yield_now().await.unwrap();
    assert_eq!(gpu.read(&gpu.upload(1, &[7.0]).unwrap()).await.unwrap(), [7.0]);
}

on_webgpu!(everywhere: rows_and_copies, order, memory, limits);
