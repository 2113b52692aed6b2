//! The surface that JavaScript sees: conversions, and nothing else. Only the worker of `www/` calls
//! it.
//!
//! Methods that compute return promises and take a [`WebTask`], through which they report and are
//! cancelled. Every error leaves as a plain object `{ name: "MkaError", code, message, hint }`, a
//! cancelled call as `{ name: "AbortError", message }`.

mod convert;
mod file;
mod panic;
mod values;

use std::rc::Rc;

use js_sys::{Array, Float32Array, Function, Uint32Array};
use wasm_bindgen::prelude::*;

use crate::architecture::Assume;
use crate::calibration::{Calibration, Row};
use crate::evaluate::{self, ChoiceResult, ClozeResult};
use crate::interface::{
    Comparison, Estimate, Evaluation, GenerateOptions, Input, LineupOptions, LineupPoint, ManifoldOptions, Memory,
    SimilarityOptions, Summary, Token,
};
use crate::merge::presets::{PRESETS, Preset};
use crate::session;
use crate::similarity::Measure;
use crate::task::{Progress, Task};
use convert::{choice, lineup_options, merge_options, narrow, optional, options, to_js, to_js_error};
use file::JsSource;
use values::{Embedding, Hidden, LayerMatrix, Logits, RowTexts};

/// One call: reports its progress, and can be cancelled while it runs.
#[wasm_bindgen(js_name = Task)]
pub struct WebTask(Task);

/// An engine; see [`session::Lab`].
#[wasm_bindgen(js_name = Lab)]
pub struct WebLab(Rc<session::Lab>);

/// An opened or merged model; see [`session::Model`].
#[wasm_bindgen(js_name = Model)]
pub struct WebModel(Rc<session::Model>);

/// A calibrated model; see [`Calibration`].
#[wasm_bindgen(js_name = Calibration)]
pub struct WebCalibration(Rc<Calibration>);

#[wasm_bindgen(js_class = Task)]
impl WebTask {
    /// `on_progress` is called with a `Progress` now and then.
    #[wasm_bindgen(constructor)]
    pub fn new(#[wasm_bindgen(unchecked_param_type = "(progress: Progress) => void")] on_progress: Function) -> Self {
        Self(Task::new(move |progress: Progress| {
            if let Ok(progress) = to_js(&progress) {
                // What a listener throws is not this call's business.
                let _ = on_progress.call1(&JsValue::UNDEFINED, &progress);
            }
        }))
    }

    /// Makes the call that runs with this task reject with an `AbortError` soon.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

#[wasm_bindgen(js_class = Lab)]
impl WebLab {
    /// Starts an engine: `"auto"`, `"webgpu"` or `"cpu"`; `memory` is what the browser says the
    /// machine has, in bytes.
    pub async fn create(backend: String, memory: Option<f64>) -> Result<WebLab, JsValue> {
        let lab = session::Lab::create(&backend).await.map_err(to_js_error)?;
        if let Some(memory) = memory {
            lab.derive_budget(memory as u64).map_err(to_js_error)?;
        }
        Ok(Self(lab))
    }

    /// Bytes of weights that may be on the engine at once.
    #[wasm_bindgen(getter)]
    pub fn budget(&self) -> f64 {
        self.0.budget() as f64
    }

    /// Sets the budget, in bytes.
    #[wasm_bindgen(js_name = setBudget)]
    pub fn set_budget(&self, bytes: f64) -> Result<(), JsValue> {
        self.0.set_budget(bytes as u64).map_err(to_js_error)
    }

    /// `"webgpu"` or `"cpu"`.
    #[wasm_bindgen(getter, unchecked_return_type = "\"webgpu\" | \"cpu\"")]
    pub fn backend(&self) -> String {
        self.0.engine().info().backend.into()
    }

    /// The hardware, in words.
    #[wasm_bindgen(getter)]
    pub fn adapter(&self) -> String {
        self.0.engine().info().adapter.clone()
    }

    /// Why this engine runs, in words.
    #[wasm_bindgen(getter)]
    pub fn reason(&self) -> String {
        self.0.reason().into()
    }

    /// Memory now and at the peak, bytes.
    #[wasm_bindgen(unchecked_return_type = "Memory")]
    pub fn memory(&self) -> Result<JsValue, JsValue> {
        let buffer = wasm_bindgen::memory().unchecked_into::<js_sys::WebAssembly::Memory>().buffer();
        let bytes = buffer.unchecked_into::<js_sys::ArrayBuffer>().byte_length();
        to_js::<Memory>(&self.0.memory(bytes.into()))
    }

    /// The named methods.
    #[wasm_bindgen(unchecked_return_type = "Preset[]")]
    pub fn presets(&self) -> Result<JsValue, JsValue> {
        to_js::<[Preset]>(&PRESETS)
    }

    /// Billions of floating-point operations a second of the engine at a product `[m, k]` times
    /// `[k, n]`.
    #[wasm_bindgen(js_name = productRate)]
    pub async fn product_rate(&self, m: usize, n: usize, k: usize, task: &WebTask) -> Result<f64, JsValue> {
        self.0.product_rate(m, n, k, &task.0).await.map_err(to_js_error)
    }

    /// Opens the files of one model, as one of the family `assume` where the user insists on it.
    pub async fn open(
        &self,
        #[wasm_bindgen(unchecked_param_type = "SourceFile[]")] files: Array,
        #[wasm_bindgen(unchecked_param_type = "Assume | undefined")] assume: Option<String>,
        task: &WebTask,
    ) -> Result<WebModel, JsValue> {
        let sources: Vec<_> = files.iter().map(JsSource::source).collect();
        let assume = assume.map(|word| Assume::from_word(&word)).transpose().map_err(to_js_error)?;
        self.0.open_as(&sources, assume, &task.0).await.map(WebModel).map_err(to_js_error)
    }
}

#[wasm_bindgen(js_class = Model)]
impl WebModel {
    /// The facts of the model.
    #[wasm_bindgen(getter, unchecked_return_type = "Summary")]
    pub fn summary(&self) -> Result<JsValue, JsValue> {
        to_js::<Summary>(&self.0.summary())
    }

    /// How it was merged; undefined for a model that was not.
    #[wasm_bindgen(getter, unchecked_return_type = "Recipe | undefined")]
    pub fn recipe(&self) -> Result<JsValue, JsValue> {
        self.0.recipe().map_or(Ok(JsValue::UNDEFINED), to_js)
    }

    /// What running this model will take, from its headers and a quick measurement.
    #[wasm_bindgen(unchecked_return_type = "Estimate")]
    pub async fn estimate(
        &self,
        #[wasm_bindgen(unchecked_param_type = "EstimateOptions")] options_: JsValue,
        task: &WebTask,
    ) -> Result<JsValue, JsValue> {
        to_js::<Estimate>(&self.0.estimate(&options(options_)?, &task.0).await.map_err(to_js_error)?)
    }

    /// The ids of a text and the logits after the last of them.
    #[wasm_bindgen(unchecked_return_type = "Logits")]
    pub async fn logits(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Input")] input: JsValue,
        task: &WebTask,
    ) -> Result<JsValue, JsValue> {
        let (ids, values) = self.0.logits(&options::<Input>(input)?, &task.0).await.map_err(to_js_error)?;
        to_js(&Logits { ids: ids.as_slice().into(), values: values.as_slice().into() })
    }

    /// Perplexity on a text; of a merged model, beside the model that it was made of.
    #[wasm_bindgen(unchecked_return_type = "Evaluation | Comparison")]
    pub async fn evaluate(
        &self,
        #[wasm_bindgen(unchecked_param_type = "EvaluateOptions")] options_: JsValue,
        task: &WebTask,
    ) -> Result<JsValue, JsValue> {
        let (measured, warnings) = self.0.evaluate(&options(options_)?, &task.0).await.map_err(to_js_error)?;
        let evaluate::Evaluation { tokens, dense, divergence } = measured;
        match divergence {
            None => to_js(&Evaluation { tokens, nll: dense.nll, perplexity: dense.perplexity, warnings }),
            Some(d) => to_js(&Comparison {
                tokens,
                dense,
                merged: d.merged,
                kl: d.kl,
                top1_agreement: d.top1_agreement,
                warnings,
            }),
        }
    }

    /// Runs a text through the model and keeps hidden states.
    pub async fn calibrate(
        &self,
        #[wasm_bindgen(unchecked_param_type = "CalibrateOptions")] options_: JsValue,
        task: &WebTask,
    ) -> Result<WebCalibration, JsValue> {
        let calibration = self.0.calibrate(&options(options_)?, &task.0).await.map_err(to_js_error)?;
        Ok(WebCalibration(Rc::new(calibration)))
    }

    /// Merges layers, or replays a recipe. Takes a share of the calibration: see
    /// [`WebCalibration::share`].
    pub async fn merge(
        &self,
        #[wasm_bindgen(unchecked_param_type = "MergeOptions")] options_: JsValue,
        calibration: Option<WebCalibration>,
        task: &WebTask,
    ) -> Result<WebModel, JsValue> {
        let calibration = calibration.map(|calibration| calibration.0);
        self.0
            .merge(&merge_options(options_)?, calibration.as_deref(), &task.0)
            .await
            .map(WebModel)
            .map_err(to_js_error)
    }

    /// Holds methods against each other; `on_point` is called with each `LineupPoint` and, where
    /// its model has repairs, their matrices as a file.
    pub async fn lineup(
        &self,
        #[wasm_bindgen(unchecked_param_type = "LineupOptions")] options_: JsValue,
        #[wasm_bindgen(unchecked_param_type = "(point: LineupPoint, repair: Blob | undefined) => void")]
        on_point: Function,
        task: &WebTask,
    ) -> Result<(), JsValue> {
        let each = async |point: LineupPoint, model: Option<Rc<session::Model>>| {
            let repair = match model.map(|model| model.repair_file()).transpose()?.flatten() {
                Some(file) => file::blob(&file, &task.0).await?.into(),
                None => JsValue::UNDEFINED,
            };
            if let Ok(point) = to_js(&point) {
                // What a listener throws is not this call's business.
                let _ = on_point.call2(&JsValue::UNDEFINED, &point, &repair);
            }
            Ok(())
        };
        let options: LineupOptions = lineup_options(options_)?;
        self.0.lineup(&options, each, &task.0).await.map_err(to_js_error)
    }

    /// Answers questions with four choices.
    #[wasm_bindgen(unchecked_return_type = "ChoiceResult")]
    pub async fn choice(
        &self,
        #[wasm_bindgen(unchecked_param_type = "ChoiceOptions")] options_: JsValue,
        task: &WebTask,
    ) -> Result<JsValue, JsValue> {
        to_js::<ChoiceResult>(&self.0.choice(&options(options_)?, &task.0).await.map_err(to_js_error)?)
    }

    /// Completes facts.
    #[wasm_bindgen(unchecked_return_type = "ClozeResult")]
    pub async fn cloze(
        &self,
        #[wasm_bindgen(unchecked_param_type = "ClozeOptions")] options_: JsValue,
        task: &WebTask,
    ) -> Result<JsValue, JsValue> {
        to_js::<ClozeResult>(&self.0.cloze(&options(options_)?, &task.0).await.map_err(to_js_error)?)
    }

    /// Goes on from a prompt; `on_token` is called with each `Token`.
    pub async fn generate(
        &self,
        #[wasm_bindgen(unchecked_param_type = "GenerateOptions")] options_: JsValue,
        #[wasm_bindgen(unchecked_param_type = "(token: Token) => void")] on_token: Function,
        task: &WebTask,
    ) -> Result<(), JsValue> {
        let each = |token: Token| {
            if let Ok(token) = to_js(&token) {
                let _ = on_token.call1(&JsValue::UNDEFINED, &token);
            }
        };
        let options: GenerateOptions = options(options_)?;
        self.0.generate(&options, each, &task.0).await.map_err(to_js_error)
    }

    /// The files of a merged model: `{ name, blob }[]`.
    #[wasm_bindgen(unchecked_return_type = "{ name: string, blob: Blob }[]")]
    pub async fn files(&self, task: &WebTask) -> Result<JsValue, JsValue> {
        file::blobs(self.0.files().map_err(to_js_error)?, &task.0).await.map(Into::into).map_err(to_js_error)
    }

    /// The matrices of its repairs as a file; undefined where there are none.
    #[wasm_bindgen(unchecked_return_type = "Blob | undefined")]
    pub async fn repair(&self, task: &WebTask) -> Result<JsValue, JsValue> {
        match self.0.repair_file().map_err(to_js_error)? {
            Some(file) => file::blob(&file, &task.0).await.map(Into::into).map_err(to_js_error),
            None => Ok(JsValue::UNDEFINED),
        }
    }

    /// Lets go of the model.
    pub fn close(self) {}
}

#[wasm_bindgen(js_class = Calibration)]
impl WebCalibration {
    /// What it ran on.
    #[wasm_bindgen(getter, unchecked_return_type = "CalibrationInfo")]
    pub fn info(&self) -> Result<JsValue, JsValue> {
        to_js(self.0.info())
    }

    /// Another handle of the same calibration: [`WebModel::merge`] uses up the one that it is
    /// given.
    pub fn share(&self) -> WebCalibration {
        Self(self.0.clone())
    }

    /// Similarity of all pairs of layers: `"npib"`, `"npib-knn"`, `"cosine"`, `"angular"` or
    /// `"cka"`.
    #[wasm_bindgen(unchecked_return_type = "LayerMatrix")]
    pub async fn similarity(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Measure")] measure: JsValue,
        #[wasm_bindgen(unchecked_param_type = "SimilarityOptions | undefined")] options_: JsValue,
        task: &WebTask,
    ) -> Result<JsValue, JsValue> {
        let measure: Measure = choice("measure", measure)?;
        let options: SimilarityOptions = optional(options_)?;
        let (matrix, deviation) = match options.seeds {
            None | Some(1) => {
                let matrix =
                    self.0.similarity(measure, &(&options.manifold).into(), &task.0).await.map_err(to_js_error)?;
                (matrix, JsValue::UNDEFINED)
            }
            Some(seeds) => {
                let spread = self.0.similarity_over(measure, &(&options.manifold).into(), seeds, &task.0).await;
                let spread = spread.map_err(to_js_error)?;
                (spread.mean, narrow(&spread.deviation).into())
            }
        };
        to_js(&LayerMatrix { layers: matrix.layers, values: narrow(&matrix.values), deviation })
    }

    /// The tokens of the rows, in their surroundings.
    #[wasm_bindgen(unchecked_return_type = "RowTexts")]
    pub fn rows(&self) -> Result<JsValue, JsValue> {
        let rows = self.0.rows().map_err(to_js_error)?;
        let number = |pick: fn(&Row) -> usize| -> Uint32Array {
            rows.iter().map(|row| pick(row) as u32).collect::<Vec<_>>().as_slice().into()
        };
        let text = |pick: fn(&Row) -> &String| rows.iter().map(|row| pick(row).clone()).collect();
        to_js(&RowTexts {
            sequence: number(|row| row.sequence),
            position: number(|row| row.position),
            ids: number(|row| row.id as usize),
            texts: text(|row| &row.text),
            before: text(|row| &row.before),
            after: text(|row| &row.after),
        })
    }

    /// The mean Euclidean norm of `x[l]` over the rows, l = 0 to L.
    pub async fn norms(&self, task: &WebTask) -> Result<Float32Array, JsValue> {
        self.0.norms(&task.0).await.map(|values| narrow(&values)).map_err(to_js_error)
    }

    /// Block influence of every layer.
    #[wasm_bindgen(js_name = blockInfluence)]
    pub async fn block_influence(&self, task: &WebTask) -> Result<Float32Array, JsValue> {
        self.0.block_influence(&task.0).await.map(|values| narrow(&values)).map_err(to_js_error)
    }

    /// The diffusion map of one layer's output.
    #[wasm_bindgen(unchecked_return_type = "Embedding")]
    pub async fn embedding(
        &self,
        layer: usize,
        #[wasm_bindgen(unchecked_param_type = "ManifoldOptions | undefined")] options_: JsValue,
        task: &WebTask,
    ) -> Result<JsValue, JsValue> {
        let options: ManifoldOptions = optional(options_)?;
        let map = self.0.embedding(layer, &(&options).into(), &task.0).await.map_err(to_js_error)?;
        to_js(&Embedding {
            rows: map.rows,
            dimensions: map.dimensions,
            values: narrow(&map.values),
            eigenvalues: map.eigenvalues.as_slice().into(),
            sigma: map.sigma,
            warnings: map.warnings,
        })
    }

    /// `x[layer]` at the chosen rows, layer = 0 to L.
    #[wasm_bindgen(unchecked_return_type = "Hidden")]
    pub async fn hidden(&self, layer: usize, task: &WebTask) -> Result<JsValue, JsValue> {
        task.0.check().map_err(to_js_error)?;
        let (rows, dimensions, values) = self.0.hidden(layer).map_err(to_js_error)?;
        to_js(&Hidden { rows, dimensions, values: values.as_slice().into() })
    }

    /// Lets go of the calibration.
    pub fn close(self) {}
}

/// What runs when the module is loaded: a panic, should there be one, says where it came from
/// before it traps.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(panic::keep));
}
