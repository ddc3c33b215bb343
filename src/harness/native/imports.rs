//! What a compiled kernel asks of the system, read from the library before any of its code runs.
//!
//! A kernel computes: it needs mathematics, memory, and OpenMP's threads, which end their work before the call does. It needs
//! no clock, file, process, signal or thread of its own, and nothing that runs when it is loaded. A call of the system without
//! a library is not seen here; the sandbox bounds what it can do.

use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

/// Memory and strings, and what compilers put in by themselves.
const NAMES: &[&str] = &[
    "abort",
    "abs",
    "aligned_alloc",
    "bcmp",
    "bsearch",
    "calloc",
    "free",
    "labs",
    "llabs",
    "malloc",
    "memchr",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "posix_memalign",
    "qsort",
    "realloc",
    "strcmp",
    "strlen",
    "strncmp",
    "_GLOBAL_OFFSET_TABLE_",
    "_ITM_deregisterTMCloneTable",
    "_ITM_registerTMCloneTable",
    "__assert_fail",
    "__cxa_finalize",
    "__gmon_start__",
    "__memcpy_chk",
    "__memmove_chk",
    "__memset_chk",
    "__stack_chk_fail",
    "__tls_get_addr",
];

/// Functions of `math.h` for double; each has a twin for float and one for long double.
const MATHS: &[&str] = &[
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp10",
    "exp2",
    "expm1",
    "fabs",
    "fdim",
    "floor",
    "fma",
    "fmax",
    "fmin",
    "fmod",
    "frexp",
    "hypot",
    "ilogb",
    "ldexp",
    "lgamma",
    "llrint",
    "llround",
    "log",
    "log10",
    "log1p",
    "log2",
    "logb",
    "lrint",
    "lround",
    "modf",
    "nan",
    "nearbyint",
    "nextafter",
    "pow",
    "remainder",
    "remquo",
    "rint",
    "round",
    "scalbln",
    "scalbn",
    "sin",
    "sincos",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "tgamma",
    "trunc",
];

/// OpenMP's runtimes, and the vector variants of `math.h`.
const PREFIXES: &[&str] = &["GOMP_", "omp_", "__kmpc_", "_ZGV"];

/// One pointer: the compiler's own start-up code.
const STARTUP_BYTES: u64 = 8;

/// Returns why the library in `bytes` may not be loaded, if it may not. `allowed` are more names, the harness's own.
pub(super) fn refusal(bytes: &[u8], allowed: &[String]) -> Option<String> {
    let Ok(file) = ElfFile64::<object::Endianness>::parse(bytes) else {
        return Some("the kernel was not built into an ELF library".to_owned());
    };
    let startup = [".init_array", ".preinit_array", ".ctors"];
    let size = |name: &&str| file.section_by_name(name).map_or(0, |section| section.size());
    if startup.iter().map(size).sum::<u64>() > STARTUP_BYTES {
        return Some("the kernel has code that runs when it is loaded; move it into the kernel's function".to_owned());
    }
    if file.dynamic_symbol_table().is_none() {
        return Some("the kernel's library has no table of symbols".to_owned());
    }
    let name = file
        .dynamic_symbols()
        .filter(|symbol| symbol.is_undefined())
        // The first entry of every table has no name.
        .map(|symbol| String::from_utf8_lossy(symbol.name_bytes().unwrap_or(b"?")).into_owned())
        .find(|name| !name.is_empty() && !is_allowed(name) && !allowed.contains(name))?;
    Some(format!(
        "the kernel calls {name:?}, which has nothing to do with computing; do without it, or name it in the harness's \
         compile.imports"
    ))
}

fn is_allowed(name: &str) -> bool {
    let maths = |name: &str| MATHS.contains(&name);
    let twin = |name: &str| name.strip_suffix(['f', 'l']).is_some_and(maths);
    let name = name.strip_prefix("__").and_then(|name| name.strip_suffix("_finite")).unwrap_or(name);
    NAMES.contains(&name) || maths(name) || twin(name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mathematics_memory_and_openmp_are_allowed_and_the_rest_is_not() {
        for name in ["expf", "fmal", "sqrt", "__expf_finite", "memcpy", "GOMP_parallel", "omp_get_num_threads"] {
            assert!(is_allowed(name), "{name}");
        }
        for name in ["clock_gettime", "fork", "exit", "pthread_create", "f", "l", "", "dlopen", "syscall", "getenv"] {
            assert!(!is_allowed(name), "{name}");
        }
    }

    #[test]
    fn what_is_no_library_is_refused() {
        assert!(refusal(b"\x7fELF", &[]).is_some());
        assert!(refusal(b"", &[]).is_some());
    }
}
