//! Afterhours: a language model proposes changes to one kernel all night, and the code decides.
//!
//! A run is an append-only journal of events; its state is a pure fold over them. Each room imports only rooms that
//! stand above it in this list.

pub mod protocol;
pub mod stats;
pub mod mission;
pub mod journal;
pub mod artifact;
pub mod workspace;
pub mod sandbox;
pub mod harness;
pub mod runner;
pub mod gate;
pub mod model;
pub mod tools;
pub mod report;
pub mod session;
pub mod replay;
pub mod eval;
pub mod doctor;
pub mod cli;
