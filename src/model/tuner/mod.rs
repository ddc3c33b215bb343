//! The tuner: the model for a machine without a key.
//!
//! A kernel declares what may vary by ending a line in a comment that lists a value's alternatives:
//!
//! ```c
//! #define TILE 8             // tune: 8 16 32 64
//! constexpr int UNROLL = 4;  /* tune: 1, 2, 4 */
//! ```
//!
//! The tuner moves one value at a time, learns from every measurement in the ledger, and works through the same tools
//! and under the same gate as any other model. It keeps no state: what it proposes follows from the run's seed, its
//! ledger and the texts it has tried, so that a resumed run goes on exactly as an undisturbed one would have.

mod belief;
mod declaration;
mod edits;
mod history;
mod kernel;
mod player;
mod propose;
mod words;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod simulation;

pub use player::Tuner;
