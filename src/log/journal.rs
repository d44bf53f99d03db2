//! The journal's own protocol: a datagram of fields at its socket (systemd.io, "Native Journal Protocol").

use super::Level;
use crate::error::Result;
use std::os::unix::net::UnixDatagram;

const SOCKET: &str = "/run/systemd/journal/socket";

/// A socket that is connected to the journal.
///
/// # Errors
/// There is no journal.
pub fn connect() -> Result<UnixDatagram> {
    super::connect(SOCKET)
}

/// The fields of a record. crun names the container `ID`, docker and podman `CONTAINER_ID_FULL`.
pub fn record(level: Level, identifier: &str, container: Option<&str>, message: &str) -> Vec<u8> {
    let priority = level.priority().to_string();
    let mut record = Vec::with_capacity(256);
    let container = container.into_iter().flat_map(|id| [("ID", id), ("CONTAINER_ID_FULL", id)]);
    let fields = [("PRIORITY", priority.as_str()), ("SYSLOG_IDENTIFIER", identifier), ("MESSAGE", message)];
    for (name, value) in fields.into_iter().chain(container) {
        record.extend(name.as_bytes());
        if value.contains('\n') {
            // What holds the end of a line is told by its length.
            record.push(b'\n');
            record.extend((value.len() as u64).to_le_bytes());
        } else {
            record.push(b'=');
        }
        record.extend(value.as_bytes());
        record.push(b'\n');
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_fields() {
        assert_eq!(
            record(Level::Error, "corten", Some("web1"), "no\nway"),
            b"PRIORITY=3\nSYSLOG_IDENTIFIER=corten\nMESSAGE\n\x06\0\0\0\0\0\0\0no\nway\nID=web1\nCONTAINER_ID_FULL=web1\n"
        );
        assert_eq!(
            record(Level::Warning, "a", None, "odd"),
            b"PRIORITY=4\nSYSLOG_IDENTIFIER=a\nMESSAGE=odd\n"
        );
    }
}
