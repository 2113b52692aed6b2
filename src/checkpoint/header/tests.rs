//! Broken headers are refused as the crate `safetensors` refuses them, in words that name the
//! place.

use super::*;
use crate::checkpoint::source::MemorySource;
use crate::platform::off_heap::Meter;
use safetensors::SafeTensors;

fn file(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn read(bytes: &[u8]) -> Result<Header> {
    pollster::block_on(read_header(&MemorySource::new("model.safetensors", bytes, &Meter::default()).unwrap()))
}

fn refused(bytes: &[u8], words: &str) {
    let error = read(bytes).unwrap_err();
    assert_eq!(error.code(), "bad-header");
    assert!(error.to_string().contains(words), "{error} does not say {words:?}");
    assert!(SafeTensors::deserialize(bytes).is_err(), "the safetensors crate accepts it");
}

#[test]
fn good_headers_are_read_as_the_crate_reads_them() {
    let json = r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]},
        "none":{"dtype":"F32","shape":[0,7],"data_offsets":[12,12]},"__metadata__":{"format":"pt"}}   "#;
    for bytes in [file(json, 12), file("{}", 0)] {
        let header = read(&bytes).unwrap();
        let oracle = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(header.tensors.len(), oracle.len());
        for (name, entry) in &header.tensors {
            let view = oracle.tensor(name).unwrap();
            assert_eq!(view.data().as_ptr(), bytes[entry.start as usize..].as_ptr());
            assert_eq!((view.data().len() as u64, view.dtype()), (entry.bytes, entry.dtype));
        }
    }
    assert_eq!(
        read(&file(json, 12)).unwrap().tensors.keys().collect::<Vec<_>>(),
        ["a", "b", "none"],
        "in the order of the data"
    );
}

#[test]
fn too_short_for_a_length() {
    refused(&[1, 2, 3], "ends after 3 bytes");
}

#[test]
fn header_longer_than_allowed() {
    refused(&u64::MAX.to_le_bytes(), "more than the 100000000");
}

#[test]
fn header_longer_than_the_file() {
    refused(&file("{}", 0)[..9], "truncated");
}

#[test]
fn not_an_object() {
    // The crate is laxer than the format's text, which asks for a { as the first byte.
    for json in ["[]", " {}", "null"] {
        assert!(read(&file(json, 0)).unwrap_err().to_string().contains("does not begin with {"));
    }
}

#[test]
fn not_utf8_or_not_json() {
    let mut bytes = file("{ }", 0);
    bytes[9] = 0xff;
    refused(&bytes, "not UTF-8");
    refused(&file("{\"a\":", 0), "EOF");
}

#[test]
fn a_key_that_stands_twice() {
    let json =
        r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    // The crate lets this pass when both say the same; the format's text forbids it.
    assert!(read(&file(json, 1)).unwrap_err().to_string().contains("stands twice"));
}

#[test]
fn holes_overlaps_and_backward_ranges() {
    let two = |a: &str, b: &str| {
        format!(
            r#"{{"a":{{"dtype":"U8","shape":[2],"data_offsets":{a}}},"b":{{"dtype":"U8","shape":[2],"data_offsets":{b}}}}}"#
        )
    };
    refused(&file(&two("[0,2]", "[3,5]"), 5), "hole or an overlap");
    refused(&file(&two("[0,2]", "[1,3]"), 3), "hole or an overlap");
    refused(&file(&two("[0,2]", "[2,1]"), 4), "b: data_offsets is [2, 1], which ends before it begins");
    refused(&file(&two("[1,3]", "[3,5]"), 5), "hole or an overlap");
}

#[test]
fn size_that_is_not_shape_times_dtype() {
    refused(&file(r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8), "asks for 12");
    let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#;
    refused(&file(huge, 8), "overflows");
}

#[test]
fn data_that_ends_early_or_goes_on() {
    let json = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
    refused(&file(json, 3), "truncated");
    refused(&file(json, 5), "1 belong to no tensor");
}

#[test]
fn an_unknown_dtype_and_negative_numbers() {
    refused(&file(r#"{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}"#, 4), "F33");
    refused(&file(r#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, 1), "a: shape[0] is -1");
}

#[test]
fn every_fault_of_an_entry_names_the_tensor_and_the_key() {
    let good = [("dtype", r#""U8""#), ("shape", "[2]"), ("data_offsets", "[0,2]")];
    let entry = |key: &str, value: Option<&str>| {
        let field = |(name, usual): (&str, &str)| match (name == key, value) {
            (true, None) => None,
            (true, Some(value)) => Some(format!("{name:?}:{value}")),
            (false, _) => Some(format!("{name:?}:{usual}")),
        };
        let fields: Vec<String> = good.into_iter().filter_map(field).collect();
        format!("{{\"x.y\":{{{}}}}}", fields.join(","))
    };
    assert!(read(&file(&entry("", None), 2)).is_ok());
    for key in ["dtype", "shape", "data_offsets"] {
        let beyond = "18446744073709551616";
        for value in ["null", "7", "-1", "1.5", r#""x""#, "{}", "true", beyond] {
            refused(&file(&entry(key, Some(value)), 2), &format!("x.y: {key} is "));
        }
        refused(&file(&entry(key, None), 2), &format!("x.y: {key} is missing"));
        if key != "dtype" {
            for value in ["null", "-1", "1.5", r#""2""#, "[2]", beyond] {
                let list = if key == "shape" { format!("[{value}]") } else { format!("[0,{value}]") };
                refused(&file(&entry(key, Some(&list)), 2), &format!("x.y: {key}["));
            }
        }
    }
    for (offsets, words) in [("[0,1,2]", "has 3 numbers"), ("[2]", "has 1 numbers"), ("[2,0]", "ends before")] {
        refused(&file(&entry("data_offsets", Some(offsets)), 2), words);
    }
    refused(&file(r#"{"x.y":[1]}"#, 0), "x.y: it is [1], expected an object");
    refused(&file(r#"{"__metadata__":{"a":1}}"#, 0), "__metadata__: a is 1");
    assert!(read(&file(r#"{"__metadata__":null}"#, 0)).is_ok());
}

#[test]
fn what_no_tensor_has_is_refused_before_it_takes_memory() {
    let entry = |shape: &str| format!(r#"{{"x.y":{{"dtype":"U8","shape":{shape},"data_offsets":[0,1]}}}}"#);
    let said = |json: &str| read(&file(json, 1)).unwrap_err().to_string();
    let ones = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert!(read(&file(&entry(&ones(64)), 1)).is_ok());
    assert!(said(&entry(&ones(65))).contains("x.y: shape has 65 dimensions"));
    assert!(said(&entry(&ones(3000))).contains("x.y: its entry has 60"));
    refused(
        &file(r#"{"x.y":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1),
        "x.y: the key \"dtype\" stands twice",
    );
    let long = "n".repeat(5000);
    let told = said(&entry("[2]").replace("x.y", &long));
    assert!(told.len() < 400 && told.contains("nnn…: data_offsets spans 1 bytes"), "{told}");
    let metadata = r#"{"__metadata__":{"a":"\ud800"}}"#;
    refused(&file(metadata, 0), "__metadata__: a is");
}

#[test]
fn too_many_tensors_are_refused_before_they_take_memory() {
    let entry = |i: usize| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
    let json = format!("{{{}}}", (0..MAX_TENSORS + 2).map(entry).collect::<Vec<_>>().join(","));
    assert!(read(&file(&json, 0)).unwrap_err().to_string().contains("more than any model has"));
}

#[test]
fn noise_never_panics() {
    let json = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let good = file(json, 8);
    for i in 0..good.len() {
        for value in [0, 1, b'"', b'9', 0x7f, 0xff] {
            let mut bytes = good.clone();
            bytes[i] = value;
            // Whatever the crate refuses is refused here too.
            if read(&bytes).is_ok() {
                assert!(SafeTensors::deserialize(&bytes).is_ok());
            }
        }
    }
}
