//! A mission's text, divided into front matter and body.

use std::path::Path;

use super::error::{At, MINIMAL, MissionError};

/// The largest mission, in bytes.
pub(super) const MAX_MISSION_BYTES: usize = 1024 * 1024;

/// The two parts of a mission, with lines that end in `\n` alone.
#[derive(Debug)]
pub(super) struct Document {
    /// Between the two `---`, without them; empty where there is no front matter.
    pub(super) yaml: String,
    /// The line of the file on which `yaml` begins, from 1.
    pub(super) yaml_line: usize,
    /// What follows.
    pub(super) body: String,
    /// The line of the file on which `body` begins, from 1.
    pub(super) body_line: usize,
}

impl Document {
    /// Divides `text`. A byte-order mark and blank lines before the front matter do not matter.
    pub(super) fn split(path: &Path, text: &str) -> Result<Self, MissionError> {
        check(path, text)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let mut lines = text.split_inclusive('\n').skip_while(|line| line.trim().is_empty());
        let blank = text.split_inclusive('\n').take_while(|line| line.trim().is_empty()).count();
        if !lines.next().is_some_and(is_fence) {
            return Ok(Self { yaml: String::new(), yaml_line: 1, body: text, body_line: 1 });
        }
        let (mut yaml, yaml_line) = (String::new(), blank + 2);
        for (number, line) in (yaml_line..).zip(lines.by_ref()) {
            if is_fence(line) {
                return Ok(Self { yaml, yaml_line, body: lines.collect(), body_line: number + 1 });
            }
            yaml.push_str(line);
        }
        let problem = "it is opened by `---` but never closed; add a line `---` before the prompt".to_owned();
        Err(MissionError::FrontMatter { at: At::line(path, blank + 1), problem })
    }
}

fn is_fence(line: &str) -> bool {
    line.trim_end() == "---"
}

fn check(path: &Path, text: &str) -> Result<(), MissionError> {
    if text.len() > MAX_MISSION_BYTES {
        return Err(too_large(path));
    }
    let problem = if text.trim_start_matches('\u{feff}').trim().is_empty() {
        format!("the mission is empty; begin with\n\n{MINIMAL}\n")
    } else if let Some(offset) = text.find('\0') {
        format!("NUL byte at byte offset {offset}; a mission is text")
    } else {
        return Ok(());
    };
    Err(MissionError::Text { at: At::file(path), problem })
}

pub(super) fn too_large(path: &Path) -> MissionError {
    let problem =
        format!("larger than {MAX_MISSION_BYTES} bytes; a mission is a prompt, name other material under `read`");
    MissionError::Text { at: At::file(path), problem }
}
