//! Weights in 8-bit floating point: read as the numbers that transformers makes of them, bit for
//! bit, computed on both engines, merged, and written in bf16.

use mka_lab::checkpoint::source::Source;
use mka_lab::merge::choices::{Alpha, Combination};
use mka_lab::merge::options::MergeOptions;
use mka_lab::task::Task;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::native::{export, lab, loss, merge, pairs, reference_ids};
use crate::support::oracle::{Differences, differences};
use crate::support::{Files, content, miniature, source, sources};

fn json_of(files: &Files, name: &str) -> Value {
    serde_json::from_slice(content(files, name)).unwrap()
}

fn check(backend: &str, files: &Files, method: &str) {
    let lab = pollster::block_on(crate::support::lab(backend));
    let model = pollster::block_on(crate::support::open(&lab, &sources(files)));
    let reference = json_of(files, "reference.json");
    let summary = model.summary();
    let [warning] = &summary.warnings[..] else { panic!("{:?}", summary.warnings) };
    assert!(warning.contains("FP8") && warning.contains(method) && warning.contains("bfloat16"), "{warning}");
    assert_eq!(summary.dtype, "BF16");
    let found = pollster::block_on(differences(&model, &reference)).unwrap();
    assert!(found.within(Differences::allowed(backend)), "{found:?}");

    let ids = reference_ids(files);
    for alpha in [1.0, 0.5] {
        let options = MergeOptions { alpha: Some(Alpha::Weight(alpha)), ..pairs(&[(1, 2)], Combination::Average) };
        let merged = merge(&model, &options, None).unwrap();
        let predicted = loss(&merged, &ids);
        let out = export(&merged);
        let config: Value = serde_json::from_slice(&out["config.json"]).unwrap();
        assert!(config.get("quantization_config").is_none());
        let file = safetensors::SafeTensors::deserialize(&out["model.safetensors"]).unwrap();
        assert!(file.tensors().iter().all(|(_, view)| view.dtype() == safetensors::Dtype::BF16));
        assert!(!file.names().into_iter().any(|name| name.contains("scale")));
        let mut same = 0;
        for (name, hash) in reference["dequantised"].as_object().unwrap() {
            // Block 2 went into block 1.
            let place = match name {
                _ if name.contains(".0.") || (name.contains(".1.") && alpha == 1.0) => name.clone(),
                _ if name.contains(".3.") => name.replace(".3.", ".2."),
                _ => continue,
            };
            let bytes = Sha256::digest(file.tensor(&place).unwrap().data());
            let found: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, hash.as_str().unwrap(), "{name}");
            same += 1;
        }
        assert_eq!(same, if alpha == 1.0 { 21 } else { 14 });
        let files: Vec<Source> = out.iter().map(|(name, bytes)| source(name, bytes)).collect();
        let again = pollster::block_on(crate::support::open(&lab, &files));
        assert!(again.summary().warnings.is_empty());
        assert_eq!(loss(&again, &ids), predicted);
    }
}

fn all(backend: &str) {
    check(backend, &miniature::qwen3_fp8(), "(fp8)");
    check(backend, &miniature::llama_fp8(), "(fp8)");
    check(backend, &miniature::llama_float_quantized(), "(compressed-tensors)");
}

#[test]
fn read_as_numbers_on_the_cpu() {
    all("cpu");
}

#[test]
fn read_as_numbers_on_webgpu() {
    all("webgpu");
}

/// Factors that do not fit, or that are not understood, are refused by name.
#[test]
fn factors_that_do_not_fit_are_refused() {
    let lab = lab();
    let opened = |files: &Files, key: &str, value: Value| {
        let mut config = json_of(files, "config.json");
        config["quantization_config"][key] = value;
        let mut opened = sources(files);
        opened.retain(|file| !file.name().starts_with("config"));
        opened.push(source("config.json", config.to_string().as_bytes()));
        pollster::block_on(lab.open(&opened, &Task::silent())).map(|_| ()).map_err(|error| error.code())
    };
    let (blocks, rows) = (miniature::qwen3_fp8(), miniature::llama_float_quantized());
    assert_eq!(opened(&blocks, "weight_block_size", json!([16, 16])), Ok(()));
    assert_eq!(opened(&blocks, "weight_block_size", json!([16, 17])), Ok(()), "the last block is cut short");
    assert_eq!(opened(&blocks, "weight_block_size", json!([16, 8])), Err("wrong-shape"));
    assert_eq!(opened(&blocks, "weight_block_size", Value::Null), Err("wrong-shape"));
    assert_eq!(opened(&blocks, "weight_block_size", json!([16, 0])), Err("bad-config"));
    assert_eq!(opened(&blocks, "weight_block_size", json!(16)), Err("bad-config"));
    assert_eq!(opened(&blocks, "quant_method", json!("modelopt")), Err("quantised"));
    assert_eq!(opened(&blocks, "quant_method", json!("compressed-tensors")), Err("missing-tensor"));
    assert_eq!(opened(&rows, "format", json!("pack-quantized")), Err("quantised"));
    assert_eq!(opened(&rows, "quant_method", json!("fp8")), Err("missing-tensor"));
}
