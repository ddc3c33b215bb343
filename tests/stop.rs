//! Stopping: by a signal, by a second one, by command; and what `resume` makes of it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that fails fails its test")]

#[path = "support/scene.rs"]
mod scene;

use std::fs;

use rustix::process::Signal;
use scene::{BEGIN, KERNEL, RUN, Running, Scene, analysis, candidate, confirm, edit, eventually, test};

/// A night whose one change takes a second a measurement, so that there is time to stop it.
fn slow() -> Scene {
    let scene = Scene::new("");
    scene.script(&[
        &[edit("sleep 1\ntime_us 40\n"), test(), analysis("KEEP"), candidate(), analysis("KEEP")],
        &[edit("time_us 40\n"), test(), analysis("KEEP"), candidate(), analysis("KEEP"), confirm()],
        &[analysis("KEEP")],
    ]);
    scene
}

/// Starts the slow night, and waits until its change is being tested.
fn in_the_middle(scene: &Scene) -> Running {
    let running = scene.start(&BEGIN);
    eventually("the change is being tested", || {
        let events = scene.events();
        let last = events.last().is_some_and(|event| event == "measure_started");
        last && events.iter().any(|event| event == "edit_finished")
    });
    running
}

/// The step was finished, the change put back, and the run ended.
fn assert_stopped_in_order(scene: &Scene, by: &str) {
    let events = scene.events();
    let end = ["measure_finished", "stop_requested", "revert_started", "revert_finished", "iteration_finished"];
    assert_eq!(events[events.len() - 6..events.len() - 1], end);
    assert_eq!(events.last().unwrap(), "run_stopped");
    let wish = scene.lines().into_iter().find(|line| line.contains("\"stop_requested\"")).unwrap();
    assert!(wish.contains(by), "{wish}");
    assert_eq!(scene.kernel(), "time_us 100\n", "the incumbent");
    assert_eq!(scene.harness_processes(), [0; 0]);
    let status = scene.json("status");
    assert_eq!((&status["stop_reason"], &status["phase"]), (&"user".into(), &"stopped".into()));
}

/// The run goes on where it was stopped, and reaches its target.
fn assert_goes_on(scene: &Scene) {
    let ended = scene.agent(&["resume", RUN, "--quiet"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(scene.kernel(), "time_us 40\n");
    assert_eq!(scene.events().iter().filter(|event| *event == "run_resumed").count(), 1);
}

#[test]
fn one_signal_finishes_the_step_and_puts_the_change_back() {
    for signal in [Signal::INT, Signal::TERM] {
        let scene = slow();
        let running = in_the_middle(&scene);
        running.signal(signal);
        let ended = running.end();
        assert_eq!(ended.code, Some(11), "{ended:?}");
        assert!(ended.stderr.contains("stopping after this step"), "{}", ended.stderr);
        assert_stopped_in_order(&scene, "signal");
        assert_goes_on(&scene);
    }
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_run_goes_on_later() {
    let scene = slow();
    let running = in_the_middle(&scene);
    running.signal(Signal::INT);
    // Two signals that come together are one.
    std::thread::sleep(std::time::Duration::from_millis(200));
    running.signal(Signal::INT);
    let ended = running.end();
    assert_eq!(ended.code, Some(11), "{ended:?}");
    assert!(ended.stderr.contains("go on with `agent resume`"), "{}", ended.stderr);
    assert_eq!(scene.events().last().unwrap(), "measure_started", "the step was not finished");
    assert_eq!(scene.harness_processes(), [0; 0]);
    assert!(scene.json("status")["stop_reason"].is_null());
    assert_eq!(scene.kernel(), "sleep 1\ntime_us 40\n", "the change in flight, as the journal says");
    let ended = scene.agent(&["resume", RUN, "--quiet"]);
    assert_eq!(ended.code, Some(12), "the recording ends in the middle of an iteration: {ended:?}");
    assert_eq!(scene.kernel(), "time_us 100\n");
}

#[test]
fn stop_ends_a_live_run_in_order() {
    let scene = slow();
    let running = in_the_middle(&scene);
    let asked = scene.agent(&["stop", RUN]);
    assert_eq!((asked.code, asked.stdout.trim()), (Some(0), "night stops after the step under way"));
    assert_eq!(running.end().code, Some(11));
    assert_stopped_in_order(&scene, "command");
    let again = scene.agent(&["stop", RUN]);
    assert_eq!((again.code, again.stdout.trim()), (Some(0), "night is over already: stopped by the user"));
    assert_goes_on(&scene);
}

#[test]
fn a_run_whose_process_is_gone_cannot_be_stopped_and_an_old_wish_does_not_stop_its_resumption() {
    let scene = slow();
    let running = in_the_middle(&scene);
    assert_eq!(scene.agent(&["stop", RUN]).code, Some(0));
    running.signal(Signal::KILL);
    running.end();
    // A child that was being started at that moment holds the lock until its exec.
    eventually("nobody holds the run", || scene.agent(&["stop", RUN]).code == Some(2));
    let refused = scene.agent(&["stop", RUN]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("night is not running: its process is gone"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: `agent resume night` goes on with it"), "{}", refused.stderr);
    let ended = scene.agent(&["resume", RUN, "--quiet"]);
    assert_eq!(ended.code, Some(12), "to the end of the recording: {ended:?}");
    assert!(!scene.events().contains(&"stop_requested".to_owned()));
}

#[test]
fn a_run_that_died_while_it_stopped_goes_on_when_it_is_resumed() {
    let scene = slow();
    let mut held = scene.hold(&BEGIN);
    while !scene.events().contains(&"edit_finished".to_owned()) {
        held.until(scene.events().len() + 1).unwrap();
    }
    fs::write(scene.artifacts().join("stop-requested"), "").unwrap();
    held.until(scene.events().len() + 1).unwrap();
    held.kill();
    assert_eq!(scene.events().last().unwrap(), "stop_requested");
    assert_eq!(scene.agent(&["resume", RUN, "--quiet"]).code, Some(12), "to the end of the recording");
}

#[test]
fn a_run_in_other_hands_is_not_resumed() {
    let scene = slow();
    let running = in_the_middle(&scene);
    let events = scene.lines();
    let refused = scene.agent(&["resume", RUN]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let message = "is in use by process ";
    assert!(refused.stderr.contains(message) && refused.stderr.contains("stop it first"), "{}", refused.stderr);
    assert_eq!(scene.lines(), events);
    assert_eq!(scene.json("status")["live"], true);
    running.signal(Signal::TERM);
    assert_eq!(running.end().code, Some(11));
}

#[test]
fn a_second_run_on_the_same_kernel_is_refused_and_leaves_nothing() {
    let scene = slow();
    let running = in_the_middle(&scene);
    let second = scene.agent(&["run", "--mission", "mission.md", "--run-id", "second"]);
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(
        second.stderr.contains("another run works on") && second.stderr.contains("agent stop"),
        "{}",
        second.stderr
    );
    assert!(!scene.artifacts().with_file_name("second").exists());
    running.signal(Signal::TERM);
    assert_eq!(running.end().code, Some(11));
}

#[test]
fn a_run_that_reached_its_target_is_over_for_good() {
    let scene = Scene::new("");
    scene.script(&[
        &[edit("time_us 40\n"), test(), analysis("KEEP"), candidate(), analysis("KEEP"), confirm()],
        &[analysis("KEEP")],
    ]);
    assert_eq!(scene.run().code, Some(0));
    let (lines, tip) = (scene.lines(), scene.git(&["rev-parse", "agent/night"]));
    scene.write(KERNEL, "mine, from the morning after\n");
    for args in [&["resume", RUN][..], &["resume", RUN, "--max-iterations", "9"], &["resume", RUN, "--json"]] {
        let ended = scene.agent(args);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(scene.lines(), lines);
    }
    assert_eq!(scene.kernel(), "mine, from the morning after\n");
    assert_eq!(scene.git(&["rev-parse", "agent/night"]), tip);
}

#[test]
fn a_spent_budget_ends_the_run_until_there_is_more() {
    let scene = Scene::new("budget: {iterations: 1}");
    scene.script(&[
        &[edit("time_us 101\n"), test(), analysis("KEEP"), candidate(), analysis("REVERT")],
        &[edit("time_us 40\n"), test(), analysis("KEEP"), candidate(), analysis("KEEP"), confirm()],
        &[analysis("KEEP")],
    ]);
    assert_eq!(scene.run().code, Some(10));
    let lines = scene.lines();
    assert_eq!(scene.agent(&["resume", RUN]).code, Some(10));
    assert_eq!(scene.agent(&["resume", RUN, "--max-iterations", "1"]).code, Some(10), "no more than before");
    assert_eq!(scene.json("status")["iteration"], 1);
    assert!(scene.lines().starts_with(&lines));
    assert_eq!(scene.agent(&["resume", RUN, "--max-iterations", "2"]).code, Some(0));
    let status = scene.json("status");
    assert_eq!((&status["iteration"], &status["round_trips"]), (&2.into(), &3.into()));
}
