//! Missions: what is accepted, what it means, and how each mistake is answered.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use afterhours::mission::{Mission, MissionError, ModelChoice, RunnerChoice, load, parse};
use afterhours::protocol::{Budget, Deploy, Effort, Gpu, MetricName, Micros, Profiles, Target};
use proptest::prelude::*;

const DECLARED: &str = include_str!("fixtures/missions/declared.md");

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn mission_with(text: &str, pairs: &[(&str, &str)]) -> Result<Mission, MissionError> {
    parse(Path::new("mission.md"), text, &vars(pairs))
}

fn error_with(text: &str, pairs: &[(&str, &str)]) -> String {
    mission_with(text, pairs).unwrap_err().to_string()
}

/// A mission that is complete but for `yaml`.
fn with(yaml: &str) -> String {
    format!("---\nkernel: k.py\nharness: h.py\ntarget_us: 10\n{yaml}\n---\nGo.\n")
}

fn good(yaml: &str) -> Mission {
    mission_with(&with(yaml), &[]).unwrap()
}

fn bad(yaml: &str) -> String {
    error_with(&with(yaml), &[])
}

const FIVE: [(&str, &str); 5] = [
    ("kernel_path", "kernels/a b/k.py"),
    ("harness_path", "kernels/h.py"),
    ("repo_root", "/srv/repo"),
    ("target_metric_us", "12.5"),
    ("metric_name", "mean_us"),
];

#[test]
fn three_keys_make_a_mission_and_the_rest_has_defaults() {
    let mission = good("");
    assert_eq!(mission.kernel, PathBuf::from("k.py"));
    assert_eq!(mission.harness, PathBuf::from("h.py"));
    assert_eq!(mission.terms.target, Target::Us(Micros::new(10.0).unwrap()));
    assert_eq!(mission.terms.metric, MetricName::MedianUs);
    assert_eq!(mission.terms.gpu, Gpu("B200".to_owned()));
    assert_eq!(mission.terms.budget, Budget::default());
    assert_eq!(mission.terms.min_improvement, 0.01);
    assert_eq!(mission.terms.profiles, Profiles::default());
    assert_eq!(mission.terms.deploy, None);
    assert_eq!((mission.runner, mission.model, mission.seed), (RunnerChoice::Local, ModelChoice::Tuner, None));
    assert_eq!((mission.prompt.as_str(), mission.text), ("Go.\n", with("")));
}

#[test]
fn every_key_reaches_its_place() {
    let text = "\
---
kernel: kernels/gemm/kernel.cu   # under the root
harness: kernels/gemm/task.yml
metric: gmean_us
target_speedup: 1.5
gpu: H100
runner: slurm
model: openai:gpt-x
budget: {iterations: 40, wall: 1h30m, tokens: 1_000_000, usd: 25, no_progress: 8, infra_failures: 3, idle_turns: 5}
tune: 6
min_improvement: 2%
forbidden: [nsys, 'cuda graphs']
profiles:
  candidate:
    stage_repeats: [5, 10]
    pairs: 6
  final: {early_stop_us: 100.5, timeout_seconds: 60}
deploy:
  command: ./deploy.sh --now
  files: [tools/app, deploy.sh]
read: [docs, README.md]
vars: {team: night, level: 3, loud: true}
seed: 18446744073709551615
---
<team> <level> <loud> <gpu> <runner> <model> <metric> <kernel> <target_speedup>
";
    let mission = mission_with(text, &[]).unwrap();
    let terms = &mission.terms;
    assert_eq!(terms.metric, MetricName::GmeanUs);
    assert_eq!(terms.target, Target::Speedup(1.5));
    assert_eq!(
        terms.budget,
        Budget {
            iterations: Some(40),
            wall_ms: Some(5_400_000),
            tokens: Some(1_000_000),
            usd: Some(25.0),
            no_progress: Some(8),
            infra_failures: Some(3),
            idle_turns: Some(5),
        }
    );
    assert_eq!(mission.tune, 6);
    assert_eq!(terms.min_improvement, 0.02);
    assert_eq!(terms.forbidden, ["nsys", "cuda graphs"]);
    let candidate = Effort { repeats: 15, stage_repeats: vec![5, 10], pairs: 6, ..Profiles::default().candidate };
    let last = Effort { early_stop_us: Some(100.5), timeout_seconds: 60, ..Profiles::default().final_ };
    assert_eq!(terms.profiles, Profiles { candidate, final_: last, ..Profiles::default() });
    let files = vec!["tools/app".to_owned(), "deploy.sh".to_owned()];
    assert_eq!(terms.deploy, Some(Deploy { command: "./deploy.sh --now".to_owned(), files }));
    assert_eq!(mission.read, [PathBuf::from("docs"), PathBuf::from("README.md")]);
    assert_eq!((mission.runner, mission.seed), (RunnerChoice::Slurm, Some(u64::MAX)));
    assert_eq!(mission.model, ModelChoice::OpenAi("gpt-x".to_owned()));
    assert_eq!(mission.prompt, "night 3 true H100 slurm openai:gpt-x gmean_us kernels/gemm/kernel.cu 1.5\n");
}

#[test]
fn repeats_alone_become_one_stage_and_zero_turns_the_early_stop_off() {
    let smoke = good("profiles: {smoke: {repeats: 5, early_stop_us: 0, pairs: 1}}").terms.profiles.smoke;
    assert_eq!((smoke.repeats, smoke.stage_repeats, smoke.early_stop_us), (5, vec![5], None));
    let smoke = good("profiles: {smoke: {repeats: 5, stage_repeats: [2, 3]}}").terms.profiles.smoke;
    assert_eq!((smoke.repeats, smoke.stage_repeats), (5, vec![2, 3]));
}

#[test]
fn a_model_may_be_a_recording_or_a_map_of_settings() {
    assert_eq!(good("model: replay:evals/a b.jsonl").model, ModelChoice::Replay("evals/a b.jsonl".into()));
    let mission = good("model: {provider: openai, name: big, temperature: 0.3}");
    let ModelChoice::Detailed(map) = &mission.model else { panic!("{:?}", mission.model) };
    assert_eq!(map["temperature"], 0.3);
    assert_eq!(mission.model.to_string(), "openai:big");
}

#[test]
fn a_prompt_without_front_matter_is_a_mission_when_the_five_variables_are_given() {
    let mission = mission_with(DECLARED, &FIVE).unwrap();
    assert_eq!(mission.kernel, PathBuf::from("kernels/a b/k.py"));
    assert_eq!(mission.harness, PathBuf::from("kernels/h.py"));
    assert_eq!(mission.terms.target, Target::Us(Micros::new(12.5).unwrap()));
    assert_eq!(mission.terms.metric, MetricName::MeanUs);
    assert_eq!(mission.terms.gpu, Gpu("B200".to_owned()));
    for text in [
        "in `/srv/repo`.",
        "- `kernels/a b/k.py`: the file",
        "below `12.5` by `mean_us`",
        "--harness kernels/h.py --root /srv/repo",
        "<KEEP|REVERT>",
        "<what was changed>",
        "<N>",
        "<threshold>",
        "<seconds>",
    ] {
        assert!(mission.prompt.contains(text), "{text} in {}", mission.prompt);
    }
}

#[test]
fn each_of_the_five_variables_is_missed_by_name() {
    for (place, line) in [(0, 4), (1, 5), (2, 1), (3, 7)] {
        let mut given = FIVE.to_vec();
        let (name, _) = given.remove(place);
        let message = error_with(DECLARED, &given);
        assert!(message.starts_with(&format!("mission.md:{line}: variable <{name}> has no value;")), "{message}");
    }
    let without_metric = mission_with(DECLARED, &[FIVE[0], FIVE[1], FIVE[2], FIVE[3]]).unwrap();
    assert!(without_metric.prompt.contains("by `median_us`"), "the default");
}

#[test]
fn front_matter_serves_a_prompt_that_uses_the_other_names() {
    let text = format!("---\nkernel: k.cu\nharness: h.toml\ntarget_us: 9.50\n---\n{DECLARED}");
    let mission = mission_with(&text, &[("repo_root", "/r")]).unwrap();
    assert!(mission.prompt.contains("Bring `k.cu` below `9.5` by `median_us`"), "{}", mission.prompt);
}

#[test]
fn a_variable_of_the_command_line_wins_and_prompt_and_terms_agree() {
    let text = "---\nkernel: a.py\nharness: h.py\ntarget_speedup: 2\ngpu: H100\nvars: {who: me}\n---\n<kernel> <kernel_path> <gpu> <target_us> <who>";
    let given = [("kernel_path", "b.py"), ("gpu", "cpu"), ("target_us", "7"), ("who", "you")];
    let mission = mission_with(text, &given).unwrap();
    assert_eq!(mission.kernel, PathBuf::from("b.py"));
    assert_eq!(mission.terms.gpu, Gpu("cpu".to_owned()));
    assert_eq!(mission.terms.target, Target::Us(Micros::new(7.0).unwrap()));
    assert_eq!(mission.prompt, "b.py b.py cpu 7 you");
}

#[test]
fn a_value_is_not_expanded_again() {
    let text = "---\nkernel: k\nharness: h\ntarget_us: 1\n---\n<one> <two>";
    assert_eq!(mission_with(text, &[("one", "<two>"), ("two", "<one>")]).unwrap().prompt, "<two> <one>");
}

#[test]
fn a_backslash_makes_text_of_a_name() {
    let prompt = |body: &str| mission_with(&with("").replace("Go.\n", body), &[]).unwrap().prompt;
    assert_eq!(prompt(r"std::vector\<float> of <kernel>"), "std::vector<float> of k.py");
    assert_eq!(
        prompt("a < b, <KEEP|REVERT>, <N>, <a b>, <, <>, <<kernel>>"),
        "a < b, <KEEP|REVERT>, <N>, <a b>, <, <>, <k.py>"
    );
}

#[test]
fn carriage_returns_a_byte_order_mark_and_leading_blank_lines_do_not_matter() {
    let plain = good("budget:\n  wall: 10h");
    let odd = format!("\u{feff}\n\n{}", with("budget:\n  wall: 10h")).replace('\n', "\r\n");
    let mission = mission_with(&odd, &[]).unwrap();
    assert_eq!(mission.terms, plain.terms);
    assert_eq!(mission.prompt, "Go.\n");
    assert_eq!(mission.text, odd, "the original is kept");
    let message = error_with(&odd.replace("10h", "10"), &[]);
    assert!(message.starts_with("mission.md:8: budget.wall: "), "{message}");
}

#[test]
fn front_matter_alone_is_a_mission_with_an_empty_prompt() {
    let mission = mission_with("---\nkernel: k\nharness: h\ntarget_us: 1\n---", &[]).unwrap();
    assert_eq!(mission.prompt, "");
}

#[test]
fn each_mistake_in_the_front_matter_is_answered_with_line_key_and_remedy() {
    let table: &[(&str, &str)] = &[
        ("kernal: x", "mission.md:5: unknown key kernal; did you mean kernel?"),
        ("iterations: 3", "mission.md:5: unknown key iterations; did you mean budget.iterations?"),
        ("budget:\n  wal: 3h", "mission.md:6: unknown key budget.wal; did you mean wall?"),
        (
            "budget:\n  moon: 3",
            "mission.md:6: unknown key budget.moon; the keys here are iterations, wall, tokens, usd, no_progress, infra_failures, idle_turns",
        ),
        (
            "profiles: {final: {pairs: 1001}}",
            "mission.md:5: profiles.final.pairs: 1001 is above 1000; write a whole number, 1 to 1000",
        ),
        ("profiles: {finale: {pairs: 3}}", "mission.md:5: unknown key profiles.finale; did you mean final?"),
        (
            "budget:\n  wall: 36000",
            "mission.md:6: budget.wall: 36000 has no unit, which could be 36000h, 36000m or 36000s; \
             write a time with its unit, such as 10h, 90m, 45s or 1h30m",
        ),
        (
            "budget: {wall: 1.5h}",
            "mission.md:5: budget.wall: \"1.5h\" is not a time; \
             write a time with its unit, such as 10h, 90m, 45s or 1h30m",
        ),
        (
            "budget:\n  iterations: 0",
            "mission.md:6: budget.iterations: invalid value: integer `0`; \
             write a whole number above 0",
        ),
        (
            "budget:\n  iterations: many",
            "mission.md:6: budget.iterations: invalid type: string \"many\"; \
             write a whole number above 0",
        ),
        ("budget:\n  usd: -1", "mission.md:6: budget.usd: -1 buys nothing; write an amount above 0, such as 25"),
        (
            "budget:\n  usd:",
            "mission.md:6: budget.usd: has no value; write an amount above 0, such as 25, or remove the key",
        ),
        ("metric: speed", "mission.md:5: metric: unknown variant `speed`; write median_us, mean_us or gmean_us"),
        ("runner: ssh", "mission.md:5: runner: unknown variant `ssh`; write local, slurm or modal"),
        ("model: gpt", "mission.md:5: model: \"gpt\" names no model; write tuner, openai:NAME or replay:PATH"),
        (
            "model: {name: x}",
            "mission.md:5: model: a map of a model's settings needs a provider: tuner, openai or replay; write tuner, openai:NAME or replay:PATH",
        ),
        (
            "min_improvement: 1",
            "mission.md:5: min_improvement: 1 is all of the time or more; write a fraction from 0 to below 1, such as 0.01 or 1%",
        ),
        (
            "min_improvement: -0.1",
            "mission.md:5: min_improvement: -0.1 is not a fraction; write a fraction from 0 to below 1, such as 0.01 or 1%",
        ),
        (
            "roofline_us: 20",
            "mission.md:4: target_us: 10.00 µs is below roofline_us, 20.00 µs: nothing could reach it; write a number of microseconds above 0, such as 9.5",
        ),
        ("target_speedup: 2", "mission.md: both target_us and target_speedup are set; remove one of them"),
        ("forbidden: ['']", "mission.md:5: forbidden[0]: is empty; write a list of names, such as [popcorn-cli]"),
        (
            "forbidden: nsys",
            "mission.md:5: forbidden: invalid type: string \"nsys\"; write a list of names, such as [popcorn-cli]",
        ),
        ("gpu: ''", "mission.md:5: gpu: is empty; write a device's name such as B200, or cpu"),
        ("deploy: {command: x}", "mission.md:5: deploy: missing field `files`; write a map with command and files"),
        (
            "profiles:\n  final:\n    repeats: 10\n    stage_repeats: [2, 3]",
            "mission.md:7: profiles.final.repeats: 10 is not the sum of stage_repeats, 5; write a whole number, 1 to 100000",
        ),
        (
            "profiles:\n  smoke:\n    repeats: 2\n  final:\n    repeats: 0",
            "mission.md:9: profiles.final.repeats: invalid value: integer `0`; write a whole number, 1 to 100000",
        ),
        (
            "profiles:\n  final:\n    stage_repeats: []",
            "mission.md:7: profiles.final.stage_repeats: the sum is 0, outside 1 to 100000; write a list of whole numbers above 0, such as [8, 12]",
        ),
        (
            "profiles:\n  final:\n    stage_repeats: [4294967295, 4294967295]",
            "mission.md:7: profiles.final.stage_repeats: the sum is 8589934590, outside 1 to 100000; write a list of whole numbers above 0, such as [8, 12]",
        ),
        (
            "profiles:\n  smoke:\n    pairs: 2",
            "mission.md:7: profiles.smoke.pairs: 2 is above 1; write 1, or leave it out: a smoke test has no incumbent beside it",
        ),
        (
            "profiles:\n  final:\n    timeout_seconds: 86401",
            "mission.md:7: profiles.final.timeout_seconds: 86401 is above 86400; write whole seconds, 1 to 86400",
        ),
        (
            "profiles:\n  final:\n    early_stop_us: -1",
            "mission.md:7: profiles.final.early_stop_us: -1 is not a time; write a number of microseconds, or 0 to never stop early",
        ),
        (
            "vars: {a: [1]}",
            "mission.md:5: vars.a: is neither a text nor a number; write a map of names (lowercase letters, digits, _) to texts or numbers",
        ),
        (
            "vars: {A b: 1}",
            "mission.md:5: vars.A b: is no name that a prompt could use; write a map of names (lowercase letters, digits, _) to texts or numbers",
        ),
        (
            "vars: {kernel_path: x}",
            "mission.md:5: vars.kernel_path: is the key kernel by another name, so that one must be set; write a map of names (lowercase letters, digits, _) to texts or numbers",
        ),
        (
            "seed: -1",
            "mission.md:5: seed: invalid value: integer `-1`; write a whole number from 0 to 18446744073709551615",
        ),
        ("gpu: H100\n\tx: 1", "mission.md:6: front matter: the line is indented with a tab; use spaces"),
    ];
    for (yaml, expected) in table {
        assert_eq!(bad(yaml), *expected, "\n{yaml}");
    }
}

#[test]
fn malformed_yaml_and_a_key_given_twice_are_answered_with_their_line() {
    for (yaml, line, word) in [
        ("gpu: A\ngpu: B", 6, "gpu is given a second time; remove one of the two"),
        ("gpu: [a", 5, ""),
        ("gpu: 'a", 5, ""),
        ("gpu: *nothing", 5, ""),
        ("gpu: @x", 5, ""),
    ] {
        let message = bad(yaml);
        assert!(
            message.starts_with(&format!("mission.md:{line}: front matter: ")) && message.contains(word),
            "{yaml}: {message}"
        );
        assert!(!message.contains('\n'), "one line: {message}");
    }
    assert_eq!(
        error_with("---\n- a\n---\nGo", &[]),
        "mission.md:2: front matter: it is not a map; write a `key: value` a line"
    );
    assert_eq!(
        error_with("\n---\nkernel: k\n", &[]),
        "mission.md:2: front matter: it is opened by `---` but never closed; add a line `---` before the prompt"
    );
}

#[test]
fn what_is_missing_is_named_and_shown() {
    for (text, key) in [("Make it fast.", "kernel"), ("---\nkernel: k\n---\n", "harness"), ("---\n---\n", "kernel")] {
        let message = error_with(text, &[]);
        assert!(message.starts_with(&format!("mission.md: {key} is missing; begin the file with")), "{message}");
        assert!(message.contains("\n---\nkernel: "), "{message}");
    }
    assert_eq!(
        error_with("---\nkernel: k\nharness: h\n---\n", &[]),
        "mission.md: no target; add target_us (microseconds) or target_speedup (times as fast as at the start)"
    );
    for empty in ["", " \n\n", "\u{feff}"] {
        assert!(error_with(empty, &[]).starts_with("mission.md: the mission is empty; begin with\n\n---\n"));
    }
    assert!(error_with("a\0b", &[]).starts_with("mission.md: NUL byte at byte offset 1;"));
    assert!(error_with(&"a".repeat(2 << 20), &[]).starts_with("mission.md: larger than 1048576 bytes;"));
}

#[test]
fn the_minimal_mission_that_messages_show_is_a_mission() {
    let message = error_with("Make it fast.", &[]);
    let (_, shown) = message.split_once("\n\n").unwrap();
    assert!(mission_with(shown, &[]).is_ok());
}

#[test]
fn each_mistake_with_variables_is_answered() {
    let body = |text: &str| with("vars: {colour: red}").replace("Go.\n", text);
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let table: &[Case<'_>] = &[
        (
            "Go.\n<colur>",
            &[],
            "mission.md:8: variable <colur> has no value; did you mean <colour>? Otherwise give it with --var colur=VALUE, or `\\<colur>` if it is meant as text",
        ),
        (
            "```\nvector<float>\n```",
            &[],
            "mission.md:8: variable <float> has no value; give it with --var float=VALUE or under `vars`, or `\\<float>` if it is meant as text",
        ),
        (
            "Go.",
            &[("colour", "blue")],
            "mission.md: --var colour is used nowhere in this mission; write <colour> in the prompt, or leave the option out",
        ),
        (
            "<colour>",
            &[("color", "blue")],
            "mission.md: --var color is used nowhere in this mission; did you mean colour?",
        ),
        (
            "Go.",
            &[("kernel_pat", "x")],
            "mission.md: --var kernel_pat is used nowhere in this mission; did you mean kernel_path?",
        ),
        (
            "Go.",
            &[("target_metric_us", "fast")],
            "mission.md: --var target_metric_us: invalid type: string \"fast\"; write a number of microseconds above 0, such as 9.5",
        ),
        ("Go.", &[("kernel", " ")], "mission.md: --var kernel: is empty; write a path below the repository's root"),
        (
            "Variables:\n- `<colour>`: x\n\nPaint it <color>.",
            &[],
            "mission.md:10: <color> is not in the list of variables; did you mean <colour>?",
        ),
        (
            "Variables:\n- `<colour>`: x\n\nPaint <kernel>.",
            &[],
            "mission.md:10: <kernel> is not in the list of variables; add an item - `<kernel>` to it, or write `\\<kernel>` if it is meant as text",
        ),
    ];
    for (text, given, expected) in table {
        assert_eq!(error_with(&body(text), given), *expected, "\n{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mission.md");
    let text = |path: &Path| load(path, &BTreeMap::new()).unwrap_err().to_string();
    assert!(text(&path).starts_with(&format!("failed to read mission {}: ", path.display())));
    std::fs::write(&path, b"abc\xff").unwrap();
    assert_eq!(text(&path), format!("{}: invalid UTF-8 at byte offset 3; save it as UTF-8", path.display()));
    std::fs::write(&path, "é".repeat(1 << 20)).unwrap();
    assert!(text(&path).contains("larger than 1048576 bytes"));
    std::fs::write(&path, with("")).unwrap();
    assert!(load(&path, &BTreeMap::new()).is_ok());
}

#[test]
fn every_mission_that_is_shipped_is_one_whose_files_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let files = list(&root.join("kernels")).into_iter().filter(|path| path.is_dir()).flat_map(|folder| list(&folder));
    let is_mission = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("mission");
    let mut runners = Vec::new();
    for path in files.filter(is_mission) {
        let mission = load(&path, &BTreeMap::new()).unwrap_or_else(|error| panic!("{error}"));
        for file in [&mission.kernel, &mission.harness] {
            assert!(root.join(file).is_file(), "{}: {}", path.display(), file.display());
        }
        runners.push(mission.runner);
    }
    assert!(runners.contains(&RunnerChoice::Local) && runners.contains(&RunnerChoice::Modal), "{runners:?}");
}

#[test]
fn nested_aliases_do_not_blow_up() {
    let mut yaml = "vars:\n  a0: &a0 [x, x]\n".to_owned();
    for level in 1..40 {
        let below = level - 1;
        yaml.push_str(&format!("  a{level}: &a{level} [*a{below}, *a{below}]\n"));
    }
    assert!(bad(&yaml).contains("front matter: "));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*", name in "[a-z_]{0,8}", value in "\\PC{0,20}") {
        let _ = mission_with(&text, &[(name.as_str(), value.as_str())]);
    }

    #[test]
    fn no_front_matter_makes_the_parser_panic(
        yaml in "([ \t]{0,3}(kernel|target_us|budget|wall|profiles|final|repeats|vars|x|é)?[:\\-\\[\\]{}&*!|>'\"#%@,.0-9 \t]{0,6}\n){0,8}",
        body in "(\\\\?<[a-z_]{0,6}>|Variables:\n|- `<[a-z]{1,4}>`|[ \n<>é]){0,12}",
    ) {
        let _ = mission_with(&format!("---\n{yaml}---\n{body}"), &[]);
        let _ = mission_with(&with(&yaml).replace("Go.\n", &body), &[]);
    }

    #[test]
    fn text_around_variables_is_kept(before in "[^<\\\\\r\0]{0,20}", after in "[^<\r\0]{0,20}") {
        prop_assume!(!before.contains("Variables:") && !after.contains("Variables:"));
        let text = with("").replace("Go.\n", &format!("{before}<kernel>{after}"));
        prop_assert_eq!(mission_with(&text, &[]).unwrap().prompt, format!("{before}k.py{after}"));
    }
}
