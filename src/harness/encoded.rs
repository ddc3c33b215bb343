//! Bytes in a text: base64, so that a job and its output pass through JSON whole.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes that are written as base64.
struct Encoded<'a>(&'a [u8]);

impl Serialize for Encoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(self.0))
    }
}

/// Bytes that were read as base64.
struct Decoded(Vec<u8>);

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map(Self).map_err(de::Error::custom)
    }
}

pub(super) mod bytes {
    use super::{Decoded, Deserialize, Deserializer, Encoded, Serialize, Serializer};

    pub(in crate::harness) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        Encoded(bytes).serialize(serializer)
    }

    pub(in crate::harness) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Decoded::deserialize(deserializer).map(|decoded| decoded.0)
    }
}

pub(super) mod optional {
    use super::{Decoded, Deserialize, Deserializer, Encoded, Serialize, Serializer};

    pub(in crate::harness) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(Encoded).serialize(serializer)
    }

    pub(in crate::harness) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<Decoded>::deserialize(deserializer)?.map(|decoded| decoded.0))
    }
}

pub(super) mod files {
    use std::path::PathBuf;

    use super::{Decoded, Deserialize, Deserializer, Encoded, Serializer};

    pub(in crate::harness) fn serialize<S: Serializer>(
        files: &[(PathBuf, Vec<u8>)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(files.iter().map(|(path, content)| (path, Encoded(content))))
    }

    pub(in crate::harness) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(PathBuf, Vec<u8>)>, D::Error> {
        let decoded = Vec::<(PathBuf, Decoded)>::deserialize(deserializer)?;
        Ok(decoded.into_iter().map(|(path, content)| (path, content.0)).collect())
    }
}
