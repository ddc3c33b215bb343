//! Reports: what a person, or a program, reads of a run.
//!
//! Everything here is a pure view of the journal's fold ([`crate::protocol::RunState`]) and of single events: no figure is
//! kept, guessed or computed from the model's claims. Text that a model, a kernel or a harness wrote is bounded and made
//! harmless before it reaches a terminal or a page.

mod text;
mod style;
mod words;
mod iteration;
mod status;
mod screen;
mod curve;
mod rows;
mod run;
mod data;
mod svg;
mod html;
mod meter;
mod steps;
mod outcome;
mod observer;
mod human;
#[cfg(test)]
mod night;

pub use data::*;
pub use human::*;
pub use iteration::*;
pub use meter::*;
pub use observer::*;
pub use outcome::*;
pub use run::*;
pub use status::*;
