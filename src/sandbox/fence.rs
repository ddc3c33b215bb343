//! Landlock: which files a program reaches, and whom it may signal.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

use super::access::Access;

/// The newest rights that are asked for; an older kernel gives those it knows.
const WANTED: ABI = ABI::V6;

/// The oldest rights that keep files whole: before them, any file could be truncated.
const OLDEST: ABI = ABI::V3;

/// Returns the rules that leave a program `access` and nothing else, to be applied in the program's own process.
pub(super) fn rules(access: &Access) -> Result<RulesetCreated, RulesetError> {
    let read = AccessFs::from_read(WANTED);
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::IoctlDev;
    let mut rules = Ruleset::default()
        .handle_access(write())?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?;
    for (paths, rights) in [(&access.read, read), (&access.devices, device), (&access.write, write())] {
        for path in paths {
            // What this system does not have, nobody can reach either.
            let Ok(fd) = PathFd::new(path) else { continue };
            let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(WANTED) };
            rules = rules.add_rule(PathBeneath::new(fd, rights))?;
        }
    }
    Ok(rules)
}

/// Returns the rights to a folder of its own.
pub(super) fn write() -> BitFlags<AccessFs> {
    AccessFs::from_all(WANTED)
}

/// Returns the rules that leave a process nothing to write to but what it holds open, and nobody to signal but its own; as far as
/// this system has them.
pub(super) fn nothing() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default().handle_access(AccessFs::from_write(WANTED))?.scope(Scope::from_all(WANTED))?.create()
}

/// Tells whether this system can fence files in, or why not.
pub(super) fn files() -> Result<(), String> {
    let rights: BitFlags<AccessFs> = AccessFs::from_all(OLDEST);
    let created = strict().handle_access(rights).and_then(Ruleset::create);
    created.map(drop).map_err(|_| "it needs Landlock, enabled, of Linux 6.2 or newer".to_owned())
}

/// Tells whether this system can keep signals in, or why not.
pub(super) fn signals() -> Result<(), String> {
    let created = strict().scope(Scope::from_all(WANTED)).and_then(Ruleset::create);
    created.map(drop).map_err(|_| "it needs Landlock, enabled, of Linux 6.12 or newer".to_owned())
}

fn strict() -> Ruleset {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement)
}
