//! The search for the segment that a number is in: the top of what a filter does about the calls of an ABI.

use super::Arch;
use super::arguments::Paths;
use super::assembler::{Assembler, Comparison, Target};
use super::calls::{Path, Verdict};
use super::segments::Segment;

/// Writes what a filter does about calls of an ABI, in front of all that is there.
pub(super) fn write(segments: &[Segment], abi: Arch, default: u32, assembler: &mut Assembler) -> Target {
    let mut search = Search { assembler, abi, default, decided: Vec::new() };
    match search.within(segments, None) {
        target @ Target::Return(_) => target,
        Target::At(_) => search.assembler.load_number(),
    }
}

/// A binary search for the segment that a number is in.
struct Search<'a> {
    assembler: &'a mut Assembler,
    abi: Arch,
    default: u32,
    /// Conditions that are written already.
    decided: Vec<(&'a [Path], Target)>,
}

impl<'a> Search<'a> {
    /// Writes the search among segments that end before `end`.
    fn within(&mut self, segments: &'a [Segment], end: Option<u32>) -> Target {
        if let [only] = segments {
            return self.verdict(&only.verdict);
        }
        if let Some(target) = self.exceptions(segments, end) {
            return target;
        }
        let middle = middle(segments);
        let start = segments[middle].start;
        let above = self.within(&segments[middle..], end);
        let below = self.within(&segments[..middle], Some(start));
        self.assembler.compare(Comparison::GreaterOrEqual, start, above, below)
    }

    /// Writes the search where one or two single numbers are exceptions to one verdict: then each is one comparison.
    fn exceptions(&mut self, segments: &'a [Segment], end: Option<u32>) -> Option<Target> {
        if !matches!(segments.len(), 3 | 5) {
            return None;
        }
        let start_after = |index: usize| segments.get(index + 1).map(|next| next.start).or(end);
        let rule = &segments[0].verdict;
        let fits = segments.iter().enumerate().all(|(index, segment)| match index % 2 {
            0 => segment.verdict == *rule,
            _ => start_after(index) == segment.start.checked_add(1),
        });
        if !fits {
            return None;
        }
        let mut otherwise = self.verdict(rule);
        for exception in segments.iter().skip(1).step_by(2).rev() {
            let then = self.verdict(&exception.verdict);
            otherwise = self.assembler.compare(Comparison::Equal, exception.start, then, otherwise);
        }
        Some(otherwise)
    }

    /// Writes what a verdict comes to, unless it is there already.
    fn verdict(&mut self, verdict: &'a Verdict) -> Target {
        match verdict {
            Verdict::Return(value) => Target::Return(*value),
            Verdict::Decide(paths) => {
                if let Some((_, target)) = self.decided.iter().find(|(known, _)| known == paths) {
                    return *target;
                }
                let target = Paths::new(paths, self.abi, self.default).write(self.assembler);
                self.decided.push((paths, target));
                target
            }
        }
    }
}

/// Where a search among segments is best halved.
///
/// By the count of segments, because depth is what a filter costs.
fn middle(segments: &[Segment]) -> usize {
    segments.len() / 2
}
