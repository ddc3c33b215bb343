//! Native harnesses with a kernel in CUDA: what holds of them where there is no device.

#![expect(clippy::print_stderr, reason = "a test says what it skips")]

use std::fs;
use std::path::Path;

use afterhours::harness::{Failure, Request, open};
use afterhours::protocol::{Gpu, InfraFailure, KernelFailure};

use crate::measure::{effort, infra_failure, kernel_failure};
use crate::run::run;

/// Measures a text with the harness that is shipped, on a device of its mission.
fn measure(text: &str) -> Result<Vec<()>, Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/grayscale");
    let harness = open(&folder.join("harness.toml")).unwrap();
    let (gpu, effort) = (Gpu::default(), effort());
    let request = Request {
        gpu: &gpu,
        profile: "candidate",
        effort: &effort,
        candidate: text.as_bytes(),
        incumbent: None,
        seed: 42,
        first_pair: 0,
    };
    let ran = run(&harness.job(&request).unwrap());
    ran.iter().map(|ran| harness.read(ran).map(drop)).collect()
}

fn shipped() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/grayscale/kernel.cu")).unwrap()
}

#[test]
fn a_text_without_a_launch_that_every_case_can_have_is_a_compile_error_with_its_line() {
    let table = [
        (shipped().replace("// launch:", "// lunch:"), "no launch line; add one, such as `// launch: grid"),
        (shipped().replace("block = BLOCK", "block = 2*1024"), "line 5: launch, in case \"1021x765\": block"),
        (shipped().replace("width*height", "depth"), "no size is called \"depth\""),
        (format!("{}// launch: grid = 1, block = 1\n", shipped()), "has a launch line already, in line 5"),
    ];
    for (text, expected) in table {
        let (failure, message) = kernel_failure(measure(&text));
        assert_eq!(failure, KernelFailure::Compile, "{message}");
        assert!(message.contains(expected) && !message.contains("/tmp"), "{message}");
    }
}

#[test]
fn a_machine_without_a_driver_is_told_apart_from_a_kernel_that_fails() {
    // SAFETY: looking for the library runs its initialisers, and this process has no other use for it.
    if unsafe { cudarc::driver::sys::is_culib_present() } {
        eprintln!("SKIPPED: this machine has a CUDA driver");
        return;
    }
    let (failure, message) = infra_failure(measure(&shipped()));
    assert_eq!(failure, InfraFailure::NoResult);
    assert!(message.contains("libcuda was not found; install the driver of the device"), "{message}");
}
