//! Models that do not fit: an engine with little room, weights that go and come again, a head
//! larger than a binding.

use std::rc::Rc;

use mka_lab::architecture;
use mka_lab::checkpoint::Checkpoint;
use mka_lab::compute::Compute;
use mka_lab::compute::cpu::Cpu;
use mka_lab::evaluate::{Baseline, evaluate};
use mka_lab::task::Task;
use mka_lab::transformer::{Transformer, WeightStore};
use pollster::block_on;

use crate::support;
use crate::support::counting::Counting;
use crate::support::{demo, source, sources, values};

/// A model on `engine` with `budget` bytes for its weights, and the keeper of these.
fn transformer(
    engine: Rc<dyn Compute>,
    files: &[mka_lab::checkpoint::source::Source],
    budget: u64,
) -> (Transformer, Rc<WeightStore>) {
    let mut checkpoint = block_on(Checkpoint::open(files)).unwrap();
    let (description, _) = architecture::describe(&mut checkpoint, None).unwrap();
    let store = Rc::new(WeightStore::new(engine.clone(), budget));
    (Transformer::new(engine, store.clone(), Rc::new(checkpoint), description).unwrap(), store)
}

fn windows(vocabulary: u32) -> Vec<Vec<u32>> {
    (0..4u32).map(|w| (0..64).map(|i| (w * 977 + i * 131 + 7) % vocabulary).collect()).collect()
}

#[test]
fn when_memory_runs_out_the_budget_is_halved_and_the_result_is_the_same() {
    let files = sources(&demo());
    let (roomy, _) = transformer(Rc::new(Cpu::default()), &files, 1 << 30);
    let expected = block_on(evaluate(&roomy, None, &windows(2048), &Task::silent())).unwrap();
    // The model has 4.9 MB of weights, a block 0.4 MB; the engine has room for 3 MB, states
    // included.
    let engine = Rc::new(Counting::with_room(Rc::new(Cpu::default()), 3_000_000));
    let (model, store) = transformer(engine.clone(), &files, 8 << 20);
    let found = block_on(evaluate(&model, None, &windows(2048), &Task::silent())).unwrap();
    assert_eq!(found, expected, "to the last bit");
    assert_eq!(store.budget(), 2 << 20, "halved twice, and no more than was needed");
    // The limit is on matrices; what is written last may be states.
    assert!(engine.memory().1 <= 3_500_000);
    // Where not even one block has room, the error says so.
    let (model, store) = transformer(Rc::new(Counting::with_room(Rc::new(Cpu::default()), 100_000)), &files, 8 << 20);
    let error = block_on(evaluate(&model, None, &windows(2048), &Task::silent())).unwrap_err();
    assert_eq!(error.code(), "out-of-memory");
    assert!(store.budget() < 1 << 20);
}

#[test]
fn a_small_budget_changes_memory_and_nothing_else() {
    let files = sources(&demo());
    let peak = |budget: u64| {
        let engine = Rc::new(Cpu::default());
        let (model, _) = transformer(engine.clone(), &files, budget);
        let found = block_on(evaluate(&model, None, &windows(2048), &Task::silent())).unwrap();
        (found, engine.memory().1)
    };
    let (all, most) = peak(1 << 30);
    let (streamed, least) = peak(1 << 20);
    assert_eq!(all, streamed);
    assert!(most > 4_900_000, "{most}: all weights stay");
    // The budget, and the states of 4 x 64 tokens that the blocks run on.
    assert!(least < (1 << 20) + 1_000_000, "{least}");
}

#[test]
fn a_comparison_that_may_keep_no_stream_finds_the_same() {
    let (model, _) = transformer(Rc::new(Cpu::default()), &sources(&demo()), 1 << 30);
    let expected = block_on(evaluate(&model, None, &windows(2048), &Task::silent())).unwrap().dense;
    for budget in [1, 300_000, 1 << 30] {
        let baseline = block_on(Baseline::new(&model, windows(2048), budget, &Task::silent())).unwrap();
        for shared in [0, 5, 12] {
            let found = block_on(baseline.compare(&model, shared, &Task::silent())).unwrap();
            assert_eq!(found.dense, expected, "{budget} bytes, {shared} blocks shared");
        }
    }
}

#[test]
fn a_comparison_runs_only_the_blocks_after_those_that_are_shared() {
    let engine = Rc::new(Counting::new(Rc::new(Cpu::default())));
    let (model, _) = transformer(engine.clone(), &sources(&demo()), 1 << 30);
    let baseline = block_on(Baseline::new(&model, windows(2048), 1 << 30, &Task::silent())).unwrap();
    let whole = engine.take("attention");
    assert!(whole > 0 && whole.is_multiple_of(12), "{whole} calls for 12 blocks");
    for shared in [0, 5, 12] {
        block_on(baseline.compare(&model, shared, &Task::silent())).unwrap();
        assert_eq!(engine.take("attention"), whole / 12 * (12 - shared as u64), "{shared} blocks shared");
    }
}

#[test]
fn weights_that_have_room_are_read_once() {
    for (budget, again) in [(1 << 30, false), (1 << 20, true)] {
        let engine = Rc::new(Counting::new(Rc::new(Cpu::default())));
        let (model, _) = transformer(engine.clone(), &sources(&demo()), budget);
        block_on(evaluate(&model, None, &windows(2048), &Task::silent())).unwrap();
        assert!(engine.take("write_rows") > 0);
        block_on(evaluate(&model, None, &windows(2048), &Task::silent())).unwrap();
        assert_eq!(engine.take("write_rows") > 0, again, "a budget of {budget} bytes");
    }
}

#[test]
fn an_emptied_block_passes_and_a_zeroed_matrix_does_not() {
    let files = demo();
    let weights = support::content(&files, "model.safetensors");
    let header_end = 8 + u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&weights[8..header_end]).unwrap();
    let zeroed = |wanted: &dyn Fn(&str) -> bool| {
        let mut bytes = weights.to_vec();
        for (name, entry) in header.as_object().unwrap().iter().filter(|(name, _)| wanted(name)) {
            let at = |i: usize| header_end + entry["data_offsets"][i].as_u64().unwrap() as usize;
            assert!(at(1) <= bytes.len(), "{name}");
            bytes[at(0)..at(1)].fill(0);
        }
        let mut changed = sources(&files);
        changed.retain(|file| file.name() != "model.safetensors");
        changed.push(source("model.safetensors", &bytes));
        let (model, _) = transformer(Rc::new(Cpu::default()), &changed, 1 << 30);
        block_on(evaluate(&model, None, &windows(2048), &Task::silent())).map(|_| model.empty_blocks())
    };
    assert_eq!(zeroed(&|name| name.contains(".layers.3.")).unwrap(), [3]);
    let error = zeroed(&|name| name.ends_with("layers.3.mlp.up_proj.weight")).unwrap_err();
    assert!(error.to_string().contains("model.layers.3.mlp.up_proj.weight"), "{error}");
    assert_eq!(zeroed(&|name| name.contains(".layers.")).unwrap_err().code(), "not-finite");
}

/// A Llama of one block whose embedding, which is also its head, has 70,001 rows of 512 f32: 143
/// MB, more than the 128 MiB that WebGPU guarantees for a binding, with a prime number of rows.
#[test]
fn a_vocabulary_larger_than_a_binding_is_split_by_rows() {
    const VOCABULARY: usize = 70_001;
    const HIDDEN: usize = 512;
    let config = format!(
        r#"{{"model_type": "llama", "hidden_size": {HIDDEN}, "intermediate_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1,
        "head_dim": 4, "num_hidden_layers": 1, "vocab_size": {VOCABULARY}, "rms_norm_eps": 1e-6, "tie_word_embeddings": true,
        "max_position_embeddings": 64}}"#
    );
    let mut shapes = vec![("model.embed_tokens.weight".to_string(), vec![VOCABULARY, HIDDEN])];
    for (name, rows, columns) in [
        ("self_attn.q_proj", 8, HIDDEN),
        ("self_attn.k_proj", 4, HIDDEN),
        ("self_attn.v_proj", 4, HIDDEN),
        ("self_attn.o_proj", HIDDEN, 8),
        ("mlp.gate_proj", 8, HIDDEN),
        ("mlp.up_proj", 8, HIDDEN),
        ("mlp.down_proj", HIDDEN, 8),
    ] {
        shapes.push((format!("model.layers.0.{name}.weight"), vec![rows, columns]));
    }
    for name in ["model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm", "model.norm"] {
        shapes.push((format!("{name}.weight"), vec![HIDDEN]));
    }
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .zip(1..)
        .map(|((name, shape), seed)| {
            let values: Vec<f32> = values(shape.iter().product(), seed).into_iter().map(|value| value * 0.5).collect();
            (name, shape, bytemuck::cast_slice(&values).to_vec())
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let weights = safetensors::serialize(views, None).unwrap();
    let files = [source("config.json", config.as_bytes()), source("model.safetensors", &weights)];
    let embedding: &[f32] = bytemuck::cast_slice(&tensors[0].2);

    let engines: [Rc<dyn Compute>; 2] = [Rc::new(Cpu::default()), Rc::new(block_on(support::gpu()))];
    let ids = [3, 69_999, 41, 70_000];
    let mut all = Vec::new();
    for engine in engines {
        let (model, _) = transformer(engine, &files, 1 << 30);
        all.push(block_on(model.last_logits(&ids, &Task::silent())).unwrap());
    }
    let largest = all[0].iter().fold(0f32, |most, value| most.max(value.abs()));
    for (a, b) in all[0].iter().zip(&all[1]) {
        assert!((a - b).abs() <= 1e-3 * largest, "{a} and {b}");
    }
    // Whatever the state before the head is, it explains all logits: solve for it on the first
    // rows, check it on the last.
    let rows =
        |first: usize| faer::Mat::<f64>::from_fn(HIDDEN, HIDDEN, |i, j| f64::from(embedding[(first + i) * HIDDEN + j]));
    let logits = |first: usize| faer::Mat::<f64>::from_fn(HIDDEN, 1, |i, _| f64::from(all[0][first + i]));
    use faer::linalg::solvers::Solve;
    let normed = rows(0).partial_piv_lu().solve(logits(0));
    let last = VOCABULARY - HIDDEN;
    let expected = rows(last) * normed;
    for i in 0..HIDDEN {
        let found = f64::from(all[0][last + i]);
        assert!((found - expected[(i, 0)]).abs() < 1e-3 * f64::from(largest), "row {}", last + i);
    }
}
