//! What the runner for Slurm adds to a bare `srun` of the same job, on a real cluster of one node that the bench starts.
//!
//! Bare is what a script does: one `srun`, with an allocation of its own, of the same processes in a shell. The runner's job
//! has its allocation held by `salloc`, its orders sent, its stage written, its processes supervised and confined, and its
//! output sent back. Within one allocation, as the jobs of one measurement have it, the allocation is the first job's alone.
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

#[path = "../tests/support/cluster.rs"]
mod cluster;
mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use afterhours::harness::{Block, Exec, Job, Program, Role, Stage};
use afterhours::mission::{SandboxChoice, SlurmSettings};
use afterhours::protocol::Gpu;
use afterhours::runner::{Runner, Slurm};
use cluster::Cluster;
use support::Failed;
use support::sample::Sample;

const ROUNDS: usize = 15;

/// What the runner may take beyond a bare `srun`.
const ALLOWED: f64 = 0.20;

/// One block: as long as a short one of a real kernel is.
const BLOCK: &str = "sleep 0.5";

const BLOCKS: usize = 8;

fn job() -> Job {
    let exec = Exec {
        program: Program::Named("sh".to_owned()),
        args: vec!["-c".to_owned(), BLOCK.to_owned()],
        env: Vec::new(),
        stdin: Vec::new(),
        result: None,
    };
    let files = vec![("kernel.txt".into(), vec![b'x'; 20_000])];
    let block = Block { role: Role::Candidate, exec };
    Job {
        gpu: Gpu("cpu".to_owned()),
        stages: vec![Stage { role: Role::Candidate, files, build: Vec::new() }],
        blocks: vec![block; BLOCKS],
        turn_calls: None,
        first_pair: 0,
        timeout: Duration::from_secs(120),
    }
}

fn bare() -> Result<Duration, Failed> {
    let begun = Instant::now();
    let script = vec![format!("sh -c '{BLOCK}'"); BLOCKS].join("; ");
    let status = Command::new("srun").args(["-N1", "-n1", "sh", "-c", &script]).stdin(Stdio::null()).status()?;
    if status.success() { Ok(begun.elapsed()) } else { Err("srun failed".into()) }
}

async fn ours(slurm: &Slurm, released: bool) -> Result<Duration, Failed> {
    let begun = Instant::now();
    let output = slurm.run(&job(), &mut |_| {}).await?;
    if output.ran.iter().any(|ran| !ran.exit.is_success()) {
        return Err("a block failed".into());
    }
    if released {
        slurm.release().await;
    }
    Ok(begun.elapsed())
}

fn main() -> Result<(), Failed> {
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => {
            println!("slurm: SKIPPED: {why}");
            return Ok(());
        }
    };
    // SAFETY: no other thread reads the environment: the cluster's own has started its daemons, and waits.
    unsafe { std::env::set_var("SLURM_CONF", cluster.conf()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let runner = |name: &str| {
        let agent = env!("CARGO_BIN_EXE_agent").into();
        Slurm::new(agent, SlurmSettings::default(), SandboxChoice::default(), name.as_ref())
    };
    let (each, kept) = (runner("/bench/each")?, runner("/bench/kept")?);
    let mut samples = [Sample::default(), Sample::default(), Sample::default()];
    runtime.block_on(async {
        // The first job of a runner is not timed: it looks after what an earlier process left.
        ours(&each, true).await?;
        ours(&kept, false).await?;
        for _ in 0..ROUNDS {
            let [plain, own, within] = &mut samples;
            plain.push(bare()?);
            own.push(ours(&each, true).await?);
            within.push(ours(&kept, false).await?);
        }
        kept.release().await;
        Ok::<_, Failed>(())
    })?;
    println!("slurm: a job of {BLOCKS} blocks of `{BLOCK}`, {ROUNDS} times each, in turn");
    println!("{:>30} {:>10} {:>8}", "", "median ms", "p99 ms");
    let names = ["bare srun", "runner, its own allocation", "runner, allocation kept"];
    for (name, sample) in names.iter().zip(&samples) {
        println!("{name:>30} {:>10.0} {:>8.0}", sample.median(), sample.p99());
    }
    let [plain, own, within] = &samples;
    let beyond = |sample: &Sample| (sample.median() / plain.median() - 1.0) * 100.0;
    println!(
        "beyond the bare srun: {:.1}% with its own allocation, {:.1}% where it is kept; {:.0}% allowed",
        beyond(own),
        beyond(within),
        ALLOWED * 100.0
    );
    Ok(())
}
