//! What `ptxas` tells of the kernels of a text.

/// One kernel's share of a multiprocessor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KernelUse {
    pub(crate) name: String,
    /// Of each thread.
    pub(crate) registers: u64,
    /// Stores and loads together, in bytes.
    pub(crate) spilled: u64,
    /// In bytes.
    pub(crate) stack: u64,
}

/// Returns what a log tells of each kernel.
pub(crate) fn uses(log: &str) -> Vec<KernelUse> {
    let mut kernels = Vec::new();
    let mut kernel = KernelUse::default();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            kernel = KernelUse { name: rest.split('\'').next().unwrap_or(rest).to_owned(), ..KernelUse::default() };
        } else if line.contains("bytes stack frame") {
            kernel.stack = before(line, " bytes stack frame");
            kernel.spilled = before(line, " bytes spill stores").saturating_add(before(line, " bytes spill loads"));
        } else if line.contains(" registers") && !kernel.name.is_empty() {
            kernel.registers = before(line, " registers");
            kernels.push(std::mem::take(&mut kernel));
        }
    }
    kernels
}

/// Returns the number that stands before `unit`, 0 where none does.
fn before(line: &str, unit: &str) -> u64 {
    let number = line.split_once(unit).and_then(|(text, _)| text.split_whitespace().last()?.parse().ok());
    number.unwrap_or(0)
}
