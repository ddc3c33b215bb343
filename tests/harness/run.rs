//! A runner of a few lines.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use afterhours::harness::{Exec, Exit, Job, Part, Program, Ran, Role};
use tempfile::TempDir;

/// Runs a job in temporary folders, to its end or first unsuccessful process.
pub(crate) fn run(job: &Job) -> Vec<Ran> {
    let folders: Vec<(Role, TempDir)> = job.stages.iter().map(|stage| (stage.role, TempDir::new().unwrap())).collect();
    let folder = |role: Role| folders.iter().find(|(of, _)| *of == role).unwrap().1.path();
    let deadline = Instant::now() + job.timeout;
    let mut parts = Vec::new();
    for stage in &job.stages {
        for (path, content) in &stage.files {
            let path = folder(stage.role).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        parts.extend(stage.build.iter().map(|exec| (stage.role, Part::Build, exec)));
    }
    parts.extend(job.blocks.iter().enumerate().map(|(index, block)| (block.role, Part::Block(index), &block.exec)));
    let mut done = Vec::new();
    for (role, part, exec) in parts {
        let ran = run_one(role, part, exec, folder(role), deadline);
        let failed = !ran.exit.is_success();
        done.push(ran);
        if failed {
            break;
        }
    }
    done
}

fn run_one(role: Role, part: Part, exec: &Exec, folder: &Path, deadline: Instant) -> Ran {
    let program = match &exec.program {
        Program::Named(name) => name.clone(),
        Program::Agent => env!("CARGO_BIN_EXE_agent").to_owned(),
    };
    let result = exec.result.as_ref().map(|path| folder.join(path));
    let mut command = Command::new(&program);
    command.args(&exec.args).envs(exec.env.iter().cloned()).current_dir(folder).stdin(Stdio::piped());
    command.stdout(fs::File::create(folder.join("stdout")).unwrap());
    command.stderr(fs::File::create(folder.join("stderr")).unwrap());
    if let Some(path) = &result {
        let _ = fs::remove_file(path);
        command.env("AFTERHOURS_RESULT", path);
    }
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    // A child that does not read its input is no concern of the runner's.
    let _ = child.stdin.take().unwrap().write_all(&exec.stdin);
    let exit = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().map_or_else(|| Exit::Signal(status.signal().unwrap()), Exit::Code);
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            break Exit::TimedOut;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let text = |name: &str| String::from_utf8_lossy(&fs::read(folder.join(name)).unwrap()).into_owned();
    Ran {
        role,
        part,
        command: format!("{program} {}", exec.args.join(" ")),
        exit,
        stdout: text("stdout"),
        stderr: text("stderr"),
        result: result.and_then(|path| fs::read(path).ok()),
        elapsed: start.elapsed(),
    }
}
