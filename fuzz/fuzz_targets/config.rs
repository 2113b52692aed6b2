//! `config.json` beside the weights of a miniature, which the first byte chooses: what opens has
//! exactly the tensors of its description, and what is written of the configuration is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mka_lab::architecture::describe;
use mka_lab::checkpoint::Checkpoint;
use mka_lab::checkpoint::config::Config;
use mka_lab::checkpoint::source::Source;
use mka_lab_fuzz::{bounded, file, weights};

macro_rules! weights_of {
    ($($folder:literal),+) => {
        [$(include_bytes!(concat!("../../tests/fixtures/", $folder, "/model.safetensors"))),+]
    };
}

/// A family each.
const WEIGHTS: [&[u8]; 20] = weights_of!(
    "llama", "mistral", "ministral3", "qwen2", "qwen3", "gpt2", "gpt_neo", "gpt_neox", "phi", "phi3", "opt", "gemma",
    "gemma2", "gemma3_text", "olmo2", "olmo3", "exaone4", "starcoder2", "stablelm", "smollm3"
);

thread_local! {
    static FILES: Vec<Source> = WEIGHTS.map(|model| {
        let header = &model[8..8 + u64::from_le_bytes(model[..8].try_into().unwrap()) as usize];
        weights("model.safetensors", header)
    }).into();
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, json)) = bytes.split_first() else { return };
    let model = FILES.with(|files| files[usize::from(*first) % files.len()].clone());
    let files = [file("config.json", json), model];
    bounded(bytes.len(), || {
        let Ok(mut checkpoint) = pollster::block_on(Checkpoint::open(&files)) else { return };
        if let Ok(again) = Config::parse(checkpoint.config.to_json().as_bytes()) {
            assert_eq!(again.values(), checkpoint.config.values());
        } else {
            panic!("what was written is not read again");
        }
        let Ok((description, _)) = describe(&mut checkpoint, None) else { return };
        assert!(description.layers <= checkpoint.tensors.len());
        for (name, shape) in description.tensors() {
            assert_eq!(checkpoint.tensors[&name].shape, shape);
        }
        for rope in &description.ropes {
            assert_eq!(rope.table(3).len(), 6 * rope.frequencies.len());
        }
    });
});
