//! The seccomp profile of a container, compiled to the classic BPF program that the kernel runs at each system call.
//!
//! Serves `linux.seccomp` (config-linux.md, "Seccomp") and seccomp(2). The meaning of a profile is that of runc with
//! libseccomp, call by call (`tests/seccomp_oracle.rs` compares the two); the program is ours: for each ABI a binary
//! search over intervals of numbers that are treated alike. The kernel emulates a filter once for each number when it is
//! loaded, so depth is what costs, not length: 0.1 ms to load, where a chain of comparisons takes 1.2 ms.
//!
//! `rules` reads the profile, `calls` gives each number of an ABI its verdict, `segments` makes intervals of them,
//! `search` finds the interval of a number, `arguments` compiles conditions, `assembler` lays all out.

mod arch;
mod arguments;
mod assembler;
mod calls;
mod multiplex;
mod program;
mod rules;
mod search;
mod segments;
mod tables;

pub use crate::spec::seccomp::Arch;
pub use program::{FLAGS, Instruction, Program};

use crate::error::{Error, Result};
use crate::spec::seccomp::Seccomp;
use assembler::Assembler;

/// The longest program that the kernel takes (`BPF_MAXINSNS`).
const LIMIT: usize = 4096;

/// What the kernel does to a call of an ABI that the profile does not list: it kills the thread.
const BAD_ARCH: u32 = 0;

/// Compiles a profile for a machine whose native ABI is `native`; `None` if the profile asks for no filter at all.
///
/// The native ABI is always filtered. ABIs that such a machine cannot run are left out: they cannot occur. Calls that
/// are newer than the newest one that a profile with a refusing default names fail with ENOSYS and not with the default
/// action, so that a libc falls back to older calls (runc does the same; checklist row D16).
///
/// # Errors
/// One line that starts with the place in the profile: a default action is missing or `SCMP_ACT_NOTIFY`, an action
/// takes no errno, an argument's index is beyond 5, two rules contradict each other, the program is too long.
pub fn compile(profile: &Seccomp, native: Arch) -> Result<Option<Program>> {
    if profile.default_action.is_none() && profile.syscalls.is_empty() {
        return Ok(None);
    }
    let rules = rules::read(profile, native)?;
    let mut assembler = Assembler::new();
    let sections = filtered(profile, native)?;
    let mut sections: Vec<_> = sections
        .into_iter()
        .map(|section| segments::of(&section, &rules, native).map(|segments| (section.abis[0], segments)))
        .collect::<Result<_>>()?;
    let (_, calls) = &sections[0];
    let execve = number_of("execve", native);
    let denies_execve = !execve.is_some_and(|number| segments::may_pass(calls, number, rules.default_action));
    // What init says its failures with (`launch::protocol::send`).
    let send = number_of("sendto", native);
    let silences = !send.is_some_and(|number| segments::passes(calls, number));
    // The program is laid out from its end: the native ABI, which comes first here, is tested first and is nearest.
    sections.reverse();
    let mut otherwise = assembler::Target::Return(BAD_ARCH);
    for (abi, segments) in &sections {
        let section = search::write(segments, *abi, rules.default_action, &mut assembler);
        otherwise = assembler.is_token(abi.token(), section, otherwise);
    }
    let instructions = assembler.finish();
    if instructions.len() > LIMIT {
        let length = instructions.len();
        return Err(Error::new(format!(
            "linux.seccomp: the filter has {length} instructions, the kernel takes {LIMIT}"
        )));
    }
    Ok(Some(Program {
        instructions,
        flags: program::flags(profile.flags.as_deref(), rules.notifies),
        notifies: rules.notifies,
        denies_execve,
        silences,
    }))
}

/// The number of a call in an ABI, if it is known and has one there.
fn number_of(name: &str, abi: Arch) -> Option<u32> {
    let (column, offset) = abi.numbering()?;
    Some(tables::Names::new().find(name)?.number(column)? + offset)
}

/// The ABIs of one `seccomp_data.arch`: one, or x86_64 and x32, which are told apart by a bit of the number.
struct Section {
    token: u32,
    abis: Vec<Arch>,
}

/// The sections of a filter, the native one first.
fn filtered(profile: &Seccomp, native: Arch) -> Result<Vec<Section>> {
    if native.executable().is_empty() {
        return Err(Error::new(format!("linux.seccomp: there is no table of system calls for {native}")));
    }
    let mut sections = vec![Section { token: native.token(), abis: vec![native] }];
    let listed =
        native.executable().iter().filter(|abi| **abi != native && profile.architectures.contains(abi));
    for abi in listed {
        match sections.iter_mut().find(|section| section.token == abi.token()) {
            Some(section) => section.abis.push(*abi),
            None => sections.push(Section { token: abi.token(), abis: vec![*abi] }),
        }
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(json: &str) -> Result<Option<Program>> {
        compile(&serde_json::from_str(json).unwrap(), Arch::X86_64)
    }

    #[test]
    fn no_default_and_no_rules_is_no_filter() {
        assert_eq!(compiled("{}"), Ok(None));
        assert_eq!(compiled(r#"{"defaultAction": "", "architectures": ["SCMP_ARCH_X86"]}"#), Ok(None));
    }

    #[test]
    fn a_refused_profile_names_the_place() {
        let errno = r#""defaultAction": "SCMP_ACT_ERRNO""#;
        for (json, expected) in [
            (
                r#"{"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#.into(),
                "defaultAction: missing",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#.into(),
                "defaultAction: SCMP_ACT_NOTIFY cannot be the default action",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}"#.into(),
                "defaultErrnoRet: SCMP_ACT_ALLOW takes no errno",
            ),
            (
                format!(r#"{{{errno}, "defaultErrnoRet": 65536}}"#),
                "defaultErrnoRet: 65536 is more than 65535",
            ),
            (
                format!(r#"{{{errno}, "syscalls": [{{"names": [""], "action": "SCMP_ACT_ALLOW"}}]}}"#),
                "syscalls[0].names[0]: is empty",
            ),
            (
                format!(
                    r#"{{{errno}, "syscalls": [{{"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"}}]}}"#
                ),
                "syscalls[0].names[1]: SCMP_ACT_NOTIFY cannot be used for write",
            ),
            (
                format!(
                    r#"{{{errno}, "syscalls": [{{"names": ["read"], "action": "SCMP_ACT_TRAP", "errnoRet": 0}}]}}"#
                ),
                "syscalls[0].errnoRet: SCMP_ACT_TRAP takes no errno",
            ),
            (
                format!(
                    r#"{{{errno}, "syscalls": [{{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                        "args": [{{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}}]}}]}}"#
                ),
                "syscalls[0].args[0].index: 6 is not 0 to 5",
            ),
            (
                format!(
                    r#"{{{errno}, "syscalls": [
                        {{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{{"op": "SCMP_CMP_EQ"}}]}},
                        {{"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{{"op": "SCMP_CMP_EQ"}}]}}]}}"#
                ),
                "syscalls[1]: an earlier rule has another action for the same call and arguments",
            ),
        ] {
            assert_eq!(
                compiled(&json).unwrap_err().to_string(),
                format!("linux.seccomp.{expected}"),
                "{json}"
            );
        }
    }

    /// Podman's rules for sockets: through socketcall(2) the last one takes the first one's place, which libseccomp 2.5.4
    /// refuses with EEXIST.
    #[test]
    fn the_shorter_of_two_contradictory_rules_wins() {
        let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22, "args": [
                {"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}, {"index": 2, "value": 9, "op": "SCMP_CMP_EQ"}]},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 2, "value": 9, "op": "SCMP_CMP_NE"}]},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 16, "op": "SCMP_CMP_NE"}]}]}"#;
        let rules = rules::read(&serde_json::from_str(json).unwrap(), Arch::X86_64).unwrap();
        let calls = calls::of(Arch::X86, &rules).unwrap();
        let calls::Verdict::Decide(paths) = &calls.verdicts[0].1 else { panic!("socketcall has conditions") };
        let actions: Vec<_> = paths.iter().map(|path| (path.conditions.len(), path.action)).collect();
        assert_eq!((calls.verdicts[0].0, actions), (102, vec![(1, 0x7fff_0000)]));
    }

    #[test]
    fn init_may_be_silenced_where_it_cannot_send_whatever_it_has_to_say() {
        let argument = r#""args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]"#;
        for (default, rule, silences) in [
            ("ALLOW", String::new(), false),
            ("LOG", String::new(), false),
            ("ERRNO", r#"{"names": ["execve", "sendto"], "action": "SCMP_ACT_ALLOW"}"#.into(), false),
            ("ERRNO", r#"{"names": ["execve", "write"], "action": "SCMP_ACT_ALLOW"}"#.into(), true),
            ("ERRNO", format!(r#"{{"names": ["sendto"], "action": "SCMP_ACT_ALLOW", {argument}}}"#), true),
            ("ALLOW", format!(r#"{{"names": ["sendto"], "action": "SCMP_ACT_KILL", {argument}}}"#), true),
            ("ALLOW", r#"{"names": ["sendto"], "action": "SCMP_ACT_NOTIFY"}"#.into(), true),
        ] {
            let json = format!(r#"{{"defaultAction": "SCMP_ACT_{default}", "syscalls": [{rule}]}}"#);
            assert_eq!(compiled(&json).unwrap().unwrap().silences, silences, "{json}");
        }
    }

    #[test]
    fn a_rule_that_notifies_asks_for_a_listener() {
        let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mknod"], "action": "SCMP_ACT_NOTIFY"}]}"#;
        let program = compiled(json).unwrap().unwrap();
        assert_eq!((program.notifies, program.flags), (true, 12));
    }

    #[test]
    fn execve_is_denied_when_no_arguments_get_it_through() {
        let argument = r#""args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]"#;
        for (default, rule, denied) in [
            ("ERRNO", String::new(), true),
            ("KILL", String::new(), true),
            ("KILL_PROCESS", String::new(), true),
            ("TRAP", r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW"}"#.into(), true),
            ("ERRNO", r#"{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}"#.into(), false),
            ("ERRNO", r#"{"names": ["execve"], "action": "SCMP_ACT_NOTIFY"}"#.into(), false),
            ("ERRNO", format!(r#"{{"names": ["execve"], "action": "SCMP_ACT_LOG", {argument}}}"#), false),
            ("ALLOW", String::new(), false),
            ("TRACE", String::new(), false),
            ("ALLOW", r#"{"names": ["execve"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0}"#.into(), true),
            ("ALLOW", format!(r#"{{"names": ["execve"], "action": "SCMP_ACT_KILL", {argument}}}"#), false),
        ] {
            let json = format!(r#"{{"defaultAction": "SCMP_ACT_{default}", "syscalls": [{rule}]}}"#);
            assert_eq!(compiled(&json).unwrap().unwrap().denies_execve, denied, "{json}");
        }
    }

    #[test]
    fn abis_that_the_machine_cannot_run_are_left_out() {
        let json =
            |list: &str| format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "architectures": [{list}]}}"#);
        assert_eq!(compiled(&json(r#""SCMP_ARCH_S390X", "SCMP_ARCH_M68K""#)), compiled(&json("")));
    }
}
