//! Diffusion maps and similarity matrices against the golden records, which the NumPy reference made (see
//! `fixtures/golden/README.md`). Expected values are f64, hidden states f32.

use std::error::Error;
use std::fs;
use std::path::Path;

use mka_lab::manifold::{DiffusionMap, DiffusionMapOptions, diffusion_map};
use mka_lab::similarity::{Measure, cosine, matrix};
use safetensors::{Dtype, SafeTensors};

type Outcome = Result<(), Box<dyn Error>>;

/// The tensors and the figures of one golden run.
struct Golden {
    bytes: Vec<u8>,
    figures: serde_json::Value,
}

impl Golden {
    fn open(name: &str) -> Result<Self, Box<dyn Error>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden");
        let bytes = fs::read(folder.join(format!("{name}.safetensors")))?;
        let figures = serde_json::from_slice(&fs::read(folder.join(format!("{name}.json")))?)?;
        Ok(Self { bytes, figures })
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>, Box<dyn Error>> {
        let tensors = SafeTensors::deserialize(&self.bytes)?;
        let tensor = tensors.tensor(name)?;
        assert_eq!(tensor.dtype(), Dtype::F64, "{name}");
        Ok(tensor.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect())
    }

    /// x[l], `[rows, columns]`, and its shape.
    fn hidden(&self, l: usize) -> Result<(Vec<f32>, usize, usize), Box<dyn Error>> {
        let tensors = SafeTensors::deserialize(&self.bytes)?;
        let tensor = tensors.tensor(&format!("hidden.{l}"))?;
        assert_eq!(tensor.dtype(), Dtype::F32);
        let values = tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        Ok((values, tensor.shape()[0], tensor.shape()[1]))
    }

    fn figure(&self, name: &str, at: usize) -> Result<f64, Box<dyn Error>> {
        Ok(self.figures[name][at].as_f64().ok_or_else(|| format!("{name}[{at}] is not a number"))?)
    }

    fn layers(&self) -> Result<usize, Box<dyn Error>> {
        Ok(self.figures["layers"].as_u64().ok_or("layers is not a number")? as usize)
    }
}

/// The largest difference of a column from the expected one up to sign, over the expected one's largest entry.
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

fn embeddings(name: &str) -> Outcome {
    let golden = Golden::open(name)?;
    let paper = DiffusionMapOptions { dimensions: 2, sigma: Some(8.0), power: 0.5 };
    for l in 0..golden.layers()? {
        let (values, rows, columns) = golden.hidden(l + 1)?;
        let map = diffusion_map(&values, rows, columns, &DiffusionMapOptions::default(), "layer")?;
        let sigma = golden.figure("sigma", l)?;
        assert!((map.sigma - sigma).abs() < 1e-9 * sigma, "layer {l}: {} {sigma}", map.sigma);
        for (map, prefix) in [(map, ""), (diffusion_map(&values, rows, columns, &paper, "layer")?, "paper_")] {
            let eigenvalues = worst(&map.eigenvalues, &golden.numbers(&format!("{prefix}eigenvalues.{l}"))?);
            let embedding = worst_column(&map, &golden.numbers(&format!("{prefix}embedding.{l}"))?);
            println!("{name} layer {l} {prefix}: eigenvalues {eigenvalues:.1e}, embedding {embedding:.1e}");
            assert!(eigenvalues < 1e-9, "layer {l} {prefix}: {eigenvalues:e}");
            assert!(embedding < 1e-6, "layer {l} {prefix}: {embedding:e}");
        }
    }
    Ok(())
}

fn similarities(name: &str) -> Outcome {
    let golden = Golden::open(name)?;
    let hidden = (1..=golden.layers()?).map(|l| golden.hidden(l)).collect::<Result<Vec<_>, _>>()?;
    let layers: Vec<&[f32]> = hidden.iter().map(|(values, ..)| values.as_slice()).collect();
    let (_, rows, columns) = hidden[0];
    for measure in Measure::ALL {
        let record = match measure {
            Measure::NpibGaussian => "npib_gaussian",
            Measure::NpibKnn => "npib_knn",
            Measure::Cosine => "cosine",
            Measure::Angular => "angular",
            Measure::Cka => "linear_cka",
        };
        let found = matrix(measure, &layers, rows, columns, &DiffusionMapOptions::default())?;
        let worst = worst(&found.values, &golden.numbers(&format!("similarity.{record}"))?);
        println!("{name} {record}: {worst:.1e}");
        assert!(worst < 1e-6, "{record}: {worst:e}");
    }
    Ok(())
}

fn block_influence(name: &str) -> Outcome {
    let golden = Golden::open(name)?;
    for l in 0..golden.layers()? {
        let ((before, rows, columns), (after, ..)) = (golden.hidden(l)?, golden.hidden(l + 1)?);
        let before = cosine::Rows::new(&before, rows, columns, "before")?;
        let after = cosine::Rows::new(&after, rows, columns, "after")?;
        let influence = cosine::block_influence(&before, &after)?;
        assert!((influence - golden.figure("block_influence", l)?).abs() < 1e-6, "block {l}: {influence}");
    }
    Ok(())
}

#[test]
fn embeddings_of_stories260k() -> Outcome {
    embeddings("stories260k")
}

#[test]
fn embeddings_of_demo() -> Outcome {
    embeddings("demo")
}

#[test]
fn similarities_of_stories260k() -> Outcome {
    similarities("stories260k")
}

#[test]
fn similarities_of_demo() -> Outcome {
    similarities("demo")
}

#[test]
fn block_influence_of_stories260k() -> Outcome {
    block_influence("stories260k")
}

#[test]
fn block_influence_of_demo() -> Outcome {
    block_influence("demo")
}
