//! The compile gate: broken texts are found before a device is waited for, and right ones told of.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a helper of a test fails the test")]
#![expect(clippy::print_stderr, reason = "a test says what it skips")]

use std::env::consts::ARCH;
use std::path::Path;
use std::time::Duration;

use afterhours::gate::{Checked, Gate};
use afterhours::harness::open;
use afterhours::mission::SandboxChoice;
use afterhours::protocol::{Effort, Gpu, KernelFailure, MetricName, Outcome, Profile};
use afterhours::runner::{DeviceLock, Local, RunnerError};
use afterhours::sandbox::Protections;
use afterhours::stats::{Aim, Rule};
use afterhours::tools::{Bench, Order, Yardstick, measure};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tempfile::TempDir;

fn gate(kernel: &str, gpu: &str, reference: Option<&str>) -> Gate {
    let reference = reference.map(|text| text.as_bytes().to_vec());
    let gate = Gate::new(env!("CARGO_BIN_EXE_agent").into(), Path::new(kernel), &Gpu(gpu.to_owned()));
    gate.with_reference(reference)
}

async fn check(kernel: &str, gpu: &str, reference: Option<&str>, text: &str) -> Checked {
    gate(kernel, gpu, reference).check(text.as_bytes()).await
}

fn rejected(checked: Checked) -> String {
    match checked {
        Checked::Rejected { errors, .. } => errors,
        other => panic!("{other:?}"),
    }
}

fn aside(checked: Checked) -> String {
    match checked {
        Checked::Aside(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_python_text_is_compiled_and_none_of_it_runs() {
    let room = TempDir::new().unwrap();
    let mark = room.path().join("ran");
    let text = format!("open({:?}, 'w')\ncuda = '''__global__ void k( {{ broken '''\n", mark.display().to_string());
    assert!(matches!(check("k.py", "B200", None, &text).await, Checked::Passed(told) if told.is_empty()));
    assert!(!mark.exists());
    let errors = rejected(check("k.py", "B200", None, "x = 1\ndef kernel(data:\n    return data\n").await);
    assert!(errors.contains("submission.py\", line 2") && errors.contains("SyntaxError"), "{errors}");
    rejected(check("k.py", "cpu", None, "x = '\0'\n").await);
    rejected(check("k.py", "cpu", Some("x = 1\n"), "  x = 1\ny = 2\n").await);
}

#[tokio::test]
async fn where_the_kernel_as_found_is_rejected_too_the_gate_steps_aside() {
    let reason = aside(check("k.py", "cpu", Some("print 'two'\n"), "print 'three'\n").await);
    assert!(reason.contains("the kernel as found does not compile"), "{reason}");
}

#[tokio::test]
async fn texts_that_no_compiler_here_knows_are_let_through_without_a_word() {
    for (kernel, gpu) in [("k.c", "cpu"), ("kernel.txt", "B200"), ("k", "B200"), ("k.cu", "cpu")] {
        assert_eq!(aside(check(kernel, gpu, None, "}{").await), "");
    }
    let reason = aside(check("k.cu", "MI300X", None, "").await);
    assert_eq!(reason, "no architecture is known for MI300X");
}

#[tokio::test]
async fn a_text_that_does_not_compile_never_waits_for_the_device() {
    let room = TempDir::new().unwrap();
    let harness = room.path().join("h.py");
    std::fs::write(&harness, "raise SystemExit(1)\n").unwrap();
    let gpu = Gpu("cpu".to_owned());
    let runner = Local::new(env!("CARGO_BIN_EXE_agent").into(), room.path().join("scratch"));
    let bench = Bench {
        harness: open(&harness).unwrap(),
        runner: Box::new(runner.with_locks_in(room.path().to_owned())),
        gate: Some(gate("k.py", "cpu", Some("x = 1\n"))),
        yardstick: Yardstick { gpu: gpu.clone(), metric: MetricName::MedianUs, roofline_us: None },
    };
    let _held = DeviceLock::acquire(room.path(), &gpu, || {}).await.unwrap();
    let effort = Effort { repeats: 1, stage_repeats: vec![1], early_stop_us: None, timeout_seconds: 600, pairs: 1 };
    let rule = Rule { margin: 0.01, aim: Aim::Screen, most: effort.pairs };
    let order =
        Order { profile: Profile::Smoke, effort: &effort, candidate: b"def kernel(\n", incumbent: None, seed: 1, rule };
    let mut ignore = |_| {};
    let measuring = measure(&bench, order, &mut ignore);
    let measured = tokio::time::timeout(Duration::from_secs(300), measuring).await.unwrap().unwrap();
    let Outcome::KernelFailed { failure: KernelFailure::Compile, message } = measured.outcome else { panic!() };
    assert!(message.contains("SyntaxError"), "{message}");
    assert!(measured.output.ran[0].command.starts_with("python3"), "{}", measured.output.ran[0].command);
}

const SCALE: &str = "#include <cuda_fp16.h>\n\
    extern \"C\" __global__ void scale(__half *x, int n) {\n    \
        int i = blockIdx.x * blockDim.x + threadIdx.x;\n    \
        if (i < n) x[i] = __hmul(x[i], __float2half(2.0f));\n}\n";

/// Tells whether NVRTC is here, and says so loudly where it is not.
async fn is_nvrtc_here() -> bool {
    match check("k.cu", "B200", None, "").await {
        Checked::Aside(reason) if reason.contains("libnvrtc was not found") => {
            eprintln!("SKIPPED: {reason}");
            false
        }
        _ => true,
    }
}

#[tokio::test]
async fn a_cuda_text_is_compiled_for_the_device_of_the_mission() {
    if !is_nvrtc_here().await {
        return;
    }
    for gpu in ["B200", "H100", "A100"] {
        match check("k.cu", gpu, Some(SCALE), SCALE).await {
            Checked::Passed(told) => {
                assert!(told.starts_with("scale: ") && told.contains("registers, 0 bytes spilled"), "{gpu}: {told}");
            }
            other => panic!("{gpu}: {other:?}"),
        }
    }
    let broken = SCALE.replace("x[i] = ", "y[i] = ");
    let errors = rejected(check("k.cu", "B200", Some(SCALE), &broken).await);
    assert!(errors.contains("kernel.cu(4): error: identifier \"y\" is undefined"), "{errors}");
    rejected(check("k.cu", "B200", Some(SCALE), "#error \"tile is too large\"\n").await);
    rejected(check("k.cu", "B200", Some(SCALE), "\0").await);
}

#[tokio::test]
async fn a_spill_is_told() {
    if !is_nvrtc_here().await {
        return;
    }
    let text = "extern \"C\" __global__ void __launch_bounds__(1024) hog(float *x) {\n    float a[200];\n    \
                #pragma unroll\n    for (int i = 0; i < 200; i++) a[i] = x[i * 32 + threadIdx.x];\n    \
                #pragma unroll\n    for (int i = 0; i < 200; i++) x[i] = a[199 - i] * a[(i * 7) % 200];\n}\n";
    match check("k.cu", "H100", Some(text), text).await {
        Checked::Passed(told) => assert!(told.starts_with("hog: ") && !told.contains(" 0 bytes spilled"), "{told}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn cuda_that_only_nvcc_compiles_is_let_through() {
    if !is_nvrtc_here().await {
        return;
    }
    let with_host_code = format!("#include <torch/extension.h>\n{SCALE}");
    let reason = aside(check("k.cu", "B200", Some(&with_host_code), &format!("{with_host_code}\n}}")).await);
    assert!(reason.contains("the kernel as found does not compile"), "{reason}");
}

#[tokio::test]
async fn a_text_that_includes_a_file_of_the_user_s_is_not_shown_it_by_the_compiler_s_errors() {
    if !is_nvrtc_here().await {
        return;
    }
    let home = TempDir::new().unwrap();
    let secret = home.path().join("token");
    std::fs::write(&secret, "hunter2 is my password\n").unwrap();
    let text = format!("#include {:?}\n{SCALE}", secret.display().to_string());
    let errors = |sandbox| {
        let gate = gate("k.cu", "B200", Some(SCALE)).confined(sandbox).unwrap();
        let text = text.clone();
        async move { rejected(gate.check(text.as_bytes()).await) }
    };
    // This is what it is kept from.
    let shown = errors(SandboxChoice::Unconfined).await;
    assert!(shown.contains("hunter2"), "{shown}");
    let protections = Protections::probe();
    if !protections.is_complete() {
        eprintln!("left out: this system compiles texts {protections}");
        return;
    }
    for sandbox in [SandboxChoice::BestEffort, SandboxChoice::Required] {
        let shown = errors(sandbox).await;
        assert!(!shown.contains("hunter2") && shown.contains("cannot open source file"), "{sandbox:?}: {shown}");
    }
}

/// Does something on a system without Landlock: a thread of its own is told that there is none, and so are its children.
fn without_landlock(act: impl FnOnce() + Send) {
    let rules = [(libc::SYS_landlock_create_ruleset, Vec::new())].into();
    let (mismatch, refused) = (SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.unsigned_abs()));
    let filter = SeccompFilter::new(rules, mismatch, refused, ARCH.try_into().unwrap()).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            seccompiler::apply_filter(&filter).unwrap();
            act();
        });
    });
}

#[test]
fn a_gate_that_must_confine_and_cannot_is_refused_and_one_that_should_says_what_it_lacks() {
    without_landlock(|| {
        let refused = |kernel, gpu| gate(kernel, gpu, None).confined(SandboxChoice::Required).map(drop);
        let error = refused("k.py", "cpu").unwrap_err();
        assert!(matches!(&error, RunnerError::Missing(text) if text.contains("without files")), "{error}");
        // No compiler of the gate's looks at these.
        assert!(refused("k.c", "cpu").is_ok() && refused("k.cu", "cpu").is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let gate = gate("k.py", "cpu", None).confined(SandboxChoice::BestEffort).unwrap();
        match runtime.block_on(gate.check(b"def kernel(\n")) {
            Checked::Rejected { protections, .. } => {
                assert!(protections.unwrap().to_string().starts_with("without files (it needs Landlock"));
            }
            other => panic!("{other:?}"),
        }
    });
}
