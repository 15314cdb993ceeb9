//! Measures how many bytes per second the inner loops process, each on its own and in memory:
//!
//! ```sh
//! cargo bench -p jigpress-benches --bench kernels [-- FILTER]
//! ```
//!
//! FILTER restricts it to those whose names contain that. Templates are written by all of rayon's threads, everything
//! else is done by one.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

use jigdo::template::{ImageEntry, Options, Writer};
use jigdo::{Algorithm, Checksum, Rsync64, Sum};
use jigpress::digest::{Hasher, update_all};
use jigpress::matcher::{HeadFinder, Signature, SignatureTable};
use testing::noise;

const MIB: usize = 1 << 20;
const BLOCK: usize = 1024;

/// A list of files, as the indexes that images carry have them.
fn listing(length: usize) -> Vec<u8> {
    let line = |(number, name): (usize, &[u8])| {
        let name = u32::from_le_bytes(name.try_into().expect("there are four bytes"));
        format!("./pool/main/{}/package-{number}/package_{name:08x}_amd64.deb\n", name % 26)
    };
    let mut bytes: Vec<u8> =
        noise(1, length / 10).chunks_exact(4).enumerate().flat_map(|line_of| line(line_of).into_bytes()).collect();
    bytes.truncate(length);
    bytes
}

/// Measures in a second or two, which is enough to see a twentieth.
fn group<'c>(criterion: &'c mut Criterion, name: &str, bytes: usize) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Bytes(bytes as u64));
    group
}

fn rsync64(criterion: &mut Criterion) {
    let bytes = noise(2, MIB);
    group(criterion, "rsync64", bytes.len()).bench_function("rolling", |bencher| {
        bencher.iter(|| {
            let mut sum = Rsync64::of(&bytes[..BLOCK]);
            for (&front, &back) in bytes.iter().zip(&bytes[BLOCK..]) {
                sum.roll(front, back, BLOCK as u32);
            }
            sum
        });
    });
}

fn scan(criterion: &mut Criterion) {
    let signature = |part| {
        let part = noise(part, 4 * BLOCK);
        let mut finder = HeadFinder::new(BLOCK as u32);
        finder.push(&part);
        let features = finder.finish().expect("the part is longer than a block");
        Signature { length: part.len() as u64, features }
    };
    let table = SignatureTable::new(BLOCK as u32, (3..2003).map(signature).collect());
    let image = noise(2, 8 * MIB);
    group(criterion, "scan", image.len())
        .bench_function("unmatched", |bencher| bencher.iter(|| table.hits(black_box(&image), 0).count()));
}

fn lanes(criterion: &mut Criterion) {
    let bytes = noise(2, 2 * MIB);
    for algorithm in [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512] {
        for streams in [1, 2, 4, 8, 16, 32] {
            let mut hashers = vec![Hasher::new(algorithm); streams];
            // Half of a common second-level cache, whatever the number of streams.
            let pieces = bytes[..MIB].chunks_exact(MIB / streams);
            group(criterion, algorithm.name(), MIB).bench_function(format!("streams/{streams}"), |bencher| {
                bencher.iter(|| update_all(&mut hashers.iter_mut().zip(pieces.clone()).collect::<Vec<_>>()));
            });
        }
    }
}

fn template(criterion: &mut Criterion) {
    let length = 4 * MIB;
    for (name, data) in [("text", listing(length)), ("noise", noise(2, length)), ("zeros", vec![0; length])] {
        let image =
            || ImageEntry { length: data.len() as u64, sum: Sum::Md5([0; 16]), block_length: Some(BLOCK as u32) };
        group(criterion, "template", data.len()).bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut writer =
                    Writer::new(Vec::new(), Options::new(Checksum::Md5, "test/1.0")).expect("a Vec takes every write");
                writer.unmatched(&data).expect("a Vec takes every write");
                writer.finish(image()).expect("the areas are the image").len()
            });
        });
    }
}

criterion_group!(kernels, rsync64, scan, lanes, template);
criterion_main!(kernels);
