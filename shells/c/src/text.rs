//! Texts across the border: C's that are read, and ours that are given out.
//!
//! What it is: the only place that knows how texts and handles are passed. What it is not: their meaning. The one design choice:
//! a null pointer where none may be is an error like any other.

use std::ffi::{CStr, CString, c_char};

use crate::code::Failure;

/// The version of the library. The text is there for good.
#[unsafe(no_mangle)]
pub extern "C" fn pintpot_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"unknown",
        };
    VERSION.as_ptr()
}

/// Frees a text that this library gave out; null is nothing to free.
///
/// # Safety
/// `text` is null, or was given out by this library and not freed since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pintpot_text_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: the caller promises that `give` made it and that this is its only end.
        drop(unsafe { CString::from_raw(text) });
    }
}

/// Reads a text of the caller's; `name` is what it stands for.
///
/// # Safety
/// `text` is null or points to bytes that end with a zero, none of which change while the result lives.
pub(crate) unsafe fn read<'a>(text: *const c_char, name: &str) -> Result<&'a str, Failure> {
    // SAFETY: handed on.
    unsafe { read_any(text, name) }?.ok_or_else(|| Failure::usage(format!("{name} is null")))
}

/// As [`read`], where null stands for nothing.
///
/// # Safety
/// As of [`read`].
pub(crate) unsafe fn read_any<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: it is not null, and the caller promises the rest.
    let text = unsafe { CStr::from_ptr(text) }.to_str();
    text.map(Some).map_err(|_| Failure::usage(format!("{name} is not UTF-8")))
}

/// Gives a text out.
pub(crate) fn give(text: &str) -> *mut c_char {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default().into_raw()
}

/// Writes a result where the caller wants it.
///
/// # Safety
/// `place` is null or may be written to.
pub(crate) unsafe fn put<T>(place: *mut T, value: T, name: &str) -> Result<(), Failure> {
    if place.is_null() {
        return Err(Failure::usage(format!("{name} is null")));
    }
    // SAFETY: it is not null, and the caller promises that it may be written to.
    unsafe { place.write(value) };
    Ok(())
}

/// What a handle stands for.
///
/// # Safety
/// `handle` is null or was given out by this library and is not freed while the result lives.
pub(crate) unsafe fn handle<'a, T>(handle: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: the caller promises that it is null or sound.
    unsafe { handle.as_ref() }.ok_or_else(|| Failure::usage(format!("{name} is null")))
}
