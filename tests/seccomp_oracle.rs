//! Our filters against those of runc with libseccomp, call by call.
//!
//! libseccomp (which only tests link) compiles the same profile the way runc drives it; both programs are run by an
//! emulator over sampled calls and must agree on each. Where we differ on purpose, the test says so: see [`Oracle::expected`].

#[path = "support/abis.rs"]
mod abis;
#[path = "support/bpf.rs"]
mod bpf;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/profiles.rs"]
mod profiles;
#[path = "support/sampling.rs"]
mod sampling;

use abis::{TOKEN_AARCH64, TOKEN_X86, TOKEN_X86_64, X32_BIT, token};
use bpf::{Call, run};
use corten::seccomp::{Arch, compile};
use corten::spec::seccomp::{Action, Arg, Operator, Seccomp, Syscall};
use libseccomp::ScmpSyscall;
use oracle::{ENOSYS, Oracle, model, numbers};
use sampling::{Random, random_arg, random_profile, samples};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Instant;

/// Calls that are sampled of each random profile.
const SAMPLES: usize = 400;

/// Docker's default profile with its conditions resolved for x86_64, Linux 4.8 and the fourteen default capabilities.
fn docker() -> Seccomp {
    serde_json::from_value(profiles::docker()).unwrap()
}

#[test]
fn dockers_profile_is_treated_as_runc_treats_it() {
    let mut profile = docker();
    forget_names_newer_than_libseccomp(&mut profile);
    let abis = [Arch::X86_64, Arch::X86, Arch::X32];
    let ours = compile(&profile, Arch::X86_64).unwrap().unwrap();
    let theirs = Oracle::new(&profile, &abis).unwrap();
    let random = Random(Cell::new(1));
    let calls = samples(&profile, &abis, 50_000, &random);
    let (mut our_steps, mut their_steps) = (0, 0);
    for call in &calls {
        let (verdict, steps) = run(&ours.instructions, call);
        our_steps += steps;
        their_steps += run(&theirs.program, call).1;
        assert_eq!(verdict, theirs.expected(call), "{call:x?}");
    }
    let average = |steps: usize| steps as f64 / calls.len() as f64;
    println!(
        "docker: {} calls, {} instructions ({:.1} run on average), libseccomp {} ({:.1})",
        calls.len(),
        ours.instructions.len(),
        average(our_steps),
        theirs.program.len(),
        average(their_steps)
    );
    assert!(ours.instructions.len() <= 420);
    let compiling = |_| {
        let start = Instant::now();
        compile(&profile, Arch::X86_64).unwrap();
        start.elapsed()
    };
    println!("docker: compiled in {:?} at best", (0..200).map(compiling).min().unwrap());
}

#[test]
fn every_number_is_that_of_libseccomp() {
    let (allow, refuse) = (Some(Action::Allow), 0x0005_0001);
    for native in [Arch::X86_64, Arch::Aarch64, Arch::Mips64, Arch::Ppc64, Arch::S390x, Arch::Riscv64] {
        for abi in native.executable() {
            let mut known = 0;
            for number in abis::range(*abi) {
                let Some(name) = abis::name(number, *abi) else { continue };
                let names = vec![name];
                let rule = Syscall { names, action: Action::Errno, errno_ret: None, args: vec![] };
                let architectures = vec![*abi];
                let profile = Seccomp {
                    default_action: allow,
                    architectures,
                    syscalls: vec![rule],
                    ..Seccomp::default()
                };
                let program = compile(&profile, native).unwrap().unwrap();
                let call = Call { number, token: token(*abi), args: [0; 6] };
                assert_eq!(run(&program.instructions, &call).0, refuse, "{abi} {:?}", profile.syscalls);
                known += 1;
            }
            assert!(known > 280, "{abi}: {known}");
        }
    }
}

#[test]
fn comparisons_reach_over_long_programs() {
    let spread = |value: u64| (value << 16) | ((value % 7) << 40);
    let rule = |errno: u64, value| {
        let args = vec![Arg { index: 1, value, value_two: 0, op: Operator::Equal }];
        let names = vec!["prctl".to_owned(), "keyctl".to_owned()];
        Syscall { names, action: Action::Errno, errno_ret: Some((errno % 50) as u32), args }
    };
    let profile = |rules: u64| Seccomp {
        default_action: Some(Action::Allow),
        architectures: vec![Arch::X86],
        syscalls: (0..rules).map(|value| rule(value, spread(value))).collect(),
        ..Seccomp::default()
    };
    let program = compile(&profile(500), Arch::X86_64).unwrap().unwrap().instructions;
    for number in [157, 250] {
        for value in 0..500 {
            let call = Call { number, token: TOKEN_X86_64, args: [0, spread(value), 0, 0, 0, 0] };
            assert_eq!(run(&program, &call).0, 0x0005_0000 | (value % 50) as u32, "{value}");
            let call = Call { args: [0, spread(value) | 1, 0, 0, 0, 0], ..call };
            assert_eq!(run(&program, &call).0, 0x7fff_0000, "{value}");
        }
    }
    let error = compile(&profile(2000), Arch::X86_64).unwrap_err().to_string();
    assert!(
        error.starts_with("linux.seccomp: the filter has ") && error.ends_with(", the kernel takes 4096"),
        "{error}"
    );
}

#[test]
fn plain_random_profiles_are_treated_as_runc_treats_them() {
    let mut miscompiled = 0;
    for seed in 0..300 {
        let random = Random(Cell::new(seed + 1));
        let mut profile = random_profile(&random);
        for syscall in &mut profile.syscalls {
            let mut seen = 0;
            syscall.args.retain(|arg| {
                let first = seen & (1 << arg.index) == 0;
                seen |= 1 << arg.index;
                first
            });
        }
        for native in [Arch::X86_64, Arch::Aarch64] {
            if native == Arch::Aarch64 {
                profile.architectures = if seed % 2 == 0 { vec![Arch::Arm] } else { vec![] };
            }
            let compared = agree(&profile, native, seed, &random);
            miscompiled += usize::from(compared.miscompiled);
            assert!(compared.miscompiled || compared.differences == 0, "seed {seed} {native}");
        }
    }
    println!("plain random profiles: libseccomp forgets to load the number in {miscompiled} of 600");
    assert!(miscompiled < 60);
}

#[test]
fn random_profiles_mean_what_they_say() {
    let (mut calls, mut libseccomp_errs) = (0, 0);
    for seed in 0..400 {
        let random = Random(Cell::new(seed + 10_001));
        libseccomp_errs += agree(&random_profile(&random), Arch::X86_64, seed, &random).differences;
        calls += SAMPLES;
    }
    println!(
        "random profiles: libseccomp does not do what the profile says on {libseccomp_errs} of {calls} calls"
    );
    assert!(libseccomp_errs * 50 < calls);
}

/// Profiles that contradict themselves: the same are refused, and the others are treated alike but for a few where
/// libseccomp's order depends on how it happened to merge comparisons. One condition a rule, because on more libseccomp
/// 2.5.4 may never come back.
#[test]
fn contradictory_rules_are_tried_in_the_order_of_runc() {
    let abis = [Arch::X86_64, Arch::X86];
    let (mut refused, mut different) = (0, 0);
    for seed in 0..400 {
        let random = Random(Cell::new(seed + 20_001));
        let mut profile = Seccomp { default_action: Some(Action::Allow), ..Seccomp::default() };
        profile.architectures = vec![Arch::X86];
        for _ in 0..2 + random.below(4) {
            let (value, value_two) = (random.below(6), random.below(6));
            let arg = Arg { index: random.below(3) as u32, value, value_two, ..random_arg(&random) };
            let action = random.pick(&[Action::Errno, Action::Trap, Action::Log]);
            let names = vec!["prctl".to_owned()];
            profile.syscalls.push(Syscall { names, action, errno_ret: None, args: vec![arg] });
        }
        let ours = compile(&profile, Arch::X86_64);
        let theirs = Oracle::new(&profile, &abis);
        assert_eq!(ours.is_ok(), theirs.is_ok(), "seed {seed}: {ours:?} {:?}", profile.syscalls);
        let (Ok(Some(ours)), Ok(theirs)) = (ours, theirs) else {
            refused += 1;
            continue;
        };
        let mut calls = samples(&profile, &abis, SAMPLES, &random).into_iter();
        different +=
            usize::from(calls.any(|call| run(&ours.instructions, &call).0 != theirs.expected(&call)));
    }
    println!("contradictory profiles: {refused} of 400 refused by both, {different} treated differently");
    assert!(refused > 0 && different < 400 / 20);
}

#[test]
fn calls_newer_than_the_profile_are_unknown() {
    let profile = docker();
    let ours = compile(&profile, Arch::X86_64).unwrap().unwrap();
    let verdict = |token, number| run(&ours.instructions, &Call { number, token, args: [0; 6] }).0;
    for (token, number, expected) in [
        (TOKEN_X86_64, 600, ENOSYS),
        (TOKEN_X86, 600, ENOSYS),
        (TOKEN_X86_64, X32_BIT | 600, ENOSYS),
        (TOKEN_X86_64, 435, ENOSYS),      // clone3, by a rule of the profile
        (TOKEN_X86_64, 462, 0x7fff_0000), // mseal, which libseccomp 2.5.4 does not know
        (TOKEN_X86_64, 165, 0x0005_0001), // mount
        (TOKEN_X86_64, u32::MAX, ENOSYS), // what a tracer skips
        (TOKEN_AARCH64, 0, 0),            // an ABI that is not listed
    ] {
        assert_eq!(verdict(token, number), expected, "{token:x} {number}");
    }
}

#[test]
fn the_default_action_tells_whether_newer_calls_are_unknown() {
    for (default_action, default_errno_ret, expected) in [
        (Action::Errno, None, ENOSYS),
        (Action::Errno, Some(38), ENOSYS),
        (Action::KillThread, None, ENOSYS),
        (Action::KillProcess, None, ENOSYS),
        (Action::Trap, None, ENOSYS),
        (Action::Allow, None, 0x7fff_0000),
        (Action::Log, None, 0x7ffc_0000),
        (Action::Trace, Some(7), 0x7ff0_0007),
    ] {
        let rule = Syscall {
            names: vec!["close".to_owned()],
            action: Action::Errno,
            errno_ret: Some(9),
            args: vec![],
        };
        let profile = Seccomp {
            default_action: Some(default_action),
            default_errno_ret,
            syscalls: vec![rule],
            ..Seccomp::default()
        };
        let ours = compile(&profile, Arch::X86_64).unwrap().unwrap();
        let verdict = |number| run(&ours.instructions, &Call { number, token: TOKEN_X86_64, args: [0; 6] }).0;
        assert_eq!([verdict(3), verdict(4)], [0x0005_0009, expected], "{default_action}");
        assert_eq!(verdict(X32_BIT | 3), 0, "x32 is not listed");
    }
}

/// How libseccomp's filter compares with what a profile says.
struct Compared {
    /// On how many calls it differs.
    differences: usize,
    /// libseccomp 2.5.4 at times compares the token of the ABI with numbers of calls, having forgotten to load the number.
    miscompiled: bool,
}

/// Asserts that our filter of a profile does what the profile says, and tells how libseccomp's compares.
fn agree(profile: &Seccomp, native: Arch, seed: u64, random: &Random) -> Compared {
    let listed =
        native.executable().iter().filter(|abi| **abi == native || profile.architectures.contains(abi));
    let abis: Vec<_> = listed.copied().collect();
    let ours = compile(profile, native);
    let theirs = Oracle::new(profile, &abis);
    let (Ok(Some(ours)), Ok(theirs)) = (&ours, &theirs) else {
        panic!("seed {seed}: {:?}, {:?}, {profile:#?}", ours.err(), theirs.err());
    };
    let mut differences = 0;
    for call in samples(profile, native.executable(), SAMPLES, random) {
        let ours = run(&ours.instructions, &call).0;
        let said = theirs.beyond(&call).unwrap_or_else(|| model(profile, &abis, &call));
        let about = || {
            let mut about = profile.clone();
            let number = |name: &String| abis.iter().any(|abi| numbers(name, *abi).contains(&call.number));
            about.syscalls.retain(|syscall| syscall.names.iter().any(number));
            about
        };
        assert_eq!(ours, said, "seed {seed}: {call:x?}: {ours:x} for {said:x}, {:?}", about());
        differences += usize::from(theirs.expected(&call) != said);
    }
    let tokens: BTreeSet<_> = abis.iter().map(|abi| token(*abi)).collect();
    let loads =
        theirs.program.iter().filter(|instruction| (instruction.code, instruction.k) == (0x20, 0)).count();
    Compared { differences, miscompiled: loads < tokens.len() }
}

/// Drops the names that the libseccomp of this machine has not heard of, or not as the kernel has them now: map_shadow_stack(2)
/// came without a number for x32, which 2.5.4 still has not and 2.6 has.
fn forget_names_newer_than_libseccomp(profile: &mut Seccomp) {
    let knows = |name: &String| {
        ScmpSyscall::from_name(name).is_ok()
            && (name != "map_shadow_stack" || !numbers(name, Arch::X32).is_empty())
    };
    for syscall in &mut profile.syscalls {
        syscall.names.retain(knows);
    }
}
