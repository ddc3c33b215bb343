//! The sandbox: a child process that can hurt nobody.
//!
//! Two processes share the work. The near side ([`run`]) lives in the agent: it starts `agent supervise`, keeps what the
//! program prints within a bound, and ends it at a deadline. The far side ([`supervise::main`]) stands between the agent
//! and the program: it confines the program, and when the program ends, when it is told to stop, or when the agent dies,
//! it kills every descendant, those included that left their session and their parent.
//!
//! What the program reaches is an [`Access`], enforced by namespaces, Landlock and seccomp in the program's own process. What
//! a system cannot enforce is named by [`Protections::probe`].

mod access;
mod alone;
mod capture;
mod child;
mod confine;
mod crowd;
mod descendants;
mod environment;
mod fence;
mod filter;
mod orders;
mod protections;
pub mod supervise;
mod supervisor;
mod view;

pub use access::{Access, Sockets};
pub use alone::{AloneError, alone};
pub use capture::Captured;
pub use child::{End, Finished, Input, SandboxError, Spec, run};
pub use environment::scrubbed;
pub use orders::{FILE_BYTES, Limits};
pub use protections::{Missing, Protection, Protections};
