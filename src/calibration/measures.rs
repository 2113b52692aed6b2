//! The one place that knows every measure of similarity: from activations or diffusion maps to a
//! matrix.

use std::rc::Rc;

use super::activations::Activations;
use crate::error::Result;
use crate::manifold::DiffusionMap;
use crate::similarity::{LayerMatrix, Measure, cka, cosine, npib_gaussian, npib_knn};
use crate::task::Task;

/// A measure of all pairs of layers. `maps` are their diffusion maps, asked for by the measures
/// that compare embeddings only; `pause` is awaited every few milliseconds.
///
/// # Errors
/// Those of the measure and of `maps`, which name the layer; [`crate::error::Error::Cancelled`].
pub async fn layer_matrix(
    measure: Measure,
    activations: &Activations,
    maps: impl AsyncFnOnce() -> Result<Rc<Vec<DiffusionMap>>>,
    pause: impl AsyncFn() -> Result<()>,
    task: &Task,
) -> Result<LayerMatrix> {
    let (layers, rows, columns) = (activations.layers(), activations.rows, activations.columns);
    let name = |layer: usize| format!("layer {layer}");
    match measure {
        Measure::NpibGaussian => {
            let maps = maps().await?;
            let scores = maps.iter().enumerate().map(|(layer, map)| npib_gaussian::Scores::new(map, &name(layer)));
            let scores = scores.collect::<Result<Vec<_>>>()?;
            pairs(layers, |a, b| npib_gaussian::similarity(&scores[a], &scores[b]), pause, task).await
        }
        Measure::NpibKnn => {
            let maps = maps().await?;
            let points = maps.iter().enumerate().map(|(layer, map)| npib_knn::Points::new(map, &name(layer)));
            let points = points.collect::<Result<Vec<_>>>()?;
            let step = task.step("similarity", rows, "rows");
            let mut sweep = npib_knn::Sweep::new(&points)?;
            while sweep.advance() {
                pause().await?;
                step.advance(1)?;
            }
            Ok(sweep.finish())
        }
        Measure::Cka => {
            let mut grams = Vec::with_capacity(layers);
            for layer in 0..layers {
                let checked = async || {
                    pause().await?;
                    task.check()
                };
                let values = activations.output(layer)?;
                grams.push(cka::Gram::new_pausing(&values, rows, columns, &name(layer), checked).await?);
            }
            pairs(layers, |a, b| cka::similarity(&grams[a], &grams[b]), pause, task).await
        }
        Measure::Cosine => {
            let of = |a, b| compare_rows(activations, a + 1, b + 1, cosine::similarity);
            pairs(layers, of, pause, task).await
        }
        Measure::Angular => {
            let of = |a, b| compare_rows(activations, a + 1, b + 1, cosine::angular_distance);
            pairs(layers, of, pause, task).await
        }
    }
}

/// A measure of all pairs a <= b, with a pause after each.
async fn pairs(
    layers: usize,
    measure: impl Fn(usize, usize) -> Result<f64>,
    pause: impl AsyncFn() -> Result<()>,
    task: &Task,
) -> Result<LayerMatrix> {
    let step = task.step("similarity", layers * (layers + 1) / 2, "pairs");
    let mut matrix = LayerMatrix::new(layers);
    for a in 0..layers {
        for b in a..layers {
            matrix.set(a, b, measure(a, b)?);
            pause().await?;
            step.advance(1)?;
        }
    }
    Ok(matrix)
}

/// A measure of the rows of `x[a]` and `x[b]`; only these two are on the heap.
///
/// # Errors
/// [`crate::error::Error::BadArgument`] when there is no such layer, or those of the measure.
pub fn compare_rows(
    activations: &Activations,
    a: usize,
    b: usize,
    measure: fn(&cosine::Rows<'_>, &cosine::Rows<'_>) -> Result<f64>,
) -> Result<f64> {
    let (rows, columns) = (activations.rows, activations.columns);
    let first = activations.hidden(a)?;
    let first = cosine::Rows::new(&first, rows, columns, &format!("x[{a}]"))?;
    if a == b {
        return measure(&first, &first);
    }
    let second = activations.hidden(b)?;
    measure(&first, &cosine::Rows::new(&second, rows, columns, &format!("x[{b}]"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifold::{DiffusionMapOptions, diffusion_map};
    use crate::platform::off_heap::Meter;

    #[test]
    fn errors_name_the_layer() {
        let (good, bad) = ([1.0, 2.0, 3.0, 5.0, 8.0, 13.0], [0.0; 6]);
        let options = DiffusionMapOptions { dimensions: 1, ..Default::default() };
        let activations = Activations::of_outputs(&[&good, &bad], 3, 2, &Meter::default()).unwrap();
        let map = |layer: usize| diffusion_map(&activations.output(layer)?, 3, 2, &options, &format!("layer {layer}"));
        for measure in Measure::ALL {
            let maps = async || (0..2).map(map).collect::<Result<Vec<_>>>().map(Rc::new);
            let task = Task::silent();
            let result = pollster::block_on(layer_matrix(measure, &activations, maps, async || Ok(()), &task));
            // Cosines name the stream, whose first is the embedding; three rows are too few for
            // five neighbours, but the maps come first.
            let name = if measure.uses_manifold() || measure == Measure::Cka { "layer 1" } else { "x[2]" };
            assert!(matches!(&result, Err(error) if error.to_string().contains(name)), "{measure:?} {result:?}");
        }
    }
}
