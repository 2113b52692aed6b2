//! Each operation against its definition, written out in `f64`, at awkward sizes.

use super::*;
use crate::compute::{start_state, statistics as columns};

/// Reproducible values in about [-1, 1].
fn values(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn get(engine: &Cpu, tensor: &Tensor) -> Vec<f32> {
    pollster::block_on(engine.read(tensor)).unwrap()
}

fn close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*a) - b).abs() <= tolerance * (1.0 + b.abs()), "element {i}: {a} instead of {b}");
    }
}

#[test]
fn products_in_every_dtype_and_over_the_slice_limit() {
    let engine = Cpu::default();
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
        for (n, k, m) in [(1, 1, 1), (2, 7, 3), (5, 129, 17), (13, 31, 64), (3, 700, 1600)] {
            let mut bytes = Vec::new();
            dtype.encode(&values(m * k, 1), &mut bytes);
            let mut stored = vec![0.0; m * k];
            dtype.decode(&bytes, &mut stored);
            let mut w = engine.matrix(m, k, dtype).unwrap();
            let split = (m / 2) * k * dtype.size();
            engine.write_rows(&mut w, 0, &bytes[..split]).unwrap();
            engine.write_rows(&mut w, m / 2, &bytes[split..]).unwrap();
            let (x, b) = (values(n * k, 2), values(m, 3));
            let bias = engine.upload(1, &b).unwrap();
            let mut out = engine.zeros(n, m).unwrap();
            let input = engine.upload(n, &x).unwrap();
            engine.matmul(&input, &w, 0..m / 3, Some(&bias), &mut out).unwrap();
            engine.matmul(&input, &w, m / 3..m, Some(&bias), &mut out).unwrap();
            let expected: Vec<f64> = (0..n * m)
                .map(|i| {
                    let (r, c) = (i / m, i % m);
                    f64::from(b[c])
                        + (0..k).map(|l| f64::from(x[r * k + l]) * f64::from(stored[c * k + l])).sum::<f64>()
                })
                .collect();
            close(&get(&engine, &out), &expected, 2e-5);
        }
    }
}

#[test]
fn products_over_no_channel_are_the_bias() {
    let engine = Cpu::default();
    let (w, bias) = (engine.matrix(3, 0, Dtype::F32).unwrap(), engine.upload(1, &[1.0, 2.0, 3.0]).unwrap());
    for n in [2, 7] {
        let mut out = engine.upload(n, &vec![9.0; n * 3]).unwrap();
        engine.matmul(&engine.zeros(n, 0).unwrap(), &w, 0..2, Some(&bias), &mut out).unwrap();
        assert_eq!(get(&engine, &out), [1.0, 2.0, 9.0].repeat(n));
    }
}

#[test]
fn norms_rotation_and_gates() {
    let engine = Cpu::default();
    let (n, d) = (5, 37);
    let (x, g) = (values(n * d, 4), values(d, 5));
    let normed = engine.rms_norm(&engine.upload(n, &x).unwrap(), &engine.upload(1, &g).unwrap(), 1e-5).unwrap();
    let expected: Vec<f64> = (0..n * d)
        .map(|i| {
            let row = &x[i / d * d..(i / d + 1) * d];
            let square: f64 = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / d as f64;
            f64::from(x[i]) / (square + 1e-5).sqrt() * f64::from(g[i % d])
        })
        .collect();
    close(&get(&engine, &normed), &expected, 1e-6);

    let shift = values(d, 15);
    let upload = |values: &[f32]| engine.upload(1, values).unwrap();
    let normed = engine.layer_norm(&engine.upload(n, &x).unwrap(), &upload(&g), &upload(&shift), 1e-5).unwrap();
    let expected: Vec<f64> = (0..n * d)
        .map(|i| {
            let row: Vec<f64> = x[i / d * d..(i / d + 1) * d].iter().map(|v| f64::from(*v)).collect();
            let mean = row.iter().sum::<f64>() / d as f64;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64;
            (row[i % d] - mean) / (variance + 1e-5).sqrt() * f64::from(g[i % d]) + f64::from(shift[i % d])
        })
        .collect();
    close(&get(&engine, &normed), &expected, 1e-6);

    let (head, half, length) = (7, 2, 3);
    let angles: Vec<f64> = (0..8 * half).map(|i| 0.3 * i as f64).collect();
    let table: Vec<f32> = angles
        .chunks(half)
        .flat_map(|row| {
            row.iter().map(|a| a.cos() as f32).chain(row.iter().map(|a| a.sin() as f32)).collect::<Vec<_>>()
        })
        .collect();
    let x = values(6 * 2 * head, 6);
    // The pair of a channel, and whether it is the second one of it.
    type Place = fn(usize, usize) -> (usize, bool);
    let places: [(Pairs, Place, usize); 2] = [
        (Pairs::Halves, |channel, half| (channel % half, channel >= half), half),
        (Pairs::Adjacent, |channel, _| (channel / 2, channel % 2 == 1), 1),
    ];
    for (pairs, place, apart) in places {
        let mut rotated = engine.upload(6, &x).unwrap();
        let heads = RotatedHeads { size: head, pairs };
        engine.rotate(&mut rotated, heads, &engine.upload(8, &table).unwrap(), 4, length).unwrap();
        let expected: Vec<f64> = (0..x.len())
            .map(|i| {
                let (row, channel) = (i / (2 * head), i % head);
                let (pair, second) = place(channel, half);
                let own = f64::from(x[i]);
                let angle = |pair: usize| angles[(4 + row % length) * half + pair];
                match second {
                    _ if channel >= 2 * half => own,
                    false => own * angle(pair).cos() - f64::from(x[i + apart]) * angle(pair).sin(),
                    true => own * angle(pair).cos() + f64::from(x[i - apart]) * angle(pair).sin(),
                }
            })
            .collect();
        close(&get(&engine, &rotated), &expected, 1e-6);
    }
}

#[test]
fn activations_gated_and_plain() {
    let engine = Cpu::default();
    type Definition = fn(f64) -> f64;
    let definitions: [(Activation, Definition); 6] = [
        (Activation::Silu, |x| x / (1.0 + (-x).exp())),
        (Activation::Gelu, |x| x / 2.0 * (1.0 + statrs::function::erf::erf(x / 2f64.sqrt()))),
        (Activation::GeluTanh, |x| {
            x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        }),
        (Activation::Relu, |x| x.max(0.0)),
        (Activation::Relu2, |x| x.max(0.0).powi(2)),
        (Activation::Xielu { p: 0.7, n: 1.3, beta: 0.5, eps: -1e-6 }, |x| {
            if x > 0.0 { 0.7 * x * x + 0.5 * x } else { (x.min(-1e-6).exp_m1() - x) * 1.3 + 0.5 * x }
        }),
    ];
    let (mut gate, up) = (values(33, 7), values(33, 8));
    gate.iter_mut().enumerate().for_each(|(i, g)| *g *= 1.0 + i as f32 / 4.0);
    gate[..4].copy_from_slice(&[1.0e4, -1.0e4, 0.0, -20.0]);
    for (activation, definition) in definitions {
        let mut out = engine.upload(3, &gate).unwrap();
        engine.gated(&mut out, &engine.upload(3, &up).unwrap(), activation).unwrap();
        let expected: Vec<f64> = gate.iter().zip(&up).map(|(g, u)| definition(f64::from(*g)) * f64::from(*u)).collect();
        close(&get(&engine, &out), &expected, 1e-6);
        let mut out = engine.upload(11, &gate).unwrap();
        engine.activate(&mut out, activation).unwrap();
        let expected: Vec<f64> = gate.iter().map(|x| definition(f64::from(*x))).collect();
        close(&get(&engine, &out), &expected, 1e-6);
    }
}

#[test]
fn a_soft_cap_is_a_tangent_of_its_cap() {
    let engine = Cpu::default();
    let mut x = values(41, 14);
    x.iter_mut().enumerate().for_each(|(i, x)| *x *= (i * i) as f32 / 4.0);
    x.extend([0.0, -0.0, 1.0e-6, -1.0e9, 1.0e9, 7.9]);
    for cap in [0.5, 30.0] {
        let mut out = engine.upload(1, &x).unwrap();
        engine.soft_cap(&mut out, cap).unwrap();
        let expected: Vec<f64> = x.iter().map(|x| f64::from(cap) * (f64::from(*x) / f64::from(cap)).tanh()).collect();
        close(&get(&engine, &out), &expected, 1e-6);
        assert!(get(&engine, &out).iter().all(|value| value.abs() <= cap * 1.000_001));
    }
    assert!(engine.soft_cap(&mut engine.zeros(1, 1).unwrap(), 0.0).is_err());
}

#[test]
fn attention_is_over_earlier_keys_only() {
    let engine = Cpu::default();
    for (heads, kv_heads, head_size, sequences, past, length, room, window, cap) in [
        (1, 1, 1, 1, 0, 1, 1, None, None),
        (4, 2, 5, 3, 0, 7, 7, None, Some(0.5)),
        (6, 2, 8, 1, 9, 2, 20, None, None),
        (3, 3, 16, 2, 0, 131, 131, None, None),
        (4, 2, 5, 3, 0, 7, 7, Some(3), None),
        (6, 2, 8, 1, 9, 2, 20, Some(1), None),
        (3, 3, 16, 2, 0, 131, 131, Some(50), Some(0.3)),
        (2, 1, 4, 1, 70, 67, 140, Some(200), None),
    ] {
        let shape = Attention { heads, kv_heads, head_size, scale: 0.37, sequences, past, window, cap };
        let q = values(sequences * length * heads * head_size, 9);
        let (k, v) =
            (values(sequences * room * kv_heads * head_size, 10), values(sequences * room * kv_heads * head_size, 11));
        let up = |rows: usize, x: &[f32]| engine.upload(rows, x).unwrap();
        let mut out = engine.zeros(sequences * length, heads * head_size).unwrap();
        let (qt, kt, vt) = (up(sequences * length, &q), up(sequences * room, &k), up(sequences * room, &v));
        engine.attention(&qt, &kt, &vt, &shape, 0..1, &mut out).unwrap();
        engine.attention(&qt, &kt, &vt, &shape, 1..kv_heads, &mut out).unwrap();
        let mut expected = Vec::new();
        for row in 0..sequences * length {
            for head in 0..heads {
                let kv = head / (heads / kv_heads);
                let key = |j: usize, c: usize| (row / length * room + j) * kv_heads * head_size + kv * head_size + c;
                let score = |j: usize| -> f64 {
                    let product =
                        |c: usize| f64::from(q[(row * heads + head) * head_size + c]) * f64::from(k[key(j, c)]);
                    let score = 0.37 * (0..head_size).map(product).sum::<f64>();
                    cap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                };
                let end = past + row % length + 1;
                let first = window.map_or(0, |window: usize| end.saturating_sub(window));
                let weights: Vec<f64> = (first..end).map(|j| score(j).exp()).collect();
                let total: f64 = weights.iter().sum();
                expected.extend((0..head_size).map(|c| {
                    let value = |(j, w): (usize, &f64)| w * f64::from(v[key(first + j, c)]);
                    weights.iter().enumerate().map(value).sum::<f64>() / total
                }));
            }
        }
        close(&get(&engine, &out), &expected, 1e-5);
    }
}

#[test]
fn statistics_in_tiles_equal_those_of_whole_rows() {
    let engine = Cpu::default();
    let (n, vocabulary) = (4, 101);
    let scaled = |seed| values(n * vocabulary, seed).iter().map(|v| v * 9.0).collect::<Vec<_>>();
    let (a, b) = (scaled(12), scaled(13));
    let targets = [0u32, 50, 100, 7];
    let mut state = start_state(&engine, n).unwrap();
    for (from, to) in [(0, 1), (1, 40), (40, 101)] {
        let tile = |x: &[f32]| {
            let part: Vec<f32> = (0..n).flat_map(|r| x[r * vocabulary + from..r * vocabulary + to].to_vec()).collect();
            engine.upload(n, &part).unwrap()
        };
        engine.head_statistics(&tile(&a), Some(&tile(&b)), from, &targets, &mut state).unwrap();
    }
    let state = get(&engine, &state);
    for r in 0..n {
        let (row, other) = (&a[r * vocabulary..(r + 1) * vocabulary], &b[r * vocabulary..(r + 1) * vocabulary]);
        let log_sum = |x: &[f32]| x.iter().map(|v| f64::from(*v).exp()).sum::<f64>().ln();
        let found = &state[r * columns::COLUMNS..(r + 1) * columns::COLUMNS];
        for (at, x) in [(0, row), (columns::SECOND, other)] {
            let best = (0..vocabulary).rev().max_by(|i, j| x[*i].total_cmp(&x[*j])).unwrap();
            assert_eq!(found[at + columns::BEST] as usize, best);
            assert_eq!(found[at + columns::TARGET], x[targets[r] as usize]);
            let log = f64::from(found[at + columns::SUM]).ln() + f64::from(found[at + columns::MAX]);
            assert!((log - log_sum(x)).abs() < 1e-5);
        }
        let (za, zb) = (log_sum(row), log_sum(other));
        let kl: f64 = row
            .iter()
            .zip(other)
            .map(|(x, y)| (f64::from(*x) - za).exp() * (f64::from(*x) - za - f64::from(*y) + zb))
            .sum();
        let found_kl = f64::from(found[columns::CROSS]) / f64::from(found[columns::SUM]) - za + zb;
        assert!((found_kl - kl).abs() < 1e-4, "{found_kl} instead of {kl}");
    }
}

#[test]
fn rows_are_gathered_copied_offloaded_and_checked() {
    let engine = Cpu::default();
    let x = engine.upload(3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    assert_eq!(get(&engine, &engine.gather(&x, &[2, 0, 2]).unwrap()), [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
    assert_eq!(engine.gather(&x, &[3]).unwrap_err().code(), "bad-argument");
    let mut cache = engine.zeros(5, 2).unwrap();
    engine.copy_rows(&mut cache, 2, &x).unwrap();
    assert_eq!(get(&engine, &cache), [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert!(engine.copy_rows(&mut cache, 3, &x).is_err());
    let offloaded = engine.offload(x).unwrap();
    assert_eq!(engine.memory(), (24, 24));
    let mut back = engine.copy_to_engine(&offloaded).unwrap();
    engine.add(&mut back, 1.0, &engine.upload(3, &[1.0; 6]).unwrap()).unwrap();
    assert_eq!(get(&engine, &back), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    engine.add(&mut cache, -2.0, &back).unwrap();
    assert_eq!(get(&engine, &cache), [-4.0, -6.0, -8.0, -10.0, -11.0, -12.0, 3.0, 4.0, 5.0, 6.0]);
    assert!(engine.add(&mut back, 1.0, &cache).is_err(), "more rows than there are");
    let mut w = engine.matrix(2, 3, Dtype::Bf16).unwrap();
    assert!(engine.write_rows(&mut w, 1, &[0; 12]).is_err(), "two rows from the second on");
    assert!(back.reshaped(1, 6).unwrap().reshaped(2, 4).is_err());
}

#[test]
fn rows_become_columns_over_their_norms() {
    let engine = Cpu::default();
    let x = engine.upload(3, &[3.0, 4.0, 0.0, 0.0, -5.0, 12.0]).unwrap();
    let factors = engine.inverse_row_norms(&x, &[1.0, 0.0, 26.0]).unwrap();
    let found = get(&engine, &factors);
    assert!(found[0] == 0.2 && found[1].is_nan() && found[2] == 2.0, "{found:?}");
    assert_eq!(get(&engine, &engine.transpose(&x, None).unwrap()), [3.0, 0.0, -5.0, 4.0, 0.0, 12.0]);
    let weights = engine.upload(3, &[2.0, 1.0, -1.0]).unwrap();
    assert_eq!(get(&engine, &engine.transpose(&x, Some(&weights)).unwrap()), [6.0, 0.0, 5.0, 8.0, 0.0, -12.0]);
    assert!(engine.inverse_row_norms(&x, &[1.0]).is_err());
    assert!(engine.transpose(&x, Some(&engine.zeros(2, 1).unwrap())).is_err());
    // More rows than are moved at a time, and their product with themselves.
    let (rows, columns) = (37, 5);
    let values: Vec<f32> = (0..rows * columns).map(|i| (i * 37 % 11) as f32 - 5.0).collect();
    let x = engine.transpose(&engine.upload(rows, &values).unwrap(), None).unwrap();
    let mut out = engine.zeros(columns, columns).unwrap();
    engine.matmul(&x, &engine.to_matrix(&x).unwrap(), 0..columns, None, &mut out).unwrap();
    for (i, found) in get(&engine, &out).into_iter().enumerate() {
        let sum: f32 = (0..rows).map(|r| values[r * columns + i / columns] * values[r * columns + i % columns]).sum();
        assert_eq!(found, sum);
    }
}
