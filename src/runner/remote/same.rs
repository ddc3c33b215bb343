//! How alike the programs of the two sides must be.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use object::Endianness;
use object::elf::{ELF_NOTE_GNU, FileHeader64, NT_GNU_BUILD_ID};
use object::read::ReadCache;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use serde::{Deserialize, Serialize};

use crate::protocol::ContentHash;
use crate::runner::api::RunnerError;

/// How alike the two sides' programs must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::runner) enum Same {
    /// One build, which both sides know by this hash: of the id that the linker gave it, or of the whole file where it gave none.
    Build(ContentHash),
    /// Builds of one version, such as for two architectures.
    Version,
}

impl Same {
    /// Returns the likeness of the program in the file `agent`.
    pub(in crate::runner) fn of(agent: &Path) -> Result<Self, RunnerError> {
        identity(agent)
            .map(Self::Build)
            .map_err(|error| RunnerError::Failed(format!("failed to read {}: {error}", agent.display())))
    }
}

fn identity(program: &Path) -> io::Result<ContentHash> {
    match build_id(&File::open(program)?) {
        Some(id) => Ok(ContentHash::of(&id)),
        None => Ok(ContentHash::of(&fs::read(program)?)),
    }
}

/// Returns the id that the linker gave the program in `file`: a hash of all that it linked, a few bytes near the file's start.
fn build_id(file: &File) -> Option<Vec<u8>> {
    let data = ReadCache::new(file);
    let header = FileHeader64::<Endianness>::parse(&data).ok()?;
    let endian = header.endian().ok()?;
    for segment in header.program_headers(endian, &data).ok()? {
        let Some(mut notes) = segment.notes(endian, &data).ok()? else { continue };
        while let Some(note) = notes.next().ok()? {
            if note.name() == ELF_NOTE_GNU && note.n_type(endian) == NT_GNU_BUILD_ID && !note.desc().is_empty() {
                return Some(note.desc().to_vec());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of nothing but headers, a note with this id, and `code`.
    fn program(id: &[u8], code: &[u8]) -> Vec<u8> {
        let half = |value: u16| value.to_le_bytes().to_vec();
        let word = |value: u32| value.to_le_bytes().to_vec();
        let long = |value: u64| value.to_le_bytes().to_vec();
        let id_length = u32::try_from(id.len()).unwrap();
        let note = [word(4), word(id_length), word(NT_GNU_BUILD_ID.0), b"GNU\0".to_vec(), id.to_vec()].concat();
        let length = note.len() as u64;
        let header = [
            b"\x7fELF\x02\x01\x01".to_vec(),
            vec![0; 9],
            [half(2), half(62), word(1), long(0), long(64), long(0), word(0)].concat(),
            [64, 56, 1, 64, 0, 0].map(half).concat(),
        ];
        let segment = [word(4), word(4), long(120), long(0), long(0), long(length), long(length), long(4)];
        [header.concat(), segment.concat(), note, code.to_vec()].concat()
    }

    fn identity_of(bytes: &[u8]) -> ContentHash {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        identity(file.path()).unwrap()
    }

    #[test]
    fn a_build_is_known_by_the_id_that_its_linker_gave_it() {
        let known = identity_of(&program(b"id-1", b"code"));
        assert_eq!(known, ContentHash::of(b"id-1"));
        assert_eq!(known, identity_of(&program(b"id-1", b"stripped")));
        assert_ne!(known, identity_of(&program(b"id-2", b"code")));
    }

    #[test]
    fn a_program_without_an_id_is_known_by_all_of_its_bytes() {
        for bytes in [program(b"", b"code"), b"#!/bin/sh".to_vec(), Vec::new(), program(b"id-1", b"")[..130].to_vec()] {
            assert_eq!(identity_of(&bytes), ContentHash::of(&bytes));
        }
    }

    #[test]
    fn a_program_that_cannot_be_read_is_named() {
        let error = Same::of(Path::new("/no/agent")).unwrap_err();
        assert!(error.to_string().contains("/no/agent"), "{error}");
    }
}
