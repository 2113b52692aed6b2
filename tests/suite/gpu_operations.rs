//! Every operation of the WebGPU engine against its CPU twin at awkward sizes: natively on Vulkan,
//! and in a browser, in a worker, as the page runs it.

use mka_lab::compute::cpu::Cpu;
use mka_lab::compute::gpu::Gpu;
use mka_lab::compute::{Activation, Attention, Compute, Matrix, Pairs, RotatedHeads, Tensor, start_state};
use mka_lab::dtype::Dtype;
use mka_lab::regression::{Features, NormalEquations, Samples};
use mka_lab::task::Task;

use crate::support::{on_webgpu, values};

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::Bf16];

/// Fails unless the two tensors agree to `tolerance` x (1 + |value|).
async fn assert_close(cpu: &Cpu, expected: &Tensor, gpu: &Gpu, found: &Tensor, tolerance: f32, what: &str) {
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
    assert_close(cpu, &run(cpu), gpu, &run(gpu), 2e-5 * (k as f32).sqrt().max(1.0), &what).await;
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
    assert_close(&cpu, &run(&cpu), gpu, &run(gpu), 1e-5, "70,001 rows").await;

    let wide = |engine: &dyn Compute| {
        engine.gather(&engine.upload(2, &values(2 * 3_001, 6)).unwrap(), &[1, 0].repeat(700)).unwrap()
    };
    assert_close(&cpu, &wide(&cpu), gpu, &wide(gpu), 0.0, "65,647 workgroups").await;
}

/// Numbers that differ by orders of magnitude, and the smallest that the formats hold, are decoded
/// exactly.
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
        assert_close(&cpu, &run(&cpu), gpu, &run(gpu), 1e-5, &format!("norm, gate and sum of [{n}, {d}]")).await;
        let run = |engine: &dyn Compute| {
            // A mean that is large against the deviation.
            let x: Vec<f32> = values(n * d, 4).iter().map(|value| value + 30.0).collect();
            let [gain, bias] = [5, 6].map(|seed| engine.upload(1, &values(d, seed)).unwrap());
            engine.layer_norm(&engine.upload(n, &x).unwrap(), &gain, &bias, 1e-5).unwrap()
        };
        assert_close(&cpu, &run(&cpu), gpu, &run(gpu), 2e-4, &format!("layer norm of [{n}, {d}]")).await;
    }
    let extremes = [-1.0e4, -100.0, -88.0, -20.0, 0.0, 20.0, 88.0, 1.0e4];
    let mut inputs = values(29, 7);
    inputs.iter_mut().for_each(|value| *value *= 6.0);
    inputs.extend(extremes);
    let xielu = Activation::Xielu { p: 0.7, n: 1.3, beta: 0.5, eps: -1e-6 };
    let all = [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Relu2, xielu];
    for activation in all {
        let run = |engine: &dyn Compute| {
            let mut gate = engine.upload(1, &inputs).unwrap();
            engine.gated(&mut gate, &engine.upload(1, &[0.5; 37]).unwrap(), activation).unwrap();
            engine.activate(&mut gate, activation).unwrap();
            gate
        };
        assert_close(&cpu, &run(&cpu), gpu, &run(gpu), 1e-6, &format!("{activation:?}")).await;
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
        assert_close(&cpu, &run(&cpu), gpu, &run(gpu), 1e-6, &format!("a soft cap of {cap}")).await;
    }
    assert!(gpu.soft_cap(&mut gpu.zeros(1, 1).unwrap(), -1.0).is_err());
    gpu.soft_cap(&mut gpu.zeros(0, 3).unwrap(), 1.0).unwrap();
}

async fn rotation(gpu: &Gpu) {
    let cpu = Cpu::default();
    let cases =
        [(1, 1, 2, 1, 0, 1), (6, 3, 7, 2, 4, 3), (10, 2, 64, 32, 0, 5), (3, 5, 12, 6, 100, 3), (9, 1, 6, 0, 0, 9)];
    let of_both = cases.into_iter().flat_map(|case| [Pairs::Halves, Pairs::Adjacent].map(|pairs| (case, pairs)));
    for ((rows, heads, head_size, half, first, length), pairs) in of_both {
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
            engine.rotate(&mut x, RotatedHeads { size: head_size, pairs }, &table, first, length).unwrap();
            x
        };
        let what = format!("rotation of {heads} x {head_size}, {pairs:?}");
        assert_close(&cpu, &run(&cpu), gpu, &run(gpu), 1e-6, &what).await;
    }
}

async fn attention(gpu: &Gpu) {
    for case in [
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
    ] {
        attended(gpu, case).await;
    }
}

/// More work than one slice has on a software adapter: cut by rows.
async fn long_attention(gpu: &Gpu) {
    attended(gpu, (8, 1, 256, 1, 0, 450, 450, None, None)).await;
}

/// Heads, key heads, head size, sequences, keys before the first query, queries, rows of keys,
/// window, cap.
type AttentionCase = (usize, usize, usize, usize, usize, usize, usize, Option<usize>, Option<f32>);

async fn attended(gpu: &Gpu, case: AttentionCase) {
    let (heads, kv_heads, head_size, sequences, past, length, room, window, cap) = case;
    let cpu = Cpu::default();
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
    assert_close(&cpu, &run(&cpu), gpu, &run(gpu), 2e-5, &format!("{shape:?} of {length}")).await;
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
            assert_close(&cpu, &run(&cpu), gpu, &run(gpu), 1e-5, &format!("statistics, second: {with_second}")).await;
        }
    }
}

/// Rows as columns, their norms, and tensors as matrices: widths that are whole fours and others,
/// more than one invocation's share.
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
            assert_close(&cpu, a, gpu, b, 1e-5, &format!("transposes, {what} of [{n}, {d}]")).await;
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
            let rows = Samples { features: &[Features::all(&x)], current: &s, target: &t };
            let mut sums = NormalEquations::full(engine, inputs, outputs).unwrap();
            sums.add(engine, rows, 50, usize::MAX, &task).await.unwrap();
            let change = sums.solve(engine, 0.3, &task).await.unwrap();
            let reduction = sums.error_reduction(engine, &change, &task).await.unwrap();
            (change, reduction, sums.saliencies(engine, 0.3, &task).await.unwrap())
        };
        let (expected, found) = (run(&cpu).await, run(gpu).await);
        assert_close(&cpu, &expected.0, gpu, &found.0, 1e-5, &format!("a fit of {inputs}")).await;
        assert!((expected.1 - found.1).abs() < 1e-4 * expected.1, "gain of {inputs}: {} {}", expected.1, found.1);
        for (i, (a, b)) in expected.2.iter().zip(&found.2).enumerate() {
            assert!((a - b).abs() < 1e-3 * a.abs() + 1e-6, "saliency {i} of {inputs}: {b} instead of {a}");
        }
    }
}

on_webgpu!(
    everywhere: products,
    many_rows,
    decoding,
    norms_gates_and_sums,
    soft_caps,
    rotation,
    attention,
    statistics,
    transposes,
    fits,
);

// How a long operation is cut into submissions is the same code in a browser.
on_webgpu!(in_the_full_run_of_a_browser: long_attention);
