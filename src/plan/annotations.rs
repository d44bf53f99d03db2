//! The annotations that change the plan. All of them only restrict: an image may have brought them.

use crate::error::{Error, Result};
use crate::spec::Spec;

/// `"false"` leaves the default device rules out: the container has those of its configuration and no other.
pub const DEFAULT_DEVICE_RULES: &str = "run.corten.default-device-rules";

/// Whether the default device rules follow those of the configuration.
///
/// # Errors
/// A value that is neither `"true"` nor `"false"`.
pub(super) fn default_device_rules(spec: &Spec) -> Result<bool> {
    match spec.annotations.get(DEFAULT_DEVICE_RULES).map(String::as_str) {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => {
            let error = Error::new(format!("must be \"true\" or \"false\", not {other:?}"));
            Err(error.context(format!("annotations[{DEFAULT_DEVICE_RULES:?}]")))
        }
    }
}
