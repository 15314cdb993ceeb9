//! The cover: which of the matches that overlap are recorded.

use std::cmp::Reverse;

use super::PartId;

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
    /// The offset behind the part's last byte.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }

    /// The order in which placements are preferred that cover as many bytes with as many parts.
    fn rank(&self) -> (u64, Reverse<u64>, PartId) {
        (self.start, Reverse(self.length), self.part)
    }
}

/// What says that a part is at an offset.
pub trait Placed: Copy {
    /// Which part, and where.
    fn placement(&self) -> Placement;
}

impl Placed for Placement {
    fn placement(&self) -> Placement {
        *self
    }
}

/// Takes those of `matches` that no match found later can have to do with, if these begin at `certain` or later.
/// They are given as clusters: matches that overlap, one after the other. The choice in a cluster is independent of
/// that in others. Also gives the offset before which all was given.
pub fn take_clusters<M: Placed>(matches: &mut Vec<M>, certain: u64) -> (Vec<Vec<M>>, u64) {
    matches.sort_unstable_by_key(|found| found.placement().rank());
    let mut clusters = Vec::new();
    let mut limit = certain;
    let (mut first, mut end) = (0, 0);
    for place in 0..=matches.len() {
        let next = matches.get(place).map(Placed::placement);
        if next.is_none_or(|next| next.start >= end) {
            clusters.extend((first < place).then(|| matches[first..place].to_vec()));
            first = place;
        }
        let Some(next) = next.filter(|next| next.start < certain) else { break };
        end = end.max(next.end());
        if end > certain {
            limit = matches[first].placement().start;
            break;
        }
    }
    matches.drain(..first);
    (clusters, limit)
}

/// The choice among `matches` that covers the most bytes without overlap; of equal ones, that with fewer parts; then
/// the one that, where they first differ, has the earlier part, then the longer one, then the one to be preferred.
/// The result is in the order of the image.
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
        let rest = place + 1 + matches[place + 1..].partition_point(|later| later.placement().start < found.end());
        let with =
            Best { bytes: found.length + best[rest].bytes, parts: 1 + best[rest].parts, first: Some(place), rest };
        let without = best[place + 1];
        // What comes first in this order wins a tie, and `found` comes before all that is left without it.
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
        assert_eq!(
            take_clusters(&mut matches, 60),
            (vec![vec![found(0, 10, 0), found(5, 10, 1)], vec![found(15, 10, 2)]], 50)
        );
        assert_eq!(matches, [found(50, 10, 3), found(55, 30, 4)]);
        assert_eq!(take_clusters(&mut matches, 85), (vec![vec![found(50, 10, 3), found(55, 30, 4)]], 85));
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
