//! The filters for the default profiles of Docker, podman and containerd, number by number and rule by rule.
//!
//! On each architecture that a profile speaks of, for several sets of capabilities, an emulator of the kernel's BPF is asked about
//! every number of every ABI, those that nobody has among them, with arguments around all that the rules compare. The answer
//! must be what the profile asks for, by a plain reading of it (`support/reading.rs`).

#[path = "support/abis.rs"]
mod abis;
#[path = "support/bpf.rs"]
mod bpf;
#[path = "support/profiles.rs"]
mod profiles;
#[path = "support/reading.rs"]
mod reading;

use bpf::{Call, run};
use corten::seccomp::{Arch, Instruction, compile};
use corten::spec::seccomp::{Action, Operator, Seccomp, Syscall};
use profiles::{AMD64, CLIENTS, ELEVEN, FOURTEEN, Machine};
use reading::{Abi, Reading, every_argument, every_number};
use std::collections::BTreeSet;

/// The machines of the profiles, with their ABIs.
const MACHINES: &[(Machine, Arch)] = &[
    (AMD64, Arch::X86_64),
    (Machine { word: "SCMP_ARCH_AARCH64", go: "arm64", enosys: 38 }, Arch::Aarch64),
    (Machine { word: "SCMP_ARCH_MIPS64", go: "mips64", enosys: 89 }, Arch::Mips64),
    (Machine { word: "SCMP_ARCH_MIPSEL64", go: "mips64le", enosys: 89 }, Arch::Mipsel64),
    (Machine { word: "SCMP_ARCH_S390X", go: "s390x", enosys: 38 }, Arch::S390x),
    (Machine { word: "SCMP_ARCH_PPC64LE", go: "ppc64le", enosys: 38 }, Arch::Ppc64Le),
    (Machine { word: "SCMP_ARCH_RISCV64", go: "riscv64", enosys: 38 }, Arch::Riscv64),
    (Machine { word: "SCMP_ARCH_LOONGARCH64", go: "loong64", enosys: 38 }, Arch::Loongarch64),
];

/// What a client gives a container that asks for nothing.
fn usual(client: &str) -> &'static [&'static str] {
    if client == "podman" { ELEVEN } else { FOURTEEN }
}

/// The sets of capabilities that a profile is looked at with: none, the usual one, all that count, and each of them alone.
fn sets(client: &str) -> Vec<Vec<String>> {
    let all = profiles::decisive_capabilities(client);
    assert!(all.len() > 10, "{all:?}");
    let usual = usual(client).iter().map(|name| (*name).to_owned()).collect();
    let mut sets = vec![vec![], usual, all.clone()];
    sets.extend(all.into_iter().map(|capability| vec![capability]));
    sets
}

fn profile(client: &str, machine: Machine, capabilities: &[String]) -> Seccomp {
    let capabilities: Vec<&str> = capabilities.iter().map(String::as_str).collect();
    serde_json::from_value(profiles::resolve(client, machine, &capabilities)).unwrap()
}

fn abis(native: Arch) -> Vec<Abi> {
    native.executable().iter().map(|arch| Abi::new(*arch)).collect()
}

/// What a filter answers to a table of calls, beside what the profile asks for; the first wrong answer ends it.
struct Compared {
    calls: usize,
    /// The call that is answered otherwise.
    wrong: Option<String>,
    /// The rules that have decided about one.
    decided: BTreeSet<usize>,
}

fn compare(program: &[Instruction], reading: &Reading, numbers: &[(u32, u32)]) -> Compared {
    let mut compared = Compared { calls: 0, wrong: None, decided: BTreeSet::new() };
    for (number, token) in numbers {
        let rules = reading.rules(*number, *token);
        for args in every_argument(&rules) {
            let call = Call { number: *number, token: *token, args };
            let (asked, by) = reading.answer(&call, &rules);
            let (answer, _) = run(program, &call);
            compared.calls += 1;
            compared.decided.extend(by);
            if answer != asked {
                let places: Vec<_> = rules.iter().map(|(place, _)| place).collect();
                compared.wrong = Some(format!("{call:x?}: {answer:x} for {asked:x}, rules {places:?}"));
                return compared;
            }
        }
    }
    compared
}

/// Compares the filters of a client on all machines.
fn check(client: &str) {
    for (machine, native) in MACHINES {
        let abis = abis(*native);
        let numbers = every_number(&abis);
        let mut calls = 0;
        for capabilities in sets(client) {
            for all_abis in [true, false] {
                let mut profile = profile(client, *machine, &capabilities);
                if !all_abis {
                    profile.architectures.clear();
                }
                let program = compile(&profile, *native).unwrap().unwrap();
                let reading = Reading::new(&profile, &abis, machine.enosys);
                let compared = compare(&program.instructions, &reading, &numbers);
                let about = || format!("{client} on {native}, all ABIs {all_abis}, {capabilities:?}");
                assert_eq!(compared.wrong, None, "{}", about());
                calls += compared.calls;
                let idle = idle(&profile, &abis, &compared.decided, all_abis);
                assert!(idle.is_empty(), "{}: never asked: {idle:?}", about());
            }
        }
        println!("{client} on {native}: {calls} calls");
        assert!(calls > 50_000);
    }
}

/// The rules about calls that a machine has, of which none has decided anything and none is behind another.
fn idle(profile: &Seccomp, abis: &[Abi], decided: &BTreeSet<usize>, all_abis: bool) -> Vec<String> {
    let looked_at = if all_abis { abis } else { &abis[..1] };
    let listed = |abi: &&Abi| abi.arch == abis[0].arch || profile.architectures.contains(&abi.arch);
    let exists =
        |name: &&String| looked_at.iter().filter(listed).any(|abi| abi.names().any(|known| known == *name));
    let mut idle = Vec::new();
    for (place, rule) in profile.syscalls.iter().enumerate().filter(|(place, _)| !decided.contains(place)) {
        let whole_before = |name: &&String| {
            let others = profile.syscalls.iter().enumerate().filter(|(other, _)| *other != place);
            others
                .filter(|(other, of)| of.args.is_empty() && (*other < place || !rule.args.is_empty()))
                .any(|(_, of)| of.names.contains(name))
        };
        let names: Vec<_> = rule.names.iter().filter(exists).filter(|name| !whole_before(name)).collect();
        if !names.is_empty() {
            idle.push(format!("syscalls[{place}]: {names:?}"));
        }
    }
    idle
}

#[test]
fn dockers_filter_does_what_its_profile_says() {
    check("docker");
}

#[test]
fn podmans_filter_does_what_its_profile_says() {
    check("podman");
}

#[test]
fn containerds_filter_does_what_its_profile_says() {
    check("containerd");
}

/// The table is sharp enough: a filter with one rule forgotten or bent does not pass.
#[test]
fn table_of_calls_sees_every_change_of_a_profile() {
    for (client, _) in CLIENTS {
        let abis = abis(Arch::X86_64);
        let numbers = every_number(&abis);
        let said =
            profile(client, AMD64, &usual(client).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let reading = Reading::new(&said, &abis, AMD64.enosys);
        let changes = changes_of(&said);
        let mut unseen = Vec::new();
        for (what, changed) in &changes {
            // What two rules say about socketcall(2) may contradict each other then, which is refused.
            let Ok(Some(program)) = compile(changed, Arch::X86_64) else { continue };
            if compare(&program.instructions, &reading, &numbers).wrong.is_none() {
                unseen.push(what);
            }
        }
        assert!(unseen.is_empty(), "{client}: {unseen:?}");
        assert!(changes.len() > 100);
    }
}

/// A profile without one of its rules, or with one value, operator, argument or answer that is another.
fn changes_of(profile: &Seccomp) -> Vec<(String, Seccomp)> {
    let mut all = Vec::new();
    let mut add = |what: String, change: &dyn Fn(&mut Seccomp)| {
        let mut changed = profile.clone();
        change(&mut changed);
        all.push((what, changed));
    };
    for (place, rule) in profile.syscalls.iter().enumerate() {
        // What an earlier rule says about all calls, or another in the same words, changes nothing.
        let others = profile.syscalls.iter().enumerate().filter(|(other, _)| *other != place);
        let whole_before = |name| {
            let before = |(other, of): (usize, &Syscall)| {
                other < place && of.args.is_empty() && of.names.contains(name)
            };
            others.clone().any(before)
        };
        if others.clone().any(|(_, of)| of == rule) || rule.names.iter().all(whole_before) {
            continue;
        }
        add(format!("without syscalls[{place}]"), &|changed| drop(changed.syscalls.remove(place)));
        add(format!("another errno in syscalls[{place}]"), &|changed| {
            changed.syscalls[place].action = Action::Errno;
            changed.syscalls[place].errno_ret = Some(77);
        });
        for (index, arg) in rule.args.iter().enumerate() {
            for step in [1, u64::MAX, 1 << 32, 1 << 63] {
                add(format!("syscalls[{place}].args[{index}].value + {step:x}"), &|changed| {
                    changed.syscalls[place].args[index].value = arg.value.wrapping_add(step);
                });
            }
            let operators = [
                Operator::NotEqual,
                Operator::Less,
                Operator::LessOrEqual,
                Operator::Equal,
                Operator::GreaterOrEqual,
                Operator::Greater,
            ];
            // Nothing is less than 0.
            let same = |op| op == arg.op || op == Operator::LessOrEqual && arg.value == 0;
            // Podman's rule of two conditions is the contrary of others: a wider one is overruled by these.
            let bends = |op| !same(op) && rule.args.len() == 1;
            for op in operators.into_iter().filter(|op| bends(*op)) {
                add(format!("syscalls[{place}].args[{index}].op {op}"), &|changed| {
                    changed.syscalls[place].args[index].op = op;
                });
            }
            add(format!("syscalls[{place}].args[{index}].index + 3"), &|changed| {
                changed.syscalls[place].args[index].index += 3;
            });
        }
    }
    all
}
