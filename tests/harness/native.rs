//! Native harnesses: C that is compiled and timed by the worker.

use std::fs;
use std::path::{Path, PathBuf};

use afterhours::harness::{BlockResult, Failure, Harness, HarnessError, Role, open};
use afterhours::protocol::{Effort, Gpu, InfraFailure, KernelFailure};
use tempfile::TempDir;

use crate::measure::{effort, infra_failure, kernel_failure, measure};

const TOML: &str = r#"
name = "scale"
entry = "scale"
reference = "reference.c"

[compile]
cc = "cc"
flags = ["-O1"]
imports = ["exit", "fclose", "fopen", "fputs", "fwrite", "getenv"]

[tolerance]
rtol = 1e-5
atol = 1e-6

[[args]]
name = "x"
role = "in"
dtype = "f32"
shape = ["n"]
distribution = { kind = "normal", mean = 0.0, std = 1.0 }

[[args]]
name = "y"
role = "out"
dtype = "f32"
shape = ["n"]

[[args]]
name = "n"
role = "size"
value = "n"

[[cases]]
id = "small"
sizes = { n = 37 }

[[cases]]
id = "large"
sizes = { n = 5000 }
"#;

const REFERENCE: &str =
    "void reference(const double *x, double *y, int n) { for (int i = 0; i < n; i++) y[i] = 2 * x[i]; }\n";

const RIGHT: &str =
    "void scale(const float *x, float *y, int n) {\n  for (int i = 0; i < n; i++) y[i] = 2 * x[i];\n}\n";

/// A folder with a native harness.
struct Problem {
    folder: TempDir,
}

impl Problem {
    fn new(toml: &str, reference: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("harness.toml"), toml).unwrap();
        fs::write(folder.path().join("reference.c"), reference).unwrap();
        Self { folder }
    }

    fn open(&self) -> Box<dyn Harness> {
        open(&self.folder.path().join("harness.toml")).unwrap()
    }
}

fn test(candidate: &str) -> Result<Vec<(Role, BlockResult)>, Failure> {
    measure(Problem::new(TOML, REFERENCE).open().as_ref(), candidate, None, &effort())
}

#[test]
fn a_right_kernel_gets_a_time_for_every_call_of_every_case() {
    let blocks = test(RIGHT).unwrap();
    assert_eq!(blocks.len(), 2);
    for (role, block) in blocks {
        assert_eq!(role, Role::Candidate);
        assert!(block.device.name.starts_with("cpu ("), "{}", block.device.name);
        let cases: Vec<(&str, usize)> = block.cases.iter().map(|case| (case.id.as_str(), case.time_us.len())).collect();
        assert_eq!(cases, [("small", 5), ("large", 5)]);
    }
}

#[test]
fn a_duel_runs_both_sides_in_turn_in_their_own_processes() {
    let harness = Problem::new(TOML, REFERENCE).open();
    let blocks = measure(harness.as_ref(), RIGHT, Some(RIGHT), &effort()).unwrap();
    let order: Vec<Role> = blocks.iter().map(|(role, _)| *role).collect();
    assert_eq!(order, [Role::Candidate, Role::Incumbent, Role::Incumbent, Role::Candidate]);
}

#[test]
fn a_stage_above_the_early_stop_is_the_last() {
    let effort = Effort { early_stop_us: Some(1e-9), ..effort() };
    let blocks = measure(Problem::new(TOML, REFERENCE).open().as_ref(), RIGHT, None, &effort).unwrap();
    assert!(blocks.iter().all(|(_, block)| block.cases.iter().all(|case| case.time_us.len() == 2)));
}

#[test]
fn integers_of_both_widths_and_doubles_reach_the_kernel_and_come_back() {
    let toml = r#"
name = "mix"
entry = "mix"
reference = "reference.c"
compile = { cc = "cc" }
tolerance = { rtol = 0.0, atol = 0.0 }
args = [
  { name = "n", role = "size", value = "2*n+1" },
  { name = "a", role = "in", dtype = "u8", shape = ["2*n+1"], distribution = { kind = "uniform", low = 0, high = 255 } },
  { name = "b", role = "out", dtype = "i32", shape = ["2*n+1"] },
  { name = "c", role = "in", dtype = "i32", shape = ["2*n+1"], distribution = { kind = "uniform", low = -9, high = 9 } },
  { name = "d", role = "out", dtype = "f64", shape = ["2*n+1"] },
]
cases = [{ id = "odd", sizes = { n = 50 } }]
"#;
    let reference = "void reference(int n, const double *a, double *b, const double *c, double *d) {
                         for (int i = 0; i < n; i++) { b[i] = a[i] * c[i]; d[i] = a[i] / 4 + c[i]; } }";
    let kernel = "void mix(int n, const unsigned char *a, int *b, const int *c, double *d) {
                      for (int i = 0; i < n; i++) { b[i] = a[i] * c[i]; d[i] = a[i] / 4.0 + c[i]; } }";
    let harness = Problem::new(toml, reference).open();
    measure(harness.as_ref(), kernel, None, &effort()).unwrap();
    let wrong = kernel.replace("b[i] = a[i] * c[i];", "if (i) b[i] = a[i] * c[i];");
    let (failure, message) = kernel_failure(measure(harness.as_ref(), &wrong, None, &effort()));
    assert_eq!(failure, KernelFailure::WrongAnswer);
    assert!(message.contains("b[0]"), "{message}");
}

#[test]
fn the_kernels_that_are_shipped_are_right() {
    for name in ["matmul", "softmax", "grayscale"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels").join(name);
        let harness = open(&folder.join("harness.toml")).unwrap();
        let kernel = fs::read_to_string(folder.join("kernel.c")).unwrap();
        let effort = Effort { stage_repeats: vec![1], pairs: 1, ..effort() };
        measure(harness.as_ref(), &kernel, None, &effort).unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
    }
}

#[test]
fn wrong_answers_are_found_and_described() {
    let body = |body: &str| format!("void scale(const float *x, float *y, int n) {{ {body} }}");
    let table = [
        ("one element off", "for (int i = 0; i < n; i++) y[i] = 2 * x[i]; if (n > 1000) y[999] += 1;", "case large: y[999]: expected"),
        ("one element off", "for (int i = 0; i < n; i++) y[i] = 2 * x[i]; y[3] += 1;", "1 of 37 elements differ"),
        ("nan", "for (int i = 0; i < n; i++) y[i] = 0.0f / 0.0f;", "got NaN; 37 of 37"),
        ("nothing written", "", "got NaN; 37 of 37"),
        ("the last not written", "for (int i = 0; i < n - 1; i++) y[i] = 2 * x[i];", "y[36]: expected"),
        ("input changed", "for (int i = 0; i < n; i++) y[i] = 2 * x[i]; ((float *)x)[1] = 7;", "changed its input x"),
        ("overrun", "for (int i = 0; i <= n; i++) y[i] = 2 * x[i];", "past the end of y"),
        ("underrun", "for (int i = -1; i < n; i++) y[i] = 2 * x[i];", "before the start of y"),
        ("cached", "static float kept[5000]; static int calls; if (calls++ % 8 == 0) for (int i = 0; i < n; i++) kept[i] = 2 * x[i];
                    for (int i = 0; i < n; i++) y[i] = kept[i];", "elements differ"),
        ("lazy once it is warm", "static int calls; if (calls++ < 1) for (int i = 0; i < n; i++) y[i] = 2 * x[i];", "37 of 37"),
    ];
    for (what, code, expected) in table {
        let (failure, message) = kernel_failure(test(&body(code)));
        assert_eq!(failure, KernelFailure::WrongAnswer, "{what}: {message}");
        assert!(message.contains(expected), "{what}: {message}");
    }
}

#[test]
fn a_compile_error_is_short_and_names_its_line() {
    let mut text = RIGHT.to_owned();
    text.push_str(&"int x = undeclared;\n".repeat(500));
    let (failure, message) = kernel_failure(test(&text));
    assert_eq!(failure, KernelFailure::Compile);
    assert!(message.contains("kernel.c:4:") && message.lines().count() <= 21, "{message}");
    assert!(!message.contains("/tmp"), "{message}");
}

#[test]
fn another_signature_or_a_missing_function_is_a_compile_error() {
    let table = [
        (RIGHT.replace("int n", "long n"), "kernel.c:1:"),
        (RIGHT.replace("float *y", "double *y"), "conflicting types"),
        (RIGHT.replace("scale", "scales"), "scale"),
        (RIGHT.replace("y[i] =", "y[i] = gone() +"), "gone"),
        (format!("{RIGHT}void afterhours_call(void **b, const long long *s) {{}}"), "afterhours_call"),
    ];
    for (text, expected) in table {
        let (failure, message) = kernel_failure(test(&text));
        assert_eq!(failure, KernelFailure::Compile, "{message}");
        assert!(message.contains(expected) && !message.contains("/tmp"), "{message}");
    }
}

#[test]
fn kernels_that_end_their_process_crash() {
    let table = [
        ("*(volatile int *)0 = 1;", "SIGSEGV"),
        ("volatile int zero = 0; y[0] = n / zero;", "SIGFPE"),
        ("__builtin_trap();", "SIGILL"),
        ("abort();", "SIGABRT"),
        ("exit(0);", "before a result, with exit code 0"),
        ("exit(3);", "before a result, with exit code 3"),
        ("for (;;) { volatile char wide[1 << 20]; wide[0] = 1; scale(x, y + wide[0], n); }", "SIGSEGV"),
    ];
    for (code, expected) in table {
        let text = format!("#include <stdlib.h>\nvoid scale(const float *x, float *y, int n) {{ {code} }}");
        let (failure, message) = kernel_failure(test(&text));
        assert_eq!(failure, KernelFailure::Crash, "{code}: {message}");
        assert!(message.contains(expected), "{code}: {message}");
    }
}

#[test]
fn a_kernel_that_calls_what_the_harness_does_not_name_is_not_even_loaded() {
    for (code, name) in [("fork();", "fork"), ("puts(\"\");", "puts"), ("int pipe(int *); pipe(0);", "pipe")] {
        let (failure, message) = kernel_failure(test(&format!(
            "#include <stdio.h>\n#include <unistd.h>\nvoid scale(const float *x, float *y, int n) {{ {code} }}"
        )));
        assert_eq!(failure, KernelFailure::WrongAnswer, "{code}: {message}");
        assert!(message.contains(&format!("calls {name:?}")) && message.contains("compile.imports"), "{message}");
    }
}

#[test]
fn a_kernel_finds_no_place_for_a_result_and_can_write_none() {
    let text = r#"
#include <stdio.h>
#include <stdlib.h>
void scale(const float *x, float *y, int n) {
    FILE *file = fopen("result.json", "w");
    exit(getenv("AFTERHOURS_RESULT") ? 1 : file ? 2 : 3);
}"#;
    let (failure, message) = kernel_failure(test(text));
    assert_eq!(failure, KernelFailure::Crash);
    assert!(message.contains("with exit code 3"), "{message}");
}

/// What a kernel has of the other process's is tried from the inside: the exit code says which of it could be reached.
#[test]
fn a_kernel_reaches_neither_the_worker_nor_its_memory_nor_other_processors_nor_a_process_of_its_own() {
    let text = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

void scale(const float *x, float *y, int n) {
    pid_t worker = getppid();
    char path[64], byte;
    struct iovec one = {&byte, 1}, other = {path, 1};
    cpu_set_t all;
    CPU_ZERO(&all);
    CPU_SET(0, &all);
    snprintf(path, sizeof path, "/proc/%d/mem", worker);
    if (worker < 2) exit(1);
    if (kill(worker, 0) == 0 || kill(worker, SIGSTOP) == 0) exit(2);
    if (open(path, O_RDONLY) >= 0) exit(3);
    if (process_vm_readv(worker, &one, 1, &other, 1, 0) == 1) exit(4);
    if (ptrace(PTRACE_SEIZE, worker, 0, 0) == 0 || ptrace(PTRACE_TRACEME, 0, 0, 0) == 0) exit(5);
    if (fork() >= 0 || vfork() >= 0) exit(6);
    if (sched_setaffinity(0, sizeof all, &all) == 0) exit(7);
    if (read(0, &byte, 1) != 0) exit(8);
    if (ftruncate(3, 0) == 0) exit(9);
    for (int i = 0; i < n; i++) y[i] = 2 * x[i];
}"#;
    let names = ["getppid", "snprintf", "kill", "open", "process_vm_readv", "ptrace", "fork", "vfork"];
    let names = names.iter().chain(&["sched_setaffinity", "read", "ftruncate", "exit"]);
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    let imports = format!("imports = [{}]", names.join(", "));
    let toml = TOML.replace("imports = [\"exit\", \"fclose\", \"fopen\", \"fputs\", \"fwrite\", \"getenv\"]", &imports);
    assert!(toml.contains("ptrace"));
    measure(Problem::new(&toml, REFERENCE).open().as_ref(), text, None, &effort()).unwrap();
}

#[test]
fn a_kernel_may_have_threads_and_all_of_them_stop_with_it() {
    let toml = TOML.replace("flags = [\"-O1\"]", "flags = [\"-O1\", \"-fopenmp\"]");
    let parallel = "void scale(const float *x, float *y, int n) {\n#pragma omp parallel for num_threads(3)\n  for (int i = 0; i < n; i++) y[i] = 2 * x[i];\n}";
    let blocks = measure(Problem::new(&toml, REFERENCE).open().as_ref(), parallel, Some(RIGHT), &effort()).unwrap();
    assert_eq!(blocks.len(), 4);
}

#[test]
fn a_kernel_that_does_not_end_is_a_time_out() {
    let effort = Effort { timeout_seconds: 2, ..effort() };
    let text = "void scale(const float *x, float *y, int n) { for (volatile int i = 0;;) i = n; }";
    let (failure, message) =
        kernel_failure(measure(Problem::new(TOML, REFERENCE).open().as_ref(), text, None, &effort));
    assert_eq!(failure, KernelFailure::Timeout, "{message}");
}

#[test]
fn an_incumbent_that_fails_never_blames_the_candidate() {
    let harness = Problem::new(TOML, REFERENCE).open();
    for bad in [
        "void scale(",
        "void scale(const float *x, float *y, int n) { __builtin_trap(); }",
        "void scale(const float *x, float *y, int n) {}",
    ] {
        let (failure, message) = infra_failure(measure(harness.as_ref(), RIGHT, Some(bad), &effort()));
        assert_eq!(failure, InfraFailure::Incumbent, "{bad}: {message}");
    }
}

#[test]
fn a_reference_that_is_at_fault_never_blames_the_kernel() {
    for bad in ["void reference(", "void reference(const double *x, double *y, int n) { y[0] = 1; }"] {
        let (failure, message) =
            infra_failure(measure(Problem::new(TOML, bad).open().as_ref(), RIGHT, None, &effort()));
        assert_eq!(failure, InfraFailure::NoResult, "{bad}: {message}");
        assert!(message.contains("reference"), "{message}");
    }
}

#[test]
fn a_harness_that_cannot_be_used_names_the_file_and_the_remedy() {
    let folder = TempDir::new().unwrap();
    let error = |name: &str| match open(&folder.path().join(name)) {
        Err(HarnessError::Bad { path, message }) => (path, message),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{name} was opened"),
    };
    fs::write(folder.path().join("h.toml"), TOML).unwrap();
    fs::create_dir(folder.path().join("folder.toml")).unwrap();
    fs::write(folder.path().join("submission.py"), "").unwrap();
    for (name, expected) in [
        ("gone.toml", "check the path"),
        ("folder.toml", "not a file"),
        ("h.toml", "reference \"reference.c\""),
        ("task.yml", "check the path"),
        ("kernel.cu", "*.toml (native)"),
        ("submission.py", "rename the harness"),
    ] {
        let (path, message) = error(name);
        assert!(message.contains(expected), "{name}: {message}");
        assert_eq!(path, folder.path().join(name));
    }
}

#[test]
fn a_kernels_name_and_the_device_must_fit_and_the_compiler_must_be_there() {
    let harness = Problem::new(TOML, REFERENCE).open();
    let cpu = Gpu("cpu".to_owned());
    let (c, cuda) = (Path::new("/k/kernel.c"), Path::new("/k/kernel.cu"));
    harness.supports(c, &cpu).unwrap();
    harness.supports(cuda, &Gpu::default()).unwrap();
    let error = harness.supports(c, &Gpu::default()).unwrap_err().to_string();
    assert!(error.contains("kernel.c is C") && error.contains("B200") && error.contains("gpu: cpu"), "{error}");
    let error = harness.supports(cuda, &cpu).unwrap_err().to_string();
    assert!(error.contains("kernel.cu is CUDA") && error.contains("name a device in gpu"), "{error}");
    let other = Problem::new(&TOML.replace("cc = \"cc\"", "cc = \"no-such-compiler\""), REFERENCE).open();
    match other.supports(c, &cpu).unwrap_err() {
        HarnessError::MissingProgram { program, .. } => assert_eq!(program, "no-such-compiler"),
        other @ HarnessError::Bad { .. } => panic!("{other}"),
    }
}

#[test]
fn the_hash_follows_the_file_and_the_reference() {
    let hash = |toml: &str, reference: &str| Problem::new(toml, reference).open().hash();
    assert_eq!(hash(TOML, REFERENCE), hash(TOML, REFERENCE));
    assert_ne!(hash(TOML, REFERENCE), hash(TOML, &format!("{REFERENCE} ")));
    assert_ne!(hash(TOML, REFERENCE), hash(&format!("{TOML}\n"), REFERENCE));
}

#[test]
fn the_files_are_absolute_and_the_harness_is_the_first() {
    let problem = Problem::new(TOML, REFERENCE);
    let expected: Vec<PathBuf> = ["harness.toml", "reference.c"].map(|name| problem.folder.path().join(name)).into();
    assert_eq!(problem.open().files(), expected);
}
