//! How much memory a process of a job may have.

use std::env;
use std::fs;
use std::path::Path;

/// Returns three quarters, in bytes, of what this process may use: the machine's memory, or less where a job of Slurm's or a
/// control group around it gets less. The rest is for the system, this program and the other processes.
pub(super) fn share() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits =
        [machine(), allocation(|name| env::var(name).ok()), groups_limit(&groups, Path::new("/sys/fs/cgroup"))];
    limits.into_iter().flatten().filter(|bytes| *bytes > 0).min().map(|bytes| bytes / 4 * 3)
}

fn machine() -> Option<u64> {
    let info = rustix::system::sysinfo();
    Some((info.totalram as u64).saturating_mul(u64::from(info.mem_unit)))
}

/// Returns what Slurm gave the job around this process, in bytes; 0 where it gave all that the node has.
fn allocation(variable: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let number = |name| variable(name)?.parse::<u64>().ok();
    let of_processors = || Some(number("SLURM_MEM_PER_CPU")?.saturating_mul(number("SLURM_CPUS_ON_NODE")?));
    let mebibytes = number("SLURM_MEM_PER_NODE").or_else(of_processors)?;
    Some(mebibytes.saturating_mul(1 << 20))
}

/// Returns the least limit of the control groups that `groups`, as a process's `cgroup` file has it, and every group above them
/// set in the hierarchy at `mount`, in bytes.
fn groups_limit(groups: &str, mount: &Path) -> Option<u64> {
    let limit_of = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (top, file) = match controllers {
            "" => (mount.to_owned(), "memory.max"),
            list if list.split(',').any(|controller| controller == "memory") => {
                (mount.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let group = top.join(path.trim_start_matches('/'));
        let read = |group: &Path| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok();
        group.ancestors().take_while(|group| group.starts_with(&top)).filter_map(read).min()
    };
    groups.lines().filter_map(limit_of).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_slurm_s_has_what_its_node_or_its_processors_bring() {
        let of = |variables: &[(&str, &str)]| {
            allocation(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[("SLURM_MEM_PER_NODE", "512")]), Some(512 << 20));
        assert_eq!(of(&[("SLURM_MEM_PER_CPU", "100"), ("SLURM_CPUS_ON_NODE", "3")]), Some(300 << 20));
        assert_eq!(of(&[("SLURM_MEM_PER_NODE", "0")]), Some(0), "all of it");
        assert_eq!(of(&[("SLURM_MEM_PER_CPU", "100")]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn the_least_limit_of_a_group_or_one_above_it_holds() {
        let mount = tempfile::tempdir().unwrap();
        let set = |file: &str, text: &str| {
            let path = mount.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        set("job/memory.max", "4096\n");
        set("job/step/memory.max", "max\n");
        set("memory/old/memory.limit_in_bytes", "8192\n");
        set("memory/memory.limit_in_bytes", "9223372036854771712\n");
        let limit = |groups| groups_limit(groups, mount.path());
        assert_eq!(limit("0::/job/step\n"), Some(4096));
        assert_eq!(limit("12:cpu,memory:/old\n3:pids:/job\n"), Some(8192));
        assert_eq!(limit("12:memory:/other\n0::/job"), Some(4096));
        assert_eq!(limit("0::/\n"), None);
        assert_eq!(limit("garbage\n"), None);
    }
}
