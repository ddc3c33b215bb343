//! A program that one launch makes and later ones start.
//!
//! It is kept in the stage, where a kernel could put another in its place, under a seal that takes the nonce to make.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Below the stage's folder: what was made, each with its seal beside it.
const MADE: &str = "made";

/// Keeps the file `name` of a block's folder in the stage `stage`.
pub(super) fn keep(nonce: &str, stage: &Path, name: &str, block: &Path) -> io::Result<()> {
    let content = fs::read(block.join(name)).map_err(|error| match error.kind() {
        ErrorKind::NotFound => io::Error::new(error.kind(), format!("it left no file {name}")),
        _ => error,
    })?;
    fs::create_dir_all(stage.join(MADE))?;
    fs::write(stage.join(MADE).join(name), &content)?;
    fs::write(seal_of(stage, name), seal(nonce, &content).to_hex().as_str())
}

/// Puts what was kept under `name` into a block's folder, to be started there; `false` where it is not what was kept.
pub(super) fn bring(nonce: &str, stage: &Path, name: &str, block: &Path) -> io::Result<bool> {
    // Read once: what is checked is what is written.
    let content = fs::read(stage.join(MADE).join(name)).unwrap_or_default();
    let found = fs::read(seal_of(stage, name)).unwrap_or_default();
    if blake3::Hash::from_hex(found).ok() != Some(seal(nonce, &content)) {
        return Ok(false);
    }
    fs::write(block.join(name), content)?;
    fs::set_permissions(block.join(name), Permissions::from_mode(0o700))?;
    Ok(true)
}

fn seal_of(stage: &Path, name: &str) -> PathBuf {
    stage.join(MADE).join(format!("{name}.seal"))
}

fn seal(nonce: &str, content: &[u8]) -> blake3::Hash {
    let key = blake3::derive_key("afterhours 2026-11 a program made in a stage", nonce.as_bytes());
    blake3::keyed_hash(&key, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_nothing_else_does() {
        let (stage, block) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (stage, block) = (stage.path(), block.path());
        assert!(keep("1", stage, "program", block).unwrap_err().to_string().contains("left no file program"));
        fs::write(block.join("program"), "mine").unwrap();
        keep("1", stage, "program", block).unwrap();
        fs::remove_file(block.join("program")).unwrap();
        assert!(!bring("2", stage, "program", block).unwrap(), "another nonce");
        assert!(bring("1", stage, "program", block).unwrap());
        assert_eq!(fs::read(block.join("program")).unwrap(), b"mine");
        fs::write(stage.join("made/program"), "yours").unwrap();
        assert!(!bring("1", stage, "program", block).unwrap(), "another program");
        fs::write(stage.join("made/program.seal"), blake3::hash(b"yours").to_hex().as_str()).unwrap();
        assert!(!bring("1", stage, "program", block).unwrap(), "a seal that takes no nonce");
        fs::remove_file(stage.join("made/program.seal")).unwrap();
        assert!(!bring("1", stage, "program", block).unwrap(), "no seal");
    }
}
