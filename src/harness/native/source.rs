//! The C that is generated around a kernel: its prototype, and a shim that gives every kernel the same entry.

use super::problem::{Param, ParamKind, Problem};
use super::spec::Content;

/// The symbol that the worker calls in either library.
pub(super) const CALL: &str = "afterhours_call";

/// The oracle's function.
const REFERENCE: &str = "reference";

/// Which of the two libraries a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The kernel, with the buffers' own element types.
    Kernel,
    /// The reference, with a double for each element.
    Reference,
}

impl Side {
    fn entry(self, problem: &Problem) -> &str {
        match self {
            Self::Kernel => &problem.entry,
            Self::Reference => REFERENCE,
        }
    }

    /// Returns the parameter's C type, or `None` for a size.
    fn pointer(self, param: &Param) -> Option<String> {
        match &param.kind {
            ParamKind::Size { .. } => None,
            ParamKind::Buffer { dtype, content, .. } => {
                let element = if self == Self::Kernel { dtype.c_name() } else { "double" };
                Some(match content {
                    Content::Input(_) => format!("const {element} *"),
                    Content::Output => format!("{element} *"),
                })
            }
        }
    }
}

/// Returns the header that is included before the text's first line, so that another signature is a compile error.
pub(super) fn prototype(problem: &Problem, side: Side) -> String {
    let params: Vec<String> = problem
        .params
        .iter()
        .map(|param| match side.pointer(param) {
            Some(pointer) => format!("{pointer}{}", param.name),
            None => format!("int {}", param.name),
        })
        .collect();
    format!("void {}({});\n", side.entry(problem), params.join(", "))
}

/// Returns the same for a kernel in CUDA.
pub(super) fn device_prototype(problem: &Problem) -> String {
    format!("extern \"C\" __global__ {}", prototype(problem, Side::Kernel))
}

/// Returns the source of the uniform entry.
pub(super) fn shim(problem: &Problem, side: Side) -> String {
    let (mut buffers, mut sizes) = (0, 0);
    let args: Vec<String> = problem
        .params
        .iter()
        .map(|param| match side.pointer(param) {
            Some(pointer) => {
                buffers += 1;
                format!("({pointer})buffers[{}]", buffers - 1)
            }
            None => {
                sizes += 1;
                format!("(int)sizes[{}]", sizes - 1)
            }
        })
        .collect();
    format!(
        "void {CALL}(void **buffers, const long long *sizes) {{\n    (void)buffers;\n    (void)sizes;\n    {}({});\n}}\n",
        side.entry(problem),
        args.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::native::dtype::Dtype;
    use crate::harness::native::toml_file::{Compile, Distribution, Tolerance};

    fn problem() -> Problem {
        let buffer = |name: &str, dtype, content| Param {
            name: name.to_owned(),
            kind: ParamKind::Buffer { dtype, shape: vec!["n".to_owned()], content },
        };
        let input = Content::Input(Distribution::Uniform { low: 0.0, high: 9.0 });
        Problem {
            name: "gray".to_owned(),
            entry: "gray".to_owned(),
            reference: "reference.c".to_owned(),
            compile: Compile { cc: "cc".to_owned(), flags: Vec::new(), imports: Vec::new() },
            tolerance: Tolerance { rtol: 0.0, atol: 0.0 },
            params: vec![
                buffer("rgb", Dtype::U8, input),
                Param { name: "n".to_owned(), kind: ParamKind::Size { value: "n".to_owned() } },
                buffer("out", Dtype::F32, Content::Output),
            ],
            cases: Vec::new(),
        }
    }

    #[test]
    fn the_kernel_sees_its_own_types_and_the_reference_doubles() {
        assert_eq!(prototype(&problem(), Side::Kernel), "void gray(const unsigned char *rgb, int n, float *out);\n");
        let device = "extern \"C\" __global__ void gray(const unsigned char *rgb, int n, float *out);\n";
        assert_eq!(device_prototype(&problem()), device);
        assert_eq!(prototype(&problem(), Side::Reference), "void reference(const double *rgb, int n, double *out);\n");
    }

    #[test]
    fn the_shim_counts_buffers_and_sizes_apart() {
        let text = shim(&problem(), Side::Kernel);
        assert!(
            text.contains("gray((const unsigned char *)buffers[0], (int)sizes[0], (float *)buffers[1]);"),
            "{text}"
        );
    }
}
