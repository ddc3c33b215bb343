//! What of a compiler's output is worth a model's attention.

/// Lines that are shown.
const MAX_LINES: usize = 20;

/// Returns the first errors of a compiler's output, without the folders that it ran in.
pub(super) fn excerpt(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().collect();
    let is_error = |line: &&str| is_error(line) || line.contains("undefined reference");
    // The line before the first error names the function that it stands in.
    let start = lines.iter().position(is_error).unwrap_or(0).saturating_sub(1);
    let shown: Vec<String> = lines.iter().skip(start).take(MAX_LINES).map(|line| without_folders(line)).collect();
    let left = lines.len().saturating_sub(start + shown.len());
    let mut text = shown.join("\n");
    if left > 0 {
        text.push_str(&format!("\n… {left} more lines"));
    }
    text
}

/// Tells whether a line is an error's, as compilers of C say `error:`, that of CUDA also `error #29:`, and its assembler
/// `error   :`.
fn is_error(line: &str) -> bool {
    line.split("error").skip(1).any(|rest| rest.trim_start().starts_with([':', '#']))
}

/// Shortens each absolute path to its last part.
fn without_folders(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let last = word.starts_with('/').then(|| word.rsplit('/').next()).flatten();
        last.filter(|last| !last.is_empty()).unwrap_or(word)
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_before_the_first_error_and_folders_are_left_out() {
        let log = "kernel.c:1:1: warning: unused\n  1 | int x;\nkernel.c: In function 'f':\n\
                   kernel.c:7:5: error: 'y' undeclared\n/usr/bin/ld: /tmp/stage/kernel.o: a / b";
        assert_eq!(
            excerpt(log),
            "kernel.c: In function 'f':\nkernel.c:7:5: error: 'y' undeclared\nld: kernel.o: a / b"
        );
    }

    #[test]
    fn the_errors_of_every_compiler_are_known_from_what_comes_before_them() {
        let errors = [
            "submission.cu(3): error: identifier \"y\" is undefined",
            "submission.cu(3): error #20: identifier \"y\" is undefined",
            "submission.cu(3): catastrophic error: cannot open source file \"x.cuh\"",
            "ptxas error   : Entry function 'f' uses too much shared data",
            "ld: eval.o: undefined reference to `f'",
        ];
        for error in errors {
            let log = format!("{}x.cu(1): warning #177-D: no error here\nlast\n{error}\n", "warning\n".repeat(30));
            assert_eq!(excerpt(&log), format!("last\n{error}"));
        }
    }

    #[test]
    fn a_flood_of_errors_is_cut() {
        let log = "kernel.c:1:1: error: no\n".repeat(5000);
        let text = excerpt(&log);
        assert_eq!(text.lines().count(), MAX_LINES + 1);
        assert!(text.ends_with("… 4980 more lines"), "{text}");
    }
}
