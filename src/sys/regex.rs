//! regcomp(3): the extended regular expressions that crun's `--regex` takes.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::ptr;

/// A compiled expression.
pub struct Regex {
    /// In a place of its own, since the C library may point into it.
    compiled: Box<libc::regex_t>,
}

impl Regex {
    /// Compiles an extended expression; nothing if it is none.
    pub fn new(expression: &str) -> Option<Self> {
        let expression = CString::new(expression).ok()?;
        let mut compiled = Box::new(MaybeUninit::<libc::regex_t>::zeroed());
        let flags = libc::REG_EXTENDED | libc::REG_NOSUB;
        // SAFETY: regcomp fills the regex_t, which is ours alone, and reads the expression up to its NUL during the call.
        if unsafe { libc::regcomp(compiled.as_mut_ptr(), expression.as_ptr(), flags) } != 0 {
            return None;
        }
        // SAFETY: regcomp answered 0, so it has filled the value.
        Some(Self { compiled: unsafe { compiled.assume_init() } })
    }

    /// Whether a part of the text matches.
    pub fn is_match(&self, text: &CStr) -> bool {
        // SAFETY: `compiled` was filled by regcomp and lives as long as `self`; the text ends with a NUL; with REG_NOSUB
        // no matches are written, so their array may be null.
        unsafe { libc::regexec(&raw const *self.compiled, text.as_ptr(), 0, ptr::null_mut(), 0) == 0 }
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: `compiled` was filled by regcomp and is freed once.
        unsafe { libc::regfree(&raw mut *self.compiled) }
    }
}

impl std::fmt::Debug for Regex {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Regex")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_extended_and_match_a_part() {
        for (expression, text, matches) in [
            ("^web[0-9]+$", c"web12", true),
            ("^web[0-9]+$", c"xweb12", false),
            ("b1|c1", c"web1", true),
            ("b1|c1", c"wec2", false),
            ("", c"anything", true),
        ] {
            assert_eq!(Regex::new(expression).unwrap().is_match(text), matches, "{expression} {text:?}");
        }
        for broken in ["[", "(", "a\0b"] {
            assert!(Regex::new(broken).is_none(), "{broken:?}");
        }
    }
}
