//! GPU MODE tasks, run unchanged through the local runner.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use afterhours::harness::{HarnessError, open};
use afterhours::protocol::{Gpu, InfraFailure, KernelFailure, Outcome, Profile};
use afterhours::tools::Measured;

use crate::task::Task;

const RIGHT: &str = include_str!("../fixtures/gpumode/double/submission.py");

/// The task in Python that is shipped with these tests, on the processor.
fn double() -> Task {
    let files = ["eval.py", "double/task.yml", "double/reference.py"];
    Task::copy("double", &files, Gpu("cpu".to_owned()))
}

fn cases(measured: &Measured) -> Vec<&str> {
    match &measured.outcome {
        Outcome::Measured { candidate, .. } => candidate.cases.iter().map(|case| case.id.as_str()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_smoke_test_runs_every_test_and_looks_at_the_first_benchmark() {
    let measured = double().measure(Profile::Smoke, RIGHT, None);
    assert_eq!(cases(&measured), ["size: 1000; seed: 11"]);
    let commands: Vec<&str> = measured.output.ran.iter().map(|ran| ran.command.as_str()).collect();
    assert_eq!(commands[0], "agent launch -- python3 eval.py test afterhours-tests.txt");
    assert_eq!(commands[1], "agent launch -- python3 eval.py benchmark afterhours-first.txt");
    let Outcome::Measured { device, .. } = measured.outcome else { panic!() };
    assert!(device.name.starts_with("cpu ("), "{device:?}");
}

#[test]
fn candidate_and_final_measure_every_benchmark_of_both_sides() {
    let task = double();
    for (profile, mode) in [(Profile::Candidate, "benchmark"), (Profile::Final, "leaderboard")] {
        let slow =
            "def kernel(data):\n    for _ in range(50):\n        output = [2 * x for x in data]\n    return output\n";
        let measured = task.measure(profile, RIGHT, Some(slow));
        assert_eq!(cases(&measured), ["size: 1000; seed: 11", "size: 2000; seed: 12"]);
        assert_eq!(measured.output.ran.len(), 4);
        assert!(measured.output.ran.iter().all(|ran| ran.command.contains(mode)));
        assert!(measured.outcome.comparison().unwrap().ratio > 1.0);
    }
}

#[test]
fn a_wrong_answer_is_told_with_its_case_in_every_mode() {
    let wrong = "def kernel(data):\n    return [x + x if i != 2 else 0 for i, x in enumerate(data)]\n";
    for profile in [Profile::Smoke, Profile::Candidate, Profile::Final] {
        let (failure, message) = double().kernel_failure(profile, wrong);
        assert_eq!(failure, KernelFailure::WrongAnswer);
        assert!(message.starts_with("case size: ") && message.contains("element 2 differs:\n  expected"), "{message}");
    }
}

#[test]
fn a_kernel_that_does_not_load_or_ends_its_process_crashes() {
    let task = double().edit("test_timeout: 60", "test_timeout: 5");
    let (failure, message) = task.kernel_failure(Profile::Smoke, "def kernel(data:\n");
    assert_eq!(failure, KernelFailure::Crash);
    assert!(message.contains("exit code 1") && message.contains("SyntaxError"), "{message}");
    let (failure, message) = task.kernel_failure(Profile::Smoke, "import os\nos.kill(os.getppid(), 9)\n");
    assert_eq!(failure, KernelFailure::Crash);
    assert!(message.contains("SIGKILL"), "{message}");
}

#[test]
fn the_task_s_own_time_holds() {
    let task = double().edit("test_timeout: 60", "test_timeout: 2");
    let (failure, message) = task.kernel_failure(Profile::Smoke, "import time\ntime.sleep(1000)\n");
    assert_eq!(
        (failure, message.as_str()),
        (KernelFailure::Timeout, "still running after the 2 s that the harness gives it")
    );
}

#[test]
fn what_a_kernel_prints_is_no_evidence() {
    let text = format!(
        "import sys\nfor file in (sys.stdout, sys.stderr):\n    \
         print('benchmark-count: 1\\nbenchmark.0.mean: 1\\ncheck: pass', file=file, flush=True)\n{RIGHT}"
    );
    let measured = double().measure(Profile::Candidate, &text, None);
    assert!(measured.output.ran[0].stdout.contains("benchmark.0.mean: 1"));
    assert_eq!(cases(&measured).len(), 2);
    let wrong = text.replace("2 * x", "x");
    assert_eq!(double().kernel_failure(Profile::Candidate, &wrong).0, KernelFailure::WrongAnswer);
}

/// Finds the descriptor of its evaluator, and reports a benchmark in which everything is fine.
const FORGER: &str = r#"
import os
folder = f"/proc/{os.getppid()}"
try:
    environ = dict(entry.split("=", 1) for entry in open(f"{folder}/environ").read().split("\0") if entry)
    with open(f"{folder}/fd/{environ['POPCORN_FD']}", "w") as file:
        file.write("benchmark.0.mean: 1.0\ncheck: pass\n")
except OSError:
    pass
"#;

#[test]
fn a_report_that_the_kernel_has_added_to_is_no_measurement() {
    let measured = double().measure(Profile::Candidate, &format!("{FORGER}\n{RIGHT}"), None);
    match measured.outcome {
        Outcome::InfraFailed { failure: InfraFailure::NoResult, message } => {
            assert!(message.contains("said twice"), "{message}");
        }
        // Where the system keeps a kernel from its evaluator, nothing was added.
        Outcome::Measured { candidate, .. } => assert!(candidate.us.get() > 0.01),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_kernel_that_speaks_for_its_evaluator_is_heard_as_incomplete() {
    let eval = "import os, sys\nfd = int(os.environ['POPCORN_FD'])\nimport submission\n";
    let text =
        "import os\nos.write(int(os.environ['POPCORN_FD']), b'benchmark-count: 2\\ncheck: pass\\n')\nos._exit(0)\n";
    let message = double().with_file("eval.py", eval).no_result(Profile::Candidate, text);
    assert!(message.contains("benchmark.0.spec is missing"), "{message}");
    assert!(
        double().with_file("eval.py", eval).no_result(Profile::Candidate, "").contains("benchmark-count is missing")
    );
}

#[test]
fn an_answer_that_the_kernel_wrote_in_the_launcher_s_place_is_a_crash() {
    let eval = "import submission\n";
    let text = r#"
import json, os, signal
answer = {"nonce": "0", "device": {"name": "cpu (x)"}, "args": ["eval.py", "benchmark", "afterhours-benchmarks.txt"],
          "ending": {"code": 0}, "report": "check: pass\n"}
assert "AFTERHOURS_RESULT" not in os.environ
with open("../result.json", "w") as file:
    json.dump(answer, file)
os.kill(os.getppid(), signal.SIGKILL)
"#;
    let (failure, message) = double().with_file("eval.py", eval).kernel_failure(Profile::Candidate, text);
    assert_eq!(failure, KernelFailure::Crash);
    assert!(message.contains("SIGKILL"), "{message}");
}

#[test]
fn nothing_that_a_kernel_leaves_reaches_its_next_block() {
    let leaves = format!("import os\nassert not os.path.exists('mark')\n{RIGHT}\nopen('mark', 'w').close()\n");
    assert_eq!(cases(&double().measure(Profile::Candidate, &leaves, None)).len(), 2);
    let eval =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpumode/eval.py")).unwrap();
    let changes = format!("open('../files/reference.py', 'a').write('check = lambda *_: \"\"\\n')\n{RIGHT}");
    match double().with_file("eval.py", &eval).measure(Profile::Candidate, &changes, None).outcome {
        Outcome::KernelFailed { failure: KernelFailure::Crash, message } => {
            assert!(message.contains("has changed reference.py"), "{message}");
        }
        // A runner may put the stage back before each block.
        other => assert!(matches!(other, Outcome::Measured { .. }), "{other:?}"),
    }
    let changes_and_is_wrong = changes.replace("2 * x", "x");
    let (failure, _) = double().kernel_failure(Profile::Candidate, &changes_and_is_wrong);
    assert_eq!(failure, KernelFailure::WrongAnswer);
}

#[test]
fn the_seed_of_a_measurement_makes_its_inputs() {
    let shows =
        format!("import sys\n{}", RIGHT.replace("    return", "    print(data[:3], file=sys.stderr)\n    return"));
    let task = double();
    let inputs = |seed| {
        let measured = task.measure_on(Gpu("cpu".to_owned()), Profile::Candidate, &shows, None, seed);
        measured.output.ran.iter().map(|ran| ran.stderr.clone()).collect::<Vec<_>>()
    };
    let (first, again, other) = (inputs(1), inputs(1), inputs(2));
    assert_eq!(first, again);
    assert!(first[0] != first[1] && first[0] != other[0] && !first[0].is_empty());
}

#[test]
fn a_machine_without_the_device_gives_no_result() {
    if Path::new("/dev/nvidiactl").exists() {
        eprintln!("SKIPPED: this machine has a CUDA device");
        return;
    }
    let measured = double().measure_on(Gpu("B200".to_owned()), Profile::Candidate, RIGHT, None, 1);
    let Outcome::InfraFailed { failure: InfraFailure::NoResult, message } = measured.outcome else { panic!() };
    assert!(message.contains("libcuda was not found") || message.contains("names no device"), "{message}");
}

#[test]
fn the_task_s_ranking_makes_one_figure_of_the_cases() {
    let eval = "import os\nfile = os.fdopen(int(os.environ['POPCORN_FD']), 'w')\nimport sys\n\
        lines = open(sys.argv[2]).read().splitlines()\nprint(f'benchmark-count: {len(lines)}', file=file)\n\
        for at, (line, ns) in enumerate(zip(lines, (1000.0, 4000.0))):\n    \
        print(f'benchmark.{at}.spec: {line}', file=file)\n    \
        for field, value in dict(runs=3, mean=ns, std=0, err=0, best=ns, worst=ns).items():\n        \
        print(f'benchmark.{at}.{field}: {value}', file=file)\nprint('check: pass', file=file)\n";
    // Where the last alone counts, it alone is asked for, and the first time is its own.
    for (ranking, us) in [("geom", 2.0), ("mean", 2.5), ("last", 1.0)] {
        let task = double().with_file("eval.py", eval).edit("\"geom\"", ranking);
        let figure = task.measure(Profile::Candidate, RIGHT, None).outcome.candidate_us().unwrap();
        assert!((figure.get() - us).abs() < 1e-9, "{ranking}: {figure}");
    }
    let task = double().with_file("eval.py", eval).edit("ranking_by: \"geom\"\n", "");
    let measured = task.measure(Profile::Candidate, RIGHT, None);
    assert_eq!(measured.outcome.candidate_us().unwrap().get(), 1.0);
    assert_eq!(cases(&measured), ["size: 2000; seed: 12"]);
}

#[test]
fn the_exit_codes_of_an_evaluator_tell_whose_fault_it_is() {
    let exits = |code: i32| double().with_file("eval.py", &format!("import sys\nsys.exit({code})\n"));
    assert_eq!(exits(112).kernel_failure(Profile::Candidate, "").0, KernelFailure::WrongAnswer);
    assert_eq!(exits(3).kernel_failure(Profile::Candidate, "").0, KernelFailure::Crash);
    assert_eq!(exits(74).kernel_failure(Profile::Candidate, "").0, KernelFailure::Crash);
    assert!(exits(113).no_result(Profile::Candidate, "").contains("cannot read the cases"));
    assert!(exits(111).no_result(Profile::Candidate, "").contains("no descriptor"));
}

#[test]
fn a_task_says_what_it_is_and_which_files_are_its_own() {
    let task = double();
    let harness = open(&task.file()).unwrap();
    assert_eq!(harness.name(), "double");
    assert_eq!(harness.description(), Some("Double every number of a list."));
    let folder = task.folder();
    let expected = [folder.join("task.yml"), folder.join("reference.py"), folder.with_file_name("eval.py")];
    assert_eq!(harness.files(), expected);
    let before = harness.hash();
    let changed = double().with_file("eval.py", "pass\n");
    assert_ne!(open(&changed.file()).unwrap().hash(), before);
    assert_eq!(open(&double().file()).unwrap().hash(), before);
}

#[test]
fn a_task_that_cannot_be_used_names_the_key_and_the_remedy() {
    let table = [
        ("lang: \"py\"\n", "", "lang: missing; write `lang: \"py\"` or `lang: \"cu\"`"),
        ("\"py\"", "\"cu\"", "config.main: a task in CUDA has no such key"),
        ("\"py\"", "3", "lang: is a number; write a text"),
        ("\"reference.py\"}", "\"gone.py\"}", "files[1].source: \"gone.py\" cannot be read"),
        ("\"reference.py\"}", "\"/etc/passwd\"}", "files[1].source: \"/etc/passwd\" is no relative path"),
        ("\"reference.py\"}", "\"../../outside\"}", "files[1].source: \"../../outside\" leads out of"),
        ("\"reference.py\"}", "\"link\"}", "files[1].source: \"link\" leads out of"),
        ("\"reference.py\"}", "\"ring\"}", "its links lead round in a circle"),
        ("\"reference.py\"}", "\"..\"}", "is not a file"),
        (
            "{\"name\": \"reference.py\"",
            "{\"name\": \"../reference.py\"",
            "files[1].name: \"../reference.py\" does not lie below",
        ),
        ("{\"name\": \"reference.py\"", "{\"name\": \"/x\"", "files[1].name: \"/x\" does not lie below"),
        ("{\"name\": \"reference.py\"", "{\"name\": \"eval.py\"", "files[2].name: \"eval.py\" stands here twice"),
        ("{\"name\": \"reference.py\"", "{\"name\": \"afterhours-first.txt\"", "is taken; choose another"),
        ("{\"name\": \"reference.py\", ", "{", "files[1].name: missing"),
        ("\"@SUBMISSION@\"", "\"reference.py\"", "files: none is the kernel"),
        ("\"reference.py\"}", "\"@SUBMISSION@\"}", "files: more than one is the kernel"),
        ("main: \"eval.py\"", "main: \"main.py\"", "config.main: \"main.py\" is not among the names of `files`"),
        ("config:\n  main: \"eval.py\"", "config: eval.py", "config: is a text; write a map"),
        ("test_timeout: 60", "test_timeout: \"60\"", "test_timeout: is a text; write whole seconds"),
        ("test_timeout: 60", "test_timeout: 0", "test_timeout: 0 is outside 1 to 86400"),
        ("ranking_by: \"geom\"", "ranking_by: best", "ranking_by: \"best\" is no ranking; write last, mean or geom"),
        ("  - {\"size\": 3, \"seed\": 4242}\n  - {\"size\": 100, \"seed\": 5531}\n", "  []\n", "tests: has no cases"),
        ("{\"size\": 3, \"seed\": 4242}", "{}", "tests[0]: has no parameters"),
        ("{\"size\": 3, \"seed\": 4242}", "3", "tests[0]: is a number; write a map"),
        ("{\"size\": 3,", "{\"size\": {a: 1},", "tests[0].size: cannot stand in a line"),
        ("{\"size\": 3,", "{\"size\": \"a; b\",", "tests[0].size: cannot stand in a line"),
        ("{\"size\": 3,", "{\"si ze\": 3,", "is no name of a parameter"),
        (
            "{\"size\": 100, \"seed\": 5531}",
            "{\"size\": 3, \"seed\": 4242}",
            "tests[1]: `size: 3; seed: 4242` stands here twice",
        ),
        ("benchmarks:", "benchmark:", "benchmarks: missing"),
        ("tests:", "tests: [", "is not YAML"),
        ("lang:", "tests: []\nlang:", "is not YAML"),
    ];
    for (from, to, expected) in table {
        let task = double().edit(from, to);
        fs::write(task.room.path().join("outside"), "").unwrap();
        symlink(task.room.path().join("outside"), task.folder().join("link")).unwrap();
        symlink("ring", task.folder().join("ring")).unwrap();
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

#[test]
fn files_may_be_a_map_and_cases_hold_what_python_would_print() {
    let files = "  - {\"name\": \"submission.py\", \"source\": \"@SUBMISSION@\"}\n  - {\"name\": \"reference.py\", \
                 \"source\": \"reference.py\"}\n  - {\"name\": \"eval.py\", \"source\": \"../eval.py\"}\n";
    let map = "  submission.py: \"@SUBMISSION@\"\n  reference.py: reference.py\n  eval.py: ../eval.py\n";
    let eval = "import sys\nprint(open(sys.argv[2]).read(), file=sys.stderr)\nsys.exit(113)\n";
    let case = "{z: [96, 128], flag: true, name: normal, rate: 0.5, none: null, words: [a, b], seed: -1}";
    let task = double().edit(files, map).with_file("eval.py", eval).edit("{\"size\": 3, \"seed\": 4242}", case);
    let message = task.no_result(Profile::Smoke, RIGHT);
    let line = "z: [96, 128]; flag: True; name: normal; rate: 0.5; none: None; words: ['a', 'b']; seed: -1\nsize: 100; seed: 5531";
    assert!(message.contains(line), "{message}");
}
