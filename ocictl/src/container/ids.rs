//! Which ids a container's own stand for outside of it (user_namespaces(7)). Pure. "Outside" is where ocictl works: the machine, or the user
//! namespace of an ordinary user.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Who nobody is.
const NOBODY: u32 = 65_534;

/// A row of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first in the container.
    pub inside: u32,
    /// What that stands for.
    pub outside: u32,
    /// How many there are.
    pub count: u32,
}

/// All ids of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// Users.
    pub uids: Vec<Range>,
    /// Groups.
    pub gids: Vec<Range>,
    /// Whether they were picked for this container, so that no other is to have them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub picked: bool,
}

impl Ids {
    /// The same for users and groups.
    pub fn of_both(ranges: Vec<Range>) -> Self {
        Self { uids: ranges.clone(), gids: ranges, picked: false }
    }

    /// What a user and a group of the container stand for; nothing where it does not have both.
    pub fn outside(&self, uid: u32, gid: u32) -> Option<(u32, u32)> {
        Some((outside(&self.uids, uid)?, outside(&self.gids, gid)?))
    }

    /// Whether every id stands for itself.
    pub fn is_identity(&self) -> bool {
        self.uids.iter().chain(&self.gids).all(|range| range.inside == range.outside)
    }

    /// The container's root outside; the caller himself where it has none.
    pub fn root(&self) -> (u32, u32) {
        (outside(&self.uids, 0).unwrap_or(0), outside(&self.gids, 0).unwrap_or(0))
    }

    /// Owners of a file outside for one in the container; who is not there is root.
    pub fn owner_outside(&self, uid: u32, gid: u32) -> (u32, u32) {
        let root = self.root();
        (outside(&self.uids, uid).unwrap_or(root.0), outside(&self.gids, gid).unwrap_or(root.1))
    }

    /// Owners of a file in the container for one outside; who is not there is nobody.
    pub fn owner_inside(&self, uid: u32, gid: u32) -> (u32, u32) {
        (inside(&self.uids, uid), inside(&self.gids, gid))
    }
}

fn outside(ranges: &[Range], id: u32) -> Option<u32> {
    let range = ranges.iter().find(|range| id >= range.inside && id - range.inside < range.count)?;
    Some(range.outside + (id - range.inside))
}

fn inside(ranges: &[Range], id: u32) -> u32 {
    let range = ranges.iter().find(|range| id >= range.outside && id - range.outside < range.count);
    range.map_or(NOBODY, |range| range.inside + (id - range.outside))
}

/// The text of `/proc/PID/uid_map`.
pub fn text(ranges: &[Range]) -> String {
    ranges.iter().map(|range| format!("{} {} {}\n", range.inside, range.outside, range.count)).collect()
}

/// Makes sure that a map is one: no id twice on either side, and at least one.
///
/// # Errors
/// Names what is there twice.
pub fn check(ranges: &[Range]) -> Result<()> {
    let ends = |start: u32, range: &Range| start.checked_add(range.count).map(|end| (start, end));
    for (side, start_of) in
        [("the container", (|range| range.inside) as fn(&Range) -> u32), ("the host", |range| range.outside)]
    {
        let mut spans = Vec::new();
        for range in ranges {
            let span = ends(start_of(range), range).filter(|_| range.count > 0);
            spans.push(span.ok_or_else(|| {
                Error::new(format!("{}:{}:{} is no range of ids", range.inside, range.outside, range.count))
            })?);
        }
        spans.sort_unstable();
        if let Some(pair) = spans.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            return Err(Error::new(format!("id {} of {side} is there twice", pair[1].0)));
        }
    }
    Ok(())
}

/// The current user as `uid` in the container, and the other ids around him: `most` is how many ids he has beside his own.
pub fn keep(own: u32, most: u32) -> Vec<Range> {
    let below = own.min(most);
    let table = [
        Range { inside: 0, outside: 1, count: below },
        Range { inside: own, outside: 0, count: 1 },
        Range { inside: own.saturating_add(1), outside: below + 1, count: most - below },
    ];
    table.into_iter().filter(|range| range.count > 0).collect()
}

/// The same map in pieces that each lie in one row of the namespace around it, as the kernel wants it (user_namespaces(7)): the first id of
/// each such row, what that is, and how many there are. What lies in none stays as it is, for the kernel to refuse.
pub fn split(ranges: &[Range], around: &[(u32, u32, u32)]) -> Vec<Range> {
    let mut pieces = Vec::new();
    for range in ranges {
        let mut left = *range;
        while left.count > 0 {
            let row = around
                .iter()
                .find(|(first, _, count)| left.outside >= *first && left.outside - first < *count);
            let fits =
                row.map_or(left.count, |(first, _, count)| (count - (left.outside - first)).min(left.count));
            pieces.push(Range { count: fits, ..left });
            left = Range {
                inside: left.inside.saturating_add(fits),
                outside: left.outside.saturating_add(fits),
                count: left.count - fits,
            };
        }
    }
    pieces
}

/// A row of ids that begins at `first` outside, for `count` ids of the container, but for those that are to stand for something else.
pub fn around(first: u32, count: u32, fixed: &[Range]) -> Vec<Range> {
    let mut fixed = fixed.to_vec();
    fixed.sort_unstable_by_key(|range| range.inside);
    let mut ranges = Vec::new();
    let mut next = 0;
    for range in &fixed {
        if range.inside > next && next < count {
            let length = range.inside.min(count) - next;
            ranges.push(Range { inside: next, outside: first + next, count: length });
        }
        ranges.push(*range);
        next = next.max(range.inside.saturating_add(range.count));
    }
    if next < count {
        ranges.push(Range { inside: next, outside: first + next, count: count - next });
    }
    ranges
}

/// A row of so many ids out of what is there, with none of what is taken; the lowest there is.
pub fn pick(there: &[(u32, u32)], taken: &[Range], count: u32) -> Option<u32> {
    let mut taken: Vec<(u32, u32)> =
        taken.iter().map(|range| (range.outside, range.outside.saturating_add(range.count))).collect();
    taken.sort_unstable();
    for (first, length) in there {
        let end = first.saturating_add(*length);
        let mut start = *first;
        for (from, to) in &taken {
            if *to > start && *from < start.saturating_add(count) {
                start = *to;
            }
        }
        if start.checked_add(count).is_some_and(|last| last <= end) {
            return Some(start);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fixed_stands_among_what_is_picked() {
        let range = |(inside, outside, count)| Range { inside, outside, count };
        for (fixed, wanted) in [
            (vec![], vec![(0, 500, 10)]),
            (vec![(0, 7, 1)], vec![(0, 7, 1), (1, 501, 9)]),
            (vec![(4, 7, 2), (8, 1, 1)], vec![(0, 500, 4), (4, 7, 2), (6, 506, 2), (8, 1, 1), (9, 509, 1)]),
            (vec![(9, 7, 1)], vec![(0, 500, 9), (9, 7, 1)]),
            (vec![(20, 7, 1)], vec![(0, 500, 10), (20, 7, 1)]),
        ] {
            let fixed: Vec<Range> = fixed.into_iter().map(range).collect();
            let wanted: Vec<Range> = wanted.into_iter().map(range).collect();
            assert_eq!(around(500, 10, &fixed), wanted, "{fixed:?}");
        }
    }

    fn range(inside: u32, outside: u32, count: u32) -> Range {
        Range { inside, outside, count }
    }

    #[test]
    fn ids_go_out_and_come_back() {
        let ids = Ids::of_both(vec![range(0, 100_000, 1000), range(5000, 0, 1)]);
        assert_eq!(ids.outside(33, 5000), Some((100_033, 0)));
        assert_eq!(ids.outside(1000, 0), None);
        assert_eq!(ids.owner_outside(1000, 999), (100_000, 100_999));
        assert_eq!(ids.owner_inside(0, 100_033), (5000, 33));
        assert_eq!(ids.owner_inside(1, 1), (NOBODY, NOBODY));
        assert_eq!(text(&ids.uids), "0 100000 1000\n5000 0 1\n");
    }

    #[test]
    fn who_keeps_his_id_has_the_others_around_it() {
        assert_eq!(keep(1000, 65_536), [range(0, 1, 1000), range(1000, 0, 1), range(1001, 1001, 64_536)]);
        assert_eq!(keep(0, 10), [range(0, 0, 1), range(1, 1, 10)]);
        // Fewer ids than would fill the space below him, and none at all.
        assert_eq!(keep(1000, 10), [range(0, 1, 10), range(1000, 0, 1)]);
        assert_eq!(keep(1000, 0), [range(1000, 0, 1)]);
    }

    #[test]
    fn a_map_is_split_where_the_one_around_it_is() {
        let around = [(0, 1000, 1), (1, 500_000, 100), (101, 700_000, 50)];
        assert_eq!(
            split(&[range(0, 0, 120)], &around),
            [range(0, 0, 1), range(1, 1, 100), range(101, 101, 19)]
        );
        assert_eq!(split(&[range(7, 5, 10)], &around), [range(7, 5, 10)]);
        assert_eq!(split(&[range(0, 140, 20)], &around), [range(0, 140, 11), range(11, 151, 9)]);
    }

    #[test]
    fn a_row_is_picked_that_nobody_has() {
        let there = [(100, 50), (1000, 1000)];
        let taken = [range(0, 1100, 100), range(0, 1000, 10)];
        for (count, wanted) in [(50, Some(100)), (90, Some(1010)), (91, Some(1200)), (801, None)] {
            assert_eq!(pick(&there, &taken, count), wanted, "{count}");
        }
    }

    #[test]
    fn a_map_has_each_id_once() {
        check(&[range(0, 100, 10), range(10, 200, 1)]).expect("a map");
        for (map, wanted) in [
            (vec![range(0, 100, 10), range(9, 200, 1)], "id 9 of the container is there twice"),
            (vec![range(0, 100, 10), range(10, 105, 1)], "id 105 of the host is there twice"),
            (vec![range(0, 1, 0)], "0:1:0 is no range of ids"),
            (vec![range(1, u32::MAX, 2)], "is no range of ids"),
        ] {
            let said = check(&map).expect_err("no map").to_string();
            assert!(said.contains(wanted), "{said}");
        }
    }
}
