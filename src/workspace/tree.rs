//! One path in a tree of git's.

use git2::{FileMode, ObjectType, Oid, Repository, Tree, TreeEntry};

/// A tree that has something else where a folder or a file is needed.
#[derive(Debug)]
pub(super) struct Conflict {
    /// What it has.
    pub(super) found: &'static str,
    /// Where.
    pub(super) at: String,
}

/// What a tree has at a path.
pub(super) enum Found {
    /// Nothing there.
    Nothing,
    /// A file or a symbolic link.
    Blob {
        /// Its content.
        id: Oid,
        /// As the tree has it.
        mode: FileMode,
    },
    /// The path cannot be a file's.
    Conflict(Conflict),
}

/// Looks up `path`, its parts divided by `/`, in `tree`. Each tree on the way, the root included, is shown to `visit`.
pub(super) fn find(
    repo: &Repository,
    tree: &Tree<'_>,
    path: &str,
    mut visit: impl FnMut(Oid),
) -> Result<Found, git2::Error> {
    visit(tree.id());
    let mut tree = repo.find_tree(tree.id())?;
    let mut rest = path;
    loop {
        let (name, below) = rest.split_once('/').map_or((rest, None), |(name, below)| (name, Some(below)));
        let at = || path.strip_suffix(below.unwrap_or_default()).unwrap_or(path).trim_end_matches('/').to_owned();
        let Some(entry) = tree.get_name_bytes(name.as_bytes()).map(|entry| entry.to_owned()) else {
            return Ok(Found::Nothing);
        };
        match (entry.kind(), below) {
            (Some(ObjectType::Tree), Some(below)) => {
                visit(entry.id());
                tree = repo.find_tree(entry.id())?;
                rest = below;
            }
            (Some(ObjectType::Blob), None) => return Ok(Found::Blob { id: entry.id(), mode: file_mode(&entry) }),
            (kind, _) => return Ok(Found::Conflict(Conflict { found: kind_name(kind), at: at() })),
        }
    }
}

/// A symbolic link in the tree becomes a plain file: the kernel's text stands at the path itself.
fn file_mode(entry: &TreeEntry<'_>) -> FileMode {
    if entry.filemode() == i32::from(FileMode::BlobExecutable) { FileMode::BlobExecutable } else { FileMode::Blob }
}

fn kind_name(kind: Option<ObjectType>) -> &'static str {
    match kind {
        Some(ObjectType::Tree) => "folder",
        Some(ObjectType::Commit) => "submodule",
        _ => "file",
    }
}
