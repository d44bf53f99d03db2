//! What a profile says about each call of one ABI: its verdict, by number.
//!
//! Several rules may be about one call. An unconditional one beats all with conditions, the first of them all others.
//! Rules with conditions are tried in the order that libseccomp gives them, whatever their order in the profile: see
//! [`Branch::precedes`].

use super::Arch;
use super::multiplex;
use super::rules::{Condition, Rules};
use crate::error::{Error, Result};
use crate::spec::seccomp::{Arg, Operator};
use std::cmp::Ordering;

/// What a filter does about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It returns this value.
    Return(u32),
    /// It returns what the first path says whose conditions all hold, else the default.
    Decide(Vec<Path>),
}

/// A rule with conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// What must hold, by argument; never empty.
    pub(super) conditions: Vec<Condition>,
    /// The filter's return value.
    pub(super) action: u32,
}

/// The calls of one ABI that a profile treats in a way of their own.
pub(super) struct Calls {
    /// Number and verdict, by number.
    pub(super) verdicts: Vec<(u32, Verdict)>,
    /// The highest number that the profile names on this ABI, be it with the default action.
    pub(super) highest: Option<u32>,
}

/// A rule about one number.
struct Entry {
    number: u32,
    rule: usize,
    /// What the first argument must be, where the number is one that several calls share.
    selector: Option<u64>,
}

/// Finds what the rules say about the calls of an ABI.
///
/// # Errors
/// Two rules with the same conditions and different actions; an ABI that we have no numbers of.
pub(super) fn of(abi: Arch, rules: &Rules) -> Result<Calls> {
    let Some((column, offset)) = abi.numbering() else {
        return Err(Error::new(format!("linux.seccomp: there is no table of system calls for {abi}")));
    };
    let named = rules.named.iter().filter_map(|call| call.number(column)).max().map(|number| number + offset);
    let mut entries = Vec::with_capacity(rules.named.len());
    for (rule, of_rule) in rules.list.iter().enumerate() {
        for call in &rules.named[of_rule.calls.clone()] {
            if let Some(shared) = abi.multiplexes().then(|| multiplex::find(call.name())).flatten() {
                let number = shared.through + offset;
                entries.push(Entry { number, rule, selector: Some(shared.selector) });
            }
            if let Some(number) = call.number(column) {
                entries.push(Entry { number: number + offset, rule, selector: None });
            }
        }
    }
    entries.sort_by_key(|entry| entry.number);
    let highest = named.max(entries.last().map(|entry| entry.number));
    let verdicts = entries
        .chunk_by(|a, b| a.number == b.number)
        .map(|same| Ok((same[0].number, verdict(same, rules, abi.is_wide())?)))
        .collect::<Result<_>>()?;
    Ok(Calls { verdicts, highest })
}

/// What several rules about one number come to.
fn verdict(entries: &[Entry], rules: &Rules, wide: bool) -> Result<Verdict> {
    let mut level = Vec::new();
    let mut always = None;
    for entry in entries {
        let rule = &rules.list[entry.rule];
        if rule.args.is_empty() && entry.selector.is_none() {
            always = always.or(Some(rule.action));
            continue;
        }
        let selector = entry.selector.map(|value| Arg { index: 0, value, value_two: 0, op: Operator::Equal });
        let own = rule.args.iter().filter(|arg| selector.is_none() || arg.index > 0);
        let conditions: Vec<_> =
            selector.iter().chain(own).filter_map(|arg| Condition::new(arg, wide)).collect();
        if conditions.is_empty() {
            always = always.or(Some(rule.action));
        } else {
            insert(&mut level, &conditions, rule.action)
                .map_err(|error| error.context(format!("linux.seccomp.syscalls[{}]", rule.place)))?;
        }
    }
    if let Some(action) = always {
        return Ok(Verdict::Return(action));
    }
    let mut paths = Vec::new();
    flatten(&level, &mut Vec::new(), &mut paths);
    Ok(Verdict::Decide(paths))
}

/// Rules of one call that begin with the same conditions.
struct Branch {
    condition: Condition,
    /// The return value where nothing follows; then `below` is empty: the shorter of two rules wins.
    action: Option<u32>,
    below: Vec<Branch>,
}

impl Branch {
    /// Whether a rule that begins with `condition` is tried before this branch.
    ///
    /// Later arguments go first; of the operators equality and inequality, then less, then greater; then the tighter
    /// bound or the higher value. Of two rules that tie, the first in the profile.
    fn precedes(condition: &Condition, other: &Condition) -> bool {
        let rank = |op| match op {
            Operator::Equal | Operator::MaskedEqual | Operator::NotEqual => 2,
            Operator::Less | Operator::LessOrEqual => 1,
            Operator::Greater | Operator::GreaterOrEqual => 0,
        };
        let by_datum = match condition.op {
            Operator::Less | Operator::LessOrEqual => other.datum.cmp(&condition.datum),
            _ => condition.datum.cmp(&other.datum),
        };
        let by_place = condition.index.cmp(&other.index);
        by_place.then(rank(condition.op).cmp(&rank(other.op))).then(by_datum) == Ordering::Greater
    }
}

/// Puts a rule in its place among the others.
fn insert(level: &mut Vec<Branch>, conditions: &[Condition], action: u32) -> Result<()> {
    let (condition, rest) = (conditions[0], &conditions[1..]);
    let mut place = level.len();
    for (index, branch) in level.iter_mut().enumerate() {
        if branch.condition == condition {
            return match (branch.action, rest.is_empty()) {
                (Some(earlier), true) if earlier != action => {
                    Err(Error::new("an earlier rule has another action for the same call and arguments"))
                }
                (Some(_), _) => Ok(()),
                (None, true) => {
                    branch.action = Some(action);
                    branch.below.clear();
                    Ok(())
                }
                (None, false) => insert(&mut branch.below, rest, action),
            };
        }
        if Branch::precedes(&condition, &branch.condition) {
            place = index;
            break;
        }
    }
    let mut branch = Branch { condition, action: None, below: Vec::new() };
    if rest.is_empty() {
        branch.action = Some(action);
    } else {
        insert(&mut branch.below, rest, action)?;
    }
    level.insert(place, branch);
    Ok(())
}

/// Lists the rules in the order in which they are tried.
fn flatten(level: &[Branch], above: &mut Vec<Condition>, paths: &mut Vec<Path>) {
    for branch in level {
        above.push(branch.condition);
        if let Some(action) = branch.action {
            paths.push(Path { conditions: above.clone(), action });
        }
        flatten(&branch.below, above, paths);
        above.pop();
    }
}
