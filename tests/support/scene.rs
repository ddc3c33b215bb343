//! A night on the stage: a repository with a kernel, a harness of plain `sh`, a mission and a scripted model, and the real
//! program at work in it.

#![allow(dead_code, reason = "each test file uses a part")]

use std::ffi::OsString;
use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The kernel: a list of words, each with a value, that the harness reads.
pub(crate) const KERNEL: &str = "kernel.txt";

/// The run's name in every scene.
pub(crate) const RUN: &str = "night";

/// The kernel's text says how fast it is, and what is wrong with it. `flaky` fails until the journal tells of one failure of
/// the infrastructure: what the harness answers is then a function of the journal, however often a run is interrupted.
const HARNESS: &str = r#"tr -d '\r' <submission >text
while read -r word value; do
  case $word in
    time_us) time=$value ;;
    wrong) wrong=$value ;;
    sleep) sleep "$value" ;;
    flaky) grep -q infra_failed '@REPO@/artifacts/night/journal.jsonl' || { echo garbage >"$AFTERHOURS_RESULT"; exit; } ;;
  esac
done <text
if [ -n "$wrong" ]; then verdict='"passed":false,"error":"off by one"'; else verdict='"passed":true'; fi
printf '{"device":{"name":"cpu (test)"},"cases":[{"id":"one",%s,"time_us":[%s]}]}' "$verdict" "$time" >"$AFTERHOURS_RESULT"
"#;

pub(crate) struct Scene {
    folder: TempDir,
    /// Added to the environment of every command.
    variables: Vec<(String, OsString)>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

impl Scene {
    /// A kernel of 100 us in one commit; the mission wants 50 us, and says `extra` besides.
    pub(crate) fn new(extra: &str) -> Self {
        let scene = Self::empty();
        scene.git(&["init", "-q", "-b", "main"]);
        for (key, value) in [("user.name", "Ada"), ("user.email", "ada@example.org"), ("gc.auto", "0")] {
            scene.git(&["config", key, value]);
        }
        scene.write(KERNEL, "time_us 100\n");
        scene.write("harness.sh", harness(&scene.root()));
        scene.write("mission.md", mission(KERNEL, "harness.sh", extra));
        scene.write(".gitignore", "/artifacts/\n");
        scene.git(&["add", "-A"]);
        scene.git(&["commit", "-q", "-m", "the kernel as found"]);
        scene
    }

    /// A folder without a repository. It lies in memory where the system allows: a run flushes each of its events.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let scene = Self { folder, variables: Vec::new() };
        fs::create_dir_all(scene.root()).unwrap();
        fs::create_dir_all(scene.folder.path().join("tmp")).unwrap();
        scene
    }

    /// Returns the scene with this variable in the environment of every command.
    pub(crate) fn with_variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// The repository.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    /// The folder of everything, outside of the repository.
    pub(crate) fn outside(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.root().join("artifacts").join(RUN)
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn kernel(&self) -> String {
        fs::read_to_string(self.root().join(KERNEL)).unwrap()
    }

    /// Writes the model's script, one slice of calls a turn.
    pub(crate) fn script(&self, turns: &[&[Value]]) {
        let turns: Vec<_> = turns.iter().map(|calls| calls.to_vec()).collect();
        self.write("script.jsonl", script(&turns));
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let ended: Ended = self.command("git", args).output().unwrap().into();
        assert_eq!(ended.code, Some(0), "git {args:?}: {ended:?}");
        ended.stdout
    }

    pub(crate) fn agent(&self, args: &[&str]) -> Ended {
        self.command(env!("CARGO_BIN_EXE_agent"), args).output().unwrap().into()
    }

    /// Begins the night, and waits for its end.
    pub(crate) fn run(&self) -> Ended {
        self.agent(&BEGIN)
    }

    /// Starts the program, and leaves it at work.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(env!("CARGO_BIN_EXE_agent"), args);
        Running(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.root()).stdin(Stdio::null());
        command.env("HOME", self.folder.path()).env("TMPDIR", self.folder.path().join("tmp"));
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_OPTIONAL_LOCKS", "0");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The lines of the run's journal that are whole.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.artifacts().join("journal.jsonl")).unwrap_or_default();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
    }

    /// The types of the run's events.
    pub(crate) fn events(&self) -> Vec<String> {
        let kind = |line: &String| {
            let event: Value = serde_json::from_str(line).unwrap();
            event["type"].as_str().unwrap().to_owned()
        };
        self.lines().iter().map(kind).collect()
    }

    /// Waits for the run's newest event to be of the type `event`.
    pub(crate) fn wait_for(&self, event: &str) {
        eventually(event, || self.lines().last().is_some_and(|line| line.contains(&format!("\"type\":\"{event}\""))));
    }

    /// What `agent status` or `agent report` says as JSON.
    pub(crate) fn json(&self, command: &str) -> Value {
        let ended = self.agent(&[command, RUN, "--json"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// The ids of the harness's living processes: they carry their stage's folder as their home.
    pub(crate) fn harness_processes(&self) -> Vec<i32> {
        let home = format!("HOME={}/", self.artifacts().display());
        let living = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(home.as_bytes()))
        };
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().to_str()?.parse().ok();
        fs::read_dir("/proc").unwrap().filter_map(name).filter(living).collect()
    }
}

/// The command line that begins the night.
pub(crate) const BEGIN: [&str; 8] =
    ["run", "--mission", "mission.md", "--model", "replay:script.jsonl", "--run-id", RUN, "--json"];

/// A mission of small duels, whose harness reads the journal, as no confined process can. Four pairs cannot be won, so a final
/// duel gets the ten or more that it takes.
pub(crate) fn mission(kernel: &str, harness: &str, extra: &str) -> String {
    format!(
        "---\nkernel: {kernel}\nharness: {harness}\ngpu: cpu\ntarget_us: 50\nsandbox: unconfined\n\
         profiles: {{candidate: {{pairs: 1}}, final: {{pairs: 4}}}}\n{extra}\n---\nMake it fast.\n"
    )
}

/// The harness, for a repository at `root`.
pub(crate) fn harness(root: &Path) -> String {
    HARNESS.replace("@REPO@", root.to_str().unwrap())
}

/// A recording with these turns.
pub(crate) fn script(turns: &[Vec<Value>]) -> String {
    let turn = |calls: &Vec<Value>| json!({"calls": calls, "usage": {"prompt": 100, "completion": 10}}).to_string();
    turns.iter().map(turn).collect::<Vec<_>>().join("\n")
}

/// A program at work.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.0.as_ref().unwrap()), signal).unwrap();
    }

    pub(crate) fn end(mut self) -> Ended {
        self.0.take().unwrap().wait_with_output().unwrap().into()
    }
}

impl Drop for Running {
    /// A test that fails leaves nothing at work.
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A program that goes on by one event at a time.
///
/// It writes each event to its standard output as soon as the event is on the disk. Here that output is a pipe which is full
/// from the start, and in which every write takes a place of its own: the program stands still behind each event until one
/// place is freed for it. So it can be killed exactly there, with nothing in the program made for the purpose.
pub(crate) struct Held<'a> {
    scene: &'a Scene,
    child: Child,
    pipe: PipeReader,
    /// The lines of the journal that the program need not wait for any more.
    free: usize,
}

/// What one place of a pipe holds, in bytes.
const PLACE: usize = 4096;

impl Scene {
    /// Starts the program, with `--json` among its arguments, and holds it before its first event.
    pub(crate) fn hold(&self, args: &[&str]) -> Held<'_> {
        let (pipe, mut full) = std::io::pipe().unwrap();
        fill(&mut full);
        let mut command = self.command(env!("CARGO_BIN_EXE_agent"), args);
        let free = self.lines().len();
        let child = command.stdout(full).stderr(Stdio::null()).spawn().unwrap();
        Held { scene: self, child, pipe, free }
    }
}

fn fill(pipe: &mut PipeWriter) {
    fcntl_setfl(pipe.as_fd(), OFlags::DIRECT | OFlags::NONBLOCK).unwrap();
    while pipe.write(b"x").is_ok() {}
    fcntl_setfl(pipe.as_fd(), OFlags::DIRECT).unwrap();
}

impl Held<'_> {
    /// Lets the program go on until its journal has exactly `events` events, or the program has ended.
    pub(crate) fn until(&mut self, events: usize) -> Result<(), Option<i32>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().unwrap();
            let lines = self.scene.lines();
            if lines.len() >= events {
                assert_eq!(lines.len(), events, "it stands still behind each event");
                return Ok(());
            }
            if let Some(status) = ended {
                return Err(status.code());
            }
            if let Some(line) = lines.get(self.free) {
                for _ in 0..line.len().div_ceil(PLACE) {
                    assert!(self.pipe.read(&mut [0; PLACE]).unwrap() > 0);
                }
                self.free += 1;
            } else {
                sleep(Duration::from_millis(1));
            }
            assert!(Instant::now() < end, "never: event {events}");
        }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `what` holds, and fails where it does not within a time that no healthy machine needs.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// Says past the test's captured output that a part of it was not made.
pub(crate) fn skipped(why: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"tool": tool, "arguments": arguments})
}

pub(crate) fn edit(text: &str) -> Value {
    call("edit-kernel", json!({"change": format!("make it {}", text.trim_end()), "text": text}))
}

pub(crate) fn test() -> Value {
    call("test-run", json!({"profile": "smoke"}))
}

pub(crate) fn candidate() -> Value {
    call("benchmark-run", json!({"profile": "candidate"}))
}

pub(crate) fn confirm() -> Value {
    call("benchmark-run", json!({"profile": "final"}))
}

/// An analysis of the newest artifact.
pub(crate) fn analysis(decision: &str) -> Value {
    let words =
        json!({"artifact": "$artifact", "decision": decision, "summary": "s", "feedback": "f", "next_step": "n"});
    call("append-analysis", words)
}

pub(crate) fn revert() -> Value {
    call("revert", json!({}))
}

pub(crate) fn read(path: &str) -> Value {
    call("read-file", json!({"path": path}))
}

pub(crate) fn any(tool: &str, arguments: Value) -> Value {
    call(tool, arguments)
}

/// A night in which everything happens: a deploy, two changes that are kept, one that is wrong, one that gains nothing, one
/// that the model gives up, a failure of the infrastructure that passes, refused and failed calls, and the last duel.
pub(crate) fn eventful() -> Scene {
    let scene = Scene::new("deploy: {command: ': deployed', files: [harness.sh]}\nbudget: {iterations: 9}");
    scene.script(&[
        &[edit("time_us 80\n"), test(), analysis("KEEP"), candidate(), analysis("KEEP"), confirm()],
        &[analysis("KEEP")],
        &[edit("time_us 10\nwrong x\n"), test(), analysis("KEEP"), candidate()],
        &[analysis("REVERT")],
        &[edit("time_us 81\n"), test(), analysis("KEEP"), candidate(), analysis("REVERT")],
        &[edit("flaky x\ntime_us 70\n"), test()],
        &[analysis("KEEP"), revert()],
        &[
            read("kernel"),
            any("edit-kernel", json!({"change": "none", "edits": [{"search": "absent", "replace": ""}]})),
        ],
        &[edit("time_us 40\n"), edit("time_us 30\n")],
        &[test(), analysis("KEEP"), candidate(), analysis("KEEP"), confirm()],
        &[analysis("KEEP")],
    ]);
    scene
}
