//! Weights that were quantised, told by name before anybody compares shapes. Must not know of
//! families.

use safetensors::Dtype;
use serde_json::Value;

use super::description::Description;
use super::wrapper::TEXT_CONFIG;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};

/// How the names of tensors end that quantising programs write beside, or in place of, a weight.
const ENDS: [&str; 10] = [
    ".qweight",
    ".qzeros",
    ".weight_packed",
    ".weight_scale",
    ".weight_scale_inv",
    ".scales",
    ".SCB",
    ".absmax",
    ".quant_map",
    ".weight_scale_2",
];

/// Lets a description through, with a warning where `config.json` speaks of a quantisation that the
/// weights do not have; a fault of quantised weights is told as that. `decoded` is the sentence of
/// weights that were quantised and are read as numbers.
///
/// # Errors
/// [`Error::Quantised`], or the fault as it was.
pub fn judge(
    checkpoint: &Checkpoint,
    described: Result<(Description, Vec<String>)>,
    decoded: Option<String>,
) -> Result<(Description, Vec<String>)> {
    let packed = packed(checkpoint);
    let method = method(checkpoint);
    match (described, packed) {
        (Ok(_), Some(tensor)) => Err(Error::Quantised { tensor, method: method.unwrap_or_else(|| "unnamed".into()) }),
        (Ok((description, mut warnings)), None) => {
            match (method, decoded) {
                (Some(method), _) if method.starts_with("bitnet") => {
                    return Err(Error::Quantised { tensor: description.embedding, method });
                }
                (_, Some(decoded)) => warnings.push(decoded),
                (Some(method), None) => warnings.push(format!(
                    "config.json speaks of a quantisation ({method}), but the weights are plain numbers: they are computed, and written, as such."
                )),
                (None, None) => {}
            }
            Ok((description, warnings))
        }
        (Err(error), packed) => {
            let of_weights = matches!(
                error,
                Error::MissingTensor { .. } | Error::WrongShape { .. } | Error::UnsupportedDtype { .. }
            );
            match packed.or_else(|| method.as_ref().and_then(|_| tensor_of(&error))) {
                Some(tensor) if of_weights => {
                    Err(Error::Quantised { tensor, method: method.unwrap_or_else(|| "unnamed".into()) })
                }
                _ => Err(error),
            }
        }
    }
}

/// The tensor that a fault is about.
fn tensor_of(error: &Error) -> Option<String> {
    match error {
        Error::MissingTensor { tensor } | Error::WrongShape { tensor, .. } | Error::UnsupportedDtype { tensor, .. } => {
            Some(tensor.clone())
        }
        _ => None,
    }
}

/// The first tensor that is one of a quantised weight: by its name, or a weight in whole numbers.
fn packed(checkpoint: &Checkpoint) -> Option<String> {
    let whole = |dtype| {
        matches!(dtype, Dtype::U8 | Dtype::I8 | Dtype::I32 | Dtype::U32 | Dtype::F8_E4M3 | Dtype::F8_E5M2 | Dtype::F4)
    };
    let found = checkpoint.tensors.iter().find(|(name, tensor)| {
        ENDS.iter().any(|end| name.ends_with(end)) || name.ends_with(".weight") && whole(tensor.dtype)
    });
    found.map(|(name, _)| name.clone())
}

/// What `config.json` says of the method.
fn method(checkpoint: &Checkpoint) -> Option<String> {
    let config = &checkpoint.config;
    let within = |key: &str| config.get(key).or_else(|| config.get(TEXT_CONFIG)?.get(key).filter(|at| !at.is_null()));
    let (options, program) = match (within("quantization_config"), within("quantization")) {
        (Some(options), _) => (options, None),
        (None, Some(options)) => (options, Some("mlx")),
        (None, None) => return None,
    };
    let word = |key: &str| options.get(key).and_then(Value::as_str);
    let name = program.or_else(|| word("quant_method")).or_else(|| word("quant_algo")).unwrap_or("unnamed");
    let flagged = |key: &str| options.get(key) == Some(&Value::Bool(true));
    let bits = match options.get("bits").or_else(|| options.get("w_bit")).and_then(Value::as_u64) {
        Some(bits) => Some(bits),
        _ if flagged("load_in_4bit") => Some(4),
        _ if flagged("load_in_8bit") => Some(8),
        _ => None,
    };
    Some(bits.map_or(name.to_string(), |bits| format!("{name}, {bits} bits")))
}
