//! The diffusion map against its naive twin (every eigenpair, plain loops), and every error.

use faer::{Mat, Side};

use super::sample::Normal;
use super::{DiffusionMap, DiffusionMapOptions, at_once, diffusion_map, diffusion_map_pausing, median};
use crate::error::{Error, Result};

/// The definition, word by word, with a full decomposition.
fn naive(values: &[f32], rows: usize, columns: usize, options: &DiffusionMapOptions) -> (Vec<Vec<f64>>, Vec<f64>, f64) {
    let row = |at: usize| &values[at * columns..][..columns];
    let distance = |a: usize, b: usize| {
        row(a).iter().zip(row(b)).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
    };
    let mut distances: Vec<f64> =
        (0..rows).flat_map(|a| (0..a).map(move |b| (a, b))).map(|(a, b)| distance(a, b)).collect();
    distances.sort_by(f64::total_cmp);
    let half = distances.len() / 2;
    let middle =
        if distances.len().is_multiple_of(2) { (distances[half - 1] + distances[half]) / 2.0 } else { distances[half] };
    let sigma = options.sigma.unwrap_or(middle);
    let kernel = Mat::from_fn(rows, rows, |a, b| (-(distance(a, b) / sigma).powf(options.power)).exp());
    let q: Vec<f64> = (0..rows).map(|a| (0..rows).map(|b| kernel[(a, b)]).sum()).collect();
    let first = Mat::from_fn(rows, rows, |a, b| kernel[(a, b)] / (q[a] * q[b]).sqrt());
    let d: Vec<f64> = (0..rows).map(|a| (0..rows).map(|b| first[(a, b)]).sum()).collect();
    let matrix = Mat::from_fn(rows, rows, |a, b| first[(a, b)] / (d[a] * d[b]).sqrt());
    let all = matrix.self_adjoint_eigen(Side::Lower).map_err(|error| format!("{error:?}"));
    let all = all.unwrap_or_else(|error| unreachable!("{error}"));
    let vector = |k: usize| all.U().col(rows - 1 - k);
    let values = (0..=options.dimensions).map(|k| all.S()[rows - 1 - k]).collect();
    let embedding =
        (1..=options.dimensions).map(|k| (0..rows).map(|row| vector(k)[row] / vector(0)[row]).collect()).collect();
    (embedding, values, sigma)
}

fn column(map: &DiffusionMap, at: usize) -> Vec<f64> {
    map.values.chunks_exact(map.dimensions).map(|row| row[at]).collect()
}

/// The largest difference of two columns up to sign, over the largest entry.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    let worst = |sign: f64| a.iter().zip(b).map(|(a, b)| (a - sign * b).abs()).fold(0.0, f64::max);
    worst(1.0).min(worst(-1.0)) / a.iter().fold(0.0, |most: f64, value| most.max(value.abs()))
}

#[test]
fn equals_its_naive_twin() -> Result<()> {
    for (rows, columns) in [(11, 3), (97, 40), (257, 13)] {
        for (dimensions, sigma, power) in [(1, None, 2.0), (3, Some(8.0), 0.5), (8, None, 2.0), (8, Some(20.0), 3.0)] {
            let values = Normal::new(rows as u64).activations(rows, columns);
            let options = DiffusionMapOptions { dimensions, sigma, power };
            let map = diffusion_map(&values, rows, columns, &options, "x")?;
            let (embedding, eigenvalues, sigma) = naive(&values, rows, columns, &options);
            assert!((map.sigma - sigma).abs() < 1e-12 * sigma);
            for (found, expected) in map.eigenvalues.iter().zip(&eigenvalues) {
                assert!((found - expected).abs() < 1e-10, "{found} {expected}");
            }
            for (at, expected) in embedding.iter().enumerate() {
                let found = column(&map, at);
                let worst = difference(&found, expected);
                assert!(worst < 1e-6, "{rows} rows, power {power}, column {at}: {worst:e}");
                assert!(found.iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a }) > 0.0);
            }
        }
    }
    Ok(())
}

#[test]
fn ignores_the_scale_of_the_activations() -> Result<()> {
    let values = Normal::new(5).activations(97, 12);
    let large: Vec<f32> = values.iter().map(|value| value * 1024.0).collect();
    let options = DiffusionMapOptions::default();
    let (a, b) = (diffusion_map(&values, 97, 12, &options, "x")?, diffusion_map(&large, 97, 12, &options, "x")?);
    assert!(a.values.iter().zip(&b.values).all(|(a, b)| (a - b).abs() < 1e-8));
    Ok(())
}

#[test]
fn finds_both_directions_of_double_eigenvalues() -> Result<()> {
    // On a circle every eigenvalue but the first is double.
    let rows = 60;
    let angle = |row: usize| std::f64::consts::TAU * row as f64 / rows as f64;
    let values: Vec<f32> = (0..rows).flat_map(|row| [angle(row).cos() as f32, angle(row).sin() as f32]).collect();
    let options = DiffusionMapOptions { dimensions: 4, ..Default::default() };
    let found = diffusion_map(&values, rows, 2, &options, "circle")?.eigenvalues;
    let (_, expected, _) = naive(&values, rows, 2, &options);
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} {expected:?}");
    assert!((found[1] - found[2]).abs() < 1e-6 && (found[3] - found[4]).abs() < 1e-6);
    Ok(())
}

#[test]
fn survives_rows_that_lie_in_few_places() -> Result<()> {
    let values: Vec<f32> = (0..90).map(|row| (row % 3) as f32).collect();
    let options = DiffusionMapOptions { dimensions: 4, ..Default::default() };
    let map = diffusion_map(&values, 90, 1, &options, "three places")?;
    assert!(map.eigenvalues[2] > 0.01 && map.eigenvalues[3].abs() < 1e-12, "{:?}", map.eigenvalues);
    assert_eq!(map.warnings, ["three places: only 2 of 4 dimensions stand out from rounding noise."]);
    Ok(())
}

#[test]
fn warns_of_few_rows() -> Result<()> {
    let values = Normal::new(1).activations(79, 5);
    let map = diffusion_map(&values, 79, 5, &DiffusionMapOptions::default(), "layer 3")?;
    assert_eq!(map.warnings, ["layer 3: 79 rows are few for 8 dimensions; take at least 80."]);
    Ok(())
}

#[test]
fn names_the_layer_in_every_error() {
    let values = Normal::new(1).activations(30, 4);
    let with = |values: &[f32], change: &dyn Fn(&mut DiffusionMapOptions)| {
        let mut options = DiffusionMapOptions::default();
        change(&mut options);
        diffusion_map(values, values.len() / 4, 4, &options, "layer 7")
    };
    let mut broken = values.clone();
    broken[5] = f32::NAN;
    let same = vec![0.1; 120];
    let mut half = values.clone();
    half[..100].fill(0.3);
    let not_finite = with(&broken, &|_| ());
    let degenerate = [with(&same, &|_| ()), with(&same, &|o| o.sigma = Some(1.0)), with(&half, &|_| ())];
    let argument = [
        with(&vec![0.5; 4 * 2049], &|_| ()),
        with(&values, &|o| o.dimensions = 0),
        with(&values, &|o| o.dimensions = 29),
        with(&values, &|o| o.power = 0.0),
        with(&values, &|o| o.power = f64::NAN),
        with(&values, &|o| o.sigma = Some(-1.0)),
        with(&values, &|o| o.sigma = Some(f64::INFINITY)),
        diffusion_map(&values, 31, 4, &DiffusionMapOptions::default(), "layer 7"),
    ];
    // No row reaches any other.
    let unconnected = [with(&values, &|o| o.sigma = Some(1e-3)), with(&values, &|o| o.sigma = Some(1e-200))];
    let is = |result: &Result<DiffusionMap>, code: &str| {
        assert!(
            matches!(result, Err(error) if error.code() == code && error.to_string().contains("layer 7")),
            "{result:?}"
        );
    };
    is(&not_finite, "not-finite");
    unconnected.iter().for_each(|result| is(result, "disconnected"));
    for result in degenerate {
        assert!(
            matches!(&result, Err(error @ Error::Degenerate { .. }) if error.to_string().contains("layer 7")),
            "{result:?}"
        );
    }
    for result in argument {
        assert!(
            matches!(&result, Err(error @ Error::BadArgument { .. }) if error.to_string().contains("layer 7")),
            "{result:?}"
        );
    }
}

#[test]
fn ends_when_a_pause_fails() {
    let values = Normal::new(1).activations(200, 4);
    let mut pauses = 0;
    let options = DiffusionMapOptions::default();
    let map = diffusion_map_pausing(&values, 200, 4, &options, "x", async || {
        pauses += 1;
        if pauses == 9 { Err(Error::Cancelled) } else { Ok(()) }
    });
    assert_eq!(at_once(map).err(), Some(Error::Cancelled));
    assert_eq!(pauses, 9);
}

#[test]
fn median_of_an_even_count_is_between() {
    assert_eq!(median([4.0, 1.0, 3.0].into_iter()), 3.0);
    assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.5);
    assert_eq!(median([7.0].into_iter()), 7.0);
}
