//! Measures the search on inputs that are designed to make a matcher quadratic, and on random bytes of the same sizes:
//!
//! ```sh
//! cargo bench -p jigpress-benches --bench malice [-- IMAGE_MIB PARTS_MIB [CASES]]
//! ```
//!
//! CASES restricts it to those whose names contain that. For each case: the seconds of the search (the median of three),
//! their ratio to those of the random case, and the most memory that both searches had allocated. In the random case
//! all parts are noise, and each stands once in an image that is noise otherwise.

#![allow(unsafe_code)] // It counts what is allocated, which takes an allocator of its own.

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use jigdo::Checksum;
use jigpress::matcher::{Anchors, HeadFinder, PartId, PartSum, PartSums, Signature, SignatureTable, WINDOW, search};
use testing::noise;

const BLOCK: usize = 1024;

/// Counts what is allocated, and the most that was at any time.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        let now = ALLOCATED.fetch_add(memory.size(), Ordering::Relaxed) + memory.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, at: *mut u8, memory: Memory) {
        ALLOCATED.fetch_sub(memory.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(at, memory) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Parts in memory.
struct Parts {
    contents: Vec<Vec<u8>>,
    sums: Vec<OnceLock<PartSum>>,
}

impl Parts {
    fn new(contents: Vec<Vec<u8>>) -> Self {
        let sums = contents.iter().map(|_| OnceLock::new()).collect();
        Self { contents, sums }
    }

    fn table(&self) -> SignatureTable {
        let signature = |part: &Vec<u8>| {
            let mut finder = HeadFinder::new(BLOCK as u32);
            finder.push(part);
            let features = finder.finish().expect("parts are longer than a block");
            Signature { length: part.len() as u64, features }
        };
        SignatureTable::new(BLOCK as u32, self.contents.iter().map(signature).collect())
    }
}

impl PartSums for Parts {
    fn checksum(&self) -> Checksum {
        Checksum::Md5
    }

    fn sums(&self, parts: &[PartId]) -> Vec<Option<PartSum>> {
        let sum = |part: &PartId| {
            let part = part.0 as usize;
            *self.sums[part].get_or_init(|| PartSum::of(Checksum::Md5, &self.contents[part]))
        };
        parts.iter().map(|part| Some(sum(part))).collect()
    }

    fn read(&self, part: PartId, take: &mut dyn FnMut(&[u8])) {
        take(&self.contents[part.0 as usize]);
    }
}

/// Every block of this that begins at a multiple of four has the same rsync64, whatever the seed.
fn woven(seed: u64, length: usize) -> Vec<u8> {
    let order = |byte: &u8| if byte & 1 == 0 { *b"abba" } else { *b"baab" };
    noise(seed, length.div_ceil(4)).iter().flat_map(order).take(length).collect()
}

/// The bytes of the anchor by which a block is known.
fn anchor(block: &[u8]) -> Vec<u8> {
    let anchor = Anchors::new(block.len() as u32).best_of(block).expect("noise has anchors");
    block[anchor.offset as usize..][..WINDOW].to_vec()
}

/// `unit` again and again.
fn repeated(unit: &[u8], length: usize) -> Vec<u8> {
    unit.iter().copied().cycle().take(length).collect()
}

/// Pieces one after the other until there are `length` bytes.
fn pieces(length: usize, mut piece: impl FnMut(u64) -> Vec<u8>) -> Vec<u8> {
    let mut all = Vec::with_capacity(length);
    for number in 0.. {
        let piece = piece(number);
        let left = length - all.len();
        all.extend_from_slice(&piece[..piece.len().min(left)]);
        if all.len() == length {
            return all;
        }
    }
    all
}

/// Parts until they have `bytes` together.
fn parts(bytes: usize, mut part: impl FnMut(u64) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut left = bytes;
    loop {
        let part = part(all.len() as u64);
        if part.len() > left {
            return all;
        }
        left -= part.len();
        all.push(part);
    }
}

/// An image and parts that are hard together.
struct Case {
    name: &'static str,
    image: Vec<u8>,
    parts: Vec<Vec<u8>>,
}

fn cases(image: usize, of_parts: usize) -> Vec<Box<dyn Fn() -> Case>> {
    let make = move |name, of_image: fn(usize) -> Vec<u8>, part: fn(u64) -> Vec<u8>| {
        Box::new(move || Case { name, image: of_image(image), parts: parts(of_parts, part) }) as Box<dyn Fn() -> Case>
    };
    vec![
        make(
            "zeros; parts of zeros of all lengths",
            |length| vec![0; length],
            |number| vec![0; BLOCK + number as usize],
        ),
        make(
            "short runs of zeros; the same parts",
            |length| pieces(length, |number| [vec![0; 1024 + number as usize % 2000], vec![1]].concat()),
            |number| vec![0; BLOCK + number as usize],
        ),
        make(
            "a pattern of 100 bytes; parts of it of all lengths, beginning anywhere in it",
            |length| repeated(&noise(1, 100), length),
            |number| repeated(&noise(1, 100), 2 * BLOCK + 2 * number as usize)[number as usize % 100..].to_vec(),
        ),
        make(
            "one block again and again; parts that are it, many times, and something else",
            |length| repeated(&noise(1, BLOCK), length),
            |number| [repeated(&noise(1, BLOCK), BLOCK * (number as usize % 200 + 1)), noise(number + 2, 100)].concat(),
        ),
        make(
            "the same image; one part of 8 MiB of it and something else",
            |length| repeated(&noise(1, BLOCK), length),
            |_| [repeated(&noise(1, BLOCK), (8 << 20) - 100), noise(2, 100)].concat(),
        ),
        make(
            "150 bytes again and again; parts that are them, many times, beginning anywhere, and something else",
            |length| repeated(&noise(1, 150), length),
            |number| {
                let unit = repeated(&noise(1, 150), 20_000);
                [&unit[number as usize % 150..], &noise(number + 2, 50)].concat()
            },
        ),
        make(
            "one block again and again; parts that are beginnings of each other",
            |length| repeated(&noise(1, BLOCK), length),
            |number| repeated(&noise(1, BLOCK), BLOCK * (number as usize + 1)),
        ),
        make(
            "64 KiB but for the last byte, again and again; parts that differ in their last byte or two",
            |length| repeated(&noise(1, (64 << 10) - 2), length),
            |number| [&noise(1, (64 << 10) - 2)[..], &(number as u16).to_le_bytes()].concat(),
        ),
        make(
            "the first megabyte of all parts again and again; versions of one file",
            |length| repeated(&noise(1, 1 << 20), length),
            |number| [noise(1, 1 << 20), noise(number + 2, 100_000 + 7919 * number as usize)].concat(),
        ),
        make(
            "the first block of all parts between noise; ten thousand parts with one first block",
            |length| pieces(length, |number| [noise(1, BLOCK), noise(number + 2, 1000)].concat()),
            |number| [noise(1, BLOCK), noise(number + 2, 5000 + number as usize % 1500)].concat(),
        ),
        make(
            "zeros, then what follows the zeros of all parts; parts with more and more zeros",
            |length| pieces(length, |number| [vec![0; number as usize % 4000], noise(1, 3000)].concat()),
            |number| [vec![0; 2 * BLOCK + number as usize], noise(1, 3000)].concat(),
        ),
        make(
            "blocks with the sum of the parts' first block, every fourth byte; one such part",
            |length| woven(1, length),
            |_| woven(2, 8 << 20),
        ),
        make(
            "the same image; 1000 such parts",
            |length| woven(1, length),
            |number| woven(number + 2, 60_000 + number as usize),
        ),
        make(
            "the anchors of all parts between noise; parts that are noise",
            |length| {
                let anchors: Vec<_> = (0..1000).map(|number| anchor(&noise(number + 2, BLOCK))).collect();
                pieces(length, |number| [&anchors[number as usize % 1000][..], &noise(number + 2000, 60)].concat())
            },
            |number| noise(number + 2, 10_000),
        ),
        make(
            "one anchor again and again between noise; parts that have it at other places",
            |length| {
                let anchor = anchor(&noise(1, BLOCK));
                pieces(length, |number| [&anchor[..], &noise(number + 2000, 60)].concat())
            },
            |number| {
                let (before, anchor) = (noise(number + 2, number as usize % 1000), anchor(&noise(1, BLOCK)));
                [before, anchor, vec![0; BLOCK], noise(number + 2, 10_000)].concat()
            },
        ),
    ]
}

/// The seconds that the search takes, the most memory that it had allocated, in bytes, and how many bytes it matched.
fn measure(case: &Case) -> (f64, usize, u64) {
    let parts = Parts::new(case.parts.clone());
    let table = parts.table();
    let before = ALLOCATED.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let start = Instant::now();
    // As in a run: within the pool of threads.
    let search = || search(&table, &case.image[..], &parts).expect("memory can be read");
    let layout = rayon::join(search, || ()).0;
    let seconds = start.elapsed().as_secs_f64();
    (seconds, MOST.load(Ordering::Relaxed) - before, black_box(layout).matched())
}

fn median(case: &Case) -> (f64, usize, u64) {
    let mut runs: Vec<_> = (0..3).map(|_| measure(case)).collect();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    runs[1]
}

fn main() {
    let mut sizes = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let image = sizes.next().unwrap_or(64) << 20;
    let of_parts = sizes.next().unwrap_or(16) << 20;
    let chosen = std::env::args().filter(|argument| !argument.starts_with('-')).nth(3).unwrap_or_default();
    println!("| image; parts | matched | seconds | times random | MiB | random's MiB |");
    println!("|---|---|---|---|---|---|");
    for case in cases(image, of_parts) {
        let case = case();
        if !case.name.contains(&chosen) {
            continue;
        }
        let lengths = || case.parts.iter().zip(1 << 32..);
        let parts: Vec<Vec<u8>> = lengths().map(|(part, seed)| noise(seed, part.len())).collect();
        let between = (image - of_parts) / parts.len();
        let random = pieces(image, |number| match parts.get(number as usize) {
            Some(part) => [&noise(number, between)[..], part].concat(),
            None => noise(number, image),
        });
        let random = Case { name: "", image: random, parts };
        let ((seconds, memory, matched), (random, random_memory, _)) = (median(&case), median(&random));
        let (share, ratio) = (matched as f64 / image as f64 * 100.0, seconds / random);
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        let (memory, random_memory) = (mib(memory), mib(random_memory));
        println!("| {} | {share:.0} % | {seconds:.2} | {ratio:.1} | {memory:.1} | {random_memory:.1} |", case.name);
    }
}
