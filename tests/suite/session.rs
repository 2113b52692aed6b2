//! What a session does besides merging: predicting, cancelling, warning, and refusing wrong models.

use std::cell::RefCell;
use std::rc::Rc;

use mka_lab::architecture::Assume;
use mka_lab::checkpoint::source::Source;
use mka_lab::error::Error;
use mka_lab::interface::{CalibrateOptions, EvaluateOptions, GenerateOptions, Input, RowsOption, Token};
use mka_lab::manifold::DiffusionMapOptions;
use mka_lab::merge::choices::{Alpha, Combination};
use mka_lab::merge::options::MergeOptions;
use mka_lab::similarity::Measure;
use mka_lab::task::Task;
use pollster::block_on;
use safetensors::SafeTensors;

use crate::support;
use crate::support::native::{calibrate, evaluate, lab, merge, open, pairs, text};
use crate::support::{TINYSTORIES, source};

#[test]
fn the_same_seed_gives_the_same_bits() {
    let model = open(&lab(), &support::demo());
    let matrix = || {
        let calibration = calibrate(&model);
        block_on(calibration.similarity(Measure::NpibGaussian, &DiffusionMapOptions::default(), &Task::silent()))
            .unwrap()
    };
    assert_eq!(matrix().values, matrix().values);
    let generate = |seed, temperature| {
        let options = GenerateOptions {
            prompt: "Once upon a time".into(),
            tokens: Some(40),
            temperature: Some(temperature),
            seed: Some(seed),
        };
        let mut text = String::new();
        block_on(model.generate(&options, |token| text += &token.text, &Task::silent())).unwrap();
        text
    };
    assert_eq!(generate(1, 1.0), generate(1, 1.0));
    assert_ne!(generate(1, 1.0), generate(2, 1.0));
    assert_eq!(generate(1, 0.0), generate(2, 0.0), "greedy has no seed");
}

#[test]
fn a_cached_token_predicts_what_a_whole_pass_predicts() {
    let model = open(&lab(), &support::demo());
    let options = GenerateOptions { prompt: "Once upon a time".into(), tokens: Some(8), ..GenerateOptions::default() };
    let mut tokens = Vec::new();
    let mut text = String::from("Once upon a time");
    let each = |token: Token| {
        text += &token.text;
        tokens.push(token.id);
    };
    block_on(model.generate(&options, each, &Task::silent())).unwrap();
    let mut ids = block_on(model.logits(&support::native::text("Once upon a time"), &Task::silent())).unwrap().0;
    for token in tokens {
        let input = Input { ids: Some(ids.clone()), ..Input::default() };
        let (_, logits) = block_on(model.logits(&input, &Task::silent())).unwrap();
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        assert_eq!(best, token as usize);
        ids.push(token);
    }
    assert_eq!(
        block_on(model.logits(&support::native::text(&text), &Task::silent())).unwrap().0,
        ids,
        "the text is that of the tokens"
    );
}

#[test]
fn generation_stops_where_transformers_stops() {
    let generated = |changes: &[(&str, Option<String>)]| {
        let mut files = support::sources(&support::demo());
        files.retain(|file| !changes.iter().any(|(name, _)| *name == file.name()));
        let changed = changes.iter().filter_map(|(name, content)| Some((*name, content.as_ref()?)));
        files.extend(changed.map(|(name, content)| source(name, content.as_bytes())));
        let model = block_on(lab().open(&files, &Task::silent())).unwrap();
        let options =
            GenerateOptions { prompt: "Once upon a time".into(), tokens: Some(12), ..GenerateOptions::default() };
        let (mut ids, mut text) = (Vec::new(), Vec::new());
        let each = |token: Token| {
            ids.push(token.id);
            text.push(token.text);
        };
        block_on(model.generate(&options, each, &Task::silent())).unwrap();
        (ids, text)
    };
    let files = support::demo();
    let file = |name: &str| std::str::from_utf8(files.iter().find(|file| file.0 == name).unwrap().1).unwrap();
    let (generation, config, tokenizer) = ("generation_config.json", "config.json", "tokenizer_config.json");
    let ending = |json: String| Some(format!("{{\"eos_token_id\": {json}}}"));
    let config_with =
        |json: String| Some(file(config).replace("\"eos_token_id\": 0", &format!("\"eos_token_id\": {json}")));
    let (all, texts) = generated(&[]);
    assert_eq!(all.len(), 12, "none of them ends the text");

    let stopped = |at: usize, (ids, text): (Vec<u32>, Vec<String>)| {
        let first = all.iter().position(|id| *id == all[at]).unwrap();
        assert_eq!(ids, all[..=first], "{at}");
        assert_eq!(text[..first], texts[..first], "{at}");
        assert_eq!(text[first], "", "the end has no text");
    };
    let unused = 2047;
    // One id, each of a list, and none of config.json beside them.
    stopped(6, generated(&[(generation, ending(all[6].to_string()))]));
    stopped(5, generated(&[(generation, ending(format!("[{unused}, {}]", all[5])))]));
    let both = [(generation, ending(all[6].to_string())), (config, config_with(all[2].to_string()))];
    stopped(6, generated(&both));
    // Without generation_config.json, or with one that cannot be read, those of config.json.
    stopped(4, generated(&[(generation, None), (config, config_with(format!("[{}]", all[4])))]));
    stopped(4, generated(&[(generation, Some("{".into())), (config, config_with(all[4].to_string()))]));
    let nested = config_with(format!("null, \"text_config\": {{\"eos_token_id\": {}}}", all[3]));
    stopped(3, generated(&[(generation, None), (config, nested)]));
    // Where neither names one, the tokenizer's.
    let id = all[7];
    let json: serde_json::Value = serde_json::from_str(file("tokenizer.json")).unwrap();
    let (name, _) = json["model"]["vocab"].as_object().unwrap().iter().find(|(_, other)| **other == id).unwrap();
    for token in [serde_json::json!(name), serde_json::json!({ "content": name })] {
        let named = Some(serde_json::json!({ "eos_token": token }).to_string());
        stopped(7, generated(&[(generation, None), (config, config_with("null".into())), (tokenizer, named)]));
    }
}

#[test]
fn a_cancelled_call_fails_and_leaves_the_lab_usable() {
    let lab = lab();
    let model = open(&lab, &support::stories260k());
    let before = evaluate(&model, text(TINYSTORIES)).0;
    let held = lab.memory(0).device;
    let task = Task::silent();
    task.cancel();
    let options = CalibrateOptions { input: text(TINYSTORIES), sequences: Some(2), ..CalibrateOptions::default() };
    assert_eq!(block_on(model.calibrate(&options, &task)).err(), Some(Error::Cancelled));
    let measured = EvaluateOptions { input: text(TINYSTORIES), ..EvaluateOptions::default() };
    assert_eq!(block_on(model.evaluate(&measured, &task)).err(), Some(Error::Cancelled));
    let generated = GenerateOptions { prompt: "a".into(), ..GenerateOptions::default() };
    assert_eq!(block_on(model.generate(&generated, |_| (), &task)).err(), Some(Error::Cancelled));
    let merged = block_on(model.merge(
        &MergeOptions { alpha: Some(Alpha::Weight(0.5)), ..pairs(&[(1, 2)], Combination::Average) },
        None,
        &task,
    ));
    assert_eq!(merged.err(), Some(Error::Cancelled));
    assert_eq!(lab.memory(0).device, held, "nothing of the cancelled calls is kept");
    assert_eq!(evaluate(&model, text(TINYSTORIES)).0, before);
}

#[test]
fn what_the_user_should_know_is_said() {
    let model = open(&lab(), &support::demo());
    let calibration = calibrate(&model);
    assert!(calibration.info().warnings.is_empty());
    let merged = merge(&model, &MergeOptions::default(), Some(&calibration)).unwrap();
    let (_, warnings) = evaluate(&merged, text(TINYSTORIES));
    assert!(warnings.iter().any(|warning| warning.contains("calibrated on")), "{warnings:?}");
    let (_, warnings) = evaluate(&merged, text(&TINYSTORIES[20_000..]));
    assert!(warnings.is_empty(), "{warnings:?}");
    let long = EvaluateOptions { input: text(TINYSTORIES), window: Some(300), sequences: Some(1) };
    let (_, warnings) = block_on(model.evaluate(&long, &Task::silent())).unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("made for 256")), "{warnings:?}");
    let short = EvaluateOptions { input: text(&TINYSTORIES[..800]), window: Some(64), sequences: Some(4) };
    let (_, warnings) = block_on(model.evaluate(&short, &Task::silent())).unwrap();
    assert!(warnings.iter().any(|warning| warning.contains("fills")), "{warnings:?}");
}

#[test]
fn rows_are_told_with_their_surroundings_and_norms() {
    for files in [support::demo(), support::stories260k()] {
        let model = open(&lab(), &files);
        let options = CalibrateOptions {
            input: text(TINYSTORIES),
            window: Some(64),
            sequences: Some(2),
            rows: Some(RowsOption::Chosen(vec![(0, 0), (0, 30), (1, 63)])),
            ..CalibrateOptions::default()
        };
        let calibration = block_on(model.calibrate(&options, &Task::silent())).unwrap();
        let rows = calibration.rows().unwrap();
        assert_eq!(rows.iter().map(|row| (row.sequence, row.position)).collect::<Vec<_>>(), [(0, 0), (0, 30), (1, 63)]);
        assert!(rows[0].before.is_empty() && !rows[0].after.is_empty() && rows[2].after.is_empty());
        let ids = block_on(model.logits(&text(&TINYSTORIES[..800]), &Task::silent())).unwrap().0;
        for row in &rows {
            assert_eq!(row.id, ids[row.sequence * 64 + row.position]);
            let said = format!("{}{}{}", row.before, row.text, row.after);
            assert!(!row.text.is_empty() && TINYSTORIES.contains(&said), "{row:?}");
        }
        let norms = block_on(calibration.norms(&Task::silent())).unwrap();
        let (count, columns, values) = calibration.hidden(2).unwrap();
        let norm = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let expected = values.chunks_exact(columns).map(norm).sum::<f64>() / count as f64;
        assert_eq!(norms.len(), model.summary().layers + 1);
        assert!((norms[2] - expected).abs() < 1e-9 * expected);
    }
}

#[test]
fn a_measure_over_seeds_is_the_mean_over_other_draws_of_rows() {
    let model = open(&lab(), &support::demo());
    let drawn = |seed| {
        let options = CalibrateOptions {
            input: text(TINYSTORIES),
            sequences: Some(4),
            window: Some(128),
            rows: Some(RowsOption::Count(128)),
            seed: Some(seed),
            ..CalibrateOptions::default()
        };
        block_on(model.calibrate(&options, &Task::silent())).unwrap()
    };
    let calibration = drawn(5);
    let (defaults, quiet) = (DiffusionMapOptions::default(), Task::silent());
    for measure in [Measure::NpibGaussian, Measure::Cosine] {
        let spread = block_on(calibration.similarity_over(measure, &defaults, 3, &quiet)).unwrap();
        let each = [5, 6, 7].map(|seed| block_on(drawn(seed).similarity(measure, &defaults, &quiet)).unwrap());
        for (index, mean) in spread.mean.values.iter().enumerate() {
            let values = || each.iter().map(|matrix| matrix.values[index]);
            assert!((values().sum::<f64>() / 3.0 - mean).abs() < 1e-9);
            let deviation = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
            assert!((deviation - spread.deviation[index]).abs() < 1e-9);
        }
        assert!(spread.deviation.iter().any(|deviation| *deviation > 1e-6));
    }
    let refused = |calibration: &mka_lab::calibration::Calibration, seeds| {
        block_on(calibration.similarity_over(Measure::Cosine, &defaults, seeds, &quiet)).err().unwrap().to_string()
    };
    assert!(refused(&calibration, 1000).contains("seeds"));
    let options = CalibrateOptions {
        input: text(TINYSTORIES),
        sequences: Some(1),
        rows: Some(RowsOption::Word("all".into())),
        ..CalibrateOptions::default()
    };
    let all = block_on(model.calibrate(&options, &Task::silent())).unwrap();
    assert!(refused(&all, 3).contains("not drawn"));
}

/// The demo model's files with one of them changed.
fn changed(name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<Source> {
    let files = support::demo();
    files.iter().map(|(n, b)| if *n == name { source(n, &change(b.to_vec())) } else { source(n, b) }).collect()
}

#[test]
fn models_that_cannot_be_computed_are_refused_at_open() {
    let lab = lab();
    let refused = |files: &[Source], code: &str| {
        let error = block_on(lab.open(files, &Task::silent())).err().unwrap();
        assert_eq!(error.code(), code, "{error}");
    };
    let config = |from: &'static str, to: &'static str| {
        changed("config.json", move |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.contains(from));
            text.replace(from, to).into_bytes()
        })
    };
    refused(&config("\"num_hidden_layers\": 12", "\"num_hidden_layers\": 13"), "missing-tensor");
    refused(&config("\"hidden_size\": 128", "\"hidden_size\": 64"), "wrong-shape");
    refused(&config("\"intermediate_size\": 344", "\"intermediate_size\": 0"), "bad-config");
    refused(&config("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"), "bad-config");
    let scaled = "\"model_type\": \"internlm3\", \"residual_multiplier\": 0.5";
    refused(&config("\"model_type\": \"llama\"", scaled), "unsupported-family");
    refused(&config("\"model_type\": \"llama\"", "\"model_type\": \"gpt_neox\""), "missing-tensor");
    refused(&config("\"hidden_act\": \"silu\"", "\"hidden_act\": \"mish\""), "unsupported-family");
    refused(&config("\"rope_type\": \"default\"", "\"rope_type\": \"spiral\""), "unsupported-family");
    refused(&config("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"), "missing-tensor");
    refused(&changed("tokenizer.json", |_| b"{}".to_vec()), "bad-tokenizer");
    let beyond = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replacen(": 2047", ": 2048", 1).into_bytes();
    refused(&changed("tokenizer.json", beyond), "bad-tokenizer");
    let i32s = |bytes: Vec<u8>| {
        let at = bytes.windows(6).position(|window| window == b"\"BF16\"").unwrap();
        [&bytes[..at], b"\"U16\" ", &bytes[at + 6..]].concat()
    };
    refused(&changed("model.safetensors", i32s), "unsupported-dtype");
}

#[test]
fn llama_by_another_name_is_opened_with_a_warning() {
    let lab = lab();
    let named = |change: fn(String) -> String| {
        changed("config.json", move |bytes| change(String::from_utf8(bytes).unwrap()).into_bytes())
    };
    let known = named(|text| text.replace("\"model_type\": \"llama\"", "\"model_type\": \"yi\""));
    let other = named(|text| text.replace("\"model_type\": \"llama\"", "\"model_type\": \"alpaca\""));
    let error = block_on(lab.open(&other, &Task::silent())).err().unwrap();
    assert!(error.code() == "unsupported-family" && error.to_string().contains("assume"), "{error}");
    let dense = open(&lab, &support::demo());
    for (files, assume) in [(known, None), (other, Some(Assume::Llama))] {
        let model = block_on(lab.open_as(&files, assume, &Task::silent())).unwrap();
        let warnings = model.summary().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains("computed as Llama"), "{warnings:?}");
        assert_eq!(evaluate(&model, text(TINYSTORIES)).0, evaluate(&dense, text(TINYSTORIES)).0);
        // What was insisted on is in the recipe.
        let merged = merge(&model, &pairs(&[(4, 5)], Combination::Drop), None).unwrap();
        assert_eq!(merged.recipe().unwrap().model.assume, assume);
    }

    let options = "\"model_type\": \"internlm3\", \"residual_multiplier\": 0.5";
    let files = changed("config.json", move |bytes| {
        String::from_utf8(bytes).unwrap().replace("\"model_type\": \"llama\"", options).into_bytes()
    });
    let error = block_on(lab.open(&files, &Task::silent())).err().unwrap().to_string();
    assert!(error.contains("residual_multiplier") && error.contains("gpt_neox"), "{error}");

    // What is missing, or is there and would not be used, is named.
    for (files, named) in [
        (support::miniature::olmo2(), "model.layers.0.input_layernorm.weight"),
        (support::miniature::qwen3(), "model.layers.0.self_attn.k_norm.weight"),
    ] {
        let config: serde_json::Value = serde_json::from_slice(support::content(&files, "config.json")).unwrap();
        let mut config = config.as_object().unwrap().clone();
        config.insert("model_type".into(), "internlm3".into());
        config.retain(|key, _| key != "layer_types" && key != "max_window_layers");
        let config = serde_json::Value::from(config).to_string();
        let mut opened = support::sources(&files);
        opened.retain(|file| file.name() != "config.json" && file.name() != "config.v4.json");
        opened.push(source("config.json", config.as_bytes()));
        let error = block_on(lab.open(&opened, &Task::silent())).err().unwrap();
        assert_eq!(error.code(), "unsupported-family");
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn weights_that_are_no_numbers_or_all_zero_stop_the_first_step_that_reads_them() {
    let lab = lab();
    let first_byte = |bytes: &[u8], name: &str| {
        let (length, metadata) = SafeTensors::read_metadata(bytes).unwrap();
        let (from, to) = metadata.info(name).unwrap().data_offsets;
        (8 + length + from)..(8 + length + to)
    };
    let name = "model.layers.3.mlp.up_proj.weight";
    let broken = |fill: fn(&mut [u8])| {
        changed("model.safetensors", move |mut bytes| {
            let range = first_byte(&bytes, name);
            fill(&mut bytes[range]);
            bytes
        })
    };
    let options = EvaluateOptions { input: text(TINYSTORIES), window: Some(32), sequences: Some(1) };
    for (files, words) in [
        (broken(|tensor| tensor[..2].copy_from_slice(&[0x80, 0x7f])), "infinite"),
        (broken(|tensor| tensor.fill(0)), "zero"),
    ] {
        let model = block_on(support::open(&lab, &files));
        let error = block_on(model.evaluate(&options, &Task::silent())).err().unwrap();
        assert_eq!(error.code(), "not-finite");
        assert!(error.to_string().contains(name) && error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_uniform_text_is_an_error_that_names_the_layer() {
    let model = open(&lab(), &support::demo());
    let options = CalibrateOptions {
        input: Input { ids: Some(vec![5; 64]), ..Input::default() },
        sequences: Some(1),
        window: Some(64),
        rows: Some(RowsOption::Chosen(vec![(0, 9); 32])),
        ..CalibrateOptions::default()
    };
    let calibration = block_on(model.calibrate(&options, &Task::silent())).unwrap();
    let error =
        block_on(calibration.similarity(Measure::NpibGaussian, &DiffusionMapOptions::default(), &Task::silent()));
    let error = error.err().unwrap();
    assert_eq!(error.code(), "degenerate");
    assert!(error.to_string().contains("layer 0"), "{error}");
}

/// Where layers cannot be embedded, MKA cannot go on; what only orders its candidates by likeness
/// can.
#[test]
fn a_layer_that_no_map_embeds_does_not_stop_the_own_method() {
    const FAR: usize = 2047;
    let files = changed("model.safetensors", |mut bytes| {
        let (length, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let embedding = metadata.info("model.embed_tokens.weight").unwrap();
        let row = 2 * embedding.shape[1];
        let at = 8 + length + embedding.data_offsets.0 + FAR * row;
        // 1024 in bf16.
        bytes[at..at + row].as_chunks_mut().0.fill([0x80, 0x44]);
        bytes
    });
    let model = block_on(support::open(&lab(), &files));
    let mut ids: Vec<u32> = (0..320).map(|i| (i * i * 7 + i * 13) % 1500 + 3).collect();
    ids[100] = FAR as u32;
    let options = CalibrateOptions {
        input: Input { ids: Some(ids), ..Input::default() },
        sequences: Some(5),
        window: Some(64),
        rows: Some(RowsOption::Word("all".into())),
        ..CalibrateOptions::default()
    };
    let calibration = block_on(model.calibrate(&options, &Task::silent())).unwrap();
    let merged = |preset: &str| {
        let options = MergeOptions { preset: Some(preset.into()), candidates: Some(2), ..MergeOptions::default() };
        merge(&model, &options, Some(&calibration))
    };
    let stopped = merged("mka").err().unwrap();
    assert_eq!(stopped.code(), "disconnected");
    assert!(stopped.to_string().starts_with("layer ") && stopped.to_string().contains("kernel"), "{stopped}");
    let merged = merged("loss-guided").unwrap();
    let warnings = merged.summary().warnings.join(" ");
    assert!(warnings.contains("ordered by cosine similarity: layer"), "{warnings}");
    assert_eq!(merged.recipe().unwrap().measure, Some(Measure::Cosine));
}

/// The own method tries and fits a hundred times; its user sees trials, then blocks, and no step
/// inside them.
#[test]
fn progress_is_that_of_trials_and_of_blocks() {
    let model = open(&lab(), &support::demo());
    let calibration = calibrate(&model);
    let log = Rc::new(RefCell::new(Vec::<(String, u64, u64)>::new()));
    let seen = log.clone();
    let task = Task::new(move |progress| seen.borrow_mut().push((progress.step, progress.done, progress.total)));
    let options = MergeOptions { preset: Some("loss-guided".into()), candidates: Some(3), ..MergeOptions::default() };
    block_on(model.merge(&options, Some(&calibration), &task)).unwrap();
    let mut steps: Vec<Vec<(String, u64, u64)>> = Vec::new();
    for report in log.borrow().iter() {
        match steps.last_mut() {
            Some(step) if report.1 > 0 => step.push(report.clone()),
            _ => steps.push(vec![report.clone()]),
        }
    }
    for step in &steps {
        let (name, _, total) = &step[0];
        assert!(step.iter().all(|(other, ..)| other == name), "another inside of {name}: {step:?}");
        assert_eq!(step.last().unwrap().1, *total, "{name} ends");
    }
    let names: Vec<&str> = steps.iter().map(|step| step[0].0.as_str()).filter(|name| *name != "evaluate").collect();
    assert_eq!(names.iter().filter(|name| **name == "choose").count(), 1, "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "refit").count(), 2, "{names:?}");
    assert!(steps.len() < 30, "{names:?}");
}
