//! Weights in 8-bit floating point as a source of bf16: each code is decoded, multiplied by the
//! factor of its block in f32, and rounded once, whenever it is read. Must not know what a tensor
//! is for.

use std::any::Any;
use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;

use safetensors::Dtype as StoredDtype;

use super::StoredTensor;
use super::read::read_values;
use super::source::{ByteSource, SourceId, check_range};
use crate::dtype::Dtype;
use crate::error::{Pending, Result};

/// A floating-point format of 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float8 {
    /// Four bits of exponent; no infinity, and one NaN of either sign.
    E4m3,
    /// Five bits of exponent, with the infinities and NaNs of IEEE 754.
    E5m2,
}

impl Float8 {
    /// The one that a tensor is stored in, if it is.
    pub fn of(dtype: StoredDtype) -> Option<Self> {
        match dtype {
            StoredDtype::F8_E4M3 => Some(Self::E4m3),
            StoredDtype::F8_E5M2 => Some(Self::E5m2),
            _ => None,
        }
    }

    /// The value of every code.
    pub fn values(self) -> [f32; 256] {
        std::array::from_fn(|code| self.value(code as u8))
    }

    fn value(self, code: u8) -> f32 {
        let (mantissa_bits, bias) = match self {
            Self::E4m3 => (3, 7),
            Self::E5m2 => (2, 15),
        };
        let (exponent, mantissa) = (i32::from(code & 0x7f) >> mantissa_bits, code & ((1 << mantissa_bits) - 1));
        let magnitude = match (self, code & 0x7f) {
            (Self::E4m3, 0x7f) | (Self::E5m2, 0x7d..) => f32::NAN,
            (Self::E5m2, 0x7c) => f32::INFINITY,
            _ if exponent == 0 => f32::from(mantissa) * 2f32.powi(1 - bias - mantissa_bits),
            _ => f32::from(mantissa | 1 << mantissa_bits) * 2f32.powi(exponent - bias - mantissa_bits),
        };
        if code & 0x80 == 0 { magnitude } else { -magnitude }
    }
}

/// The factors of a matrix `[rows, columns]`: one for each of its blocks `[block[0], block[1]]`,
/// those at its ends cut short, row by row.
pub struct Scales {
    /// The name of their tensor.
    pub name: String,
    /// As many numbers as there are blocks, in f32, f16 or bf16.
    pub tensor: StoredTensor,
    /// Rows and columns of a block, none of them 0.
    pub block: [usize; 2],
}

/// A matrix in 8-bit floating point, in bf16.
struct Float8Source {
    id: SourceId,
    name: String,
    codes: StoredTensor,
    values: [f32; 256],
    columns: usize,
    scales: Option<Scales>,
    /// The numbers of `scales`, once they were read.
    factors: OnceCell<Vec<f32>>,
}

/// The matrix `codes` `[rows, columns]`, named `name`, as a tensor of bf16; without `scales` its
/// codes are its values.
pub fn as_bf16(name: &str, codes: &StoredTensor, format: Float8, scales: Option<Scales>) -> StoredTensor {
    let columns = codes.shape.last().copied().unwrap_or(0) as usize;
    let source = Float8Source {
        id: SourceId::new(),
        name: name.into(),
        codes: codes.clone(),
        values: format.values(),
        columns,
        scales,
        factors: OnceCell::new(),
    };
    let (shape, bytes) = (codes.shape.clone(), source.len());
    StoredTensor { dtype: StoredDtype::BF16, shape, source: Rc::new(source), start: 0, bytes }
}

impl Float8Source {
    /// The values of some elements, in `f32`.
    async fn decoded(&self, elements: Range<u64>) -> Result<Vec<f32>> {
        let count = (elements.end - elements.start) as usize;
        let codes = self.codes.source.read(self.codes.start + elements.start, count).await?;
        let mut values: Vec<f32> = codes.iter().map(|code| self.values[usize::from(*code)]).collect();
        let Some(Scales { name, tensor, block: [rows, columns] }) = &self.scales else {
            return Ok(values);
        };
        if self.factors.get().is_none() {
            // Whoever was faster has read the same.
            let _ = self.factors.set(read_values(name, tensor, 0, tensor.bytes as usize).await?);
        }
        let factors = self.factors.get().map_or(&[][..], Vec::as_slice);
        let across = self.columns.div_ceil(*columns);
        let mut done = 0;
        while done < count {
            // Of all elements there may be more than a browser's `usize` counts.
            let (at, width) = (elements.start + done as u64, self.columns as u64);
            let (row, column) = ((at / width) as usize, (at % width) as usize);
            // To the end of the block, of the row, or of what is asked for.
            let end = ((column / columns + 1) * columns).min(self.columns);
            let run = (end - column).min(count - done);
            let factor = factors.get(row / rows * across + column / columns).copied().unwrap_or(f32::NAN);
            values[done..done + run].iter_mut().for_each(|value| *value *= factor);
            done += run;
        }
        Ok(values)
    }
}

impl ByteSource for Float8Source {
    fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> SourceId {
        self.id
    }

    fn len(&self) -> u64 {
        self.codes.bytes * Dtype::Bf16.size() as u64
    }

    fn read(&self, offset: u64, length: usize) -> Pending<'_, Vec<u8>> {
        Box::pin(async move {
            check_range(self, offset, length)?;
            let size = Dtype::Bf16.size() as u64;
            let (first, end) = (offset / size, (offset + length as u64).div_ceil(size));
            let mut bytes = Vec::new();
            Dtype::Bf16.encode(&self.decoded(first..end).await?, &mut bytes);
            // A range may begin and end within an element.
            let skipped = (offset - first * size) as usize;
            bytes.drain(..skipped);
            bytes.truncate(length);
            Ok(bytes)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::checkpoint::source::MemorySource;
    use crate::platform::off_heap::Meter;

    fn stored(dtype: StoredDtype, shape: &[u64], bytes: &[u8]) -> StoredTensor {
        let source = Rc::new(MemorySource::new("w", bytes, &Meter::default()).unwrap());
        StoredTensor { dtype, shape: shape.to_vec(), source, start: 0, bytes: bytes.len() as u64 }
    }

    /// `codes.json` has what torch makes of all codes.
    #[test]
    fn every_code_is_what_torch_decodes() {
        let record: Value = serde_json::from_str(include_str!("../../tests/fixtures/float8/codes.json")).unwrap();
        for (format, name) in [(Float8::E4m3, "float8_e4m3fn"), (Float8::E5m2, "float8_e5m2")] {
            let expected = record[name].as_array().unwrap();
            assert_eq!(expected.len(), 256);
            for (code, (found, expected)) in format.values().into_iter().zip(expected).enumerate() {
                let bits = expected.as_u64().unwrap() as u32;
                let same = found.to_bits() == bits || found.is_nan() && f32::from_bits(bits).is_nan();
                assert!(same, "{name} {code:#x} is {found}, expected {}", f32::from_bits(bits));
            }
        }
    }

    /// Blocks that do not fill the matrix, ranges that begin and end anywhere.
    #[test]
    fn every_element_has_the_factor_of_its_block() {
        let (rows, columns) = (5usize, 7usize);
        let codes: Vec<u8> = (0..rows * columns).map(|i| (i * 37 % 0x78) as u8).collect();
        let weights = stored(StoredDtype::F8_E4M3, &[5, 7], &codes);
        for block in [[2, 3], [1, 7], [5, 7], [5, 2], [9, 9]] {
            let [down, across] = [rows.div_ceil(block[0]), columns.div_ceil(block[1])];
            let factors: Vec<f32> = (0..down * across).map(|i| 0.3 + i as f32 * 0.7).collect();
            let bytes: Vec<u8> = factors.iter().flat_map(|factor| factor.to_le_bytes()).collect();
            let tensor = stored(StoredDtype::F32, &[down as u64, across as u64], &bytes);
            let scales = Some(Scales { name: "s".into(), tensor, block });
            let decoded = as_bf16("w", &weights, Float8::E4m3, scales);
            assert_eq!((decoded.dtype, decoded.bytes), (StoredDtype::BF16, 2 * weights.bytes));
            let value = |at: usize| {
                let factor = factors[at / columns / block[0] * across + at % columns / block[1]];
                half::bf16::from_f32(Float8::E4m3.value(codes[at]) * factor).to_le_bytes()
            };
            let expected: Vec<u8> = (0..rows * columns).flat_map(value).collect();
            for (from, to) in [(0, 70), (0, 1), (1, 2), (13, 44), (69, 70), (8, 8)] {
                let found = pollster::block_on(decoded.source.read(from as u64, to - from)).unwrap();
                assert_eq!(found, expected[from..to], "{block:?} {from}..{to}");
            }
            assert!(pollster::block_on(decoded.source.read(69, 2)).is_err());
        }
    }
}
