//! What programs can do in the sandbox, and what they cannot.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod processes;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use afterhours::sandbox::{End, Finished, Input, Limits, SandboxError, Spec, run, scrubbed};
use processes::{at_home_in, eventually};
use rustix::io::{FdFlags, fcntl_setfd};
use tempfile::TempDir;

const AGENT: &str = env!("CARGO_BIN_EXE_agent");

/// Starts three processes that last: one in the program's session, one in its own, one whose parent is gone.
const FAMILY: &str = "sleep 1000 & setsid sleep 1000 & (setsid sh -c '(sleep 1000; :) &' &) ;";

fn room() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn args(script: &str) -> [String; 2] {
    ["-c".to_owned(), script.to_owned()]
}

fn spec<'a>(folder: &'a Path, args: &'a [String]) -> Spec<'a> {
    Spec {
        agent: Path::new(AGENT),
        program: OsStr::new("sh"),
        args,
        folder,
        env: scrubbed(std::env::vars_os(), folder),
        stdin: Input::Bytes(b""),
        deadline: Instant::now() + Duration::from_secs(120),
        output_bytes: 4096,
        limits: Limits::default(),
        access: None,
        hold: None,
    }
}

async fn sh(script: &str) -> Result<Finished, SandboxError> {
    run(spec(room().path(), &args(script))).await
}

#[tokio::test]
async fn a_code_and_a_signal_are_told_apart() {
    for (script, end) in [
        ("exit 0", End::Code(0)),
        ("exit 3", End::Code(3)),
        ("exit 124", End::Code(124)),
        ("exit 125", End::Code(125)),
        ("exit 127", End::Code(127)),
        ("exit 137", End::Code(137)),
        ("kill -9 $$", End::Signal(9)),
        ("kill -15 $$", End::Signal(15)),
        ("kill -11 $$", End::Signal(11)),
        ("kill -6 $$", End::Signal(6)),
    ] {
        assert_eq!(sh(script).await.unwrap().end, end, "{script}");
    }
}

#[tokio::test]
async fn the_streams_come_back_apart() {
    let finished = sh("echo out; echo err >&2").await.unwrap();
    assert_eq!((finished.stdout.to_text(), finished.stderr.to_text()), ("out\n".to_owned(), "err\n".to_owned()));
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_no_failed_program() {
    let folder = room();
    // Where a folder of the path is closed to this user, the system says so instead.
    let env = [("PATH".into(), "/usr/bin:/bin".into())].into();
    let missing = Spec { program: OsStr::new("no-such-program"), env, ..spec(folder.path(), &[]) };
    let error = run(missing).await.unwrap_err();
    assert!(
        matches!(&error, SandboxError::NotStarted { source, .. } if source.kind() == std::io::ErrorKind::NotFound),
        "{error}"
    );
    assert!(error.to_string().contains("no-such-program"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_executable_is_no_failed_program() {
    let folder = room();
    fs::write(folder.path().join("program"), "").unwrap();
    let error = run(Spec { program: OsStr::new("./program"), ..spec(folder.path(), &[]) }).await.unwrap_err();
    assert!(
        matches!(&error, SandboxError::NotStarted { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_supervisor_is_named() {
    let folder = room();
    let error = run(Spec { agent: Path::new("/no/agent"), ..spec(folder.path(), &[]) }).await.unwrap_err();
    assert!(error.to_string().contains("/no/agent"), "{error}");
}

#[tokio::test]
async fn the_end_of_the_program_is_the_end_of_its_descendants() {
    let folder = room();
    let finished = run(spec(folder.path(), &args(&format!("{FAMILY} exit 5")))).await.unwrap();
    assert_eq!(finished.end, End::Code(5));
    assert!(at_home_in(folder.path()).is_empty());
}

#[tokio::test]
async fn a_crowd_of_daemons_ends_with_the_program() {
    let folder = room();
    let crowd = "i=0; while [ $i -lt 50 ]; do (setsid sleep 1000 &); i=$((i+1)); done; exit 0";
    assert_eq!(run(spec(folder.path(), &args(crowd))).await.unwrap().end, End::Code(0));
    assert!(at_home_in(folder.path()).is_empty());
}

#[tokio::test]
async fn the_deadline_kills_every_descendant_and_keeps_what_was_printed() {
    let folder = room();
    let script = format!("trap '' TERM INT HUP; echo before; {FAMILY} echo ready >&2; while :; do sleep 1000; done");
    let deadline = Instant::now() + Duration::from_secs(3);
    let finished = run(Spec { deadline, ..spec(folder.path(), &args(&script)) }).await.unwrap();
    assert_eq!(finished.end, End::TimedOut);
    assert_eq!((finished.stdout.to_text(), finished.stderr.to_text()), ("before\n".to_owned(), "ready\n".to_owned()));
    assert!(at_home_in(folder.path()).is_empty());
}

#[tokio::test]
async fn a_deadline_in_the_past_is_a_time_out() {
    let folder = room();
    let deadline = Instant::now() - Duration::from_secs(60);
    match run(Spec { deadline, ..spec(folder.path(), &args("sleep 1000")) }).await {
        Ok(finished) => assert_eq!(finished.end, End::TimedOut),
        Err(error) => panic!("{error}"),
    }
    assert!(at_home_in(folder.path()).is_empty());
}

#[tokio::test]
async fn dropping_the_future_kills_every_descendant_before_it_returns() {
    let folder = room();
    let script = args(&format!("{FAMILY} touch ready; sleep 1000"));
    {
        let mut running = std::pin::pin!(run(spec(folder.path(), &script)));
        while !folder.path().join("ready").exists() {
            tokio::select! {
                _ = &mut running => panic!("it sleeps"),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
        assert!(at_home_in(folder.path()).len() > 3);
    }
    assert!(at_home_in(folder.path()).is_empty());
}

#[tokio::test]
async fn a_program_that_stops_its_supervisor_meets_its_deadline_all_the_same() {
    let folder = room();
    let script = args(&format!("{FAMILY} kill -STOP $PPID; sleep 1000"));
    let deadline = Instant::now() + Duration::from_secs(3);
    let finished = run(Spec { deadline, ..spec(folder.path(), &script) }).await.unwrap();
    assert_eq!(finished.end, End::TimedOut);
    assert!(at_home_in(folder.path()).is_empty());
}

#[tokio::test]
async fn a_program_that_ends_its_supervisor_ends_itself_and_passes_for_nothing() {
    for signal in ["TERM", "HUP", "KILL"] {
        let folder = room();
        let script = args(&format!("kill -{signal} $PPID; sleep 1000"));
        let error = run(spec(folder.path(), &script)).await.unwrap_err();
        assert!(matches!(error, SandboxError::Lost { .. }), "{signal}: {error}");
        // Of `SIGKILL` only the program itself is told by the system; its child is not.
        if signal != "KILL" {
            assert!(at_home_in(folder.path()).is_empty());
        }
        for pid in at_home_in(folder.path()) {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    }
}

#[tokio::test]
async fn a_supervisor_that_does_not_answer_is_destroyed_with_its_descendants() {
    let folder = room();
    let deaf = folder.path().join("deaf");
    fs::write(&deaf, "#!/bin/sh\ntrap '' TERM\nsetsid sleep 1000 &\nwhile :; do sleep 1000; done\n").unwrap();
    fs::set_permissions(&deaf, fs::Permissions::from_mode(0o755)).unwrap();
    let error =
        run(Spec { agent: &deaf, deadline: Instant::now() + Duration::from_secs(1), ..spec(folder.path(), &[]) })
            .await
            .unwrap_err();
    assert!(matches!(error, SandboxError::Lost { .. }), "{error}");
    eventually("nobody is left", || at_home_in(folder.path()).is_empty());
}

#[tokio::test]
async fn a_program_that_signals_its_own_group_reaches_nobody_else() {
    assert_eq!(sh("kill -TERM 0; sleep 1000").await.unwrap().end, End::Signal(15));
}

#[tokio::test]
async fn a_gigabyte_of_output_is_read_and_not_kept() {
    let finished = sh("echo first; head -c 1073741824 /dev/zero; echo last").await.unwrap();
    assert_eq!(finished.end, End::Code(0));
    let text = finished.stdout.to_text();
    assert!(text.starts_with("first\n") && text.ends_with("last\n"));
    assert!(text.contains("[… 1073737739 bytes left out …]"), "{}", text.replace('\0', ""));
    assert!(text.len() < 5000);
}

#[tokio::test]
async fn a_program_that_closes_its_output_is_waited_for() {
    assert_eq!(sh("exec >&- 2>&-; sleep 1; exit 3").await.unwrap().end, End::Code(3));
}

#[tokio::test]
async fn output_that_a_stranger_holds_open_does_not_delay_the_end_for_ever() {
    let folder = room();
    let script = args("echo $$ > pid.new; mv pid.new pid; echo said; until test -e held; do sleep 0.1; done");
    let hold = async {
        let pid = loop {
            match fs::read_to_string(folder.path().join("pid")) {
                Ok(pid) => break pid,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let held = File::options().write(true).open(format!("/proc/{}/fd/1", pid.trim())).unwrap();
        fs::write(folder.path().join("held"), "").unwrap();
        held
    };
    let (finished, _held) = tokio::join!(run(spec(folder.path(), &script)), hold);
    let finished = finished.unwrap();
    assert_eq!((finished.end, finished.stdout.to_text().as_str()), (End::Code(0), "said\n"));
}

#[tokio::test]
async fn input_beyond_a_pipe_s_buffer_neither_blocks_nor_tears() {
    let input = vec![b'x'; 8 << 20];
    let folder = room();
    let unread = run(Spec { stdin: Input::Bytes(&input), ..spec(folder.path(), &args("exit 0")) }).await.unwrap();
    assert_eq!(unread.end, End::Code(0));
    let read = run(Spec { stdin: Input::Bytes(&input), ..spec(folder.path(), &args("wc -c")) }).await.unwrap();
    assert_eq!(read.stdout.to_text().trim(), "8388608");
    let none = run(spec(folder.path(), &args("wc -c"))).await.unwrap();
    assert_eq!(none.stdout.to_text().trim(), "0");
}

#[tokio::test]
async fn a_runaway_writer_is_ended_by_the_size_limit() {
    let folder = room();
    let limits = Limits { file_bytes: Some(1 << 20), ..Limits::default() };
    let script = args("exec head -c 100000000 /dev/zero > big");
    let finished = run(Spec { limits, ..spec(folder.path(), &script) }).await.unwrap();
    assert_eq!(finished.end, End::Signal(25));
    assert_eq!(fs::metadata(folder.path().join("big")).unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn a_runaway_loop_is_ended_by_the_processor_limit() {
    let folder = room();
    let limits = Limits { cpu_seconds: Some(1), ..Limits::default() };
    let finished = run(Spec { limits, ..spec(folder.path(), &args("while :; do :; done")) }).await.unwrap();
    assert_eq!(finished.end, End::Signal(24));
}

#[tokio::test]
async fn no_core_is_dumped_and_the_limits_cannot_be_raised() {
    let folder = room();
    let limits = Limits { file_bytes: Some(1 << 20), ..Limits::default() };
    let finished = run(Spec { limits, ..spec(folder.path(), &args("ulimit -c; ulimit -H -f")) }).await.unwrap();
    assert_eq!(finished.stdout.to_text(), "0\n2048\n");
}

#[tokio::test]
async fn the_program_sees_three_descriptors_and_its_environment_only() {
    let folder = room();
    let leaked = File::open("/dev/null").unwrap();
    fcntl_setfd(&leaked, FdFlags::empty()).unwrap();
    let held = File::open("/dev/null").unwrap();
    let script = args("ls /proc/self/fd; tr '\\0' '\\n' < /proc/$PPID/environ | sort; env | sort");
    let env = [("PATH".into(), std::env::var_os("PATH").unwrap())].into();
    let finished = run(Spec { env, hold: Some(held.as_fd()), ..spec(folder.path(), &script) }).await.unwrap();
    let text = finished.stdout.to_text();
    // The fourth is the folder that `ls` lists.
    let rest = text.strip_prefix("0\n1\n2\n3\n").unwrap_or_else(|| panic!("{text}"));
    assert!(
        rest.lines().all(|line| ["PATH=", "PWD=", "_=", "OLDPWD=", "SHLVL="].iter().any(|own| line.starts_with(own)))
    );
}

#[test]
fn a_supervisor_whose_parent_died_before_it_could_ask_starts_nothing() {
    let folder = room();
    let orders = r#"{"parent":1,"report":1,"hold":null,"limits":{"cpu_seconds":null,"file_bytes":null}}"#;
    let output = Command::new(AGENT)
        .args(["supervise", "--orders", orders, "--", "touch", "started"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stdout).contains("Stopped"));
    assert!(!folder.path().join("started").exists());
}

#[test]
fn orders_that_make_no_sense_start_nothing() {
    let folder = room();
    let run = Command::new(AGENT)
        .args(["supervise", "--orders", "{}", "--", "touch", "started"])
        .current_dir(&folder)
        .status();
    assert_eq!(run.unwrap().code(), Some(125));
    assert!(!folder.path().join("started").exists());
}

/// Not a test: the process that the next one kills.
#[tokio::test]
async fn a_host_for_another_test() {
    let Some(folder) = std::env::var_os("AFTERHOURS_TEST_HOST") else { return };
    let script = args(&format!("{FAMILY} touch ready; sleep 1000"));
    let _ = run(spec(Path::new(&folder), &script)).await;
}

#[test]
fn the_death_of_the_agent_is_the_death_of_every_descendant() {
    let folder = room();
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_host_for_another_test"])
        .env("AFTERHOURS_TEST_HOST", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("the program is ready", || folder.path().join("ready").exists());
    assert!(at_home_in(folder.path()).len() > 3);
    host.kill().unwrap();
    host.wait().unwrap();
    eventually("nobody is left", || at_home_in(folder.path()).is_empty());
}
