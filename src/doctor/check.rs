//! One thing that was looked at, and how all of them read.

use serde::Serialize;

/// What a thing is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Every run.
    Machine,
    /// Keeping a kernel's processes from everything else.
    Sandbox,
    /// Building, starting and timing kernels.
    Harness,
    /// The device under this machine's own roof.
    Gpu,
    /// Devices elsewhere.
    Runner,
    /// Who proposes.
    Model,
}

impl Area {
    fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Sandbox => "sandbox",
            Self::Harness => "harness",
            Self::Gpu => "gpu",
            Self::Runner => "runner",
            Self::Model => "model",
        }
    }
}

/// Whether it is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is, and answered.
    Here,
    /// It is not, or does not work.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is good for.
    pub area: Area,
    /// Its name.
    pub name: &'static str,
    /// Whether it is here.
    pub state: State,
    /// Which one it is, or why it is missing.
    pub detail: String,
    /// What would help, where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<&'static str>,
}

impl Check {
    /// Something that is here.
    pub(super) fn here(area: Area, name: &'static str, detail: impl Into<String>) -> Self {
        Self { area, name, state: State::Here, detail: detail.into(), remedy: None }
    }

    /// Something that is missing.
    pub(super) fn missing(area: Area, name: &'static str, why: impl Into<String>, remedy: &'static str) -> Self {
        Self { area, name, state: State::Missing, detail: why.into(), remedy: Some(remedy) }
    }

    /// What a look came to: which one it is, or why it is missing.
    pub(super) fn of(area: Area, name: &'static str, look: Result<String, String>, remedy: &'static str) -> Self {
        match look {
            Ok(detail) => Self::here(area, name, detail),
            Err(why) => Self::missing(area, name, why, remedy),
        }
    }
}

/// Everything that was looked at, and what a mission lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// In the order of the table.
    pub checks: Vec<Check>,
    /// Why the mission that was named cannot run here; absent where none was named, empty where it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mission: Option<Vec<String>>,
}

impl Findings {
    /// Returns them as a table for a terminal.
    pub fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        let mut area = None;
        for check in &self.checks {
            let heading = if area == Some(check.area) { "" } else { check.area.name() };
            area = Some(check.area);
            let mark = if check.state == State::Here { "here   " } else { "missing" };
            text.push_str(&format!("{heading:<8}  {:<width$}  {mark}  {}\n", check.name, check.detail));
            if let Some(remedy) = check.remedy {
                text.push_str(&format!("{:<8}  {:<width$}           {remedy}\n", "", ""));
            }
        }
        match self.mission.as_deref() {
            None => {}
            Some([]) => text.push_str("\nthe mission can run here\n"),
            Some(reasons) => {
                text.push_str("\nthe mission cannot run here:\n");
                for reason in reasons {
                    text.push_str(&format!("- {reason}\n"));
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_area_once_and_each_remedy_below_what_is_missing() {
        let checks = vec![
            Check::here(Area::Harness, "C compiler", "cc 12"),
            Check::missing(Area::Harness, "Python", "there is no python3", "install Python"),
        ];
        let text = Findings { checks, mission: Some(vec!["no B200".to_owned()]) }.text();
        let expected = "harness   C compiler  here     cc 12\n          Python      missing  there is no python3\n                               \
                        install Python\n\nthe mission cannot run here:\n- no B200\n";
        assert_eq!(text, expected);
    }
}
