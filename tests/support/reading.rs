//! What a profile says about a call, read rule by rule for that call alone.
//!
//! It shares nothing with the compiler but the types of `config.json`: numbers are those of libseccomp, with a list of the calls
//! that are newer. It is for profiles whose rules do not contradict each other, and panics at one where they do. What the
//! specification leaves open is as runc with libseccomp has it.

use crate::abis::{ARM_PRIVATE, X32_BIT, first_number, name, range, token};
use crate::bpf::Call;
use corten::seccomp::Arch;
use corten::spec::seccomp::{Action, Arg, Operator, Seccomp, Syscall};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Calls that came after Linux 5.17, which libseccomp 2.5.4 ends with: one number on all ABIs.
const NEWER: &[(&str, u32)] = &[
    ("cachestat", 451),
    ("fchmodat2", 452),
    ("map_shadow_stack", 453),
    ("futex_wake", 454),
    ("futex_wait", 455),
    ("futex_requeue", 456),
    ("statmount", 457),
    ("listmount", 458),
    ("lsm_get_self_attr", 459),
    ("lsm_set_self_attr", 460),
    ("lsm_list_modules", 461),
    ("mseal", 462),
    ("setxattrat", 463),
    ("getxattrat", 464),
    ("listxattrat", 465),
    ("removexattrat", 466),
    ("open_tree_attr", 467),
    ("file_getattr", 468),
    ("file_setattr", 469),
    ("listns", 470),
    ("rseq_slice_yield", 471),
];

/// Calls that came after Linux 5.17 on one ABI.
const NEWER_ON: &[(&str, Arch, u32)] = &[
    ("riscv_hwprobe", Arch::Riscv64, 258),
    ("uretprobe", Arch::X86_64, 335),
    ("uprobe", Arch::X86_64, 336),
    ("uretprobe", Arch::X32, X32_BIT | 335),
    ("uprobe", Arch::X32, X32_BIT | 336),
];

/// The ABIs whose arguments have 64 bits.
const WIDE: &[Arch] = &[
    Arch::X86_64,
    Arch::Aarch64,
    Arch::Mips64,
    Arch::Mipsel64,
    Arch::Ppc64,
    Arch::Ppc64Le,
    Arch::S390x,
    Arch::Riscv64,
    Arch::Loongarch64,
];

/// The calls of an ABI.
pub struct Abi {
    pub arch: Arch,
    names: BTreeMap<u32, String>,
}

impl Abi {
    pub fn new(arch: Arch) -> Self {
        let mut names: BTreeMap<_, _> =
            range(arch).filter_map(|number| Some((number, known(number, arch)?))).collect();
        let first = first_number(arch);
        names.extend(NEWER.iter().map(|(name, number)| (first + number, (*name).to_owned())));
        let own = NEWER_ON.iter().filter(|(_, on, _)| *on == arch);
        names.extend(own.map(|(name, _, number)| (*number, (*name).to_owned())));
        Self { arch, names }
    }

    /// The names of all its calls.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.values().map(String::as_str)
    }
}

/// What libseccomp calls a number. 2.5.4 does not know loongarch64, which has the calls of riscv64 but a few.
fn known(number: u32, arch: Arch) -> Option<String> {
    let other = ["riscv_flush_icache", "riscv_hwprobe", "getrlimit", "setrlimit", "memfd_secret"];
    name(number, arch).or_else(|| {
        let generic = (arch == Arch::Loongarch64).then(|| name(number, Arch::Riscv64)).flatten();
        generic.filter(|name| !other.contains(&name.as_str()))
    })
}

/// A profile on a machine.
pub struct Reading<'a> {
    profile: &'a Seccomp,
    /// The places of the rules that name a call.
    places: HashMap<&'a str, Vec<usize>>,
    /// ENOSYS in the numbers of the machine.
    enosys: u32,
    /// The native ABI and those that the profile lists, each with the highest of its numbers that the profile names.
    abis: Vec<(&'a Abi, Option<u32>)>,
}

impl<'a> Reading<'a> {
    /// Reads it for the ABIs of a machine, the native one first.
    pub fn new(profile: &'a Seccomp, machine: &'a [Abi], enosys: u32) -> Self {
        let listed = |abi: &&Abi| abi.arch == machine[0].arch || profile.architectures.contains(&abi.arch);
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, rule) in profile.syscalls.iter().enumerate() {
            for name in &rule.names {
                places.entry(name).or_default().push(place);
            }
        }
        let named = |name: &String| places.contains_key(name.as_str());
        let highest =
            |abi: &Abi| abi.names.iter().rev().find(|(_, name)| named(name)).map(|(number, _)| *number);
        let abis = machine.iter().filter(listed).map(|abi| (abi, highest(abi))).collect();
        Self { profile, places, enosys, abis }
    }

    /// The rules about a number, with their places in the profile.
    pub fn rules(&self, number: u32, token: u32) -> Vec<(usize, &'a Syscall)> {
        let Some((abi, _)) = self.abi(number, token) else { return vec![] };
        let Some(name) = abi.names.get(&number) else { return vec![] };
        let places = self.places.get(name.as_str()).into_iter().flatten();
        places.map(|place| (*place, &self.profile.syscalls[*place])).collect()
    }

    /// What the filter is to answer, and the rules that say so.
    pub fn answer(&self, call: &Call, rules: &[(usize, &Syscall)]) -> (u32, Vec<usize>) {
        let default_action = self.profile.default_action.unwrap();
        let default = word(default_action, self.profile.default_errno_ret);
        let abi = self.abi(call.number, call.token);
        // Calls beyond the profile are unknown to it, unless its default lets them pass or says so itself.
        let permissive = matches!(default_action, Action::Allow | Action::Log | Action::Trace);
        if let (Some((abi, Some(highest))), false) = (abi, permissive) {
            // A number that a kernel of s390 does not know reaches the filter as 0.
            let setup = call.number == 0 && matches!(abi.arch, Arch::S390 | Arch::S390x);
            if (call.number > *highest || setup) && self.profile.default_errno_ret != Some(self.enosys) {
                return (word(Action::Errno, Some(self.enosys)), vec![]);
            }
        }
        let of_x86_64 = call.token == token(Arch::X86_64);
        let high = of_x86_64 && call.number >= X32_BIT;
        let has = |arch: Arch| self.abis.iter().any(|(abi, _)| abi.arch == arch);
        if call.number == u32::MAX && of_x86_64 && has(Arch::X86_64)
            || high && has(Arch::X32) && abi.is_none()
        {
            // A tracer sets -1 to skip a call; beside x32, nobody has the numbers above it.
            return (default, vec![]);
        }
        // Without x32, its numbers and all above them are those of an ABI that is not listed.
        let Some((abi, _)) = abi.filter(|_| !high || has(Arch::X32)) else {
            return (word(Action::KillThread, None), vec![]);
        };
        let shared = ["socketcall", "ipc"].map(str::to_owned);
        let is_shared = abi.names.get(&call.number).is_some_and(|name| shared.contains(name));
        let says = |rule: &Syscall| word(rule.action, rule.errno_ret);
        if let Some((place, rule)) =
            rules.iter().find(|(_, rule)| rule.args.is_empty() && says(rule) != default)
        {
            return (says(rule), vec![*place]);
        }
        assert!(!is_shared, "rules about calls behind {:?} are not read", abi.names[&call.number]);
        let wide = WIDE.contains(&abi.arch);
        let fits =
            |rule: &Syscall| !rule.args.is_empty() && rule.args.iter().all(|arg| holds(arg, call, wide));
        let fitting: Vec<_> = rules.iter().filter(|(_, rule)| fits(rule) && says(rule) != default).collect();
        let Some((_, first)) = fitting.first() else { return (default, vec![]) };
        assert!(fitting.iter().all(|(_, rule)| says(rule) == says(first)), "{call:x?}: {fitting:?}");
        (says(first), fitting.iter().map(|(place, _)| *place).collect())
    }

    /// The ABI that a call belongs to, of those that are filtered.
    fn abi(&self, number: u32, of: u32) -> Option<&(&'a Abi, Option<u32>)> {
        let is_x32 = number & X32_BIT != 0;
        self.abis.iter().find(|(abi, _)| match abi.arch {
            Arch::X86_64 => of == token(abi.arch) && !is_x32,
            Arch::X32 => of == token(abi.arch) && is_x32,
            arch => of == token(arch),
        })
    }
}

/// Whether a condition holds; on an ABI of 32 bits for the low words.
fn holds(arg: &Arg, call: &Call, wide: bool) -> bool {
    let cut = |value: u64| if wide { value } else { value & 0xffff_ffff };
    let (actual, value) = (cut(call.args[arg.index as usize]), cut(arg.value));
    match arg.op {
        Operator::NotEqual => actual != value,
        Operator::Less => actual < value,
        Operator::LessOrEqual => actual <= value,
        Operator::Equal => actual == value,
        Operator::GreaterOrEqual => actual >= value,
        Operator::Greater => actual > value,
        Operator::MaskedEqual => actual & value == cut(arg.value_two) & value,
    }
}

/// What a filter returns for an action: `SECCOMP_RET_*` of seccomp(2).
fn word(action: Action, errno: Option<u32>) -> u32 {
    let errno = errno.unwrap_or(1);
    match action {
        Action::KillThread => 0x0000_0000,
        Action::KillProcess => 0x8000_0000,
        Action::Trap => 0x0003_0000,
        Action::Errno => 0x0005_0000 | errno,
        Action::Notify => 0x7fc0_0000,
        Action::Trace => 0x7ff0_0000 | errno,
        Action::Log => 0x7ffc_0000,
        Action::Allow => 0x7fff_0000,
    }
}

/// Every number that a call of a machine may have, and some that none has.
pub fn every_number(machine: &[Abi]) -> Vec<(u32, u32)> {
    let mut all = Vec::new();
    for abi in machine {
        let beyond =
            [1 << 29, X32_BIT - 1, X32_BIT + 1500, 0x7fff_ffff, 1 << 31, 3 << 30, u32::MAX - 1, u32::MAX];
        let near = [0, 1, ARM_PRIVATE - 1, ARM_PRIVATE + 16, first_number(abi.arch).saturating_sub(1)];
        let numbers = range(abi.arch).chain(beyond).chain(near);
        all.extend(numbers.map(|number| (number, token(abi.arch))));
    }
    all.extend([0, 1, 435, u32::MAX].map(|number| (number, 0xdead_beef)));
    all.sort_unstable();
    all.dedup();
    all
}

/// Arguments on both sides of everything that the rules about a call compare: the values, their neighbours, each bit of a mask,
/// and the same with other high words.
pub fn every_argument(rules: &[(usize, &Syscall)]) -> Vec<[u64; 6]> {
    let mut values: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    for arg in rules.iter().flat_map(|(_, rule)| &rule.args) {
        values.entry(arg.index).or_default().extend(around(arg));
    }
    let mut all = vec![[0; 6], [u64::MAX; 6], [1, 2, 3, 4, 5, 6]];
    for (index, values) in values {
        let with = |call: &[u64; 6], value: u64| {
            let mut call = *call;
            call[index as usize] = value;
            call
        };
        all = all.iter().flat_map(|call| values.iter().map(|value| with(call, *value))).collect();
    }
    all
}

/// Values around what a condition compares with.
fn around(arg: &Arg) -> Vec<u64> {
    let mut all = Vec::new();
    let values = match arg.op {
        Operator::MaskedEqual => {
            let equal = arg.value_two & arg.value;
            all.extend((0..64).map(|bit| equal ^ 1 << bit));
            vec![equal, equal | !arg.value, arg.value, !arg.value]
        }
        _ => vec![arg.value],
    };
    for value in values {
        let near = [value.wrapping_sub(1), value, value.wrapping_add(1)];
        let high = |value: u64| {
            [value, value ^ 1 << 32, value ^ 1 << 63, value | 0xffff_ffff << 32, value & 0xffff_ffff]
        };
        all.extend(near.into_iter().flat_map(high));
    }
    all
}
