//! What is asked of Slurm: the command lines.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use crate::mission::SlurmSettings;
use crate::protocol::Gpu;

/// Slurm's own variables for devices. Where the user has set one, no other number of devices is asked for.
const DEVICES: [&str; 4] = ["SALLOC_GRES", "SALLOC_GPUS", "SALLOC_GPUS_PER_NODE", "SALLOC_GPUS_PER_TASK"];

/// Prints the job's number and what memory it has, and holds the allocation until its standard input ends.
const HOLD: &str = include_str!("hold.sh");

/// Ends an allocation that stays when that input has ended: a `salloc` may hang, or be killed.
const GUARD: &str = include_str!("guard.sh");

/// One request for an allocation.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) settings: &'a SlurmSettings,
    /// The job's name in the queue.
    pub(super) name: &'a str,
    pub(super) gpu: &'a Gpu,
}

impl Request<'_> {
    /// Returns the arguments of the `salloc` that gets and holds the allocation.
    pub(super) fn salloc(&self, variable: impl Fn(&str) -> bool) -> Vec<String> {
        let mut args = self.resources(variable);
        args.extend(["--no-bell", "--kill-command", "sh", "-c", HOLD, "hold", GUARD].map(str::to_owned));
        args
    }

    /// Returns the arguments of an `sbatch` that asks whether there can ever be such an allocation.
    pub(super) fn sbatch_test(&self, variable: impl Fn(&str) -> bool) -> Vec<String> {
        let mut args = self.resources(variable);
        args.extend(["--test-only", "--wrap", "true"].map(str::to_owned));
        args
    }

    fn resources(&self, variable: impl Fn(&str) -> bool) -> Vec<String> {
        let SlurmSettings { partition, account, qos, constraint, gres, cpus, mem, time, agent: _ } = self.settings;
        let own_gres = !self.gpu.is_cpu() && !DEVICES.into_iter().any(variable);
        let gres = gres.clone().or_else(|| own_gres.then(|| "gpu:1".to_owned()));
        let options = [
            ("partition", partition.clone()),
            ("account", account.clone()),
            ("qos", qos.clone()),
            ("constraint", constraint.clone()),
            ("gres", gres),
            ("cpus-per-task", cpus.map(|cpus| cpus.to_string())),
            ("mem", mem.clone()),
            ("time", time.map(|time| minutes(time).to_string())),
        ];
        let given = options.into_iter().filter_map(|(option, value)| Some(format!("--{option}={}", value?)));
        [format!("--job-name={}", self.name), "--nodes=1".to_owned(), "--ntasks=1".to_owned()]
            .into_iter()
            .chain(given)
            .collect()
    }

    /// Returns the arguments of the `srun` that starts `agent job` as a step of the job `id`.
    pub(super) fn srun(&self, id: u32, agent: &Path) -> Vec<String> {
        let mut args = vec![
            format!("--jobid={id}"),
            format!("--job-name={}", self.name),
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            // It is no MPI program, and its folder here may not exist there.
            "--mpi=none".to_owned(),
            "--chdir=/".to_owned(),
        ];
        args.extend(self.settings.cpus.map(|cpus| format!("--cpus-per-task={cpus}")));
        args.extend([agent.to_string_lossy().into_owned(), "job".to_owned()]);
        args
    }
}

/// Tells whether the user's environment has the variable.
pub(super) fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value != OsStr::new(""))
}

/// Slurm counts limits in minutes.
fn minutes(time: Duration) -> u64 {
    time.as_secs().div_ceil(60).max(1)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn resources(settings: &SlurmSettings, gpu: &str, set: &str) -> String {
        let request = Request { settings, name: "afterhours-x", gpu: &Gpu(gpu.to_owned()) };
        request.resources(|name| name == set).split_off(3).join(" ")
    }

    #[test]
    fn what_the_mission_says_is_asked_for_and_nothing_else() {
        let settings = SlurmSettings {
            partition: Some("night".to_owned()),
            account: Some("a b".to_owned()),
            qos: Some("low".to_owned()),
            constraint: Some("b200&ib".to_owned()),
            gres: Some("gpu:b200:1".to_owned()),
            cpus: NonZeroU32::new(8),
            mem: Some("32G".to_owned()),
            time: Some(Duration::from_secs(5401)),
            agent: None,
        };
        let asked = "--partition=night --account=a b --qos=low --constraint=b200&ib --gres=gpu:b200:1 \
                     --cpus-per-task=8 --mem=32G --time=91";
        assert_eq!(resources(&settings, "B200", ""), asked);
        assert_eq!(resources(&SlurmSettings::default(), "cpu", ""), "");
    }

    #[test]
    fn a_gpu_is_asked_for_wherever_the_mission_wants_one_and_nobody_says_how() {
        let none = SlurmSettings::default();
        assert_eq!(resources(&none, "B200", ""), "--gres=gpu:1");
        assert_eq!(resources(&none, "B200", "SALLOC_GPUS"), "");
        let typed = SlurmSettings { gres: Some("gpu:b200:1".to_owned()), ..none };
        assert_eq!(resources(&typed, "B200", "SALLOC_GPUS"), "--gres=gpu:b200:1");
    }
}
