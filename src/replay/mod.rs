//! The replay: every refusal, verdict and decision of a recorded run, made again by today's code from the run's evidence.
//!
//! The journal is walked event by event. At each one the protocol says what should come next; a model's call passes the gate
//! or is refused again; a change is made again from the texts that the run keeps; a measurement is judged again from the
//! blocks in its artifact; artifacts, texts and commits are held against the journal's hashes. The first point at which
//! journal and code say different things is reported, and ends the replay.
//!
//! What no evidence can tell is taken from the journal: what the model said, when, and what a `read-file` found.

mod ahead;
mod audit;
mod call;
mod divergence;
mod evidence;
mod measurement;
mod replayed;
mod shelf;
mod step;

pub use audit::replay;
pub use divergence::Divergence;
pub use replayed::Replayed;
