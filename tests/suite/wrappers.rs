//! Models of images and text: what lies around their text tower is left as it is, wherever the
//! tower lies.

use std::collections::{BTreeMap, BTreeSet};

use mka_lab::merge::choices::{Alpha, Combination};
use mka_lab::merge::options::MergeOptions;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use crate::support::native::{export, lab, logits, merge, open, pairs, reference_ids};
use crate::support::{Files, content, miniature};

/// Name to type, shape and bytes.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// An average of blocks 1 and 2.
fn average() -> MergeOptions {
    MergeOptions { alpha: Some(Alpha::Weight(0.5)), ..pairs(&[(1, 2)], Combination::Average) }
}

fn tensors(bytes: &[u8]) -> Tensors {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let found = file.iter();
    found.map(|(name, at)| (name.to_string(), (at.dtype(), at.shape().to_vec(), at.data().to_vec()))).collect()
}

fn written(tensors: &Tensors) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// The miniatures, each with its family and with what comes before the number of a block of its
/// tower.
fn wrappers() -> [(&'static str, Files, &'static str); 11] {
    [
        ("gemma3", miniature::gemma3_vision(), "language_model.model.layers."),
        ("llava", miniature::llava(), "language_model.model.layers."),
        ("llava_next", miniature::llava_next(), "model.language_model.layers."),
        ("llava_onevision", miniature::llava_onevision(), "language_model.model.layers."),
        ("internvl", miniature::internvl(), "language_model.model.layers."),
        ("qwen2_vl", miniature::qwen2_vl(), "model.layers."),
        ("mistral3", miniature::mistral3(), "language_model.model.layers."),
        ("qwen2_5_vl", miniature::qwen2_5_vl(), "model.layers."),
        ("qwen3_vl", miniature::qwen3_vl(), "model.language_model.layers."),
        ("idefics3", miniature::idefics3(), "model.text_model.layers."),
        ("smolvlm", miniature::smolvlm(), "model.text_model.layers."),
    ]
}

/// Files with another one in the place of `name`.
fn with(files: &Files, name: &'static str, bytes: Vec<u8>) -> Files {
    let new: &'static [u8] = Box::leak(bytes.into_boxed_slice());
    let mut files = files.clone();
    files.retain(|(found, _)| *found != name);
    files.push((name, new));
    files
}

fn with_config(files: &Files, config: &Value) -> Files {
    with(files, "config.json", config.to_string().into_bytes())
}

/// The configuration in a style.
fn config(files: &Files, style: &str) -> Value {
    serde_json::from_slice(content(files, style)).unwrap()
}

#[test]
fn what_is_not_of_the_text_tower_stays_as_it_is() {
    let lab = lab();
    for (family, files, blocks) in wrappers() {
        for style in ["config.json", "config.v4.json"] {
            let before = config(&files, style);
            let model = open(&lab, &with_config(&files, &before));
            assert_eq!(model.summary().family, family);
            let layers = model.summary().layers;
            let out = export(&merge(&model, &average(), None).unwrap());

            let (old, new) = (tensors(content(&files, "model.safetensors")), tensors(&out["model.safetensors"]));
            let last = format!("{blocks}{}.", layers - 1);
            let names: BTreeSet<&String> = old.keys().filter(|name| !name.starts_with(&last)).collect();
            assert_eq!(new.keys().collect::<BTreeSet<_>>(), names, "{family}: all but the last block's names");
            let foreign: Vec<&String> = old.keys().filter(|name| !name.starts_with(blocks)).collect();
            assert!(foreign.iter().any(|name| name.contains("vis")), "{family} has a vision tower");
            for name in foreign {
                assert!(old[name] == new[name], "{family}: {name}");
            }
            let block = |tensors: &Tensors, number: usize| {
                let start = format!("{blocks}{number}.");
                let own =
                    tensors.iter().filter_map(|(name, at)| Some((name.strip_prefix(&start)?.to_string(), at.clone())));
                own.collect::<Tensors>()
            };
            assert!(block(&new, 0) == block(&old, 0) && block(&new, 2) == block(&old, 3), "{family}: moved blocks");
            assert!(block(&new, 1) != block(&old, 1) && block(&new, 1) != block(&old, 2), "{family}: the merged one");

            let mut after: Value = serde_json::from_slice(&out["config.json"]).unwrap();
            let mut expected = before.clone();
            let (own, found) = match before.get("text_config") {
                Some(_) => (&mut expected["text_config"], &mut after["text_config"]),
                None => (&mut expected, &mut after),
            };
            own["num_hidden_layers"] = (layers - 1).into();
            if let Some(list) = own["layer_types"].as_array_mut() {
                list.remove(2);
            } else if found.get("layer_types").is_some() {
                // A list in the place of the rule.
                for rule in ["sliding_window_pattern", "max_window_layers"] {
                    own.as_object_mut().unwrap().remove(rule);
                }
                own["layer_types"] = found["layer_types"].clone();
                assert_eq!(own["layer_types"].as_array().unwrap().len(), layers - 1);
            }
            if own.get("layer_types").is_some_and(Value::is_null) {
                own.as_object_mut().unwrap().remove("layer_types");
            }
            assert_eq!(after, expected, "{family}, {style}");
            let card = String::from_utf8(out["README.md"].clone()).unwrap();
            assert!(card.contains("image-text-to-text") && card.contains("| of the text tower |"), "{card}");
        }
    }
}

/// Both spellings of the names of one model: as first released, and as transformers writes them
/// later.
#[test]
fn either_spelling_is_read_and_kept() {
    let lab = lab();
    let spellings: [(Files, &[(&str, &str)]); 3] = [
        (
            miniature::gemma3_vision(),
            &[("language_model.model.", "model.language_model."), ("vision_tower.", "model.vision_tower.")],
        ),
        (
            miniature::mistral3(),
            &[("language_model.lm_head.", "lm_head."), ("language_model.model.", "model.language_model.")],
        ),
        (miniature::qwen2_5_vl(), &[("visual.", "model.visual."), ("model.", "model.language_model.")]),
    ];
    for (files, changes) in spellings {
        let old = tensors(content(&files, "model.safetensors"));
        let renamed = |name: &str| {
            let change = changes.iter().find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)));
            change.unwrap_or_else(|| name.into())
        };
        let new: Tensors = old.iter().map(|(name, at)| (renamed(name), at.clone())).collect();
        let later = with(&files, "model.safetensors", written(&new));
        let (ids, options) = (reference_ids(&files), average());
        let (first, second) = (open(&lab, &files), open(&lab, &later));
        assert!(second.summary().warnings.is_empty());
        assert_eq!(logits(&first, &ids), logits(&second, &ids));
        let out = |model| tensors(&export(&merge(model, &options, None).unwrap())["model.safetensors"]);
        let expected: Tensors = out(&first).into_iter().map(|(name, at)| (renamed(&name), at)).collect();
        assert!(out(&second) == expected);
    }
}

/// What quantised weights were is said at the top or in the tower's part; merged, they are plain.
#[test]
fn a_word_about_quantisation_goes_wherever_it_stands() {
    let lab = lab();
    let files = miniature::llava();
    let mut whole = config(&files, "config.json");
    whole["quantization_config"] = json!({"quant_method": "fp8"});
    whole["text_config"]["quantization_config"] = json!({"quant_method": "awq"});
    let model = open(&lab, &with_config(&files, &whole));
    assert!(model.summary().warnings.iter().any(|warning| warning.contains("fp8")));
    let out = export(&merge(&model, &average(), None).unwrap());
    let after: Value = serde_json::from_slice(&out["config.json"]).unwrap();
    assert!(after.get("quantization_config").is_none() && after["text_config"].get("quantization_config").is_none());
}

/// A tower whose model was left out keeps its names as long as the configuration speaks of the
/// model.
#[test]
fn a_tower_alone_keeps_its_names() {
    let lab = lab();
    let files = miniature::gemma3_vision();
    let mut tower = tensors(content(&files, "model.safetensors"));
    tower.retain(|name, _| name.starts_with("language_model."));
    let alone = with(&files, "model.safetensors", written(&tower));
    let model = open(&lab, &alone);
    assert!(model.summary().warnings.is_empty());
    let ids = reference_ids(&files);
    assert_eq!(logits(&model, &ids), logits(&open(&lab, &files), &ids));
    let out = tensors(&export(&merge(&model, &average(), None).unwrap())["model.safetensors"]);
    assert!(out.keys().all(|name| name.starts_with("language_model.model.")));
}

/// Features of an image are added to the first blocks of Qwen 3-VL by number.
#[test]
fn a_merge_of_the_blocks_that_take_features_of_images_warns() {
    let lab = lab();
    let files = miniature::qwen3_vl();
    let mut config = config(&files, "config.json");
    let warned = |files: &Files, pair| {
        let merged = merge(&open(&lab, files), &pairs(&[pair], Combination::Drop), None).unwrap();
        merged.summary().warnings.iter().any(|warning| warning.contains("Features of an image"))
    };
    assert!(!warned(&files, (0, 1)), "block 0, after which they are added, is as it was");
    config["vision_config"]["deepstack_visual_indexes"] = json!([0, 1]);
    let two = with_config(&files, &config);
    assert!(warned(&two, (0, 1)) && !warned(&two, (1, 2)));
    // The class of the vision tower has three by default.
    config["vision_config"].as_object_mut().unwrap().remove("deepstack_visual_indexes");
    let three = with_config(&files, &config);
    assert!(warned(&three, (1, 2)) && !warned(&three, (2, 3)));
    assert!(!warned(&miniature::llava(), (0, 1)));
}
