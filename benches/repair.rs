//! Times of a fit on the CPU engine, one thread: its sums over rows, the solution for them, and
//! what it would lose with each input. The sizes are those of SmolLM2-135M's stream, of its
//! neurons, and the largest that a fit may have. Run it with `cargo bench --bench repair`.

use std::time::Instant;

use mka_lab::compute::Compute;
use mka_lab::compute::cpu::Cpu;
use mka_lab::error::Result;
use mka_lab::regression::{Features, NormalEquations, Samples};
use mka_lab::task::Task;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const WINDOW: usize = 256;
const RIDGE: f64 = 0.3;

fn main() -> Result<()> {
    pollster::block_on(run(&Cpu::default(), &Task::silent()))
}

async fn run(engine: &dyn Compute, task: &Task) -> Result<()> {
    for (inputs, outputs, count) in [(576, 576, 32_768), (1536, 576, 32_768), (4096, 576, 8192), (4096, 4096, 8192)] {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut values = |columns: usize| {
            let values: Vec<f32> =
                (0..count * columns).map(|_| random.next_u32() as f32 / u32::MAX as f32 - 0.5).collect();
            engine.upload(count, &values)
        };
        let (read, stream, target) = (values(inputs)?, values(outputs)?, values(outputs)?);
        let rows = Samples { features: &[Features::all(&read)], current: &stream, target: &target };
        let mut sums = NormalEquations::full(engine, inputs, outputs)?;
        let begun = Instant::now();
        sums.add(engine, rows, WINDOW, usize::MAX, task).await?;
        let summed = begun.elapsed().as_secs_f64();
        let solution = sums.solve(engine, RIDGE, task).await?;
        let solved = begun.elapsed().as_secs_f64() - summed;
        let saliencies = sums.saliencies(engine, RIDGE, task).await?;
        let all = begun.elapsed().as_secs_f64();
        std::hint::black_box((solution, saliencies));
        println!(
            "{inputs:>4} inputs, {outputs:>4} outputs, {count:>5} rows: sums {summed:>6.2} s, solution {solved:>6.2} s, saliencies {:>6.2} s",
            all - summed - solved
        );
    }
    Ok(())
}
