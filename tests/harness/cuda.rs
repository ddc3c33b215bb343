//! Native harnesses with a kernel in CUDA: what holds of them where there is no device.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use afterhours::harness::{BlockResult, Failure, Request, open};
use afterhours::protocol::{Gpu, InfraFailure, KernelFailure};
use tempfile::TempDir;

use crate::measure::{effort, infra_failure, kernel_failure};
use crate::run::run;

/// Measures a text with the harness that is shipped, on a device of its mission; its processes find these variables.
fn measure(text: &str, env: &[(&str, &str)]) -> Result<Vec<BlockResult>, Failure> {
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
    let mut job = harness.job(&request).unwrap();
    let builds = job.stages.iter_mut().flat_map(|stage| &mut stage.build);
    for exec in builds.chain(job.blocks.iter_mut().map(|block| &mut block.exec)) {
        exec.env.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }
    run(&job).iter().filter_map(|ran| harness.read(ran).transpose()).collect()
}

/// Measures the kernel that is shipped with a driver and a compiler that have no device, and go wrong as `mode` says; with
/// `old`, they are.
fn on_a_fake(mode: &str) -> Result<Vec<BlockResult>, Failure> {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let cc = |args: &[&str]| {
            assert!(Command::new("cc").args(args).current_dir(folder.path()).status().unwrap().success(), "{args:?}");
        };
        fs::write(folder.path().join("code.c"), "void grayscale(void) {}\n").unwrap();
        cc(&["-c", "code.c"]);
        let code = format!("-DCODE={:?}", folder.path().join("code.o"));
        let fake = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cuda/fake.c");
        for (age, more) in [("new", "-UOLD"), ("old", "-DOLD")] {
            fs::create_dir(folder.path().join(age)).unwrap();
            for library in ["libcuda.so.1", "libnvrtc.so.13"] {
                cc(&["-O2", "-shared", "-fPIC", &code, more, fake, "-o", &format!("{age}/{library}")]);
            }
        }
        folder
    });
    let libraries = folder.path().join(if mode == "old" { "old" } else { "new" });
    measure(&shipped(), &[("LD_LIBRARY_PATH", libraries.to_str().unwrap()), ("FAKE_CUDA", mode)])
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
        let (failure, message) = kernel_failure(measure(&text, &[]));
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
    let (failure, message) = infra_failure(measure(&shipped(), &[]));
    assert_eq!(failure, InfraFailure::NoResult);
    assert!(message.contains("libcuda was not found; install the driver of the device"), "{message}");
}

#[test]
fn a_block_names_its_device_and_says_what_it_was_like() {
    let blocks = on_a_fake("").unwrap();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        assert_eq!(block.device.name, "NVIDIA B200");
        assert_eq!(block.device.compute_capability.as_deref(), Some("10.0"));
        assert_eq!(block.cases[0].time_us.len(), 5);
        let conditions = block.conditions.unwrap();
        assert_eq!((conditions.cuda.as_str(), conditions.cache_bytes), ("12.9", 126 << 20));
        // There is no NVML for a device that does not exist.
        assert_eq!((conditions.driver, conditions.before, conditions.after), (None, None, None));
        let [launch] = conditions.launches.as_slice() else { panic!("{:?}", conditions.launches) };
        assert_eq!((launch.grid, launch.block), ([3052, 1, 1], [256, 1, 1]));
        assert_eq!((launch.registers, launch.spilled_bytes, launch.local_bytes), (23, Some(8), 8));
        assert_eq!((launch.blocks_per_multiprocessor, launch.occupancy), (8, 1.0));
    }
}

#[test]
fn what_goes_wrong_on_a_device_is_the_kernels_or_the_devices_fault() {
    for (mode, expected, words) in [
        ("wrong", KernelFailure::WrongAnswer, "case 1021x765: gray[0]: expected"),
        ("illegal", KernelFailure::Crash, "as it was told to (CUDA_ERROR_FAKE)"),
        ("large", KernelFailure::Compile, "block has 256 threads; with 23 registers a thread"),
    ] {
        let (failure, message) = kernel_failure(on_a_fake(mode));
        assert_eq!(failure, expected, "{mode}: {message}");
        assert!(message.contains(words), "{mode}: {message}");
    }
    for (mode, words) in [
        ("lost", "as it was told to (CUDA_ERROR_FAKE)"),
        ("gone", "no context on the device"),
        ("old", "the driver lacks what this program needs of it"),
    ] {
        let (failure, message) = infra_failure(on_a_fake(mode));
        assert_eq!(failure, InfraFailure::NoResult, "{mode}: {message}");
        assert!(message.contains(words) && message.contains("the worker could not measure"), "{mode}: {message}");
    }
}
