//! What a program may reach: the system's own files, its toolchain, and its folder.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Libraries, compilers, and what they read about the machine.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/version",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/random",
    "/dev/urandom",
];

/// Devices without a memory.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full"];

/// What the drivers of GPUs read, and what they write: CUDA names its threads in `/proc`, and does not start without.
const GPU_READ: &[&str] = &["/sys", "/etc/OpenCL", "/etc/vulkan", "/run/opengl-driver"];
const GPU_DEVICES: &[&str] = &["/proc", "/dev/dri", "/dev/kfd"];

/// Where servers listen that a program with a GPU may ask: NVIDIA's, and those that name accounts.
const GPU_SERVERS: &[&str] =
    &["/run/nvidia-fabricmanager", "/run/nvidia-persistenced", "/run/nscd", "/run/nslcd", "/tmp/nvidia-mps"];

/// Variables that name one folder of a toolchain, and those that name a list of them.
const PREFIXES: &[&str] = &["VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "CUDA_HOME", "CUDA_PATH", "CUTLASS_PATH"];
const LISTS: &[&str] = &["LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH", "PYTHONPATH"];

/// What a toolchain keeps beside its programs; the last two are CUDA's. The rest of such a folder may be anybody's: `~/.local`
/// has a `bin`, too.
const BESIDE_PROGRAMS: &[&str] =
    &["bin", "sbin", "lib", "lib32", "lib64", "libexec", "include", "pyvenv.cfg", "nvvm", "targets"];

/// Sockets that a program may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sockets {
    /// None; pairs of connected ones do not count.
    None,
    /// Those of this machine, which drivers of GPUs ask for.
    Unix,
}

/// The files, devices and sockets that a program reaches. Whatever is not here is refused to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Files and folders to read, and programs to start.
    pub read: Vec<PathBuf>,
    /// Devices to read and write.
    pub devices: Vec<PathBuf>,
    /// Folders of its own.
    pub write: Vec<PathBuf>,
    /// Sockets.
    pub sockets: Sockets,
}

impl Access {
    /// Returns what `program`, found by `env`, needs to work in `folder` on the processor.
    ///
    /// Of a toolchain that lies outside the system's folders, what `env` and the program's own place tell of it is added.
    /// No folder that holds `folder` or `home` is, whatever they tell.
    pub fn new(program: &OsStr, env: &BTreeMap<OsString, OsString>, folder: &Path, home: Option<&Path>) -> Self {
        let kept: Vec<PathBuf> = [Some(folder), home].into_iter().flatten().map(real).collect();
        let may_read = |path: &PathBuf| path.is_absolute() && !kept.iter().any(|kept| kept.starts_with(real(path)));
        let mut read: Vec<PathBuf> =
            SYSTEM.iter().map(PathBuf::from).chain(toolchain(program, env)).filter(may_read).collect();
        read.sort();
        read.dedup();
        let devices = DEVICES.iter().map(PathBuf::from).collect();
        Self { read, devices, write: vec![folder.to_owned()], sockets: Sockets::None }
    }

    /// Adds the folder in which processes share semaphores, as Python's `multiprocessing` does. It is the program's own; on a
    /// system that denies it its own view it is the system's, and what is left there can be found by others.
    #[must_use]
    pub fn with_semaphores(mut self) -> Self {
        self.write.push("/dev/shm".into());
        self
    }

    /// Adds what the drivers of GPUs need.
    #[must_use]
    pub fn with_gpu(mut self) -> Self {
        let nvidia = fs::read_dir("/dev").into_iter().flatten().flatten().map(|entry| entry.path());
        let is_nvidia = |path: &PathBuf| path.to_str().is_some_and(|path| path.starts_with("/dev/nvidia"));
        self.devices.extend(nvidia.filter(is_nvidia).chain(GPU_DEVICES.iter().map(PathBuf::from)));
        self.read.extend(GPU_READ.iter().chain(GPU_SERVERS).map(PathBuf::from));
        self.sockets = Sockets::Unix;
        self
    }
}

/// Returns the folders of the programs, libraries and headers that `env` names, and those of `program` itself.
fn toolchain(program: &OsStr, env: &BTreeMap<OsString, OsString>) -> Vec<PathBuf> {
    let named = |name: &&str| env.get(OsStr::new(*name)).map(OsString::as_os_str);
    let listed = |list: &OsStr| std::env::split_paths(list).collect::<Vec<_>>();
    let folders = named(&"PATH").map(listed).unwrap_or_default();
    let mut found: Vec<PathBuf> = folders.iter().flat_map(|folder| around(folder)).collect();
    found.extend(PREFIXES.iter().filter_map(named).map(PathBuf::from));
    found.extend(LISTS.iter().filter_map(named).flat_map(listed));
    // Joining an absolute path gives that path itself.
    let file = folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file());
    if let Some(file) = file.filter(|file| file.is_absolute()) {
        let target = real(&file);
        found.extend(target.parent().filter(|folder| is_programs(folder)).into_iter().flat_map(around));
        found.extend([file, target]);
    }
    found
}

/// Returns a folder of programs with what belongs to them.
fn around(folder: &Path) -> Vec<PathBuf> {
    match folder.parent() {
        // A manager of versions keeps them beside the stand-ins that choose one.
        Some(prefix) if folder.ends_with("shims") => vec![prefix.to_owned()],
        Some(prefix) if is_programs(folder) => BESIDE_PROGRAMS.iter().map(|name| prefix.join(name)).collect(),
        _ => vec![folder.to_owned()],
    }
}

fn is_programs(folder: &Path) -> bool {
    folder.ends_with("bin") || folder.ends_with("sbin")
}

/// Returns the path without links, or as it is where it does not exist.
fn real(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn env(pairs: &[(&str, &Path)]) -> BTreeMap<OsString, OsString> {
        pairs.iter().map(|(name, value)| ((*name).into(), value.as_os_str().to_owned())).collect()
    }

    fn reaches(access: &Access, path: &Path) -> bool {
        access.read.iter().any(|root| path.starts_with(root))
    }

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn an_interpreter_brings_its_libraries_and_not_its_neighbours() {
        let home = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(home.path()).unwrap();
        program(&home.join("versions/3/bin/python3"));
        fs::create_dir_all(home.join("venv/bin")).unwrap();
        symlink(home.join("versions/3/bin/python3"), home.join("venv/bin/python3")).unwrap();
        let env = env(&[("PATH", &home.join("venv/bin"))]);
        let access = Access::new(OsStr::new("python3"), &env, &home.join("run/stage"), Some(&home));
        for path in ["versions/3/lib/python3/os.py", "venv/bin/python3", "venv/lib/site.py", "venv/pyvenv.cfg"] {
            assert!(reaches(&access, &home.join(path)), "{path}");
        }
        for path in ["venv/secret", "versions/3/secret", ".ssh/id", "run/journal.jsonl", "run/stage/../other"] {
            assert!(!reaches(&access, &home.join(path)), "{path}");
        }
    }

    #[test]
    fn a_manager_of_versions_is_read_as_a_whole() {
        let home = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(home.path()).unwrap();
        program(&home.join(".pyenv/shims/python3"));
        let env = env(&[("PATH", &home.join(".pyenv/shims"))]);
        let access = Access::new(OsStr::new("python3"), &env, &home.join("stage"), Some(&home));
        assert!(reaches(&access, &home.join(".pyenv/versions/3/bin/python3")));
    }

    #[test]
    fn no_variable_opens_what_holds_the_home_or_the_stage() {
        let home = tempfile::tempdir().unwrap();
        let repository = home.path().join("repository");
        let stage = repository.join("artifacts/run/stage");
        fs::create_dir_all(&stage).unwrap();
        for open in [Path::new("/"), home.path(), &repository, &repository.join("artifacts"), &stage] {
            let env = env(&[("PYTHONPATH", open), ("CUDA_HOME", open), ("PATH", open)]);
            let access = Access::new(OsStr::new("sh"), &env, &stage, Some(home.path()));
            assert!(!reaches(&access, &repository.join("kernel.c")), "{}", open.display());
            assert!(!reaches(&access, &home.path().join(".ssh")), "{}", open.display());
        }
    }

    #[test]
    fn a_program_outside_of_any_toolchain_opens_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(folder.path()).unwrap();
        program(&folder.join("target/agent"));
        let agent = folder.join("target/agent");
        let access = Access::new(agent.as_os_str(), &env(&[("PATH", Path::new("/bin"))]), &folder.join("s"), None);
        assert!(reaches(&access, &agent) && !reaches(&access, &folder.join("target/other")));
    }
}
