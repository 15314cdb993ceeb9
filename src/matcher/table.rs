//! The signature table: from the rolling sum of a block to the parts that have it.
//!
//! At nearly every position of an image the sum is one that no part has. A bitmap over the top bits of the sum rejects
//! these with one load; only the others are looked up in the hash table.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use jigdo::Rsync64;
use parking_lot::RwLock;

use super::anchors::KnownAnchors;
use super::fingerprint::Key;
use super::head::{Head, repetition};
use super::prefixes::Prefixes;
use super::{PartId, PartSums, Signature};

/// The signatures of all parts of an image's mirrors.
pub struct SignatureTable {
    block_length: u32,
    signatures: Vec<Signature>,
    /// The parts grouped by key, in each group the longest first, then in the order of preference.
    by_key: Vec<PartId>,
    /// Where in `by_key` each group begins, and finally where the last one ends.
    groups: Vec<u32>,
    /// A hash table with open addressing: the number of a key's group plus one; 0 for a free slot.
    slots: Vec<u32>,
    /// The period of the periodic parts of each group that has any, in bytes, by the group's first part.
    periods: HashMap<PartId, u32>,
    /// One bit for each value of the top bits of `lo` and `hi` together.
    bitmap: Vec<u64>,
    bitmap_shift: u32,
    anchors: KnownAnchors,
    /// The longest distance from a part's start to its signature's block, in bytes.
    longest_lead: u64,
    /// For each part that has been searched, where blocks of other parts begin inside it.
    inner: RwLock<HashMap<PartId, Arc<[u64]>>>,
    /// What distinguishes the parts of a group, at the index of its first part; made on first use.
    prefixes: OnceLock<Box<[OnceLock<Prefixes>]>>,
    fingerprints: OnceLock<Key>,
}

/// The sum under which the table knows a part.
fn key(signature: &Signature) -> u64 {
    match signature.features.head {
        Head::Block { rsync64, .. } => rsync64,
        Head::Periodic { .. } => signature.features.first,
    }
    .to_u64()
}

/// Spreads a key over the slots.
fn spread(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize
}

/// The index of a sum's bit in the bitmap. `lo` alone would be the same for all blocks of a repeated block.
#[inline(always)]
fn bit_of(rsync64: Rsync64, shift: u32) -> usize {
    ((rsync64.lo ^ rsync64.hi) >> shift) as usize
}

impl SignatureTable {
    /// The table of these parts; a part's number is its place among them. Blocks have `block_length` bytes.
    ///
    /// # Panics
    /// With 2^32 parts or more, or one that is shorter than a block.
    pub fn new(block_length: u32, signatures: Vec<Signature>) -> Self {
        assert!(signatures.iter().all(|signature| signature.length >= u64::from(block_length)));
        let count = u32::try_from(signatures.len()).expect("a mirror has fewer than 2^32 files");
        let mut by_key: Vec<PartId> = (0..count).map(PartId).collect();
        let of = |part: PartId| &signatures[part.0 as usize];
        by_key.sort_unstable_by_key(|&part| (key(of(part)), std::cmp::Reverse(of(part).length), part));

        // With 32 bits per part, three positions of a hundred pass. At most 8 MiB keep the bitmap in the caches.
        let bits = (signatures.len().max(1) * 32).next_power_of_two().clamp(1 << 12, 1 << 26);
        let bitmap_shift = 32 - bits.trailing_zeros();
        let mut bitmap = vec![0u64; bits / 64];
        let is_first = |&place: &usize| place == 0 || key(of(by_key[place - 1])) != key(of(by_key[place]));
        let groups: Vec<u32> = (0..by_key.len()).filter(is_first).chain([by_key.len()]).map(|at| at as u32).collect();
        let mut slots = vec![0u32; (groups.len() * 2).next_power_of_two()];
        let mask = slots.len() - 1;
        for (group, &first) in groups[..groups.len() - 1].iter().enumerate() {
            let key = key(of(by_key[first as usize]));
            let bit = bit_of(Rsync64::from_u64(key), bitmap_shift);
            bitmap[bit / 64] |= 1 << (bit % 64);
            let mut slot = spread(key) & mask;
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = group as u32 + 1;
        }
        let period = |&part: &PartId| match of(part).features.head {
            Head::Periodic { period } => Some(period),
            Head::Block { .. } => None,
        };
        let parts = |ends: &[u32]| &by_key[ends[0] as usize..ends[1] as usize];
        let groups_of_parts = groups.windows(2).map(parts);
        let periods = groups_of_parts.filter_map(|parts| Some((parts[0], parts.iter().find_map(period)?))).collect();
        let lead = |signature: &Signature| match signature.features.head {
            Head::Block { offset, .. } => offset,
            Head::Periodic { .. } => 0,
        };
        let longest_lead = signatures.iter().map(lead).max().unwrap_or(0);
        let anchors = KnownAnchors::new(count, |part| of(PartId(part)).features.anchor);
        Self {
            block_length,
            signatures,
            by_key,
            groups,
            slots,
            periods,
            bitmap,
            bitmap_shift,
            anchors,
            longest_lead,
            inner: RwLock::default(),
            prefixes: OnceLock::new(),
            fingerprints: OnceLock::new(),
        }
    }

    /// In bytes.
    pub fn block_length(&self) -> u32 {
        self.block_length
    }

    /// The signature of a part.
    pub fn signature(&self, part: PartId) -> &Signature {
        &self.signatures[part.0 as usize]
    }

    /// The longest distance from a part's start to the block by which it is found, in bytes.
    pub fn longest_lead(&self) -> u64 {
        self.longest_lead
    }

    /// The parts that have a block with this sum, the longest first.
    pub fn parts(&self, rsync64: Rsync64) -> &[PartId] {
        let key = rsync64.to_u64();
        let mask = self.slots.len() - 1;
        let mut slot = spread(key) & mask;
        while self.slots[slot] != 0 {
            let group = self.slots[slot] as usize - 1;
            let parts = &self.by_key[self.groups[group] as usize..self.groups[group + 1] as usize];
            if self::key(self.signature(parts[0])) == key {
                return parts;
            }
            slot = (slot + 1) & mask;
        }
        &[]
    }

    /// The offsets inside `part`, after its first, at which blocks of parts begin, except those of periodic parts. `None`
    /// until [`SignatureTable::learn_inner`] has searched it.
    pub fn inner(&self, part: PartId) -> Option<Arc<[u64]>> {
        self.inner.read().get(&part).cloned()
    }

    /// Remembers what [`SignatureTable::inner`] returns, unless another thread has meanwhile done so.
    pub(super) fn remember_inner(&self, part: PartId, offsets: Vec<u64>) -> Arc<[u64]> {
        let mut inner = self.inner.write();
        Arc::clone(inner.entry(part).or_insert_with(|| offsets.into()))
    }

    /// The period, in bytes, of those of `parts`, a whole group, that are periodic as a whole. `None` if none of them is.
    pub fn period(&self, parts: &[PartId]) -> Option<u32> {
        self.periods.get(parts.first()?).copied()
    }

    /// Whether any part is periodic as a whole.
    pub fn has_periodic_parts(&self) -> bool {
        !self.periods.is_empty()
    }

    /// How long the run is that `bytes` begin with, if their first block is that of a part among `parts` that is
    /// periodic as a whole. No block inside the run can belong to a part that is not.
    pub fn run_at(&self, bytes: &[u8], parts: &[PartId]) -> Option<usize> {
        let length = repetition(bytes, self.period(parts)? as usize);
        // Another block may have the sum of a periodic one.
        (length >= self.block_length as usize).then_some(length)
    }

    /// The key of all fingerprints that are compared with those of [`SignatureTable::prefixes`].
    pub fn fingerprints(&self) -> &Key {
        self.fingerprints.get_or_init(Key::random)
    }

    /// What tells `parts` apart, which [`SignatureTable::parts`] gave. The parts are read the first time.
    pub fn prefixes(&self, parts: &[PartId], sums: &dyn PartSums) -> &Prefixes {
        let all = self.prefixes.get_or_init(|| self.signatures.iter().map(|_| OnceLock::new()).collect());
        let place = &all[parts[0].0 as usize];
        if let Some(known) = place.get() {
            return known;
        }
        // Made outside of the lock: a thread that waits for its share of this work may come across the same parts.
        let signature = |part| self.signature(part);
        let made = Prefixes::new(self.fingerprints(), parts, signature, self.block_length, sums);
        place.get_or_init(|| made)
    }

    /// The anchors of the blocks under whose sums the table knows its parts.
    pub fn anchors(&self) -> &KnownAnchors {
        &self.anchors
    }

    /// Whether [`SignatureTable::parts`] may return any. For three of a hundred sums that no part has this is true too.
    #[inline(always)]
    pub fn may_have(&self, rsync64: Rsync64) -> bool {
        let bit = bit_of(rsync64, self.bitmap_shift);
        self.bitmap[bit / 64] >> (bit % 64) & 1 != 0
    }
}
