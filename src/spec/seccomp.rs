//! `linux.seccomp`: the system call filter of the container, as `config.json` words it.
//!
//! Serves the section "Seccomp" of the runtime specification (config-linux.md). Words are libseccomp's; one that is not
//! known is refused here, what the words may mean together is judged by [`crate::seccomp::compile`].

use super::lenient::or_default;
use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// The filter of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// What happens to a call that no rule matches; `None` (absent or `""`) together with no rules means no filter.
    #[serde(default, deserialize_with = "action_or_none")]
    pub default_action: Option<Action>,
    /// The errno of `default_action`, where that takes one; `EPERM` if absent.
    #[serde(default)]
    pub default_errno_ret: Option<u32>,
    /// ABIs beside the native one whose calls the rules apply to.
    #[serde(default, deserialize_with = "or_default")]
    pub architectures: Vec<Arch>,
    /// Flags of seccomp(2); absent is not the same as `[]`: see [`crate::seccomp::Program::flags`].
    #[serde(default)]
    pub flags: Option<Vec<Flag>>,
    /// The unix socket to which the descriptor of a filter with `SCMP_ACT_NOTIFY` is sent; empty if none.
    #[serde(default, deserialize_with = "or_default")]
    pub listener_path: String,
    /// What is sent along with the descriptor; empty if nothing.
    #[serde(default, deserialize_with = "or_default")]
    pub listener_metadata: String,
    /// The rules, in order.
    #[serde(default, deserialize_with = "or_default")]
    pub syscalls: Vec<Syscall>,
}

/// One rule: calls, conditions on their arguments, and what happens then.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Syscall {
    /// Names of the calls; those that we do not know are skipped.
    #[serde(default, deserialize_with = "or_default")]
    pub names: Vec<String>,
    /// What happens when the rule matches.
    pub action: Action,
    /// The errno of `action`, where that takes one; `EPERM` if absent.
    #[serde(default)]
    pub errno_ret: Option<u32>,
    /// Conditions that must all hold; several on one argument are alternatives (a habit of runc that profiles use).
    #[serde(default, deserialize_with = "or_default")]
    pub args: Vec<Arg>,
}

/// A condition on one argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arg {
    /// Which argument: 0 to 5.
    #[serde(default, deserialize_with = "or_default")]
    pub index: u32,
    /// What the argument is compared with; the mask for [`Operator::MaskedEqual`].
    #[serde(default, deserialize_with = "or_default")]
    pub value: u64,
    /// What the masked argument must be equal to; used by [`Operator::MaskedEqual`] only.
    #[serde(default, deserialize_with = "or_default")]
    pub value_two: u64,
    /// How they are compared, as unsigned numbers.
    pub op: Operator,
}

/// Defines an enum of words with one spelling each, and reads it with a short error.
macro_rules! words {
    ($(#[$about:meta])* $name:ident, $what:literal, $expecting:literal, {
        $($(#[$doc:meta])* $variant:ident = $word:literal $(| $alias:literal)*,)*
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Every word of the specification, its preferred spelling first.
            pub const WORDS: &'static [&'static str] = &[$($word, $($alias,)*)*];

            /// The word in the specification's spelling.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The meaning of a word, if it is one of the specification's.
            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word $(| $alias)* => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Word;
                impl de::Visitor<'_> for Word {
                    type Value = $name;

                    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                        out.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, word: &str) -> Result<$name, E> {
                        $name::from_word(word).ok_or_else(|| E::custom(format_args!(concat!("unknown ", $what, " {:?}"), word)))
                    }
                }
                deserializer.deserialize_str(Word)
            }
        }
    };
}

words! {
    /// What happens to a call: `SCMP_ACT_*`.
    Action, "seccomp action", "a seccomp action", {
        /// The thread is killed.
        KillThread = "SCMP_ACT_KILL_THREAD" | "SCMP_ACT_KILL",
        /// The whole process is killed.
        KillProcess = "SCMP_ACT_KILL_PROCESS",
        /// The thread gets SIGSYS.
        Trap = "SCMP_ACT_TRAP",
        /// The call fails with an errno and is not run.
        Errno = "SCMP_ACT_ERRNO",
        /// A tracer is told; without one the call fails with ENOSYS.
        Trace = "SCMP_ACT_TRACE",
        /// The call runs.
        Allow = "SCMP_ACT_ALLOW",
        /// The call runs and is logged.
        Log = "SCMP_ACT_LOG",
        /// The listener is asked.
        Notify = "SCMP_ACT_NOTIFY",
    }
}

words! {
    /// How an argument is compared: `SCMP_CMP_*`.
    Operator, "seccomp operator", "a seccomp operator", {
        /// Not equal.
        NotEqual = "SCMP_CMP_NE",
        /// Less than.
        Less = "SCMP_CMP_LT",
        /// Less than or equal.
        LessOrEqual = "SCMP_CMP_LE",
        /// Equal.
        Equal = "SCMP_CMP_EQ",
        /// Greater than or equal.
        GreaterOrEqual = "SCMP_CMP_GE",
        /// Greater than.
        Greater = "SCMP_CMP_GT",
        /// Equal after masking: the mask is `value`, the datum `valueTwo`.
        MaskedEqual = "SCMP_CMP_MASKED_EQ",
    }
}

words! {
    /// A flag of seccomp(2).
    Flag, "seccomp flag", "a seccomp flag", {
        /// All threads get the filter.
        Tsync = "SECCOMP_FILTER_FLAG_TSYNC",
        /// Actions other than allowing are logged.
        Log = "SECCOMP_FILTER_FLAG_LOG",
        /// Speculative store bypass stays enabled.
        SpecAllow = "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        /// Only a fatal signal interrupts a call that the listener has received.
        WaitKillableRecv = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    }
}

words! {
    /// An ABI of system calls: `SCMP_ARCH_*`.
    Arch, "seccomp architecture", "a seccomp architecture", {
        /// 32-bit x86 (i386).
        X86 = "SCMP_ARCH_X86",
        /// 64-bit x86 (amd64).
        X86_64 = "SCMP_ARCH_X86_64",
        /// 64-bit x86 with 32-bit pointers.
        X32 = "SCMP_ARCH_X32",
        /// 32-bit ARM, EABI.
        Arm = "SCMP_ARCH_ARM",
        /// 64-bit ARM.
        Aarch64 = "SCMP_ARCH_AARCH64",
        /// 32-bit MIPS, big-endian.
        Mips = "SCMP_ARCH_MIPS",
        /// 64-bit MIPS, big-endian.
        Mips64 = "SCMP_ARCH_MIPS64",
        /// 64-bit MIPS with 32-bit pointers, big-endian.
        Mips64N32 = "SCMP_ARCH_MIPS64N32",
        /// 32-bit MIPS, little-endian.
        Mipsel = "SCMP_ARCH_MIPSEL",
        /// 64-bit MIPS, little-endian.
        Mipsel64 = "SCMP_ARCH_MIPSEL64",
        /// 64-bit MIPS with 32-bit pointers, little-endian.
        Mipsel64N32 = "SCMP_ARCH_MIPSEL64N32",
        /// 32-bit PowerPC.
        Ppc = "SCMP_ARCH_PPC",
        /// 64-bit PowerPC, big-endian.
        Ppc64 = "SCMP_ARCH_PPC64",
        /// 64-bit PowerPC, little-endian.
        Ppc64Le = "SCMP_ARCH_PPC64LE",
        /// 31-bit System z.
        S390 = "SCMP_ARCH_S390",
        /// 64-bit System z.
        S390x = "SCMP_ARCH_S390X",
        /// 32-bit PA-RISC.
        Parisc = "SCMP_ARCH_PARISC",
        /// 64-bit PA-RISC.
        Parisc64 = "SCMP_ARCH_PARISC64",
        /// 64-bit RISC-V.
        Riscv64 = "SCMP_ARCH_RISCV64",
        /// 64-bit LoongArch.
        Loongarch64 = "SCMP_ARCH_LOONGARCH64",
        /// Motorola 68000.
        M68k = "SCMP_ARCH_M68K",
        /// SuperH, little-endian.
        Sh = "SCMP_ARCH_SH",
        /// SuperH, big-endian.
        ShEb = "SCMP_ARCH_SHEB",
    }
}

/// Reads an action; Go callers write an absent one as `""`.
fn action_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Action>, D::Error> {
    struct MaybeAction;
    impl<'de> de::Visitor<'de> for MaybeAction {
        type Value = Option<Action>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a seccomp action")
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_str(self)
        }

        fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
            if word.is_empty() {
                return Ok(None);
            }
            Action::deserialize(de::value::StrDeserializer::new(word)).map(Some)
        }
    }
    deserializer.deserialize_option(MaybeAction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Seccomp, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn every_property_is_read() {
        let profile = parse(
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86"],
                "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/run/agent", "listenerMetadata": "m",
                "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_KILL", "errnoRet": 1, "args": [
                    {"index": 1, "value": 18446744073709551615, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]}]}"#,
        );
        let args = vec![Arg { index: 1, value: u64::MAX, value_two: 2, op: Operator::MaskedEqual }];
        let rule =
            Syscall { names: vec!["clone".into()], action: Action::KillThread, errno_ret: Some(1), args };
        let expected = Seccomp {
            default_action: Some(Action::Errno),
            default_errno_ret: Some(38),
            architectures: vec![Arch::X86],
            flags: Some(vec![Flag::Log]),
            listener_path: "/run/agent".into(),
            listener_metadata: "m".into(),
            syscalls: vec![rule],
        };
        assert_eq!(profile, Ok(expected));
    }

    #[test]
    fn null_and_the_empty_action_are_the_same_as_absent() {
        let json = r#"{"defaultAction": null, "defaultErrnoRet": null, "architectures": null, "flags": null,
            "listenerPath": null, "listenerMetadata": null, "syscalls": null}"#;
        assert_eq!(parse(json), Ok(Seccomp::default()));
        assert_eq!(parse(r#"{"defaultAction": ""}"#), Ok(Seccomp::default()));
        assert_eq!(parse("{}"), Ok(Seccomp::default()));
        assert_eq!(parse(r#"{"flags": []}"#).map(|profile| profile.flags), Ok(Some(Vec::new())));
    }

    #[test]
    fn an_unknown_word_is_named() {
        for (json, expected) in [
            (r#"{"defaultAction": "SCMP_ACT_X"}"#, "unknown seccomp action \"SCMP_ACT_X\""),
            (r#"{"architectures": ["SCMP_ARCH_VAX"]}"#, "unknown seccomp architecture \"SCMP_ARCH_VAX\""),
            (r#"{"flags": ["F"]}"#, "unknown seccomp flag \"F\""),
            (r#"{"syscalls": [{"action": ""}]}"#, "unknown seccomp action \"\""),
            (
                r#"{"syscalls": [{"action": "SCMP_ACT_LOG", "args": [{"op": "=="}]}]}"#,
                "unknown seccomp operator \"==\"",
            ),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn all_words_of_the_specification_are_known() {
        assert_eq!(Arch::WORDS.len(), 23);
        assert_eq!(Action::WORDS.len(), 9);
        assert_eq!(Operator::WORDS.len(), 7);
        assert_eq!(Action::from_word("SCMP_ACT_KILL"), Some(Action::KillThread));
    }
}
