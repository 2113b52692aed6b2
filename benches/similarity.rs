//! Times of the measures for a model of 30 layers, 512 rows and 576 columns, on one thread. Plain
//! `std::time`: what is asked here is seconds against a budget, not the last percent. Run it with
//! `cargo bench --bench similarity`.

use std::rc::Rc;
use std::time::Instant;

use mka_lab::calibration::Activations;
use mka_lab::calibration::measures::layer_matrix;
use mka_lab::error::Result;
use mka_lab::manifold::{DiffusionMap, DiffusionMapOptions, diffusion_map};
use mka_lab::platform::off_heap::Meter;
use mka_lab::similarity::{LayerMatrix, Measure, npib_gaussian, npib_knn};
use mka_lab::task::Task;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const LAYERS: usize = 30;
const ROWS: usize = 512;
const COLUMNS: usize = 576;

/// A residual stream: each layer adds a little to the one before. `slope` is the fall of the
/// variances of its directions.
fn stream(slope: f32) -> Vec<Vec<f32>> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut normal = || (0..4).map(|_| random.next_u32() as f32 / u32::MAX as f32 - 0.5).sum::<f32>();
    let mut layer = vec![0.0; ROWS * COLUMNS];
    (0..LAYERS)
        .map(|_| {
            for (at, value) in layer.iter_mut().enumerate() {
                *value += normal() * ((at % COLUMNS + 1) as f32).powf(-slope);
            }
            layer.clone()
        })
        .collect()
}

fn timed<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = work()?;
    println!("{name:<45} {:>7.0} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(result)
}

fn main() -> Result<()> {
    for slope in [0.5, 0.0] {
        println!("{LAYERS} layers, {ROWS} rows, {COLUMNS} columns, variances falling with the power {slope}");
        let layers = stream(slope);
        let slices: Vec<&[f32]> = layers.iter().map(Vec::as_slice).collect();
        let options = DiffusionMapOptions::default();
        let activations = Activations::of_outputs(&slices, ROWS, COLUMNS, &Meter::default())?;
        let maps: Vec<DiffusionMap> = timed("diffusion maps", || {
            slices.iter().map(|values| diffusion_map(values, ROWS, COLUMNS, &options, "layer")).collect()
        })?;
        timed("npib of all pairs, from the maps", || {
            let scores: Vec<_> =
                maps.iter().map(|map| npib_gaussian::Scores::new(map, "layer")).collect::<Result<_>>()?;
            LayerMatrix::from_pairs(LAYERS, |a, b| npib_gaussian::similarity(&scores[a], &scores[b]))
        })?;
        timed("npib-knn of all pairs, from the maps", || {
            let points: Vec<_> = maps.iter().map(|map| npib_knn::Points::new(map, "layer")).collect::<Result<_>>()?;
            let mut sweep = npib_knn::Sweep::new(&points)?;
            while sweep.advance() {}
            Ok(sweep.finish())
        })?;
        for measure in [Measure::Cosine, Measure::Angular, Measure::Cka] {
            let none = async || Ok(Rc::new(Vec::new()));
            let found =
                || pollster::block_on(layer_matrix(measure, &activations, none, async || Ok(()), &Task::silent()));
            timed(&format!("{measure:?}"), found)?;
        }
    }
    Ok(())
}
