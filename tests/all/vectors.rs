//! The files under `testdata/vectors`, which other tools wrote, read by ours.

use std::fs::{self, File};
use std::io::{BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use jigdo::base64;
use jigdo::bstr::ByteSlice as _;
use jigdo::jigdo_file::{Jigdo, Location, gzip};
use jigdo::template::{Area, Compression, Options, Template, Writer};
use jigdo::{Algorithm, Checksum, Rsync64, Sum};
use jigpress::assemble::source::{LabelTrees, Trees};
use jigpress::assemble::{Destination, Order, Report, assemble};
use jigpress::cli::Format;
use jigpress::cli::inspect::show;
use jigpress::digest::Hasher;
use jigpress::progress::Silent;

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vectors")
}

/// The names of all vectors, without their extensions.
fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(vectors())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "template"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names.len(), 6);
    names
}

fn template(name: &str) -> Template<BufReader<File>> {
    let file = File::open(vectors().join(format!("{name}.template"))).unwrap();
    Template::read(BufReader::new(file)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn jigdo(name: &str) -> Jigdo {
    let file = File::open(vectors().join(format!("{name}.jigdo"))).unwrap();
    Jigdo::read(file).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What comes of assembling a vector from a mirror.
fn assembled(name: &str, mirror: PathBuf, out: &mut (dyn Write + Send)) -> Report {
    let parts = LabelTrees::new(&jigdo(name), &Trees::from([("Debian".to_owned(), vec![mirror])])).unwrap();
    let (template, sources) = (&mut template(name), vec![&parts as _]);
    let order = Order { name: name.to_owned(), template, sources, destination: Destination::Stream(out) };
    assemble(order, &Silent).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn image(name: &str) -> Vec<u8> {
    let image = if name.starts_with("libjte") { "libjte.iso" } else { "plain.img" };
    fs::read(vectors().join(image)).unwrap()
}

fn list(name: &str) -> String {
    fs::read_to_string(vectors().join(format!("{name}.list"))).unwrap()
}

#[test]
fn every_image_is_assembled_bit_for_bit() {
    for name in names() {
        let mut out = Vec::new();
        let report = assembled(&name, vectors().join("mirror"), &mut out);
        assert!(report.is_complete && out == image(&name), "{name}");
        assert_eq!(report.length, out.len() as u64, "{name}");
    }
}

#[test]
fn every_description_says_what_jigdo_file_lists() {
    for name in names() {
        let description = template(&name).description;
        let mut areas = description.with_offsets();
        for line in list(&name).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |word: usize| words[word].parse::<u64>().unwrap();
            let sum = |word: usize| {
                let checksum = if line.contains("sha256") { Checksum::Sha256 } else { Checksum::Md5 };
                Sum::from_bytes(checksum, &base64::decode(words[word]).unwrap()).unwrap()
            };
            if words[0].starts_with("image-info") {
                let image = description.image;
                assert_eq!((image.length, image.sum), (number(1), sum(3)), "{name}");
                assert_eq!(image.block_length.map(u64::from), Some(number(2)), "{name}");
                continue;
            }
            let expected = match words[0] {
                "in-template" => Area::Unmatched { length: number(2) },
                _ => Area::Part {
                    length: number(2),
                    rsync64: Some(Rsync64::from_bytes(base64::decode(words[4]).unwrap().try_into().unwrap())),
                    sum: sum(3),
                },
            };
            assert_eq!(areas.next(), Some((number(1), &expected)), "{name}");
        }
        assert_eq!(areas.next(), None, "{name}");
    }
}

#[test]
fn inspect_lists_areas_as_jigdo_file_does() {
    for name in names() {
        let mut out = Vec::new();
        show(&vectors().join(format!("{name}.template")), Format::Human, &mut out).unwrap();
        let kinds = ["in-template", "need-file", "image-info"];
        let out = String::from_utf8(out).unwrap();
        let lines = out.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind)));
        assert_eq!(lines.collect::<Vec<_>>(), list(&name).lines().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn inspect_gives_json_of_both_kinds() {
    let shown = |name: &str| -> serde_json::Value {
        let mut out = Vec::new();
        show(&vectors().join(name), Format::Json, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    };
    let template = shown("libjte-v2.template");
    assert_eq!(template["type"], "template");
    assert_eq!(template["totals"]["parts"], 7);
    assert_eq!(template["areas"][1]["sum"]["base64"], "yqQXL0bYdY3LQOELBqf6i5kLdmksBjon8XPyErsv0j0");
    assert_eq!(template["image"]["length"], 786_432);
    let jigdo = shown("jigdo-file-v1-gzip.jigdo");
    assert_eq!(jigdo["type"], "jigdo");
    assert_eq!(jigdo["parts_per_label"]["Debian"], 5);
    assert_eq!(jigdo["servers"]["Debian"][0]["url"], "http://deb.example.org/debian/");
}

#[test]
fn jigdo_files_say_what_their_tools_wrote() {
    for name in names() {
        let jigdo = jigdo(&name);
        let template = fs::read(vectors().join(format!("{name}.template"))).unwrap();
        let image = &jigdo.images[0];
        let sum = image.template_sum.unwrap();
        assert_eq!(sum, Sum::of(sum.checksum(), &template), "{name}");
        let odd = Location { label: "Debian".into(), path: "pool/b/gamma #1 \"quoted\" it's.deb".into() };
        assert!(jigdo.parts.iter().any(|(_, location)| *location == odd), "{name}");
        let servers = usize::from(!name.starts_with("libjte"));
        assert_eq!(jigdo.servers.len(), servers, "{name}");
        let expected = if name.starts_with("libjte") { "libjte.iso" } else { "plain.img" };
        assert_eq!(image.file_name(), expected, "{name}");
    }
}

#[test]
fn jigdo_files_written_again_say_the_same() {
    for name in names() {
        let jigdo = Jigdo { generator: Some("jigpress/test".into()), ..jigdo(&name) };
        let text = jigdo.to_text().unwrap();
        assert_eq!(Jigdo::read(&**text).unwrap(), jigdo, "{name}");
        assert_eq!(Jigdo::read(&*gzip(&text).unwrap()).unwrap(), jigdo, "{name}");
    }
}

#[test]
fn templates_written_again_say_the_same() {
    for name in names() {
        let mut original = template(&name);
        let mut data = Vec::new();
        original.unmatched().read_to_end(&mut data).unwrap();
        let image = original.description.image;
        for compression in [Compression::Gzip, Compression::Bzip2] {
            let options = Options { compression, ..Options::new(image.sum.checksum(), "test/1.0") };
            let mut writer = Writer::new(Vec::new(), options).unwrap();
            let mut rest = &data[..];
            for area in &original.description.areas {
                match *area {
                    Area::Unmatched { length } => {
                        let (taken, behind) = rest.split_at(length as usize);
                        writer.unmatched(taken).unwrap();
                        rest = behind;
                    }
                    Area::Part { length, rsync64, sum } => writer.part(length, rsync64.unwrap(), sum).unwrap(),
                }
            }
            let written = writer.finish(image).unwrap();
            let mut again = Template::read(Cursor::new(written)).unwrap();
            assert_eq!(again.description, original.description, "{name}");
            let mut read = Vec::new();
            again.unmatched().read_to_end(&mut read).unwrap();
            assert!(read == data, "{name}");
        }
    }
}

#[test]
fn a_damaged_part_is_named_with_its_offset_in_the_image() {
    let mirror = tempfile::tempdir().unwrap();
    let jigdo = jigdo("jigdo-file-v2-gzip");
    for (_, location) in &jigdo.parts {
        let path = mirror.path().join(location.path.to_path().unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(vectors().join("mirror").join(location.path.to_path().unwrap()), path).unwrap();
    }
    let damaged = mirror.path().join("pool/a/beta_2.1_amd64.deb");
    let mut content = fs::read(&damaged).unwrap();
    content[4000] ^= 1;
    fs::write(&damaged, content).unwrap();

    let mut out = Vec::new();
    let report = assembled("jigdo-file-v2-gzip", mirror.path().to_owned(), &mut out);
    assert!(!report.is_complete && out.is_empty());
    let [refused] = &report.refused[..] else { panic!("{report:?}") };
    let said = refused.to_string();
    assert!(said.contains("offset 75776 ") && said.contains("beta_2.1_amd64.deb"), "{said}");
    assert_eq!(report.missing.iter().map(|missing| missing.offsets.clone()).collect::<Vec<_>>(), [[75776]]);
}

#[test]
fn the_comments_that_libjte_leaves_are_read() {
    let comments = &jigdo("libjte-v2").images[0].comments;
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(&image("libjte-v2"));
    let expected = jigdo::jigdo_file::image_sum_comment(Algorithm::Sha512, &hasher.finish());
    assert!(comments.contains(&expected.into()));
    assert!(comments.contains(&"Image size 786432 bytes".into()));
}
