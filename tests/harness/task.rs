//! A copy of a GPU MODE task, measured by the local runner.

use std::fs;
use std::path::{Path, PathBuf};

use afterhours::harness::{Job, JobOutput, open};
use afterhours::protocol::{Effort, Gpu, InfraFailure, KernelFailure, MetricName, Outcome, Profile};
use afterhours::runner::{Local, LocalFuture, Progress, Runner, RunnerError};
use afterhours::stats::{Aim, Rule};
use afterhours::tools::{Bench, Measured, Order, Yardstick};
use tempfile::TempDir;

/// A task of those that are shipped with these tests, in a folder of its own.
pub(crate) struct Task {
    pub(crate) room: TempDir,
    name: &'static str,
    gpu: Gpu,
    env: Vec<(String, String)>,
}

impl Task {
    /// Copies `files` of the shipped tasks, which keep their places below one folder; the task is the folder `name` there.
    pub(crate) fn copy(name: &'static str, files: &[&str], gpu: Gpu) -> Self {
        let task = Self { room: TempDir::new().unwrap(), name, gpu, env: Vec::new() };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpumode");
        fs::create_dir_all(task.folder()).unwrap();
        for file in files {
            fs::copy(shipped.join(file), task.room.path().join("tasks").join(file)).unwrap();
        }
        task
    }

    /// Puts another text into `file` below the tasks' folder.
    pub(crate) fn with_file(self, file: &str, text: &str) -> Self {
        fs::write(self.room.path().join("tasks").join(file), text).unwrap();
        self
    }

    /// Gives every process of a job one more variable.
    pub(crate) fn with_variable(mut self, name: &str, value: String) -> Self {
        self.env.push((name.to_owned(), value));
        self
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.room.path().join("tasks").join(self.name)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder().join("task.yml")
    }

    pub(crate) fn edit(self, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.file()).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(self.file(), text.replace(from, to)).unwrap();
        self
    }

    pub(crate) fn measure(&self, profile: Profile, candidate: &str, incumbent: Option<&str>) -> Measured {
        self.measure_on(self.gpu.clone(), profile, candidate, incumbent, 42)
    }

    pub(crate) fn measure_on(
        &self,
        gpu: Gpu,
        profile: Profile,
        candidate: &str,
        incumbent: Option<&str>,
        seed: u64,
    ) -> Measured {
        let local = Local::new(env!("CARGO_BIN_EXE_agent").into(), self.room.path().join("scratch"));
        let local = local.with_locks_in(self.room.path().to_owned());
        let bench = Bench {
            harness: open(&self.file()).unwrap(),
            runner: Box::new(Machine { local, env: self.env.clone() }),
            gate: None,
            yardstick: Yardstick { gpu, metric: MetricName::MedianUs, roofline_us: None },
        };
        let effort = effort();
        let order = Order {
            profile,
            effort: &effort,
            candidate: candidate.as_bytes(),
            incumbent: incumbent.map(str::as_bytes),
            seed,
            rule: Rule { margin: 0.01, aim: Aim::Screen, most: effort.pairs },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(afterhours::tools::measure(&bench, order, &mut |_| {})).unwrap()
    }

    pub(crate) fn kernel_failure(&self, profile: Profile, candidate: &str) -> (KernelFailure, String) {
        match self.measure(profile, candidate, None).outcome {
            Outcome::KernelFailed { failure, message } => (failure, message),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn no_result(&self, profile: Profile, candidate: &str) -> String {
        match self.measure(profile, candidate, None).outcome {
            Outcome::InfraFailed { failure: InfraFailure::NoResult, message } => message,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn effort() -> Effort {
    Effort { repeats: 5, stage_repeats: vec![5], early_stop_us: None, timeout_seconds: 120, pairs: 2 }
}

/// This machine, with other variables.
struct Machine {
    local: Local,
    env: Vec<(String, String)>,
}

impl Runner for Machine {
    fn name(&self) -> &str {
        self.local.name()
    }

    fn run<'a>(
        &'a self,
        job: &'a Job,
        progress: &'a mut dyn FnMut(Progress),
    ) -> LocalFuture<'a, Result<JobOutput, RunnerError>> {
        let mut job = job.clone();
        let builds = job.stages.iter_mut().flat_map(|stage| &mut stage.build);
        for exec in builds.chain(job.blocks.iter_mut().map(|block| &mut block.exec)) {
            exec.env.extend(self.env.iter().cloned());
        }
        Box::pin(async move { self.local.run(&job, progress).await })
    }
}
