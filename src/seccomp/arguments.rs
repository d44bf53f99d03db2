//! Conditions on arguments, compiled: rules of one call are tried one after the other, until one holds.
//!
//! A filter compares 32 bits at a time, so a condition on 64 bits is one on the high word and perhaps one on the low.
//! What a comparison has told about a high word, and what is still loaded, is remembered along each way through the
//! rules: five values that personality(2) may have cost six comparisons and two loads.

use super::Arch;
use super::assembler::{Assembler, Comparison, Target};
use super::calls::Path;
use super::rules::Condition;
use crate::spec::seccomp::Operator;
use std::collections::HashMap;

/// After so many rules, what is remembered is forgotten: a call with thousands of rules is written stretch by stretch, from
/// the last one, and needs no deeper stack than one stretch.
const STRETCH: usize = 32;

/// The rules of one call, in the order in which they are tried.
pub(super) struct Paths<'a> {
    paths: &'a [Path],
    abi: Arch,
    default: u32,
    written: HashMap<State, Target>,
}

/// A point on the way through the rules.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    /// The rule that is being tried.
    path: usize,
    /// Its condition that is next.
    condition: usize,
    /// How much of that condition is known to be undecided.
    stage: Stage,
    /// What is known of a high word.
    known: Option<Known>,
    /// The word that is loaded, with its mask.
    loaded: Option<(u32, u32)>,
}

/// How far a condition has been looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// Not yet.
    High,
    /// The high word is not above that of the datum.
    HighNotAbove,
    /// The high word is that of the datum.
    Low,
}

/// That a word is equal to a value, or is not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Known {
    word: u32,
    value: u32,
    equal: bool,
}

/// A comparison of one masked word.
#[derive(Clone, Copy)]
struct Test {
    word: u32,
    mask: u32,
    how: Comparison,
    operand: u32,
}

impl<'a> Paths<'a> {
    /// The rules of a call of this ABI; the filter returns `default` where none holds.
    pub(super) fn new(paths: &'a [Path], abi: Arch, default: u32) -> Self {
        Self { paths, abi, default, written: HashMap::new() }
    }

    /// Writes all of them and tells where they begin.
    pub(super) fn write(mut self, assembler: &mut Assembler) -> Target {
        let mut start = Target::Return(self.default);
        for path in (0..self.paths.len()).step_by(STRETCH).rev() {
            let state = State { path, condition: 0, stage: Stage::High, known: None, loaded: None };
            start = self.from(state, assembler);
        }
        start
    }

    /// Writes what is left to do from a point on.
    fn from(&mut self, mut state: State, assembler: &mut Assembler) -> Target {
        if state.path % STRETCH == 0 && state.condition == 0 && state.stage == Stage::High {
            (state.known, state.loaded) = (None, None);
        }
        let Some(path) = self.paths.get(state.path) else { return Target::Return(self.default) };
        let Some(condition) = path.conditions.get(state.condition) else {
            return Target::Return(path.action);
        };
        if let Some(target) = self.written.get(&state) {
            return *target;
        }
        let (test, then, otherwise) = self.step(state, condition);
        let target = match test {
            None => self.from(then, assembler),
            Some(test) => self.branch(test, [then, otherwise], assembler),
        };
        self.written.insert(state, target);
        target
    }

    /// The next comparison of a condition, and where its two outcomes lead; no comparison if the first is certain.
    fn step(&self, state: State, condition: &Condition) -> (Option<Test>, State, State) {
        let holds = State { condition: state.condition + 1, stage: Stage::High, ..state };
        let fails = State { path: state.path + 1, condition: 0, stage: Stage::High, ..state };
        let (equal, above, below) = match condition.op {
            Operator::Equal | Operator::MaskedEqual => (holds, fails, fails),
            Operator::NotEqual => (fails, holds, holds),
            Operator::Greater => (fails, holds, fails),
            Operator::GreaterOrEqual => (holds, holds, fails),
            Operator::Less => (fails, fails, holds),
            Operator::LessOrEqual => (holds, fails, holds),
        };
        let (low_word, high_word) = self.abi.words(condition.index);
        let (high_mask, high) = ((condition.mask >> 32) as u32, (condition.datum >> 32) as u32);
        let (low_mask, low) = (condition.mask as u32, condition.datum as u32);
        let test = |how, operand| Some(Test { word: high_word, mask: high_mask, how, operand });
        let low_stage = State { stage: Stage::Low, ..state };
        match state.stage {
            Stage::High if high_mask == 0 => (None, low_stage, low_stage),
            Stage::High if above == below || high == 0 => (test(Comparison::Equal, high), low_stage, above),
            Stage::High if high == u32::MAX => (test(Comparison::Equal, high), low_stage, below),
            Stage::High => {
                let not_above = State { stage: Stage::HighNotAbove, ..state };
                (test(Comparison::Greater, high), above, not_above)
            }
            Stage::HighNotAbove => (test(Comparison::Equal, high), low_stage, below),
            Stage::Low if low_mask == 0 => (None, equal, equal),
            Stage::Low => {
                let (how, then, otherwise) = if above == below {
                    (Comparison::Equal, equal, above)
                } else if equal == above {
                    (Comparison::GreaterOrEqual, above, below)
                } else {
                    (Comparison::Greater, above, below)
                };
                (Some(Test { word: low_word, mask: low_mask, how, operand: low }), then, otherwise)
            }
        }
    }

    /// Writes a comparison with both its outcomes, or one of them where the other cannot be.
    fn branch(&mut self, test: Test, [then, otherwise]: [State; 2], assembler: &mut Assembler) -> Target {
        let loaded = then.loaded;
        match then.known.and_then(|known| known.outcome(test)) {
            Some(true) => return self.from(then, assembler),
            Some(false) => return self.from(otherwise, assembler),
            None => {}
        }
        let after = |state: State, equal| {
            let learnt = test.how == Comparison::Equal && test.mask == u32::MAX && self.is_high(test.word);
            let known = Known { word: test.word, value: test.operand, equal };
            let known = if learnt { Some(known) } else { state.known };
            State { known, loaded: Some((test.word, test.mask)), ..state }
        };
        let (then, otherwise) = (after(then, true), after(otherwise, false));
        let then = self.from(then, assembler);
        let otherwise = self.from(otherwise, assembler);
        if then == otherwise {
            return then;
        }
        let mut start = assembler.compare(test.how, test.operand, then, otherwise);
        if loaded != Some((test.word, test.mask)) {
            if test.mask != u32::MAX {
                start = assembler.mask(test.mask);
            }
            if loaded != Some((test.word, u32::MAX)) {
                start = assembler.load(test.word);
            }
        }
        start
    }

    /// Whether the word at this offset is the high one of an argument.
    fn is_high(&self, word: u32) -> bool {
        (0..6).any(|index| self.abi.words(index).1 == word)
    }
}

impl Known {
    /// How a comparison must end, if this tells.
    fn outcome(self, test: Test) -> Option<bool> {
        if self.word != test.word {
            return None;
        }
        if self.equal {
            let value = self.value & test.mask;
            return Some(match test.how {
                Comparison::Equal => value == test.operand,
                Comparison::Greater => value > test.operand,
                Comparison::GreaterOrEqual => value >= test.operand,
            });
        }
        let same = test.how == Comparison::Equal && test.mask == u32::MAX && test.operand == self.value;
        same.then_some(false)
    }
}
