//! What the sandbox protects, and what this system denies it.

use std::fmt;
use std::path::Path;

use rustix::process::getuid;
use serde::{Deserialize, Serialize};

use super::{fence, filter, view};

/// One thing that a confined program is kept from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// Reading and writing files that are not its own: Landlock.
    Files,
    /// What others left in shared folders, memory and queues, and servers that listen there: namespaces.
    View,
    /// Opening sockets and reaching the network: seccomp, and Landlock where it knows ports.
    Network,
    /// Tracing other processes, and reading their memory: seccomp.
    Tracing,
    /// Signals to processes that it did not start: Landlock.
    Signals,
    /// Gaining privileges, or keeping those of the account: `no_new_privs`, no capabilities, and seccomp against new namespaces.
    Privileges,
    /// More processes at once than any build needs, and processes that outlive their program: the supervisor.
    Processes,
    /// More memory than the machine can spare, and files or processor time without end: resource limits.
    Resources,
    /// The variables of the user's environment that programs are not known to need: a list of those that are.
    Environment,
}

impl Protection {
    /// Every protection.
    pub const ALL: [Self; 9] = [
        Self::Files,
        Self::View,
        Self::Network,
        Self::Tracing,
        Self::Signals,
        Self::Privileges,
        Self::Processes,
        Self::Resources,
        Self::Environment,
    ];

    /// Returns the protection's name in reports and artifacts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::View => "view",
            Self::Network => "network",
            Self::Tracing => "tracing",
            Self::Signals => "signals",
            Self::Privileges => "privileges",
            Self::Processes => "processes",
            Self::Resources => "resources",
            Self::Environment => "environment",
        }
    }
}

/// A protection that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Which.
    pub protection: Protection,
    /// Why, and what would help.
    pub reason: String,
}

/// What the sandbox gives on this system, each protection in exactly one of the two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protections {
    /// These hold, or the program does not start.
    pub had: Vec<Protection>,
    /// These are wanting.
    pub missing: Vec<Missing>,
}

impl Protections {
    /// Finds out what this system offers. It changes nothing, and any process may ask.
    pub fn probe() -> Self {
        Self::sorted(|protection| match protection {
            Protection::Files => fence::files(),
            Protection::View => view::available(),
            Protection::Signals => fence::signals(),
            Protection::Network | Protection::Tracing | Protection::Privileges => filter::available(),
            Protection::Processes => supervised(),
            Protection::Resources | Protection::Environment => Ok(()),
        })
    }

    /// Returns what holds where the mission wants no confinement: the supervisor, its limits and the environment.
    pub fn unconfined() -> Self {
        Self::sorted(|protection| match protection {
            Protection::Processes | Protection::Environment => Ok(()),
            _ => Err("the mission says `sandbox: unconfined`".to_owned()),
        })
    }

    /// Tells whether none is missing.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    fn sorted(holds: impl Fn(Protection) -> Result<(), String>) -> Self {
        let mut protections = Self::default();
        for protection in Protection::ALL {
            match holds(protection) {
                Ok(()) => protections.had.push(protection),
                Err(reason) => protections.missing.push(Missing { protection, reason }),
            }
        }
        protections
    }
}

impl fmt::Display for Protections {
    /// One line: `full`, or what is missing and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_complete() {
            return f.write_str("full");
        }
        f.write_str("without ")?;
        for (at, missing) in self.missing.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} ({})", missing.protection.name(), missing.reason)?;
        }
        Ok(())
    }
}

/// The supervisor finds descendants in `/proc`, which can be mounted so that it shows none.
fn supervised() -> Result<(), String> {
    if Path::new("/proc/self/stat").exists() && Path::new("/proc/loadavg").exists() {
        return Ok(());
    }
    Err(format!("/proc does not show the processes of user {}; mount it", getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protection_is_either_had_or_missing_with_a_reason() {
        for protections in [Protections::probe(), Protections::unconfined()] {
            let missing = protections.missing.iter().map(|missing| missing.protection);
            let mut all: Vec<_> = protections.had.iter().copied().chain(missing).collect();
            all.sort_by_key(|protection| Protection::ALL.iter().position(|known| known == protection));
            assert_eq!(all, Protection::ALL);
            assert!(protections.missing.iter().all(|missing| !missing.reason.is_empty()));
        }
    }

    #[test]
    fn what_is_missing_is_said_in_one_line() {
        let mut protections = Protections { had: Protection::ALL.to_vec(), missing: Vec::new() };
        assert_eq!(protections.to_string(), "full");
        protections.missing.push(Missing { protection: Protection::Files, reason: "old kernel".to_owned() });
        protections.missing.push(Missing { protection: Protection::Network, reason: "none".to_owned() });
        assert_eq!(protections.to_string(), "without files (old kernel), network (none)");
    }
}
