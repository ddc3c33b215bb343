//! Is it a fork bomb? A limit of the system's would count all processes of the account, and none of root's.

use std::fs;
use std::time::Duration;

use rustix::process::getpid;

use super::descendants::descendants;

/// The pause between two looks.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// Watches how many descendants this process has.
pub(super) struct Crowd {
    limit: usize,
    /// The tasks of the whole system at the start: as long as hardly more exist, nobody needs to be counted.
    before: usize,
}

impl Crowd {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, before: tasks().unwrap_or_default() }
    }

    /// Tells whether there are more descendants than the limit.
    pub(super) fn is_over(&self) -> bool {
        let grown = tasks().is_none_or(|now| now > self.before.saturating_add(self.limit / 2));
        grown && descendants(getpid()).is_ok_and(|found| found.len() > self.limit)
    }
}

/// Returns how many threads the system has, of all processes.
fn tasks() -> Option<usize> {
    parse(&fs::read_to_string("/proc/loadavg").ok()?)
}

/// Reads `0.20 0.18 0.12 1/80 11206`: 80.
fn parse(loadavg: &str) -> Option<usize> {
    loadavg.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tasks_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse("0.20 0.18 0.12 1/80 11206\n"), Some(80));
        assert_eq!(parse("0.20 0.18"), None);
    }
}
