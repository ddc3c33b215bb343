//! The recording: pairs of blocks, by the harness's own processes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use afterhours::harness::{self, Harness, Part, Request, Role};
use afterhours::protocol::{Effort, Gpu};
use afterhours::runner::{Local, Runner as _};

use super::{Failed, samples};

/// Pairs of one job.
const PAIRS: u32 = 20;
/// Timed calls of a block: those of the candidate profile.
const CALLS: u32 = 60;

/// What is measured: the name, which share of the time it gets, by how much text `B` wastes less than `A`, in percent of
/// the work, and whether another process keeps a core busy.
const PARTS: [(&str, f64, u32, bool); 4] =
    [("quiet", 0.55, 3, false), ("busy", 0.25, 3, true), ("faster3", 0.1, 0, false), ("faster3-busy", 0.1, 0, true)];

/// Records pairs of blocks into `path` for so many minutes, and every call's time beside it.
pub(super) fn record(path: &Path, minutes: f64) -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/decisions/kernel");
    let harness = harness::open(&folder.join("harness.toml"))?;
    let text = fs::read_to_string(folder.join("kernel.c"))?;
    let mut bench = Bench {
        harness,
        runner: Local::new(PathBuf::from(env!("CARGO_BIN_EXE_agent")), tempfile::tempdir()?.keep()),
        calls: File::create(path.with_extension("calls"))?,
        text: text.clone(),
    };
    println!("load at the start: {}", load()?);
    for (name, share, redo, busy) in PARTS {
        let neighbour = busy.then(Neighbour::start).transpose()?;
        let other = text.replace("#define REDO 3", &format!("#define REDO {redo}"));
        let until = Instant::now() + Duration::from_secs_f64(minutes * 60.0 * share);
        let mut pairs = 0;
        while Instant::now() < until {
            bench.job(name, &other)?;
            pairs += PAIRS;
        }
        drop(neighbour);
        println!("{name}: {pairs} pairs, load {}", load()?);
    }
    fs::write(path, samples::reduce(&fs::read_to_string(path.with_extension("calls"))?)?)?;
    Ok(())
}

fn load() -> Result<String, Failed> {
    Ok(fs::read_to_string("/proc/loadavg")?.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

struct Bench {
    harness: Box<dyn Harness>,
    runner: Local,
    calls: File,
    text: String,
}

impl Bench {
    fn job(&mut self, name: &str, other: &str) -> Result<(), Failed> {
        let effort = Effort {
            repeats: CALLS,
            stage_repeats: vec![CALLS],
            early_stop_us: None,
            timeout_seconds: 600,
            pairs: PAIRS,
        };
        let job = self.harness.job(&Request {
            gpu: &Gpu("cpu".to_owned()),
            profile: "candidate",
            effort: &effort,
            candidate: other.as_bytes(),
            incumbent: Some(self.text.as_bytes()),
            seed: getrandom::u64()?,
            first_pair: 0,
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let output = runtime.block_on(self.runner.run(&job, &mut |_| {}))?;
        for ran in &output.ran {
            let Some(block) = self.harness.read(ran).map_err(|failure| format!("{failure:?}"))? else { continue };
            let Part::Block(place) = ran.part else { continue };
            let role = if ran.role == Role::Candidate { 'C' } else { 'I' };
            let times: Vec<_> =
                block.cases.iter().flat_map(|case| &case.time_us).map(|us| format!("{:.2}", us.get())).collect();
            writeln!(self.calls, "{name} {place} {role} {}", times.join(" "))?;
        }
        Ok(())
    }
}

/// A process that keeps a core busy until it is dropped.
struct Neighbour(Child);

impl Neighbour {
    fn start() -> Result<Self, Failed> {
        Ok(Self(Command::new("sh").args(["-c", "while :; do :; done"]).spawn()?))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
