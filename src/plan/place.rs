//! Where in `config.json` a step comes from, as a path: `linux.namespaces[2].path`.

use std::borrow::Cow;
use std::fmt;

/// A path into `config.json`; empty for what the runtime does of its own accord.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    base: Cow<'static, str>,
    index: Option<usize>,
}

impl Place {
    /// No place: the runtime's own step.
    pub const NONE: Self = Self { base: Cow::Borrowed(""), index: None };

    /// A property by its path: `process.rlimits`.
    pub const fn property(path: &'static str) -> Self {
        Self { base: Cow::Borrowed(path), index: None }
    }

    /// An element of an array property: `mounts[3]`. Nothing is allocated.
    pub const fn element(path: &'static str, index: usize) -> Self {
        Self { base: Cow::Borrowed(path), index: Some(index) }
    }

    /// A place whose path is only known at run time, such as a key of `linux.sysctl`.
    pub fn dynamic(path: String) -> Self {
        Self { base: Cow::Owned(path), index: None }
    }

    /// Whether the step is the runtime's own.
    pub fn is_none(&self) -> bool {
        self.base.is_empty()
    }
}

impl From<&'static str> for Place {
    fn from(path: &'static str) -> Self {
        Self::property(path)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.base)?;
        match self.index {
            Some(index) => write!(out, "[{index}]"),
            None => Ok(()),
        }
    }
}
