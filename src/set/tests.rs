//! Sets as people lay them out.

use std::fs;
use std::path::Path;

use jigdo::jigdo_file::gzip;
use jigdo::{Checksum, Sum};

use super::{Error, Offline, Set};

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn jigdo(&self, name: &str, image: &str, rest: &str) {
        self.write(name, format!("[Image]\n{image}\n[Parts]\n{rest}"));
    }

    fn open(&self, name: &str) -> Result<Set, Error> {
        Set::open(&self.0.path().join(name), None, &Offline)
    }

    fn template(&self, name: &str) -> String {
        let set = self.open(name).unwrap_or_else(|error| panic!("{error}"));
        set.template.strip_prefix(self.0.path()).unwrap().to_str().unwrap().to_owned()
    }
}

#[test]
fn the_template_is_found_where_the_jigdo_file_says_or_beside_it() {
    let directory = Directory::new();
    for name in ["sets/a.template", "sets/with space.template", "templates/b.template", "sets/c.template"] {
        directory.write(name, "");
    }
    let absolute = directory.0.path().join("templates/b.template").display().to_string();
    for (url, expected) in [
        ("a.template", "sets/a.template"),
        ("./a.template", "sets/./a.template"),
        ("../templates/b.template", "sets/../templates/b.template"),
        (&absolute, "templates/b.template"),
        (&format!("file:{absolute}"), "templates/b.template"),
        (&format!("file://{absolute}"), "templates/b.template"),
        ("file:a.template", "sets/a.template"),
        ("https://example.org/elsewhere/a.template", "sets/a.template"),
        ("https://example.org/with%20space.template?x=1", "sets/with space.template"),
        ("with%20space.template", "sets/with space.template"),
        ("/nowhere/a.template", "sets/a.template"),
        ("https://example.org/other-name", "sets/c.template"),
    ] {
        directory.jigdo("sets/c.jigdo", &format!("Filename=x.iso\nTemplate='{url}'"), "");
        assert_eq!(directory.template("sets/c.jigdo"), expected, "{url}");
    }
    fs::remove_file(directory.0.path().join("sets/c.template")).unwrap();
    directory.jigdo("sets/c.jigdo", "Filename=x.iso\nTemplate=https://example.org/d.template", "");
    let error = directory.open("sets/c.jigdo").unwrap_err().to_string();
    assert!(error.contains("sets/d.template, ") && error.contains("sets/c.template; get it"), "{error}");
}

#[test]
fn the_image_has_one_component_as_its_name() {
    let directory = Directory::new();
    directory.write("a.template", "");
    for (name, expected) in
        [("x.iso", "x.iso"), ("stdio:x.iso", "x.iso"), ("/srv/x.iso", "x.iso"), ("../x.iso", "x.iso")]
    {
        directory.jigdo("a.jigdo", &format!("Filename={name}\nTemplate=a.template"), "");
        assert_eq!(directory.open("a.jigdo").unwrap().image_name, expected);
    }
    for name in ["..", "/", "x/.."] {
        directory.jigdo("a.jigdo", &format!("Filename={name}\nTemplate=a.template"), "");
        assert!(matches!(directory.open("a.jigdo"), Err(Error::ImageName { .. })), "{name}");
    }
}

#[test]
fn the_templates_sum_is_compared() {
    let directory = Directory::new();
    directory.write("a.template", "content");
    let image = |sum: Sum| {
        let sum = jigdo::base64::encode(sum.as_bytes());
        format!("Filename=x\nTemplate=a.template\nTemplate-MD5Sum={sum}")
    };
    directory.jigdo("a.jigdo", &image(Sum::of(Checksum::Md5, b"content")), "");
    directory.open("a.jigdo").unwrap().check_template_sum().unwrap();
    directory.jigdo("a.jigdo", &image(Sum::of(Checksum::Md5, b"another")), "");
    let error = directory.open("a.jigdo").unwrap().check_template_sum().unwrap_err().to_string();
    assert!(error.contains("a.template") && error.contains("a.jigdo"), "{error}");
}

#[test]
fn a_compressed_jigdo_file_and_those_that_it_includes_are_read() {
    let directory = Directory::new();
    directory.write("a.template", "");
    let text = "[Image]\nFilename=x\nTemplate=a.template\n[Include sub/b.jigdo]\n[Include https://c/d.jigdo]\n";
    directory.write("a.jigdo", gzip(text).unwrap());
    let line = |content: &[u8]| jigdo::base64::encode(Sum::of(Checksum::Md5, content).as_bytes());
    directory
        .write("sub/b.jigdo", format!("[Parts]\n{}=B:b\n[Servers]\nB=https://b/\n[Include ../c.jigdo]\n", line(b"b")));
    directory.write("c.jigdo", format!("[Parts]\n{}=B:c\n", line(b"c")));
    let set = directory.open("a.jigdo").unwrap();
    assert_eq!(set.not_included.iter().map(|it| it.url.as_str()).collect::<Vec<_>>(), ["https://c/d.jigdo"]);
    let urls = |content: &[u8]| set.urls(&Sum::of(Checksum::Md5, content)).unwrap();
    assert_eq!((urls(b"b"), urls(b"c")), (vec!["https://b/b".to_owned()], vec!["https://b/c".to_owned()]));
    assert_eq!(urls(b"d"), [format!("MD5Sum:{}", line(b"d"))]);
    directory.write("c.jigdo", "[Include a.jigdo]\n");
    assert!(matches!(directory.open("a.jigdo"), Err(Error::IncludesItself { .. })));
}

#[test]
fn what_has_no_image_is_no_set() {
    let directory = Directory::new();
    directory.write("a.jigdo", "[Parts]\n");
    assert!(matches!(directory.open("a.jigdo"), Err(Error::NoImage { .. })));
    assert!(matches!(Set::open(Path::new("/nonexistent/a.jigdo"), None, &Offline), Err(Error::Io { .. })));
}
