//! Factors between what a block gives and the stream: a Granite is a Llama that has its factors in
//! its weights, so every merge and every fit of the one is that of the other.

use mka_lab::merge::choices::{Alpha, Combination, Repair};
use mka_lab::merge::options::MergeOptions;
use serde_json::Value;

use crate::support::native::{changed, lab, loss, merge, open, pairs, reference_ids, small};
use crate::support::{Files, content, miniature};

/// The Granite of the miniature as a Llama.
fn as_llama(granite: &Files) -> Files {
    let mut config: Value = serde_json::from_slice(content(granite, "config.json")).unwrap();
    let factor = |key: &str| config[key].as_f64().unwrap();
    let (heads, hidden) = (factor("num_attention_heads"), factor("hidden_size"));
    let scores = factor("attention_multiplier") * (hidden / heads).sqrt();
    let [embedding, share] = ["embedding_multiplier", "residual_multiplier"].map(factor);
    let logits = 1.0 / factor("logits_scaling");
    let of = |name: &str| match name {
        _ if name.contains("embed_tokens") => embedding,
        _ if name.contains("lm_head") => logits,
        _ if name.contains("q_proj") => scores,
        _ if name.contains("o_proj") || name.contains("down_proj") => share,
        _ => 1.0,
    };
    let llama = changed(granite, |name, values, _| {
        values.into_iter().map(|value| (f64::from(value) * of(name)) as f32).collect()
    });
    config["model_type"] = "llama".into();
    let config: &'static [u8] = Box::leak(config.to_string().into_bytes().into_boxed_slice());
    llama.iter().map(|(name, old)| (*name, if *name == "config.json" { config } else { old })).collect()
}

#[test]
fn merges_of_a_granite_are_those_of_the_llama_that_it_is() {
    let lab = lab();
    let granite = miniature::granite();
    let ids = reference_ids(&granite);
    let models = [granite.clone(), as_llama(&granite)].map(|files| open(&lab, &files));
    let [family, other] = [&models[0], &models[1]].map(|model| model.summary().family);
    assert_eq!((family.as_str(), other.as_str()), ("granite", "llama"));
    let near = |what: &str, [found, expected]: [f64; 2]| {
        assert!((found / expected - 1.0).abs() < 2e-5, "{what}: {found} and {expected}");
    };
    near("as they are", [loss(&models[0], &ids), loss(&models[1], &ids)]);
    let calibrations = [&models[0], &models[1]].map(|model| small(model, &ids));
    let repairs = [Repair::None, Repair::Scale, Repair::Linear, Repair::Refit];
    for combination in [Combination::Drop, Combination::Average, Combination::Difference, Combination::Concatenate] {
        for repair in repairs {
            let options = MergeOptions {
                alpha: (combination == Combination::Average).then_some(Alpha::Weight(0.5)),
                repair: Some(repair),
                holdout: Some(0.0),
                ..pairs(&[(1, 2)], combination)
            };
            let predicted = [0, 1].map(|at| {
                let merged = merge(&models[at], &options, Some(&calibrations[at])).unwrap();
                loss(&merged, &ids)
            });
            near(&format!("{combination:?}, {repair:?}"), predicted);
        }
    }
}
