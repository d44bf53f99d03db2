//! A new process in the container's cgroup: init, or one that `exec` brings in.

use crate::cgroup::Manager;
use crate::container::interrupts::Interrupts;
use crate::error::{Context, Error, Result};
use crate::launch;
use crate::launch::prepared::Prepared;
use crate::launch::protocol::Report;
use crate::launch::spawn::{self, CgroupEntry, Init, Sockets, TakeIn};
use crate::plan::Plan;
use crate::sys::procfs::Procfs;
use rustix::fd::{AsFd, OwnedFd};

/// What the process is made from.
#[derive(Debug)]
pub struct Birth<'a> {
    /// Its plan.
    pub plan: &'a Plan,
    /// The cgroup that it is born in.
    pub cgroup: &'a Manager,
    /// What makes the cgroup around it instead, where there is none before it.
    pub around: Option<TakeIn<'a>>,
    /// The runtime's own procfs.
    pub procfs: &'a Procfs,
    /// The file that errors of the namespaces come from, if there is one.
    pub document: Option<&'static str>,
    /// What may end the wait for its first word.
    pub interrupts: Option<&'a Interrupts>,
}

impl Birth<'_> {
    /// Makes the process and hears its first report. Kernels up to 7.2 kill a child at birth whose creator's cgroup and its
    /// own have seen a different number of kills; then it is made again, and moved into its cgroup the slow way.
    ///
    /// # Errors
    /// A cgroup that is gone, or that cannot be made; those of [`spawn::spawn`].
    pub fn give(mut self, prepared: &mut Prepared, sockets: Sockets) -> Result<(Init, Option<Report>)> {
        if let Some(around) = self.around.take() {
            return self.give_outside(prepared, Vec::new(), sockets, around);
        }
        let join = self.cgroup.join()?;
        let Some(into) = join.into else {
            let entry = CgroupEntry { tasks: join.tasks, ..CgroupEntry::default() };
            return self.hear(self.spawn(prepared, entry, sockets)?);
        };
        let again = sockets.try_clone().context(|| "dup")?;
        let entry = CgroupEntry { directory: Some(into.as_fd()), tasks: join.tasks, take_in: None };
        match self.spawn(prepared, entry, sockets) {
            // Linux 5.3 to 5.6 do not know CLONE_INTO_CGROUP.
            Err(error) if matches!(error.errno(), Some(libc::EINVAL | libc::E2BIG)) => {}
            born => {
                let (init, report) = self.hear(born?)?;
                if report.is_some() || !init.was_killed() {
                    return Ok((init, report));
                }
            }
        }
        let tasks = self.cgroup.join()?.tasks;
        let mut attach = |pid| self.cgroup.attach_pid(pid);
        self.give_outside(prepared, tasks, again, TakeIn(&mut attach))
    }

    /// Makes the process outside of its cgroup and has it taken in while it waits.
    fn give_outside(
        &self,
        prepared: &mut Prepared,
        tasks: Vec<OwnedFd>,
        sockets: Sockets,
        TakeIn(take_in): TakeIn<'_>,
    ) -> Result<(Init, Option<Report>)> {
        // The cgroup's error has a better place than the document.
        let mut taken = Ok(());
        let mut take_in = |pid| {
            taken = take_in(pid);
            taken.clone()
        };
        let entry = CgroupEntry { directory: None, tasks, take_in: Some(TakeIn(&mut take_in)) };
        let spawned = self.spawn(prepared, entry, sockets);
        self.hear(taken.and(spawned)?)
    }

    fn spawn(&self, prepared: &mut Prepared, entry: CgroupEntry<'_>, sockets: Sockets) -> Result<Init> {
        let procfs = self.procfs.try_clone().context(|| "/proc")?;
        let spawned = spawn::spawn(self.plan, prepared, entry, sockets, procfs);
        spawned.map_err(|error| match self.document {
            Some(document) => error.context(document),
            None => error,
        })
    }

    fn hear(&self, init: Init) -> Result<(Init, Option<Report>)> {
        if let Some(interrupts) = self.interrupts {
            interrupts.await_word(init.socket())?;
        }
        let report = init.report()?;
        Ok((init, report))
    }
}

/// What is known of a process that ended without a word.
pub fn died(init: &Init, name: &str) -> Error {
    let signal = init.wait().and_then(|status| status.terminating_signal());
    match signal {
        Some(signal) => Error::new(format!("{name} was ended by signal {signal} before it was ready")),
        None => Error::new(format!("{name} ended before it was ready")),
    }
}

/// The error of a report that does not belong here, as a rule that a step failed.
pub fn unexpected(plan: &Plan, report: Report) -> Error {
    match report {
        Report::Failed(failure) => launch::failure(plan, &failure),
        report => Error::new(format!("init reports {report:?} out of turn")),
    }
}
