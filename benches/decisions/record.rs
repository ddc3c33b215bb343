//! The recording: pairs of blocks, by the harness's own processes.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use afterhours::harness::{self, Harness, Job, Part, Request, Role};
use afterhours::protocol::{Effort, Gpu};
use afterhours::runner::{Local, Runner as _};

use super::{Failed, samples};

/// Pairs of one job.
pub(super) const PAIRS: u32 = 20;
/// Timed calls of a block: those of the candidate profile.
pub(super) const CALLS: u32 = 60;

/// What is measured: the name, which share of the time it gets, by how much text `B` wastes less than `A`, in percent of
/// the work, and whether another process keeps a core busy.
const PARTS: [(&str, f64, u32, bool); 4] =
    [("quiet", 0.55, 3, false), ("busy", 0.25, 3, true), ("faster3", 0.1, 0, false), ("faster3-busy", 0.1, 0, true)];

/// Returns the folder of the kernel.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/decisions/kernel")
}

/// Records pairs of blocks into `path` for so many minutes, and every call's time beside it.
pub(super) fn record(path: &Path, minutes: f64) -> Result<(), Failed> {
    let bench = Bench::open()?;
    let mut calls = File::create(path.with_extension("calls"))?;
    println!("load at the start: {}", load()?);
    for (name, share, redo, busy) in PARTS {
        let neighbour = busy.then(Neighbour::start).transpose()?;
        let other = bench.text.replace("#define REDO 3", &format!("#define REDO {redo}"));
        let until = Instant::now() + Duration::from_secs_f64(minutes * 60.0 * share);
        let mut pairs = 0;
        while Instant::now() < until {
            for (place, role, times) in bench.job(&other, true)? {
                let role = if role == Role::Candidate { 'C' } else { 'I' };
                let times: Vec<_> = times.iter().map(|us| format!("{us:.2}")).collect();
                writeln!(calls, "{name} {place} {role} {}", times.join(" "))?;
            }
            pairs += PAIRS;
        }
        drop(neighbour);
        println!("{name}: {pairs} pairs, load {}", load()?);
    }
    fs::write(path, samples::reduce(&fs::read_to_string(path.with_extension("calls"))?)?)?;
    Ok(())
}

pub(super) fn load() -> Result<String, Failed> {
    Ok(fs::read_to_string("/proc/loadavg")?.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

/// Where the blocks are measured.
pub(super) struct Bench {
    harness: Box<dyn Harness>,
    runner: Local,
    text: String,
}

impl Bench {
    pub(super) fn open() -> Result<Self, Failed> {
        let folder = folder();
        Ok(Self {
            harness: harness::open(&folder.join("harness.toml"))?,
            runner: Local::new(PathBuf::from(env!("CARGO_BIN_EXE_agent")), tempfile::tempdir()?.keep()),
            text: fs::read_to_string(folder.join("kernel.c"))?,
        })
    }

    /// Measures pairs of blocks of the text and of `other`, and returns each block's place, its role and its calls.
    fn job(&self, other: &str, in_turns: bool) -> Result<Vec<(usize, Role, Vec<f64>)>, Failed> {
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
        let job = Job { turn_calls: job.turn_calls.filter(|_| in_turns), ..job };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let output = runtime.block_on(self.runner.run(&job, &mut |_| {}))?;
        let mut blocks = Vec::new();
        for ran in &output.ran {
            let Some(block) = self.harness.read(ran).map_err(|failure| format!("{failure:?}"))? else { continue };
            let Part::Block(place) = ran.part else { continue };
            let times = block.cases.iter().flat_map(|case| &case.time_us).map(|us| us.get()).collect();
            blocks.push((place, ran.role, times));
        }
        Ok(blocks)
    }

    /// The same with equal texts; the calls alone.
    pub(super) fn equal(&self, in_turns: bool) -> Result<Vec<Vec<f64>>, Failed> {
        Ok(self.job(&self.text, in_turns)?.into_iter().map(|(_, _, times)| times).collect())
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
