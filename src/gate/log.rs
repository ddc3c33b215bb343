//! What of a compiler's log is worth a model's attention.

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
    let mut kernels = Vec::new();
    let mut kernel = Kernel::default();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            kernel = Kernel { name: rest.split('\'').next().unwrap_or(rest).to_owned(), ..Kernel::default() };
        } else if line.contains("bytes stack frame") {
            kernel.stack = before(line, " bytes stack frame");
            kernel.spilled = before(line, " bytes spill stores").saturating_add(before(line, " bytes spill loads"));
        } else if line.contains(" registers") && !kernel.name.is_empty() {
            let registers = before(line, " registers");
            let Kernel { name, spilled, stack } = std::mem::take(&mut kernel);
            kernels.push(format!("{name}: {registers} registers, {spilled} bytes spilled, {stack} bytes stack"));
        }
    }
    kernels.join("; ")
}

#[derive(Debug, Default)]
struct Kernel {
    name: String,
    /// Stores and loads together, in bytes.
    spilled: u64,
    /// In bytes.
    stack: u64,
}

/// Returns the number that stands before `unit`, 0 where none does.
fn before(line: &str, unit: &str) -> u64 {
    let number = line.split_once(unit).and_then(|(text, _)| text.split_whitespace().last()?.parse().ok());
    number.unwrap_or(0)
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
