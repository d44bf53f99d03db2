//! The network interfaces of a container and what went through them: `/proc/PID/net/dev`, proc_pid_net(5).

use crate::container::process::{Liveness, Process};
use serde::Serialize;

/// One interface, under the names that runc gave the numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Interface {
    /// Its name in the container.
    pub name: String,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Errors in receiving.
    pub rx_errors: u64,
    /// Packets that were received and dropped.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Errors in sending.
    pub tx_errors: u64,
    /// Packets that were dropped instead of sent.
    pub tx_dropped: u64,
}

/// The interfaces, without the loopback; nothing when there is none, or when the network is the runtime's own, whose numbers
/// would be taken for the container's.
pub fn interfaces(process: &Process) -> Option<Vec<Interface>> {
    let namespace = |pid: &str| rustix::fs::stat(format!("/proc/{pid}/ns/net")).ok().map(|stat| stat.st_ino);
    let pid = process.pid.to_string();
    if namespace(&pid)? == namespace("self")? {
        return None;
    }
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?;
    // Only what was read while the pid still was init's is the container's.
    if process.liveness().ok()? != Liveness::Alive {
        return None;
    }
    let interfaces = parse(&text);
    (!interfaces.is_empty()).then_some(interfaces)
}

fn parse(text: &str) -> Vec<Interface> {
    let line = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let [
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            _,
            _,
            _,
            _,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
            ..,
        ] = numbers[..]
        else {
            return None;
        };
        let name = name.trim().to_owned();
        Some(Interface {
            name,
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
        })
    };
    text.lines().skip(2).filter_map(line).filter(|interface| interface.name != "lo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_but_for_the_loopback() {
        let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:    1000      10    1    2    0     0          0         5     2000      20    3    4    0     0       0          0
";
        let expected = Interface {
            name: "eth0".into(),
            rx_bytes: 1000,
            rx_packets: 10,
            rx_errors: 1,
            rx_dropped: 2,
            tx_bytes: 2000,
            tx_packets: 20,
            tx_errors: 3,
            tx_dropped: 4,
        };
        assert_eq!(parse(text), [expected]);
    }
}
