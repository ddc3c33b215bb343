//! Artifacts on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use serde_json::Value;

use super::error::ArtifactError;
use super::parse::parse;
use super::render::{render, render_analysis};
use super::text::{TITLE, json};
use super::types::{AnalysisEntry, Artifact};
use crate::journal::{FileError, atomic_write, create_folder};
use crate::protocol::ContentHash;

/// What a file holds after it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its length in bytes; [`append_analysis_at`] takes it.
    pub length: u64,
    /// The hash of its bytes.
    pub hash: ContentHash,
}

impl Written {
    fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len() as u64, hash: ContentHash::of(bytes) }
    }
}

/// Writes an artifact, whole or not at all, and the folder it lies in where that is missing.
///
/// # Errors
/// As [`render`], or the system's reason.
pub fn write(path: &Path, artifact: &Artifact) -> Result<Written, ArtifactError> {
    let text = render(artifact)?;
    write_text(path, &text)?;
    Ok(Written::of(text.as_bytes()))
}

/// Writes the raw result beside the artifact at `artifact_path`, under the same name with `.json`.
///
/// # Errors
/// The system's reason.
pub fn write_result(artifact_path: &Path, result: &Value) -> Result<(), ArtifactError> {
    write_text(&artifact_path.with_extension("json"), &format!("{}\n", json(result)))
}

fn write_text(path: &Path, text: &str) -> Result<(), ArtifactError> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    Ok(atomic_write(path, text.as_bytes())?)
}

/// Reads an artifact.
///
/// # Errors
/// [`ArtifactError::Malformed`], or the system's reason.
pub fn read(path: &Path) -> Result<Artifact, ArtifactError> {
    whole(path, &read_bytes(path)?)
}

/// Appends an analysis at the file's end, and returns once it is on the disk. The file may be one of the original's.
///
/// # Errors
/// [`ArtifactError::NotAnArtifact`], or the system's reason; the file is then as it was.
pub fn append_analysis(path: &Path, entry: &AnalysisEntry) -> Result<Written, ArtifactError> {
    let before = read_bytes(path)?;
    let mut lines = before.split(|byte| byte.is_ascii_control());
    if lines.next() != Some(TITLE.as_bytes()) {
        return Err(ArtifactError::NotAnArtifact { path: path.to_owned() });
    }
    append(path, before, entry)
}

/// Appends an analysis to the file as it was when it had `length_before` bytes, and returns once it is on the disk.
///
/// What stands after those bytes is cut off first: an append that is done again after a crash in its midst, or after one
/// that came too late to be noted, leaves the analysis in the file once.
///
/// # Errors
/// [`ArtifactError::Shortened`] where the file has fewer bytes, [`ArtifactError::Malformed`] where those bytes are no whole
/// artifact, or the system's reason; the file is then as it was, but for what an unfinished append had left.
pub fn append_analysis_at(path: &Path, length_before: u64, entry: &AnalysisEntry) -> Result<Written, ArtifactError> {
    let mut before = read_bytes(path)?;
    let found = before.len() as u64;
    match usize::try_from(length_before) {
        Ok(length) if length <= before.len() => before.truncate(length),
        _ => return Err(ArtifactError::Shortened { path: path.to_owned(), found, expected: length_before }),
    }
    // A wrong length must not cost a measurement.
    whole(path, &before)?;
    append(path, before, entry)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, ArtifactError> {
    Ok(fs::read(path).map_err(FileError::because("read", path))?)
}

fn whole(path: &Path, bytes: &[u8]) -> Result<Artifact, ArtifactError> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let text = str::from_utf8(bytes).map_err(invalid).map_err(FileError::because("read", path))?;
    parse(text).map_err(|error| ArtifactError::Malformed { path: path.to_owned(), error })
}

/// Makes the file hold `before` and the analysis.
fn append(path: &Path, before: Vec<u8>, entry: &AnalysisEntry) -> Result<Written, ArtifactError> {
    let length_before = before.len() as u64;
    let section = render_analysis(entry);
    let mut file = OpenOptions::new().append(true).open(path).map_err(FileError::because("open", path))?;
    if let Err(cause) = write_section(&mut file, length_before, &section) {
        // Where the rest stays for now, the next append at this length takes it away.
        let _ = file.set_len(length_before);
        return Err(FileError::because("append an analysis to", path)(cause).into());
    }
    let mut bytes = before;
    bytes.extend_from_slice(section.as_bytes());
    Ok(Written::of(&bytes))
}

fn write_section(file: &mut File, length_before: u64, section: &str) -> io::Result<()> {
    file.set_len(length_before)?;
    file.write_all(section.as_bytes())?;
    file.sync_data()
}
