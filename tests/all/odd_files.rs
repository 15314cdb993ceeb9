//! Odd jigdo files, each read by jigdo-file, or unpacked by gzip, and by us: what they take and real files can have, we
//! take. `docs/formats.md` lists the differences that are meant.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use jigdo::base64;
use jigdo::jigdo_file::{Jigdo, gzip};
use jigdo::{Checksum, Sum};
use testing::noise;

use crate::common::installed;
use crate::common::release::Place;

/// The sums of the two parts, as jigdo files have them.
fn keys() -> [String; 2] {
    [1, 2].map(|seed| base64::encode(Sum::of(Checksum::Md5, &part(seed)).as_bytes()))
}

fn part(seed: u64) -> Vec<u8> {
    noise(seed, 5000)
}

/// A template of an image with two parts: `x.template`.
fn place() -> Place {
    let place = Place::new();
    place.write("mirror/a.deb", &part(1));
    place.write("mirror/b.deb", &part(2));
    place.write("x.iso", &[part(1), noise(3, 2000), part(2)].concat());
    let mut make = Command::new("jigdo-file");
    make.args(["make-template", "--report=quiet", "-i", "x.iso", "-j", "x.jigdo", "-t", "x.template", "mirror//"]);
    assert!(make.current_dir(place.path("")).stderr(Stdio::null()).status().unwrap().success());
    place
}

/// A jigdo file with this value for the first part, and these lines of servers.
fn with(value: &str, servers: &str) -> String {
    let [a, b] = keys();
    format!(
        "[Jigdo]\nVersion=1.1\nGenerator=x/1\n\n[Image]\nFilename=x.iso\nTemplate=x.template\n\n[Parts]\n{a}={value}\n\
         {b}=D:b.deb\n\n[Servers]\n{servers}\n"
    )
}

/// Latin-1 for each character.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|character| character as u8).collect()
}

/// What a program prints of the parts of `x.jigdo`.
fn missing(place: &Place, command: &mut Command) -> Vec<u8> {
    let arguments = ["print-missing-all", "-j", "x.jigdo", "-t", "x.template", "-i", "nowhere.iso"];
    command.args(arguments).current_dir(place.path("")).stderr(Stdio::null()).output().unwrap().stdout
}

/// Texts that jigdo-file reads, with a name each.
fn texts() -> Vec<(&'static str, String)> {
    const D: &str = "D=http://s/";
    let [a, _] = keys();
    let plain = with("D:a.deb", D);
    let changed = |from: &str, to: &str| {
        assert!(plain.contains(from), "{from}");
        plain.replace(from, to)
    };
    vec![
        ("plain", plain.clone()),
        ("a path in Latin-1", with("D:K\u{e4}se.deb", D)),
        ("a label in Latin-1", with("L\u{e4}:x", "D=http://s/\nL\u{e4}=http://l/")),
        ("a server in Latin-1", with("D:x", "D=http://s/\u{e4}/")),
        ("information in Latin-1", changed("[Parts]", "ShortInfo=K\u{e4}se\nInfo=\u{dc}\n[Parts]")),
        ("a comment in Latin-1", changed("[Parts]", "# \u{fc}\n[Parts]")),
        ("a generator in Latin-1", changed("x/1", "K\u{e4}se")),
        ("an unknown entry in Latin-1", changed("[Parts]", "F\u{f6}o=\u{fc}\n[Parts]")),
        ("a section in Latin-1", plain.clone() + "[\u{e4}]\nx\n"),
        ("an include in Latin-1", plain.clone() + "[Include http://\u{e4}/]\n"),
        ("a control character in a path", with("D:a\u{1b}[31m", D)),
        ("CR LF", plain.replace('\n', "\r\n")),
        ("CR LF in one line", changed("[Servers]\n", "[Servers]\r\n")),
        ("no newline at the end", plain.trim_end().to_owned()),
        ("white space around =", with(" \t D:x  ", D)),
        ("white space before a key", changed(&a, &format!("   {a}"))),
        ("white space in a section's name", changed("[Parts]", " [ Parts\t] ")),
        ("a comment after a section's name", changed("[Parts]", "[Parts] # here")),
        ("an unknown section", changed("[Parts]", "[Foo]\njunk\nit's\n[Parts]")),
        ("a comment section", plain.clone() + "[Comment]\nit's \"\n"),
        ("a section of parts in lower case", changed("[Parts]", "[parts]")),
        ("two sections of parts", changed("[Servers]", &format!("[Parts]\n{a}=D:y\n[Servers]"))),
        ("two sections of servers", plain.clone() + "[Servers]\nD=http://t/\n"),
        ("no section of an image", changed("[Image]\nFilename=x.iso\nTemplate=x.template\n", "")),
        ("two sections of images", plain.clone() + "[Image]\nFilename=z\nTemplate=zz\n"),
        ("no version", changed("Version=1.1\n", "")),
        ("a part twice", changed("[Servers]", &format!("{a}=D:y\n{a}=D:a.deb\n[Servers]"))),
        ("# in a path", with("D:a#b", D)),
        ("# after a path", with("D:a #b", D)),
        ("# in quotes", with("'D:a #b'", D)),
        ("double quotes", with(r#""D:a \"x\" \b $c `d`""#, D)),
        ("single quotes", with(r"'D:a\b'", D)),
        ("a backslash before a space", with(r"D:a\ b", D)),
        ("quotes in a word", with("D:a'b c'd", D)),
        ("an option", with("D:a --foo", D)),
        ("a quote that is never closed", with("D:it's", D)),
        ("a double quote that is never closed", with("\"D:a", D)),
        ("a backslash at the end", with("D:a\\", D)),
        ("two words", with("D:a b", D)),
        ("an empty label", with(":a", D)),
        ("no label", with("a.deb", D)),
        ("an absolute path", with("/abs/a.deb", D)),
        ("an http: URL", with("http://h/a.deb", D)),
        ("an ftp: URL", with("ftp://h/a.deb", D)),
        ("a file: URL", with("file:/abs/a.deb", D)),
        ("an escape of a URL", with("D:a%20b", D)),
        ("a path that leaves its tree", with("D:../a", D)),
        ("an unknown label", with("U:a", D)),
        ("a label with a slash", with("a/b:c", "D=http://s/\na/b=http://q/")),
        ("a server without a URL", with("D:x/y", "D=\nD=http://s/")),
        ("a comment after a server", with("D:x", "D=http://s/   # US")),
        ("a server with options", with("D:x", "D=http://s/ --foo bar")),
        ("a server to try last", with("D:x", "D=http://l/ --try-last\nD=http://s/")),
        ("a server in quotes", with("D:x", "D='http://s/a b/'")),
        ("a server of another label", with("D:x", "D=E:sub/\nE=http://e/")),
        ("a local server", with("D:x", "D=file:mirror/")),
        ("a server of parts by sum", with("D:x", "D=http://s/\nMD5Sum=http://md5/")),
        ("an include", plain.clone() + "[Include http://i/]\n"),
        ("entries after an include", changed("[Servers]", &format!("[Include http://i/]\n{a}=D:z\n[Servers]"))),
        ("a template in quotes", changed("Template=x.template", "Template='x y.template'")),
        ("a template with spaces", changed("Template=x.template", "Template=x y.template")),
        ("a template's sum that is empty", changed("[Parts]", "Template-MD5Sum=\n[Parts]")),
        ("an image of libjte", changed("Filename=", "Filename=stdio:")),
        ("long information", changed("[Parts]", &format!("ShortInfo={}\n[Parts]", "x".repeat(20_000)))),
        ("a quote in information", changed("[Parts]", "Info=it's \"open\n[Parts]")),
        ("nothing but parts", format!("[Parts]\n{a}=D:a.deb\n")),
    ]
}

#[test]
fn odd_jigdo_files_are_read_as_jigdo_file_reads_them() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let place = place();
    for (what, text) in texts() {
        place.write("x.jigdo", &latin1(&text));
        let theirs = missing(&place, &mut Command::new("jigdo-file"));
        let ours = missing(&place, place.command(&["jigdo-file"]).stdin(Stdio::null()));
        assert!(!theirs.is_empty(), "{what}");
        assert_eq!(jigdo::escaped(&ours).to_string(), jigdo::escaped(&theirs).to_string(), "{what}");
        place.run(&["inspect", "x.jigdo"]).with(0);
        let shown = place.run(&["inspect", "x.jigdo", "--format", "json"]).with(0).json();
        assert_eq!(shown["type"], "jigdo", "{what}");
        Jigdo::read(&*latin1(&text)).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

/// A gzip member with the header's fields: extra, name, comment and checksum.
fn member(text: &str, flags: u8) -> Vec<u8> {
    let packed = gzip(text).unwrap();
    let mut member = [&packed[..3], &[flags, 0, 0, 0, 0, 0, 3]].concat();
    for (flag, field) in [(4, &b"\x04\0abcd"[..]), (8, b"x.jigdo\0"), (16, b"why\0")] {
        if flags & flag != 0 {
            member.extend_from_slice(field);
        }
    }
    member.extend_from_slice(&packed[10..]);
    member
}

/// What gzip(1) unpacks; `None` if it says that the data are broken.
fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let mut gzip = Command::new("gzip");
    let mut gzip = gzip.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut stdin, input) = (gzip.stdin.take().unwrap(), packed.to_vec());
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = gzip.wait_with_output().unwrap();
    feeder.join().unwrap();
    // 2 is a warning: what follows was ignored.
    matches!(output.status.code(), Some(0 | 2)).then_some(output.stdout)
}

#[test]
fn what_gzip_unpacks_is_unpacked() {
    if !installed(&["gzip"]) {
        return;
    }
    let text = with("D:a.deb", "D=http://s/");
    let (start, end) = text.split_at(text.len() / 2);
    let packed = gzip(&text).unwrap();
    let length = packed.len();
    let files = [
        ("one member", packed.clone()),
        ("a name", member(&text, 8)),
        ("all fields", member(&text, 4 | 8 | 16)),
        ("the mark of text", member(&text, 1)),
        ("two members", [gzip(start).unwrap(), gzip(end).unwrap()].concat()),
        ("empty members", [gzip("").unwrap(), packed.clone(), gzip("").unwrap()].concat()),
        ("zeros after it", [&packed[..], &[0; 10_000]].concat()),
        ("garbage after it", [&packed[..], b"\x01\x02\xff\0garbage"].concat()),
        ("a garbage of zeros and more", [&packed[..], b"\0\0\0garbage"].concat()),
        ("reserved flags", member(&text, 0xe0)),
        ("another method", [b"\x1f\x8b\x07", &packed[3..]].concat()),
        ("no checksum", packed[..length - 8].to_vec()),
        ("a cut checksum", packed[..length - 4].to_vec()),
        ("half of it", packed[..length / 2].to_vec()),
        ("nothing but a header", packed[..10].to_vec()),
        ("a wrong checksum", [&packed[..length - 8], &[0; 4], &packed[length - 4..]].concat()),
        ("a wrong length", [&packed[..length - 4], &[9; 4]].concat()),
        ("a second member that is cut", [&packed[..], &packed[..20]].concat()),
        ("a second member that is broken", [&packed[..], b"\x1f\x8b\x08junkjunkjunkjunk"].concat()),
    ];
    for (what, file) in files {
        let theirs = unpacked(&file).and_then(|text| Jigdo::read(&*text).ok());
        let ours = Jigdo::read(&*file).ok();
        assert_eq!(ours, theirs, "{what}");
    }
}

/// A template with this first line and these entries, after 100 bytes of unmatched data.
fn template(first: &[u8], entries: &[&[u8]]) -> Vec<u8> {
    let data = [7; 100];
    let zlib = [&b"\x78\x01\x01\x64\x00\x9b\xff"[..], &data, &[0x8a, 0x7a, 0x02, 0xbd]].concat();
    let u48 = |number: usize| (number as u64).to_le_bytes()[..6].to_vec();
    let piece = [&b"DATA"[..], &u48(zlib.len() + 16), &u48(100), &zlib].concat();
    let entries = entries.concat();
    let length = u48(entries.len() + 16);
    let description = [&b"DESC"[..], &length, &entries, &length].concat();
    [first, b"\r\nsee there\r\n\r\n", &piece, &description].concat()
}

#[test]
fn odd_templates_are_read_as_jigdo_file_reads_them() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let place = place();
    let md5 = |bytes: &[u8]| Sum::of(Checksum::Md5, bytes).as_bytes().to_vec();
    let entry =
        |kind: u8, length: u64, rest: &[&[u8]]| [&[kind][..], &length.to_le_bytes()[..6], &rest.concat()].concat();
    let unmatched = entry(2, 100, &[]);
    let no_part = entry(6, 0, &[&[0; 8], &md5(b"")]);
    let image = entry(5, 100, &[&md5(&[7; 100]), &1024_u32.to_le_bytes()]);
    let plain: &[&[u8]] = &[&unmatched, &image];
    for (what, template) in [
        ("plain", template(b"JigsawDownload template 1.2 x/1", plain)),
        ("Latin-1", template(b"JigsawDownload template 1.2 K\xe4se", plain)),
        ("no program", template(b"JigsawDownload template 1.2", plain)),
        ("no version", template(b"JigsawDownload template ", plain)),
        ("an unknown version", template(b"JigsawDownload template 2.1 x/1", plain)),
        ("a version without a minor one", template(b"JigsawDownload template 1 x/1", plain)),
        ("a long line", template(&[&b"JigsawDownload template 1.2 "[..], &[b'x'; 5000]].concat(), plain)),
        ("an empty area", template(b"JigsawDownload template 1.2 x/1", &[&entry(2, 0, &[]), &unmatched, &image])),
        ("the old entry of an image", {
            let image = entry(1, 100, &[&md5(&[7; 100])]);
            template(b"JigsawDownload template 1.0 x/1", &[&unmatched, &entry(2, 0, &[]), &image])
        }),
        ("an empty part", template(b"JigsawDownload template 1.2 x/1", &[&unmatched, &no_part, &image])),
    ] {
        place.write("odd.template", &template);
        let list = |command: &mut Command| {
            let listed = command.args(["ls", "-t", "odd.template"]).current_dir(place.path("")).output().unwrap();
            (listed.status.code(), String::from_utf8_lossy(&listed.stdout).into_owned())
        };
        assert_eq!(list(&mut place.command(&["jigdo-file"])), list(&mut Command::new("jigdo-file")), "{what}");
        place.run(&["inspect", "odd.template"]).with(0);
        place.write("odd.jigdo", b"[Image]\nFilename=odd.img\nTemplate=odd.template\n[Parts]\n");
        place.run(&["assemble", "--into", "odd", "odd.jigdo"]).with(0);
        assert_eq!(fs::read(place.path("odd/odd.img")).unwrap(), [7; 100], "{what}");
        fs::remove_dir_all(place.path("odd")).unwrap();
    }
}

#[test]
fn half_assembled_images_are_shown_whoever_left_them_and_whatever_their_names() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let place = place();
    place.write("x.jigdo", with("D:a.deb", "").as_bytes());
    fs::remove_file(place.path("x.iso")).unwrap();
    let mut make = Command::new("jigdo-file");
    make.args(["make-image", "--report=quiet", "-t", "x.template", "-i", "theirs.iso", "mirror/a.deb"]);
    assert_eq!(make.current_dir(place.path("")).stderr(Stdio::null()).status().unwrap().code(), Some(1));
    fs::remove_file(place.path("mirror/b.deb")).unwrap();
    place.run(&["assemble", "x.jigdo", "--partial", "--mirror", "D=mirror", "--into", "out"]).with(1);
    fs::copy(place.path("theirs.iso.tmp"), place.path("renamed")).unwrap();
    for path in ["theirs.iso.tmp", "out/x.iso.tmp", "renamed"] {
        let shown = place.run(&["inspect", path]).with(0).out;
        assert!(shown.starts_with("Half-assembled image\n"), "{path}: {shown}");
        let list = Command::new("jigdo-file").args(["ls", "-t"]).arg(place.path(path)).output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        assert!(!list.is_empty() && shown.contains(&list), "{path}: {shown}\n{list}");
        let json = place.run(&["inspect", path, "--format", "json"]).with(0).json();
        assert_eq!(json["type"], "tmp");
        assert_eq!((&json["totals"]["written_parts"], &json["totals"]["missing_parts"]), (&1.into(), &1.into()));
        assert_eq!((&json["totals"]["missing_part_bytes"], &json["image"]["length"]), (&5000.into(), &12_000.into()));
        let written = json["areas"].as_array().unwrap().iter().filter(|area| area["is_written"] == true).count();
        assert_eq!(written, 1, "{json}");
    }
}
