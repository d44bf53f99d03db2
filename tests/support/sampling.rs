//! Random profiles, and calls around everything that a profile mentions. A seed gives the same ones each time.

use crate::abis::{X32_BIT, token};
use crate::bpf::Call;
use crate::oracle::numbers;
use corten::seccomp::Arch;
use corten::spec::seccomp::{Action, Arg, Operator, Seccomp, Syscall};
use std::cell::Cell;

/// Calls around everything that a profile mentions: numbers, both their neighbours, arguments around compared values.
pub fn samples(profile: &Seccomp, abis: &[Arch], count: usize, random: &Random) -> Vec<Call> {
    let mut subjects = Vec::new();
    for abi in abis {
        for syscall in &profile.syscalls {
            let found = syscall.names.iter().flat_map(|name| numbers(name, *abi));
            subjects.extend(found.map(|number| (token(*abi), number, &syscall.args[..])));
        }
    }
    let argument = |args: &[Arg], index: u32, random: &Random| {
        let about: Vec<_> = args.iter().filter(|arg| arg.index == index).collect();
        if about.is_empty() || random.below(5) == 0 {
            return random.pick(&[0, 1, 2, 17, 40, 1 << 32, u64::MAX, random.below(25)]);
        }
        let arg = random.pick(&about);
        let around =
            random.pick(&[arg.value, arg.value_two, arg.value & arg.value_two, !arg.value | arg.value_two]);
        let step = random.pick(&[0, 0, 0, 1, u64::MAX, 1 << 32, (1 << 32) + 1, u64::MAX << 32]);
        around.wrapping_add(step)
    };
    let mut calls = Vec::with_capacity(count);
    for _ in 0..count {
        let anywhere = (token(random.pick(abis)), random.below(520) as u32, &[][..]);
        let special =
            random.pick(&[u32::MAX, 0x7fff_ffff, X32_BIT, 3 << 30, 1 << 31, 0xf_0005, random.next() as u32]);
        let (token, number, args) = match random.below(8) {
            0 => (anywhere.0, special, anywhere.2),
            1 => (anywhere.0, anywhere.1 | X32_BIT, anywhere.2),
            2 => anywhere,
            3 => (0xdead_beef, anywhere.1, anywhere.2),
            _ if subjects.is_empty() => anywhere,
            kind => {
                let (token, number, args) = random.pick(&subjects);
                let number =
                    if kind == 4 { number.wrapping_add(random.pick(&[1, u32::MAX])) } else { number };
                (token, number, args)
            }
        };
        let mut call = Call { number, token, args: [0; 6] };
        // All rules about this number are of interest, not only the one that was picked.
        let others: Vec<_> =
            subjects.iter().filter(|subject| (subject.0, subject.1) == (token, number)).collect();
        let args = if others.is_empty() { args } else { random.pick(&others).2 };
        for (index, value) in (0..).zip(&mut call.args) {
            *value = argument(args, index, random);
        }
        if random.below(4) == 0 {
            call.args[0] = random.below(25);
        }
        calls.push(call);
    }
    calls
}

/// A profile with at most one rule for each name.
pub fn random_profile(random: &Random) -> Seccomp {
    let names = [
        "read",
        "write",
        "open",
        "socket",
        "bind",
        "accept",
        "semop",
        "semtimedop",
        "shmat",
        "socketcall",
        "ipc",
        "clone",
        "clone3",
        "personality",
        "prctl",
        "fcntl",
        "fcntl64",
        "recvmmsg",
        "setns",
        "execveat",
        "faccessat2",
        "mmap2",
        "arch_prctl",
        "set_tls",
        "rt_sigreturn",
        "no_such_call",
        "keyctl",
        "statx",
    ];
    let actions = [
        Action::Allow,
        Action::Errno,
        Action::KillThread,
        Action::KillProcess,
        Action::Trap,
        Action::Trace,
        Action::Log,
    ];
    let default_action = random.pick(&actions);
    let takes_errno = |action| matches!(action, Action::Errno | Action::Trace);
    let mut profile = Seccomp {
        default_action: Some(default_action),
        default_errno_ret: (takes_errno(default_action) && random.below(2) == 0)
            .then(|| random.pick(&[1, 38, 38, 22, 0])),
        ..Seccomp::default()
    };
    for abi in [Arch::X86_64, Arch::X86, Arch::X32] {
        if random.below(3) > 0 {
            profile.architectures.push(abi);
        }
    }
    let mut used: Vec<&str> = Vec::new();
    for _ in 0..random.below(60) {
        let action = random.pick(&actions);
        let mut chosen = Vec::new();
        for _ in 0..=random.below(3) {
            let name = random.pick(&names);
            if !used.contains(&name) {
                used.push(name);
                chosen.push(name.to_owned());
            }
        }
        // A condition on a number that other calls share would contradict the rules about them.
        let shared = chosen.iter().any(|name| name == "socketcall" || name == "ipc");
        let count = if shared { 0 } else { random.below(4) };
        let args = (0..count).map(|_| random_arg(random)).collect();
        let errno_ret = (takes_errno(action) && random.below(2) == 0).then(|| random.below(40) as u32);
        profile.syscalls.push(Syscall { names: chosen, action, errno_ret, args });
    }
    profile
}

pub fn random_arg(random: &Random) -> Arg {
    let operators = [
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Equal,
        Operator::GreaterOrEqual,
        Operator::Greater,
        Operator::MaskedEqual,
    ];
    let value = |random: &Random| {
        let low = random.below(4);
        random.pick(&[low, 40, u64::from(u32::MAX), 1 << 32, (1 << 32) + low, u64::MAX, random.next()])
    };
    Arg {
        index: random.below(6) as u32,
        value: value(random),
        value_two: value(random),
        op: random.pick(&operators),
    }
}

/// A reproducible source of numbers (splitmix64).
pub struct Random(pub Cell<u64>);

impl Random {
    pub fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut z = self.0.get();
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn pick<T: Copy>(&self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
