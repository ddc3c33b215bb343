//! Finds the processes that a sandbox started, wherever they went.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Returns the ids of the living processes whose home is `folder`: a program's descendants carry it with them.
pub(crate) fn at_home_in(folder: &Path) -> Vec<i32> {
    let home = format!("HOME={}", folder.display());
    let living = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
    };
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(living).collect()
}

/// Waits until `what` holds, and fails where it does not within a time that no healthy machine needs.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
