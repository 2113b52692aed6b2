//! Descriptions against what transformers builds of drawn configurations, and names that programs
//! wrapped.

use std::rc::Rc;

use serde_json::{Value, json};

use super::families::unchecked;
use super::*;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::source::{MemorySource, Source};
use crate::platform::off_heap::Meter;

fn file(name: &str, bytes: &[u8]) -> Source {
    Rc::new(MemorySource::new(name, bytes, &Meter::default()).unwrap())
}

/// A checkpoint of this configuration with tensors of one value, of these names.
fn checkpoint(config: &Value, names: &[String]) -> Checkpoint {
    let data = 1.0f32.to_le_bytes();
    let view = || safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &data).unwrap();
    let weights = safetensors::serialize(names.iter().map(|name| (name.as_str(), view())), None).unwrap();
    let files = [file("config.json", config.to_string().as_bytes()), file("model.safetensors", &weights)];
    pollster::block_on(Checkpoint::open(&files)).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map_or(Vec::new(), |list| list.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect())
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 3e-6 * expected.abs().max(1e-9)
}

/// What differs between a description and what transformers built, key by key.
fn differences(found: &Description, built: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |key: &str, found: Value, expected: Value| {
        if found != expected {
            wrong.push(format!("{key} is {found}, expected {expected}"));
        }
    };
    same("layers", found.layers.into(), built["layers"].clone());
    same("tied", found.head.is_none().into(), built["tied"].clone());
    same("vocabulary", found.vocabulary.into(), built["vocabulary"].clone());
    same("positions", found.positions.into(), built["positions"].clone());
    same("heads", found.heads.into(), built["heads"].clone());
    let windows: Vec<Option<usize>> = found.layer_options.iter().map(|options| options.window).collect();
    same("windows", json!(windows), built["windows"].clone());
    let parameters: u64 = found.tensors().values().map(|shape| shape.iter().product::<u64>()).sum();
    same("parameters", parameters.into(), built["parameters"].clone());
    let close = |found: &[f64], expected: &[f64]| {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| near(*a, *b))
    };
    let factors = [found.embedding_scale, found.residual_scale, found.logit_scale].map(f64::from);
    let expected = built.get("factors").map_or(vec![1.0; 3], numbers);
    if !close(&factors, &expected) {
        wrong.push(format!("the factors of embedding, blocks and logits are {factors:?}, expected {expected:?}"));
    }
    let scales: Vec<f64> = (0..found.layers).map(|layer| f64::from(found.attention_scale_of(layer))).collect();
    if !close(&scales, &numbers(&built["scales"])) {
        wrong.push(format!("scales are {scales:?}, expected {}", built["scales"]));
    }
    if !near(f64::from(found.epsilon), built["epsilon"].as_f64().unwrap()) {
        wrong.push(format!("epsilon is {}, expected {}", found.epsilon, built["epsilon"]));
    }
    for (at, (cap, expected)) in
        [found.attention_cap, found.logit_cap].iter().zip(built["caps"].as_array().unwrap()).enumerate()
    {
        if cap.map(f64::from) != expected.as_f64().map(|cap| f64::from(cap as f32)) {
            wrong.push(format!("cap {at} is {cap:?}, expected {expected}"));
        }
    }
    let ropes = built["ropes"].as_array().unwrap();
    if found.ropes.len() != ropes.len() {
        wrong.push(format!("{} rotary embeddings, expected {}", found.ropes.len(), ropes.len()));
    }
    // A kind that no block is of has none there.
    for (rope, expected) in found.ropes.iter().zip(ropes).filter(|(_, expected)| !expected.is_null()) {
        let frequencies: Vec<f64> = rope.frequencies.iter().map(|f| f64::from(*f)).collect();
        if !close(&frequencies, &numbers(&expected["frequencies"])) {
            wrong.push(format!("frequencies are {frequencies:?}, expected {}", expected["frequencies"]));
        }
        if !near(f64::from(rope.magnitude), expected["magnitude"].as_f64().unwrap()) {
            wrong.push(format!("magnitude is {}, expected {}", rope.magnitude, expected["magnitude"]));
        }
    }
    wrong
}

/// Drawn and recorded by `tests/fixtures/configs/make_configs.py`.
#[test]
fn configurations_are_resolved_as_transformers_resolves_them() {
    let record: Value = serde_json::from_str(include_str!("../../tests/fixtures/configs/configs.json")).unwrap();
    let names: Vec<String> = (0..100).map(|i| format!("tensor.{i}")).collect();
    let (mut compared, mut faults) = (0, Vec::new());
    for drawn in record["configs"].as_array().unwrap() {
        let (config, built) = (&drawn["config"], &drawn["built"]);
        let checkpoint = checkpoint(config, &names);
        let family = config["model_type"].as_str().unwrap();
        let described = unchecked(&checkpoint, family).map(|found| found.unwrap().1);
        // What transformers refuses may be refused here or not.
        if built.is_null() {
            continue;
        }
        compared += 1;
        match described {
            Err(error) => faults.push(format!("{config}\n  refused: {error}")),
            Ok(description) => {
                let wrong = differences(&description, built);
                if !wrong.is_empty() {
                    faults.push(format!("{config}\n  {}", wrong.join("\n  ")));
                }
            }
        }
    }
    assert!(compared > 200, "{compared} configurations are too few");
    assert!(faults.is_empty(), "{} of {compared} differ:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn more_blocks_than_tensors_are_refused_at_once() {
    let config = json!({"model_type": "llama", "num_hidden_layers": 1_000_000});
    let error = describe(&mut checkpoint(&config, &["a".into()]), None).unwrap_err();
    assert!(error.to_string().contains("num_hidden_layers is 1000000"), "{error}");
    let types = json!([[vec!["global"; 200], 1_000_000]]);
    let config = json!({"model_type": "gpt_neo", "num_layers": 1, "attention_types": types});
    assert_eq!(describe(&mut checkpoint(&config, &["a".into()]), None).unwrap_err().code(), "bad-config");
    let config = json!({"model_type": "llama", "num_hidden_layers": 1, "head_dim": 1 << 30});
    let error = describe(&mut checkpoint(&config, &["a".into()]), None).unwrap_err();
    assert!(error.to_string().contains("channels"), "{error}");
}

#[test]
fn wrapped_names_are_read_without_what_wraps_them() {
    let config = json!({"model_type": "llama"});
    let unwrapped = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
        let mut checkpoint = checkpoint(&config, &names);
        names::unwrap(&mut checkpoint, false).map(|()| {
            let mut found: Vec<String> = checkpoint.tensors.keys().cloned().collect();
            found.sort();
            (found.join(" "), checkpoint.warnings.join(" "))
        })
    };
    for (names, word) in [
        (["_orig_mod.model.a", "_orig_mod.model.b"], "_orig_mod."),
        (["model._orig_mod.a", "model._fsdp_wrapped_module._orig_mod.b"], "_fsdp_wrapped_module."),
        (["module.model.a", "module.model.b"], "module."),
        (["module._orig_mod.model.a", "module._orig_mod.model.b"], "module."),
        (["base_model.model.model.a", "base_model.model.model.b"], "base_model.model."),
        (["language_model.model.a", "language_model.model.b"], "language_model."),
    ] {
        let (found, warnings) = unwrapped(&names).unwrap();
        assert_eq!(found, "model.a model.b");
        assert!(warnings.contains(word), "{warnings}");
    }
    assert_eq!(unwrapped(&["model.a", "lm_head.weight"]).unwrap(), ("lm_head.weight model.a".into(), String::new()));
    assert!(unwrapped(&["model.a", "_orig_mod.model.a"]).unwrap_err().to_string().contains("two tensors"));
    let adapter = unwrapped(&["model.a.lora_A.weight"]).unwrap_err();
    assert!(adapter.to_string().contains("adapter"), "{adapter}");
}

#[test]
fn other_families_are_told_by_what_they_are() {
    for (family, words) in [
        ("bert", "encoder"),
        ("modernbert", "encoder"),
        ("t5", "sequence-to-sequence"),
        ("mamba2", "states"),
        ("mixtral", "experts"),
        ("granitemoehybrid", "states"),
        ("deepseek_v3", "experts"),
        ("llava_next_video", "images"),
        ("idefics2", "images"),
        ("glm4v", "images"),
        ("gptj", "Llama"),
        ("alpaca", "Llama"),
    ] {
        let error = describe(&mut checkpoint(&json!({"model_type": family}), &["a".into()]), None).unwrap_err();
        assert_eq!(error.code(), "unsupported-family");
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = describe(&mut checkpoint(&json!({"model_type": "llama", "is_encoder_decoder": true}), &[]), None);
    assert!(error.unwrap_err().to_string().contains("sequence-to-sequence"));
}

#[test]
fn text_towers_that_are_not_computed_are_refused_in_words() {
    let refused = |config: Value| {
        let error = describe(&mut checkpoint(&config, &["a".into()]), None).unwrap_err();
        (error.code(), error.to_string())
    };
    let (code, words) = refused(json!({"model_type": "llava", "hidden_size": 8}));
    assert_eq!(code, "bad-config");
    assert!(words.contains("text_config is missing"), "{words}");
    let (code, words) = refused(json!({"model_type": "llava", "text_config": [1]}));
    assert_eq!(code, "bad-config");
    assert!(words.contains("text_config is [1], expected an object"), "{words}");
    let (code, words) = refused(json!({"model_type": "llava", "text_config": {"model_type": "gemma2"}}));
    assert_eq!(code, "unsupported-family");
    assert!(words.contains("gemma2") && words.contains("ministral3"), "{words}");
    let per_layer = json!({"num_hidden_layers": 1, "per_layer_config": {"0": {"intermediate_size": 3}}});
    let (code, words) = refused(json!({"model_type": "llava", "text_config": per_layer}));
    assert_eq!(code, "unsupported-family");
    assert!(words.contains("per_layer_config"), "{words}");
    let (_, words) = refused(json!({"model_type": "gemma3", "text_config": {"num_hidden_layers": 1}}));
    assert!(words.contains("language_model.model.layers.0"), "{words}");
}
