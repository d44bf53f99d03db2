//! Device rules for cgroup v2: a compiler from rules to a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`.
//!
//! The kernel's verifier charges for each instruction, and a program is loaded with every container: so the rules are
//! first carried out here for every device that they tell apart, and what remains is a switch by kind, major and minor
//! with a bitmap for small minors. Loading takes 40 us where a chain of rules takes 300 (measured). The program sees
//! `struct bpf_cgroup_dev_ctx` of `linux/bpf.h` and answers 1 to allow and 0 to deny with EPERM.

use super::{ALL, Kind, Rule};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Compiles the rules; `None` when everything is allowed. An instruction is a `struct bpf_insn` as the machine holds it
/// in memory, read as one native integer.
///
/// # Errors
/// Rules so many that a jump across the program does not fit into its 16 bits.
pub fn program(rules: &[Rule]) -> Result<Option<Vec<u64>>> {
    let (block, char) = (Majors::of(rules, Kind::Block), Majors::of(rules, Kind::Char));
    if block == char && block.is_constant(ALL) {
        return Ok(None);
    }
    let mut out = Assembler::new();
    out.op(LOAD_WORD | reg(2, 1)); // r2: the access in the upper half, the kind in the lower
    out.op(LOAD_WORD | reg(3, 1) | offset(4)); // r3: major
    out.op(LOAD_WORD | reg(4, 1) | offset(8)); // r4: minor
    out.op(MOV_REG | reg(5, 2));
    out.op(RSH | reg(5, 0) | imm(16)); // r5: the access asked for
    if block != char {
        let blocks = out.new_label();
        out.op(AND | reg(2, 0) | imm(0xffff));
        out.jump(JNE | reg(2, 0) | imm(KIND_CHAR), blocks);
        out.majors(&char);
        out.place(blocks);
    }
    out.majors(&block);
    out.verdicts();
    out.finish().map(Some)
}

/// `BPF_DEVCG_DEV_CHAR`; the other kind is block.
const KIND_CHAR: u32 = 2;

/// What is allowed for one major number: an access mask for listed minors and one for all others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Minors {
    listed: BTreeMap<u32, u8>,
    others: u8,
}

/// What is allowed for one kind of device: a table for listed majors and one for all others. Nothing is, at first.
#[derive(Debug, PartialEq, Eq, Default)]
struct Majors {
    listed: BTreeMap<u32, Minors>,
    others: Minors,
}

impl Majors {
    /// Carries the rules out, in order.
    fn of(rules: &[Rule], kind: Kind) -> Self {
        let start = rules.iter().rposition(Rule::is_total).unwrap_or(0);
        let mut majors = Self::default();
        for rule in rules[start..].iter().filter(|rule| rule.kind.is_none_or(|only| only == kind)) {
            match rule.major {
                Some(major) => {
                    majors.listed.entry(major).or_insert_with(|| majors.others.clone()).apply(rule);
                }
                None => {
                    majors.others.apply(rule);
                    majors.listed.values_mut().for_each(|minors| minors.apply(rule));
                }
            }
        }
        majors.others.drop_needless();
        for minors in majors.listed.values_mut() {
            minors.drop_needless();
        }
        majors.listed.retain(|_, minors| *minors != majors.others);
        majors
    }

    fn is_constant(&self, access: u8) -> bool {
        self.listed.is_empty() && self.others.listed.is_empty() && self.others.others == access
    }
}

impl Minors {
    fn apply(&mut self, rule: &Rule) {
        let apply = |allowed: &mut u8| {
            *allowed = if rule.allow { *allowed | rule.access } else { *allowed & !rule.access };
        };
        match rule.minor {
            Some(minor) => apply(self.listed.entry(minor).or_insert(self.others)),
            None => {
                apply(&mut self.others);
                self.listed.values_mut().for_each(apply);
            }
        }
    }

    /// Drops what is listed but treated as all others are.
    fn drop_needless(&mut self) {
        let others = self.others;
        self.listed.retain(|_, allowed| *allowed != others);
    }
}

/// Instructions with jumps to labels. The first eight labels are the verdicts, one an access mask.
struct Assembler {
    code: Vec<u64>,
    /// Where each label was placed.
    labels: Vec<Option<usize>>,
    /// Jumps to resolve: the instruction and its label.
    jumps: Vec<(usize, usize)>,
}

impl Assembler {
    fn new() -> Self {
        Self { code: Vec::with_capacity(64), labels: vec![None; ALL as usize + 1], jumps: Vec::new() }
    }

    fn op(&mut self, op: u64) {
        self.code.push(op);
    }

    fn jump(&mut self, op: u64, label: usize) {
        self.jumps.push((self.code.len(), label));
        self.code.push(op);
    }

    fn new_label(&mut self) -> usize {
        self.labels.push(None);
        self.labels.len() - 1
    }

    fn place(&mut self, label: usize) {
        self.labels[label] = Some(self.code.len());
    }

    fn majors(&mut self, majors: &Majors) {
        for (major, minors) in &majors.listed {
            let next = self.new_label();
            self.jump(JNE | reg(3, 0) | imm(*major), next);
            self.minors(minors);
            self.place(next);
        }
        self.minors(&majors.others);
    }

    fn minors(&mut self, minors: &Minors) {
        for access in 0..=ALL {
            let same = minors.listed.iter().filter(|entry| *entry.1 == access).map(|entry| *entry.0);
            let small = same.clone().filter(|&minor| minor < 64).fold(0u64, |bits, minor| bits | 1 << minor);
            let in_bitmap = small.count_ones() > 4;
            if in_bitmap {
                self.bitmap(small, access);
            }
            for minor in same.filter(|&minor| !in_bitmap || minor >= 64) {
                self.jump(JEQ | reg(4, 0) | imm(minor), access as usize);
            }
        }
        self.jump(JA, minors.others as usize);
    }

    /// Jumps to the verdict when the minor is one of `bits`; 64 bits take two instruction slots.
    fn bitmap(&mut self, bits: u64, access: u8) {
        let beyond = self.new_label();
        let low = bits as u32;
        let is_short = u64::from(low) == bits;
        self.jump(JGT | reg(4, 0) | imm(if is_short { 31 } else { 63 }), beyond);
        if is_short {
            self.op(MOV32 | imm(low));
        } else {
            self.op(LOAD_IMM64 | imm(low));
            self.op(imm((bits >> 32) as u32));
        }
        self.op(RSH_REG | reg(0, 4));
        self.jump(JSET | imm(1), access as usize);
        self.place(beyond);
    }

    /// The ends: each masks away what is allowed, then whatever is left of the access asked for is denied.
    fn verdicts(&mut self) {
        let check = self.new_label();
        for access in (0..=ALL)
            .filter(|&access| self.jumps.iter().any(|jump| jump.1 == access as usize))
            .collect::<Vec<_>>()
        {
            self.place(access as usize);
            self.op(AND | reg(5, 0) | imm(u32::from(ALL & !access)));
            self.jump(JA, check);
        }
        // The last one falls through.
        self.code.pop();
        self.jumps.pop();
        self.place(check);
        let deny = self.new_label();
        self.op(MOV | imm(0));
        self.jump(JNE | reg(5, 0), deny);
        self.op(MOV | imm(1));
        self.place(deny);
        self.op(EXIT);
    }

    fn finish(mut self) -> Result<Vec<u64>> {
        for (from, label) in self.jumps {
            let to = self.labels[label].unwrap_or(from);
            let distance = i16::try_from(to - from - 1).map_err(|_| {
                Error::new("too many rules for one program").context("linux.resources.devices")
            })?;
            self.code[from] |= offset(distance);
        }
        Ok(self.code)
    }
}

// `struct bpf_insn` of linux/bpf.h: code:8, dst_reg:4, src_reg:4, off:16, imm:32, in memory order. The register
// nibbles are bit fields, which a big-endian compiler lays out from the other end.
const LOAD_WORD: u64 = code(0x61);
const LOAD_IMM64: u64 = code(0x18);
const MOV_REG: u64 = code(0xbf);
const MOV: u64 = code(0xb7);
const MOV32: u64 = code(0xb4);
const AND: u64 = code(0x57);
const RSH: u64 = code(0x77);
const RSH_REG: u64 = code(0x7f);
const JA: u64 = code(0x05);
const JEQ: u64 = code(0x15);
const JNE: u64 = code(0x55);
const JGT: u64 = code(0x25);
const JSET: u64 = code(0x45);
const EXIT: u64 = code(0x95);

const fn code(code: u8) -> u64 {
    u64::from_ne_bytes([code, 0, 0, 0, 0, 0, 0, 0])
}

const fn reg(dst: u8, src: u8) -> u64 {
    let nibbles = if cfg!(target_endian = "little") { src << 4 | dst } else { dst << 4 | src };
    u64::from_ne_bytes([0, nibbles, 0, 0, 0, 0, 0, 0])
}

const fn offset(offset: i16) -> u64 {
    let [a, b] = offset.to_ne_bytes();
    u64::from_ne_bytes([0, 0, a, b, 0, 0, 0, 0])
}

const fn imm(value: u32) -> u64 {
    let [a, b, c, d] = value.to_ne_bytes();
    u64::from_ne_bytes([0, 0, 0, 0, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::super::{MKNOD, READ, WRITE, rules};
    use super::*;
    use crate::plan::Place;

    /// The straightforward model: for each bit that is asked for, the last rule that speaks of it decides.
    fn model(rules: &[Rule], kind: Kind, major: u32, minor: u32, asked: u8) -> bool {
        [MKNOD, READ, WRITE].iter().filter(|&&bit| asked & bit != 0).all(|bit| {
            let speaks = |rule: &&Rule| {
                rule.access & bit != 0
                    && rule.kind.is_none_or(|only| only == kind)
                    && rule.major.is_none_or(|only| only == major)
                    && rule.minor.is_none_or(|only| only == minor)
            };
            rules.iter().rev().find(speaks).is_some_and(|rule| rule.allow)
        })
    }

    /// Runs a program as the kernel would; an instruction that the compiler does not use is a panic.
    fn run(code: &[u64], kind: Kind, major: u32, minor: u32, asked: u8) -> bool {
        let kind = if kind == Kind::Char { 2 } else { 1 };
        let context = [u32::from(asked) << 16 | kind, major, minor];
        let mut r = [0u64; 11];
        let mut pc = 0;
        loop {
            let bytes = code[pc].to_ne_bytes();
            let (dst, src) = ((bytes[1] & 15) as usize, (bytes[1] >> 4) as usize);
            let off = i16::from_ne_bytes([bytes[2], bytes[3]]);
            let imm = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            // An immediate is sign-extended to 64 bits, except by the 32-bit move.
            let wide = imm as i32 as i64 as u64;
            let mut taken = false;
            match bytes[0] {
                0x61 => r[dst] = u64::from(context[off as usize / 4]),
                0x18 => {
                    pc += 1;
                    r[dst] = u64::from(imm) | code[pc] & 0xffff_ffff_0000_0000;
                }
                0xbf => r[dst] = r[src],
                0xb7 => r[dst] = wide,
                0xb4 => r[dst] = u64::from(imm),
                0x57 => r[dst] &= wide,
                0x77 => r[dst] >>= wide,
                0x7f => r[dst] >>= r[src],
                0x05 => taken = true,
                0x15 => taken = r[dst] == wide,
                0x55 => taken = r[dst] != wide,
                0x25 => taken = r[dst] > wide,
                0x45 => taken = r[dst] & wide != 0,
                0x95 => return r[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
            pc = if taken { pc + 1 + off as usize } else { pc + 1 };
        }
    }

    /// A generator that needs no crate: xorshift64.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % end
        }

        fn number(&mut self) -> Option<u32> {
            match self.below(4) {
                0 => None,
                1 => Some([0, 31, 32, 63, 64, 200, 0x7fff_ffff, 0x000f_ffff][self.below(8) as usize]),
                _ => Some(self.below(12) as u32),
            }
        }

        fn rule(&mut self) -> Rule {
            Rule {
                allow: self.below(3) > 0,
                kind: [None, Some(Kind::Block), Some(Kind::Char)][self.below(3) as usize],
                major: self.number().map(|major| major % 5),
                minor: self.number(),
                access: if self.below(3) == 0 { ALL } else { 1 + self.below(7) as u8 },
                place: Place::NONE,
            }
        }
    }

    #[test]
    fn programs_agree_with_the_model_on_random_rules() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..2000 {
            let count = random.below(30);
            let rules: Vec<Rule> = (0..count).map(|_| random.rule()).collect();
            let program = program(&rules).expect("program");
            for _ in 0..200 {
                let kind = [Kind::Block, Kind::Char][random.below(2) as usize];
                let (major, minor) = (random.below(7) as u32, random.number().unwrap_or(77));
                let asked = random.below(8) as u8;
                let answer = program.as_ref().is_none_or(|code| run(code, kind, major, minor, asked));
                let expected = model(&rules, kind, major, minor, asked);
                assert_eq!(answer, expected, "{kind:?} {major}:{minor} {asked} by {rules:#?}");
            }
        }
    }

    #[test]
    fn everything_allowed_needs_no_program() {
        let mut all = rules(&[], true).expect("rules");
        all.insert(0, Rule { kind: None, major: None, minor: None, access: ALL, ..all[0].clone() });
        assert_eq!(program(&all).expect("program"), None);
    }

    #[test]
    fn no_rule_at_all_denies_everything() {
        let code = program(&[]).expect("program").expect("a program");
        assert!(!run(&code, Kind::Char, 1, 3, READ));
        assert!(!run(&code, Kind::Block, 8, 0, MKNOD));
    }

    #[test]
    fn the_default_rules_stay_short() {
        let code = program(&rules(&[], true).expect("rules")).expect("program").expect("a program");
        assert!(code.len() <= 35, "{} instructions", code.len());
        assert!(run(&code, Kind::Char, 1, 3, READ | WRITE));
        assert!(run(&code, Kind::Block, 8, 0, MKNOD));
        assert!(!run(&code, Kind::Block, 8, 0, READ));
    }

    #[test]
    fn too_many_rules_are_an_error_not_a_wrong_jump() {
        let template = rules(&[], true).expect("rules").remove(2);
        let many: Vec<Rule> =
            (0..33_000).map(|minor| Rule { minor: Some(minor * 2), ..template.clone() }).collect();
        let error = program(&many[..]).expect_err("too many");
        assert_eq!(error.to_string(), "linux.resources.devices: too many rules for one program");
    }
}
