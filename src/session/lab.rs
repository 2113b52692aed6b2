//! A lab: an engine, and the weights that are kept on it.

use std::rc::Rc;

use web_time::Instant;

use crate::compute::Compute;
use crate::compute::cpu::Cpu;
use crate::compute::gpu::Gpu;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::interface::Memory;
use crate::platform::off_heap::Meter;
use crate::task::Task;
use crate::transformer::WeightStore;

/// Bytes of weights that are on the engine at once, where nothing is known of the machine; what
/// does not fit is read again in each pass.
const DEFAULT_BUDGET: u64 = 512 << 20;
/// The share of the machine's memory that the budget may take, one part in so many: of a GPU, and
/// of the page, where a large model stays below 1.5 GB in all.
const SHARE_OF_MEMORY: (u64, u64) = (4, 16);
/// The most that is derived for weights in the page.
const MOST_IN_THE_PAGE: u64 = 768 << 20;
/// The least and the most that the budget can be set to. One block is always on the engine,
/// whatever the budget.
const BUDGETS: std::ops::RangeInclusive<u64> = (1 << 20)..=(1 << 40);

/// An engine and what is kept on it.
pub struct Lab {
    pub(super) engine: Rc<dyn Compute>,
    pub(super) weights: Rc<WeightStore>,
    pub(super) meter: Meter,
    reason: String,
}

impl Lab {
    /// Starts an engine: `"webgpu"`, `"cpu"`, or `"auto"`, which takes WebGPU on real hardware and
    /// the CPU otherwise.
    ///
    /// # Errors
    /// [`Error::NoWebGpu`] when WebGPU was asked for and cannot be used, [`Error::BadArgument`] for
    /// another word.
    pub async fn create(backend: &str) -> Result<Rc<Self>> {
        let (engine, reason): (Rc<dyn Compute>, String) = match backend {
            "cpu" => (Rc::new(Cpu::default()), "asked for".into()),
            "webgpu" => (Rc::new(Gpu::create().await?), "asked for".into()),
            "auto" => match Gpu::create().await {
                Ok(gpu) if gpu.info().software => {
                    let reason =
                        format!("WebGPU is there, but only as a program ({}), which is slower", gpu.info().adapter);
                    (Rc::new(Cpu::default()), reason)
                }
                Ok(gpu) => (Rc::new(gpu), "WebGPU runs on this machine's graphics hardware".into()),
                Err(error) => (Rc::new(Cpu::default()), error.to_string()),
            },
            other => {
                let reason = format!("is {other:?}, expected \"auto\", \"webgpu\" or \"cpu\"");
                return Err(Error::argument("backend", reason));
            }
        };
        let weights = Rc::new(WeightStore::new(engine.clone(), DEFAULT_BUDGET));
        Ok(Rc::new(Self { engine, weights, meter: Meter::default(), reason }))
    }

    /// The engine.
    pub fn engine(&self) -> &dyn Compute {
        self.engine.as_ref()
    }

    /// Why this engine runs.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Bytes of weights that may be on the engine at once. It shrinks when memory runs out.
    pub fn budget(&self) -> u64 {
        self.weights.budget()
    }

    /// Sets the budget; what is beyond it is let go of.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for less than a MiB or more than a TiB.
    pub fn set_budget(&self, bytes: u64) -> Result<()> {
        if !BUDGETS.contains(&bytes) {
            let reason = format!("is {bytes} bytes, expected {} to {}", BUDGETS.start(), BUDGETS.end());
            return Err(Error::argument("budget", reason));
        }
        self.weights.set_budget(bytes);
        Ok(())
    }

    /// Derives the budget from what the browser says of the machine's memory, in bytes: a rounded
    /// figure. How much a GPU has it does not say.
    ///
    /// # Errors
    /// As [`Lab::set_budget`].
    pub fn derive_budget(&self, memory: u64) -> Result<()> {
        let (of_gpu, of_page) = SHARE_OF_MEMORY;
        let on_gpu = self.engine.info().backend == "webgpu" && !self.engine.info().software;
        self.set_budget(if on_gpu { memory / of_gpu } else { (memory / of_page).min(MOST_IN_THE_PAGE) })
    }

    /// Memory now and at the peak. `wasm` is the size of the WebAssembly memory, which never
    /// shrinks.
    pub fn memory(&self, wasm: u64) -> Memory {
        let (device, device_peak) = self.engine.memory();
        Memory {
            wasm: wasm as f64,
            wasm_peak: wasm as f64,
            device: (device + self.meter.now()) as f64,
            // The two peaks need not fall together: an upper bound.
            device_peak: (device_peak + self.meter.peak()) as f64,
        }
    }

    /// How fast the engine multiplies: billions of floating-point operations a second (2 m n k for
    /// a product) for `[m, k]` times `[k, n]` in f32, the best of several runs within about a
    /// second.
    ///
    /// # Errors
    /// [`Error::BadArgument`] for sizes of 0 or above 8,192, [`Error::Cancelled`], or what the
    /// engine fails with.
    pub async fn product_rate(&self, m: usize, n: usize, k: usize, task: &Task) -> Result<f64> {
        if [m, n, k].iter().any(|size| !(1..=8192).contains(size)) {
            return Err(Error::argument("size", format!("{m} x {n} x {k}: each must be 1 to 8192")));
        }
        let engine = self.engine.as_ref();
        let x = engine.upload(m, &vec![0.5; m * k])?;
        let mut w = engine.matrix(n, k, Dtype::F32)?;
        engine.write_rows(&mut w, 0, bytemuck::cast_slice(&vec![0.25f32; n * k]))?;
        let mut out = engine.zeros(m, n)?;
        let begun = Instant::now();
        let mut best = f64::INFINITY;
        while begun.elapsed().as_secs_f64() < 1.0 {
            // A read at the end waits for a device, so several products share one.
            let (run, products) = (Instant::now(), 4);
            for _ in 0..products {
                engine.matmul(&x, &w, 0..n, None, &mut out)?;
            }
            engine.read(&engine.gather(&out, &[0])?).await?;
            best = best.min(run.elapsed().as_secs_f64() / f64::from(products));
            engine.yield_now().await?;
            task.check()?;
        }
        Ok(2.0 * (m * n * k) as f64 / best / 1e9)
    }
}
