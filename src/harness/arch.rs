//! Devices and their architectures.

use crate::protocol::Gpu;

/// By a word of the device's name, the architecture with the features of that very device where it has some.
const KNOWN: &[(&str, &str)] = &[
    ("b200", "sm_100a"),
    ("gb200", "sm_100a"),
    ("b300", "sm_103a"),
    ("gb300", "sm_103a"),
    ("h100", "sm_90a"),
    ("h200", "sm_90a"),
    ("h800", "sm_90a"),
    ("gh200", "sm_90a"),
    ("5090", "sm_120a"),
    ("5080", "sm_120a"),
    ("l4", "sm_89"),
    ("l40", "sm_89"),
    ("l40s", "sm_89"),
    ("4090", "sm_89"),
    ("a10", "sm_86"),
    ("a10g", "sm_86"),
    ("a40", "sm_86"),
    ("a6000", "sm_86"),
    ("3090", "sm_86"),
    ("a100", "sm_80"),
    ("a800", "sm_80"),
    ("t4", "sm_75"),
];

/// Returns the architecture to compile for, as `nvcc` and NVRTC spell it.
pub(crate) fn of(gpu: &Gpu) -> Option<&'static str> {
    let name = gpu.0.to_lowercase();
    name.split(|c: char| !c.is_alphanumeric())
        .find_map(|word| KNOWN.iter().find(|(known, _)| *known == word))
        .map(|(_, arch)| *arch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_by_a_whole_word_of_its_name() {
        let arch = |name: &str| of(&Gpu(name.to_owned()));
        assert_eq!(of(&Gpu::default()), Some("sm_100a"));
        assert_eq!(arch("NVIDIA H100 80GB HBM3"), Some("sm_90a"));
        assert_eq!(arch("A100-SXM4-40GB"), Some("sm_80"));
        assert_eq!(arch("MI300X"), None);
        assert_eq!(arch("H1000"), None);
    }
}
