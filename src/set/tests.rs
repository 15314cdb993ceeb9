//! Sets as people lay them out.

use std::fs;
use std::path::Path;

use jigdo::jigdo_file::gzip;
use jigdo::{Checksum, Sum};

use super::{Error, Images, Offline, Set};

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

    fn images(&self, name: &str) -> Result<Images, Error> {
        Images::read(&self.0.path().join(name), &Offline)
    }

    fn open(&self, name: &str) -> Result<Set, Error> {
        let images = self.images(name)?;
        images.set(images.only()?, None)
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
    let not_included = directory.images("a.jigdo").unwrap().not_included;
    assert_eq!(not_included.iter().map(|it| &it.url).collect::<Vec<_>>(), ["https://c/d.jigdo"]);
    let urls = |content: &[u8]| set.urls(&Sum::of(Checksum::Md5, content)).unwrap();
    assert_eq!((urls(b"b"), urls(b"c")), (vec!["https://b/b".into()], vec!["https://b/c".into()]));
    assert_eq!(urls(b"d"), [format!("MD5Sum:{}", line(b"d"))]);
    directory.write("c.jigdo", "[Include a.jigdo]\n");
    assert!(matches!(directory.open("a.jigdo"), Err(Error::IncludesItself { .. })));
}

#[test]
fn what_has_no_image_is_no_set() {
    let directory = Directory::new();
    directory.write("a.jigdo", "[Parts]\n");
    assert!(matches!(directory.open("a.jigdo"), Err(Error::NoImage { .. })));
    assert!(matches!(Images::read(Path::new("/nonexistent/a.jigdo"), &Offline), Err(Error::Io { .. })));
}

/// The names of the images and templates of a jigdo file.
fn names(directory: &Directory, name: &str) -> Vec<(String, String)> {
    let names = Images::list(&directory.0.path().join(name), &Offline).unwrap().names;
    let text = |name: std::ffi::OsString| name.into_string().unwrap();
    names.into_iter().map(Result::unwrap).map(|names| (text(names.image), text(names.template))).collect()
}

#[test]
fn every_image_of_a_jigdo_file_is_a_set_of_its_own() {
    let directory = Directory::new();
    directory.write("a.template", "");
    directory.write("c.template", "");
    let image = |name: &str| format!("[Image]\nFilename={name}.iso\nTemplate={name}.template\n");
    directory.write("x.jigdo", [image("a"), image("b"), "[Parts]\n".to_owned(), image("c")].concat());
    directory.write("x.template", "");
    let images = directory.images("x.jigdo").unwrap();
    let sets: Vec<_> = (0..images.count()).map(|number| images.set(number, None)).collect();
    assert_eq!(sets[0].as_ref().unwrap().image_name, "a.iso");
    // The template with the jigdo file's own name is that of no image in particular.
    assert!(matches!(&sets[1], Err(Error::NoTemplate { .. })));
    assert_eq!(sets[2].as_ref().unwrap().image_name, "c.iso");
    assert_eq!(images.named("c.iso".as_ref()).unwrap(), 2);
    let error = images.named("d.iso".as_ref()).unwrap_err().to_string();
    assert!(error.contains("no image called \"d.iso\", but a.iso, b.iso, c.iso"), "{error}");
    let error = images.only().unwrap_err().to_string();
    assert!(error.contains("describes 3 images: a.iso, b.iso, c.iso; name one"), "{error}");
    assert_eq!(names(&directory, "x.jigdo").len(), 3);
}

#[test]
fn a_jigdo_file_without_an_image_has_all_those_of_the_files_that_it_includes() {
    let directory = Directory::new();
    let image = |name: &str| format!("[Image]\nFilename={name}\nTemplate={name}.t\n");
    directory.write("in/one", [image("a"), image("b"), "[Include two]\n".to_owned()].concat());
    directory.write("in/two", image("not this one: its includer has images"));
    directory.write("in/none", "[Servers]\nA=http://a/\n[Include three]\n");
    directory.write("in/three", image("c"));
    directory.write("x.jigdo", "[Include in/one]\n[Include in/none]\n");
    directory.write("y.jigdo", format!("[Include in/one]\n{}", image("own")));
    let of = |name: &str| names(&directory, name).into_iter().map(|(image, _)| image).collect::<Vec<_>>();
    assert_eq!(of("x.jigdo"), ["a", "b", "c"]);
    assert_eq!(of("y.jigdo"), ["own"]);
    assert!(of("in/none").contains(&"c".to_owned()));
}
