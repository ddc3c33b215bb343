//! The loop of a measurement on a device in the host's memory, with a real reference.

use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::call::Accelerator;
use super::driver::{Address, DriverFault, Parameter, Stamp};
use super::launch::{Geometry, Launch};
use super::memory::{Asked, Fake, Memory};
use crate::harness::LaunchFacts;
use crate::harness::native::bench::Bench;
use crate::harness::native::dtype::Dtype;
use crate::harness::native::library::Entry;
use crate::harness::native::machine::{Fault, Machine};
use crate::harness::native::spec::{Arg, BufferArg, Case, Content, Spec, Target};
use crate::harness::native::toml_file::{Distribution, Tolerance};
use crate::harness::native::turns::Turns;

const LEN: usize = 300;
const TEXT: &str = "// launch: grid = ceil_div(n, 128), block = 128, shared = 64\n";
/// What empty calls ask, eight things each, before the first case.
const EMPTY: usize = 25 * 8;
/// What a call asks before its kernel: two uploads, then four operations.
const BEFORE: usize = 6;

fn spec() -> Spec {
    let buffer =
        |name: &str, content| Arg::Buffer(BufferArg { name: name.to_owned(), dtype: Dtype::F32, len: LEN, content });
    let input = Content::Input(Distribution::Uniform { low: -1.0, high: 1.0 });
    let args = vec![buffer("x", input), Arg::Size(300), buffer("y", Content::Output)];
    Spec {
        harness: "scale".to_owned(),
        target: Target::Cuda,
        entry: "scale".to_owned(),
        tolerance: Tolerance { rtol: 1e-6, atol: 0.0 },
        imports: Vec::new(),
        stage_repeats: vec![2, 3],
        early_stop_us: None,
        turn_calls: None,
        cases: vec![Case { id: "only".to_owned(), sizes: [("n".to_owned(), 300)].into(), args }],
    }
}

/// Returns the reference of the problem, which is compiled once: twice the input.
fn reference() -> Entry {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let text = "void afterhours_call(void **b, const long long *s) {\n\
                    double *x = b[0], *y = b[1]; for (int i = 0; i < s[0]; i++) y[i] = 2 * x[i]; }\n";
        std::fs::write(folder.path().join("reference.c"), text).unwrap();
        let args = ["-shared", "-fPIC", "-o", "reference.so", "reference.c"];
        assert!(Command::new("cc").args(args).current_dir(folder.path()).status().unwrap().success());
        folder
    });
    Entry::load(&folder.path().join("reference.so")).unwrap()
}

/// Runs the case, and returns the times and what the device was like.
fn run(fake: &mut Fake) -> Result<(Vec<f64>, Vec<LaunchFacts>), Fault> {
    run_text(fake, TEXT)
}

fn run_text(fake: &mut Fake, text: &str) -> Result<(Vec<f64>, Vec<LaunchFacts>), Fault> {
    let (spec, reference, launch) = (spec(), reference(), Launch::parse(text).unwrap());
    let mut machine = Accelerator::new(fake, &launch, Some(8))?;
    let times = Bench::new(&mut machine, &reference, &spec, (0, &spec.cases[0]), 7)?.run(&mut Turns::alone())?;
    Ok((times, machine.facts))
}

fn buffers(parameters: &[Parameter]) -> (Address, Address) {
    let [Parameter::Buffer(x), Parameter::Size(300), Parameter::Buffer(y)] = parameters else {
        panic!("{parameters:?}")
    };
    (*x, *y)
}

fn floats(memory: &mut Memory, at: Address) -> Vec<f32> {
    memory.at(at, 4 * LEN).as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect()
}

fn doubled(memory: &mut Memory, parameters: &[Parameter]) {
    let (x, y) = buffers(parameters);
    let values: Vec<u8> = floats(memory, x).into_iter().flat_map(|value| (2.0 * value).to_ne_bytes()).collect();
    memory.at(y, 4 * LEN).copy_from_slice(&values);
}

#[test]
fn each_call_clears_the_cache_stamps_around_the_kernel_alone_and_waits_for_the_whole_device() {
    let mut fake = Fake::new(Box::new(doubled));
    let (times, facts) = run(&mut fake).unwrap();
    assert_eq!(times, [5.0; 5]);
    let geometry = Geometry { grid: [3, 1, 1], block: [128, 1, 1], shared: 64 };
    let around = |kernel: Option<Asked>| {
        let before = [Asked::Synchronise, Asked::Reset, Asked::Flood(400 << 20), Asked::Stamp(Stamp::Start)];
        let after = [Asked::Stamp(Stamp::End), Asked::Synchronise, Asked::Stamp(Stamp::Settled), Asked::Synchronise];
        before.into_iter().chain(kernel).chain(after).collect::<Vec<_>>()
    };
    let call = [vec![Asked::Upload; 2], around(Some(Asked::Launch(geometry))), vec![Asked::Download; 2]].concat();
    // The first, two and three timed ones, and the last.
    let expected = [vec![around(None); 25], vec![call; 7], vec![vec![Asked::Free; 2]]].concat().concat();
    assert_eq!(fake.asked, expected);
    let [facts] = facts.as_slice() else { panic!("{facts:?}") };
    assert_eq!((facts.registers, facts.spilled_bytes, facts.occupancy), (32, Some(8), 0.25));
    assert_eq!((facts.static_shared_bytes, facts.dynamic_shared_bytes, facts.settling_us), (128, 64, 9.0));
}

#[test]
fn every_call_has_inputs_of_its_own_and_outputs_that_are_poisoned() {
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::<Vec<f32>>::new()));
    let kept = seen.clone();
    let mut fake = Fake::new(Box::new(move |memory, parameters| {
        let (x, y) = buffers(parameters);
        assert_eq!((x.0 % 256, y.0 % 256), (0, 0));
        assert!(floats(memory, y).iter().all(|value| value.is_nan()));
        kept.borrow_mut().push(floats(memory, x));
        doubled(memory, parameters);
    }));
    run(&mut fake).unwrap();
    let seen = seen.borrow();
    assert_eq!(seen.len(), 7);
    assert!(seen.iter().enumerate().all(|(at, inputs)| seen[..at].iter().all(|earlier| earlier != inputs)));
}

#[test]
fn a_kernel_that_is_wrong_at_first_later_or_outside_of_its_buffers_is_found() {
    let wrong = |kernel: fn(&mut Memory, &[Parameter], u32)| {
        let mut calls = 0;
        let mut fake = Fake::new(Box::new(move |memory, parameters| {
            calls += 1;
            kernel(memory, parameters, calls);
        }));
        match run(&mut fake) {
            Err(Fault::Kernel(message)) => message,
            other => panic!("{other:?}"),
        }
    };
    assert!(wrong(|_, _, _| {}).contains("got NaN; 300 of 300"));
    assert!(
        wrong(|memory, parameters, calls| if calls < 7 {
            doubled(memory, parameters)
        })
        .contains("got NaN")
    );
    let past_the_end = wrong(|memory, parameters, _| {
        doubled(memory, parameters);
        memory.at(Address(buffers(parameters).1.0 + 4 * LEN as u64), 1)[0] ^= 1;
    });
    assert_eq!(past_the_end, "the kernel wrote past the end of y");
    let input = wrong(|memory, parameters, _| {
        doubled(memory, parameters);
        memory.at(buffers(parameters).0, 1)[0] ^= 1;
    });
    assert_eq!(input, "the kernel changed its input x");
}

#[test]
fn a_fault_is_blamed_on_whoever_brought_it_about() {
    let fails = |place: usize, fault: DriverFault, lost: bool| {
        let mut fake = Fake::new(Box::new(doubled));
        fake.fails = Some((place, fault));
        fake.lost = lost;
        run(&mut fake).unwrap_err()
    };
    let message = || "illegal address".to_owned();
    let launch = EMPTY + BEFORE;
    assert_eq!(fails(launch, DriverFault::Launch(message()), false), Fault::Launch(message()));
    // The kernel's own error is seen by whoever waits for it.
    assert_eq!(fails(launch + 2, DriverFault::Kernel(message()), false), Fault::Crash(message()));
    assert!(matches!(fails(launch + 2, DriverFault::Kernel(message()), true), Fault::Machine(_)));
    // A device that goes away is to blame wherever that is noticed.
    for place in 0..launch + 40 {
        assert_eq!(fails(place, DriverFault::Device(message()), false), Fault::Machine(message()), "{place}");
    }
}

#[test]
fn a_launch_that_the_device_cannot_give_is_refused_before_any_call() {
    let mut fake = Fake::new(Box::new(|_, _| panic!("launched")));
    let fault = run_text(&mut fake, "// launch: grid = 1, block = 1024").unwrap_err();
    assert_eq!(fault, Fault::Launch("launch: block has too many threads".to_owned()));
    let fault = run_text(&mut fake, "// launch: grid = m, block = 1").unwrap_err();
    assert!(matches!(fault, Fault::Launch(message) if message.contains("no size is called \"m\"")));
}

#[test]
fn what_runs_on_after_the_end_stamp_is_found_by_the_device_that_does_not_settle() {
    let settling = |us: f64| {
        let mut fake = Fake::new(Box::new(doubled));
        fake.times = [(1.0, 9.0); 25].into_iter().chain([(5.0, us)]).collect();
        run(&mut fake)
    };
    assert!(settling(20.0).is_ok());
    let Err(Fault::Kernel(message)) = settling(400.0) else { panic!("not found") };
    assert!(message.contains("went on for 400.0 us") && message.contains("9.0 us"), "{message}");
}

#[test]
fn a_call_without_a_case_is_the_machines_fault() {
    let mut fake = Fake::new(Box::new(doubled));
    let launch = Launch::parse(TEXT).unwrap();
    let mut machine = Accelerator::new(&mut fake, &launch, None).unwrap();
    assert!(matches!(machine.call(&mut []), Err(Fault::Machine(_))));
    assert!(machine.conclude().is_ok() && machine.facts.is_empty());
}
