//! What runc with libseccomp would do about a call, and what a profile says about it.
//!
//! [`Oracle`] drives the libseccomp of this machine as runc does. [`model`] reads the rules one by one: it is slow and plain,
//! and the judge where libseccomp errs.

use crate::abis::{TOKEN_X86_64, X32_BIT, scmp, token};
use crate::bpf::{Call, run};
use corten::seccomp::{Arch, Instruction};
use corten::spec::seccomp::{Action, Arg, Operator, Seccomp};
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

/// What a filter returns so that a call fails with ENOSYS.
pub const ENOSYS: u32 = 0x0005_0026;

/// The program that runc gets from libseccomp, and what runc puts in front of it.
pub struct Oracle {
    pub program: Vec<Instruction>,
    /// The highest number that the profile names, for each ABI where calls beyond it fail with ENOSYS.
    highest: Vec<(Arch, u32)>,
}

impl Oracle {
    pub fn new(profile: &Seccomp, abis: &[Arch]) -> Result<Self, String> {
        let default = action(profile.default_action.unwrap(), profile.default_errno_ret);
        let program = libseccomp_program(profile, default, abis).map_err(|error| error.to_string())?;
        let permissive = matches!(default, ScmpAction::Allow | ScmpAction::Log | ScmpAction::Trace(_));
        let mut highest = Vec::new();
        if !permissive && profile.default_errno_ret != Some(38) {
            for abi in abis {
                let names = profile.syscalls.iter().flat_map(|syscall| &syscall.names);
                let numbers = names.flat_map(|name| numbers(name, *abi));
                highest.extend(numbers.max().map(|number| (*abi, number)));
            }
        }
        Ok(Self { program, highest })
    }

    /// What the kernel would be told: libseccomp's verdict, or ENOSYS for calls beyond the profile.
    pub fn expected(&self, call: &Call) -> u32 {
        self.beyond(call).unwrap_or_else(|| run(&self.program, call).0)
    }

    /// ENOSYS for calls beyond the profile.
    pub fn beyond(&self, call: &Call) -> Option<u32> {
        let x32 = call.number & X32_BIT != 0;
        let beyond = self.highest.iter().any(|(abi, highest)| {
            let same_half = token(*abi) != TOKEN_X86_64 || x32 == (*abi == Arch::X32);
            token(*abi) == call.token && same_half && call.number > *highest
        });
        beyond.then_some(ENOSYS)
    }
}

/// Drives libseccomp as runc does.
pub fn libseccomp_program(
    profile: &Seccomp,
    default: ScmpAction,
    abis: &[Arch],
) -> Result<Vec<Instruction>, libseccomp::error::SeccompError> {
    let mut filter = ScmpFilterContext::new(default)?;
    for abi in abis {
        filter.add_arch(scmp(*abi))?;
    }
    if !abis.contains(&Arch::X86_64) {
        filter.remove_arch(ScmpArch::X8664)?;
    }
    if profile.syscalls.iter().map(|syscall| syscall.names.len()).sum::<usize>() > 32 {
        filter.set_ctl_optimize(2)?;
    }
    for syscall in &profile.syscalls {
        for name in &syscall.names {
            let action = action(syscall.action, syscall.errno_ret);
            let Ok(call) = ScmpSyscall::from_name(name) else { continue };
            if action == default {
                continue;
            }
            let conditions: Vec<_> = syscall.args.iter().map(condition).collect();
            let alternatives =
                (0..6).any(|index| syscall.args.iter().filter(|arg| arg.index == index).count() > 1);
            if conditions.is_empty() {
                filter.add_rule(action, call)?;
            } else if alternatives {
                for condition in conditions {
                    filter.add_rule_conditional(action, call, &[condition])?;
                }
            } else {
                filter.add_rule_conditional(action, call, &conditions)?;
            }
        }
    }
    Ok(export(&filter))
}

/// The program of a libseccomp filter.
pub fn export(filter: &ScmpFilterContext) -> Vec<Instruction> {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let copier = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        File::from(reader).read_to_end(&mut bytes).unwrap();
        bytes
    });
    filter.export_bpf(&writer).unwrap();
    drop(writer);
    let bytes = copier.join().unwrap();
    let instruction = |raw: &[u8]| Instruction {
        code: u16::from_ne_bytes([raw[0], raw[1]]),
        jt: raw[2],
        jf: raw[3],
        k: u32::from_ne_bytes([raw[4], raw[5], raw[6], raw[7]]),
    };
    bytes.chunks_exact(8).map(instruction).collect()
}

pub fn action(action: Action, errno: Option<u32>) -> ScmpAction {
    let errno = errno.unwrap_or(1);
    match action {
        Action::KillThread => ScmpAction::KillThread,
        Action::KillProcess => ScmpAction::KillProcess,
        Action::Trap => ScmpAction::Trap,
        Action::Errno => ScmpAction::Errno(errno as i32),
        Action::Trace => ScmpAction::Trace(errno as u16),
        Action::Allow => ScmpAction::Allow,
        Action::Log => ScmpAction::Log,
        Action::Notify => ScmpAction::Notify,
    }
}

pub fn condition(arg: &Arg) -> ScmpArgCompare {
    let (op, datum) = match arg.op {
        Operator::NotEqual => (ScmpCompareOp::NotEqual, arg.value),
        Operator::Less => (ScmpCompareOp::Less, arg.value),
        Operator::LessOrEqual => (ScmpCompareOp::LessOrEqual, arg.value),
        Operator::Equal => (ScmpCompareOp::Equal, arg.value),
        Operator::GreaterOrEqual => (ScmpCompareOp::GreaterEqual, arg.value),
        Operator::Greater => (ScmpCompareOp::Greater, arg.value),
        Operator::MaskedEqual => (ScmpCompareOp::MaskedEqual(arg.value), arg.value_two),
    };
    ScmpArgCompare::new(arg.index, op, datum)
}

/// The numbers of a call on an ABI, by libseccomp: its own, and the one that it shares with others.
pub fn numbers(name: &str, abi: Arch) -> Vec<u32> {
    thread_local!(static KNOWN: RefCell<HashMap<(String, Arch), Vec<u32>>> = RefCell::default());
    let found = || {
        let Ok(found) = ScmpSyscall::from_name_by_arch(name, scmp(abi)) else { return vec![] };
        let raw = found.as_raw_syscall();
        if raw >= 0 {
            return vec![raw as u32];
        }
        // Only the direct number of a multiplexed call is hidden: look for it by its name.
        let is_it = |number: &i32| {
            ScmpSyscall::from(*number).get_name_by_arch(scmp(abi)).is_ok_and(|known| known == name)
        };
        let direct = (0..600).filter(|_| abi == Arch::X86).find(is_it);
        let shared = match (abi, raw) {
            (Arch::X86, -120..=-101) => Some(102),
            (Arch::X86, -224..=-201) => Some(117),
            _ => None,
        };
        direct.into_iter().chain(shared).map(|number| number as u32).collect()
    };
    KNOWN.with_borrow_mut(|known| known.entry((name.to_owned(), abi)).or_insert_with(found).clone())
}

/// What a profile says about a call, as long as the rules about it do not contradict each other.
pub fn model(profile: &Seccomp, abis: &[Arch], call: &Call) -> u32 {
    let default = raw(action(profile.default_action.unwrap(), profile.default_errno_ret));
    let x32 = call.number & X32_BIT != 0;
    let high = call.number >= X32_BIT;
    let Some(abi) = abis.iter().find(|abi| match abi {
        Arch::X86_64 => call.token == TOKEN_X86_64 && !high,
        Arch::X32 => call.token == TOKEN_X86_64 && x32,
        abi => call.token == token(**abi),
    }) else {
        let skipped =
            call.token == TOKEN_X86_64 && (call.number == u32::MAX || high && abis.contains(&Arch::X32));
        return if skipped { default } else { 0 };
    };
    let narrow = !matches!(abi, Arch::X86_64 | Arch::Aarch64);
    let mut verdict = default;
    for syscall in &profile.syscalls {
        let action = raw(action(syscall.action, syscall.errno_ret));
        let alternatives =
            (0..6).any(|index| syscall.args.iter().filter(|arg| arg.index == index).count() > 1);
        for name in syscall.names.iter().filter(|name| numbers(name, *abi).contains(&call.number)) {
            let selector = selector(name, *abi, call.number);
            let selected = selector.is_none_or(|selector| call.args[0] as u32 == selector);
            let holds = |arg: &Arg| selector.is_some() && arg.index == 0 || holds(arg, call, narrow);
            let fits = match alternatives {
                true => syscall.args.iter().any(holds),
                false => syscall.args.iter().all(holds),
            };
            if selected && fits && action != default {
                verdict = action;
                if syscall.args.is_empty() && selector.is_none() {
                    return verdict;
                }
            }
        }
    }
    verdict
}

/// Whether a condition holds; of an argument of a 32-bit ABI only the low word counts.
pub fn holds(arg: &Arg, call: &Call, narrow: bool) -> bool {
    let cut = |value: u64| if narrow { value & 0xffff_ffff } else { value };
    let (actual, value, two) = (cut(call.args[arg.index as usize]), cut(arg.value), cut(arg.value_two));
    match arg.op {
        Operator::NotEqual => actual != value,
        Operator::Less => actual < value,
        Operator::LessOrEqual => actual <= value,
        Operator::Equal => actual == value,
        Operator::GreaterOrEqual => actual >= value,
        Operator::Greater => actual > value,
        Operator::MaskedEqual => actual & value == two & value,
    }
}

/// The first argument by which a number that several calls share means this one.
pub fn selector(name: &str, abi: Arch, number: u32) -> Option<u32> {
    let raw = ScmpSyscall::from_name_by_arch(name, scmp(abi)).unwrap().as_raw_syscall();
    match (abi, number, raw) {
        (Arch::X86, 102, -120..=-101) => Some((-raw - 100) as u32),
        (Arch::X86, 117, -224..=-201) => Some((-raw - 200) as u32),
        _ => None,
    }
}

/// What a filter returns for an action.
pub fn raw(action: ScmpAction) -> u32 {
    match action {
        ScmpAction::KillThread => 0,
        ScmpAction::KillProcess => 0x8000_0000,
        ScmpAction::Trap => 0x0003_0000,
        ScmpAction::Errno(errno) => 0x0005_0000 | errno as u32,
        ScmpAction::Notify => 0x7fc0_0000,
        ScmpAction::Trace(data) => 0x7ff0_0000 | u32::from(data),
        ScmpAction::Log => 0x7ffc_0000,
        _ => 0x7fff_0000,
    }
}
