//! Distinguishes parts whose heads have the same sum: finds which of them an image has at an offset, in time that grows
//! with the logarithm of their number, whatever they have in common.
//!
//! What matters of a part is its body: the part from the head's block on. The longest length at which the image agrees
//! with some body is found by bisection of the lengths that bodies have. For that, each body is entered with the
//! fingerprints of its beginnings at those lengths that the bisection visits on its way, each with the longest body that
//! is such a beginning (as Waldvogel and others look up address prefixes: "Scalable High Speed IP Routing Lookups", 1997).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::ops::Range;

use super::fingerprint::{Fingerprint, Glance, Key, Samples};
use super::head::{self, Head};
use super::{PartId, PartSums, Signature};

/// A part of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub part: PartId,
    /// How far before the body the part begins, in bytes. These bytes repeat themselves.
    pub lead: u64,
    /// Their period, in bytes, which continues in the body's first quarter block.
    pub period: u32,
}

/// The content of parts from their head's block on.
struct Body {
    /// The index of its length among the lengths.
    length: usize,
    /// The longest other body that is a beginning of it.
    shorter: Option<u32>,
    /// The parts that end with it, the longest first, each with a different lead.
    members: Vec<Member>,
}

/// The bodies of parts whose heads have the same sum.
pub struct Prefixes {
    /// The lengths that bodies have, in bytes and ascending, with their shifts.
    lengths: Vec<(u64, Fingerprint)>,
    bodies: Vec<Body>,
    /// The beginnings that lead to bodies, and these themselves: the longest body that each of them begins with.
    beginnings: HashMap<(u32, Fingerprint), Option<u32>, BuildHasherDefault<Mix>>,
    /// How to hash a few words of a block, and the hashes of the first block of each body.
    glance: Glance,
    glances: HashSet<u64, BuildHasherDefault<Mix>>,
}

impl Prefixes {
    /// Reads each of `parts`, which `signature` describes; those that cannot be read are left out.
    pub fn new<'a>(
        key: &Key,
        parts: &[PartId],
        signature: impl Fn(PartId) -> &'a Signature,
        block_length: u32,
        sums: &dyn PartSums,
    ) -> Self {
        let body_of = |&part: &PartId| match signature(part).features.head {
            Head::Block { offset, .. } => Some((signature(part).length - offset, offset, part)),
            Head::Periodic { .. } => None,
        };
        let mut found: Vec<(u64, u64, PartId)> = parts.iter().filter_map(body_of).collect();
        found.sort_unstable();
        let mut lengths: Vec<u64> = found.iter().map(|&(length, ..)| length).collect();
        lengths.dedup();
        let lengths = lengths.into_iter().map(|length| (length, key.shift(length))).collect();
        // Even where a word has few values, most blocks differ from all these in some.
        let glance = key.glance(block_length, 4 + found.len().max(1).ilog2() as usize);
        let mut prefixes =
            Self { lengths, bodies: Vec::new(), beginnings: HashMap::default(), glance, glances: HashSet::default() };
        for (length, lead, part) in found {
            sums.read(part, &mut |bytes| {
                // A file that has changed is detected when its sum is compared.
                let Some(body) = bytes.get(lead as usize..).filter(|body| body.len() as u64 == length) else { return };
                let period = head::period(&bytes[..block_length as usize]).unwrap_or_default();
                prefixes.glances.insert(prefixes.glance.at(&body[..block_length as usize]));
                prefixes.insert(key, body, Member { part, lead, period });
            });
        }
        for body in &mut prefixes.bodies {
            body.members.sort_unstable_by_key(|member| (std::cmp::Reverse(member.lead), member.part));
            body.members.dedup_by_key(|member| member.lead);
        }
        prefixes
    }

    /// Adds a body that is at least as long as all before it.
    fn insert(&mut self, key: &Key, bytes: &[u8], member: Member) {
        let mut samples = Samples::new(bytes.len() as u64);
        samples.push(key, bytes);
        let of_first = |length: u64| {
            let (known, fingerprint) = samples.before(length);
            key.extend(fingerprint, &bytes[known as usize..length as usize])
        };
        let place = self.lengths.partition_point(|&(length, _)| length < bytes.len() as u64);
        let whole = (place as u32, of_first(bytes.len() as u64));
        if let Some(&Some(known)) = self.beginnings.get(&whole) {
            self.bodies[known as usize].members.push(member);
            return;
        }
        let shorter = self.bisect(place, |length, _| Ok(of_first(length))).unwrap_or_default();
        for middle in path(self.lengths.len(), place) {
            if middle < place {
                // If a shorter body had this beginning in common with this one, it would be there already.
                let beginning = (middle as u32, of_first(self.lengths[middle].0));
                if let Entry::Vacant(vacant) = self.beginnings.entry(beginning) {
                    vacant.insert(shorter);
                }
            }
        }
        self.beginnings.insert(whole, Some(self.bodies.len() as u32));
        self.bodies.push(Body { length: place, shorter, members: vec![member] });
    }

    /// The longest body, among those of the first `most` lengths, with which a sequence begins. `of_first` returns the
    /// fingerprint of the sequence's beginning of a length, of which it also receives the shift.
    fn bisect(
        &self,
        most: usize,
        mut of_first: impl FnMut(u64, Fingerprint) -> io::Result<Fingerprint>,
    ) -> io::Result<Option<u32>> {
        let mut best = None;
        let mut range = 0..self.lengths.len();
        while let Some(middle) = middle(&range) {
            let (length, shift) = self.lengths[middle];
            let known = match middle < most {
                true => self.beginnings.get(&(middle as u32, of_first(length, shift)?)),
                false => None,
            };
            match known {
                Some(&body) => (best, range.start) = (body, middle + 1),
                None => range.end = middle,
            }
        }
        Ok(best)
    }

    /// The longest body with which a sequence of `length` bytes begins. `of_first` returns the fingerprint of the
    /// sequence's beginning of a length, of which it also receives the shift.
    pub fn longest_of(
        &self,
        length: u64,
        of_first: impl FnMut(u64, Fingerprint) -> io::Result<Fingerprint>,
    ) -> io::Result<Option<u32>> {
        self.bisect(self.lengths.partition_point(|&(known, _)| known <= length), of_first)
    }

    /// This body and all that it begins with, the longest first: their lengths, and the parts that end with them.
    pub fn down_from(&self, body: Option<u32>) -> impl Iterator<Item = (u64, &[Member])> {
        let at = |body: Option<u32>| body.map(|body| &self.bodies[body as usize]);
        let bodies = std::iter::successors(at(body), move |longer| at(longer.shorter));
        bodies.map(|body| (self.lengths[body.length].0, &body.members[..]))
    }

    /// Whether some body may begin with this block: nearly never true for a different block with the same sum.
    pub fn may_begin(&self, block: &[u8]) -> bool {
        self.glances.contains(&self.glance.at(block))
    }

    /// The length of the longest body, in bytes.
    pub fn longest(&self) -> u64 {
        self.lengths.last().map_or(0, |&(length, _)| length)
    }
}

/// Where the bisection of `range` looks first, if there is anything left.
fn middle(range: &Range<usize>) -> Option<usize> {
    (!range.is_empty()).then(|| range.start + range.len() / 2)
}

/// Where the bisection of `count` lengths looks on its way to `place`.
fn path(count: usize, place: usize) -> impl Iterator<Item = usize> {
    let mut range = 0..count;
    std::iter::from_fn(move || {
        let middle = middle(&range)?;
        range = if middle < place { middle + 1..range.end } else { range.start..middle };
        Some(middle)
    })
}

/// The hasher of a table whose keys hold fingerprints, which are as good as random.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::PartSum;
    use crate::matcher::head::Features;
    use jigdo::{Checksum, Rsync64};
    use proptest::prelude::*;

    struct Contents(Vec<Vec<u8>>);

    impl PartSums for Contents {
        fn checksum(&self) -> Checksum {
            Checksum::Md5
        }

        fn sums(&self, parts: &[PartId]) -> Vec<Option<PartSum>> {
            vec![None; parts.len()]
        }

        fn read(&self, part: PartId, take: &mut dyn FnMut(&[u8])) {
            take(&self.0[part.0 as usize]);
        }
    }

    /// Sequences that often begin alike.
    fn sequence() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![9 => Just(0u8), 1 => Just(1u8)], 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn every_body_that_a_sequence_begins_with_is_found(
            bodies in prop::collection::vec(sequence(), 0..30),
            at in sequence(),
        ) {
            let key = Key::random();
            let rsync64 = Rsync64::default();
            let signatures: Vec<_> = bodies.iter().map(|body| {
                let head = Head::Block { offset: 0, rsync64 };
                Signature { length: body.len() as u64, features: Features { head, first: rsync64, anchor: None } }
            }).collect();
            let parts: Vec<_> = (0..bodies.len() as u32).map(PartId).collect();
            let contents = Contents(bodies);
            let prefixes = Prefixes::new(&key, &parts, |part| &signatures[part.0 as usize], 1, &contents);
            let of_first = |length: u64, _| Ok(key.extend(Fingerprint::default(), &at[..length as usize]));
            let longest = prefixes.longest_of(at.len() as u64, of_first).unwrap();
            let found: Vec<_> = prefixes.down_from(longest)
                .map(|(length, members)| (length, members[0].part)).collect();
            let mut expected: Vec<_> = parts.iter()
                .filter(|part| at.starts_with(&contents.0[part.0 as usize]))
                .map(|&part| (contents.0[part.0 as usize].len() as u64, part)).collect();
            expected.sort_by_key(|&(length, part)| (std::cmp::Reverse(length), part));
            expected.dedup_by_key(|&mut (length, _)| length);
            prop_assert_eq!(found, expected);
        }
    }
}
