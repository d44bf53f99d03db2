//! Lays a filter out as instructions.
//!
//! A program of this kind only jumps forward, and no further than 255 instructions where it compares. So it is written
//! from its end: whatever a comparison leads to is there already, and where it is too far, a copy of the return or a
//! long jump is put in between.

use super::program::Instruction;

/// Load a word of `struct seccomp_data` (`BPF_LD | BPF_W | BPF_ABS`).
const LOAD: u16 = 0x20;
/// Mask what was loaded (`BPF_ALU | BPF_AND | BPF_K`).
const AND: u16 = 0x54;
/// Jump always (`BPF_JMP | BPF_JA`).
const JUMP: u16 = 0x05;
/// Return a constant (`BPF_RET | BPF_K`).
const RETURN: u16 = 0x06;

/// Where `struct seccomp_data` has the number of the call, and the token of its ABI.
const NUMBER: u32 = 0;
const TOKEN: u32 = 4;

/// How far a comparison can jump.
const REACH: usize = 255;

/// How what was loaded is compared with a constant (`BPF_JMP | … | BPF_K`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Equal.
    Equal = 0x15,
    /// Greater, as unsigned numbers.
    Greater = 0x25,
    /// Greater or equal, as unsigned numbers.
    GreaterOrEqual = 0x35,
}

/// Where a comparison leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The filter returns this value.
    Return(u32),
    /// The instruction that was written as this one, counted from the end of the program.
    At(usize),
}

/// A program in the making, its last instruction first.
pub(super) struct Assembler {
    reversed: Vec<Instruction>,
    /// The nearest return of each value.
    returns: Vec<(u32, usize)>,
}

impl Assembler {
    /// An empty program.
    pub(super) fn new() -> Self {
        Self { reversed: Vec::with_capacity(512), returns: Vec::new() }
    }

    /// The finished program, which begins by loading the ABI's token.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.load(TOKEN);
        self.reversed.reverse();
        self.reversed
    }

    /// Writes the choice of an ABI by its token.
    pub(super) fn is_token(&mut self, token: u32, then: Target, otherwise: Target) -> Target {
        self.compare(Comparison::Equal, token, then, otherwise)
    }

    /// Writes a comparison of what was loaded with `operand`.
    pub(super) fn compare(
        &mut self,
        how: Comparison,
        operand: u32,
        then: Target,
        otherwise: Target,
    ) -> Target {
        // The second target may need an instruction in between, which takes the first one further away.
        let then = self.within_reach(then, REACH - 1);
        let otherwise = self.within_reach(otherwise, REACH);
        let skip = |target: usize| (self.reversed.len() - target - 1) as u8;
        let (jt, jf) = (skip(then), skip(otherwise));
        self.push(how as u16, jt, jf, operand)
    }

    /// Writes a load of the call's number.
    pub(super) fn load_number(&mut self) -> Target {
        self.load(NUMBER)
    }

    /// Writes a load of the word at `offset`; what follows is the instruction written last.
    pub(super) fn load(&mut self, offset: u32) -> Target {
        self.push(LOAD, 0, 0, offset)
    }

    /// Writes the masking of what was loaded; what follows is the instruction written last.
    pub(super) fn mask(&mut self, mask: u32) -> Target {
        self.push(AND, 0, 0, mask)
    }

    /// Where the target, or what leads there, is at most `reach` instructions away from the next one to be written.
    fn within_reach(&mut self, target: Target, reach: usize) -> usize {
        let here = self.reversed.len();
        match target {
            Target::At(place) if here - place - 1 <= reach => place,
            Target::At(place) => {
                self.push(JUMP, 0, 0, (here - place - 1) as u32);
                here
            }
            Target::Return(value) => {
                let known = self.returns.iter_mut().find(|(known, _)| *known == value);
                match known {
                    Some((_, place)) if here - *place - 1 <= reach => return *place,
                    Some((_, place)) => *place = here,
                    None => self.returns.push((value, here)),
                }
                self.push(RETURN, 0, 0, value);
                here
            }
        }
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Target {
        self.reversed.push(Instruction { code, jt, jf, k });
        Target::At(self.reversed.len() - 1)
    }
}
