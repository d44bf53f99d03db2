//! Steps that the runtime takes for init while that waits, ready to go: what only the runtime has the right to, since init
//! is in a user namespace.

use super::words;
use crate::error;
use crate::launch::init::{set_io_priority, set_scheduler};
use crate::launch::protocol::Fault;
use crate::plan::Plan;
use crate::plan::step::Action;
use crate::sys::procfs::Procfs;
use rustix::io::Errno;
use rustix::process::Pid;
use std::ffi::{CStr, CString};

/// Takes [`Plan::outside`] for init, whose process group has its pid.
///
/// # Errors
/// What the kernel refuses, with its place.
pub fn take(plan: &Plan, init: Pid, procfs: &Procfs) -> error::Result<()> {
    for step in &plan.outside {
        let taken = match &step.action {
            Action::OomScoreAdj(value) => write(procfs, init, c"oom_score_adj", value),
            Action::Scheduler(scheduler) => set_scheduler(Some(init), scheduler),
            Action::IoPriority(priority) => set_io_priority(Some(init), *priority),
            // Plan::new puts nothing else there.
            _ => Err(Errno::NOSYS),
        };
        taken.map_err(|errno| {
            words::explain(plan, &step.action, &Fault::from(errno)).context(step.to_string())
        })?;
    }
    Ok(())
}

/// Writes a file of init's directory in `/proc`.
fn write(procfs: &Procfs, init: Pid, file: &CStr, value: &[u8]) -> Result<(), Errno> {
    let path = CString::new(format!("{}/{}", init.as_raw_nonzero(), file.to_string_lossy()));
    procfs.write(&path.map_err(|_| Errno::INVAL)?, value)
}
