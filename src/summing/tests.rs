use std::io::Write as _;
use std::path::Path;

use proptest::prelude::*;
use testing::noise;

use super::*;
use crate::file::Bytes as _;

fn file(bytes: &[u8]) -> (tempfile::NamedTempFile, Arc<Mapped>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mapped = Mapped::open(file.path()).unwrap();
    (file, Arc::new(mapped))
}

/// An engine, and the pool that works for it.
fn engine(threads: usize) -> (Engine, Arc<ThreadPool>) {
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    let engine = Engine::new(threads);
    engine.work_in(&pool);
    (engine, pool)
}

fn closed(path: &Path) -> Source {
    Source::closed(path.to_owned(), Stamp::of(&std::fs::metadata(path).unwrap()))
}

fn request(source: Source, start: u64, ends: &[u64], algorithms: &[Algorithm]) -> Request {
    Request {
        source,
        start,
        ends: ends.to_vec(),
        hashers: algorithms.iter().map(|&algorithm| Hasher::new(algorithm)).collect(),
    }
}

#[test]
fn long_files_of_any_lengths_get_the_sums_of_their_bytes_with_any_number_of_threads() {
    let lengths = (0..20).map(|number| [0, 1, 1000, 65_536, 2_300_001][number % 5] * (number / 5 + 1));
    let images: Vec<_> = lengths.enumerate().map(|(seed, length)| noise(seed as u64, length)).collect();
    let files: Vec<_> = images.iter().map(|bytes| file(bytes)).collect();
    for threads in [1, 2, 5] {
        let (engine, _pool) = engine(threads);
        let sums = |(number, (_, mapped)): (usize, &(_, Arc<Mapped>))| {
            let step = [4096, 20_000, 1 << 20][number % 3];
            let streams = Algorithm::ALL.map(|algorithm| engine.stream(mapped, algorithm));
            for limit in (0..mapped.length()).step_by(step) {
                streams.iter().for_each(|stream| stream.allow(limit));
                streams.iter().for_each(|stream| stream.wait_for(limit.saturating_sub(10_000)));
            }
            streams.map(|stream| {
                stream.allow(mapped.length());
                stream.finish().unwrap().0
            })
        };
        std::thread::scope(|leaders| {
            let lead = |numbered| leaders.spawn(move || sums(numbered));
            let leaders: Vec<_> = files.iter().enumerate().map(lead).collect();
            for (bytes, leader) in images.iter().zip(leaders) {
                let expected = Algorithm::ALL.map(|algorithm| Hasher::sum(algorithm, bytes));
                assert_eq!(leader.join().unwrap(), expected);
            }
        });
    }
}

#[test]
fn ranges_of_files_get_their_sums_whoever_waits_for_them() {
    let bytes = noise(1, 3_000_000);
    let (named, mapped) = file(&bytes);
    let ranges = (0..60).map(|number| (number * 1000, vec![number * 1000 + 1 + number * 47_000]));
    let ranges: Vec<(u64, Vec<u64>)> = ranges.chain([(5, vec![6, 70, 70, 2_999_999]), (7, vec![7])]).collect();
    let algorithms = [Algorithm::Sha256, Algorithm::Md5];
    let expected = |(start, ends): &(u64, Vec<u64>)| -> Vec<Vec<Vec<u8>>> {
        let sums =
            |end: &u64| algorithms.map(|algorithm| Hasher::sum(algorithm, &bytes[*start as usize..*end as usize]));
        ends.iter().map(|end| sums(end).to_vec()).collect()
    };
    for threads in [1, 3] {
        let (engine, pool) = engine(threads);
        for is_open in [true, false] {
            let source = || if is_open { Source::Open(Arc::clone(&mapped)) } else { closed(named.path()) };
            let requests = || ranges.iter().map(|(start, ends)| request(source(), *start, ends, &algorithms));
            let sums = |tickets: Vec<Arc<Ticket>>| -> Vec<_> {
                tickets.iter().map(|ticket| ticket.sums().unwrap().as_ref().unwrap().clone()).collect()
            };
            let expected: Vec<_> = ranges.iter().map(expected).collect();
            let tickets = engine.sum(requests());
            engine.wait_idle(&tickets);
            assert_eq!(sums(tickets), expected);
            let tickets = pool.install(|| {
                let tickets = engine.sum(requests());
                engine.wait_idle(&tickets);
                tickets
            });
            assert_eq!(sums(tickets), expected);
        }
    }
}

#[test]
fn an_engine_without_a_pool_is_worked_by_those_who_wait() {
    let bytes = noise(2, 100_000);
    let (named, _) = file(&bytes);
    let engine = Engine::new(0);
    let tickets = engine.sum([request(closed(named.path()), 0, &[100_000], &[Algorithm::Md5])]);
    engine.wait(&tickets);
    let sums = tickets[0].sums().unwrap().as_ref().unwrap();
    assert_eq!(*sums, [[Hasher::sum(Algorithm::Md5, &bytes)]]);
}

#[test]
fn a_file_that_is_another_one_by_now_has_no_sums() {
    let (engine, _pool) = engine(2);
    let (named, _) = file(&noise(3, 5000));
    let was = closed(named.path());
    named.as_file().set_len(4000).unwrap();
    let gone = Source::closed("/nonexistent".into(), Stamp::of(&named.as_file().metadata().unwrap()));
    let requests = [was, gone].map(|source| request(source, 0, &[5000], &[Algorithm::Md5]));
    let tickets = engine.sum(requests);
    engine.wait_idle(&tickets);
    assert!(tickets.iter().all(|ticket| ticket.sums().unwrap().is_err()));
}

#[test]
fn work_that_ends_early_holds_up_nobody() {
    let (bytes, other) = (noise(1, 100_000), noise(2, 50_000));
    let ((_file, left), (_other, kept)) = (file(&bytes), file(&other));
    let (engine, _pool) = engine(2);
    let (left, kept) = (engine.stream(&left, Algorithm::Md5), engine.stream(&kept, Algorithm::Md5));
    left.allow(10_000);
    kept.allow(50_000);
    drop(left);
    assert_eq!(kept.finish().unwrap().0, Hasher::sum(Algorithm::Md5, &other));
}

#[test]
fn a_file_that_grows_is_summed_as_far_as_it_is_written() {
    let bytes = noise(4, 300_000);
    let mut named = tempfile::NamedTempFile::new().unwrap();
    let mapped = Arc::new(Mapped::growing(named.path(), 1 << 30).unwrap());
    let (engine, _pool) = engine(1);
    let stream = engine.stream(&mapped, Algorithm::Sha256);
    let mut length = 0;
    for piece in bytes.chunks(70_001) {
        named.write_all(piece).unwrap();
        length += piece.len() as u64;
        stream.allow(length);
        stream.wait_for(length);
    }
    assert_eq!(stream.finish().unwrap().0, Hasher::sum(Algorithm::Sha256, &bytes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn buffers_cut_anywhere_have_the_sums_of_the_oracle(
        streams in prop::collection::vec(
            (prop::sample::select(&Algorithm::ALL[..]), prop::collection::vec(prop_oneof![0usize..200, 0usize..1_500_000], 0..8)),
            1..6,
        ),
        threads in 1usize..4,
    ) {
        let (engine, _pool) = engine(threads);
        let sum = |seed: usize, algorithm: Algorithm, lengths: &[usize]| {
            let bytes = noise(seed as u64, lengths.iter().sum::<usize>());
            let stream = engine.stream_of_buffers(algorithm);
            let (mut at, mut requests) = (0, Vec::new());
            for length in lengths {
                let buffer = Bytes::copy_from_slice(&bytes[at..at + length]);
                // A range of each is summed on its own.
                let (start, end) = (*length as u64 / 3, *length as u64);
                requests.push((at + *length / 3..at + length, request(Source::Memory(buffer.clone()), start, &[end], &[algorithm])));
                stream.push(buffer);
                at += length;
            }
            let (ranges, requests): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
            let tickets = engine.sum(requests);
            let ticket = stream.end();
            engine.wait_idle(&tickets);
            engine.wait_idle(&[Arc::clone(&ticket)]);
            assert_eq!(*ticket.sums().unwrap().as_ref().unwrap(), [[Hasher::sum(algorithm, &bytes)]]);
            for (range, ticket) in ranges.into_iter().zip(tickets) {
                assert_eq!(*ticket.sums().unwrap().as_ref().unwrap(), [[Hasher::sum(algorithm, &bytes[range])]]);
            }
        };
        std::thread::scope(|scope| {
            for (seed, (algorithm, lengths)) in streams.iter().enumerate() {
                let sum = &sum;
                scope.spawn(move || sum(seed, *algorithm, lengths));
            }
        });
    }
}

#[test]
fn a_buffer_is_released_once_it_is_summed_and_a_dropped_stream_holds_none() {
    let (engine, _pool) = engine(1);
    let bytes: Arc<Vec<u8>> = Arc::new(noise(5, 2_500_000));
    struct Shared(Arc<Vec<u8>>);
    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let buffer = || Bytes::from_owner(Shared(Arc::clone(&bytes)));
    let stream = engine.stream_of_buffers(Algorithm::Md5);
    stream.push(buffer());
    stream.wait_for(2_500_000);
    assert_eq!(Arc::strong_count(&bytes), 1);
    (0..10).for_each(|_| stream.push(buffer()));
    drop(stream);
    let kept = engine.stream_of_buffers(Algorithm::Md5);
    kept.push(buffer());
    assert_eq!(kept.finish().unwrap().0, Hasher::sum(Algorithm::Md5, &bytes));
    assert_eq!(Arc::strong_count(&bytes), 1);
}

#[test]
fn bytes_that_a_buffer_lacks_are_an_error() {
    let engine = Engine::new(0);
    let tickets = engine.sum([request(Source::Memory(Bytes::from_static(b"short")), 2, &[6], &[Algorithm::Md5])]);
    engine.wait(&tickets);
    assert!(tickets[0].sums().unwrap().is_err());
}

#[test]
fn a_file_without_bytes_is_summed_if_it_is_there() {
    let engine = Engine::with_own_threads(1).unwrap();
    let named = tempfile::NamedTempFile::new().unwrap();
    let there = closed(named.path());
    let gone = closed(named.path());
    let tickets = engine.sum([request(there, 0, &[0], &[Algorithm::Md5, Algorithm::Sha512])]);
    engine.wait_idle(&tickets);
    let expected = [Algorithm::Md5, Algorithm::Sha512].map(|algorithm| Hasher::sum(algorithm, b""));
    assert_eq!(*tickets[0].sums().unwrap().as_ref().unwrap(), [expected]);
    drop(named);
    let tickets = engine.sum([request(gone, 0, &[0], &[Algorithm::Md5])]);
    engine.wait_idle(&tickets);
    assert!(tickets[0].sums().unwrap().is_err());
}

#[test]
fn many_long_files_are_not_all_open_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(6, 2_100_000);
    let path = directory.path().join("file");
    std::fs::write(&path, &bytes).unwrap();
    let maps = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.ends_with(path.to_str().unwrap())).count()
    };
    let engine = Engine::with_own_threads(2).unwrap();
    let tickets = engine.sum((0..1000).map(|_| request(closed(&path), 0, &[2_100_000], &[Algorithm::Md5])));
    let mut most = 0;
    while tickets.iter().any(|ticket| ticket.sums().is_none()) {
        most = most.max(maps());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(most < 256, "{most}");
    let expected = [[Hasher::sum(Algorithm::Md5, &bytes)]];
    assert!(tickets.iter().all(|ticket| *ticket.sums().unwrap().as_ref().unwrap() == expected));
}
