//! The cover: which of the matches that overlap are recorded.

use std::cmp::Reverse;

use super::run::Run;
use super::{Match, PartId};

/// A part at an offset of an image, proven to be there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Placement {
    /// The offset in the image, in bytes.
    pub start: u64,
    /// The part's length, in bytes.
    pub length: u64,
    pub part: PartId,
}

impl Placement {
    /// The offset after the part's last byte.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }

    /// The order of preference among placements that cover equally many bytes with equally many parts.
    fn rank(&self) -> (u64, Reverse<u64>, PartId) {
        (self.start, Reverse(self.length), self.part)
    }
}

/// Something that puts a part at an offset.
pub trait Placed: Copy + From<Match> {
    /// The part, and where it is.
    fn placement(&self) -> Placement;
}

impl Placed for Placement {
    fn placement(&self) -> Placement {
        *self
    }
}

impl From<Match> for Placement {
    fn from(Match { start, length, part, .. }: Match) -> Self {
        Self { start, length, part }
    }
}

/// Matches and runs of which each overlaps the next. The choice among them is independent of other clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster<M> {
    pub matches: Vec<M>,
    pub runs: Vec<Run>,
}

/// Removes and returns those of `matches` and `runs` that nothing found later can overlap, if all of that begins at
/// `certain` or later. Also returns the offset before which everything has been taken.
pub fn take_clusters<M: Placed>(matches: &mut Vec<M>, runs: &mut Vec<Run>, certain: u64) -> (Vec<Cluster<M>>, u64) {
    matches.sort_unstable_by_key(|found| found.placement().rank());
    runs.sort_unstable_by_key(|run| run.start);
    let mut clusters = Vec::new();
    // How many were taken, and how many were taken or are in the current cluster.
    let (mut given, mut seen) = ((0, 0), (0, 0));
    let (mut start, mut end) = (0, 0);
    let limit = loop {
        let found = matches.get(seen.0).map(|found| (found.placement().start, found.placement().end()));
        let run = runs.get(seen.1).map(|run| (run.start, run.end));
        let is_run = run.is_some_and(|run| found.is_none_or(|found| run < found));
        let next = if is_run { run } else { found };
        if next.is_none_or(|next| next.0 >= end) {
            if seen != given {
                let (matches, runs) = (matches[given.0..seen.0].to_vec(), runs[given.1..seen.1].to_vec());
                clusters.push(Cluster { matches, runs });
                given = seen;
            }
            start = next.map_or(0, |next| next.0);
        }
        let Some(next) = next.filter(|next| next.0 < certain) else { break certain };
        end = end.max(next.1);
        if end > certain {
            break start;
        }
        *(if is_run { &mut seen.1 } else { &mut seen.0 }) += 1;
    };
    matches.drain(..given.0);
    runs.drain(..given.1);
    (clusters, limit)
}

/// Chooses the `matches` that together cover the most bytes without overlap. Ties go to the choice with fewer parts, then
/// to the one that has, where they first differ, the earlier part, then the longer one, then the preferred one. The
/// result is in the order of the image.
///
/// Takes O(n log n) time for n matches.
pub fn cover<M: Placed>(matches: &mut Vec<M>) -> Vec<M> {
    matches.sort_unstable_by_key(|found| found.placement().rank());
    matches.dedup_by_key(|found| found.placement());
    /// The best cover by the matches from some place on.
    #[derive(Clone, Copy)]
    struct Best {
        bytes: u64,
        parts: usize,
        /// The match it begins with, if it has any.
        first: Option<usize>,
        /// Where the rest of it is found.
        rest: usize,
    }
    let none = Best { bytes: 0, parts: 0, first: None, rest: matches.len() };
    let mut best = vec![none; matches.len() + 1];
    for (place, found) in matches.iter().enumerate().rev() {
        let found = found.placement();
        let rest = first_after(matches, place + 1, found.end());
        let with =
            Best { bytes: found.length + best[rest].bytes, parts: 1 + best[rest].parts, first: Some(place), rest };
        let without = best[place + 1];
        // The match that comes first in this order wins a tie, and `found` comes before all that are left without it.
        let take = with.bytes > without.bytes || with.bytes == without.bytes && with.parts <= without.parts;
        best[place] = if take { with } else { without };
    }
    let mut chosen = Vec::new();
    let mut at = best[0];
    while let Some(first) = at.first {
        chosen.push(matches[first]);
        at = best[at.rest];
    }
    chosen
}

/// The first of `matches` from the one at `from` on that begins at `end` or later. It is rarely far.
fn first_after<M: Placed>(matches: &[M], from: usize, end: u64) -> usize {
    let is_before = |later: &M| later.placement().start < end;
    let mut step = 1;
    while matches.get(from + step).is_some_and(is_before) {
        step *= 2;
    }
    let near = from + step / 2..matches.len().min(from + step);
    near.start + matches[near].partition_point(is_before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(start: u64, length: u64, part: u32) -> Placement {
        Placement { start, length, part: PartId(part) }
    }

    fn chosen(matches: &[Placement]) -> Vec<u32> {
        cover(&mut matches.to_vec()).iter().map(|found| found.part.0).collect()
    }

    #[test]
    fn the_most_bytes_win_over_what_comes_first() {
        assert_eq!(chosen(&[found(0, 100, 0), found(90, 210, 1)]), [1]);
        assert_eq!(chosen(&[found(0, 100, 0), found(90, 20, 1), found(105, 100, 2)]), [0, 2]);
    }

    #[test]
    fn of_covers_with_equal_bytes_the_one_with_fewer_parts_wins() {
        assert_eq!(chosen(&[found(0, 50, 0), found(50, 50, 1), found(0, 100, 2)]), [2]);
    }

    #[test]
    fn of_covers_with_as_many_parts_the_earlier_one_wins_then_the_preferred_part() {
        assert_eq!(chosen(&[found(10, 50, 0), found(5, 50, 1)]), [1]);
        assert_eq!(chosen(&[found(5, 50, 1), found(5, 50, 0)]), [0]);
    }

    #[test]
    fn clusters_are_taken_up_to_what_may_still_change() {
        let mut matches = vec![found(50, 10, 3), found(0, 10, 0), found(5, 10, 1), found(15, 10, 2), found(55, 30, 4)];
        let run = Run { start: 20, end: 40, period: 1 };
        let cluster = |matches: &[Placement], runs: &[Run]| Cluster { matches: matches.to_vec(), runs: runs.to_vec() };
        let mut runs = vec![run];
        let (clusters, limit) = take_clusters(&mut matches, &mut runs, 60);
        let overlapping = cluster(&[found(0, 10, 0), found(5, 10, 1)], &[]);
        assert_eq!(clusters, [overlapping, cluster(&[found(15, 10, 2)], &[run])]);
        assert_eq!((limit, &matches[..], &runs[..]), (50, &[found(50, 10, 3), found(55, 30, 4)][..], &[][..]));
        let rest = cluster(&matches, &[]);
        assert_eq!(take_clusters(&mut matches, &mut runs, 85), (vec![rest], 85));
    }

    proptest! {
        #[test]
        fn no_choice_covers_more(matches in prop::collection::vec((0u64..60, 1u64..30), 0..10)) {
            let mut matches: Vec<_> = matches.iter().zip(0..).map(|(&(start, length), part)| found(start, length, part)).collect();
            let most = (0u32..1 << matches.len()).filter_map(|choice| {
                let mut chosen: Vec<_> = (0..matches.len()).filter(|bit| choice >> bit & 1 != 0).map(|bit| matches[bit]).collect();
                chosen.sort_by_key(Placement::rank);
                let apart = chosen.windows(2).all(|pair| pair[0].end() <= pair[1].start);
                apart.then(|| (chosen.iter().map(|found| found.length).sum::<u64>(), usize::MAX - chosen.len()))
            }).max().unwrap();
            let chosen = cover(&mut matches);
            prop_assert!(chosen.windows(2).all(|pair| pair[0].end() <= pair[1].start));
            prop_assert_eq!((chosen.iter().map(|found| found.length).sum::<u64>(), usize::MAX - chosen.len()), most);
        }
    }
}
