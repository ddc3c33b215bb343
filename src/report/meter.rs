//! The moving line at the bottom of a terminal: what is under way, how far it is, and for how long.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::runner::Progress;

const TICK: Duration = Duration::from_millis(120);

/// Shows one task at a time on standard error; where that is no terminal, nothing.
#[derive(Debug)]
pub struct Meter {
    terminal: bool,
    task: Option<(String, ProgressBar)>,
}

impl Meter {
    /// Returns a meter on standard error.
    pub fn stderr() -> Self {
        Self { terminal: !ProgressDrawTarget::stderr().is_hidden(), task: None }
    }

    /// Returns a meter that shows nothing.
    pub fn hidden() -> Self {
        Self { terminal: false, task: None }
    }

    pub(super) fn begin(&mut self, name: String) {
        self.end();
        let target = if self.terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target)
            .with_style(style("{spinner:.cyan} {msg} {elapsed:.dim}"))
            .with_message(name.clone());
        if self.terminal {
            bar.enable_steady_tick(TICK);
        }
        self.task = Some((name, bar));
    }

    pub(super) fn progress(&mut self, progress: &Progress) {
        let Some((name, bar)) = &self.task else { return };
        match progress {
            Progress::WaitingForDevice => bar.set_message(format!("{name}: waiting for the device")),
            Progress::Building => bar.set_message(format!("{name}: building")),
            Progress::Blocks { done, total } => {
                if bar.length().is_none() {
                    bar.set_style(style("{spinner:.cyan} {msg} [{bar:24}] {pos}/{len} blocks {elapsed:.dim}"));
                    bar.set_message(name.clone());
                }
                bar.set_length(*total as u64);
                bar.set_position(*done as u64);
            }
        }
    }

    pub(super) fn end(&mut self) {
        if let Some((_, bar)) = self.task.take() {
            bar.finish_and_clear();
        }
    }

    /// Runs `print` while the line is out of its way.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        match &self.task {
            Some((_, bar)) => bar.suspend(print),
            None => print(),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_shows_its_name_then_its_blocks_and_progress_without_a_task_is_no_error() {
        let mut meter = Meter::hidden();
        meter.progress(&Progress::Building);
        meter.begin("final iter-0003".to_owned());
        meter.progress(&Progress::WaitingForDevice);
        meter.progress(&Progress::Blocks { done: 3, total: 20 });
        let (_, bar) = meter.task.as_ref().unwrap();
        assert_eq!((bar.message().as_str(), bar.position(), bar.length()), ("final iter-0003", 3, Some(20)));
        meter.end();
        assert!(meter.task.is_none());
    }
}
