//! Diffusion maps and similarity matrices against the golden records, which the NumPy reference
//! made (see `fixtures/golden/README.md`). Expected values are f64, hidden states f32.

use std::rc::Rc;

use mka_lab::calibration::Activations;
use mka_lab::calibration::measures::layer_matrix;
use mka_lab::manifold::{DiffusionMap, DiffusionMapOptions, diffusion_map};
use mka_lab::platform::off_heap::Meter;
use mka_lab::similarity::{Measure, cosine};
use mka_lab::task::Task;

use crate::support::Golden;

/// The largest difference of a column from the expected one up to sign, over the expected one's
/// largest entry.
fn worst_column(map: &DiffusionMap, expected: &[f64]) -> f64 {
    let m = map.dimensions;
    assert_eq!(map.values.len(), expected.len());
    let worst = |k: usize, sign: f64| {
        let pairs = map.values.iter().zip(expected).skip(k).step_by(m);
        pairs.map(|(a, b)| (a - sign * b).abs()).fold(0.0, f64::max)
    };
    let scale = |k: usize| expected.iter().skip(k).step_by(m).fold(0.0, |most: f64, value| most.max(value.abs()));
    (0..m).map(|k| worst(k, 1.0).min(worst(k, -1.0)) / scale(k)).fold(0.0, f64::max)
}

fn worst(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn embeddings(golden: &Golden) {
    let paper = DiffusionMapOptions { dimensions: 2, sigma: Some(8.0), power: 0.5 };
    for l in 0..golden.layers() {
        let (values, rows, columns) = golden.hidden(l + 1);
        let map = diffusion_map(&values, rows, columns, &DiffusionMapOptions::default(), "layer").unwrap();
        let sigma = golden.figure("sigma", l);
        assert!((map.sigma - sigma).abs() < 1e-9 * sigma, "layer {l}: {} {sigma}", map.sigma);
        for (map, prefix) in [(map, ""), (diffusion_map(&values, rows, columns, &paper, "layer").unwrap(), "paper_")] {
            let eigenvalues = worst(&map.eigenvalues, &golden.floats(&format!("{prefix}eigenvalues.{l}")));
            let embedding = worst_column(&map, &golden.floats(&format!("{prefix}embedding.{l}")));
            println!("layer {l} {prefix}: eigenvalues {eigenvalues:.1e}, embedding {embedding:.1e}");
            assert!(eigenvalues < 1e-9, "layer {l} {prefix}: {eigenvalues:e}");
            assert!(embedding < 1e-6, "layer {l} {prefix}: {embedding:e}");
        }
    }
}

fn similarities(golden: &Golden) {
    let hidden = (1..=golden.layers()).map(|l| golden.hidden(l)).collect::<Vec<_>>();
    let layers: Vec<&[f32]> = hidden.iter().map(|(values, ..)| values.as_slice()).collect();
    let (_, rows, columns) = hidden[0];
    let activations = Activations::of_outputs(&layers, rows, columns, &Meter::default()).unwrap();
    let options = DiffusionMapOptions::default();
    let map = |values: &&[f32]| diffusion_map(values, rows, columns, &options, "layer");
    let maps = Rc::new(layers.iter().map(map).collect::<Result<Vec<_>, _>>().unwrap());
    for measure in Measure::ALL {
        let record = match measure {
            Measure::NpibGaussian => "npib_gaussian",
            Measure::NpibKnn => "npib_knn",
            Measure::Cosine => "cosine",
            Measure::Angular => "angular",
            Measure::Cka => "linear_cka",
        };
        let task = Task::silent();
        let found = layer_matrix(measure, &activations, async || Ok(maps.clone()), async || Ok(()), &task);
        let found = pollster::block_on(found).unwrap();
        let worst = worst(&found.values, &golden.floats(&format!("similarity.{record}")));
        println!("{record}: {worst:.1e}");
        assert!(worst < 1e-6, "{record}: {worst:e}");
    }
}

fn block_influence(golden: &Golden) {
    for l in 0..golden.layers() {
        let ((before, rows, columns), (after, ..)) = (golden.hidden(l), golden.hidden(l + 1));
        let before = cosine::Rows::new(&before, rows, columns, "before").unwrap();
        let after = cosine::Rows::new(&after, rows, columns, "after").unwrap();
        let influence = cosine::block_influence(&before, &after).unwrap();
        assert!((influence - golden.figure("block_influence", l)).abs() < 1e-6, "block {l}: {influence}");
    }
}

#[test]
fn embeddings_of_stories260k() {
    embeddings(&Golden::stories260k());
}

#[test]
fn embeddings_of_demo() {
    embeddings(&Golden::demo());
}

#[test]
fn similarities_of_stories260k() {
    similarities(&Golden::stories260k());
}

#[test]
fn similarities_of_demo() {
    similarities(&Golden::demo());
}

#[test]
fn block_influence_of_stories260k() {
    block_influence(&Golden::stories260k());
}

#[test]
fn block_influence_of_demo() {
    block_influence(&Golden::demo());
}
