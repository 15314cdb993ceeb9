//! The engine on small images in memory and in files: what is missing, wrong, half-assembled or damaged.

use std::fs;
use std::io::{Cursor, Read as _};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::LazyLock;

use jigdo::template::{ImageEntry, Options, Template, Tmp, Writer};
use jigdo::{Checksum, Rsync64, Sum};
use testing::noise;

use super::source::Source;
use super::*;
use crate::file::Stamp;
use crate::progress::Silent;

const BLOCK: u32 = 256;

type Memory = Template<Cursor<Vec<u8>>>;

/// A piece of an image.
#[derive(Clone)]
enum Piece {
    Unmatched(Vec<u8>),
    Part(Vec<u8>),
}

/// Parts of all lengths between unmatched data: some are longer than a window, and one comes twice.
fn pieces() -> Vec<Piece> {
    static PIECES: LazyLock<Vec<Piece>> = LazyLock::new(make_pieces);
    PIECES.clone()
}

fn make_pieces() -> Vec<Piece> {
    vec![
        Piece::Unmatched(noise(1, 1000)),
        Piece::Part(noise(2, 5000)),
        Piece::Part(noise(3, 300)),
        Piece::Unmatched(vec![0; 300_000]),
        Piece::Part(noise(4, 10_000_000)),
        Piece::Part(noise(2, 5000)),
        Piece::Unmatched(noise(5, 77)),
        Piece::Part(noise(6, 70_000)),
    ]
}

fn image(pieces: &[Piece]) -> Vec<u8> {
    let bytes = |piece: &Piece| match piece {
        Piece::Unmatched(bytes) | Piece::Part(bytes) => bytes.clone(),
    };
    pieces.iter().flat_map(bytes).collect()
}

fn template_with(checksum: Checksum, pieces: &[Piece], sum: Sum) -> Memory {
    let mut writer = Writer::new(Vec::new(), Options::new(checksum, "test/1.0")).unwrap();
    for piece in pieces {
        match piece {
            Piece::Unmatched(bytes) => writer.unmatched(bytes).unwrap(),
            Piece::Part(bytes) => {
                let rsync64 = Rsync64::of(&bytes[..BLOCK as usize]);
                writer.part(bytes.len() as u64, rsync64, Sum::of(checksum, bytes)).unwrap();
            }
        }
    }
    let length = image(pieces).len() as u64;
    let written = writer.finish(ImageEntry { length, sum, block_length: Some(BLOCK) }).unwrap();
    Template::read(Cursor::new(written)).unwrap()
}

fn template(checksum: Checksum) -> Memory {
    template_with(checksum, &pieces(), Sum::of(checksum, &image(&pieces())))
}

/// Files with some contents, found whatever their names.
struct Files(tempfile::TempDir);

impl Files {
    fn of(contents: &[Vec<u8>]) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        contents.iter().enumerate().for_each(|(number, content)| files.write(&number.to_string(), content));
        files
    }

    fn of_parts(which: impl Fn(usize) -> bool) -> Self {
        let content = |piece| match piece {
            Piece::Part(content) => Some(content),
            Piece::Unmatched(_) => None,
        };
        let contents = pieces().into_iter().filter_map(content).enumerate();
        Self::of(&contents.filter(|(number, _)| which(*number)).map(|(_, content)| content).collect::<Vec<_>>())
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.0.path().join(name), content).unwrap();
    }
}

impl Source for Files {
    fn find(&self, parts: &[Part]) -> Vec<Vec<PartPlace>> {
        let paths = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        let (files, unusable) = source::NamedFiles::new(paths);
        assert!(unusable.is_empty());
        files.find(parts)
    }
}

fn order<'a>(
    template: &'a mut Memory,
    sources: &[&'a dyn Source],
    destination: Destination<'a>,
) -> Order<'a, Cursor<Vec<u8>>> {
    Order { name: "image".to_owned(), template, sources: sources.to_vec(), destination }
}

fn file<'a>(path: &Path, incomplete: Incomplete) -> Destination<'a> {
    Destination::File { path: path.to_owned(), is_sparse: true, incomplete, replaces: Replaces::Anything }
}

/// Assembles the image into a file.
fn run(path: &Path, sources: &[&dyn Source], incomplete: Incomplete) -> Result<Report, Error> {
    assemble(order(&mut template(Checksum::Md5), sources, file(path, incomplete)), &Silent)
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn an_image_is_assembled_from_unmatched_data_and_parts_and_has_its_name_only_then() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    fs::write(&path, "what was there before").unwrap();
    for checksum in Checksum::ALL {
        let files = Files::of_parts(|_| true);
        let report = assemble(order(&mut template(checksum), &[&files], file(&path, Incomplete::Discard)), &Silent);
        let report = report.unwrap();
        assert!(report.is_complete && fs::read(&path).unwrap() == image(&pieces()));
        assert_eq!((report.parts, report.needed, report.found), (5, 5, 5));
        assert_eq!(report.unmatched, 301_077);
        assert_eq!(names(place.path()), ["image"]);
    }
}

#[test]
fn many_images_are_assembled_at_once_by_any_number_of_threads() {
    let place = tempfile::tempdir().unwrap();
    let files = Files::of_parts(|_| true);
    let images: Vec<Vec<Piece>> =
        (0..20).map(|number| pieces().into_iter().cycle().skip(number).take(4).collect()).collect();
    for threads in [1, 3] {
        let template =
            |pieces: &Vec<Piece>| template_with(Checksum::Sha256, pieces, Sum::of(Checksum::Sha256, &image(pieces)));
        let mut templates: Vec<_> = images.iter().map(template).collect();
        let path = |number: usize| place.path().join(number.to_string());
        let order = |(number, template)| order(template, &[], file(&path(number), Incomplete::Discard));
        let orders = templates.iter_mut().enumerate().map(order).collect();
        let reports = assemble_all(orders, &[&files], threads, &Silent);
        for (number, report) in reports.into_iter().enumerate() {
            assert!(report.unwrap().is_complete);
            assert!(fs::read(path(number)).unwrap() == image(&images[number]), "{number}");
        }
    }
}

#[test]
fn a_stream_gets_all_of_the_image_or_nothing() {
    let run = |files: &Files| {
        let mut out = Vec::new();
        let (mut template, files) = (template(Checksum::Sha256), files);
        let report = assemble(order(&mut template, &[files], Destination::Stream(&mut out)), &Silent).unwrap();
        (report, out)
    };
    let (report, out) = run(&Files::of_parts(|_| true));
    assert!(report.is_complete && out == image(&pieces()));
    let (report, out) = run(&Files::of_parts(|part| part != 4));
    assert!(!report.is_complete && out.is_empty());
    let damaged = Files::of_parts(|part| part != 4);
    let mut content = noise(6, 70_000);
    content[60_000] ^= 1;
    damaged.write("damaged", &content);
    let (report, out) = run(&damaged);
    assert!(!report.is_complete && out.is_empty() && report.refused.len() == 1);
}

#[test]
fn missing_parts_are_reported_with_their_offsets_and_no_file_is_left() {
    let place = tempfile::tempdir().unwrap();
    let files = Files::of_parts(|part| part != 0 && part != 3);
    let report = run(&place.path().join("image"), &[&files], Incomplete::Discard).unwrap();
    assert!(!report.is_complete);
    assert_eq!((report.needed, report.found), (5, 3));
    let [missing] = &report.missing[..] else { panic!("{report:?}") };
    assert_eq!(missing.part.sum, Sum::of(Checksum::Md5, &noise(2, 5000)));
    assert_eq!(missing.offsets, [1000, 10_306_300]);
    assert_eq!(names(place.path()), [""; 0]);
}

#[test]
fn where_a_file_is_wrong_the_next_place_and_the_next_source_are_tried() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    let first = Files::of_parts(|part| part != 2 && part != 4);
    for (name, at) in [("early", 300), ("late", 9_999_999)] {
        let mut content = noise(4, 10_000_000);
        content[at] ^= 1;
        first.write(name, &content);
    }
    first.write("of the right length only", &[7; 70_000]);
    let second = Files::of_parts(|part| part == 2 || part == 4);
    let report = run(&path, &[&first, &second], Incomplete::Discard).unwrap();
    assert!(report.is_complete && fs::read(&path).unwrap() == image(&pieces()));
    // The one with a different first block is not even tried.
    let refused: Vec<String> = report.refused.iter().map(Refused::to_string).collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    for name in ["early", "late"] {
        assert!(refused.iter().any(|said| said.contains(name) && said.contains("at offset 306300 ")), "{refused:?}");
    }
    assert_eq!(names(place.path()), ["image"]);
}

#[test]
fn a_wrong_file_counts_as_missing_where_everything_is_to_be_looked_at() {
    let place = tempfile::tempdir().unwrap();
    let files = Files::of_parts(|part| part != 1 && part != 4);
    let mut content = noise(6, 70_000);
    content[1000] ^= 1;
    files.write("damaged", &content);
    let missing = |incomplete| run(&place.path().join("image"), &[&files], incomplete).unwrap().missing.len();
    assert_eq!(missing(Incomplete::CheckAll), 2);
    assert_eq!(missing(Incomplete::Discard), 1);
    assert_eq!(names(place.path()), [""; 0]);
}

#[test]
fn a_part_that_no_disk_could_hold_costs_no_time() {
    // An end that is on no window's border, and on one.
    for length in [(1 << 46) + 5, 1 << 46] {
        let mut writer = Writer::new(Vec::new(), Options::new(Checksum::Md5, "test/1.0")).unwrap();
        writer.unmatched(&noise(1, 1000)).unwrap();
        writer.part(length, Rsync64::of(&noise(2, BLOCK as usize)), Sum::of(Checksum::Md5, b"x")).unwrap();
        writer.unmatched(&noise(3, 1000)).unwrap();
        let (length, sum) = (length + 2000, Sum::of(Checksum::Md5, b"y"));
        let template = writer.finish(ImageEntry { length, sum, block_length: Some(BLOCK) }).unwrap();
        let mut template = Template::read(Cursor::new(template)).unwrap();
        let place = tempfile::tempdir().unwrap();
        let destination = file(&place.path().join("x.iso"), Incomplete::CheckAll);
        let report = assemble(order(&mut template, &[], destination), &Silent).unwrap();
        assert_eq!((report.is_complete, report.missing.len()), (false, 1));
        assert_eq!(names(place.path()), [""; 0]);
    }
}

#[test]
fn a_half_assembled_image_is_resumed_until_it_is_complete() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    for (number, found) in [(2, 1), (0, 2), (1, 1)] {
        let files = Files::of_parts(|part| part == number);
        let report = run(&path, &[&files], Incomplete::Keep).unwrap();
        assert!(!report.is_complete);
        assert_eq!(report.found, found);
        assert_eq!(report.tmp.as_deref(), Some(&*place.path().join("image.tmp")));
        assert_eq!(names(place.path()), ["image.tmp"]);
    }
    let state = Tmp::read(fs::File::open(place.path().join("image.tmp")).unwrap()).unwrap();
    assert_eq!(state.written, [false, true, true, false, true, true, false, false]);
    // The last run need not be allowed to keep a half-assembled image.
    let files = Files::of_parts(|part| part == 4);
    let report = run(&path, &[&files], Incomplete::Discard).unwrap();
    assert!(report.is_complete && fs::read(&path).unwrap() == image(&pieces()));
    assert_eq!((report.parts, report.needed, report.found), (5, 1, 1));
    assert_eq!(names(place.path()), ["image"]);
}

#[test]
fn no_half_assembled_image_is_left_where_nothing_was_found() {
    let place = tempfile::tempdir().unwrap();
    let report = run(&place.path().join("image"), &[], Incomplete::Keep).unwrap();
    assert_eq!((report.found, report.tmp, names(place.path())), (0, None, vec![]));
}

#[test]
fn a_half_assembled_image_that_was_damaged_is_repaired() {
    let place = tempfile::tempdir().unwrap();
    let (path, tmp) = (place.path().join("image"), place.path().join("image.tmp"));
    let most = Files::of_parts(|part| part != 4);
    run(&path, &[&most], Incomplete::Keep).unwrap();
    let mut bytes = fs::read(&tmp).unwrap();
    // Unmatched data, and a part.
    bytes[0] ^= 1;
    bytes[5_000_000] ^= 1;
    fs::write(&tmp, bytes).unwrap();
    let last = Files::of_parts(|part| part == 4);
    let report = run(&path, &[&last], Incomplete::Keep).unwrap();
    assert!(!report.is_complete && report.refused.len() == 1 && report.refused[0].place.is_none());
    let report = run(&path, &[&most], Incomplete::Keep).unwrap();
    assert!(report.is_complete && fs::read(&path).unwrap() == image(&pieces()));
}

#[test]
fn what_is_no_half_assembled_image_is_not_touched() {
    let place = tempfile::tempdir().unwrap();
    let (path, tmp) = (place.path().join("image"), place.path().join("image.tmp"));
    let files = Files::of_parts(|_| true);
    let other = [Piece::Unmatched(noise(9, 100))];
    let state = Tmp {
        description: template_with(Checksum::Md5, &other, Sum::of(Checksum::Md5, b"")).description,
        written: vec![],
    };
    for (content, message) in [
        (b"something".to_vec(), "is not a half-assembled image"),
        ([vec![0; 100], state.to_bytes()].concat(), "belongs to another image"),
    ] {
        fs::write(&tmp, &content).unwrap();
        let error = run(&path, &[&files], Incomplete::Keep).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("image.tmp"), "{error}");
        assert!(run(&path, &[&files], Incomplete::Discard).unwrap().is_complete);
        assert!(fs::read(&tmp).unwrap() == content);
    }
}

#[test]
fn an_image_with_another_sum_than_its_template_says_does_not_appear() {
    let place = tempfile::tempdir().unwrap();
    let files = Files::of_parts(|_| true);
    let mut template = template_with(Checksum::Md5, &pieces(), Sum::of(Checksum::Md5, b"another image"));
    let order = order(&mut template, &[&files], file(&place.path().join("image"), Incomplete::Keep));
    let error = assemble(order, &Silent).unwrap_err().to_string();
    assert!(error.starts_with("the image has the sum"), "{error}");
    assert_eq!(names(place.path()), [""; 0]);
}

#[test]
fn long_runs_of_zeros_become_holes_unless_that_is_forbidden() {
    let place = tempfile::tempdir().unwrap();
    let pieces = [Piece::Part(noise(1, 5000)), Piece::Unmatched(vec![0; 20 << 20]), Piece::Part(noise(2, 5000))];
    let image = image(&pieces);
    let files = Files::of(&[noise(1, 5000), noise(2, 5000)]);
    let blocks = |is_sparse| {
        let path = place.path().join("image");
        let mut template = template_with(Checksum::Md5, &pieces, Sum::of(Checksum::Md5, &image));
        let (path, replaces) = (path.clone(), Replaces::Anything);
        let destination =
            Destination::File { path: path.clone(), is_sparse, incomplete: Incomplete::Discard, replaces };
        assert!(assemble(order(&mut template, &[&files], destination), &Silent).unwrap().is_complete);
        assert!(fs::read(&path).unwrap() == image);
        fs::metadata(&path).unwrap().blocks() * 512
    };
    assert!(blocks(false) >= 20 << 20);
    let sparse = blocks(true);
    if sparse >= 20 << 20 {
        eprintln!("skipped: the file system for temporary files has no holes");
    }
}

#[test]
fn two_runs_do_not_work_on_one_image() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    let files = Files::of_parts(|_| true);
    let held = image_output::ImageFile::create(&path, true).unwrap();
    let error = run(&path, &[&files], Incomplete::Discard).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(held);
    assert!(run(&path, &[&files], Incomplete::Discard).unwrap().is_complete);
    assert_eq!(names(place.path()), ["image"]);
}

#[test]
fn what_a_killed_run_left_is_no_obstacle() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    fs::write(place.path().join(".image.jigpress"), vec![1; 20_000_000]).unwrap();
    let files = Files::of_parts(|_| true);
    assert!(run(&path, &[&files], Incomplete::Discard).unwrap().is_complete);
    assert!(fs::read(&path).unwrap() == image(&pieces()));
    assert_eq!(names(place.path()), ["image"]);
}

#[test]
fn nothing_is_written_through_a_link_that_has_the_name_of_an_unfinished_image() {
    let files = Files::of_parts(|_| true);
    for name in [".image.jigpress", ".image.jigpress-probe", "image.tmp"] {
        for is_hard in [false, true] {
            let place = tempfile::tempdir().unwrap();
            let (path, victim) = (place.path().join("image"), place.path().join("victim"));
            fs::write(&victim, "precious").unwrap();
            let planted = place.path().join(name);
            let plant = if is_hard { fs::hard_link(&victim, &planted) } else { symlink(&victim, &planted) };
            plant.unwrap();
            assert!(run(&path, &[&files], Incomplete::Discard).unwrap().is_complete);
            assert!(fs::read(&path).unwrap() == image(&pieces()));
            assert_eq!(fs::read(&victim).unwrap(), b"precious", "{name}");
        }
    }
    // Such a link is not resumed either, whatever it leads to.
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    symlink("elsewhere", place.path().join("image.tmp")).unwrap();
    let error = run(&path, &[&files], Incomplete::Keep).unwrap_err();
    assert!(matches!(error, Error::NotRegular { .. }), "{error}");
}

#[test]
fn a_directory_with_the_name_of_an_unfinished_image_is_named() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    fs::create_dir(place.path().join(".image.jigpress")).unwrap();
    let error = run(&path, &[&Files::of_parts(|_| true)], Incomplete::Discard).unwrap_err();
    assert!(error.to_string().contains(".image.jigpress: Is a directory"), "{error}");
}

#[test]
fn an_image_may_have_the_longest_name_that_a_file_may_have() {
    let place = tempfile::tempdir().unwrap();
    for name in ["x".repeat(255), "ä".repeat(127), "x".repeat(246), "x".repeat(245)] {
        let path = place.path().join(&name);
        assert!(run(&path, &[&Files::of_parts(|_| true)], Incomplete::Discard).unwrap().is_complete);
        assert_eq!(names(place.path()), [name]);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn parts_are_only_looked_at_where_nothing_is_to_be_written() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    let files = Files::of_parts(|part| part != 1);
    let mut template = template(Checksum::Sha256);
    let report = assemble(order(&mut template, &[&files], file(&path, Incomplete::CheckAll)), &Silent).unwrap();
    assert!(!report.is_complete);
    assert_eq!((report.found, report.missing.len()), (4, 1));
    assert!(names(place.path()).is_empty());
}

#[test]
fn an_image_of_no_bytes_and_one_without_parts_are_assembled() {
    let place = tempfile::tempdir().unwrap();
    for pieces in [vec![], vec![Piece::Unmatched(noise(1, 5000))]] {
        let image = image(&pieces);
        let mut template = template_with(Checksum::Md5, &pieces, Sum::of(Checksum::Md5, &image));
        let path = place.path().join("image");
        let report = assemble(order(&mut template, &[], file(&path, Incomplete::Discard)), &Silent).unwrap();
        assert!(report.is_complete && fs::read(&path).unwrap() == image);
    }
}

#[test]
fn an_image_is_compared_with_its_template_area_by_area() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    let verify = |mut bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let verified = verify_image(&path, &mut template(Checksum::Md5), &Silent).unwrap();
        let streamed = verify_stream(&path, &mut bytes, &mut template(Checksum::Md5), &Silent).unwrap();
        assert_eq!(streamed, verified);
        verified
    };
    let mut bytes = image(&pieces());
    let verified = verify(&bytes);
    assert!(verified.is_right() && verified.wrong.is_empty());
    for at in [0, 305_000, 9_000_000] {
        bytes[at] ^= 1;
    }
    let verified = verify(&bytes);
    assert!(!verified.is_right() && verified.found_sum.is_some());
    let wrong: Vec<_> = verified.wrong.iter().map(|area| (area.offset, area.part.is_some())).collect();
    assert_eq!(wrong, [(0, false), (6300, false), (306_300, true)]);
    let verified = verify(&bytes[1..]);
    assert!(!verified.is_right());
    assert_eq!((verified.found_length, verified.found_sum), (Some(verified.length - 1), None));
}

#[test]
fn a_stream_without_an_end_is_not_read_to_its_end() {
    let mut endless = Cursor::new(image(&pieces())).chain(std::io::repeat(7));
    let verified = verify_stream(Path::new("-"), &mut endless, &mut template(Checksum::Sha256), &Silent).unwrap();
    assert_eq!((verified.is_right(), verified.found_length), (false, None));
}

#[test]
fn what_appears_under_the_images_name_meanwhile_is_not_replaced() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("image");
    let files = Files::of_parts(|_| true);
    let assemble_over = |replaces| {
        let mut template = template(Checksum::Md5);
        let destination =
            Destination::File { path: path.clone(), is_sparse: true, incomplete: Incomplete::Discard, replaces };
        assemble(order(&mut template, &[&files], destination), &Silent)
    };
    fs::write(&path, "mine").unwrap();
    let stamp = Stamp::of(&fs::metadata(&path).unwrap());
    fs::write(&path, "mine, and changed").unwrap();
    for replaces in [Replaces::Nothing, Replaces::File(stamp)] {
        let error = assemble_over(replaces).unwrap_err();
        assert!(matches!(error, Error::Appeared { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"mine, and changed");
        assert_eq!(names(place.path()), ["image"]);
    }
    let stamp = Stamp::of(&fs::metadata(&path).unwrap());
    assert!(assemble_over(Replaces::File(stamp)).unwrap().is_complete);
    fs::remove_file(&path).unwrap();
    assert!(assemble_over(Replaces::File(stamp)).unwrap().is_complete);
    fs::remove_file(&path).unwrap();
    assert!(assemble_over(Replaces::Nothing).unwrap().is_complete);
    assert!(fs::read(&path).unwrap() == image(&pieces()));
}
