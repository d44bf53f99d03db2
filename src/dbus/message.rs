//! Messages: a call as it is sent, and an answer or a signal as it is received.

use super::Peer;
use super::wire::{Malformed, Reader, Writer};
use crate::error::{Error, Result};
use crate::gvariant::Value;

/// The longest message there may be, of the specification's 128 MiB: nothing that we wait for is longer.
const LONGEST: usize = 1024 * 1024;

/// What comes before the fields of the header.
const FIXED: usize = 12;

/// A call of a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The service's name on a bus.
    pub destination: &'static str,
    /// The object.
    pub path: &'static str,
    /// The interface of the method.
    pub interface: &'static str,
    /// The method.
    pub member: &'static str,
    /// Its arguments.
    pub arguments: Vec<Value>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Return,
    Error,
    Signal,
    /// A call of a method of ours, or a kind of a later version.
    Other,
}

/// A received message, as far as it matters here.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) reply_to: Option<u32>,
    pub(super) member: String,
    pub(super) error: String,
    signature: String,
    body: Vec<u8>,
}

impl Call {
    /// A call of the bus itself.
    pub(super) fn bus(member: &'static str, arguments: Vec<Value>) -> Self {
        Self {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member,
            arguments,
        }
    }

    /// The whole message.
    pub(super) fn bytes(&self, serial: u32, peer: Peer) -> Vec<u8> {
        let mut body = Writer::default();
        self.arguments.iter().for_each(|argument| body.value(argument));
        let signature: String = self.arguments.iter().map(Value::signature).collect();
        let field = |code, value| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
        let mut fields = vec![
            field(1, Value::Path(self.path.to_owned())),
            field(2, Value::text(self.interface)),
            field(3, Value::text(self.member)),
        ];
        if peer == Peer::Bus {
            fields.push(field(6, Value::text(self.destination)));
        }
        if !signature.is_empty() {
            fields.push(field(8, Value::Signature(signature)));
        }
        let mut message = Writer::default();
        message.bytes.extend([BYTE_ORDER, 1, 0, 1]);
        message.u32(body.bytes.len() as u32);
        message.u32(serial);
        message.value(&Value::Array("(yv)".to_owned(), fields));
        message.align(8);
        message.bytes.extend(body.bytes);
        message.bytes
    }
}

const BYTE_ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };

impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        Self::new("it sent a message that cannot be read")
    }
}

impl Message {
    /// The length of the message that begins here, once all of it is there.
    pub(super) fn length(received: &[u8]) -> Result<Option<usize>> {
        if received.len() < FIXED + 4 {
            return Ok(None);
        }
        if received[0] != BYTE_ORDER {
            return Err(Malformed.into());
        }
        let number = |at| Reader { bytes: received, at }.u32();
        let (body, fields) = (number(4)? as usize, number(FIXED)? as usize);
        if body > LONGEST || fields > LONGEST {
            return Err(Malformed.into());
        }
        let length = (FIXED + 4 + fields).next_multiple_of(8) + body;
        Ok((received.len() >= length).then_some(length))
    }

    /// Reads the header of a message.
    pub(super) fn read(mut bytes: Vec<u8>) -> Result<Self> {
        let kind = match bytes.get(1) {
            Some(2) => Kind::Return,
            Some(3) => Kind::Error,
            Some(4) => Kind::Signal,
            _ => Kind::Other,
        };
        let mut reader = Reader { bytes: &bytes, at: FIXED };
        let fields = reader.values("a(yv)")?;
        reader.align(8)?;
        let end = reader.at;
        let body = bytes.split_off(end);
        let mut message = Self {
            kind,
            reply_to: None,
            member: String::new(),
            error: String::new(),
            signature: String::new(),
            body,
        };
        let Some(Value::Array(_, fields)) = fields.into_iter().next() else { return Err(Malformed.into()) };
        for field in fields {
            let Value::Struct(parts) = field else { return Err(Malformed.into()) };
            let [Value::Byte(code), Value::Variant(value)] = parts.as_slice() else { continue };
            match (code, value.as_ref()) {
                (3, Value::Str(member)) => member.clone_into(&mut message.member),
                (4, Value::Str(error)) => error.clone_into(&mut message.error),
                (5, Value::U32(serial)) => message.reply_to = Some(*serial),
                (8, Value::Signature(text)) => text.clone_into(&mut message.signature),
                _ => {}
            }
        }
        Ok(message)
    }

    /// Reads the body: only of what we wait for, since a service sends every signal to everybody.
    pub(super) fn body(&self) -> Result<Vec<Value>> {
        Ok(Reader { bytes: &self.body, at: 0 }.values(&self.signature)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_call_is_the_bytes_of_the_specification() {
        let call = Call {
            destination: "d.e",
            path: "/p",
            interface: "i.j",
            member: "M",
            arguments: vec![Value::text("x")],
        };
        let bytes = call.bytes(7, Peer::Service);
        let expected = b"l\x01\0\x01\x06\0\0\0\x07\0\0\0\x37\0\0\0\
            \x01\x01o\0\x02\0\0\0/p\0\0\0\0\0\0\x02\x01s\0\x03\0\0\0i.j\0\0\0\0\0\x03\x01s\0\x01\0\0\0M\0\0\0\0\0\0\0\
            \x08\x01g\0\x01s\0\0\x01\0\0\0x\0";
        assert_eq!(bytes, expected);
        assert_eq!(Message::length(&bytes), Ok(Some(bytes.len())));
        assert_eq!(Message::length(&bytes[..bytes.len() - 1]), Ok(None));
    }

    #[test]
    fn a_message_is_read_as_far_as_it_matters() {
        let call = Call {
            destination: "",
            path: "/",
            interface: "a.b",
            member: "JobRemoved",
            arguments: vec![Value::U32(1), Value::Path("/job/1".into())],
        };
        let mut bytes = call.bytes(1, Peer::Service);
        bytes[1] = 4;
        let message = Message::read(bytes).expect("message");
        assert_eq!((message.kind, message.member.as_str()), (Kind::Signal, "JobRemoved"));
        assert_eq!(message.body().expect("body"), [Value::U32(1), Value::Path("/job/1".into())]);
    }

    #[test]
    fn lengths_beyond_reason_are_refused() {
        let mut bytes = [0; 16];
        bytes[0] = BYTE_ORDER;
        bytes[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(Message::length(&bytes).is_err());
    }
}
