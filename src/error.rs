//! The one error of the project: what was tried, on which object, and what the kernel said.
//!
//! Context is added where the object is known and reads from the outside in: `create web1: mounts[3]: bind
//! "/srv/data" on "/data": permission denied`. The errno stays in the chain for callers that decide by it. An error is
//! printed once, by `main`.

use crate::errno;
use std::fmt::{self, Write};

/// What `main` prints: a chain of contexts, the cause, and perhaps a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Contexts in the order they were added: the innermost first.
    contexts: Vec<String>,
    cause: Cause,
    hint: Option<String>,
    exit_code: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    Errno(i32),
    Message(String),
}

/// A result that fails with the project's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error in our own words: lower case, no full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self { contexts: Vec::new(), cause: Cause::Message(message.into()), hint: None, exit_code: 1 }
    }

    /// An error of the kernel, by its errno.
    pub fn from_errno(errno: i32) -> Self {
        Self { contexts: Vec::new(), cause: Cause::Errno(errno), hint: None, exit_code: 1 }
    }

    /// Puts a context in front: the object that the failed step was about.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.contexts.push(context.into());
        self
    }

    /// Adds what the user may try. The innermost hint wins: it knows most.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Sets the exit code that tells callers of it, in place of 1.
    #[must_use]
    pub fn exit_code(mut self, code: u8) -> Self {
        self.exit_code = code;
        self
    }

    /// The errno at the root of the chain, if the kernel was the one who refused.
    pub fn errno(&self) -> Option<i32> {
        match self.cause {
            Cause::Errno(errno) => Some(errno),
            Cause::Message(_) => None,
        }
    }

    /// The exit code that tells callers of it.
    pub fn code(&self) -> u8 {
        self.exit_code
    }

    /// What to print after `hint:`, if anything is known that helps.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = OneLine(out);
        for context in self.contexts.iter().rev() {
            write!(out, "{context}: ")?;
        }
        match &self.cause {
            Cause::Errno(errno) => out.write_str(&errno::text(*errno)),
            Cause::Message(message) => out.write_str(message),
        }
    }
}

/// Writes text on one line: what would end it or steer a terminal is written as an escape, since names and values of
/// others stand in our sentences.
struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(position) = rest.find(char::is_control) {
            let (plain, control) = rest.split_at(position);
            self.0.write_str(plain)?;
            let mut letters = control.chars();
            if let Some(letter) = letters.next() {
                write!(self.0, "{}", letter.escape_default())?;
            }
            rest = letters.as_str();
        }
        self.0.write_str(rest)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::from_errno(errno),
            None => Self::new(error.to_string()),
        }
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::from_errno(errno.raw_os_error())
    }
}

/// Adds context to a result where the object is known.
pub trait Context<T> {
    /// Puts what `context` says in front of the error; it is called only when there is one.
    ///
    /// # Errors
    /// The error of the result itself, with the context in front.
    fn context<C: Into<String>>(self, context: impl FnOnce() -> C) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context<C: Into<String>>(self, context: impl FnOnce() -> C) -> Result<T> {
        self.map_err(|error| error.into().context(context()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_read_from_the_outside_in() {
        let error = Error::from_errno(libc::EACCES).context("mounts[3]").context("create web1");
        assert_eq!(error.to_string(), "create web1: mounts[3]: permission denied");
        assert_eq!(error.errno(), Some(libc::EACCES));
    }

    #[test]
    fn an_error_is_one_line_whatever_stands_in_it() {
        let error = Error::new("b\u{1b}[31mc").context("a\nb");
        assert_eq!(error.to_string(), "a\\nb: b\\u{1b}[31mc");
    }

    #[test]
    fn the_innermost_hint_wins() {
        let error = Error::new("no").hint("inner").hint("outer");
        assert_eq!(error.hint_text(), Some("inner"));
    }
}
