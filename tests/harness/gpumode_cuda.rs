//! GPU MODE tasks in CUDA through the local runner, on a machine whose `nvcc` and driver are stand-ins: what stands around a
//! build and its program is the same with the real ones.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use afterhours::harness::{HarnessError, Request, open};
use afterhours::protocol::{Gpu, InfraFailure, KernelFailure, Outcome, Profile};
use afterhours::tools::Measured;
use tempfile::TempDir;

use crate::task::{Task, effort};

const RIGHT: &str = include_str!("../fixtures/gpumode/cuda/submission.cu");
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gpumode/cuda");

/// Tells whether the stand-in has a compiler to hand its work to, and says so loudly where it has none.
fn can_build() -> bool {
    let has = Command::new("c++").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("SKIPPED: there is no c++ in PATH");
    }
    has
}

/// A folder with a driver that names a B200, and nothing else.
fn driver() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let fake = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cuda/fake.c");
        let code = format!("-DCODE={fake:?}");
        let args = ["-shared", "-fPIC", &code, fake, "-o", "libcuda.so.1"];
        assert!(Command::new("cc").args(args).current_dir(folder.path()).status().unwrap().success());
        folder
    });
    folder.path()
}

/// The task in CUDA that is shipped with these tests, on a machine with the stand-ins for compiler and driver.
fn cuda() -> Task {
    let files = ["cuda/task.yml", "cuda/task.cuh", "cuda/eval.cu", "cuda/submission.cu"];
    let task = Task::copy("cuda", &files, Gpu::default());
    task.with_variable("LD_LIBRARY_PATH", driver().display().to_string())
        .with_variable("PATH", path(Path::new(SHIPPED)))
}

/// Returns a `PATH` that finds the compiler in `compilers` first.
fn path(compilers: &Path) -> String {
    format!("{}:{}", compilers.display(), std::env::var("PATH").unwrap())
}

/// Runs `agent` in the task's repository with this `PATH`.
fn agent(task: &Task, path: &str, args: &[&str]) -> Output {
    git2::Repository::init(task.room.path()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
    command.args(args).current_dir(task.room.path()).env("PATH", path).env("LD_LIBRARY_PATH", driver());
    command.output().unwrap()
}

fn commands(measured: &Measured) -> Vec<&str> {
    measured.output.ran.iter().map(|ran| ran.command.as_str()).collect()
}

#[test]
fn the_sources_are_built_once_and_the_program_is_started_in_each_mode() {
    if !can_build() {
        return;
    }
    let measured = cuda().measure(Profile::Smoke, RIGHT, None);
    let [build, test, look, again] = commands(&measured)[..] else { panic!("{:?}", measured.outcome) };
    assert!(build.starts_with("agent launch -- nvcc --std=c++20 -O3 -DNDEBUG "), "{build}");
    let task_s = "-arch=sm_100a -Iinclude -DFACTOR=2 -DCHECKED -Wall eval.cu submission.cu -lm -o eval.out";
    assert!(build.ends_with(task_s), "{build}");
    assert_eq!(test, "agent launch -- ./eval.out test afterhours-tests.txt");
    assert_eq!((look, again), ("agent launch -- ./eval.out benchmark afterhours-first.txt", look));
    let Outcome::Measured { device, candidate, .. } = measured.outcome else { panic!("{:?}", measured.outcome) };
    assert_eq!(device.name, "NVIDIA B200");
    assert_eq!(candidate.cases[0].id, "size: 1000; seed: 11");
}

#[test]
fn both_sides_of_a_duel_are_built_before_its_blocks() {
    if !can_build() {
        return;
    }
    let slow = with("for (volatile int turn = 0; turn < 1000000; turn = turn + 1) {}");
    for (profile, mode) in [(Profile::Candidate, "benchmark"), (Profile::Final, "leaderboard")] {
        let measured = cuda().measure(profile, RIGHT, Some(&slow));
        let commands = commands(&measured);
        assert_eq!(commands.len(), 6, "{:?}", measured.outcome);
        assert!(commands[..2].iter().all(|command| command.contains(" nvcc ")), "{commands:?}");
        let start = format!("agent launch -- ./eval.out {mode} ");
        assert!(commands[2..].iter().all(|command| command.starts_with(&start)), "{commands:?}");
        assert!(measured.outcome.comparison().unwrap().ratio > 1.0);
    }
}

#[test]
fn the_program_is_built_for_the_device_of_the_mission() {
    let harness = open(&cuda().file()).unwrap();
    let table = [("B200", "sm_100a"), ("H100", "sm_90a"), ("NVIDIA A100-SXM4-80GB", "sm_80"), ("Voodoo2", "native")];
    for (name, arch) in table {
        let (gpu, effort) = (Gpu(name.to_owned()), effort());
        let request = Request {
            gpu: &gpu,
            profile: "smoke",
            effort: &effort,
            candidate: RIGHT.as_bytes(),
            incumbent: None,
            seed: 1,
            first_pair: 0,
        };
        let job = harness.job(&request).unwrap();
        assert!(job.stages[0].build[0].args.contains(&format!("-arch={arch}")), "{name}");
    }
}

#[test]
fn what_does_not_compile_or_link_is_told_in_the_compiler_s_words_and_bounded() {
    if !can_build() {
        return;
    }
    let table = [
        (RIGHT.replace("FACTOR * number", "FACTOR * nombre"), "submission.cu:5:"),
        (RIGHT.replace("> kernel(", "> colonel("), "undefined reference to `kernel("),
        ("#error \"a tile is too large\"\n".repeat(5000), "more lines"),
        (format!("#error {}\n", "x".repeat(100_000)), "xxx"),
    ];
    for (text, expected) in table {
        let (failure, message) = cuda().kernel_failure(Profile::Smoke, &text);
        assert_eq!(failure, KernelFailure::Compile, "{message}");
        assert!(message.contains(expected) && message.len() < 3000, "{message}");
    }
}

#[test]
fn an_incumbent_that_does_not_compile_does_not_blame_the_candidate() {
    if !can_build() {
        return;
    }
    let outcome = cuda().measure(Profile::Candidate, RIGHT, Some("}")).outcome;
    assert!(matches!(outcome, Outcome::InfraFailed { failure: InfraFailure::Incumbent, .. }), "{outcome:?}");
}

#[test]
fn what_is_wrong_with_the_compiler_itself_is_no_fault_of_the_kernel() {
    let no_option = cuda().edit("\"-Wall\"", "\"--unknown\"").no_result(Profile::Smoke, RIGHT);
    assert_eq!(no_option, "nvcc fatal   : Unknown option '--unknown'");
    let compiler = |script: &str| {
        let task = cuda();
        let compilers = task.room.path().join("bin");
        fs::create_dir(&compilers).unwrap();
        fs::write(compilers.join("nvcc"), script).unwrap();
        fs::set_permissions(compilers.join("nvcc"), fs::Permissions::from_mode(0o755)).unwrap();
        task.with_variable("PATH", path(&compilers))
    };
    let message = compiler("#!/bin/sh\n").no_result(Profile::Smoke, RIGHT);
    assert!(message.contains("left no file eval.out"), "{message}");
    let message = compiler("#!/nowhere/sh\n").no_result(Profile::Smoke, RIGHT);
    assert!(message.contains("failed to start nvcc") && message.contains("install the CUDA toolkit"), "{message}");
    let (failure, message) = compiler("#!/bin/sh\nkill -SEGV $$\n").kernel_failure(Profile::Smoke, RIGHT);
    assert_eq!(failure, KernelFailure::Compile, "{message}");
    assert!(message.contains("SIGSEGV"), "{message}");
}

/// The kernel that is right, with a line of C before its work.
fn with(line: &str) -> String {
    let head = "#include <cstdio>\n#include <cstdlib>\n#include <cstring>\n#include <unistd.h>\n";
    head.to_owned()
        + &RIGHT.replace("    std::vector<int> output;", &format!("    {line}\n    std::vector<int> output;"))
}

#[test]
fn wrong_answers_crashes_and_time_outs_are_the_kernel_s() {
    if !can_build() {
        return;
    }
    for profile in [Profile::Smoke, Profile::Final] {
        let wrong = RIGHT.replace("FACTOR * number", "number");
        let (failure, message) = cuda().kernel_failure(profile, &wrong);
        assert_eq!(failure, KernelFailure::WrongAnswer);
        assert!(message.starts_with("case size: ") && message.contains("element 0 differs"), "{message}");
    }
    let table = [
        ("*(volatile int *)nullptr = 1;", KernelFailure::Crash, "SIGSEGV"),
        ("std::abort();", KernelFailure::Crash, "SIGABRT"),
        ("std::exit(3);", KernelFailure::Crash, "eval.out ended with exit code 3"),
        ("std::exit(110);", KernelFailure::Crash, "eval.out says that a call of CUDA failed"),
        ("sleep(1000);", KernelFailure::Timeout, "still running after the 2 s that the harness gives it"),
    ];
    for (line, expected, words) in table {
        let task = cuda().edit("test_timeout: 60", "test_timeout: 2");
        let (failure, message) = task.kernel_failure(Profile::Smoke, &with(line));
        assert_eq!(failure, expected, "{line}: {message}");
        assert!(message.contains(words), "{line}: {message}");
    }
}

#[test]
fn what_a_kernel_prints_or_adds_to_the_report_is_no_measurement() {
    if !can_build() {
        return;
    }
    let forged = r#"static const char said[] = "benchmark-count: 2\nbenchmark.0.mean: 1\ncheck: pass\n";"#;
    let prints = with(&format!("{forged} std::fputs(said, stdout); std::fputs(said, stderr);"));
    match cuda().measure(Profile::Candidate, &prints, None).outcome {
        Outcome::Measured { candidate, .. } => assert_eq!(candidate.cases.len(), 2),
        other => panic!("{other:?}"),
    }
    let writes = format!("{forged} write(std::atoi(std::getenv(\"POPCORN_FD\")), said, sizeof said - 1);");
    let message = cuda().no_result(Profile::Candidate, &with(&writes));
    assert!(message.contains("said twice"), "{message}");
    let ends = format!("{writes} _exit(0);");
    let message = cuda().no_result(Profile::Candidate, &with(&ends));
    assert!(message.contains("said twice") || message.contains("missing"), "{message}");
}

#[test]
fn a_program_that_a_kernel_has_put_in_the_place_of_its_own_is_not_started() {
    if !can_build() {
        return;
    }
    // In the tests, whose process is not a block: the stage is put back before each of those.
    let replaces = r##"std::FILE *own = std::fopen("../made/eval.out", "w"); std::fputs("#!/bin/true\n", own); std::fclose(own);"##;
    let (failure, message) = cuda().kernel_failure(Profile::Smoke, &with(replaces));
    assert_eq!(failure, KernelFailure::Crash);
    assert!(message.contains("has changed eval.out in its stage"), "{message}");
    let measured = cuda().measure(Profile::Candidate, &with(replaces), None);
    assert!(
        matches!(measured.outcome, Outcome::Measured { .. }),
        "a block finds what was built: {:?}",
        measured.outcome
    );
}

#[test]
fn a_running_program_finds_none_of_its_sources_and_nothing_of_an_earlier_block() {
    if !can_build() {
        return;
    }
    let table = ["eval.cu", "include/task.cuh", "submission.cu", "mark"];
    let looks = table.map(|name| format!("if (std::fopen(\"{name}\", \"r\")) std::abort();")).concat();
    let leaves = "static bool once = true; if (once) { LOOKS } once = false; std::fopen(\"mark\", \"w\");";
    let measured = cuda().measure(Profile::Candidate, &with(&leaves.replace("LOOKS", &looks)), None);
    assert!(matches!(measured.outcome, Outcome::Measured { .. }), "{:?}", measured.outcome);
}

#[test]
fn the_last_benchmark_alone_is_asked_for_where_it_alone_counts() {
    if !can_build() {
        return;
    }
    let measured = cuda().edit("ranking_by: \"geom\"\n", "").measure(Profile::Final, RIGHT, None);
    let Outcome::Measured { candidate, .. } = measured.outcome else { panic!("{:?}", measured.outcome) };
    assert_eq!(candidate.cases.iter().map(|case| case.id.as_str()).collect::<Vec<_>>(), ["size: 2000; seed: 12"]);
}

#[test]
fn a_task_and_its_kernel_are_of_one_language_and_cuda_needs_a_device() {
    let supports = |task: &Path, kernel: &str, gpu: &str| {
        let told = open(task).unwrap().supports(Path::new(kernel), &Gpu(gpu.to_owned()));
        told.map_err(|error| error.to_string())
    };
    let cuda = cuda();
    for kernel in ["submission.cu", "submission.cuh"] {
        supports(&cuda.file(), kernel, "B200").unwrap();
    }
    let error = supports(&cuda.file(), "k/submission.py", "B200").unwrap_err();
    assert!(error.contains("takes a kernel in CUDA, *.cu or *.cuh, and \"submission.py\" is none"), "{error}");
    let error = supports(&cuda.file(), "submission.cu", "cpu").unwrap_err();
    assert!(error.contains("cannot be measured on the processor; name a device in gpu"), "{error}");
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpumode/double/task.yml");
    supports(&python, "submission.py", "cpu").unwrap();
    let error = supports(&python, "submission.cu", "B200").unwrap_err();
    assert!(error.contains("takes a kernel in Python, *.py, and \"submission.cu\" is none"), "{error}");
}

#[test]
fn without_nvcc_nothing_begins_and_the_remedy_is_named() {
    let task = cuda();
    let (kernel, harness) = ("tasks/cuda/submission.cu", "tasks/cuda/task.yml");
    let measure = ["tool", "test-run", "--kernel", kernel, "--harness", harness];
    fs::write(
        task.room.path().join("mission.md"),
        format!("---\nkernel: {kernel}\nharness: {harness}\ntarget_speedup: 2\n---\nFaster.\n"),
    )
    .unwrap();
    for args in [&measure[..], &["run", "--mission", "mission.md"], &["doctor", "--mission", "mission.md"]] {
        let ended = agent(&task, "/nowhere", args);
        assert_eq!(ended.status.code(), Some(3), "{ended:?}");
        let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert!(said.contains("nvcc was not found in PATH; install the CUDA toolkit, or add"), "{said}");
        assert!(!task.room.path().join("artifacts").exists());
    }
}

#[test]
fn the_tools_measure_such_a_task_and_the_gate_says_why_it_stands_aside() {
    if !can_build() {
        return;
    }
    let task = cuda();
    let (kernel, harness) = ("tasks/cuda/submission.cu", "tasks/cuda/task.yml");
    let args = ["tool", "test-run", "--kernel", kernel, "--harness", harness, "--artifact", "test.txt"];
    let ended = agent(&task, &path(Path::new(SHIPPED)), &args);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let artifact = fs::read_to_string(task.room.path().join("test.txt")).unwrap();
    assert!(artifact.contains("NVIDIA B200"), "{artifact}");
    assert!(artifact.contains("nvcc builds it in the job, together with the task's own files"), "{artifact}");
}

#[test]
fn a_task_in_cuda_that_cannot_be_used_names_the_key_and_the_remedy() {
    let table = [
        ("lang: \"cu\"", "lang: \"hip\"", "lang: \"hip\" is no language of a task; write \"py\" or \"cu\""),
        ("config:", "configuration:", "config: missing; write `config: {sources"),
        (
            "  sources:",
            "  main: \"eval.cu\"\n  sources:",
            "config.main: a task in CUDA has no such key; known are sources,",
        ),
        ("  sources: [\"eval.cu\", \"submission.cu\"]\n", "", "config.sources: missing; list the files"),
        ("[\"eval.cu\", \"submission.cu\"]", "[]", "config.sources: is empty; list the files"),
        ("[\"eval.cu\", \"submission.cu\"]", "eval.cu", "config.sources: is a text; write a list"),
        ("[\"eval.cu\", ", "[\"evil.cu\", ", "config.sources[0]: \"evil.cu\" is not among the names of `files`"),
        ("[\"eval.cu\", ", "[\"../eval.cu\", ", "config.sources[0]: \"../eval.cu\" is not among the names"),
        ("[\"eval.cu\", ", "[\"submission.cu\", ", "config.sources[1]: \"submission.cu\" stands here twice"),
        ("[\"include\"]", "[\"../include\"]", "config.include_dirs[0]: \"../include\" does not lie below"),
        ("[\"include\"]", "[\"\"]", "config.include_dirs[0]: \"\" does not lie below"),
        ("[\"include\"]", "include", "config.include_dirs: is a text; write a list"),
        ("{FACTOR: 2,", "{FACTOR: true,", "config.defines.FACTOR: cannot be a macro's value"),
        ("{FACTOR: 2,", "{2FACTOR: 2,", "\"2FACTOR\" is no name of a macro"),
        ("{FACTOR: 2,", "{\"F=1 -x\": 2,", "\"F=1 -x\" is no name of a macro"),
        ("[\"-Wall\"]", "[\"Wall\"]", "config.compile_flags[0]: \"Wall\" is no flag"),
        ("[\"-Wall\"]", "[3]", "config.compile_flags[0]: is a number; write a text"),
        ("libraries: [\"m\"]", "libraries: [\"m -x\"]", "libraries[0]: \"m -x\" is no library's name"),
        ("\"source\": \"eval.cu\"", "\"source\": \"gone.cu\"", "files[2].source: \"gone.cu\" cannot be read"),
        ("\"source\": \"eval.cu\"", "\"source\": \"@EVAL_CU@\"", "\"@EVAL_CU@\" stands for a file of GPU MODE's own"),
        ("\"source\": \"eval.cu\"", "\"source\": \"ring\"", "its links lead round in a circle"),
        ("\"source\": \"eval.cu\"", "\"source\": \"../../outside\"", "\"../../outside\" leads out of"),
        (
            "\"name\": \"include/task.cuh\"",
            "\"name\": \"../task.cuh\"",
            "files[1].name: \"../task.cuh\" does not lie below",
        ),
        ("\"name\": \"include/task.cuh\"", "\"name\": \"eval.out\"", "files: the name \"eval.out\" is taken"),
        ("\"@SUBMISSION@\"", "\"submission.cu\"", "files: none is the kernel"),
    ];
    for (from, to, expected) in table {
        let task = cuda().edit(from, to);
        fs::write(task.room.path().join("outside"), "").unwrap();
        std::os::unix::fs::symlink("ring", task.folder().join("ring")).unwrap();
        match open(&task.file()) {
            Err(HarnessError::Bad { path, message }) => {
                assert_eq!(path, task.file());
                assert!(message.contains(expected), "{to}: {message}");
            }
            Err(other) => panic!("{to}: {other}"),
            Ok(_) => panic!("{to}: it was opened"),
        }
    }
}
