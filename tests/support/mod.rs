//! What the integration tests share: the fixtures, embedded so that they are there in a browser
//! too, and how a golden record is read.
#![allow(dead_code, reason = "a browser runs a part of the tests, which use a part of it")]

#[cfg(not(target_arch = "wasm32"))]
pub mod counting;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
pub mod oracle;
#[cfg(not(target_arch = "wasm32"))]
pub mod recorded;

use std::rc::Rc;

use mka_lab::checkpoint::source::{MemorySource, Source};
use mka_lab::compute::gpu::Gpu;
use mka_lab::platform::off_heap::Meter;
use mka_lab::session::{Lab, Model};
use mka_lab::task::Task;
use safetensors::SafeTensors;

/// Embedded files: name and content.
pub type Files = Vec<(&'static str, &'static [u8])>;

macro_rules! embed {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        vec![$(($name, &include_bytes!(concat!("../../", $folder, "/", $name))[..])),+]
    };
}

/// The built-in 12-layer model.
pub fn demo() -> Files {
    embed!("www/public/models/demo": "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
}

/// The built-in 5-layer model.
pub fn stories260k() -> Files {
    embed!("www/public/models/stories260k": "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
}

/// Miniatures of the families: random weights, both styles of the configuration, and what
/// transformers makes of them.
pub mod miniature {
    use super::Files;

    macro_rules! miniatures {
        ($($name:ident: $folder:literal),+ $(,)?) => {$(
            /// The one of this name.
            pub fn $name() -> Files {
                vec![
                    miniatures!(@ $folder, "config.json"),
                    miniatures!(@ $folder, "config.v4.json"),
                    miniatures!(@ $folder, "model.safetensors"),
                    miniatures!(@ $folder, "reference.json"),
                    miniatures!(@ "llama", "tokenizer.json"),
                    miniatures!(@ "llama", "tokenizer_config.json"),
                ]
            }
        )+};
        (@ $folder:literal, $file:literal) => {
            ($file, &include_bytes!(concat!("../fixtures/", $folder, "/", $file))[..])
        };
    }

    /// The Llama in shards.
    pub fn llama_sharded() -> Files {
        embed!(
            "tests/fixtures/llama-sharded": "config.json", "config.v4.json", "model.safetensors.index.json", "model-00001-of-00004.safetensors",
            "model-00002-of-00004.safetensors", "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors",
            "tokenizer.json", "tokenizer_config.json", "reference.json",
        )
    }

    /// Hands the names of a model of each family but Llama, and of what some families do in two
    /// ways, to a macro.
    macro_rules! other_families {
        ($then:ident) => {
            $then!(
                mistral,
                qwen2,
                qwen3,
                gpt2,
                gpt_neox,
                phi,
                opt,
                gemma3,
                olmo2,
                smollm3,
                phi3,
                gpt_neo,
                gemma2,
                opt_post,
                gpt2_scaled,
                phi_normed,
                gemma,
                ministral3,
                olmo3,
                exaone4,
                starcoder2,
                stablelm,
                stablelm_parallel,
                gemma3_vision,
                qwen2_5_vl,
                granite,
                cohere,
                cohere2,
                helium,
                glm,
                glm4,
                ernie4_5,
                arcee,
                nemotron,
                nemotron_biased,
                hunyuan_v1_dense,
                exaone,
                apertus,
            );
        };
    }
    pub(crate) use other_families;

    /// Llama, and those.
    pub fn of_each_family() -> Vec<(&'static str, Files)> {
        let mut all = vec![("llama", llama())];
        macro_rules! list {
            ($($name:ident),+ $(,)?) => { all.extend([$((stringify!($name), $name())),+]) };
        }
        other_families!(list);
        all
    }

    miniatures! {
        llama: "llama",
        llama_linear: "llama-linear",
        llama_dynamic: "llama-dynamic",
        llama_yarn: "llama-yarn",
        mistral: "mistral",
        mistral_window: "mistral-window",
        qwen2: "qwen2",
        qwen2_bf16: "qwen2-bf16",
        qwen2_f16: "qwen2-f16",
        qwen2_window: "qwen2-window",
        qwen3: "qwen3",
        qwen3_window: "qwen3-window",
        gpt2: "gpt2",
        gpt2_hubnames: "gpt2-hubnames",
        gpt2_f16: "gpt2-f16",
        gpt2_scaled: "gpt2-scaled",
        gpt_neo: "gpt_neo",
        gpt_neo_untied: "gpt_neo-untied",
        gpt_neox: "gpt_neox",
        gpt_neox_buffers: "gpt_neox-buffers",
        gpt_neox_f16: "gpt_neox-f16",
        phi: "phi",
        phi_normed: "phi-normed",
        phi3: "phi3",
        phi3_longrope: "phi3-longrope",
        phi3_partial: "phi3-partial",
        opt: "opt",
        opt_post: "opt-post",
        opt_untied: "opt-untied",
        gemma2: "gemma2",
        gemma2_bf16: "gemma2-bf16",
        gemma3: "gemma3_text",
        gemma3_capped: "gemma3-capped",
        olmo2: "olmo2",
        olmo2_biased: "olmo2-biased",
        smollm3: "smollm3",
        smollm3_window: "smollm3-window",
        gemma: "gemma",
        ministral3: "ministral3",
        olmo3: "olmo3",
        exaone4: "exaone4",
        starcoder2: "starcoder2",
        starcoder2_plain: "starcoder2-plain",
        stablelm: "stablelm",
        stablelm_parallel: "stablelm-parallel",
        gemma3_vision: "gemma3",
        llava: "llava",
        llava_next: "llava_next",
        llava_onevision: "llava_onevision",
        internvl: "internvl",
        mistral3: "mistral3",
        qwen2_vl: "qwen2_vl",
        qwen2_5_vl: "qwen2_5_vl",
        qwen3_vl: "qwen3_vl",
        idefics3: "idefics3",
        smolvlm: "smolvlm",
        granite: "granite",
        cohere: "cohere",
        cohere2: "cohere2",
        helium: "helium",
        glm: "glm",
        glm4: "glm4",
        ernie4_5: "ernie4_5",
        arcee: "arcee",
        nemotron: "nemotron",
        nemotron_biased: "nemotron-biased",
        hunyuan_v1_dense: "hunyuan_v1_dense",
        exaone: "exaone",
        apertus: "apertus",
        qwen3_fp8: "qwen3-fp8",
        llama_fp8: "llama-fp8",
        llama_float_quantized: "llama-float-quantized",
    }
}

/// Reproducible values in [-1, 1); another seed, other values.
pub fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A held-out text.
pub const TINYSTORIES: &str = include_str!("../fixtures/val_tinystories.txt");

/// The content of one of some files.
pub fn content(files: &Files, name: &str) -> &'static [u8] {
    files.iter().find(|(found, _)| *found == name).unwrap().1
}

/// The files as sources.
pub fn sources(files: &Files) -> Vec<Source> {
    files.iter().map(|(name, bytes)| source(name, bytes)).collect()
}

/// One file as a source.
pub fn source(name: &str, bytes: &[u8]) -> Source {
    Rc::new(MemorySource::new(name, bytes, &Meter::default()).unwrap())
}

/// An engine that must start.
pub async fn lab(backend: &str) -> Rc<Lab> {
    Lab::create(backend).await.unwrap_or_else(|error| panic!("{error}. {}", error.hint()))
}

/// The WebGPU engine. A machine without an adapter fails here, in words.
pub async fn gpu() -> Gpu {
    Gpu::create().await.unwrap_or_else(|error| {
        panic!(
            "{error}\nThese tests need WebGPU: natively a Vulkan driver (on Debian `apt install mesa-vulkan-drivers \
             libvulkan1` gives one in software), in Chromium the arguments of webdriver.json."
        )
    })
}

/// Opens files that must open.
pub async fn open(lab: &Rc<Lab>, files: &[Source]) -> Rc<Model> {
    lab.open(files, &Task::silent()).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A golden record.
pub struct Golden {
    /// Its figures.
    pub json: serde_json::Value,
    /// All token ids, window after window.
    pub ids: Vec<u32>,
    /// Number of windows.
    pub sequences: usize,
    /// Tokens of each.
    pub window: usize,
    /// The chosen rows, `(sequence, position)`.
    pub rows: Vec<(usize, usize)>,
    bytes: &'static [u8],
}

impl Golden {
    /// The record of the model `demo`.
    pub fn demo() -> Self {
        Self::read(include_str!("../fixtures/golden/demo.json"), include_bytes!("../fixtures/golden/demo.safetensors"))
    }

    /// The record of the model `stories260k`.
    pub fn stories260k() -> Self {
        Self::read(
            include_str!("../fixtures/golden/stories260k.json"),
            include_bytes!("../fixtures/golden/stories260k.safetensors"),
        )
    }

    /// Number of blocks.
    pub fn layers(&self) -> usize {
        self.json["layers"].as_u64().unwrap() as usize
    }

    /// An entry of a list of figures.
    pub fn figure(&self, name: &str, at: usize) -> f64 {
        self.json[name][at].as_f64().unwrap()
    }

    /// `x[layer]` `[rows, columns]` at the chosen rows, and its shape.
    pub fn hidden(&self, layer: usize) -> (Vec<f32>, usize, usize) {
        let values: Vec<f32> = self.floats(&format!("hidden.{layer}")).into_iter().map(|value| value as f32).collect();
        let (rows, columns) = (self.rows.len(), values.len() / self.rows.len());
        (values, rows, columns)
    }

    fn read(json: &str, bytes: &'static [u8]) -> Self {
        let tensors = SafeTensors::deserialize(bytes).unwrap();
        let integers = |name: &str| bytemuck::pod_collect_to_vec::<u8, i32>(tensors.tensor(name).unwrap().data());
        let shape = tensors.tensor("input_ids").unwrap().shape().to_vec();
        let ids = integers("input_ids").into_iter().map(|id| id as u32).collect();
        let rows = integers("rows").chunks(2).map(|row| (row[0] as usize, row[1] as usize)).collect();
        Self { json: serde_json::from_str(json).unwrap(), ids, sequences: shape[0], window: shape[1], rows, bytes }
    }

    /// A tensor of f32 or f64.
    pub fn floats(&self, name: &str) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(self.bytes).unwrap();
        let view = tensors.tensor(name).unwrap();
        match view.dtype() {
            safetensors::Dtype::F32 => {
                bytemuck::pod_collect_to_vec::<u8, f32>(view.data()).into_iter().map(f64::from).collect()
            }
            safetensors::Dtype::F64 => bytemuck::pod_collect_to_vec(view.data()),
            other => panic!("{name} is {other:?}"),
        }
    }
}

/// What a line of `surgery` does.
pub struct Surgery {
    /// The block that stays and the one that goes.
    pub pair: (usize, usize),
    /// The weight of the first; none for a drop.
    pub alpha: Option<f64>,
    /// The ridge of the linear repair, if there is one.
    pub ridge: Option<f64>,
}

/// Reads a line of `surgery`: `drop 3`, `average 2,3 alpha 0.5`, `drop 3, repair 2 ridge 0.3`,
/// `drop last`…
pub fn surgery_line(line: &str, layers: usize) -> Surgery {
    let (what, ridge) = match line.split_once(", repair") {
        Some((what, repair)) => (what, repair.rsplit(' ').next().map(|ridge| ridge.parse().unwrap())),
        None => (line, None),
    };
    if let Some(gone) = what.strip_prefix("drop ") {
        let gone = if gone == "last" { layers - 1 } else { gone.parse().unwrap() };
        return Surgery { pair: (gone - 1, gone), alpha: None, ridge };
    }
    let (pair, alpha) = what.strip_prefix("average ").unwrap().split_once(" alpha ").unwrap();
    let (keep, gone) = pair.split_once(',').unwrap();
    Surgery { pair: (keep.parse().unwrap(), gone.parse().unwrap()), alpha: Some(alpha.parse().unwrap()), ridge }
}

/// An async test with its attributes natively and in a browser.
macro_rules! async_test {
    ([$($native:tt)*] [$($browser:tt)*] $name:ident: $body:expr) => {
        #[cfg(not(target_arch = "wasm32"))]
        #[test]
        $($native)*
        fn $name() {
            pollster::block_on($body);
        }

        #[cfg(target_arch = "wasm32")]
        #[wasm_bindgen_test::wasm_bindgen_test]
        $($browser)*
        async fn $name() {
            $body.await;
        }
    };
}

/// Async tests that run natively, and in a dedicated worker of a real browser.
macro_rules! everywhere {
    ($($name:ident: $body:expr;)+) => {$(
        $crate::support::async_test!([] [] $name: $body);
    )+};
}

/// Async tests that run natively, and in a browser in the full run only.
macro_rules! in_the_full_run_of_a_browser {
    ($($name:ident: $body:expr;)+) => {$(
        $crate::support::async_test!(
            [] [#[ignore = "full run: the same code as natively, and as another test in the browser"]] $name: $body
        );
    )+};
}

/// Async tests that only the full run has, natively and in a browser.
macro_rules! in_the_full_run {
    ($($name:ident: $body:expr;)+) => {$(
        $crate::support::async_test!(
            [#[ignore = "full run: a minute, and what is computed is the same as in a smaller test"]]
            [#[ignore = "full run: a minute, and what is computed is the same as in a smaller test"]] $name: $body
        );
    )+};
}

/// Tests of functions that take the WebGPU engine, each with one of its own, and where they run.
macro_rules! on_webgpu {
    ($where:ident: $($name:ident),+ $(,)?) => {$(
        mod $name {
            $crate::support::$where! {
                on_webgpu: async { super::$name(&$crate::support::gpu().await).await };
            }
        }
    )+};
}

pub(crate) use {async_test, everywhere, in_the_full_run, in_the_full_run_of_a_browser, on_webgpu};
