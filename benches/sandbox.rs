//! What the sandbox costs: the start and end of a program that does nothing, three ways in turn.
//!
//! Plain is what a script does: a child process, waited for. Supervised adds the process that ends every descendant;
//! confined adds Landlock, seccomp and the rest, as every measurement runs.
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

mod support;

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use afterhours::sandbox::{Access, Input, Limits, Protections, Spec, run, scrubbed};
use support::Failed;
use support::sample::Sample;

const ROUNDS: usize = 200;

/// What a confined start may take beyond a plain one, at the median, in milliseconds.
const TARGET_MS: f64 = 10.0;

const PROGRAM: &str = "true";

/// How a program is started.
#[derive(Clone, Copy)]
enum Way {
    Plain,
    Supervised,
    Confined,
}

async fn start(way: Way, folder: &Path) -> Result<Duration, Failed> {
    let begun = Instant::now();
    let env = scrubbed(std::env::vars_os(), folder);
    let access = match way {
        Way::Plain => {
            Command::new(PROGRAM).env_clear().envs(env).current_dir(folder).status()?;
            return Ok(begun.elapsed());
        }
        Way::Supervised => None,
        Way::Confined => Some(Access::new(OsStr::new(PROGRAM), &env, folder, None)),
    };
    run(Spec {
        agent: Path::new(env!("CARGO_BIN_EXE_agent")),
        program: OsStr::new(PROGRAM),
        args: &[],
        folder,
        env,
        stdin: Input::Bytes(b""),
        deadline: begun + Duration::from_secs(60),
        output_bytes: 1024,
        limits: Limits { processes: Some(256), ..Limits::default() },
        access,
        hold: None,
    })
    .await?;
    Ok(begun.elapsed())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let ways = [("plain", Way::Plain), ("supervised", Way::Supervised), ("confined", Way::Confined)];
    let mut samples = ways.map(|(name, way)| (name, way, Sample::default()));
    for _ in 0..ROUNDS {
        for (_, way, sample) in &mut samples {
            sample.push(start(*way, folder.path()).await?);
        }
    }
    println!(
        "sandbox: start and end of `{PROGRAM}`, {ROUNDS} times each, in turn; this system confines {}",
        Protections::probe()
    );
    println!("{:>11} {:>10} {:>8}", "", "median ms", "p99 ms");
    for (name, _, sample) in &samples {
        println!("{name:>11} {:>10.2} {:>8.2}", sample.median(), sample.p99());
    }
    let [(.., plain), _, (.., confined)] = &samples;
    println!("confined beyond plain: {:.2} ms of {TARGET_MS} ms allowed", confined.median() - plain.median());
    Ok(())
}
