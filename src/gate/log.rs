//! What of a compiler's log is worth a model's attention.

use crate::harness::nvrtc::{KernelUse, uses};

/// Lines of errors that are shown.
const MAX_LINES: usize = 20;

/// Returns the first lines of a log of errors.
pub(super) fn excerpt(log: &str) -> String {
    let lines: Vec<&str> = log.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let start = lines.iter().position(|line| line.contains("error")).unwrap_or(0);
    let shown = lines.get(start..).unwrap_or_default();
    let mut text = shown.iter().take(MAX_LINES).copied().collect::<Vec<_>>().join("\n");
    if shown.len() > MAX_LINES {
        text.push_str(&format!("\n… {} more lines", shown.len() - MAX_LINES));
    }
    text
}

/// Returns what `ptxas` says of each kernel: `scale: 8 registers, 0 bytes spilled, 0 bytes stack`.
pub(super) fn resources(log: &str) -> String {
    let told = |KernelUse { name, registers, spilled, stack }| {
        format!("{name}: {registers} registers, {spilled} bytes spilled, {stack} bytes stack")
    };
    uses(log).into_iter().map(told).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_and_spills_are_told_of_each_kernel() {
        let log = "ptxas info    : 0 bytes gmem\n\
                   ptxas info    : Compiling entry function 'scale' for 'sm_100a'\n\
                   ptxas info    : Function properties for scale\n    \
                   16 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads\n\
                   ptxas info    : Used 255 registers, used 0 barriers, 16 bytes cumulative stack size\n\
                   ptxas info    : Compiling entry function 'add' for 'sm_100a'\n\
                   ptxas info    : Function properties for add\n    \
                   0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
                   ptxas info    : Used 8 registers, used 1 barriers\n";
        let expected =
            "scale: 255 registers, 12 bytes spilled, 16 bytes stack; add: 8 registers, 0 bytes spilled, 0 bytes stack";
        assert_eq!(resources(log), expected);
        assert_eq!(resources("nothing of the kind"), "");
    }

    #[test]
    fn a_flood_of_errors_is_cut_and_begins_with_the_first() {
        let log = format!("kernel.cu(1): warning #1: unused\n{}", "kernel.cu(3): error: no\n".repeat(100));
        let text = excerpt(&log);
        assert!(text.starts_with("kernel.cu(3)") && text.ends_with("… 80 more lines"), "{text}");
    }
}
