//! Every operation of the WebGPU engine against its CPU twin at awkward sizes: natively on Vulkan, and in a browser, in a worker, as the page runs
//! it.

use mka_lab::compute::cpu::Cpu;
use mka_lab::compute::gpu::Gpu;
use mka_lab::compute::{Activation, Attention, Compute, Matrix, Tensor, start_state};
use mka_lab::dtype::Dtype;
use mka_lab::merge::repair::{Read, Rows, Sums};
use mka_lab::task::Task;

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::Bf16];

/// The engine under test. A machine without an adapter fails here, in words.
async fn gpu() -> Gpu {
    Gpu::create().await.unwrap_or_else(|error| {
        panic!(
            "{error}\nThese tests need WebGPU: natively a Vulkan driver (on Debian `apt install mesa-vulkan-drivers \
             libvulkan1` gives one in software), in Chromium the arguments of webdriver.json."
        )
    })
}

/// Reproducible values in about [-1, 1].
fn values(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Fails unless the two tensors agree to `tolerance` x (1 + |value|).
async fn alike(cpu: &Cpu, expected: &Tensor, gpu: &Gpu, found: &Tensor, tolerance: f32, what: &str) {
    assert_eq!((expected.rows, expected.columns), (found.rows, found.columns), "{what}");
    let expected = cpu.read(expected).await.unwrap();
    let found = gpu.read(found).await.unwrap();
    assert_eq!(expected.len(), found.len(), "{what}");
    for (i, (a, b)) in expected.iter().zip(&found).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + a.abs()), "{what}: value {i} is {b} instead of {a}");
    }
}

/// The same matrix on any engine, its rows written in three uneven pieces.
fn matrix(engine: &dyn Compute, rows: usize, columns: usize, dtype: Dtype, seed: u32) -> Matrix {
    let mut bytes = Vec::new();
    dtype.encode(&values(rows * columns, seed), &mut bytes);
    let mut matrix = engine.matrix(rows, columns, dtype).unwrap();
    let cuts = [0, rows / 3, rows / 2, rows];
    for cut in cuts.windows(2) {
        let row = columns * dtype.size();
        engine.write_rows(&mut matrix, cut[0], &bytes[cut[0] * row..cut[1] * row]).unwrap();
    }
    matrix
}

async fn product(gpu: &Gpu, cpu: &Cpu, dtype: Dtype, (n, k, m): (usize, usize, usize), with_bias: bool) {
    let run = |engine: &dyn Compute| {
        let w = matrix(engine, m, k, dtype, 1);
        let x = engine.upload(n, &values(n * k, 2)).unwrap();
        let bias = with_bias.then(|| engine.upload(1, &values(m, 3)).unwrap());
        let mut out = engine.zeros(n, m).unwrap();
        let cut = m / 3;
        engine.matmul(&x, &w, cut..m, bias.as_ref(), &mut out).unwrap();
        engine.matmul(&x, &w, 0..cut, bias.as_ref(), &mut out).unwrap();
        out
    };
    let what = format!("[{n}, {k}] x [{k}, {m}] in {}, bias: {with_bias}", dtype.name());
    alike(cpu, &run(cpu), gpu, &run(gpu), 2e-5 * (k as f32).sqrt().max(1.0), &what).await;
}

async fn products(gpu: &Gpu) {
    let cpu = Cpu::default();
    for dtype in DTYPES {
        for k in [1, 3, 7, 127, 129] {
            for (n, m) in [(1, 1), (1, 5), (3, 17), (4, 64), (5, 3), (8, 8), (13, 67), (71, 131)] {
                product(gpu, &cpu, dtype, (n, k, m), (n + k) % 2 == 0).await;
            }
        }
        for (n, k, m) in [(1, 576, 193), (2, 64, 1_000), (65, 128, 65), (128, 576, 72)] {
            product(gpu, &cpu, dtype, (n, k, m), true).await;
        }
    }
}

/// Rows, and groups of rows, beyond the 65,535 workgroups of one direction.
async fn many_rows(gpu: &Gpu) {
    let cpu = Cpu::default();
    product(gpu, &cpu, Dtype::Bf16, (1, 8, 300_007), false).await;
    product(gpu, &cpu, Dtype::F16, (5, 3, 70_001), true).await;
    product(gpu, &cpu, Dtype::F32, (70_001, 4, 3), true).await;

    let (rows, columns) = (70_001, 5);
    let numbers: Vec<u32> = (0..rows as u32).map(|i| i * 31 % 1_009).collect();
    let run = |engine: &dyn Compute| {
        let table = engine.upload(1_009, &values(1_009 * columns, 4)).unwrap();
        let gathered = engine.gather(&table, &numbers).unwrap();
        let gain = engine.upload(1, &values(columns, 5)).unwrap();
        let mut normed = engine.rms_norm(&gathered, &gain, 1e-5).unwrap();
        engine.add(&mut normed, 1.0, &gathered).unwrap();
        normed
    };
    alike(&cpu, &run(&cpu), gpu, &run(gpu), 1e-5, "70,001 rows").await;

    let wide = |engine: &dyn Compute| {
        engine.gather(&engine.upload(2, &values(2 * 3_001, 6)).unwrap(), &[1, 0].repeat(700)).unwrap()
    };
    alike(&cpu, &wide(&cpu), gpu, &wide(gpu), 0.0, "65,647 workgroups").await;
}

/// Numbers that differ by orders of magnitude, and the smallest that the formats hold, are decoded exactly.
async fn decoding(gpu: &Gpu) {
    let stored = [1.0, -2.5, 65_504.0, -6.1e-5, 3.1e-5, 5.960_464_5e-8, -0.0, 0.333_333_34];
    let columns = stored.len() - 1;
    for dtype in DTYPES {
        let mut bytes = Vec::new();
        dtype.encode(&[stored[1..].to_vec(), stored[..columns].to_vec()].concat(), &mut bytes);
        let mut expected = vec![0.0; 2 * columns];
        dtype.decode(&bytes, &mut expected);
        let mut w = gpu.matrix(2, columns, dtype).unwrap();
        gpu.write_rows(&mut w, 0, &bytes).unwrap();
        for n in [columns, 1] {
            let identity: Vec<f32> =
                (0..n * columns).map(|i| f32::from(u8::from(i / columns == i % columns))).collect();
            let mut out = gpu.zeros(n, 2).unwrap();
            gpu.matmul(&gpu.upload(n, &identity).unwrap(), &w, 0..2, None, &mut out).unwrap();
            for (i, found) in gpu.read(&out).await.unwrap().into_iter().enumerate() {
                let (row, channel) = (i % 2, i / 2);
                assert_eq!(found, expected[row * columns + channel], "{} {row} {channel}", dtype.name());
            }
        }
    }
}

async fn norms_gates_and_sums(gpu: &Gpu) {
    let cpu = Cpu::default();
    for (n, d) in [(1, 1), (1, 4), (3, 7), (5, 64), (2, 129), (7, 576), (67, 260)] {
        let run = |engine: &dyn Compute| {
            let x = engine.upload(n, &values(n * d, 1)).unwrap();
            let gain = engine.upload(1, &values(d, 2)).unwrap();
            let mut out = engine.rms_norm(&x, &gain, 1e-5).unwrap();
            let up = engine.upload(n, &values(n * d, 3)).unwrap();
            engine.gated(&mut out, &up, Activation::Silu).unwrap();
            engine.add(&mut out, 1.0, &x).unwrap();
            out
        };
        alike(&cpu, &run(&cpu), gpu, &run(gpu), 1e-5, &format!("norm, gate and sum of [{n}, {d}]")).await;
        let run = |engine: &dyn Compute| {
            // A mean that is large against the deviation.
            let x: Vec<f32> = values(n * d, 4).iter().map(|value| value + 30.0).collect();
            let [gain, bias] = [5, 6].map(|seed| engine.upload(1, &values(d, seed)).unwrap());
            engine.layer_norm(&engine.upload(n, &x).unwrap(), &gain, &bias, 1e-5).unwrap()
        };
        alike(&cpu, &run(&cpu), gpu, &run(gpu), 2e-4, &format!("layer norm of [{n}, {d}]")).await;
    }
    let extremes = [-1.0e4, -100.0, -88.0, -20.0, 0.0, 20.0, 88.0, 1.0e4];
    let mut inputs = values(29, 7);
    inputs.iter_mut().for_each(|value| *value *= 6.0);
    inputs.extend(extremes);
    for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
        let run = |engine: &dyn Compute| {
            let mut gate = engine.upload(1, &inputs).unwrap();
            engine.gated(&mut gate, &engine.upload(1, &[0.5; 37]).unwrap(), activation).unwrap();
            engine.activate(&mut gate, activation).unwrap();
            gate
        };
        alike(&cpu, &run(&cpu), gpu, &run(gpu), 1e-6, &format!("{activation:?}")).await;
    }
}

async fn soft_caps(gpu: &Gpu) {
    let cpu = Cpu::default();
    let mut inputs: Vec<f32> = values(67, 3).iter().enumerate().map(|(i, x)| x * (i * i) as f32 / 9.0).collect();
    inputs.extend([-1.0e9, 1.0e9, 0.0, 1.0e-6]);
    for cap in [0.5, 30.0] {
        let run = |engine: &dyn Compute| {
            let mut x = engine.upload(1, &inputs).unwrap();
            engine.soft_cap(&mut x, cap).unwrap();
            x
        };
        alike(&cpu, &run(&cpu), gpu, &run(gpu), 1e-6, &format!("a soft cap of {cap}")).await;
    }
    assert!(gpu.soft_cap(&mut gpu.zeros(1, 1).unwrap(), -1.0).is_err());
    gpu.soft_cap(&mut gpu.zeros(0, 3).unwrap(), 1.0).unwrap();
}

async fn rotation(gpu: &Gpu) {
    let cpu = Cpu::default();
    for (rows, heads, head_size, half, first, length) in
        [(1, 1, 2, 1, 0, 1), (6, 3, 7, 2, 4, 3), (10, 2, 64, 32, 0, 5), (3, 5, 12, 6, 100, 3), (9, 1, 6, 0, 0, 9)]
    {
        let positions = first + length;
        let angles = values(positions * half, 8);
        let table: Vec<f32> = angles
            .chunks(half.max(1))
            .flat_map(|row| row.iter().map(|a| a.cos()).chain(row.iter().map(|a| a.sin())).collect::<Vec<_>>())
            .collect();
        let run = |engine: &dyn Compute| {
            let mut x = engine.upload(rows, &values(rows * heads * head_size, 9)).unwrap();
            let table = match half {
                0 => engine.zeros(positions, 0).unwrap(),
                _ => engine.upload(positions, &table).unwrap(),
            };
            engine.rotate(&mut x, head_size, &table, first, length).unwrap();
            x
        };
        alike(&cpu, &run(&cpu), gpu, &run(gpu), 1e-6, &format!("rotation of {heads} x {head_size}")).await;
    }
}

async fn attention(gpu: &Gpu) {
    let cpu = Cpu::default();
    for (heads, kv_heads, head_size, sequences, past, length, room, window, cap) in [
        (1, 1, 1, 1, 0, 1, 1, None, None),
        (4, 2, 5, 3, 0, 7, 7, None, None),
        (9, 3, 64, 2, 0, 67, 67, None, Some(2.0)),
        (6, 2, 8, 1, 11, 3, 17, None, None),
        (8, 1, 20, 2, 5, 1, 9, None, None),
        (2, 2, 256, 1, 0, 9, 9, None, None),
        (3, 1, 127, 1, 0, 16, 16, None, Some(2.0)),
        (2, 1, 16, 1, 0, 300, 300, None, None),
        (4, 2, 5, 3, 0, 27, 27, Some(3), Some(2.0)),
        (6, 2, 8, 1, 11, 3, 17, Some(9), None),
        (2, 1, 16, 2, 0, 131, 131, Some(50), None),
        (2, 1, 16, 1, 0, 9, 9, Some(1), None),
        (2, 1, 16, 1, 0, 9, 9, Some(100), None),
        // More work than one slice has on a software adapter: cut by rows.
        (8, 1, 256, 1, 0, 450, 450, None, None),
    ] {
        let scale = 1.0 / (head_size as f32).sqrt();
        let shape = Attention { heads, kv_heads, head_size, scale, sequences, past, window, cap };
        let (n, keys) = (sequences * length, sequences * room);
        let run = |engine: &dyn Compute| {
            // Large scores, so that the weights are far from even.
            let q: Vec<f32> = values(n * heads * head_size, 1).iter().map(|value| value * 9.0).collect();
            let q = engine.upload(n, &q).unwrap();
            let k = engine.upload(keys, &values(keys * kv_heads * head_size, 2)).unwrap();
            let v = engine.upload(keys, &values(keys * kv_heads * head_size, 3)).unwrap();
            let mut out = engine.upload(n, &values(n * heads * head_size, 4)).unwrap();
            // The last key head is left out: its columns must stay as they are.
            for kv_head in 0..kv_heads.max(2) - 1 {
                engine.attention(&q, &k, &v, &shape, kv_head..kv_head + 1, &mut out).unwrap();
            }
            out
        };
        alike(&cpu, &run(&cpu), gpu, &run(gpu), 2e-5, &format!("{shape:?} of {length}")).await;
    }
}

async fn statistics(gpu: &Gpu) {
    let cpu = Cpu::default();
    let (n, vocabulary) = (5, 1_003);
    let mut first: Vec<f32> = values(n * vocabulary, 1).iter().map(|value| value * 20.0).collect();
    let second: Vec<f32> = values(n * vocabulary, 2).iter().map(|value| value * 20.0).collect();
    // Row 0 has equal largest logits, in one tile and in two: the first counts.
    [3, 70, 67, 900].into_iter().for_each(|at| first[at] = 25.0);
    let targets = [3, 0, 1_002, 500, 501];
    for with_second in [false, true] {
        for cuts in [vec![0, vocabulary], vec![0, 1, 65, 66, 501, 1_000, vocabulary]] {
            let run = |engine: &dyn Compute| {
                let mut state = start_state(engine, n).unwrap();
                for cut in cuts.windows(2) {
                    let tile = |values: &[f32]| {
                        let rows = values.chunks(vocabulary).map(|row| row[cut[0]..cut[1]].to_vec());
                        engine.upload(n, &rows.collect::<Vec<_>>().concat()).unwrap()
                    };
                    let other = with_second.then(|| tile(&second));
                    engine.head_statistics(&tile(&first), other.as_ref(), cut[0], &targets, &mut state).unwrap();
                }
                state
            };
            alike(&cpu, &run(&cpu), gpu, &run(gpu), 1e-5, &format!("statistics, second: {with_second}")).await;
        }
    }
}

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

/// Rows as columns, their norms, and tensors as matrices: widths that are whole fours and others, more than one invocation's share.
async fn transposes(gpu: &Gpu) {
    let cpu = Cpu::default();
    for (n, d) in [(1, 1), (3, 4), (4, 3), (17, 31), (64, 65), (130, 260)] {
        let run = |engine: &dyn Compute| {
            let x = engine.upload(n, &values(n * d, 1)).unwrap();
            let factors: Vec<f32> = (0..n).map(|i| (i % 3) as f32 * 0.5 + 0.5).collect();
            let weights = engine.inverse_row_norms(&x, &factors).unwrap();
            let weighted = engine.transpose(&x, Some(&weights)).unwrap();
            let mut gram = engine.zeros(d, d).unwrap();
            engine.matmul(&weighted, &engine.to_matrix(&weighted).unwrap(), 0..d, None, &mut gram).unwrap();
            let mut rest = engine.transpose(&x, None).unwrap();
            // To some of its rows: the last four values may be of two rows.
            let some = engine.gather(&weighted, &(0..d.div_ceil(2) as u32).collect::<Vec<_>>()).unwrap();
            engine.add(&mut rest, -0.75, &some).unwrap();
            [weights, gram, rest]
        };
        for (what, (a, b)) in ["norms", "gram", "rest"].iter().zip(run(&cpu).iter().zip(&run(gpu))) {
            alike(&cpu, a, gpu, b, 1e-5, &format!("transposes, {what} of [{n}, {d}]")).await;
        }
    }
    let x = gpu.zeros(3, 2).unwrap();
    assert!(gpu.inverse_row_norms(&x, &[1.0]).is_err());
    assert!(gpu.transpose(&x, Some(&gpu.zeros(2, 1).unwrap())).is_err());
    assert_eq!(gpu.transpose(&gpu.zeros(0, 3).unwrap(), None).unwrap().rows, 3);
    assert_eq!(gpu.to_matrix(&gpu.zeros(0, 3).unwrap()).unwrap().columns, 3);
}

/// Fits of one size below and one above that of a block: what is found on either engine.
async fn fits(gpu: &Gpu) {
    let (cpu, task, rows, outputs) = (Cpu::default(), Task::silent(), 150, 7);
    for inputs in [13, 300] {
        let run = async |engine: &dyn Compute| {
            let [x, s, t] = [(inputs, 1), (outputs, 2), (outputs, 3)]
                .map(|(columns, seed)| engine.upload(rows, &values(rows * columns, seed)).unwrap());
            let rows = Rows { read: &[Read::all(&x)], stream: &s, target: &t };
            let mut sums = Sums::whole(engine, inputs, outputs).unwrap();
            sums.add(engine, rows, 50, usize::MAX, &task).await.unwrap();
            let change = sums.solve(engine, 0.3, &task).await.unwrap();
            let gain = sums.gain(engine, &change, &task).await.unwrap();
            (change, gain, sums.saliencies(engine, 0.3, &task).await.unwrap())
        };
        let (expected, found) = (run(&cpu).await, run(gpu).await);
        alike(&cpu, &expected.0, gpu, &found.0, 1e-5, &format!("a fit of {inputs}")).await;
        assert!((expected.1 - found.1).abs() < 1e-4 * expected.1, "gain of {inputs}: {} {}", expected.1, found.1);
        for (i, (a, b)) in expected.2.iter().zip(&found.2).enumerate() {
            assert!((a - b).abs() < 1e-3 * a.abs() + 1e-6, "saliency {i} of {inputs}: {b} instead of {a}");
        }
    }
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

/// One test for each body, each with an engine of its own.
macro_rules! on_webgpu {
    ($($name:ident),+ $(,)?) => {
        mod on_webgpu {
            crate::everywhere! {$(
                $name: async { super::$name(&super::gpu().await).await };
            )+}
        }
    };
}

on_webgpu!(
    products,
    many_rows,
    decoding,
    norms_gates_and_sums,
    soft_caps,
    rotation,
    attention,
    statistics,
    rows_and_copies,
    transposes,
    fits,
    order,
    memory,
    limits,
);
