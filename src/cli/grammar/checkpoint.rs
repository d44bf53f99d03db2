//! The words of `checkpoint` and `restore`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What both have in common.
#[derive(Debug, Args)]
pub struct Transfer {
    /// The directory of the images.
    #[arg(long, value_name = "DIR", default_value = "checkpoint")]
    pub image_path: PathBuf,
    /// The directory of CRIU's log and other work files [default: that of the images].
    #[arg(long, value_name = "DIR")]
    pub work_path: Option<PathBuf>,
    /// With open TCP connections.
    #[arg(long)]
    pub tcp_established: bool,
    /// With open TCP connections, which are closed then.
    #[arg(long)]
    pub tcp_close: bool,
    /// With unix sockets whose other end is outside.
    #[arg(long)]
    pub ext_unix_sk: bool,
    /// With a terminal and a session of somebody outside.
    #[arg(long)]
    pub shell_job: bool,
    /// With locks of files.
    #[arg(long)]
    pub file_locks: bool,
    /// How CRIU treats cgroups.
    #[arg(long, value_enum, value_name = "MODE")]
    pub manage_cgroups_mode: Option<CgroupsMode>,
    /// Accepted: network devices are never dumped nor restored.
    #[arg(long, value_enum, value_name = "NAMESPACE")]
    pub empty_ns: Vec<EmptyNamespace>,
    /// Drop what a later image has, too.
    #[arg(long)]
    pub auto_dedup: bool,
    /// Move memory when it is needed.
    #[arg(long)]
    pub lazy_pages: bool,
    /// What keeps packets back meanwhile.
    #[arg(long, value_enum, value_name = "METHOD")]
    pub network_lock: Option<NetworkLock>,
}

/// `--manage-cgroups-mode`, by CRIU's numbers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CgroupsMode {
    /// Leave them alone.
    Ignore = 0,
    /// Properties of those that it makes.
    Soft = 3,
    /// Properties of all.
    Full = 4,
    /// Properties of all, and none may be there.
    Strict = 5,
}

/// `--empty-ns`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EmptyNamespace {
    /// Network devices.
    Network,
}

/// `--network-lock`, by CRIU's numbers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum NetworkLock {
    /// By iptables.
    Iptables = 1,
    /// By nftables.
    Nftables = 2,
    /// Not at all.
    Skip = 3,
}

/// `checkpoint`.
#[derive(Debug, Args)]
pub struct Checkpoint {
    /// The container.
    pub id: String,
    /// What it shares with restore.
    #[command(flatten)]
    pub transfer: Transfer,
    /// Images of an earlier --pre-dump, relative to those of this one.
    #[arg(long, value_name = "DIR")]
    pub parent_path: Option<PathBuf>,
    /// Let the container go on.
    #[arg(long)]
    pub leave_running: bool,
    /// Write its memory alone, and let it go on.
    #[arg(long)]
    pub pre_dump: bool,
    /// Without TCP connections that are being made.
    #[arg(long)]
    pub tcp_skip_in_flight: bool,
    /// Give files a name that have none any more.
    #[arg(long)]
    pub link_remap: bool,
    /// A descriptor that gets a zero byte once --lazy-pages serves.
    #[arg(long, value_name = "FD", allow_hyphen_values = true)]
    pub status_fd: Option<i32>,
    /// Send memory to a page server.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = page_server)]
    pub page_server: Option<(String, u16)>,
}

/// `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// The id of the container.
    pub id: String,
    /// What it shares with checkpoint.
    #[command(flatten)]
    pub transfer: Transfer,
    /// The bundle: the directory with config.json.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// A socket that gets the terminal's master.
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// A file that gets the pid.
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Leave the container alone once it runs.
    #[arg(short, long)]
    pub detach: bool,
    /// Do not adopt the processes that the container leaves behind.
    #[arg(long)]
    pub no_subreaper: bool,
    /// Accepted: CRIU enters the root file system.
    #[arg(long)]
    no_pivot: bool,
    /// Another profile of the security module.
    #[arg(long, value_name = "TYPE:NAME")]
    pub lsm_profile: Option<String>,
    /// Another SELinux context of the mounts.
    #[arg(long, value_name = "CONTEXT")]
    pub lsm_mount_context: Option<String>,
}

fn page_server(text: &str) -> Result<(String, u16), String> {
    let parts = text.rsplit_once(':').filter(|(address, _)| !address.is_empty());
    let address = |address: &str| {
        address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address).to_owned()
    };
    match parts.map(|(host, port)| (address(host), port.parse())) {
        Some((address, Ok(port @ 1..))) => Ok((address, port)),
        _ => Err("write ADDRESS:PORT".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_servers_are_an_address_and_a_port() {
        for (text, server) in
            [("127.0.0.1:27", ("127.0.0.1", 27)), ("[::1]:9", ("::1", 9)), ("host:65535", ("host", 65535))]
        {
            assert_eq!(page_server(text), Ok((server.0.to_owned(), server.1)), "{text}");
        }
        for text in ["", ":", "127.0.0.1", "127.0.0.1:", ":27", "a:0", "a:65536", "a:b"] {
            assert!(page_server(text).is_err(), "{text}");
        }
    }
}
