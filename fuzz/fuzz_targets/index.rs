//! The index of a sharded checkpoint, beside two shards. The tensors of what opens are those of the
//! shards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mka_lab::checkpoint::Checkpoint;
use mka_lab_fuzz::{bounded, file, weights};

const SHARDS: [(&str, &str); 2] = [
    ("m-00001-of-00002.safetensors", r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#),
    (
        "m-00002-of-00002.safetensors",
        r#"{"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"c":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}"#,
    ),
];

fuzz_target!(|bytes: &[u8]| {
    let mut files = vec![file("config.json", b"{}"), file("model.safetensors.index.json", bytes)];
    files.extend(SHARDS.map(|(name, header)| weights(name, header.as_bytes())));
    let Ok(checkpoint) = bounded(bytes.len(), || pollster::block_on(Checkpoint::open(&files))) else { return };
    assert!(checkpoint.tensors.keys().all(|name| ["a", "b", "c"].contains(&&**name)));
    for name in ["a", "b", "c", "d"] {
        assert_eq!(checkpoint.tensor(name).is_ok(), checkpoint.tensors.contains_key(name));
    }
});
