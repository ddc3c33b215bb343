//! A compiled text, loaded into the worker.

use std::ffi::{c_longlong, c_void};
use std::path::Path;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::source::CALL;

type Call = unsafe extern "C" fn(*const *mut c_void, *const c_longlong);

/// A library with the uniform entry.
pub(super) struct Entry {
    call: Call,
    /// Keeps the code mapped.
    _library: Library,
}

impl Entry {
    /// Loads the library at the absolute path `path`. Its symbols are its own: the kernel's and the reference's do not
    /// see each other.
    pub(super) fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: running the library's initialisers is what this process exists for; it holds nothing but this
        // measurement, and the runner confines it.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL)? };
        // SAFETY: the shim that defines this symbol is generated with this very signature.
        let call: Call = unsafe { *library.get::<Call>(CALL)? };
        Ok(Self { call, _library: library })
    }

    /// Calls the text's function.
    ///
    /// # Safety
    /// `buffers` and `sizes` must be those of the prototype that the library was built with, in number, order, type and
    /// length, and nothing else may hold a reference into the buffers.
    pub(super) unsafe fn call(&self, buffers: &[*mut c_void], sizes: &[c_longlong]) {
        // SAFETY: the caller vouches for the arguments.
        unsafe { (self.call)(buffers.as_ptr(), sizes.as_ptr()) };
    }
}
