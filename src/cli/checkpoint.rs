//! checkpoint and restore: from what was typed to what is meant.

use super::grammar::{Arguments, CgroupsMode, Checkpoint, Restore, Transfer};
use super::lifecycle::{absolute, bundle, rootless};
use super::open;
use crate::container::create::{Request, RunMode};
use crate::container::root::Root;
use crate::container::{checkpoint, restore};
use crate::criu::message::{Field, Options};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::plan::Options as PlanOptions;
use crate::sys::directory;

/// Writes a container to files.
pub fn checkpoint(arguments: &Arguments, typed: &Checkpoint, log: &Log) -> Result<u8> {
    // Before anything of ours has the number.
    let status = match typed.status_fd {
        None | Some(-1) => None,
        Some(number) => Some(
            directory::take_passed(number)
                .ok_or_else(|| Error::new(format!("--status-fd: descriptor {number} is not open")))?,
        ),
    };
    let transfer = &typed.transfer;
    let mut options = options(
        transfer,
        &[
            (typed.leave_running, Field::LeaveRunning),
            (typed.tcp_skip_in_flight, Field::TcpSkipInFlight),
            (typed.link_remap, Field::LinkRemap),
        ],
    );
    if let Some((address, port)) = &typed.page_server {
        options.numbered(Field::PageServer, address, *port);
    }
    let parent = typed.parent_path.as_deref().map(|path| match path.to_str() {
        Some(text) if path.is_relative() => Ok(text),
        _ => Err(Error::new("--parent-path must be relative")),
    });
    let work = transfer.work_path.as_deref().map(|path| absolute(path, "--work-path")).transpose()?;
    let request = checkpoint::Request {
        images: &absolute(&transfer.image_path, "--image-path")?,
        work: work.as_deref(),
        parent: parent.transpose()?,
        criu: arguments.criu.as_deref(),
        options,
        leave_running: typed.leave_running,
        pre_dump: typed.pre_dump,
        lazy_pages: transfer.lazy_pages,
        status,
        log,
    };
    checkpoint::checkpoint(&mut open(arguments, &typed.id)?, request)?;
    Ok(0)
}

/// Makes a container from files.
pub fn restore(arguments: &Arguments, typed: &Restore, log: &Log) -> Result<u8> {
    let transfer = &typed.transfer;
    let mut options = options(transfer, &[]);
    for (field, value) in
        [(Field::LsmProfile, &typed.lsm_profile), (Field::LsmMountContext, &typed.lsm_mount_context)]
    {
        if let Some(value) = value {
            options.text(field, value);
        }
    }
    let optional = |path: &Option<std::path::PathBuf>, flag| {
        path.as_deref().map(|path| absolute(path, flag)).transpose()
    };
    let (bundle, work) = (bundle(&typed.bundle)?, optional(&transfer.work_path, "--work-path")?);
    let (pid_file, console_socket) =
        (optional(&typed.pid_file, "--pid-file")?, optional(&typed.console_socket, "--console-socket")?);
    restore::restore(restore::Request {
        create: Request {
            root: &Root::choose(arguments.root.as_deref())?,
            options: PlanOptions {
                cgroup_manager: arguments.cgroup_manager(),
                rootless: rootless(arguments.rootless),
                ..PlanOptions::plain(&typed.id, &bundle)
            },
            config: None,
            pid_file: pid_file.as_deref(),
            console_socket: console_socket.as_deref(),
            pidfd_socket: None,
            log,
        },
        mode: RunMode { detach: typed.detach, keep: false, supervisor: None, subreaper: !typed.no_subreaper },
        images: &absolute(&transfer.image_path, "--image-path")?,
        work: work.as_deref(),
        criu: arguments.criu.as_deref(),
        options,
    })
}

/// What is for CRIU alone.
fn options(typed: &Transfer, more: &[(bool, Field)]) -> Options {
    let mut options = Options::default();
    let flags = [
        (typed.tcp_established, Field::TcpEstablished),
        (typed.tcp_close, Field::TcpClose),
        (typed.ext_unix_sk, Field::ExtUnixSk),
        (typed.shell_job, Field::ShellJob),
        (typed.file_locks, Field::FileLocks),
        (typed.auto_dedup, Field::AutoDedup),
        (typed.lazy_pages, Field::LazyPages),
    ];
    for (_, field) in flags.iter().chain(more).filter(|(wanted, _)| *wanted) {
        options.flag(*field);
    }
    let mode = typed.manage_cgroups_mode.unwrap_or(CgroupsMode::Soft);
    options.number(Field::ManageCgroupsMode, mode as i64);
    if let Some(method) = typed.network_lock {
        options.number(Field::NetworkLock, method as i64);
    }
    options
}
