//! The names of things: runs, iterations, contents, microseconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The BLAKE3 hash of a file's bytes; the name under which a text is kept and compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Returns the hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Returns the first twelve hex digits, enough for a person to tell two texts apart.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

/// The hash of bytes that come piece by piece.
#[derive(Clone, Debug, Default)]
pub struct Hashing(blake3::Hasher);

impl Hashing {
    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the hash of all bytes up to here.
    pub fn hash(&self) -> ContentHash {
        ContentHash(*self.0.finalize().as_bytes())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", self.short())
    }
}

/// A text that is not a content hash.
#[derive(Debug, Error)]
#[error("{0:?} is not a content hash (64 lowercase hex digits)")]
pub struct BadHash(String);

impl FromStr for ContentHash {
    type Err = BadHash;

    fn from_str(text: &str) -> Result<Self, BadHash> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| BadHash(text.chars().take(80).collect()))
    }
}

impl Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex;
        impl serde::de::Visitor<'_> for Hex {
            type Value = ContentHash;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hex digits")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ContentHash, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

/// The name of a run: also a folder's name and the last part of a git branch's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct RunId(String);

impl Default for RunId {
    fn default() -> Self {
        Self("run".to_owned())
    }
}

/// A text that cannot name a run.
#[derive(Debug, Error)]
#[error(
    "{0:?} cannot name a run: use 1 to 64 letters, digits, '-', '_' or '.', beginning with a letter or digit, \
     without '..' and not ending in '.' or '.lock'"
)]
pub struct BadRunId(String);

impl RunId {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = BadRunId;

    fn from_str(text: &str) -> Result<Self, BadRunId> {
        let fine = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !text.contains("..")
            && !text.ends_with('.')
            && !text.ends_with(".lock");
        if fine { Ok(Self(text.to_owned())) } else { Err(BadRunId(text.chars().take(80).collect())) }
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The number of an iteration. 0 is the baseline; the model's first change is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Iteration(pub u32);

impl Iteration {
    /// The baseline, before any change.
    pub const BASELINE: Self = Self(0);

    /// Returns the iteration after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns the name of the iteration's folder inside the run's folder, `iter-0007`.
    pub fn folder(self) -> String {
        format!("iter-{:04}", self.0)
    }
}

impl fmt::Display for Iteration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time in microseconds: finite and above zero, so that its logarithm and its inverse exist.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Micros(f64);

/// A number that is no duration of a kernel.
#[derive(Debug, Error)]
#[error("{0} is not a time in microseconds: it must be finite and above zero")]
pub struct BadMicros(f64);

impl Micros {
    /// Returns the time, or an error where it is not finite and positive.
    pub fn new(us: f64) -> Result<Self, BadMicros> {
        if us.is_finite() && us > 0.0 { Ok(Self(us)) } else { Err(BadMicros(us)) }
    }

    /// Returns the number of microseconds.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Micros {
    /// Four significant digits, with the unit: `9.812 µs`, `1250 µs`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.0 >= 1000.0 {
            0
        } else if self.0 >= 100.0 {
            1
        } else if self.0 >= 10.0 {
            2
        } else {
            3
        };
        write!(f, "{:.digits$} µs", self.0)
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
