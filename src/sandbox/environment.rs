//! The environment that a program sees.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// The variables that a program gets from the user's environment: what finds programs, libraries and devices, what sets the
/// language, and what tells PyGPUBench of a system without landlock. Names are matched whole, so that no other variable passes
/// for looking like one of them.
const ALLOWED: [&str; 25] = [
    "PATH",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "CPATH",
    "CC",
    "CXX",
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "NVCC_CCBIN",
    "CUTLASS_PATH",
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYGPUBENCH_UNPROTECTED",
];

/// Returns the whole environment of a program that works in `folder`: of `parent`'s variables only those that are known
/// to be needed, and the folder for its home and its temporary files. Keys and tokens stay behind because they are not
/// asked for, whatever their names are.
pub fn scrubbed(parent: impl IntoIterator<Item = (OsString, OsString)>, folder: &Path) -> BTreeMap<OsString, OsString> {
    let mut kept: BTreeMap<OsString, OsString> =
        parent.into_iter().filter(|(name, _)| ALLOWED.iter().any(|allowed| name == allowed)).collect();
    for name in ["HOME", "TMPDIR"] {
        kept.insert(name.into(), folder.into());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub(parent: &[(&str, &str)]) -> Vec<(String, String)> {
        let parent = parent.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        scrubbed(parent, Path::new("/stage"))
            .into_iter()
            .map(|(name, value)| (name.into_string().unwrap(), value.into_string().unwrap()))
            .collect()
    }

    fn own() -> Vec<(String, String)> {
        [("HOME", "/stage"), ("TMPDIR", "/stage")].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    #[test]
    fn what_finds_programs_and_devices_passes() {
        let kept = scrub(&[("PATH", "/bin"), ("CUDA_VISIBLE_DEVICES", "1")]);
        assert!(kept.contains(&("PATH".into(), "/bin".into())));
        assert!(kept.contains(&("CUDA_VISIBLE_DEVICES".into(), "1".into())));
    }

    #[test]
    fn no_secret_passes_even_under_a_name_that_looks_allowed() {
        let secrets = [
            ("OPENAI_API_KEY", "sk-1"),
            ("CUDA_API_KEY", "sk-2"),
            ("PATH_TOKEN", "sk-3"),
            ("LC_SECRET", "sk-4"),
            ("path", "sk-5"),
            ("PATH ", "sk-6"),
            ("LD_PRELOAD", "/evil.so"),
            ("SSH_AUTH_SOCK", "/tmp/agent"),
            ("HTTPS_PROXY", "http://user:password@proxy"),
        ];
        assert_eq!(scrub(&secrets), own());
    }

    #[test]
    fn home_and_temporary_files_are_the_stage_whatever_the_user_has() {
        assert_eq!(scrub(&[("HOME", "/root"), ("TMPDIR", "/var/tmp")]), own());
    }
}
