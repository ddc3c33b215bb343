//! What a kernel's text may be.

use thiserror::Error;

/// The largest kernel, in bytes.
pub const MAX_KERNEL_BYTES: usize = 1024 * 1024;

/// Bytes that cannot be a kernel's text.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadText {
    /// More than [`MAX_KERNEL_BYTES`].
    #[error(
        "larger than {MAX_KERNEL_BYTES} bytes; a kernel is one source file, keep data and generated code out of it"
    )]
    TooLarge,
    /// A NUL byte.
    #[error("NUL byte at byte offset {offset}; a kernel is text")]
    Nul {
        /// Of the first one, from 0.
        offset: usize,
    },
    /// Not UTF-8.
    #[error("invalid UTF-8 at byte offset {offset}; save it as UTF-8")]
    NotUtf8 {
        /// Of the first byte that is wrong, from 0.
        offset: usize,
    },
}

/// Returns `bytes` as a kernel's text: bounded, UTF-8 and without NUL bytes.
pub fn validate_kernel_text(bytes: &[u8]) -> Result<&str, BadText> {
    if bytes.len() > MAX_KERNEL_BYTES {
        return Err(BadText::TooLarge);
    }
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        return Err(BadText::Nul { offset });
    }
    std::str::from_utf8(bytes).map_err(|error| BadText::NotUtf8 { offset: error.valid_up_to() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_accepted_as_it_is() {
        assert_eq!(validate_kernel_text("a = 'µ'\r\n".as_bytes()), Ok("a = 'µ'\r\n"));
        assert_eq!(validate_kernel_text(b""), Ok(""));
    }

    #[test]
    fn a_bad_byte_is_named_by_its_offset() {
        assert_eq!(validate_kernel_text(b"abc\0d\0"), Err(BadText::Nul { offset: 3 }));
        assert_eq!(validate_kernel_text(b"ab\xff"), Err(BadText::NotUtf8 { offset: 2 }));
        assert_eq!(validate_kernel_text(b"\xc2"), Err(BadText::NotUtf8 { offset: 0 }), "a torn character");
    }

    #[test]
    fn one_byte_too_many_is_too_many() {
        assert!(validate_kernel_text(&vec![b'a'; MAX_KERNEL_BYTES]).is_ok());
        assert_eq!(validate_kernel_text(&vec![b'a'; MAX_KERNEL_BYTES + 1]), Err(BadText::TooLarge));
    }
}
