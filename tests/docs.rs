//! The documentation, held against the code: a key, code, rule or link that nobody wrote down fails here.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::iter::successors;
use std::path::{Path, PathBuf};
use std::process::Command;

use afterhours::cli::Exit;
use afterhours::mission;
use afterhours::protocol::{BudgetKind, Phase, Rule, StopReason, Tool};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Fails where `page` lacks one of `terms` in code spans.
fn documents(page: &str, terms: impl IntoIterator<Item = String>) {
    let text = read(page);
    let missing: Vec<String> = terms.into_iter().filter(|term| !text.contains(&format!("`{term}`"))).collect();
    assert!(missing.is_empty(), "{page} does not document {missing:?}");
}

/// Returns the front matter's keys in `section`, from the error that lists them; none where `section` is no section.
fn keys_in(section: &str) -> Vec<String> {
    let open: String = section.split('.').filter(|part| !part.is_empty()).map(|part| format!("{part}: {{")).collect();
    let close = "}".repeat(open.matches('{').count());
    let text = format!("---\n{open}zzzzzzzzzz: 1{close}\n---\n");
    let error = mission::parse(Path::new("m.md"), &text, &BTreeMap::new()).unwrap_err().to_string();
    let prefix = if section.is_empty() { String::new() } else { format!("{section}.") };
    let list = error.split_once("; the keys here are ").map(|(_, list)| list.to_owned()).unwrap_or_default();
    list.split(", ").filter(|key| !key.is_empty()).map(|key| format!("{prefix}{key}")).collect()
}

#[test]
fn every_key_of_a_mission_is_documented() {
    let mut keys = keys_in("");
    let mut next = 0;
    while let Some(section) = keys.get(next).cloned() {
        keys.extend(keys_in(&section));
        next += 1;
    }
    assert!(keys.iter().any(|key| key == "profiles.final.pairs"), "the walk reaches the deepest keys: {keys:?}");
    // The three profiles have the same keys; the page names those once.
    let short = |key: String| match key.split('.').collect::<Vec<_>>().as_slice() {
        ["profiles", _, last] => (*last).to_owned(),
        _ => key,
    };
    documents("docs/mission.md", keys.into_iter().map(short));
}

#[test]
fn every_exit_code_is_documented() {
    // Exhaustive, so that a new code is a compile error here first.
    let next = |exit: &Exit| match exit {
        Exit::Ok => Some(Exit::Internal),
        Exit::Internal => Some(Exit::Usage),
        Exit::Usage => Some(Exit::Environment),
        Exit::Environment => Some(Exit::Budget),
        Exit::Budget => Some(Exit::Stopped),
        Exit::Stopped => Some(Exit::Blocked),
        Exit::Blocked => None,
    };
    documents("docs/exit-codes.md", successors(Some(Exit::Ok), next).map(|exit| (exit as u8).to_string()));
}

#[test]
fn every_rule_phase_and_stop_is_documented() {
    let next = |rule: &Rule| match rule {
        Rule::OrderOfSteps => Some(Rule::OneChange),
        Rule::OneChange => Some(Rule::KeepNeedsEvidence),
        Rule::KeepNeedsEvidence => Some(Rule::AnalysisOfLastArtifact),
        Rule::AnalysisOfLastArtifact => Some(Rule::ProfileOfStep),
        Rule::ProfileOfStep => Some(Rule::FullConfirmation),
        Rule::FullConfirmation => Some(Rule::ForbiddenTool),
        Rule::ForbiddenTool => Some(Rule::Tripwire),
        Rule::Tripwire => Some(Rule::UnknownTool),
        Rule::UnknownTool => Some(Rule::BadArguments),
        Rule::BadArguments => Some(Rule::ReadScope),
        Rule::ReadScope => None,
    };
    let rules = successors(Some(Rule::OrderOfSteps), next).map(|rule| rule.name().to_owned());
    let phases = Phase::ALL.map(|phase| phase.name().to_owned());
    let next = |kind: &BudgetKind| match kind {
        BudgetKind::Iterations => Some(BudgetKind::Wall),
        BudgetKind::Wall => Some(BudgetKind::Tokens),
        BudgetKind::Tokens => Some(BudgetKind::Usd),
        BudgetKind::Usd => Some(BudgetKind::NoProgress),
        BudgetKind::NoProgress => Some(BudgetKind::InfraFailures),
        BudgetKind::InfraFailures => None,
    };
    let budgets = successors(Some(BudgetKind::Iterations), next).map(|budget| StopReason::Budget { budget });
    let stops = [StopReason::TargetReached, StopReason::User, StopReason::Blocked { message: String::new() }];
    let stops = budgets.chain(stops).map(|reason| reason.code());
    documents("docs/protocol.md", rules.chain(phases).chain(stops));
    documents("docs/tools.md", Tool::ALL.map(|tool| tool.name().to_owned()));
}

/// Returns the README and every page below `docs/`.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = docs.filter(|path| path.extension().is_some_and(|ext| ext == "md")).collect();
    pages.sort();
    pages.push(root().join("README.md"));
    pages
}

/// Returns the links `[text](target)` of a page, code blocks left out.
fn links(page: &str) -> Vec<(&str, &str)> {
    let prose = page.split("```").step_by(2);
    prose
        .flat_map(|part| {
            part.match_indices("](").filter_map(|(at, _)| {
                let text = part[..at].rsplit_once('[')?.1;
                let target = part[at + 2..].split_once(')')?.0;
                Some((text, target))
            })
        })
        .collect()
}

/// Returns the name under which a heading can be linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Tells whether Rust source defines an item called `name`.
fn defines(source: &str, name: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    ["fn", "struct", "enum", "const"].iter().any(|kind| {
        let item = format!("{kind} {name}");
        source.match_indices(&item).any(|(at, _)| ends(&source[at + item.len()..]))
    })
}

/// Returns what is wrong with a link of the page at `page`.
fn fault(page: &Path, text: &str, target: &str) -> Option<&'static str> {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    if file.is_dir() {
        return None;
    }
    let Ok(linked) = fs::read_to_string(&file) else { return Some("leads to no file") };
    let mut headings = linked.lines().filter_map(|line| line.split_once("# ")).map(|(_, heading)| anchor(heading));
    if !heading.is_empty() && !headings.any(|found| found == heading) {
        return Some("leads to no heading");
    }
    // A name in a code span that links to a source file claims that the file has an item of this name.
    let is_rust = file.extension().is_some_and(|extension| extension == "rs");
    let name = text.strip_prefix('`').and_then(|text| text.strip_suffix('`')).filter(|_| is_rust);
    name.is_some_and(|name| !defines(&linked, name)).then_some("names no item of the file")
}

#[test]
fn every_link_leads_to_a_file_and_every_name_beside_it_stands_there() {
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let links = links(&page);
        let own = links.iter().filter(|(_, target)| !target.contains("://"));
        let broken: Vec<_> = own.filter_map(|(text, to)| Some((text, to, fault(&path, text, to)?))).collect();
        assert!(broken.is_empty(), "{}: {broken:#?}", path.display());
    }
}

/// The whole command line: whatever changes in it changes here, and is seen in review.
#[test]
fn the_command_line_is_as_documented() {
    let tools = Tool::ALL.map(|tool| vec!["tool", tool.name()]);
    let commands = ["run", "resume", "stop", "status", "report", "tool", "deploy", "eval"].map(|name| vec![name]);
    let mut reference = String::new();
    for command in std::iter::once(Vec::new()).chain(commands).chain(tools) {
        let output = Command::new(env!("CARGO_BIN_EXE_agent"))
            .args(&command)
            .arg("--help")
            .env("COLUMNS", "100")
            .output()
            .unwrap();
        assert!(output.status.success(), "{command:?}");
        let help = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<_> = help.lines().map(str::trim_end).collect();
        let words = [vec!["agent"], command, vec!["--help"]].concat().join(" ");
        reference.push_str(&format!("$ {words}\n{}\n\n", lines.join("\n")));
    }
    insta::assert_snapshot!("command_line", reference);
}
