//! Typed reads of stored tensors: which number formats there are, and values instead of bytes. Must
//! not know what a tensor is for.

use safetensors::Dtype as StoredDtype;

use super::StoredTensor;
use crate::dtype::Dtype;
use crate::error::{Error, Result};

/// The number format of a tensor, if it is one that this tool reads.
///
/// # Errors
/// [`Error::UnsupportedDtype`].
pub fn readable_dtype(name: &str, tensor: &StoredTensor) -> Result<Dtype> {
    match tensor.dtype {
        StoredDtype::F32 => Ok(Dtype::F32),
        StoredDtype::F16 => Ok(Dtype::F16),
        StoredDtype::BF16 => Ok(Dtype::Bf16),
        other => Err(Error::UnsupportedDtype { tensor: name.into(), dtype: format!("{other:?}") }),
    }
}

/// Reads and decodes `length` bytes of a tensor, from byte `offset` of it on.
///
/// # Errors
/// [`Error::NotFinite`] when a value is not finite, or what reading fails with.
pub async fn read_values(name: &str, tensor: &StoredTensor, offset: u64, length: usize) -> Result<Vec<f32>> {
    let dtype = readable_dtype(name, tensor)?;
    let bytes = tensor.source.read(tensor.start + offset, length).await?;
    check_finite(name, dtype, &bytes)?;
    let mut values = vec![0.0; length / dtype.size()];
    dtype.decode(&bytes, &mut values);
    Ok(values)
}

/// Fails when a value has all bits of its exponent set: an infinity or not a number.
pub fn check_finite(name: &str, dtype: Dtype, bytes: &[u8]) -> Result<()> {
    let any16 =
        |mask: u16| bytes.as_chunks::<2>().0.iter().fold(false, |any, b| any | (u16::from_le_bytes(*b) & mask == mask));
    let broken = match dtype {
        Dtype::F32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .fold(false, |any, b| any | (u32::from_le_bytes(*b) & 0x7f80_0000 == 0x7f80_0000)),
        Dtype::F16 => any16(0x7c00),
        Dtype::Bf16 => any16(0x7f80),
    };
    if broken {
        return Err(Error::NotFinite {
            what: format!("the tensor {name}"),
            found: "it has values that are infinite or not a number".into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinities_and_nan_are_found_in_every_format() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            for (value, fine) in
                [(1.0e4, true), (-0.0, true), (f32::INFINITY, false), (f32::NEG_INFINITY, false), (f32::NAN, false)]
            {
                let mut bytes = Vec::new();
                dtype.encode(&[1.0, 2.0, value, 3.0], &mut bytes);
                assert_eq!(check_finite("w", dtype, &bytes).is_ok(), fine, "{value} as {dtype:?}");
            }
        }
    }
}
