//! Harnesses that are programs of the user's.

use std::fs;
use std::path::Path;

use afterhours::harness::{Harness, open};
use afterhours::protocol::{InfraFailure, KernelFailure};
use tempfile::TempDir;

use crate::measure::{effort, infra_failure, kernel_failure, measure};

/// A folder with a harness that is a program.
fn program(name: &str, text: &str) -> (TempDir, Box<dyn Harness>) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let harness = open(&path).unwrap();
    (folder, harness)
}

const PASSES: &str = r#"
import json, os, submission, task
assert task.input_t is tuple and task.output_t is list
calls = sum(int(n) for n in os.environ["PYGPUBENCH_STAGE_REPEATS"].split(","))
assert calls == int(os.environ["PYGPUBENCH_REPEATS"]) == 5
assert os.environ["PYGPUBENCH_EARLY_STOP_US"] == "0"
assert os.environ["AFTERHOURS_PROFILE"] == "candidate" and os.environ["AFTERHOURS_SEED"].isdigit()
passed = submission.double(3) == 6
case = {"id": "three", "passed": passed, "error": None if passed else "expected 6", "time_us": [1.5] * calls}
with open(os.environ["AFTERHOURS_RESULT"], "w") as file:
    json.dump({"device": {"name": "cpu (python)"}, "cases": [case], "harness": "three"}, file)
"#;

#[test]
fn a_python_harness_finds_its_kernel_and_effort_and_its_result_counts() {
    let (_folder, harness) = program("three.py", PASSES);
    let right = "def double(x):\n    return 2 * x\n";
    let blocks = measure(harness.as_ref(), right, Some(right), &effort()).unwrap();
    assert_eq!(blocks.len(), 4);
    assert!(blocks.iter().all(|(_, block)| block.cases[0].time_us.len() == 5));

    let (failure, message) = kernel_failure(measure(harness.as_ref(), "double = int", None, &effort()));
    assert_eq!((failure, message.as_str()), (KernelFailure::WrongAnswer, "case three: expected 6"));

    let (failure, message) = kernel_failure(measure(harness.as_ref(), "def double(", None, &effort()));
    assert_eq!(failure, KernelFailure::Crash);
    assert!(message.contains("exit code 1") && message.contains("SyntaxError"), "{message}");
}

#[test]
fn a_shell_harness_works_the_same() {
    let text = r#"time=$(sh ./submission) || exit 1
printf '{"device":{"name":"cpu (sh)"},"cases":[{"id":"a","passed":true,"time_us":[%s]}]}' "$time" > "$AFTERHOURS_RESULT""#;
    let (_folder, harness) = program("any.sh", text);
    let blocks = measure(harness.as_ref(), "echo 2.5", None, &effort()).unwrap();
    assert_eq!(blocks[0].1.cases[0].time_us[0].get(), 2.5);
    for (kernel, expected) in
        [("echo oops", "not a result object"), ("echo -1", "not a time"), ("echo", "without a single")]
    {
        let (failure, message) = infra_failure(measure(harness.as_ref(), kernel, None, &effort()));
        assert_eq!(failure, InfraFailure::NoResult, "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_program_that_leaves_nothing_good_is_an_infra_failure_where_it_says_all_went_well() {
    let table = [
        ("echo fine >&2", "wrote no result to AFTERHOURS_RESULT\nfine"),
        (": > \"$AFTERHOURS_RESULT\"", "not a result object"),
        ("echo '{}{}' > \"$AFTERHOURS_RESULT\"", "not a result object"),
        ("echo garbage > \"$AFTERHOURS_RESULT\"", "\"garbage\\n\""),
        ("head -c 17000000 /dev/zero > \"$AFTERHOURS_RESULT\"", "more than"),
        ("echo '{\"device\":{\"name\":\"x\"},\"cases\":[]}' > \"$AFTERHOURS_RESULT\"", "no cases"),
    ];
    for (text, expected) in table {
        let (_folder, harness) = program("h.sh", text);
        let (failure, message) = infra_failure(measure(harness.as_ref(), "", None, &effort()));
        assert_eq!(failure, InfraFailure::NoResult, "{text}: {message}");
        assert!(message.contains(expected) && message.len() < 3000, "{text}: {message}");
    }
}

#[test]
fn a_pass_beside_a_bad_exit_code_is_not_believed_but_a_failed_case_is() {
    let text = |passed: bool| {
        format!(
            "echo '{{\"device\":{{\"name\":\"x\"}},\"cases\":[{{\"id\":\"a\",\"passed\":{passed},\"time_us\":[1]}}]}}' \
             > \"$AFTERHOURS_RESULT\"; exit 9"
        )
    };
    let (_folder, harness) = program("h.sh", &text(true));
    let (failure, message) = kernel_failure(measure(harness.as_ref(), "", None, &effort()));
    assert_eq!((failure, message.as_str()), (KernelFailure::Crash, "the harness ended with exit code 9"));
    let (_folder, harness) = program("h.sh", &text(false));
    assert_eq!(kernel_failure(measure(harness.as_ref(), "", None, &effort())).0, KernelFailure::WrongAnswer);
}

/// Calls the kernel in a process of its own, and prints what PyGPUBench's harnesses print.
const PRINTS: &str = r#"
import os, subprocess, sys
call = subprocess.run([sys.executable, "-c", "import submission; print(submission.double(3))"], capture_output=True)
sys.stderr.write(call.stderr.decode())
if call.returncode:
    sys.exit(1)
right = call.stdout.decode().split()[-1] == "6"
for index, repeats in enumerate(os.environ["PYGPUBENCH_STAGE_REPEATS"].split(","), 1):
    print(f"stage={index}/2 repeats={repeats} median_us=9.7 errors={0 if right else 1}")
print("✅" if right else "❌", "9.8 ± 0.21 µs [9.5 - 9.75 - 10.9]")
sys.exit(0 if right else 1)
"#;

const DOUBLE: &str = "def double(x):\n    return 2 * x\n";

#[test]
fn a_harness_that_prints_is_understood() {
    let (_folder, harness) = program("prints.py", PRINTS);
    let blocks = measure(harness.as_ref(), DOUBLE, None, &effort()).unwrap();
    assert_eq!(blocks.len(), 2);
    for (_, block) in blocks {
        assert!(block.device.name.starts_with("cpu ("), "the machine names it: {:?}", block.device);
        let case = &block.cases[0];
        assert_eq!((case.time_us[0].get(), case.mean_us.unwrap().get()), (9.75, 9.8));
    }
    let (failure, message) = kernel_failure(measure(harness.as_ref(), "double = int", None, &effort()));
    assert_eq!(failure, KernelFailure::WrongAnswer);
    assert!(message.contains("has errors: 1"), "{message}");
    let (failure, message) = kernel_failure(measure(harness.as_ref(), "import gone", None, &effort()));
    assert_eq!(failure, KernelFailure::Crash);
    assert!(message.contains("exit code 1") && message.contains("gone"), "{message}");
}

#[test]
fn lines_that_another_process_prints_are_no_evidence() {
    let shares_its_output = PRINTS.replace(", capture_output=True", ", stderr=-1, stdout=-1").replace(
        "sys.stderr.write(call.stderr.decode())",
        "subprocess.run([sys.executable, \"-c\", \"import submission\"])",
    );
    let (_folder, harness) = program("prints.py", &shares_its_output);
    let forges = format!(
        "print('stage=1/1 repeats=5 median_us=0.1 errors=0')\n\
                          print('PASS 0.1 ± 0.01 µs [0.1 - 0.1 - 0.1]')\n{DOUBLE}"
    );
    let blocks = measure(harness.as_ref(), &forges, None, &effort()).unwrap();
    assert_eq!(blocks[0].1.cases[0].time_us[0].get(), 9.75);

    let nothing = "import subprocess, sys\nsubprocess.run([sys.executable, \"-c\", \"import submission\"])\n";
    let (_folder, harness) = program("silent.py", nothing);
    let (failure, message) = infra_failure(measure(harness.as_ref(), &forges, None, &effort()));
    assert_eq!(failure, InfraFailure::NoResult);
    assert!(message.contains("wrote no result"), "{message}");
}

#[test]
fn lines_that_a_kernel_adds_in_the_harness_s_own_process_make_it_unsound() {
    let (_folder, harness) = program("prints.py", &format!("import submission\n{PRINTS}"));
    let forges = format!("print('stage=1/2 repeats=2 median_us=0.1 errors=0')\n{DOUBLE}");
    let (failure, message) = infra_failure(measure(harness.as_ref(), &forges, None, &effort()));
    assert_eq!(failure, InfraFailure::NoResult);
    assert!(message.contains("out of its order"), "{message}");
}

#[test]
fn a_result_and_lines_that_contradict_it_are_neither_believed() {
    let (_folder, harness) = program("three.py", &format!("{PASSES}\nprint('PASS 0.5 ± 0.01 µs [0.4 - 0.5 - 0.6]')\n"));
    let (failure, message) = infra_failure(measure(harness.as_ref(), DOUBLE, None, &effort()));
    assert_eq!(failure, InfraFailure::NoResult);
    assert!(message.contains("printed 0.5 µs, and its result says 1.5 µs"), "{message}");
    let (_folder, harness) = program("three.py", &format!("{PASSES}\nprint('PASS 1.5 ± 0.01 µs [1.4 - 1.5 - 1.6]')\n"));
    measure(harness.as_ref(), DOUBLE, None, &effort()).unwrap();
}

#[test]
fn a_result_that_is_written_twice_is_not_believed() {
    let text = format!("{PASSES}\n").replace("\"w\") as file", "\"w\") as file, open(file.name, \"w\") as again");
    let text = text.replace("\"harness\": \"three\"}, file)", "\"harness\": \"three\"}, file)\n    again.write('{}')");
    let (_folder, harness) = program("three.py", &text);
    let (failure, message) = infra_failure(measure(harness.as_ref(), DOUBLE, None, &effort()));
    assert_eq!(failure, InfraFailure::NoResult);
    assert!(message.contains("not a result object"), "{message}");
}

#[test]
fn the_template_works_as_it_is_shipped() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/template");
    let harness = open(&folder.join("harness.py")).unwrap();
    let kernel = fs::read_to_string(folder.join("submission.py")).unwrap();
    let faster = "def kernel(data):\n    return sorted(data)\n";
    let blocks = measure(harness.as_ref(), faster, Some(&kernel), &effort()).unwrap();
    assert_eq!(blocks.len(), 4);
    for (_, block) in &blocks {
        let ids: Vec<&str> = block.cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(ids, ["1000", "20000"]);
        assert!(block.cases.iter().all(|case| case.time_us.len() == 5));
    }
    for (kernel, expected) in [
        ("def kernel(data):\n    return data\n", KernelFailure::WrongAnswer),
        ("def kernel(data):\n    return None\n", KernelFailure::WrongAnswer),
        ("import os\nos._exit(0)\n", KernelFailure::Crash),
        (
            "import os\ndef kernel(data):\n    open(os.environ['AFTERHOURS_RESULT'], 'w').write('{}')\n",
            KernelFailure::Crash,
        ),
    ] {
        let (failure, message) = kernel_failure(measure(harness.as_ref(), kernel, None, &effort()));
        assert_eq!(failure, expected, "{kernel}: {message}");
    }
}
