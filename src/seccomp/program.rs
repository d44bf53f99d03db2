//! The compiled filter: what the child hands to seccomp(2), and what the state file keeps of it for `exec`.

use crate::spec::seccomp::Flag;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt::Write;

const FLAG_TSYNC: u32 = 1 << 0;
const FLAG_LOG: u32 = 1 << 1;
const FLAG_SPEC_ALLOW: u32 = 1 << 2;
const FLAG_NEW_LISTENER: u32 = 1 << 3;
const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// A filter ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The program; as text, 16 hexadecimal digits an instruction.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub instructions: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*` for seccomp(2): `SPEC_ALLOW` if the profile has no flags at all, none if it has `[]`.
    ///
    /// `TSYNC` is accepted and left out, because the task that loads the filter has one thread and `NEW_LISTENER` does
    /// not go with it; `WAIT_KILLABLE_RECV` is left out where nobody listens, which the kernel would refuse.
    pub flags: u32,
    /// Whether loading the filter gives a descriptor that is to be sent to `listenerPath`; `NEW_LISTENER` is in `flags`.
    pub notifies: bool,
    /// Whether nothing can be executed under it, whatever the arguments of execve(2); not kept in the state.
    #[serde(skip)]
    pub denies_execve: bool,
    /// Whether init might not get a word out under it: when the program cannot be executed then, somebody else must see that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silences: bool,
}

/// One instruction, laid out as `struct sock_filter` (`linux/filter.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do: `BPF_*`.
    pub code: u16,
    /// How many instructions to skip if a comparison holds.
    pub jt: u8,
    /// How many instructions to skip if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

impl Program {
    /// The flags by the names that seccomp(2) has for them, without `SECCOMP_FILTER_FLAG_`.
    pub fn flag_names(&self) -> Vec<&'static str> {
        const NAMES: &[(u32, &str)] = &[
            (FLAG_LOG, "LOG"),
            (FLAG_SPEC_ALLOW, "SPEC_ALLOW"),
            (FLAG_NEW_LISTENER, "NEW_LISTENER"),
            (FLAG_WAIT_KILLABLE_RECV, "WAIT_KILLABLE_RECV"),
        ];
        NAMES.iter().filter(|(flag, _)| self.flags & flag != 0).map(|(_, name)| *name).collect()
    }
}

impl Instruction {
    fn to_word(self) -> u64 {
        u64::from(self.code) << 48 | u64::from(self.jt) << 40 | u64::from(self.jf) << 32 | u64::from(self.k)
    }

    fn from_word(word: u64) -> Self {
        let [code_high, code_low, jt, jf, k @ ..] = word.to_be_bytes();
        Self { code: u16::from_be_bytes([code_high, code_low]), jt, jf, k: u32::from_be_bytes(k) }
    }
}

/// Every flag with what seccomp(2) is asked with to learn whether the kernel knows it.
pub const FLAGS: [(Flag, u32); 4] = [
    (Flag::Tsync, FLAG_TSYNC),
    (Flag::Log, FLAG_LOG),
    (Flag::SpecAllow, FLAG_SPEC_ALLOW),
    // Of a listener alone: without one the kernel refuses it.
    (Flag::WaitKillableRecv, FLAG_WAIT_KILLABLE_RECV | FLAG_NEW_LISTENER),
];

/// The flags to load a filter with.
pub(super) fn flags(asked: Option<&[Flag]>, notifies: bool) -> u32 {
    let listener = if notifies { FLAG_NEW_LISTENER } else { 0 };
    asked.unwrap_or(&[Flag::SpecAllow]).iter().fold(listener, |flags, flag| {
        flags
            | match flag {
                Flag::Tsync => 0,
                Flag::Log => FLAG_LOG,
                Flag::SpecAllow => FLAG_SPEC_ALLOW,
                Flag::WaitKillableRecv if notifies => FLAG_WAIT_KILLABLE_RECV,
                Flag::WaitKillableRecv => 0,
            }
    })
}

fn to_hex<S: Serializer>(instructions: &[Instruction], serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = String::with_capacity(16 * instructions.len());
    for instruction in instructions {
        write!(text, "{:016x}", instruction.to_word()).map_err(serde::ser::Error::custom)?;
    }
    serializer.serialize_str(&text)
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Instruction>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let words = text.as_bytes().chunks(16);
    let read = |digits: &[u8]| {
        let mut word = 0;
        for digit in digits {
            word = word << 4 | u64::from((*digit as char).to_digit(16)?);
        }
        (digits.len() == 16).then(|| Instruction::from_word(word))
    };
    let instructions = words.map(read).collect::<Option<Vec<_>>>();
    instructions.ok_or_else(|| de::Error::custom("a filter is 16 hexadecimal digits an instruction"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_survives_the_state_file() {
        let instructions = vec![
            Instruction { code: 0x20, jt: 0, jf: 0, k: 4 },
            Instruction { code: 0x15, jt: 255, jf: 1, k: 0xc000_003e },
        ];
        let program =
            Program { instructions, flags: 12, notifies: true, denies_execve: false, silences: false };
        let text = serde_json::to_string(&program).unwrap();
        assert_eq!(text, r#"{"instructions":"00200000000000040015ff01c000003e","flags":12,"notifies":true}"#);
        assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), program);
    }

    #[test]
    fn a_damaged_program_is_refused() {
        for hex in ["0020000000000004001", "00200000000000xx"] {
            let text = format!(r#"{{"instructions":"{hex}","flags":0,"notifies":false}}"#);
            assert!(serde_json::from_str::<Program>(&text).is_err(), "{hex}");
        }
    }

    #[test]
    fn absent_flags_are_not_an_empty_list() {
        for (asked, notifies, expected) in [
            (None, false, 4),
            (None, true, 12),
            (Some(&[][..]), false, 0),
            (Some(&[Flag::Tsync, Flag::Log][..]), false, 2),
            (Some(&[Flag::WaitKillableRecv][..]), false, 0),
            (Some(&[Flag::WaitKillableRecv][..]), true, 40),
        ] {
            assert_eq!(flags(asked, notifies), expected, "{asked:?} {notifies}");
        }
    }
}
