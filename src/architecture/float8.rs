//! Weights in 8-bit floating point (FP8), which are read as the numbers that they stand for. Must
//! not know of families.

use safetensors::Dtype;
use serde_json::Value;

use crate::checkpoint::float8::{Float8, Scales, as_bf16};
use crate::checkpoint::{Checkpoint, StoredTensor};
use crate::error::{Error, Result};

/// The most factors of a matrix: they are kept once they were read.
const MOST_FACTORS: u64 = 1 << 22;

/// How the factors of the weights are stored.
enum Scheme {
    /// There are none: the weights were cast.
    Cast,
    /// `{weight}_scale_inv` (by which it is multiplied, whatever the name says): one for each block
    /// of so many rows and columns, or where that is none, one for each tensor.
    FineGrained(Option<[usize; 2]>),
    /// `{weight}_scale`: one for each tensor, row, or block of so many rows and columns.
    CompressedTensors(Option<[usize; 2]>),
}

/// Puts bf16 in the place of every weight that is FP8, computed as it is read, and takes its
/// factors away; a sentence for the user where there are any.
///
/// # Errors
/// [`Error::Quantised`] for factors that are not understood, [`Error::MissingTensor`] where there
/// are none, [`Error::WrongShape`] where they do not fit, [`Error::BadConfig`] for blocks that make
/// no sense.
pub fn decode(checkpoint: &mut Checkpoint) -> Result<Option<String>> {
    let stored = |name: &str, tensor: &StoredTensor| {
        Float8::of(tensor.dtype).filter(|_| name.ends_with(".weight") && tensor.shape.len() == 2)
    };
    let weights: Vec<(String, Float8)> = checkpoint
        .tensors
        .iter()
        .filter_map(|(name, tensor)| stored(name, tensor).map(|format| (name.clone(), format)))
        .collect();
    if weights.is_empty() {
        return Ok(None);
    }
    let Some((scheme, method)) = scheme(checkpoint)? else {
        return Ok(None);
    };
    for (name, format) in weights {
        let codes = checkpoint.tensor(&name)?.clone();
        let scales = scales(checkpoint, &name, &codes, &scheme)?;
        let factors = scales.as_ref().map(|scales| scales.name.clone());
        checkpoint.tensors.insert(name.clone(), as_bf16(&name, &codes, format, scales));
        factors.and_then(|factors| checkpoint.tensors.shift_remove(&factors));
    }
    Ok(Some(format!(
        "The weights are FP8 ({method}): they are computed, and written, as the numbers that they stand for, in bfloat16, which takes \
         twice the room; activations are not rounded to FP8."
    )))
}

/// What `config.json` says of the factors; none for a method that is not read.
fn scheme(checkpoint: &Checkpoint) -> Result<Option<(Scheme, &'static str)>> {
    let Some(options) = checkpoint.config.get("quantization_config") else {
        let scaled = |name: &String| name.ends_with("scale") || name.ends_with("scale_inv");
        let cast = !checkpoint.tensors.keys().any(scaled) && checkpoint.config.get("quantization").is_none();
        return Ok(cast.then_some((Scheme::Cast, "cast, without factors")));
    };
    let word = |key: &str| options.get(key).and_then(Value::as_str);
    match word("quant_method") {
        Some("fp8") => {
            let block = match options.get("weight_block_size") {
                None => Some([128, 128]),
                Some(Value::Null) => None,
                Some(size) => Some(block_of("weight_block_size", size)?),
            };
            Ok(Some((Scheme::FineGrained(block), "fp8")))
        }
        Some("compressed-tensors") if matches!(word("format"), Some("float-quantized" | "naive-quantized") | None) => {
            let groups = options.get("config_groups").and_then(Value::as_object);
            let structures = groups.into_iter().flat_map(|groups| groups.values());
            let mut structures = structures.filter_map(|group| group.get("weights")?.get("block_structure"));
            let block = structures.find(|size| !size.is_null());
            let block = block.map(|size| block_of("block_structure", size)).transpose()?;
            Ok(Some((Scheme::CompressedTensors(block), "compressed-tensors")))
        }
        _ => Ok(None),
    }
}

/// Rows and columns of a block.
fn block_of(key: &str, size: &Value) -> Result<[usize; 2]> {
    let number = |at: usize| size.get(at).and_then(Value::as_u64).filter(|size| (1..1 << 30).contains(size));
    match (number(0), number(1), size.as_array().map(Vec::len)) {
        (Some(rows), Some(columns), Some(2)) => Ok([rows as usize, columns as usize]),
        _ => Err(Error::config(format!("{key} of the quantisation is {size}, expected two positive integers"))),
    }
}

/// The factors of the weight `name` `[rows, columns]`, if it has any.
fn scales(checkpoint: &Checkpoint, name: &str, codes: &StoredTensor, scheme: &Scheme) -> Result<Option<Scales>> {
    let [rows, columns] = codes.shape[..] else {
        return Err(Error::internal("a matrix has other than two sizes"));
    };
    let (suffix, block) = match scheme {
        Scheme::Cast => return Ok(None),
        Scheme::FineGrained(block) => ("_scale_inv", block),
        Scheme::CompressedTensors(block) => ("_scale", block),
    };
    let scale_name = format!("{name}{suffix}");
    let tensor = checkpoint.tensor(&scale_name)?.clone();
    if ![Dtype::F32, Dtype::F16, Dtype::BF16].contains(&tensor.dtype) {
        let method = format!("FP8 with factors in {:?}", tensor.dtype);
        return Err(Error::Quantised { tensor: scale_name, method });
    }
    let count = tensor.bytes / tensor.dtype.bitsize().div_ceil(8) as u64;
    if count > MOST_FACTORS {
        return Err(Error::Quantised { tensor: scale_name, method: format!("FP8 with {count} factors") });
    }
    let whole = [rows, columns].map(|size| size as usize);
    let by_row =
        matches!(scheme, Scheme::CompressedTensors(_)) && [&[rows][..], &[rows, 1]].contains(&&tensor.shape[..]);
    let grid = |[down, across]: [usize; 2]| [rows.div_ceil(down as u64), columns.div_ceil(across as u64)];
    let block = match block {
        _ if tensor.shape.iter().product::<u64>() == 1 => whole,
        _ if by_row => [1, whole[1]],
        Some(block) if tensor.shape == grid(*block) => *block,
        _ => {
            let expected = block.map_or(vec![1], |block| grid(block).to_vec());
            return Err(Error::WrongShape { tensor: scale_name, found: tensor.shape, expected });
        }
    };
    Ok(Some(Scales { name: scale_name, tensor, block: block.map(|size| size.max(1)) }))
}
