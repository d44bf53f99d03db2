//! `hooks` (config.md, "POSIX-platform Hooks").

use super::{absolute, wrong};
use crate::error::Result;
use crate::spec::hooks::Hooks;

pub(super) fn hooks(hooks: &Hooks) -> Result<()> {
    for (kind, list) in [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ] {
        for (index, hook) in list.iter().enumerate() {
            absolute(&hook.path, || format!("hooks.{kind}[{index}].path"))?;
            if let Some(timeout) = hook.timeout.filter(|timeout| *timeout <= 0) {
                let place = format!("hooks.{kind}[{index}].timeout");
                return Err(wrong(place, format_args!("{timeout} is not greater than zero")));
            }
        }
    }
    Ok(())
}
