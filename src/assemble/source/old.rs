//! Parts inside old images, found by their first blocks with the matcher.
//!
//! File systems are not parsed, and nothing need be mounted. A block that repeats a short pattern, usually zeros,
//! occurs at every position of a run of that pattern. Candidates for such a part are the beginning of the run and the
//! last sectors before its end.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jigdo::escaped_path;
use rayon::prelude::*;

use super::Source;
use crate::assemble::{FirstBlock, Part, PartPlace};
use crate::file::Bytes as _;
use crate::file::Mapped;
use crate::matcher::{Beginning, FirstBlocks, PartId, Signature, SignatureTable};
use crate::progress::Progress;

/// How much of an image a thread searches at a time, in bytes.
const SECTION: u64 = 16 << 20;

/// The most places that are returned for a part. Each wrong one costs a read of the part.
const MOST_PLACES: usize = 32;

/// The most candidates in one section: an image that consists only of first blocks would have far more.
const MOST_IN_SECTION: usize = 1 << 16;

/// The alignments at which file systems and archives place files, in bytes.
const SECTORS: [u64; 2] = [2048, 512];

/// Images that may contain parts.
pub struct OldImages<'a> {
    images: Vec<PathBuf>,
    progress: &'a dyn Progress,
}

impl<'a> OldImages<'a> {
    /// Takes these images. They are read when parts are looked for; one that cannot be read is then reported as a
    /// warning.
    pub fn new(images: Vec<PathBuf>, progress: &'a dyn Progress) -> Self {
        Self { images, progress }
    }
}

impl Source for OldImages<'_> {
    fn find(&self, parts: &[Part]) -> Vec<Vec<PartPlace>> {
        let mut places = vec![Vec::new(); parts.len()];
        let mut by_block_length: HashMap<u32, (Vec<usize>, Vec<Signature>)> = HashMap::new();
        for (number, part) in parts.iter().enumerate() {
            if let Some(FirstBlock { length, rsync64 }) = part.first_block {
                let (numbers, signatures) = by_block_length.entry(length).or_default();
                numbers.push(number);
                signatures.push(Signature::of_first_block(part.length, rsync64));
            }
        }
        for (block_length, (numbers, signatures)) in by_block_length {
            let table = SignatureTable::new(block_length, signatures);
            for path in &self.images {
                let file = Arc::from(&**path);
                match search(path, &table) {
                    Ok(found) => found.into_iter().for_each(|Candidate { part, offset, .. }| {
                        let places: &mut Vec<_> = &mut places[numbers[part.0 as usize]];
                        if places.len() < MOST_PLACES {
                            places.push(PartPlace::Inside { file: Arc::clone(&file), offset });
                        }
                    }),
                    Err(error) => {
                        let what = format!("cannot look for parts in {}: {error}", escaped_path(&path));
                        self.progress.warn(&what);
                    }
                }
            }
        }
        places
    }
}

/// A part that may be at an offset of an image. More likely candidates sort first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Whether it is in a run that continues in the next section.
    is_cut: bool,
    offset: u64,
    part: PartId,
}

/// The parts that may be in the image at `path`, the most likely places first.
fn search(path: &Path, table: &SignatureTable) -> io::Result<Vec<Candidate>> {
    let image = Mapped::open(path)?;
    let starts: Vec<u64> = (0..image.length()).step_by(SECTION as usize).collect();
    let found: Vec<Vec<_>> =
        starts.into_par_iter().map(|start| search_section(&image, start, table)).collect::<io::Result<_>>()?;
    image.intact()?;
    let mut found: Vec<Candidate> = found.into_iter().flatten().collect();
    found.sort();
    Ok(found)
}

/// The candidates that begin in the section at `start`, in any order.
fn search_section(image: &Mapped, start: u64, table: &SignatureTable) -> io::Result<Vec<Candidate>> {
    let block = u64::from(table.block_length());
    // The byte before the section shows whether a run begins at its first byte. The bytes after it complete the last
    // block.
    let range = start.saturating_sub(1)..image.length().min(start + SECTION + block - 1);
    let bytes = image.window(range.clone())?;
    let mut found = Vec::new();
    for Beginning { range: at, run_begins, parts } in FirstBlocks::new(table, &bytes, (start - range.start) as usize) {
        let mut add = |offset: u64, is_cut| {
            let fits = |part: &&PartId| table.signature(**part).length <= image.length() - offset;
            found.extend(parts.iter().filter(fits).take(MOST_IN_SECTION).map(|&part| Candidate {
                is_cut,
                offset,
                part,
            }));
        };
        let in_image = range.start + at.start as u64..range.start + at.end as u64;
        match run_begins {
            None => add(in_image.start, false),
            Some(begins_here) => {
                let is_cut = at.end == bytes.len() && range.end < image.length();
                likely(in_image, begins_here, block).into_iter().for_each(|offset| add(offset, is_cut));
            }
        }
        if found.len() >= MOST_IN_SECTION {
            break;
        }
    }
    image.release(range);
    Ok(found)
}

/// The most likely offsets in a run for a part that begins with the same pattern.
fn likely(run: Range<u64>, begins_here: bool, block: u64) -> Vec<u64> {
    let mut offsets = if begins_here { vec![run.start] } else { Vec::new() };
    let last = run.end - block;
    for sector in SECTORS {
        let down = (0..MOST_PLACES as u64 / 4).map_while(|back| (last / sector * sector).checked_sub(back * sector));
        offsets.extend(down.take_while(|&offset| offset >= run.start));
    }
    let mut seen = HashSet::new();
    offsets.retain(|&offset| seen.insert(offset));
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use jigdo::{Checksum, Rsync64, Sum};
    use testing::noise;

    const BLOCK: usize = 256;

    fn part(content: &[u8]) -> Part {
        let first_block = Some(FirstBlock { rsync64: Rsync64::of(&content[..BLOCK]), length: BLOCK as u32 });
        Part { sum: Sum::of(Checksum::Md5, content), length: content.len() as u64, first_block }
    }

    /// Where parts are found in an image.
    fn offsets(image: &[u8], parts: &[&[u8]]) -> Vec<Vec<u64>> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("old.iso");
        std::fs::write(&path, image).unwrap();
        let parts: Vec<Part> = parts.iter().map(|content| part(content)).collect();
        let offset = |place: PartPlace| match place {
            PartPlace::Inside { offset, .. } => offset,
            other => panic!("{other}"),
        };
        let found = OldImages::new(vec![place.path().join("missing"), path], &Silent).find(&parts);
        found.into_iter().map(|places| places.into_iter().map(offset).collect()).collect()
    }

    #[test]
    fn parts_are_found_at_any_offset_and_wherever_sections_meet() {
        let (one, two, three) = (noise(1, 5000), noise(2, 300), noise(3, BLOCK));
        let mut image = noise(9, 2 * SECTION as usize + 5000);
        let mut put = |at: usize, part: &[u8]| image[at..at + part.len()].copy_from_slice(part);
        put(0, &one);
        put(10_001, &two);
        put(SECTION as usize - 100, &one);
        put(2 * SECTION as usize - BLOCK + 1, &two);
        let end = 2 * SECTION as usize + 5000 - BLOCK;
        put(end, &three);
        let found = offsets(&image, &[&one, &two, &three, &noise(4, 1000)]);
        let section = SECTION;
        let expected = [vec![0, section - 100], vec![10_001, 2 * section - 255], vec![end as u64], vec![]];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_part_that_would_end_after_the_image_is_not_assumed() {
        let part = noise(1, 5000);
        assert!(offsets(&part[..4999], &[&part])[0].is_empty());
    }

    #[test]
    fn parts_that_begin_with_zeros_are_assumed_where_runs_begin_and_sectors_before_their_ends() {
        let part = [vec![0; 3000], noise(1, 5000)].concat();
        let whole = vec![0; 40_000];
        let mut image = noise(9, 200_000);
        // In an archive, and on a disc after other zeros.
        image[1537..1537 + 8000].copy_from_slice(&part);
        image[20_480..40_960 + 3000].fill(0);
        image[40_960..40_960 + 8000].copy_from_slice(&part);
        image[100_001..150_000].fill(0);
        let found = offsets(&image, &[&part, &whole]);
        for offset in [1537, 40_960] {
            assert!(found[0].contains(&offset), "{found:?}");
        }
        assert!(found[1].contains(&100_001), "{found:?}");
        assert!(found.iter().all(|offsets| offsets.len() <= MOST_PLACES));
    }
}
