//! Who descends from a process, by what `/proc` says.

use std::collections::HashMap;
use std::{fs, io};

use rustix::process::Pid;

/// Returns the descendants of `ancestor` that exist at this moment, in no particular order, zombies included.
///
/// A process that forks meanwhile may be missed: repeat until none is left.
pub(super) fn descendants(ancestor: Pid) -> io::Result<Vec<Pid>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has ended since the listing has no file.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { continue };
        if let Some(parent) = parent(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = children.remove(&ancestor.as_raw_nonzero().get()).unwrap_or_default();
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        let of_pid = children.remove(pid).unwrap_or_default();
        found.extend(of_pid);
        next += 1;
    }
    Ok(found.into_iter().filter_map(Pid::from_raw).collect())
}

/// Reads the parent's id from the text of `/proc/<pid>/stat`. The command's name stands in parentheses before it, and may
/// hold spaces, parentheses and bytes that are no text.
fn parent(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_made_to_look_like_the_fields_does_not_hide_the_parent() {
        assert_eq!(parent(b"42 (sh) S 7 42 42"), Some(7));
        assert_eq!(parent(b"42 (x) S 1 (y) S 7 42"), Some(7));
        assert_eq!(parent(b"42 (\xff\n)) R 9 1"), Some(9));
    }

    #[test]
    fn a_torn_line_has_no_parent() {
        assert_eq!(parent(b""), None);
        assert_eq!(parent(b"42 (sh"), None);
        assert_eq!(parent(b"42 (sh)"), None);
        assert_eq!(parent(b"42 (sh) S x"), None);
    }
}
