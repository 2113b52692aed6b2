//! The header of a safetensors file: whatever is accepted, the crate `safetensors` reads in the same
//! way. An input that begins with a letter is the whole file, any other the JSON of a header after
//! its first byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mka_lab::checkpoint::header::{Header, read_header};
use mka_lab_fuzz::{bounded, file, weights};
use safetensors::SafeTensors;
use safetensors::tensor::Metadata;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let source = if first.is_ascii_alphabetic() { file("f", rest) } else { weights("f", rest) };
    let Ok(header) = bounded(bytes.len(), || pollster::block_on(read_header(source.as_ref()))) else { return };
    if first.is_ascii_alphabetic() {
        let oracle = SafeTensors::read_metadata(rest).expect("the crate reads what is accepted");
        same(&header, &oracle.1);
    } else {
        let oracle: Metadata = serde_json::from_slice(rest).expect("the crate reads what is accepted");
        same(&header, &oracle);
    }
});

fn same(header: &Header, oracle: &Metadata) {
    let found = oracle.tensors();
    assert_eq!(header.tensors.len(), found.len());
    for (name, entry) in &header.tensors {
        let shape: Vec<u64> = found[name].shape.iter().map(|size| *size as u64).collect();
        assert_eq!((entry.dtype, &entry.shape), (found[name].dtype, &shape), "{name}");
        let (from, to) = found[name].data_offsets;
        let start = entry.start - header.raw.len() as u64;
        assert_eq!((start, start + entry.bytes), (from as u64, to as u64), "{name}");
    }
}
