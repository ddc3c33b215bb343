//! Finds NVRTC, which has no fixed place: it comes with the CUDA toolkit and inside Python packages.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Where NVRTC lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nvrtc {
    pub(crate) library: PathBuf,
    /// The folders of CUDA's headers, such as `cuda_fp16.h`.
    pub(crate) includes: Vec<PathBuf>,
}

/// Looks in the folders that the environment names, in the toolkit's own, and in Python's, in this order.
pub(crate) fn nvrtc() -> Option<Nvrtc> {
    let listed = |name| env::var_os(name).map(|list| env::split_paths(&list).collect::<Vec<_>>()).unwrap_or_default();
    let toolkits = ["CUDA_HOME", "CUDA_PATH"].into_iter().flat_map(listed).chain(["/usr/local/cuda".into()]);
    let toolkit_libraries = toolkits.flat_map(|root| [root.join("lib64"), root.join("lib")]);
    let python = listed("PATH").into_iter().chain(listed("VIRTUAL_ENV").into_iter().map(|root| root.join("bin")));
    let home = env::home_dir().map(|home| home.join(".local/bin"));
    let packages = python.chain(home).flat_map(|bin| packages(&bin)).chain(listed("PYTHONPATH"));
    let folders = listed("LD_LIBRARY_PATH").into_iter().chain(toolkit_libraries);
    folders.chain(packages.flat_map(|packages| nvidia(&packages))).find_map(|folder| in_folder(&folder))
}

/// Returns the folders of Python packages that belong to the programs in `bin`.
fn packages(bin: &Path) -> Vec<PathBuf> {
    let Some(root) = bin.parent() else { return Vec::new() };
    let pythons = entries(&root.join("lib")).into_iter().filter(|path| name(path).starts_with("python3"));
    pythons.flat_map(|python| [python.join("site-packages"), python.join("dist-packages")]).collect()
}

/// Returns the folders of libraries in NVIDIA's packages: `nvidia/cu13/lib`, `nvidia/cuda_nvrtc/lib`.
fn nvidia(packages: &Path) -> Vec<PathBuf> {
    entries(&packages.join("nvidia")).into_iter().map(|package| package.join("lib")).collect()
}

fn in_folder(folder: &Path) -> Option<Nvrtc> {
    let version = |path: &PathBuf| name(path).strip_prefix("libnvrtc.so.").and_then(|rest| rest.parse::<u32>().ok());
    let library = entries(folder).into_iter().filter(|path| version(path).is_some()).max_by_key(version)?;
    let root = folder.parent()?;
    // Older packages have the headers in one of their own.
    let includes = [root.join("include"), root.with_file_name("cuda_runtime").join("include")];
    Some(Nvrtc { library, includes: includes.into_iter().filter(|folder| folder.is_dir()).collect() })
}

/// Returns what a folder holds, in order; nothing where it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_library_of_a_folder_is_taken_with_its_headers() {
        let root = tempfile::tempdir().unwrap();
        let lib = root.path().join("nvidia/cu13/lib");
        fs::create_dir_all(&lib).unwrap();
        fs::create_dir_all(root.path().join("nvidia/cu13/include")).unwrap();
        assert_eq!(in_folder(&lib), None);
        for file in ["libnvrtc.so.12", "libnvrtc.so.13", "libnvrtc-builtins.so.13.0", "libnvrtc.alt.so.13"] {
            fs::write(lib.join(file), "").unwrap();
        }
        let found = nvidia(root.path()).iter().find_map(|folder| in_folder(folder)).unwrap();
        assert_eq!(found.library, lib.join("libnvrtc.so.13"));
        assert_eq!(found.includes, [root.path().join("nvidia/cu13/include")]);
    }
}
