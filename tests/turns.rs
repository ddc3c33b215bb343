//! Two blocks that take turns: one works at a time, whoever ends leaves the rest to the other, and whoever fails is told.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of a test fails the test")]

use std::fs;
use std::time::Duration;

use afterhours::harness::{
    Block, BlockResult, Exec, Exit, Failure, Harness, Job, JobOutput, Part, Program, Request, Role, Stage, open,
};
use afterhours::protocol::{Effort, Gpu, KernelFailure};
use afterhours::runner::{Local, Runner as _, RunnerError};
use tempfile::TempDir;

async fn run(job: &Job) -> Result<JobOutput, RunnerError> {
    let room = tempfile::tempdir().unwrap();
    let scratch = room.path().join("scratch");
    let runner = Local::new(env!("CARGO_BIN_EXE_agent").into(), scratch.clone()).with_locks_in(room.path().to_owned());
    let output = runner.run(job, &mut |_| {}).await;
    assert_eq!(fs::read_dir(scratch).map_or(0, Iterator::count), 0, "no folder may stay");
    output
}

/// Shell words for a turn: to take it, and to give it away, which is no error where nobody is left. `now` prints the nanoseconds.
const TURN: &str = "trap '' PIPE; take() { head -c 1 >/dev/null 2>&1 || :; }; give() { printf x >&0 || :; };
                    now() { date +%s%N; };";

fn sh(script: &str) -> Exec {
    Exec {
        program: Program::Named("sh".to_owned()),
        args: vec!["-c".to_owned(), format!("{TURN} {script}")],
        env: Vec::new(),
        stdin: Vec::new(),
        result: None,
    }
}

fn job(roles: [Role; 2], blocks: [Exec; 2]) -> Job {
    let stage = |role| Stage { role, files: vec![("kernel.txt".into(), b"text".to_vec())], build: Vec::new() };
    Job {
        gpu: Gpu("cpu".to_owned()),
        stages: vec![stage(Role::Candidate), stage(Role::Incumbent)],
        blocks: roles.into_iter().zip(blocks).map(|(role, exec)| Block { role, exec }).collect(),
        turn_calls: Some(3),
        first_pair: 0,
        timeout: Duration::from_secs(60),
    }
}

const DUEL: [Role; 2] = [Role::Incumbent, Role::Candidate];
const OTHER_DUEL: [Role; 2] = [Role::Candidate, Role::Incumbent];

/// Works for a while in each of so many turns, and prints when each began and ended.
fn works(turns: usize) -> Exec {
    sh(&format!("for turn in $(seq {turns}); do take; now; sleep 0.02; now; give; done"))
}

fn moments(output: &JobOutput, at: usize) -> Vec<u64> {
    output.ran[at].stdout.lines().map(|line| line.parse().unwrap()).collect()
}

#[tokio::test]
async fn one_works_at_a_time_the_first_one_first_and_each_has_half_of_the_time() {
    let output = run(&job(DUEL, [works(4), works(4)])).await.unwrap();
    let mut turns: Vec<_> = (0..2)
        .flat_map(|at| moments(&output, at).chunks(2).map(|turn| (turn[0], turn[1], at)).collect::<Vec<_>>())
        .collect();
    turns.sort_unstable();
    assert_eq!(turns.iter().map(|turn| turn.2).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1, 0, 1]);
    assert!(turns.windows(2).all(|two| two[0].1 <= two[1].0), "{turns:?}");
    assert_eq!(
        output.ran.iter().map(|ran| (ran.role, ran.part)).collect::<Vec<_>>(),
        [(Role::Incumbent, Part::Block(0)), (Role::Candidate, Part::Block(1)),]
    );
    assert_eq!(output.ran[0].elapsed, output.ran[1].elapsed);
}

#[tokio::test]
async fn whoever_ends_first_leaves_every_turn_to_the_other() {
    for turns in [[1, 5], [5, 1], [0, 3], [3, 0]] {
        let output = run(&job(DUEL, turns.map(works))).await.unwrap();
        assert_eq!([0, 1].map(|at| moments(&output, at).len() / 2), turns);
    }
}

#[tokio::test]
async fn two_blocks_of_one_text_have_a_folder_each() {
    let alone = sh("take; test ! -e mark; echo $?; touch mark; cat kernel.txt; give; take; sleep 0.02; give");
    let output = run(&job([Role::Candidate; 2], [alone.clone(), alone])).await.unwrap();
    assert_eq!(output.ran.iter().map(|ran| ran.stdout.as_str()).collect::<Vec<_>>(), ["0\ntext"; 2]);
    assert_eq!(output.ran[1].part, Part::Block(1));
}

#[tokio::test]
async fn both_are_timed_on_one_processor() {
    let shows = || sh("take; echo $AFTERHOURS_PROCESSOR; give");
    let output = run(&job(DUEL, [shows(), shows()])).await.unwrap();
    assert!(output.ran[0].stdout.trim().parse::<usize>().is_ok(), "{:?}", output.ran[0].stdout);
    assert_eq!(output.ran[0].stdout, output.ran[1].stdout);
}

#[tokio::test]
async fn the_one_that_hangs_is_told_and_not_the_one_that_waits_for_it() {
    let hangs = || sh("take; sleep 1000");
    for (roles, blocks, guilty) in
        [(DUEL, [works(3), hangs()], Part::Block(1)), (OTHER_DUEL, [hangs(), works(3)], Part::Block(0))]
    {
        let job = Job { timeout: Duration::from_secs(2), ..job(roles, blocks) };
        let ran = run(&job).await.unwrap().ran;
        assert_eq!(
            ran.iter().map(|ran| (ran.role, ran.part, ran.exit)).collect::<Vec<_>>(),
            [(Role::Candidate, guilty, Exit::TimedOut)]
        );
        assert!(ran[0].elapsed >= job.timeout, "{:?}", ran[0].elapsed);
    }
}

#[tokio::test]
async fn where_one_fails_the_other_goes_on_to_its_end_and_nothing_runs_after_them() {
    let fails = || sh("take; exit 3");
    let mut three = job(DUEL, [works(2), fails()]);
    three.blocks.extend(job(DUEL, [works(1), works(1)]).blocks);
    let ran = run(&three).await.unwrap().ran;
    assert_eq!(ran.iter().map(|ran| ran.exit).collect::<Vec<_>>(), [Exit::Code(0), Exit::Code(3)]);
    let ran = run(&job(DUEL, [fails(), works(2)])).await.unwrap().ran;
    assert_eq!(ran.iter().map(|ran| (ran.part, ran.exit)).collect::<Vec<_>>(), [(Part::Block(0), Exit::Code(3))]);
}

/// A native harness whose kernel is called often enough for several turns.
struct Problem(TempDir);

const RIGHT: &str = "void twice(const float *x, float *y, int n) { for (int i = 0; i < n; i++) y[i] = 2 * x[i]; }\n";

impl Problem {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "harness.toml",
            r#"
            name = "twice"
            entry = "twice"
            reference = "reference.c"
            compile = { cc = "cc", imports = ["lseek", "__errno_location"] }
            tolerance = { rtol = 1e-5, atol = 1e-6 }
            args = [
              { name = "x", role = "in", dtype = "f32", shape = ["n"], distribution = { kind = "normal", mean = 0.0, std = 1.0 } },
              { name = "y", role = "out", dtype = "f32", shape = ["n"] },
              { name = "n", role = "size", value = "n" },
            ]
            cases = [{ id = "small", sizes = { n = 300 } }, { id = "large", sizes = { n = 5000 } }]
            "#,
        );
        write(
            "reference.c",
            "void reference(const double *x, double *y, int n) { for (int i = 0; i < n; i++) y[i] = 2 * x[i]; }\n",
        );
        Self(folder)
    }

    fn open(&self) -> Box<dyn Harness> {
        open(&self.0.path().join("harness.toml")).unwrap()
    }
}

/// Measures two pairs of the candidate and a right incumbent, of which the side of `first` begins.
fn duel(candidate: &str, first: Role, timeout_seconds: u32) -> Result<Vec<(Role, BlockResult)>, Failure> {
    let harness = Problem::new().open();
    let effort = Effort { repeats: 23, stage_repeats: vec![4, 19], early_stop_us: None, timeout_seconds, pairs: 2 };
    let job = |seed| {
        let request = Request {
            gpu: &Gpu("cpu".to_owned()),
            profile: "candidate",
            effort: &effort,
            candidate: candidate.as_bytes(),
            incumbent: Some(RIGHT.as_bytes()),
            seed,
            first_pair: 0,
        };
        harness.job(&request).unwrap()
    };
    // A coin decides for each seed.
    let job = (0..).map(job).find(|job| job.blocks[0].role == first).unwrap();
    assert_eq!(job.turn_calls, Some(3));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let output = runtime.block_on(run(&job)).unwrap();
    let read = output.ran.iter().filter_map(|ran| Some(harness.read(ran).transpose()?.map(|block| (ran.role, block))));
    read.collect()
}

#[test]
fn a_duel_of_kernels_in_c_takes_turns_and_every_call_of_every_case_has_its_time() {
    let blocks = duel(RIGHT, Role::Incumbent, 60).unwrap();
    assert_eq!(blocks.len(), 4);
    for pair in blocks.chunks(2) {
        assert_ne!(pair[0].0, pair[1].0);
    }
    for (_, block) in blocks {
        assert_eq!(block.cases.iter().map(|case| case.time_us.len()).collect::<Vec<_>>(), [23, 23]);
    }
}

#[test]
fn a_kernel_finds_none_of_the_descriptors_by_which_turns_are_taken() {
    // Neither a pipe nor a socket has places to go to: error 29.
    let looks = "long lseek(int, long, int);\nint *__errno_location(void);\n\
                 void twice(const float *x, float *y, int n) {\n\
                 for (int i = 0; i < n; i++) y[i] = 2 * x[i];\n\
                 for (int fd = 3; fd < 64; fd++) if (lseek(fd, 0, 1) < 0 && *__errno_location() == 29) y[0] = fd; }\n";
    assert_eq!(duel(looks, Role::Candidate, 60).map(|blocks| blocks.len()), Ok(4));
}

#[test]
fn a_kernel_that_fails_beside_its_incumbent_is_blamed_whoever_began() {
    let looped = "void twice(const float *x, float *y, int n) { volatile int on = 1; while (on) { } }\n";
    let crashes = "#include <stdlib.h>\nvoid twice(const float *x, float *y, int n) { abort(); }\n";
    let wrong = "void twice(const float *x, float *y, int n) { for (int i = 0; i < n; i++) y[i] = 3 * x[i]; }\n";
    for (text, failure, seconds) in [
        (looped, KernelFailure::Timeout, 2),
        (crashes, KernelFailure::Crash, 60),
        (wrong, KernelFailure::WrongAnswer, 60),
    ] {
        for first in [Role::Incumbent, Role::Candidate] {
            match duel(text, first, seconds) {
                Err(Failure::Kernel(found, _)) => assert_eq!(found, failure, "{first:?} began"),
                other => panic!("{first:?} began, {failure}: {other:?}"),
            }
        }
    }
}
