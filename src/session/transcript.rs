//! `transcript.jsonl`: what was sent to the model and what came back, one exchange a line.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::SessionError;
use crate::model::Exchange;

/// The transcript of a run.
pub(super) struct Transcript {
    path: PathBuf,
    file: File,
}

impl Transcript {
    /// Opens the transcript in the run's folder for appending. A last line that a crash has torn is closed first, so that
    /// it harms no other.
    pub(super) fn open(folder: &Path) -> Result<Self, SessionError> {
        let path = folder.join(Exchange::FILE);
        let mut file = File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(SessionError::io("open", &path))?;
        if is_torn(&mut file).map_err(SessionError::io("read", &path))? {
            file.write_all(b"\n").map_err(SessionError::io("write", &path))?;
        }
        Ok(Self { path, file })
    }

    /// Appends one exchange.
    pub(super) fn exchange(&mut self, exchange: &Exchange) -> Result<(), SessionError> {
        let mut line =
            serde_json::to_vec(exchange).map_err(|error| SessionError::io("write", &self.path)(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(SessionError::io("write", &self.path))
    }
}

/// Tells whether the file's last line has no end. Only its last byte is read: after a long night the rest is large.
fn is_torn(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_torn_last_line_is_closed_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transcript.jsonl");
        for (found, kept) in [("", ""), ("{}\n", "{}\n"), ("{}\n{\"v\":", "{}\n{\"v\":\n"), ("x", "x\n")] {
            std::fs::write(&path, found).unwrap();
            Transcript::open(folder.path()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), kept);
        }
        std::fs::remove_file(&path).unwrap();
        Transcript::open(folder.path()).unwrap();
        assert!(path.is_file());
    }
}
