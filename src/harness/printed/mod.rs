//! PyGPUBench's lines, for harnesses that print them and write no result.

mod line;
mod said;

pub(super) use said::Said;
