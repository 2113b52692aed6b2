//! The number formats of stored weights, and their conversion from and to `f32`.
//!
//! Bytes are little-endian, as safetensors stores them. This module must not know where bytes come
//! from.

use half::{bf16, f16};

/// A number format in which weights may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
}

impl Dtype {
    /// Bytes that one element takes.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The name that safetensors headers use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// The format with this safetensors name, if it is one of the three.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::F32, Self::F16, Self::Bf16].into_iter().find(|dtype| dtype.name() == name)
    }

    /// Decodes `bytes` into `out`, element by element. Exact: every stored value is an `f32`.
    ///
    /// Elements beyond the shorter of the two are left alone. The loops are free of branches, so
    /// that they become SIMD.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F32 => {
                for (value, b) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *value = f32::from_le_bytes(*b);
                }
            }
            Self::F16 => {
                for (value, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *value = f16_to_f32(u16::from_le_bytes(*b));
                }
            }
            Self::Bf16 => {
                for (value, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *value = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
                }
            }
        }
    }

    /// Appends `values` to `out`, each rounded once to the nearest, ties to even.
    pub fn encode(self, values: &[f32], out: &mut Vec<u8>) {
        out.reserve(values.len() * self.size());
        match self {
            Self::F32 => values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
            Self::F16 => values.iter().for_each(|v| out.extend_from_slice(&f16::from_f32(*v).to_le_bytes())),
            Self::Bf16 => values.iter().for_each(|v| out.extend_from_slice(&bf16::from_f32(*v).to_le_bytes())),
        }
    }
}

/// Half precision to single without a branch: the shifted bits times 2^112 (exact, subnormals too),
/// infinities and NaN by selection.
#[inline]
fn f16_to_f32(half: u16) -> f32 {
    let magnitude = u32::from(half & 0x7fff) << 13;
    let scaled = (f32::from_bits(magnitude) * f32::from_bits(0x7780_0000)).to_bits();
    let bits = if half & 0x7c00 == 0x7c00 { magnitude | 0x7f80_0000 } else { scaled };
    f32::from_bits(bits | (u32::from(half & 0x8000) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_decodes_as_the_half_crate_does() {
        for bits in 0..=u16::MAX {
            let mut out = [0.0; 2];
            Dtype::F16.decode(&bits.to_le_bytes(), &mut out[..1]);
            Dtype::Bf16.decode(&bits.to_le_bytes(), &mut out[1..]);
            let expected = [f16::from_bits(bits).to_f32(), bf16::from_bits(bits).to_f32()];
            for (found, expected) in out.iter().zip(expected) {
                assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()), "{bits:#x}");
            }
        }
    }

    #[test]
    fn encoding_rounds_to_nearest_even_and_comes_back() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let values = [0.0, -0.0, 1.0, -2.5, 0.15625];
            let mut bytes = Vec::new();
            dtype.encode(&values, &mut bytes);
            assert_eq!(bytes.len(), values.len() * dtype.size());
            let mut back = [1.0; 5];
            dtype.decode(&bytes, &mut back);
            assert_eq!(back, values);
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
        let mut bytes = Vec::new();
        Dtype::Bf16.encode(&[1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0], &mut bytes);
        let mut back = [0.0; 2];
        Dtype::Bf16.decode(&bytes, &mut back);
        assert_eq!(back, [1.0, 1.0 + 4.0 / 256.0], "ties go to the even neighbour");
    }
}
