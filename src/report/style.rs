//! Colours, and the block that every report in the terminal is made of.
//!
//! Text here always carries its colours; who prints it decides whether they reach the screen.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::text::padded;

/// What a text is about, and so how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Said beside the point.
    Faint,
    /// As it is.
    Plain,
    /// What stands out.
    Strong,
    /// Went well.
    Good,
    /// To be noticed.
    Warn,
    /// Went wrong.
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Faint => Style::new().dimmed(),
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Good => AnsiColor::Green.on_default().bold(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
        }
    }

    /// Returns `text` in this tone.
    pub(super) fn paint(self, text: &str) -> String {
        let style = self.style();
        format!("{style}{text}{style:#}")
    }
}

/// A title with rows of a label and a value each, the values in one column.
#[derive(Debug)]
pub(super) struct Block {
    title: String,
    rows: Vec<(String, String)>,
}

impl Block {
    /// Begins a block under a title that carries its colours already.
    pub(super) fn new(title: String) -> Self {
        Self { title, rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, label: &str, value: impl Into<String>) -> &mut Self {
        self.rows.push((label.to_owned(), value.into()));
        self
    }

    /// Returns the block's lines, each with its end.
    pub(super) fn text(&self) -> String {
        let width = self.rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let mut text = format!("{}\n", self.title);
        for (label, value) in &self.rows {
            let label = Tone::Faint.paint(&padded(label, width));
            writeln!(text, "  {label}  {value}").ok();
        }
        text
    }
}
