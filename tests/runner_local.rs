//! Jobs on this machine: order, failures, time, results, and the one device.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod processes;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use afterhours::harness::{Block, Exec, Exit, Job, JobOutput, Part, Program, Role, Stage};
use afterhours::mission::SandboxChoice;
use afterhours::protocol::Gpu;
use afterhours::runner::{DeviceLock, Local, Progress, Runner, RunnerError};
use processes::{at_home_in, eventually};
use tempfile::TempDir;

/// A machine of its own for a test: a runner whose locks and stages nobody else has.
struct Machine {
    room: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { room: tempfile::tempdir().unwrap() }
    }

    fn runner(&self) -> Local {
        local(self.room.path())
    }

    fn stage(&self, role: &str) -> PathBuf {
        self.room.path().join("scratch").join(role)
    }

    async fn run(&self, job: &Job) -> Result<JobOutput, RunnerError> {
        let output = self.runner().run(job, &mut |_| {}).await;
        let left = fs::read_dir(self.room.path().join("scratch")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "no stage may stay");
        output
    }
}

fn local(room: &Path) -> Local {
    Local::new(env!("CARGO_BIN_EXE_agent").into(), room.join("scratch")).with_locks_in(room.to_owned())
}

fn sh(script: &str) -> Exec {
    Exec {
        program: Program::Named("sh".to_owned()),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: Vec::new(),
        stdin: Vec::new(),
        result: None,
    }
}

fn stage(role: Role, build: Vec<Exec>) -> Stage {
    Stage { role, files: vec![("kernel.txt".into(), format!("{role:?}").into_bytes())], build }
}

fn job(build: Vec<Exec>, blocks: Vec<Exec>) -> Job {
    Job {
        gpu: Gpu("cpu".to_owned()),
        stages: vec![stage(Role::Candidate, build)],
        blocks: blocks.into_iter().map(|exec| Block { role: Role::Candidate, exec }).collect(),
        turn_calls: None,
        first_pair: 0,
        timeout: Duration::from_secs(120),
    }
}

fn with_result(script: &str) -> Exec {
    Exec { result: Some("result.json".into()), ..sh(script) }
}

#[tokio::test]
async fn both_roles_build_first_then_their_blocks_run_in_the_given_order() {
    let machine = Machine::new();
    let show = || sh("cat kernel.txt built");
    let job = Job {
        stages: vec![
            stage(Role::Candidate, vec![sh("echo +c > built")]),
            stage(Role::Incumbent, vec![sh("echo +i > built")]),
        ],
        blocks: [Role::Incumbent, Role::Candidate, Role::Candidate, Role::Incumbent]
            .map(|role| Block { role, exec: show() })
            .into(),
        ..job(vec![], vec![])
    };
    let mut seen = Vec::new();
    let output = machine.runner().run(&job, &mut |progress| seen.push(progress)).await.unwrap();
    let ran: Vec<_> = output.ran.iter().map(|ran| (ran.role, ran.part, ran.stdout.trim())).collect();
    assert_eq!(
        ran,
        [
            (Role::Candidate, Part::Build, ""),
            (Role::Incumbent, Part::Build, ""),
            (Role::Incumbent, Part::Block(0), "Incumbent+i"),
            (Role::Candidate, Part::Block(1), "Candidate+c"),
            (Role::Candidate, Part::Block(2), "Candidate+c"),
            (Role::Incumbent, Part::Block(3), "Incumbent+i"),
        ]
    );
    let mut expected = vec![Progress::Building, Progress::Building];
    expected.extend((0..=4).map(|done| Progress::Blocks { done, total: 4 }));
    assert_eq!(seen, expected);
    assert_eq!(output.ran[2].command, "sh -c 'cat kernel.txt built'");
}

#[tokio::test]
async fn nothing_runs_after_the_first_failure() {
    for (script, exit) in [("exit 3", Exit::Code(3)), ("kill -11 $$", Exit::Signal(11))] {
        let machine = Machine::new();
        let output = machine.run(&job(vec![sh("true"), sh(script)], vec![sh("true")])).await.unwrap();
        assert_eq!(output.ran.iter().map(|ran| ran.exit).collect::<Vec<_>>(), [Exit::Code(0), exit]);
        let output = machine.run(&job(vec![], vec![sh("true"), sh(script), sh("true")])).await.unwrap();
        assert_eq!(output.ran.iter().map(|ran| ran.exit).collect::<Vec<_>>(), [Exit::Code(0), exit]);
    }
}

#[tokio::test]
async fn the_timeout_is_the_whole_job_s_and_keeps_what_was_printed() {
    let machine = Machine::new();
    let job = Job {
        timeout: Duration::from_secs(3),
        ..job(vec![sh("sleep 1")], vec![sh("echo partial; setsid sleep 1000 & sleep 1000"), sh("true")])
    };
    let output = machine.run(&job).await.unwrap();
    assert_eq!(output.ran.len(), 2);
    assert_eq!((output.ran[1].exit, output.ran[1].stdout.as_str()), (Exit::TimedOut, "partial\n"));
    assert!(output.ran[1].elapsed < job.timeout + Duration::from_secs(60));
    assert!(at_home_in(&machine.stage("candidate")).is_empty());
}

#[tokio::test]
async fn a_timeout_beyond_every_clock_is_a_long_one() {
    let job = Job { timeout: Duration::MAX, ..job(vec![], vec![sh("exit 0")]) };
    assert!(Machine::new().run(&job).await.unwrap().ran[0].exit.is_success());
}

#[tokio::test]
async fn a_missing_program_is_the_machine_s_lack_and_named() {
    let absent = Exec { program: Program::Named("no-such-compiler".to_owned()), ..sh("") };
    let error = Machine::new().run(&job(vec![absent], vec![])).await.unwrap_err();
    assert!(matches!(&error, RunnerError::Missing(text) if text.contains("no-such-compiler")), "{error}");
}

#[tokio::test]
async fn the_agent_itself_is_a_program_of_a_job() {
    let agent = Exec { program: Program::Agent, args: vec!["no-such-command".to_owned()], ..sh("") };
    let output = Machine::new().run(&job(vec![], vec![agent])).await.unwrap();
    assert_eq!(output.ran[0].exit, Exit::Code(2));
    assert_eq!(output.ran[0].command, "agent no-such-command");
}

#[tokio::test]
async fn a_process_gets_its_input_its_variables_and_its_folder_and_nothing_of_the_user_s() {
    let machine = Machine::new();
    let exec = Exec {
        stdin: b"input".to_vec(),
        env: vec![("PROFILE".to_owned(), "smoke".to_owned())],
        ..sh("cat; echo; pwd; echo $HOME $TMPDIR $PROFILE; env")
    };
    let output = machine.run(&job(vec![], vec![exec])).await.unwrap();
    let folder = machine.stage("candidate");
    let folder = folder.to_str().unwrap();
    let text = &output.ran[0].stdout;
    assert!(text.starts_with(&format!("input\n{folder}\n{folder} {folder} smoke\n")), "{text}");
    // Cargo gives its tests this variable: it stands for all that the user has set.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!text.contains("CARGO_MANIFEST_DIR"), "{text}");
}

#[tokio::test]
async fn the_result_is_what_this_process_wrote() {
    let machine = Machine::new();
    let write = with_result("printf '{}' > $AFTERHOURS_RESULT");
    let output = machine.run(&job(vec![], vec![write, with_result("true"), sh("true")])).await.unwrap();
    let results: Vec<_> = output.ran.iter().map(|ran| ran.result.as_deref()).collect();
    assert_eq!(results, [Some(b"{}".as_slice()), None, None], "a stale result counts as none");
}

#[tokio::test]
async fn a_result_that_is_a_link_or_too_large_is_refused_with_a_note() {
    for script in ["ln -s /etc/passwd $AFTERHOURS_RESULT", "head -c 20000000 /dev/zero > $AFTERHOURS_RESULT"] {
        let script = format!("printf own >&2; {script}");
        let output = Machine::new().run(&job(vec![], vec![with_result(&script)])).await.unwrap();
        let ran = &output.ran[0];
        assert_eq!((ran.exit, &ran.result), (Exit::Code(0), &None));
        assert!(ran.stderr.starts_with("own\n[the result ") && ran.stderr.contains("was not read"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn what_a_block_leaves_in_its_folder_is_gone_before_the_next() {
    let spoil =
        "cat kernel.txt built; echo fast > built; rm kernel.txt; echo 1 > cache; mkdir -p deep/er; chmod 0 deep";
    let show = || sh(&format!("ls | tr '\\n' ' '; {spoil}"));
    let output = Machine::new().run(&job(vec![sh("echo slow > built")], vec![show(), show()])).await.unwrap();
    let said: Vec<_> = output.ran[1..].iter().map(|ran| ran.stdout.as_str()).collect();
    assert_eq!(said, ["built kernel.txt Candidateslow\n"; 2]);
}

#[tokio::test]
async fn a_file_outside_its_stage_is_refused_before_anything_runs() {
    let machine = Machine::new();
    let mut escape = job(vec![], vec![sh("true")]);
    escape.stages[0].files.push(("../../escaped".into(), vec![]));
    assert!(matches!(machine.run(&escape).await, Err(RunnerError::Failed(text)) if text.contains("../../escaped")));
    assert!(!machine.room.path().join("escaped").exists());
}

#[tokio::test]
async fn a_block_without_a_stage_is_refused() {
    let mut stray = job(vec![], vec![sh("true")]);
    stray.blocks[0].role = Role::Incumbent;
    assert!(matches!(Machine::new().run(&stray).await, Err(RunnerError::Failed(text)) if text.contains("Incumbent")));
}

#[tokio::test]
async fn output_that_is_no_text_is_replaced_and_long_output_cut() {
    let script = "printf 'a\\377b'; head -c 3000000 /dev/zero | tr '\\0' x >&2";
    let output = Machine::new().run(&job(vec![], vec![sh(script)])).await.unwrap();
    assert_eq!(output.ran[0].stdout, "a\u{fffd}b");
    assert!(output.ran[0].stderr.contains("\n[… 1951424 bytes left out …]\n"));
}

#[tokio::test]
async fn two_jobs_on_one_device_take_turns() {
    let (first, second) = (Machine::new(), Machine::new());
    let shared = tempfile::tempdir().unwrap();
    let log = shared.path().join("log");
    let block = || sh(&format!("echo in >> {0}; sleep 0.3; echo out >> {0}", log.display()));
    let job = job(vec![], vec![block(), block()]);
    let waits = RefCell::new(0);
    let run = async |machine: &Machine| {
        // The two write to one file, as no confined process can.
        let runner =
            machine.runner().with_locks_in(shared.path().to_owned()).confined(SandboxChoice::Unconfined).unwrap();
        let mut progress = |progress| *waits.borrow_mut() += usize::from(progress == Progress::WaitingForDevice);
        runner.run(&job, &mut progress).await.unwrap();
    };
    tokio::join!(run(&first), run(&second));
    assert_eq!(fs::read_to_string(log).unwrap(), "in\nout\n".repeat(4));
    assert_eq!(waits.into_inner(), 1, "one waited, and was told so once");
}

#[tokio::test]
async fn time_spent_waiting_for_the_device_is_not_the_job_s() {
    let machine = Machine::new();
    let gpu = Gpu("cpu".to_owned());
    let lock = DeviceLock::acquire(machine.room.path(), &gpu, || {}).await.unwrap();
    let job = Job { timeout: Duration::from_secs(2), ..job(vec![], vec![sh("sleep 0.1")]) };
    let release = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        drop(lock);
    };
    let (output, ()) = tokio::join!(machine.run(&job), release);
    assert_eq!(output.unwrap().ran[0].exit, Exit::Code(0));
}

#[tokio::test]
async fn a_dropped_job_leaves_neither_processes_nor_folders_nor_the_lock() {
    let machine = Machine::new();
    let job = job(vec![], vec![sh("setsid sleep 1000 & touch ready; sleep 1000")]);
    let runner = machine.runner();
    {
        let mut ignore = |_| {};
        let mut running = runner.run(&job, &mut ignore);
        while !machine.stage("candidate").join("ready").exists() {
            tokio::select! {
                _ = &mut running => panic!("it sleeps"),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    }
    assert!(at_home_in(&machine.stage("candidate")).is_empty());
    assert!(!machine.stage("candidate").exists());
    DeviceLock::acquire(machine.room.path(), &job.gpu, || panic!("nobody holds it")).await.unwrap();
}

/// Not a test: the process that the next one kills.
#[tokio::test]
async fn a_host_for_another_test() {
    let Some(room) = std::env::var_os("AFTERHOURS_TEST_HOST") else { return };
    let script = "trap '' TERM; setsid sleep 1000 & (setsid sh -c '(sleep 1000; :) &' &); touch ready; sleep 1000; :";
    let _ = local(Path::new(&room)).run(&job(vec![], vec![sh(script)]), &mut |_| {}).await;
}

#[tokio::test]
async fn the_device_of_a_killed_agent_is_free_when_the_last_of_its_processes_is_gone() {
    let machine = Machine::new();
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_host_for_another_test"])
        .env("AFTERHOURS_TEST_HOST", machine.room.path())
        .env("OPENAI_API_KEY", "sk-secret")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let folder = machine.stage("candidate");
    eventually("the program is ready", || folder.join("ready").exists());
    // Some of them start behind it.
    eventually("all of its processes are there", || at_home_in(&folder).len() > 3);
    for pid in at_home_in(&folder) {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&environment).contains("sk-secret"));
    }
    host.kill().unwrap();
    host.wait().unwrap();
    let job = job(vec![], vec![sh("test ! -e ready")]);
    let acquired = DeviceLock::acquire(machine.room.path(), &job.gpu, || {});
    let lock = tokio::time::timeout(Duration::from_secs(30), acquired).await.unwrap().unwrap();
    let left = at_home_in(&folder);
    drop(lock);
    // The supervisor lets go of the lock on its own way out.
    let supervisor = |pid: &i32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.windows(9).any(|part| part == b"supervise"))
    };
    assert!(left.iter().all(supervisor), "{left:?}");
    assert!(machine.run(&job).await.unwrap().ran[0].exit.is_success(), "the old stage is gone");
}
