//! The cover: which of the matches that overlap are recorded.

use super::Match;

/// The choice among `matches` that covers the most bytes without overlap; of equal ones, that with fewer parts; then
/// the one that, where they first differ, has the earlier part, then the longer one, then the one to be preferred.
/// The result is in the order of the image.
///
/// Takes O(n log n) time for n matches.
pub fn cover(matches: &mut Vec<Match>) -> Vec<Match> {
    matches.sort_unstable_by_key(|found| (found.start, std::cmp::Reverse(found.length), found.part));
    matches.dedup();
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
        let rest = place + 1 + matches[place + 1..].partition_point(|later| later.start < found.end());
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
    use crate::digest::Sum;
    use crate::matcher::PartId;
    use proptest::prelude::*;

    fn found(start: u64, length: u64, part: u32) -> Match {
        Match { start, length, part: PartId(part), sum: Sum::Md5([0; 16]) }
    }

    fn chosen(matches: &[Match]) -> Vec<u32> {
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

    proptest! {
        #[test]
        fn no_choice_covers_more(matches in prop::collection::vec((0u64..60, 1u64..30), 0..10)) {
            let mut matches: Vec<_> = matches.iter().zip(0..).map(|(&(start, length), part)| found(start, length, part)).collect();
            let most = (0u32..1 << matches.len()).filter_map(|choice| {
                let mut chosen: Vec<_> = (0..matches.len()).filter(|bit| choice >> bit & 1 != 0).map(|bit| matches[bit]).collect();
                chosen.sort();
                let apart = chosen.windows(2).all(|pair| pair[0].end() <= pair[1].start);
                apart.then(|| (chosen.iter().map(|found| found.length).sum::<u64>(), usize::MAX - chosen.len()))
            }).max().unwrap();
            let chosen = cover(&mut matches);
            prop_assert!(chosen.windows(2).all(|pair| pair[0].end() <= pair[1].start));
            prop_assert_eq!((chosen.iter().map(|found| found.length).sum::<u64>(), usize::MAX - chosen.len()), most);
        }
    }
}
