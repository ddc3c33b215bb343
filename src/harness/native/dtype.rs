//! The element types of buffers, their C spelling and their bytes.

use serde::{Deserialize, Serialize};

/// An element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Dtype {
    F32,
    F64,
    U8,
    I32,
}

impl Dtype {
    /// Bytes of an element.
    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F32 | Self::I32 => 4,
            Self::F64 => 8,
        }
    }

    pub(super) fn c_name(self) -> &'static str {
        match self {
            Self::F32 => "float",
            Self::F64 => "double",
            Self::U8 => "unsigned char",
            Self::I32 => "int",
        }
    }

    /// Returns the smallest and the largest value of an integer type.
    pub(super) fn integer_range(self) -> Option<(f64, f64)> {
        match self {
            Self::F32 | Self::F64 => None,
            Self::U8 => Some((f64::from(u8::MIN), f64::from(u8::MAX))),
            Self::I32 => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
        }
    }

    /// Fills `bytes` with elements made of `next`'s values; those outside an integer type's range saturate.
    pub(super) fn encode(self, bytes: &mut [u8], mut next: impl FnMut() -> f64) {
        match self {
            Self::F32 => each(bytes, || (next() as f32).to_ne_bytes()),
            Self::F64 => each(bytes, || next().to_ne_bytes()),
            Self::U8 => each(bytes, || [next() as u8]),
            Self::I32 => each(bytes, || (next() as i32).to_ne_bytes()),
        }
    }

    /// Returns the elements of `bytes` as doubles, which hold each of these types exactly.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f64> {
        match self {
            Self::F32 => elements(bytes, |element| f64::from(f32::from_ne_bytes(element))),
            Self::F64 => elements(bytes, f64::from_ne_bytes),
            Self::U8 => elements(bytes, |[element]| f64::from(element)),
            Self::I32 => elements(bytes, |element| f64::from(i32::from_ne_bytes(element))),
        }
    }
}

fn each<const N: usize>(bytes: &mut [u8], mut next: impl FnMut() -> [u8; N]) {
    for element in bytes.as_chunks_mut::<N>().0 {
        *element = next();
    }
}

fn elements<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|element| value(*element)).collect()
}
