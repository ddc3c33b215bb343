//! The far side of every runner that is not this machine: `agent job`, and the talk with it.
//!
//! The near side starts `agent job` over there, by whatever means the place has, and writes one line of orders to its
//! standard input. The far side runs the job with the runner for its own machine and answers in lines on its standard
//! output. The input stays open meanwhile: its end tells the far side that nobody waits for it any more.

mod here;
mod same;
mod room;
mod wire;
mod far;
mod near;

pub use far::main;
pub(super) use here::{environment, host};
pub(super) use near::{Ended, LastPlace, Pipes, Talk, talk, told};
pub(super) use same::Same;
pub(super) use wire::Orders;
