//! The build of a CUDA text: `agent build`, a process in which NVRTC may crash.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSymbol as _};
use thiserror::Error;

use super::launch::Launch;
use crate::harness::device::{self, DeviceError};
use crate::harness::native::spec::{Case, Spec};
use crate::harness::native::worker::UNABLE;
use crate::harness::nvrtc::{self, Nvrtc, NvrtcFault, Verdict};
use crate::protocol::Device;

/// The files of a stage, beside its spec.
pub(in crate::harness::native) const TEXT: &str = "kernel.cu";
pub(in crate::harness::native) const PROTOTYPE: &str = "problem.h";
pub(super) const CODE: &str = "kernel.cubin";
pub(super) const LOG: &str = "kernel.ptxas.txt";

/// The exit code where the text was rejected; its errors are on standard error.
const REJECTED: u8 = 1;

/// Why nobody could look at the text.
#[derive(Debug, Error)]
enum BuildError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{0}")]
    Device(#[from] DeviceError),
    #[error("the device {0} has no compute capability")]
    NoCapability(String),
    #[error(
        "libnvrtc was not found; `pip install nvidia-cuda-nvrtc nvidia-cuda-runtime` for a Python in PATH, or name its \
         folder in LD_LIBRARY_PATH"
    )]
    NoCompiler,
    #[error("{0}")]
    Nvrtc(#[from] NvrtcFault),
}

/// Compiles the CUDA text beside `spec` for the device at hand.
///
/// Exit code 0 stands for code that can be launched in every case of the spec; 1 for a text that cannot, with the reasons on
/// standard error; 74 where that could not be found out.
pub fn main(spec: &Path) -> ExitCode {
    let (text, code) = match run(spec) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(errors)) => (errors, REJECTED),
        Err(error) => (format!("build: {error}"), UNABLE),
    };
    // Nobody is left to tell if this fails; the exit code still says it.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(code)
}

/// Returns the reasons for which the text is rejected, where it is.
fn run(path: &Path) -> Result<Result<(), String>, BuildError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| BuildError::File { path, source }
    };
    let spec = fs::read(path).map_err(file(path))?;
    let spec: Spec =
        serde_json::from_slice(&spec).map_err(|source| BuildError::Json { path: path.to_owned(), source })?;
    let beside = |name| path.with_file_name(name);
    let text = fs::read(beside(TEXT)).map_err(file(&beside(TEXT)))?;
    // What can be said without a device is said without one.
    if let Err(errors) = check(&text, &spec) {
        return Ok(Err(errors));
    }
    let arch = arch(&device::cuda()?)?;
    let nvrtc = nvrtc::nvrtc().ok_or(BuildError::NoCompiler)?;
    let built = compile(&nvrtc, &text, &beside(PROTOTYPE), &spec.entry, &arch)?;
    Ok(match built {
        Err(errors) => Err(errors),
        Ok((cubin, log)) => {
            fs::write(beside(CODE), cubin).map_err(file(&beside(CODE)))?;
            fs::write(beside(LOG), log).map_err(file(&beside(LOG)))?;
            Ok(())
        }
    })
}

/// What a text became: its code, and what `ptxas` tells of it; or why it is rejected.
type Built = Result<(Vec<u8>, String), String>;

/// Compiles `text` behind the header `prototype`, so that another signature is a compile error.
fn compile(nvrtc: &Nvrtc, text: &[u8], prototype: &Path, entry: &str, arch: &str) -> Result<Built, NvrtcFault> {
    let include = format!("--pre-include={}", prototype.display());
    Ok(match nvrtc::compile(nvrtc, TEXT, text, arch, &[include])? {
        Verdict::Rejected(log) => Err(log),
        Verdict::Compiled { cubin, .. } if !defines(&cubin, entry) => Err(format!(
            "{TEXT}: error: no `extern \"C\" __global__ void {entry}(…)` is defined; keep the entry point by this name"
        )),
        Verdict::Compiled { log, cubin } => Ok((cubin, log)),
    })
}

/// Checks what a text says of its launch, for every case.
fn check(text: &[u8], spec: &Spec) -> Result<(), String> {
    let rejected = |message: String| format!("{TEXT}: error: {message}");
    let text = str::from_utf8(text).map_err(|_| rejected("the text is not UTF-8".to_owned()))?;
    let launch = Launch::parse(text).map_err(|error| rejected(error.to_string()))?;
    let geometry = |case: &Case| launch.geometry(&case.id, &case.sizes).map(drop);
    spec.cases.iter().try_for_each(geometry).map_err(|error| rejected(error.to_string()))
}

/// Returns the architecture of a device, with the features of that very device where it has some.
fn arch(device: &Device) -> Result<String, BuildError> {
    let capability = device.compute_capability.as_deref().and_then(|capability| capability.split_once('.'));
    let (major, minor) = capability.ok_or_else(|| BuildError::NoCapability(device.name.clone()))?;
    let own = if major.parse::<u32>().is_ok_and(|major| major >= 9) { "a" } else { "" };
    Ok(format!("sm_{major}{minor}{own}"))
}

/// Tells whether compiled code has the function `entry`.
fn defines(cubin: &[u8], entry: &str) -> bool {
    let file: Result<ElfFile64, _> = ElfFile64::parse(cubin);
    file.is_ok_and(|file| file.symbols().any(|symbol| symbol.is_definition() && symbol.name() == Ok(entry)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::native::problem::Problem;
    use crate::harness::native::source::device_prototype;
    use crate::harness::nvrtc::uses;

    fn shipped() -> (Problem, String) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/grayscale");
        let harness = folder.join("harness.toml");
        let problem = Problem::parse(&harness, &fs::read(&harness).unwrap()).unwrap();
        (problem, fs::read_to_string(folder.join("kernel.cu")).unwrap())
    }

    /// Builds texts for an architecture; `None` where NVRTC is missing.
    fn builder() -> Option<impl Fn(&str, &str) -> Built> {
        let Some(nvrtc) = nvrtc::nvrtc() else {
            eprintln!("SKIPPED: libnvrtc was not found");
            return None;
        };
        let (problem, _) = shipped();
        Some(move |text: &str, arch: &str| {
            let folder = tempfile::tempdir().unwrap();
            let prototype = folder.path().join(PROTOTYPE);
            fs::write(&prototype, device_prototype(&problem)).unwrap();
            compile(&nvrtc, text.as_bytes(), &prototype, &problem.entry, arch).unwrap()
        })
    }

    #[test]
    fn the_kernel_that_is_shipped_is_built_for_the_devices_of_missions() {
        let Some(build) = builder() else { return };
        let (_, text) = shipped();
        for arch in ["sm_80", "sm_90a", "sm_100a"] {
            let (cubin, log) = build(&text, arch).unwrap();
            assert!(cubin.starts_with(b"\x7fELF"), "{arch}");
            let [kernel] = &uses(&log)[..] else { panic!("{log}") };
            assert!(kernel.name == "grayscale" && kernel.registers > 0 && kernel.spilled == 0, "{kernel:?}");
        }
    }

    #[test]
    fn words_of_the_language_that_leave_the_signature_as_it_is_are_accepted() {
        let Some(build) = builder() else { return };
        let (_, text) = shipped();
        let bounded = text
            .replace("void grayscale(", "void __launch_bounds__(256) grayscale(")
            .replace("const unsigned char *rgb", "const unsigned char *__restrict__ rgb");
        assert_ne!(bounded, text);
        build(&bounded, "sm_90a").unwrap();
    }

    #[test]
    fn another_signature_a_missing_entry_and_launches_from_the_device_are_rejected() {
        let Some(build) = builder() else { return };
        let (_, text) = shipped();
        let table = [
            (text.replace("int width, int height", "int height, long width"), "grayscale"),
            (text.replace("unsigned char *gray", "float *gray"), "grayscale"),
            (
                text.replace("__global__ void grayscale", "__global__ void grey"),
                "`extern \"C\" __global__ void grayscale(…)`",
            ),
            (text.replace("luma(rgb", "lumen(rgb"), "kernel.cu(24): error: identifier \"lumen\" is undefined"),
            (format!("{text}__global__ void more() {{ more<<<1, 1>>>(); }}\n"), "error"),
            (format!("{text}\0"), "NUL byte"),
        ];
        for (text, expected) in table {
            let errors = build(&text, "sm_90a").unwrap_err();
            assert!(errors.contains(expected), "{expected}: {errors}");
        }
    }

    #[test]
    fn an_architecture_that_the_compiler_does_not_know_is_not_the_texts_fault() {
        let Some(nvrtc) = nvrtc::nvrtc() else { return };
        let fault = compile(&nvrtc, b"", Path::new("none.h"), "f", "sm_1").unwrap_err();
        assert!(fault.to_string().contains("cannot compile for sm_1"), "{fault}");
    }

    #[test]
    fn each_device_has_the_architecture_with_its_own_features() {
        let device =
            |capability: &str| Device { name: "d".to_owned(), compute_capability: Some(capability.to_owned()) };
        for (capability, expected) in [("10.0", "sm_100a"), ("9.0", "sm_90a"), ("8.9", "sm_89"), ("12.1", "sm_121a")] {
            assert_eq!(arch(&device(capability)).unwrap(), expected);
        }
        assert!(arch(&Device { name: "cpu".to_owned(), compute_capability: None }).is_err());
    }

    #[test]
    fn what_cannot_be_launched_in_some_case_is_rejected_without_a_device() {
        let (problem, text) = shipped();
        let spec = Spec {
            harness: String::new(),
            target: crate::harness::native::spec::Target::Cuda,
            entry: problem.entry,
            tolerance: problem.tolerance,
            imports: Vec::new(),
            stage_repeats: Vec::new(),
            early_stop_us: None,
            turn_calls: None,
            cases: problem.cases,
        };
        check(text.as_bytes(), &spec).unwrap();
        let errors = check(text.replace("BLOCK 256", "BLOCK 2048").as_bytes(), &spec).unwrap_err();
        assert!(errors.contains("kernel.cu: error: line 5") && errors.contains("from 1 to 1024"), "{errors}");
        assert!(check(b"\xff", &spec).unwrap_err().contains("not UTF-8"));
    }
}
