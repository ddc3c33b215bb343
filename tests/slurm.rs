//! A real Slurm cluster: runs that use it, and everything that a cluster does to a job.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/scene.rs"]
mod scene;

use std::fs;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use cluster::{CPUS, Cluster, sallocs};
use rustix::process::{Signal, kill_process};
use scene::{BEGIN, RUN, Scene, analysis, candidate, confirm, edit, eventually, skipped, test};

/// The cluster that most of these tests share.
static CLUSTER: LazyLock<Result<Cluster, String>> = LazyLock::new(Cluster::start);

fn cluster() -> Option<&'static Cluster> {
    match &*CLUSTER {
        Ok(cluster) => Some(cluster),
        Err(why) => {
            skipped(&format!("Slurm: {why}"));
            None
        }
    }
}

/// A night on `cluster`, whose mission says `extra` of it; its one change is kept and reaches the target.
fn night(cluster: &Cluster, extra: &str, change: &str) -> Scene {
    let scene = Scene::new(&format!("runner: slurm\n{extra}")).with_variable("SLURM_CONF", cluster.conf());
    // A turn ends with a failure of the infrastructure, which may come behind any measurement.
    scene.script(&[
        &[edit(change), test()],
        &[analysis("KEEP"), candidate()],
        &[analysis("KEEP"), confirm()],
        &[analysis("KEEP")],
    ]);
    scene
}

/// Waits for a job of the scene's to be in this state, and returns its number.
fn job(cluster: &Cluster, scene: &Scene, state: &str) -> u32 {
    let mut found = None;
    eventually(state, || {
        found = cluster.jobs(&scene.root()).into_iter().find(|(_, is)| is == state);
        found.is_some()
    });
    found.unwrap().0
}

/// A change whose harness sleeps for so many seconds and a bit that no other's does.
fn slow(seconds: u32) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("sleep {seconds}.00{:07}{number:02}\ntime_us 40\n", std::process::id())
}

/// Waits until the harness sleeps over `change`, and returns the job's number.
fn job_at_test(cluster: &Cluster, scene: &Scene, change: &str) -> u32 {
    let line = change.lines().next().unwrap().replace(' ', "\0") + "\0";
    let sleeps = |entry: std::io::Result<fs::DirEntry>| {
        fs::read(entry.unwrap().path().join("cmdline")).is_ok_and(|found| found == line.as_bytes())
    };
    eventually("the harness runs", || fs::read_dir("/proc").unwrap().any(sleeps));
    job(cluster, scene, "RUNNING")
}

fn assert_kept(scene: &Scene) {
    let status = scene.json("status");
    assert_eq!((&status["stop_reason"], &status["keeps"]), (&"target_reached".into(), &1.into()));
    assert_eq!(scene.kernel().lines().last(), Some("time_us 40"));
}

fn assert_nothing_left(cluster: &Cluster, scene: &Scene) {
    eventually("the queue is empty", || cluster.jobs(&scene.root()).is_empty());
    eventually("nothing holds an allocation", || sallocs(&scene.root()).is_empty());
}

/// What the artifacts of failed measurements say, in order.
fn infra_failures(scene: &Scene) -> Vec<String> {
    let failed = |line: &String| line.contains("infra_failed").then(|| line.clone());
    scene.lines().iter().filter_map(failed).collect()
}

#[test]
fn a_change_is_measured_on_the_cluster_and_kept() {
    let Some(cluster) = cluster() else { return };
    let scene = night(cluster, "slurm: {partition: main, cpus: 1, time: 5m}", "time_us 40\n");
    let ended = scene.run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_kept(&scene);
    assert_nothing_left(cluster, &scene);
    let text = fs::read_to_string(scene.artifacts().join("iter-0001/final.txt")).unwrap();
    assert!(text.contains("\nrunner: slurm\n") && text.contains("\nsandbox: without "), "{text}");
}

#[test]
fn a_kernel_in_c_is_compiled_and_measured_on_the_node() {
    let Some(cluster) = cluster() else { return };
    let scene = Scene::new("").with_variable("SLURM_CONF", cluster.conf());
    let source = format!("{}/kernels/softmax", env!("CARGO_MANIFEST_DIR"));
    for file in ["kernel.c", "reference.c", "harness.toml"] {
        scene.write(&format!("kernels/softmax/{file}"), fs::read(format!("{source}/{file}")).unwrap());
    }
    let tool = ["tool", "benchmark-run", "--kernel", "kernels/softmax/kernel.c", "--runner", "slurm", "--gpu", "cpu"];
    let harness = ["--harness", "kernels/softmax/harness.toml", "--repeats", "2"];
    let ended = scene.agent(&[&tool[..], &harness].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("on cpu"), "{}", ended.stdout);
    assert_nothing_left(cluster, &scene);
}

#[test]
fn what_the_cluster_does_not_have_is_an_error_before_anything_begins() {
    let Some(cluster) = cluster() else { return };
    for (slurm, word) in [
        ("{partition: nope}", "invalid partition"),
        ("{constraint: b200}", "Invalid feature"),
        ("{gres: 'gpu:b200:1'}", "gres"),
        ("{mem: 900T}", "node configuration is not available"),
    ] {
        let scene = night(cluster, &format!("slurm: {slurm}"), "time_us 40\n");
        let ended = scene.run();
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stderr.to_lowercase().contains(&word.to_lowercase()), "{}", ended.stderr);
        assert!(ended.stderr.contains("under `slurm`"), "{}", ended.stderr);
        assert!(!scene.artifacts().exists());
    }
}

#[test]
fn without_slurm_s_commands_the_error_says_what_is_missing() {
    let scene = Scene::new("runner: slurm").with_variable("PATH", "/nowhere");
    scene.script(&[]);
    let ended = scene.run();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("Slurm's commands must be in PATH"), "{}", ended.stderr);
}

#[test]
fn a_program_that_the_node_does_not_have_ends_the_run_with_the_remedy() {
    let Some(cluster) = cluster() else { return };
    for (agent, word) in [("/no/such/agent", "No such file"), ("/bin/false", "gave no answer")] {
        let scene = night(cluster, &format!("slurm: {{agent: {agent}}}"), "time_us 40\n");
        let ended = scene.run();
        assert_eq!(ended.code, Some(12), "{ended:?}");
        let reason = scene.json("status")["blocked"].to_string() + &scene.lines().concat();
        assert!(reason.contains(word) && reason.contains("slurm.agent"), "{reason}");
        assert_nothing_left(cluster, &scene);
    }
}

#[test]
fn a_job_that_is_cancelled_is_measured_once_more_and_the_run_goes_on() {
    let Some(cluster) = cluster() else { return };
    let change = slow(1);
    let scene = night(cluster, "", &change);
    let running = scene.start(&BEGIN);
    let id = job_at_test(cluster, &scene, &change);
    cluster.ask("scancel", &[&id.to_string()]);
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_kept(&scene);
    let failures = infra_failures(&scene);
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].contains(&format!("job {id} was cancelled (CANCELLED)")), "{failures:?}");
    assert_nothing_left(cluster, &scene);
}

#[test]
fn a_step_that_is_killed_alone_is_told_from_its_job() {
    let Some(cluster) = cluster() else { return };
    let change = slow(1);
    let scene = night(cluster, "", &change);
    let running = scene.start(&BEGIN);
    let id = job_at_test(cluster, &scene, &change);
    cluster.ask("scancel", &[&format!("{id}.0")]);
    assert_eq!(running.end().code, Some(0));
    assert_kept(&scene);
    let failures = infra_failures(&scene);
    assert!(failures[0].contains(&format!("the step in job {id} was ended")), "{failures:?}");
    assert_nothing_left(cluster, &scene);
}

#[test]
fn a_node_that_crashes_and_comes_back_costs_no_run() {
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => return skipped(&format!("Slurm: {why}")),
    };
    let change = slow(2);
    let scene = night(&cluster, "", &change);
    let running = scene.start(&BEGIN);
    job_at_test(&cluster, &scene, &change);
    cluster.crash_node();
    eventually("the failure is noticed", || infra_failures(&scene).len() == 1);
    cluster.mend_node();
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_kept(&scene);
    assert_nothing_left(&cluster, &scene);
}

#[test]
fn a_job_that_is_preempted_is_told_as_one() {
    // What goes before everybody has a cluster of its own.
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => return skipped(&format!("Slurm: {why}")),
    };
    let change = slow(90);
    let scene = night(&cluster, "", &change);
    let running = scene.start(&BEGIN);
    let id = job_at_test(&cluster, &scene, &change);
    let all = format!("--cpus-per-task={CPUS}");
    cluster.ask("sbatch", &["--partition=urgent", &all, "--output=/dev/null", "--wrap", "true"]);
    eventually("the failure is noticed", || infra_failures(&scene).len() == 1);
    running.signal(Signal::KILL);
    running.end();
    let failures = infra_failures(&scene);
    assert!(failures[0].contains(&format!("job {id} was preempted (PREEMPTED)")), "{failures:?}");
    assert_nothing_left(&cluster, &scene);
}

#[test]
fn a_step_that_takes_more_memory_than_its_job_has_is_told_as_one() {
    let cluster = match Cluster::start_that_counts_memory() {
        Ok(cluster) => cluster,
        Err(why) => return skipped(&format!("Slurm: {why}")),
    };
    // No process is above its own limit of 192 MiB: `tail` keeps what has no end of line, until there is no more.
    let hog = "hog) for one in 1 2 3; do { head -c 150M /dev/zero; sleep 90; } | tail >/dev/null & done; wait ;;\n    ";
    let scene = night(&cluster, "slurm: {mem: 256M}", "hog 3\ntime_us 40\n");
    let harness = fs::read_to_string(scene.root().join("harness.sh")).unwrap();
    assert!(harness.contains("sleep) sleep"));
    scene.write("harness.sh", harness.replace("sleep) sleep", &format!("{hog}sleep) sleep")));
    let running = scene.start(&BEGIN);
    eventually("the failure is noticed, twice", || infra_failures(&scene).len() == 2);
    running.signal(Signal::KILL);
    running.end();
    for failure in infra_failures(&scene) {
        assert!(failure.contains("ran out of its memory; give it more with `slurm.mem`"), "{failure}");
    }
    assert_nothing_left(&cluster, &scene);
}

#[test]
fn a_stop_takes_a_waiting_job_out_of_the_queue() {
    let Some(cluster) = cluster() else { return };
    let scene = night(cluster, "slurm: {partition: closed}", "time_us 40\n");
    let running = scene.start(&BEGIN);
    job(cluster, &scene, "PENDING");
    assert_eq!(scene.agent(&["stop", RUN]).code, Some(0));
    let ended = running.end();
    assert_eq!(ended.code, Some(11), "{ended:?}");
    assert!(cluster.jobs(&scene.root()).is_empty());
}

#[test]
fn a_queue_counts_against_the_wall_budget_and_not_against_a_measurement_s_time() {
    let Some(cluster) = cluster() else { return };
    let scene = night(cluster, "slurm: {partition: closed}\nbudget: {wall: 4s}", "time_us 40\n");
    let ended = scene.run();
    assert_eq!(ended.code, Some(10), "{ended:?}");
    assert_eq!(scene.json("status")["stop_reason"], "budget_wall");
    let failures = infra_failures(&scene);
    assert!(!failures.is_empty() && failures.iter().all(|failure| failure.contains("wall budget")), "{failures:?}");
    assert!(cluster.jobs(&scene.root()).is_empty());

    // The queue opens after longer than a whole measurement may take.
    let profiles = "profiles: {smoke: {timeout_seconds: 2}, candidate: {pairs: 1}, final: {pairs: 4}}";
    let scene = night(cluster, "slurm: {partition: closed}", "time_us 40\n");
    let mission = fs::read_to_string(scene.root().join("mission.md")).unwrap();
    let profile_line = mission.lines().find(|line| line.starts_with("profiles:")).unwrap();
    scene.write("mission.md", mission.replace(profile_line, profiles));
    let running = scene.start(&BEGIN);
    let id = job(cluster, &scene, "PENDING");
    thread::sleep(std::time::Duration::from_secs(5));
    cluster.ask("scontrol", &["update", &format!("JobId={id}"), "Partition=main"]);
    eventually("the test is made", || scene.events().iter().any(|event| event == "measure_finished"));
    assert!(infra_failures(&scene).is_empty());
    running.signal(Signal::TERM);
    assert_eq!(running.end().code, Some(11));
    assert_nothing_left(cluster, &scene);
}

#[test]
fn a_killed_agent_leaves_nothing_in_the_queue_and_the_run_goes_on() {
    let Some(cluster) = cluster() else { return };
    for (partition, state) in [("main", "RUNNING"), ("closed", "PENDING")] {
        let change = slow(1);
        let scene = night(cluster, &format!("slurm: {{partition: {partition}}}"), &change);
        let running = scene.start(&BEGIN);
        if state == "RUNNING" {
            job_at_test(cluster, &scene, &change);
        } else {
            job(cluster, &scene, state);
        }
        running.signal(Signal::KILL);
        running.end();
        assert_nothing_left(cluster, &scene);
        if state == "RUNNING" {
            let ended = scene.agent(&["resume", RUN, "--quiet"]);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            assert_kept(&scene);
        }
    }
}

#[test]
fn a_salloc_that_hangs_does_not_outlive_a_killed_agent_and_neither_does_its_job() {
    let Some(cluster) = cluster() else { return };
    let change = slow(90);
    let scene = night(cluster, "", &change);
    let running = scene.start(&BEGIN);
    job_at_test(cluster, &scene, &change);
    let held = sallocs(&scene.root());
    assert_eq!(held.len(), 1);
    kill_process(held[0], Signal::STOP).unwrap();
    running.signal(Signal::KILL);
    running.end();
    assert_nothing_left(cluster, &scene);
}

#[test]
fn a_salloc_that_is_killed_leaves_no_job() {
    let Some(cluster) = cluster() else { return };
    let change = slow(1);
    let scene = night(cluster, "", &change);
    let running = scene.start(&BEGIN);
    job_at_test(cluster, &scene, &change);
    kill_process(sallocs(&scene.root())[0], Signal::KILL).unwrap();
    assert_eq!(running.end().code, Some(0));
    assert_kept(&scene);
    assert_nothing_left(cluster, &scene);
}

#[test]
fn a_process_has_three_quarters_of_its_job_s_memory() {
    let Some(cluster) = cluster() else { return };
    let scene = Scene::new("").with_variable("SLURM_CONF", cluster.conf()).with_variable("SALLOC_MEM_PER_NODE", "512M");
    let result = r#"'{"device":{"name":"cpu"},"cases":[{"id":"one","passed":true,"time_us":[%s]}]}'"#;
    scene.write("harness.sh", format!("printf {result} $(ulimit -d) >\"$AFTERHOURS_RESULT\"\n"));
    let tool = ["tool", "benchmark-run", "--kernel", "kernel.txt", "--harness", "harness.sh", "--runner", "slurm"];
    let ended = scene.agent(&[&tool[..], &["--gpu", "cpu", "--repeats", "1"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains(&format!("{}", 512 * 1024 / 4 * 3)), "KiB: {}", ended.stdout);
}

#[test]
fn a_time_limit_that_is_reached_is_told_as_one() {
    let Some(cluster) = cluster() else { return };
    let change = slow(90);
    let scene = night(cluster, "slurm: {time: 1m}", &change);
    let running = scene.start(&BEGIN);
    let id = job_at_test(cluster, &scene, &change);
    cluster.ask("scontrol", &["update", &format!("JobId={id}"), "EndTime=now"]);
    eventually("the failure is noticed", || infra_failures(&scene).len() == 1);
    running.signal(Signal::KILL);
    running.end();
    let failures = infra_failures(&scene);
    assert!(failures[0].contains("TIMEOUT") && failures[0].contains("slurm.time"), "{failures:?}");
    assert!(failures[0].contains("runner_timeout"), "{failures:?}");
    assert_nothing_left(cluster, &scene);
}

#[test]
fn twenty_runs_at_once_some_killed_some_cancelled_none_lost_or_mixed_up() {
    let Some(cluster) = cluster() else { return };
    let played = |number: usize| {
        let change = format!("time_us {}\n", 20 + number);
        let scene = night(cluster, "", &change);
        let running = scene.start(&BEGIN);
        match number % 5 {
            // Killed in the middle, and resumed.
            0 => {
                eventually("a change", || scene.events().iter().any(|event| event == "edit_finished"));
                running.signal(Signal::KILL);
                running.end();
                let ended = scene.agent(&["resume", RUN, "--quiet"]);
                assert_eq!(ended.code, Some(0), "{number}: {ended:?}");
            }
            // Its job is cancelled, whichever it is.
            1 => {
                let id = job(cluster, &scene, "RUNNING");
                cluster.ask("scancel", &[&id.to_string()]);
                let ended = running.end();
                assert_eq!(ended.code, Some(0), "{number}: {ended:?}");
            }
            _ => {
                let ended = running.end();
                assert_eq!(ended.code, Some(0), "{number}: {ended:?}");
            }
        }
        assert_eq!(scene.kernel(), change, "{number}");
        let status = scene.json("status");
        let best = status["best_us"].as_f64().unwrap();
        assert_eq!((status["keeps"].as_u64(), best), (Some(1), (20 + number) as f64), "{number}");
        assert_nothing_left(cluster, &scene);
    };
    thread::scope(|scope| {
        for number in 0..20 {
            scope.spawn(move || played(number));
        }
    });
}
