//! Drawn checkpoints: what the crate `safetensors` writes is read here, what is written here is
//! read by the crate, in one file and in shards, byte for byte. `PROPTEST_CASES` says how many are
//! drawn.

use std::rc::Rc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::header::read_header;
use super::source::MemorySource;
use super::write::weight_files;
use super::*;
use crate::platform::off_heap::Meter;
use crate::platform::written::Writer;

const DTYPES: [Dtype; 6] = [Dtype::U8, Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64, Dtype::I64];

/// The shape, number format and bytes of a tensor.
type Drawn = (Dtype, Vec<usize>, Vec<u8>);

/// Tensors by name: names of any signs, empty ones and shapes with zeros among them.
fn tensors() -> impl Strategy<Value = Vec<(String, Drawn)>> {
    let shape = prop_oneof![Just(vec![]), vec(0usize..5, 1..4)];
    let tensor = (proptest::sample::select(&DTYPES[..]), shape).prop_flat_map(|(dtype, shape)| {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (Just(dtype), Just(shape), vec(any::<u8>(), bytes))
    });
    let name = prop_oneof![4 => "[a-z.]{1,9}", 1 => "\\PC{0,5}", 1 => ".{0,3}"];
    let named = btree_map(name.prop_filter("a key of the format", |name| name != "__metadata__"), tensor, 0..12);
    named.prop_map(|map| map.into_iter().collect::<Vec<_>>()).prop_shuffle()
}

fn view((dtype, shape, bytes): &Drawn) -> TensorView<'_> {
    TensorView::new(*dtype, shape.clone(), bytes).unwrap()
}

fn file(name: &str, bytes: &[u8]) -> Source {
    Rc::new(MemorySource::new(name, bytes, &Meter::default()).unwrap())
}

fn read(tensor: &StoredTensor) -> Vec<u8> {
    pollster::block_on(tensor.source.read(tensor.start, tensor.bytes as usize)).unwrap()
}

/// What a drawn tensor is once it is stored.
fn same(found: &StoredTensor, (dtype, shape, bytes): &Drawn) -> bool {
    let sizes: Vec<u64> = shape.iter().map(|size| *size as u64).collect();
    found.dtype == *dtype && found.shape == sizes && read(found) == *bytes
}

proptest! {
    #[test]
    fn what_the_crate_writes_is_read(drawn in tensors()) {
        let bytes = safetensors::serialize(drawn.iter().map(|(name, drawn)| (name, view(drawn))), None).unwrap();
        let source = file("model.safetensors", &bytes);
        let header = pollster::block_on(read_header(source.as_ref())).unwrap();
        prop_assert_eq!(header.tensors.len(), drawn.len());
        for (name, drawn) in &drawn {
            let entry = header.tensors[name].clone();
            let (dtype, shape) = (entry.dtype, entry.shape);
            let stored = StoredTensor { dtype, shape, source: source.clone(), start: entry.start, bytes: entry.bytes };
            prop_assert!(same(&stored, drawn), "{name}");
        }
    }

    #[test]
    fn what_is_written_is_read_by_the_crate_and_opened_again(drawn in tensors(), limit in 0u64..300, split in 1usize..4) {
        // In files of their own and side by side, so that some ranges join and some do not.
        let mut stored: IndexMap<String, StoredTensor> = IndexMap::new();
        for (number, part) in drawn.chunks(split).enumerate() {
            let all: Vec<u8> = part.iter().flat_map(|(_, (_, _, bytes))| bytes.clone()).collect();
            let source = file(&number.to_string(), &all);
            let mut start = 0;
            for (name, (dtype, shape, bytes)) in part {
                let shape = shape.iter().map(|size| *size as u64).collect();
                let bytes = bytes.len() as u64;
                stored.insert(name.clone(), StoredTensor { dtype: *dtype, shape, source: source.clone(), start, bytes });
                start += bytes;
            }
        }
        let files = weight_files(&stored, limit).unwrap();
        let total: u64 = stored.values().map(|tensor| tensor.bytes).sum();
        prop_assert_eq!(files.len() == 1, total <= limit || files[0].name == SINGLE);
        let mut sources = vec![file("config.json", b"{}")];
        let mut seen = 0;
        for written in &files {
            let bytes = pollster::block_on(written.bytes()).unwrap();
            prop_assert_eq!(bytes.len() as u64, written.len());
            if written.name != INDEX {
                let read = SafeTensors::deserialize(&bytes).unwrap();
                let data: usize = read.tensors().iter().map(|(_, tensor)| tensor.data().len()).sum();
                let filled = read.tensors().iter().filter(|(_, tensor)| !tensor.data().is_empty()).count();
                prop_assert!(data as u64 <= limit || filled == 1, "a shard of {data} bytes in {filled} tensors");
                for (name, tensor) in read.tensors() {
                    let (_, drawn) = drawn.iter().find(|(drawn, _)| *drawn == name).unwrap();
                    prop_assert_eq!((tensor.dtype(), tensor.shape(), tensor.data()), (drawn.0, &drawn.1[..], &drawn.2[..]));
                    seen += 1;
                }
            }
            sources.push(file(&written.name, &bytes));
        }
        prop_assert_eq!(seen, drawn.len(), "each tensor once");
        if !drawn.is_empty() {
            let opened = pollster::block_on(Checkpoint::open(&sources)).unwrap();
            prop_assert_eq!(opened.tensors.len(), drawn.len());
            for (name, drawn) in &drawn {
                prop_assert!(same(&opened.tensors[name], drawn), "{name}");
            }
        }
    }

    #[test]
    fn bytes_that_were_written_in_pieces_are_read_in_any_range(
        pieces in vec(vec(any::<u8>(), 0..40), 0..12),
        ranges in vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 8),
    ) {
        let whole = pieces.concat();
        let mut writer = Writer::new("new", whole.len() as u64, &Meter::default()).unwrap();
        pieces.iter().try_for_each(|piece| writer.push(piece)).unwrap();
        let written = writer.finish().unwrap();
        prop_assert_eq!(written.len(), whole.len() as u64);
        for (from, to) in ranges {
            let (a, b) = (from.index(whole.len() + 1), to.index(whole.len() + 1));
            let (from, to) = (a.min(b), a.max(b));
            let found = pollster::block_on(written.read(from as u64, to - from)).unwrap();
            prop_assert_eq!(&found[..], &whole[from..to]);
        }
    }
}
