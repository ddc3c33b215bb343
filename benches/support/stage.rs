//! A repository with one kernel, and sessions over it.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use afterhours::model::Model;
use afterhours::protocol::Patience;
use afterhours::report::Observer;
use afterhours::session::{Opening, Parts, Session, StopFlag};
use afterhours::workspace::Workspace;
use afterhours::{harness, mission};
use tempfile::TempDir;

use super::Failed;
use super::canned::{Canned, Fate, MARK};
use super::script::Script;

/// The kernel's path below the root.
pub const KERNEL: &str = "kernels/reduce/kernel.c";

const HARNESS: &str = "#!/bin/sh\n# Never started: the runner is canned.\nexit 1\n";

/// The repository; it goes when this does.
pub struct Stage {
    root: PathBuf,
    _folder: TempDir,
}

/// Returns the folder of a file system in memory, where the machine has one: a bench that is not about the disk would
/// otherwise wait for it most of the time.
pub fn memory_folder() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() }
}

impl Stage {
    /// Creates the repository in a new folder below `folder`, with one commit that holds the kernel and some files more.
    pub fn new(folder: &Path) -> Result<Self, Failed> {
        let folder = tempfile::Builder::new().prefix("afterhours-bench-").tempdir_in(folder)?;
        let stage = Self { root: folder.path().canonicalize()?, _folder: folder };
        fs::create_dir_all(stage.root.join("kernels/reduce"))?;
        fs::write(stage.root.join(KERNEL), kernel())?;
        fs::write(stage.root.join("kernels/reduce/harness.sh"), HARNESS)?;
        for number in 0..50 {
            fs::write(stage.root.join(format!("kernels/notes-{number}.md")), "beside the kernel\n".repeat(20))?;
        }
        stage.git(&["init", "-q"])?;
        stage.git(&["config", "user.name", "Bench"])?;
        stage.git(&["config", "user.email", "bench@localhost"])?;
        stage.git(&["config", "gc.auto", "0"])?;
        stage.git(&["add", "-A"])?;
        stage.git(&["commit", "-q", "-m", "the kernel as found"])?;
        Ok(stage)
    }

    /// Returns the root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs git as its own process, and returns what it prints.
    pub fn git(&self, args: &[&str]) -> Result<Vec<u8>, Failed> {
        let output = Command::new("git").args(args).current_dir(&self.root).output()?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(format!("git {args:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
        }
    }

    /// Begins a run of so many iterations, whose changes have the fates that `fate` says. The time that the runner takes to
    /// make its results up is added to `spent`.
    pub fn session(
        &self,
        iterations: u32,
        fate: fn(u32) -> Fate,
        spent: Rc<Cell<Duration>>,
        observer: Box<dyn Observer>,
    ) -> Result<Session, Failed> {
        self.session_with(iterations, Canned::new(fate, spent), Box::new(Script { fate }), observer)
    }

    /// Begins such a run with another model.
    pub fn session_with(
        &self,
        iterations: u32,
        runner: Canned,
        model: Box<dyn Model>,
        observer: Box<dyn Observer>,
    ) -> Result<Session, Failed> {
        let text = format!(
            "---\nkernel: {KERNEL}\nharness: kernels/reduce/harness.sh\ntarget_us: 0.001\ngpu: cpu\nseed: 1\n\
             budget:\n  iterations: {iterations}\n---\nMake the reduction faster.\n"
        );
        let mission_file = PathBuf::from("mission.md");
        let mission = mission::parse(&mission_file, &text, &Default::default())?;
        let opening = Opening { run_id: "bench".parse()?, mission_file, vars: Default::default() };
        let parts = Parts {
            gate: None,
            workspace: Workspace::open(&self.root, &mission.kernel)?,
            harness: harness::open(&self.root.join(&mission.harness))?,
            runner: Box::new(runner),
            model,
            patience: Patience::NONE,
            observer,
            stop: StopFlag::default(),
            mission,
        };
        Ok(Session::begin(opening, parts)?)
    }
}

/// Drives a session to its end.
pub fn drive(session: &mut Session) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let reason = runtime.block_on(session.run())?;
    if reason.code() == "budget_iterations" { Ok(()) } else { Err(format!("the run ended otherwise: {reason}").into()) }
}

/// Returns a kernel of 200 lines.
fn kernel() -> String {
    let mut text = format!("{MARK}0\n\nfloat reduce(const float *x, long n) {{\n    float sums[192] = {{0}};\n");
    for lane in 0..192 {
        let _ = writeln!(text, "    for (long i = {lane}; i < n; i += 192) sums[{lane}] += x[i];");
    }
    text.push_str("    float sum = 0;\n    for (int k = 0; k < 192; k++) sum += sums[k];\n    return sum;\n}\n");
    text
}
