//! What is said to CRIU and what it answers: the messages of its `rpc.proto` that we need; pure.

use crate::criu::wire::{Fields, Message};

/// `criu_req_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Dump the processes.
    Dump = 1,
    /// Make them anew.
    Restore = 2,
    /// Dump their memory alone.
    PreDump = 4,
    /// CRIU tells how far it is, and waits for an answer.
    Notify = 6,
    /// Which features there are.
    FeatureCheck = 9,
    /// Which version it is.
    Version = 10,
}

/// Fields of `criu_opts`, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "the names are CRIU's, and criu(8) tells what each does")]
pub enum Field {
    ImagesDirFd = 1,
    Pid = 2,
    LeaveRunning = 3,
    ExtUnixSk = 4,
    TcpEstablished = 5,
    EvasiveDevices = 6,
    ShellJob = 7,
    FileLocks = 8,
    LogLevel = 9,
    LogFile = 10,
    PageServer = 11,
    NotifyScripts = 12,
    Root = 13,
    ParentImg = 14,
    TrackMem = 15,
    AutoDedup = 16,
    WorkDirFd = 17,
    LinkRemap = 18,
    ExtMnt = 23,
    ManageCgroups = 24,
    CgRoot = 25,
    RstSibling = 26,
    InheritFd = 27,
    ManageCgroupsMode = 34,
    External = 37,
    EmptyNs = 38,
    JoinNs = 39,
    FreezeCgroup = 44,
    TcpSkipInFlight = 46,
    LazyPages = 48,
    OrphanPtsMaster = 50,
    ConfigFile = 51,
    TcpClose = 52,
    LsmProfile = 53,
    LsmMountContext = 63,
    NetworkLock = 64,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Yes.
    Flag,
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// A message of two texts: a key and what it stands for.
    Pair(String, String),
    /// A message of a text and a number: a key and a descriptor, or an address and a port.
    Numbered(String, i64),
}

/// `criu_opts`: what CRIU is told, in order. A field may come again where it is a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(pub Vec<(Field, Value)>);

impl Options {
    /// Adds a flag that is set.
    pub fn flag(&mut self, field: Field) {
        self.0.push((field, Value::Flag));
    }

    /// Adds a number.
    pub fn number(&mut self, field: Field, value: impl Into<i64>) {
        self.0.push((field, Value::Number(value.into())));
    }

    /// Adds a text.
    pub fn text(&mut self, field: Field, value: impl Into<String>) {
        self.0.push((field, Value::Text(value.into())));
    }

    /// Adds a message of two texts.
    pub fn pair(&mut self, field: Field, key: impl Into<String>, value: impl Into<String>) {
        self.0.push((field, Value::Pair(key.into(), value.into())));
    }

    /// Adds a message of a text and a number.
    pub fn numbered(&mut self, field: Field, key: impl Into<String>, value: impl Into<i64>) {
        self.0.push((field, Value::Numbered(key.into(), value.into())));
    }

    /// The message.
    pub fn message(&self) -> Message {
        let mut message = Message::default();
        for (field, value) in &self.0 {
            let number = *field as u32;
            match value {
                Value::Flag => message.number(number, 1),
                Value::Number(value) => message.number(number, *value),
                Value::Text(text) => message.bytes(number, text.as_bytes()),
                Value::Pair(key, value) => {
                    let mut inner = Message::default();
                    inner.bytes(1, key.as_bytes());
                    inner.bytes(2, value.as_bytes());
                    message.bytes(number, inner.as_bytes());
                }
                Value::Numbered(key, value) => {
                    let mut inner = Message::default();
                    inner.bytes(1, key.as_bytes());
                    inner.number(2, *value);
                    message.bytes(number, inner.as_bytes());
                }
            }
        }
        message
    }
}

/// `criu_resp`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// `criu_req_type` of what it answers.
    pub kind: u64,
    /// Whether it worked.
    pub success: bool,
    /// How far CRIU is: `post-restore` and others.
    pub script: String,
    /// The pid of the restored root process, outside.
    pub pid: Option<i32>,
    /// What errno CRIU ended with.
    pub errno: i32,
    /// The version, as 40101 for 4.1.1.
    pub version: u64,
    /// Whether changes of memory can be tracked, if that was asked.
    pub tracks_memory: bool,
    /// Whether memory can be restored lazily, if that was asked.
    pub has_lazy_pages: bool,
}

impl Answer {
    /// Reads an answer; what is not known is passed over.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut answer = Self::default();
        for (field, value) in Fields::of(bytes) {
            match field {
                1 => answer.kind = value.as_number(),
                2 => answer.success = value.as_number() != 0,
                4 => answer.pid = first(value.as_bytes(), 1).map(|pid| pid as i32),
                5 => {
                    for (field, value) in Fields::of(value.as_bytes()) {
                        match field {
                            1 => answer.script = String::from_utf8_lossy(value.as_bytes()).into_owned(),
                            2 => answer.pid = Some(value.as_number() as i32),
                            _ => {}
                        }
                    }
                }
                7 => answer.errno = value.as_number() as i32,
                8 => {
                    answer.tracks_memory = first(value.as_bytes(), 1) == Some(1);
                    answer.has_lazy_pages = first(value.as_bytes(), 2) == Some(1);
                }
                10 => {
                    let part = |field| first(value.as_bytes(), field).unwrap_or(0);
                    answer.version = part(1) * 10_000 + part(2) * 100 + part(4);
                }
                _ => {}
            }
        }
        answer
    }
}

/// The first number of that field in a message.
fn first(message: &[u8], field: u64) -> Option<u64> {
    Fields::of(message).find(|(number, _)| *number == field).map(|(_, value)| value.as_number())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::criu::wire::Value as Wire;

    #[test]
    fn options_are_fields_by_their_numbers() {
        let mut options = Options::default();
        options.flag(Field::LeaveRunning);
        options.number(Field::ImagesDirFd, 7);
        options.text(Field::Root, "/r");
        options.pair(Field::ExtMnt, "/etc/hosts", "/h");
        options.numbered(Field::InheritFd, "pipe:[3]", 1);
        let message = options.message();
        let fields: Vec<_> = Fields::of(message.as_bytes()).collect();
        assert_eq!(fields[..2], [(3, Wire::Number(1)), (1, Wire::Number(7))]);
        assert_eq!(fields[2], (13, Wire::Bytes(b"/r")));
        let inner = |index: usize| Fields::of(fields[index].1.as_bytes()).collect::<Vec<_>>();
        assert_eq!(inner(3), [(1, Wire::Bytes(b"/etc/hosts")), (2, Wire::Bytes(b"/h"))]);
        assert_eq!(inner(4), [(1, Wire::Bytes(b"pipe:[3]")), (2, Wire::Number(1))]);
    }

    #[test]
    fn answers_are_read_whatever_else_they_hold() {
        let mut notify = Message::default();
        notify.bytes(1, b"post-restore");
        notify.number(2, 4242);
        let mut version = Message::default();
        version.number(1, 4);
        version.number(2, 1);
        version.bytes(3, b"v4.1.1");
        version.number(4, 1);
        let mut message = Message::default();
        message.number(1, 6);
        message.number(2, 1);
        message.bytes(5, notify.as_bytes());
        message.number(7, -17);
        message.bytes(10, version.as_bytes());
        message.bytes(99, b"of a version to come");
        let expected = Answer {
            kind: 6,
            success: true,
            script: "post-restore".into(),
            pid: Some(4242),
            errno: -17,
            version: 40101,
            ..Answer::default()
        };
        assert_eq!(Answer::parse(message.as_bytes()), expected);
    }
}
