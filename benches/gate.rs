//! What the compile gate costs beside what it saves: a text is compiled before a device is occupied for it.
//!
//! The job that a broken text is spared is timed on this processor: the smoke test of the same problem in C. One on a GPU makes a
//! context first and cannot be shorter. The CUDA rows need NVRTC, which `agent doctor` finds or misses.
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use afterhours::gate::{Checked, Gate};
use afterhours::harness;
use afterhours::protocol::{Effort, Gpu, MetricName, Outcome, Profile};
use afterhours::runner::Local;
use afterhours::stats::{Aim, Rule};
use afterhours::tools::{Bench, Order, Yardstick, measure};

const ROUNDS: usize = 15;

type Failed = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/grayscale");
    let read = |name: &str| fs::read_to_string(root.join(name));
    let (cuda, python, c) = (read("kernel.cu")?, read("submission.py")?, read("kernel.c")?);
    let broken = cuda.replacen(';', "", 1);
    let agent = Path::new(env!("CARGO_BIN_EXE_agent"));
    let gate = |kernel: &str, text: &str| {
        let reference = text.as_bytes().to_vec();
        Gate::new(agent.to_owned(), Path::new(kernel), &Gpu::default()).with_reference(Some(reference))
    };
    let (of_cuda, of_python) = (gate("kernel.cu", &cuda), gate("submission.py", &python));
    let mut times: [Vec<Duration>; 4] = Default::default();
    let scratch = tempfile::tempdir()?;
    for round in 0..ROUNDS {
        let [whole, wrong, script, job] = &mut times;
        for (gate, text, times) in [(&of_cuda, &cuda, whole), (&of_cuda, &broken, wrong), (&of_python, &python, script)]
        {
            let begun = Instant::now();
            match gate.check(text.as_bytes()).await {
                Checked::Aside(why) if round == 0 => println!("skipped: {why}"),
                Checked::Aside(_) => {}
                Checked::Passed(_) | Checked::Rejected { .. } => times.push(begun.elapsed()),
            }
        }
        let begun = Instant::now();
        smoke(&root, agent, scratch.path(), &c).await?;
        job.push(begun.elapsed());
    }
    let middle = times.map(|mut times| {
        times.sort();
        times.get(times.len() / 2).copied()
    });
    let [whole, wrong, script, job] = middle;
    let job = job.ok_or("no job was timed")?;
    println!("a smoke test on the processor: {:.3} s at the median of {ROUNDS}", job.as_secs_f64());
    for (name, time) in [("CUDA for B200", whole), ("the same, broken", wrong), ("Python", script)] {
        if let Some(time) = time {
            let part = time.as_secs_f64() / job.as_secs_f64();
            println!("gate, {name}: {:.3} s, {part:.3} of the job", time.as_secs_f64());
        }
    }
    Ok(())
}

async fn smoke(root: &Path, agent: &Path, scratch: &Path, text: &str) -> Result<(), Failed> {
    let gpu = Gpu("cpu".to_owned());
    let runner = Local::new(agent.to_owned(), scratch.join("stage")).with_locks_in(scratch.to_owned());
    let bench = Bench {
        harness: harness::open(&root.join("harness.toml"))?,
        runner: Box::new(runner),
        gate: None,
        yardstick: Yardstick { gpu, metric: MetricName::MedianUs, roofline_us: None },
    };
    let effort = Effort { repeats: 3, stage_repeats: vec![3], early_stop_us: None, timeout_seconds: 60, pairs: 1 };
    let rule = Rule { margin: 0.01, aim: Aim::Screen, most: 1 };
    let order =
        Order { profile: Profile::Smoke, effort: &effort, candidate: text.as_bytes(), incumbent: None, seed: 1, rule };
    match measure(&bench, order, &mut |_| {}).await?.outcome {
        Outcome::Measured { .. } => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}
