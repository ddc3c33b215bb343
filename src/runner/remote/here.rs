//! What is this machine's own, and how much of it goes elsewhere.

use std::ffi::OsString;

use crate::sandbox::scrubbed;

/// Returns this machine's name.
pub(in crate::runner) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns what a command that leads to a far side gets of the user's environment: what finds programs, and what is `own` to
/// the place. Keys and tokens stay here, and so do the devices that this machine shows.
pub(in crate::runner) fn environment(
    parent: impl Iterator<Item = (OsString, OsString)>,
    own: impl Fn(&str) -> bool,
) -> Vec<(OsString, OsString)> {
    let all: Vec<_> = parent.collect();
    let own: Vec<_> = all.iter().filter(|(name, _)| name.to_str().is_some_and(&own)).cloned().collect();
    let programs = scrubbed(all, "".as_ref()).into_iter();
    let here = |name: &OsString| ["HOME", "TMPDIR", "CUDA_VISIBLE_DEVICES"].iter().any(|local| name == local);
    programs.filter(|(name, _)| !here(name)).chain(own).collect()
}
