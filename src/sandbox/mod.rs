//! The sandbox: a child process that can hurt nobody.
//!
//! Two processes share the work. The near side ([`run`]) lives in the agent: it starts `agent supervise`, keeps what the
//! program prints within a bound, and ends it at a deadline. The far side ([`supervise::main`]) stands between the agent
//! and the program: it confines the program, and when the program ends, when it is told to stop, or when the agent dies,
//! it kills every descendant, those included that left their session and their parent.

mod capture;
mod child;
mod descendants;
mod environment;
mod orders;
pub mod supervise;
mod supervisor;

pub use capture::Captured;
pub use child::{End, Finished, SandboxError, Spec, run};
pub use environment::scrubbed;
pub use orders::Limits;
