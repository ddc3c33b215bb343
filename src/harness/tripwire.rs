//! Tripwires: words in a kernel that reach for something other than the computation.
//!
//! They are tripwires, not proof: a text can always be written so that no table finds it. Whoever trips one is stopped, or
//! shown, before anything runs; what nobody trips is still confined, and checked by its results.

use std::collections::BTreeSet;
use std::path::Path;

use super::lexer::{Comments, Token, lines_of, tokens};
use super::live::{freed, holds_c, made_live, maybe_live};
use super::wires::{Act, C, CUDA, Form, PYTHON, TEXTS, Wire};

/// The language of a kernel, as its file's name tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// C, C++ and HIP.
    C,
    /// CUDA, whose files hold code for the device.
    Cuda,
    /// Python, with C in its texts where it has any.
    Python,
}

impl Language {
    /// Returns the language of the file `path`; `None` for names that tell of none, whose texts have no tripwires.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "c" | "h" | "cc" | "cpp" | "cxx" | "hpp" | "hip" => Some(Self::C),
            "cu" | "cuh" => Some(Self::Cuda),
            "py" => Some(Self::Python),
            _ => None,
        }
    }

    /// Returns how its comments and texts look.
    pub(super) fn comments(self) -> Comments {
        match self {
            Self::C | Self::Cuda => Comments::C,
            Self::Python => Comments::Python,
        }
    }
}

/// A tripwire that a text trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tripped {
    /// The tripwire's name, which stays: `clock`, `threads`, `startup` and so on.
    pub name: &'static str,
    /// What tripped it.
    pub word: &'static str,
    /// Whether the edit is refused, or let through and shown.
    pub act: Act,
}

/// Returns what the lines of `after` trip that hold what was not live in `before`, each once.
///
/// Comments trip nothing, and what an edit frees from one counts as what it adds. The whole text is read for them, so that an
/// added line may lie in the middle of one.
pub fn tripped(language: Language, before: &str, after: &str) -> Vec<Tripped> {
    let mut found = tripped_on(language, after, &maybe_live(before, after));
    // Few edits trip anything: only for them is it worth it to read the text before.
    if !found.is_empty() {
        found = tripped_on(language, after, &made_live(before, after, language.comments()));
    }
    found.into_iter().collect()
}

/// Returns the lines of `after` that hold what a comment of `before` held, where the change may have freed any.
pub fn freed_lines(language: Language, before: &str, after: &str) -> String {
    freed(before, after, language.comments())
}

/// Returns what the lines of `text` trip whose numbers are in `added`.
fn tripped_on(language: Language, text: &str, added: &BTreeSet<usize>) -> BTreeSet<Tripped> {
    let mut found = BTreeSet::new();
    match language {
        Language::C => in_c(text, added, &mut found),
        Language::Cuda => {
            in_c(text, added, &mut found);
            let last = added.last().copied().unwrap_or_default();
            find(CUDA, &tokens(text, Comments::C, last), added, &mut found);
        }
        Language::Python => in_python(text, added, &mut found),
    }
    found
}

fn in_c(text: &str, added: &BTreeSet<usize>, found: &mut BTreeSet<Tripped>) {
    let Some(last) = added.last() else { return };
    let tokens = tokens(text, Comments::C, *last);
    find(C, &tokens, added, found);
    for (line, token) in &tokens {
        let Token::Text(text) = token else { continue };
        for (_, piece) in lines_of(*line, text).filter(|(line, _)| added.contains(line)) {
            found.extend(TEXTS.iter().filter(|wire| piece.contains(wire.word)).map(tripped_by));
        }
    }
}

fn in_python(text: &str, added: &BTreeSet<usize>, found: &mut BTreeSet<Tripped>) {
    let Some(last) = added.last() else { return };
    let tokens = tokens(text, Comments::Python, *last);
    find(PYTHON, &tokens, added, found);
    for (line, token) in &tokens {
        let Token::Text(text) = token else { continue };
        // A kernel for a GPU is often C inside a text; its lines count from where the text begins.
        if holds_c(text) {
            let own = lines_of(0, text).map(|(at, _)| at).filter(|at| added.contains(&(line + at))).collect();
            in_c(text, &own, found);
        }
        if lines_of(*line, text).any(|(line, piece)| piece.contains("AFTERHOURS_") && added.contains(&line)) {
            found.extend(PYTHON.iter().filter(|wire| wire.name == "harness").take(1).map(tripped_by));
        }
    }
}

fn find(wires: &'static [Wire], tokens: &[(usize, Token<'_>)], added: &BTreeSet<usize>, found: &mut BTreeSet<Tripped>) {
    for (at, (line, token)) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        if !added.contains(line) {
            continue;
        }
        let beside = |place: Option<usize>| place.and_then(|place| tokens.get(place)).map(|(_, token)| token);
        let (before, after) = (beside(at.checked_sub(1)), beside(Some(at + 1)));
        let holds = |form: Form| match form {
            Form::Word => true,
            Form::Call => after == Some(&Token::Mark('(')) && before != Some(&Token::Mark('.')),
            Form::Member => before == Some(&Token::Mark('.')),
            Form::Include => is_included(tokens, at, *line),
            Form::Path => before == Some(&Token::Mark('#')) && leads_out(tokens, at, *line),
            Form::Import => is_imported(tokens, at, *line),
        };
        let tripping = |wire: &&Wire| matches_word(wire.word, word) && holds(wire.form);
        found.extend(wires.iter().filter(tripping).map(tripped_by));
    }
}

/// Tells whether `word` is the wire's, or begins like it where the wire ends in `*`.
fn matches_word(wire: &str, word: &str) -> bool {
    wire.strip_suffix('*').map_or(wire == word, |start| word.starts_with(start))
}

/// Tells whether the word is the first of an included file's path.
fn is_included(tokens: &[(usize, Token<'_>)], at: usize, line: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
    before(1).is_some_and(|(_, token)| *token == Token::Mark('<'))
        && before(2).is_some_and(|(of, token)| *of == line && *token == Token::Word("include"))
}

/// Tells whether a path follows on the line that is absolute, or leads upwards.
fn leads_out(tokens: &[(usize, Token<'_>)], at: usize, line: usize) -> bool {
    let mut rest = tokens.iter().skip(at + 1).take_while(|(of, _)| *of == line).map(|(_, token)| token);
    match rest.next() {
        Some(Token::Text(path)) => path.starts_with('/') || path.contains(".."),
        Some(Token::Mark('<')) => {
            let path: Vec<_> = rest.take_while(|token| **token != Token::Mark('>')).collect();
            let upwards = [&Token::Mark('.'); 2];
            path.first() == Some(&&Token::Mark('/')) || path.windows(2).any(|pair| pair == upwards)
        }
        _ => false,
    }
}

/// Tells whether the word is a module's first name in an `import` or `from` on its line.
fn is_imported(tokens: &[(usize, Token<'_>)], at: usize, line: usize) -> bool {
    let before: Vec<&Token<'_>> =
        tokens.get(..at).unwrap_or_default().iter().rev().take_while(|(of, _)| *of == line).map(|(_, t)| t).collect();
    match before.first() {
        Some(Token::Word("import")) => !before.contains(&&Token::Word("from")),
        Some(Token::Word("from")) => true,
        Some(Token::Mark(',')) => before.contains(&&Token::Word("import")) && !before.contains(&&Token::Word("from")),
        _ => false,
    }
}

fn tripped_by(wire: &'static Wire) -> Tripped {
    Tripped { name: wire.name, word: wire.word, act: wire.act }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(language: Language, text: &str) -> Vec<(&'static str, Act)> {
        tripped(language, "", text).into_iter().map(|tripped| (tripped.name, tripped.act)).collect()
    }

    fn words(language: Language, before: &str, after: &str) -> Vec<&'static str> {
        tripped(language, before, after).into_iter().map(|tripped| tripped.word).collect()
    }

    fn refused(language: Language, text: &str) -> bool {
        names(language, text).iter().any(|(_, act)| *act == Act::Refuse)
    }

    #[test]
    fn each_wire_trips_by_its_own_word() {
        for (language, wires) in [(Language::C, C), (Language::Cuda, CUDA), (Language::Python, PYTHON)] {
            for wire in wires {
                let word = wire.word.replace('*', "x");
                let text = match wire.form {
                    Form::Word => format!("x = {word};\n"),
                    Form::Call => format!("x = {word} (1);\n"),
                    Form::Member => format!("x = y.{word};\n"),
                    Form::Include => format!("#include <{word}.h>\n"),
                    Form::Path => format!("#{word} \"/etc/passwd\"\n"),
                    Form::Import => format!("import a, {word}.sub as b\n"),
                };
                assert!(names(language, &text).contains(&(wire.name, wire.act)), "{text}");
            }
        }
    }

    #[test]
    fn comments_and_words_that_look_alike_trip_nothing() {
        let c = "// fork() here, then clock_gettime\n/* #include <unistd.h>\n * system(\"x\") */\n\
                 float time = 0, forked = 1, my_clock_gettime = 2; int read = open + signal; p->exit = 1;\n\
                 #include <math.h>\n#include <stdlib.h>\n#include <immintrin.h>\n#include <omp.h>\n";
        assert_eq!(names(Language::C, c), []);
        let python = "# import os\n'''uses os.path and import sys, says exec(x)'''\nimport torch\nimport triton.language as tl\n\
                      from task import input_t, output_t\ntiming = loss.item()\nmodel.eval()\ntorch.compile(f)\n";
        assert_eq!(names(Language::Python, python), []);
    }

    #[test]
    fn a_file_is_included_from_where_the_compiler_looks_and_from_nowhere_else() {
        for path in
            ["\"/etc/passwd\"", "\"../../secret\"", "\"a/../../b\"", "</etc/passwd>", "<../secret>", "<sys/../../x>"]
        {
            assert_eq!(words(Language::Cuda, "", &format!("# include {path}\n")).first(), Some(&"include"), "{path}");
        }
        for line in
            ["#include \"task.cuh\"", "#include <cuda/std/array>", "x = include + \"/\";", "#include <cub/cub.cuh>"]
        {
            assert_eq!(words(Language::Cuda, "", line), [""; 0], "{line}");
        }
    }

    #[test]
    fn a_comment_that_an_edit_lengthens_stays_one_and_what_was_there_before_counts_no_more() {
        let before = "/*\n * A kernel.\n */\n#include <unistd.h>\nvoid f(void) {}\n";
        let after = "/*\n * A kernel.\n * It calls fork() never.\n */\n#include <unistd.h>\nvoid f(void) {}\n";
        assert_eq!(tripped(Language::C, before, after), []);
        assert!(refused(Language::C, before));
    }

    #[test]
    fn code_that_an_edit_frees_from_a_comment_counts_as_added() {
        let before = "/*\nint y = fork();\n*/\nfloat x;\n";
        for (what, after) in [
            ("the opening taken away", "int y = fork();\n*/\nfloat x;\n"),
            ("both marks taken away", "int y = fork();\nfloat x;\n"),
            ("closed earlier", "/* */\nint y = fork();\n*/\nfloat x;\n"),
            ("the opening in a comment", "// /*\nint y = fork();\n*/\nfloat x;\n"),
            ("the opening in a text", "\"/*\"\nint y = fork();\n*/\nfloat x;\n"),
        ] {
            for language in [Language::C, Language::Cuda] {
                assert_eq!(words(language, before, after), ["fork"], "{what}");
            }
        }
        assert_eq!(words(Language::C, before, "/*\n\nint y = fork();\n*/\nfloat x;\n"), [""; 0]);
        let clock = "/*\nlong t = clock64();\n*/\n__global__ void f() {}\n";
        assert_eq!(words(Language::Cuda, clock, &clock.replace("/*\n", "")), ["clock64"; 2]);
    }

    #[test]
    fn code_that_an_edit_frees_from_a_text_counts_as_added() {
        let before = "x = '''\nimport os\n'''\ny = 1\n";
        for after in ["import os\ny = 1\n", "x = ''''''\nimport os\n''''''\ny = 1\n"] {
            assert_eq!(words(Language::Python, before, after), ["os"], "{after}");
        }
        assert_eq!(words(Language::Python, before, &before.replace("y = 1", "y = 2")), [""; 0]);
        let spliced = "const char *x = \"a\\\nfork();\\\n\";\n";
        assert_eq!(words(Language::C, spliced, &spliced.replace("a\\", "a\"")), ["fork"]);
        assert_eq!(words(Language::C, spliced, &spliced.replace("\nfork", "\na\nfork")), ["fork"]);
    }

    #[test]
    fn c_in_a_text_of_pythons_counts_as_added_where_an_edit_frees_it_or_makes_it_c() {
        let before = "src = r'''\n#include <math.h>\n/*\nint y = fork();\n*/\n'''\n";
        assert_eq!(words(Language::Python, before, &before.replace("/*\n", "")), ["fork"]);
        assert_eq!(words(Language::Python, before, &before.replace("/*", "/*\n")), [""; 0]);
        let no_c = "src = r'''\nint y = fork();\n'''\n";
        assert_eq!(words(Language::Python, no_c, &no_c.replace("int", "__global__\nint")), ["fork"]);
        // What C means by a word is not what Python does.
        let call = "src = r'''\n__global__\nopen(x);\n'''\n";
        assert_eq!(words(Language::Python, call, &call.replace("src = r'''\n", "").replace("\n'''", "")), ["open"]);
    }

    #[test]
    fn code_that_the_preprocessor_leaves_out_is_live_from_the_start() {
        let left_out = "#if 0\nint y = fork();\n#endif\n";
        assert_eq!(words(Language::C, "", left_out), ["fork"]);
        assert_eq!(words(Language::C, left_out, "int y = fork();\n"), [""; 0]);
    }

    #[test]
    fn what_was_live_trips_nothing_where_the_edit_touches_only_what_is_beside_it() {
        let before = "#include <unistd.h>\nint y = fork();\n";
        let after = "/* For the\n * children. */\n#include <unistd.h> // sic\n\n    int y = fork();\n";
        assert_eq!(words(Language::C, before, after), [""; 0]);
        assert_eq!(words(Language::C, before, &before.replace("int y", "int z")), ["fork"]);
        assert_eq!(words(Language::C, before, &format!("{before}int y = fork();\n")), ["fork"]);
    }

    #[test]
    fn each_line_of_a_long_text_counts_for_itself() {
        let before = "x = open\ny = '''a\nb\n'''\n";
        let after = before.replace("b\n", "AFTERHOURS_SEED\n");
        assert_eq!(words(Language::Python, before, &after), ["AFTERHOURS_RESULT"]);
        assert_eq!(words(Language::Python, &after, &after.replace("a\n", "c\n")), [""; 0]);
    }

    #[test]
    fn a_bare_carriage_return_hides_no_line_after_it() {
        let before = "// a\r// b\r// c\nfloat x;\n";
        let after = format!("{before}int y = fork();\n");
        let tripped = tripped(Language::C, before, &after);
        assert_eq!(tripped.iter().map(|tripped| tripped.name).collect::<Vec<_>>(), ["processes"]);
    }

    #[test]
    fn assembly_is_shown_and_refused_where_it_asks_the_system_or_the_clock() {
        assert_eq!(names(Language::C, "__asm__ volatile(\"vfmadd231ps %0\");"), [("assembly", Act::Show)]);
        for text in ["syscall", "rdtsc", "int $0x80", ".incbin \\\"f\\\"", "mov %%0, %clock;"] {
            assert!(refused(Language::C, &format!("asm(\"{text}\");")), "{text}");
        }
    }

    #[test]
    fn a_device_has_no_honest_use_for_its_clocks_and_the_hosts_screen() {
        for code in [
            "long long t = clock64();",
            "int t = clock();",
            "while (clock () < end) ;",
            "__nanosleep(100);",
            "printf(\"%d\", i);",
            "asm volatile(\"mov.u64 %0, %globaltimer;\" : \"=l\"(t));",
            "asm(\"mov.u32 %0, %clock;\" : \"=r\"(t));",
            "asm(\"nanosleep.u32 100;\");",
        ] {
            assert!(refused(Language::Cuda, code), "{code}");
        }
        let honest = "__shared__ float clock_tile[32]; int clock = 3; x = clock; asm(\"fma.rn.f32 %0, %1, %2, %3;\");\n\
                      // launch: grid = 1, block = 1\n#include <cuda_fp16.h>\n__trap();";
        assert_eq!(names(Language::Cuda, honest), [("assembly", Act::Show)]);
        let lasting = "asm(\"createpolicy.fractional.L2::evict_last.b64 %0, 1.0;\");";
        assert!(names(Language::Cuda, lasting).contains(&("caches", Act::Show)));
    }

    #[test]
    fn c_inside_python_is_read_as_c() {
        let text = "src = r'''\n#include <torch/extension.h>\n#include <dlfcn.h>\nvoid f() { dlopen(0, 1); }\n'''\n";
        assert!(refused(Language::Python, text));
        assert!(!refused(Language::Python, &text.replace("dl", "ml")));
    }

    #[test]
    fn the_kernels_that_are_shipped_trip_nothing() {
        for name in ["matmul", "softmax", "grayscale"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels").join(name).join("kernel.c");
            let text = std::fs::read_to_string(path).unwrap();
            assert_eq!(names(Language::C, &text), [], "{name}");
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/grayscale/kernel.cu");
        assert_eq!(names(Language::of(&path).unwrap(), &std::fs::read_to_string(path).unwrap()), []);
    }
}
