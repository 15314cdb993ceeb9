//! Manifests against a small tree of files: what they load as, and what is said of bad ones.

use std::ffi::OsString;
use std::fs;

use super::*;

/// A directory with the files that the manifests here speak of.
pub(super) struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    pub fn new(files: &[&str]) -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        site.add("mirror/pool/a.deb");
        files.iter().for_each(|file| site.add(file));
        site
    }

    fn add(&self, file: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    fn load_with(&self, text: &str, only: &[&str], variables: &[(&str, &str)]) -> Result<Release, String> {
        let manifest = self.path("m.yaml");
        fs::write(&manifest, text).unwrap();
        let selectors: Vec<Selector> = only.iter().map(|selector| selector.parse().unwrap()).collect();
        let environment = |name: &str| -> Option<OsString> {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into())
        };
        load_with(&[manifest], &selectors, &environment)
            .map(|mut releases| releases.pop().unwrap())
            .map_err(|errors| errors.to_string().replace(&format!("{}/", self.directory.path().display()), ""))
    }

    fn load(&self, text: &str) -> Release {
        self.load_with(text, &[], &[]).unwrap_or_else(|errors| panic!("{errors}"))
    }

    pub fn errors(&self, text: &str) -> String {
        self.load_with(text, &[], &[]).expect_err("the manifest is bad")
    }

    /// The images' paths and sets, relative to the site.
    fn sets(&self, release: &Release) -> Vec<String> {
        let relative = |path: &Path| path.strip_prefix(self.directory.path()).unwrap().display().to_string();
        let images = release.images.iter();
        images.map(|image| format!("{} > {}/{}", relative(&image.path), relative(&image.output), image.name)).collect()
    }
}

/// A manifest with these lines in its one image entry, at an indentation of four.
fn with_image(lines: &str) -> String {
    format!(
        "release: r\nmirrors:\n  Debian: {{path: mirror, servers: [http://d/]}}\nimages:\n  - output: out\n{lines}\n"
    )
}

/// A manifest that is right but for the lines at its top.
fn with_top(lines: &str) -> String {
    format!("{lines}\nimages:\n  - {{path: a.iso, output: out}}\n")
}

const SHORTEST: &str =
    "release: r\nmirrors: {Debian: {path: mirror, servers: [http://d/]}}\nimages: [{path: a.iso, output: out}]\n";

#[test]
fn the_shortest_manifest_gets_every_default() {
    let site = Site::new(&["a.iso"]);
    let release = site.load(SHORTEST);
    let expected = Release {
        name: "r".into(),
        manifest: site.path("m.yaml"),
        mirrors: vec![Mirror {
            label: "Debian".into(),
            path: site.path("mirror"),
            filter: Filter::everything(),
            hidden: false,
            servers: vec![Server { url: "http://d/".into(), try_last: false }],
        }],
        images: vec![Image {
            path: site.path("a.iso"),
            variables: BTreeMap::new(),
            output: site.path("out"),
            name: "a".into(),
            template_url: "a.template".into(),
            filename: "a.iso".into(),
            short_info: None,
            info: None,
            include_jigdo: vec![],
            mirrors: vec![0],
            settings: Settings {
                checksum: Checksum::Sha256,
                compression: Compression::Gzip,
                level: 9,
                min_length: 1024,
                compress_jigdo: false,
                sums: [Algorithm::Sha256].into(),
                mode: None,
            },
            place: Position { line: 3, column: 10 },
        }],
        left_out: vec![],
    };
    assert_eq!(release, expected);
}

const EVERYTHING: &str = r#"---
release: bookworm-12.9
vars: {point: 12.10, title: "{release} {point}"}
mirrors:
  Zeta:
    path: ${MIRROR:-nowhere}
    include: ["pool/**", "dists/{point}/**", "doc/*.{txt,html}"]
    exclude: ["**/Release*"]
    servers:
      - https://deb.debian.org/{point}
      - {url: "https://snapshot.debian.org/archive/${DAY}/", try_last: true}
      - "Alpha:sub/dir"
      - file:/srv/debian/
      - ../local
      - https://example.org/get?file=
  Alpha: {path: mirror, servers: [http://a/]}
  Both-2.0+x: {path: mirror}
defaults: {checksum: md5, compression: bzip2, level: 3, min_length: 4096, compress_jigdo: true, sums: [sha512, md5]}
images:
  - path: "build/{arch}/*-{point}-{arch}-*.iso"
    matrix: {arch: [amd64, 386]}
    output: "cd/{arch}/jigdo"
    name: "{stem}-{arch}-{point}"
    template_url: "https://cd.example/{name}.template"
    filename: "{release}-{file}"
    short_info: "{title} {arch} {{x}}"
    info: >
      One
      line.
    include_jigdo: ["https://cd.example/{arch}.jigdo"]
    mirrors: [Alpha, Zeta]
    optional: true
    compression: gzip
    level: 0
    sums: []
"#;

#[test]
fn every_key_works() {
    let site = Site::new(&["build/386/x-12.10-386-1.iso", "tree/pool/b.deb"]);
    let tree = site.path("tree");
    let environment = [("MIRROR", tree.to_str().unwrap()), ("DAY", "20250111")];
    let release = site.load_with(EVERYTHING, &[], &environment).unwrap();
    assert_eq!(release.name, "bookworm-12.9");
    let labels: Vec<_> = release.mirrors.iter().map(|mirror| mirror.label.as_str()).collect();
    assert_eq!(labels, ["Zeta", "Alpha", "Both-2.0+x"]);
    let zeta = &release.mirrors[0];
    assert_eq!(zeta.path, tree);
    assert_eq!(zeta.filter.include(), ["pool/**", "dists/12.10/**", "doc/*.{txt,html}"]);
    assert_eq!(zeta.filter.exclude(), ["**/Release*"]);
    let servers: Vec<_> = zeta.servers.iter().map(|server| (server.url.as_str(), server.try_last)).collect();
    let expected = [
        ("https://deb.debian.org/12.10/", false),
        ("https://snapshot.debian.org/archive/20250111/", true),
        ("Alpha:sub/dir/", false),
        ("file:/srv/debian/", false),
        ("../local/", false),
        ("https://example.org/get?file=", false),
    ];
    assert_eq!(servers, expected);
    let [image] = &release.images[..] else { panic!("{:?}", release.images) };
    let expected = Image {
        path: site.path("build/386/x-12.10-386-1.iso"),
        variables: [("arch".to_owned(), "386".to_owned())].into(),
        output: site.path("cd/386/jigdo"),
        name: "x-12.10-386-1-386-12.10".into(),
        template_url: "https://cd.example/x-12.10-386-1-386-12.10.template".into(),
        filename: "bookworm-12.9-x-12.10-386-1.iso".into(),
        short_info: Some("bookworm-12.9 12.10 386 {x}".into()),
        info: Some("One line.".into()),
        include_jigdo: vec!["https://cd.example/386.jigdo".into()],
        mirrors: vec![1, 0],
        settings: Settings {
            checksum: Checksum::Md5,
            compression: Compression::Gzip,
            level: 0,
            min_length: 4096,
            compress_jigdo: true,
            sums: BTreeSet::new(),
            mode: None,
        },
        place: Position { line: 20, column: 5 },
    };
    assert_eq!(*image, expected);
}

#[test]
fn globs_take_files_in_order_and_leave_directories_and_hidden_files() {
    let site = Site::new(&["b/DVD-2.iso", "b/DVD-1.iso", "b/.DVD-3.iso.part", "b/DVD-4.iso/x", "b/DVD.txt"]);
    std::os::unix::fs::symlink("DVD-1.iso", site.path("b/DVD-0.iso")).unwrap();
    std::os::unix::fs::symlink("gone", site.path("b/DVD-5.iso")).unwrap();
    let release = site.load(&with_image("    path: b/*DVD-?.iso*"));
    assert_eq!(site.sets(&release), ["b/DVD-0.iso > out/DVD-0", "b/DVD-1.iso > out/DVD-1", "b/DVD-2.iso > out/DVD-2"]);
}

#[test]
fn glob_characters_in_values_and_directories_are_literal() {
    let site = Site::new(&["[x]/a*b/1.iso", "x/axb/2.iso"]);
    let manifest = site.path("[x]/m.yaml");
    let text = "release: r\nvars: {v: a*b}\nmirrors: {Debian: {path: ../mirror, servers: [http://d/]}}\nimages: [{path: '{v}/*.iso', output: out}]\n";
    fs::write(&manifest, text).unwrap();
    let releases = load_all(&[manifest], &[]).unwrap();
    assert_eq!(site.sets(&releases[0]), ["[x]/a*b/1.iso > [x]/out/1"]);
}

#[test]
fn matrices_are_multiplied_and_exclusions_drop_combinations() {
    let site = Site::new(&["a-x.iso", "a-y.iso", "b-x.iso", "b-y.iso"]);
    let release =
        site.load(&with_image("    path: '{l}-{r}.iso'\n    matrix: {l: [b, a], r: [x, y], exclude: [{l: a, r: y}]}"));
    assert_eq!(site.sets(&release), ["b-x.iso > out/b-x", "b-y.iso > out/b-y", "a-x.iso > out/a-x"]);
    let release =
        site.load(&with_image("    path: '{l}-{r}.iso'\n    matrix: {l: [b, a], r: [x, y], exclude: [{l: a}]}"));
    assert_eq!(site.sets(&release), ["b-x.iso > out/b-x", "b-y.iso > out/b-y"]);
}

const MATRIX: &str = "release: r
mirrors:
  Debian: {path: mirror, servers: [http://d/]}
  Ports: {path: nowhere, servers: [http://p/]}
images:
  - {path: '{arch}-{kind}.iso', matrix: {arch: [amd64, arm64], kind: [cd, dvd]}, output: out, mirrors: [Debian]}
  - {path: 'ports-{arch}.iso', matrix: {arch: [sh4]}, output: out}
  - {path: source.iso, output: out}
";

#[test]
fn selectors_leave_out_combinations_before_their_files_are_looked_for() {
    let site = Site::new(&["amd64-cd.iso", "amd64-dvd.iso", "arm64-dvd.iso"]);
    for (only, expected) in [
        (&["arch=amd64"][..], &["amd64-cd", "amd64-dvd"][..]),
        (&["arch=amd64", "kind=dvd"], &["amd64-dvd"]),
        (&["arch=amd64", "arch=arm64", "kind=dvd"], &["amd64-dvd", "arm64-dvd"]),
        (&["image=*-dvd.iso", "arch=arm64"], &["arm64-dvd"]),
        (&["arch=amd64", "image=**/amd64-c*", "image=amd64-dvd.iso"], &["amd64-cd", "amd64-dvd"]),
    ] {
        let release = site.load_with(MATRIX, only, &[]).unwrap_or_else(|errors| panic!("{only:?}: {errors}"));
        let names: Vec<_> = release.images.iter().map(|image| image.name.as_str()).collect();
        assert_eq!(names, expected, "{only:?}");
    }
}

#[test]
fn selectors_that_select_nothing_are_errors() {
    let site = Site::new(&["amd64-cd.iso", "amd64-dvd.iso", "arm64-dvd.iso"]);
    for (only, expected) in [
        (&["arc=amd64"][..], "m.yaml: --only arc=amd64: no matrix has the variable \"arc\"; did you mean \"arch\"?"),
        (&["arch=amd46"], "m.yaml: --only arch=amd46: no image entry has this value; did you mean \"amd64\"?"),
        (&["arch=sh4", "kind=cd"], "m.yaml: --only arch=sh4 --only kind=cd: no combination has all of these"),
        (&["arch=amd64", "image=*.udf"], "m.yaml: --only image=*.udf: no image matches"),
    ] {
        assert_eq!(site.load_with(MATRIX, only, &[]).unwrap_err(), expected, "{only:?}");
    }
}

#[test]
fn a_selector_may_select_in_one_of_several_manifests() {
    let site = Site::new(&["a.iso", "amd64.iso"]);
    fs::write(site.path("1.yaml"), SHORTEST).unwrap();
    fs::write(site.path("2.yaml"), with_image("    path: '{arch}.iso'\n    matrix: {arch: [amd64]}")).unwrap();
    let only = ["arch=amd64".parse().unwrap()];
    let releases = load_all(&[site.path("1.yaml"), site.path("2.yaml")], &only).unwrap();
    assert_eq!(releases.iter().map(|release| release.images.len()).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn an_optional_entry_may_match_no_file() {
    let site = Site::new(&[]);
    assert_eq!(site.load(&with_image("    path: '*.iso'\n    optional: true")).images, []);
}

#[test]
fn images_that_would_have_the_same_line_in_a_sums_file_are_errors() {
    let site = Site::new(&["a.iso", "b.iso"]);
    let message = "m.yaml:6:5: b.iso and a.iso (m.yaml:5) would have the same name in the SUMS files of out; \
                   give each a \"filename\" of its own";
    let manifest = "release: r\nmirrors: {D: {path: ., servers: [http://d/]}}\ndefaults: {sums: [md5]}\nimages:\n\
                    \x20 - {path: a.iso, output: out, filename: x.iso}\n\
                    \x20 - {path: b.iso, output: out, filename: x.iso}\n";
    assert_eq!(site.errors(manifest), message);
    let message = message.replace("b.iso and", "a.iso and").replace("and a.iso", "and b.iso");
    let template = manifest.replace("a.iso, output: out, filename: x.iso", "b.iso, output: out");
    let template = template.replace("b.iso, output: out, filename: x.iso", "a.iso, output: out, filename: b.template");
    assert_eq!(site.errors(&template), message);
    // Two sets of one image may say the same of it.
    let twice = manifest.replace("b.iso, output: out,", "a.iso, output: out, name: y,");
    assert_eq!(site.load(&twice).images.len(), 2);
    assert_eq!(site.load(&manifest.replace("[md5]", "[]")).images.len(), 2);
}

#[test]
fn images_that_would_write_the_same_set_are_errors() {
    let site = Site::new(&["pool.tar", "pool.zip"]);
    std::os::unix::fs::symlink("out", site.path("link")).unwrap();
    fs::create_dir(site.path("out")).unwrap();
    let message = "m.yaml:6:5: pool.zip and pool.tar (m.yaml:5) would both write \
                   OUT/pool.jigdo; give their sets different names, such as \"{file}\" where only the extensions differ";
    for output in ["out", "link", "./nowhere/../out", "out/"] {
        let text = format!(
            "release: r\nmirrors:\n  Debian: {{path: mirror, servers: [http://d/]}}\nimages:\n  - {{path: pool.tar, output: out}}\n  - {{path: pool.zip, output: {output}}}\n"
        );
        assert_eq!(site.errors(&text), message.replace("OUT", output.trim_end_matches('/')), "{output}");
    }
    let twice = with_image("    path: pool.tar\n    matrix: {x: [a, b]}");
    let message = "m.yaml:5:5: pool.tar would be written to out/pool.jigdo twice (also by m.yaml:5); give each set a name or an output directory of its own";
    assert_eq!(site.errors(&twice), message);
    let release = site.load(&with_image("    path: 'pool.*'\n    name: '{file}'"));
    assert_eq!(site.sets(&release), ["pool.tar > out/pool.tar", "pool.zip > out/pool.zip"]);
}

#[test]
fn collisions_are_found_across_manifests() {
    let site = Site::new(&["a.iso"]);
    let [first, second] = ["1.yaml", "2.yaml"].map(|name| {
        fs::write(site.path(name), SHORTEST).unwrap();
        load(&site.path(name), &[]).unwrap()
    });
    let errors = check_collisions(&[first, second]).unwrap_err().0;
    assert_eq!(errors.len(), 1);
    assert_eq!((&errors[0].file, errors[0].place.unwrap().line), (&site.path("2.yaml"), 3));
    assert!(errors[0].message.contains("1.yaml:3"), "{}", errors[0].message);
}

#[test]
fn an_image_may_have_several_sets() {
    let site = Site::new(&["a.iso"]);
    let text = "release: r\nmirrors: {Debian: {path: mirror, servers: [http://d/]}}\nimages: [{path: a.iso, output: out}, {path: a.iso, output: out, name: b, checksum: md5}]\n";
    assert_eq!(site.sets(&site.load(text)), ["a.iso > out/a", "a.iso > out/b"]);
}

#[test]
fn a_set_never_overwrites_an_image() {
    let site = Site::new(&["a.iso", "a.template"]);
    let text = "release: r\nmirrors: {Debian: {path: mirror, servers: [http://d/]}}\nimages: [{path: a.iso, output: .}, {path: a.template, output: out, name: b}]\n";
    assert_eq!(site.errors(text), "m.yaml:3:10: the set of a.iso would overwrite the image a.template");
}

#[test]
fn anchors_and_merge_keys_work() {
    let site = Site::new(&["a.iso", "b.iso"]);
    let text = "release: r\nmirrors: {Debian: {path: mirror, servers: [http://d/]}}\nimages:\n  - &first {path: a.iso, output: out, level: 3}\n  - {<<: *first, path: b.iso}\n";
    let release = site.load(text);
    assert_eq!(site.sets(&release), ["a.iso > out/a", "b.iso > out/b"]);
    assert_eq!(release.images[1].settings.level, 3);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let site = Site::new(&["a.iso"]);
    let text = "relase: r\nmirrors:\n  Debian: {path: mirror, servers: [http://d/], inclde: []}\n  Debian: {path: [mirror]}\nimages:\n  - {path: a.iso, output: out, level: 10}\n  - {}\n";
    let expected = [
        "m.yaml:1:1: unknown key \"relase\"; did you mean \"release\"?",
        "m.yaml:3:48: unknown key \"inclde\"; did you mean \"include\"?",
        "m.yaml:4:3: the key \"Debian\" is repeated; it is first on line 3",
        "m.yaml:4:18: expected a text, found a list",
        "m.yaml:6:39: expected a whole number from 0 to 9, found 10",
        "m.yaml:7:5: the key \"path\" is missing",
        "m.yaml:7:5: the key \"output\" is missing",
    ];
    assert_eq!(site.errors(text), expected.join("\n"));
    let text = "release: ${NO}\nmirrors:\n  a b: {path: gone, servers: [http://d/]}\n  Debian: {path: mirror, servers: ['Debain:x/', 'http:///']}\nimages:\n  - {path: '{x}', output: a.iso}\n  - {path: b.iso, output: out, mirrors: [Debain]}\n";
    let expected = [
        "m.yaml:1:10: the environment variable NO is not set; set it, or write ${NO:-default} to give it a default",
        "m.yaml:3:3: the label \"a b\" cannot be used: use letters, digits, \"-\", \"_\", \".\" and \"+\", the first a letter or digit",
        "m.yaml:3:15: mirror \"a b\": gone does not exist",
        "m.yaml:4:36: \"Debain:x/\": mirror \"Debain\" is not defined; did you mean \"Debian\"?",
        "m.yaml:4:49: the URL \"http:///\" names no server",
        "m.yaml:6:12: unknown variable {x}",
        "m.yaml:6:27: the output directory cannot be created: a.iso is not a directory",
        "m.yaml:7:12: no file matches b.iso",
        "m.yaml:7:42: mirror \"Debain\" is not defined; did you mean \"Debian\"?",
    ];
    assert_eq!(site.errors(text), expected.join("\n"));
}

#[test]
fn bad_files_are_refused_whole() {
    let site = Site::new(&[]);
    assert_eq!(site.errors(""), "m.yaml: the manifest is empty");
    assert_eq!(site.errors("# nothing\n---\n"), "m.yaml: the manifest is empty");
    assert_eq!(site.errors("- a\n"), "m.yaml:1:1: expected a mapping, found a list");
    assert_eq!(site.errors(&" ".repeat(5 << 20)), "m.yaml: the manifest is longer than 4194304 bytes");
    fs::write(site.path("latin1.yaml"), b"release: r\nvars: {x: \xe9}\n").unwrap();
    let errors = load(&site.path("latin1.yaml"), &[]).unwrap_err().to_string();
    assert!(
        errors.ends_with("latin1.yaml:2:11: the manifest is not UTF-8: this is the byte 0xE9; save it as UTF-8"),
        "{errors}"
    );
    let errors = load(&site.path("none.yaml"), &[]).unwrap_err().to_string();
    assert!(errors.ends_with("none.yaml: cannot be read: No such file or directory (os error 2)"), "{errors}");
}

#[test]
fn variables_that_double_each_other_do_not_explode() {
    let site = Site::new(&["a.iso"]);
    let vars: Vec<_> = (1..60).map(|n| format!("v{n}: '{{v{}}}{{v{}}}'", n - 1, n - 1)).collect();
    let text = with_top(&format!(
        "release: r\nvars: {{v0: xxxx, {}}}\nmirrors: {{Debian: {{path: mirror, servers: [http://d/]}}}}",
        vars.join(", ")
    ));
    assert!(site.errors(&text).contains("the text is longer than 65536 bytes when expanded"));
}

/// Lines of the one image entry, and what is said of them.
#[test]
#[allow(clippy::too_many_lines, reason = "a table of mistakes and messages")]
fn mistakes_in_an_image_say_what_to_do() {
    let site = Site::new(&["a.iso", "file"]);
    let long = "x".repeat(201);
    let longer = "x".repeat(5001);
    for (lines, expected) in [
        ("    paht: a.iso", "m.yaml:6:5: unknown key \"paht\"; did you mean \"path\"?"),
        ("    path: b*.iso", "m.yaml:6:11: no file matches b*.iso"),
        ("    path: '[a.iso'", "m.yaml:6:11: not a glob: unclosed character class; missing ']'"),
        ("    path: ''", "m.yaml:6:11: the path is empty"),
        ("    path:", "m.yaml:6:9: the key \"path\" has no value"),
        ("    path: {a: b}", "m.yaml:6:11: expected a text, found a mapping"),
        (
            "    path: mirror",
            "m.yaml:6:11: mirror is a directory, not an image; name the files in it, such as mirror/*.iso",
        ),
        ("    path: \"a\\n.iso\"", "m.yaml:6:11: the path contains a line break or another control character"),
        (
            "    path: a.iso\n    name: a/b",
            "m.yaml:7:11: the set's name must be a file name without directories, not \"a/b\"",
        ),
        (
            "    path: a.iso\n    name: ..",
            "m.yaml:7:11: the set's name must be a file name without directories, not \"..\"",
        ),
        ("    path: a.iso\n    name: ''", "m.yaml:7:11: the set's name is empty"),
        ("    path: a.iso\n    name: '{stm}'", "m.yaml:7:11: unknown variable {stm}; did you mean \"stem\"?"),
        (
            "    path: a.iso\n    filename: ./a",
            "m.yaml:7:15: the image's file name must be a file name without directories, not \"./a\"",
        ),
        ("    path: a.iso\n    template_url: ''", "m.yaml:7:19: the template's URL is empty"),
        (
            "    path: a.iso\n    include_jigdo: ['a b']",
            "m.yaml:7:21: the URL \"a b\" contains white space; write %20 for a space",
        ),
        (
            "    path: a.iso\n    include_jigdo: a.jigdo",
            "m.yaml:7:20: expected a list, found the text \"a.jigdo\"; write it as a list: [a.jigdo]",
        ),
        (
            "    path: a.iso\n    optional: yes",
            "m.yaml:7:15: expected true or false, found the text \"yes\"; write true",
        ),
        ("    path: a.iso\n    mirrors: []", "m.yaml:7:14: no mirror is listed; to use all of them, leave the key out"),
        ("    path: a.iso\n    mirrors: [Debian, Debian]", "m.yaml:7:23: mirror \"Debian\" is listed twice"),
        ("    path: a.iso\n    mirrors: [Ubuntu]", "m.yaml:7:15: mirror \"Ubuntu\" is not defined"),
        (
            "    path: a.iso\n    checksum: sha265",
            "m.yaml:7:15: expected one of sha256, md5, found the text \"sha265\"; did you mean \"sha256\"?",
        ),
        ("    path: a.iso\n    compression: 7", "m.yaml:7:18: expected one of gzip, bzip2, found 7"),
        ("    path: a.iso\n    level: '9'", "m.yaml:7:12: expected a whole number from 0 to 9, found the text \"9\""),
        ("    path: a.iso\n    level: -1", "m.yaml:7:12: expected a whole number from 0 to 9, found -1"),
        (
            "    path: a.iso\n    min_length: 255",
            "m.yaml:7:17: expected a whole number from 256 to 16777216, found 255",
        ),
        (
            "    path: a.iso\n    min_length: 99999999999",
            "m.yaml:7:17: expected a whole number from 256 to 16777216, found 99999999999",
        ),
        (
            "    path: a.iso\n    compression: bzip2\n    level: 0",
            "m.yaml:8:12: bzip2 has no level 0; use gzip to store data without compression",
        ),
        ("    path: a.iso\n    sums: [md5, md5]", "m.yaml:7:17: MD5 is listed twice"),
        (
            &format!("    path: a.iso\n    short_info: {long}"),
            "m.yaml:7:17: short_info is 201 characters long, at most 200 are allowed",
        ),
        (
            &format!("    path: a.iso\n    info: {longer}"),
            "m.yaml:7:11: info is 5001 characters long, at most 5000 are allowed",
        ),
        (
            "    path: a.iso\n    info: \"a\\nb\"",
            "m.yaml:7:11: info contains a line break or another control character; after \">\", YAML joins lines",
        ),
        (
            &format!("    path: a.iso\n    name: {long}{long}"),
            &format!("m.yaml:7:11: the set's name is longer than 246 bytes: {long}{long}"),
        ),
        ("    path: '{a}.iso'\n    matrix: {a: []}", "m.yaml:7:14: the variable \"a\" has no values"),
        ("    path: '{x}.iso'\n    matrix: {x: [a, a]}", "m.yaml:7:21: \"a\" is listed twice"),
        (
            "    path: 'a.iso'\n    matrix: {image: [a]}",
            "m.yaml:7:14: \"image\" cannot be a variable: the name is reserved",
        ),
        (
            "    path: 'a.iso'\n    matrix: {a b: [a]}",
            "m.yaml:7:14: \"a b\" cannot be a variable: use letters, digits, \"_\" and \"-\"",
        ),
        ("    path: 'a.iso'\n    matrix: {x: [a], exclude: [{y: a}]}", "m.yaml:7:33: the matrix has no variable \"y\""),
        (
            "    path: '{x}.iso'\n    matrix: {x: [amd64, a], exclude: [{x: amd46}]}\n    optional: true",
            "m.yaml:7:43: \"x\" never has the value \"amd46\"; did you mean \"amd64\"?",
        ),
        (
            "    path: 'a.iso'\n    matrix: {x: [a], exclude: [{x: a}]}",
            "m.yaml:5:5: \"exclude\" leaves no combination of the matrix",
        ),
        (
            "    path: 'a.iso'\n    matrix: {x: [a], exclude: [{}]}",
            "m.yaml:7:32: this entry of \"exclude\" names no variable, so it would exclude everything",
        ),
        (
            "    path: 'a.iso'\n    matrix: {x: a}",
            "m.yaml:7:17: expected a list, found the text \"a\"; write it as a list: [a]",
        ),
    ] {
        assert_eq!(site.errors(&with_image(lines)), expected, "{lines}");
    }
}

/// Everything but the images, and what is said of it.
#[test]
fn mistakes_above_the_images_say_what_to_do() {
    let site = Site::new(&["a.iso"]);
    for (lines, expected) in [
        ("release: r", "m.yaml:1:1: the key \"mirrors\" is missing"),
        ("release: r\nmirrors: {}", "m.yaml:2:10: no mirror is defined"),
        ("release: ''\nmirrors: {D: {path: mirror, servers: [http://d/]}}", "m.yaml:1:10: the release's name is empty"),
        (
            "release: r\nvars: {x: '{y}', y: 1}\nmirrors: {D: {path: mirror, servers: [http://d/]}}",
            "m.yaml:2:11: unknown variable {y}; the variables here are {release}",
        ),
        (
            "release: r\nvars: {stem: 1}\nmirrors: {D: {path: mirror, servers: [http://d/]}}",
            "m.yaml:2:8: \"stem\" cannot be a variable: the name is reserved",
        ),
        (
            "release: r\nmirrors: {D: {path: nowhere, servers: [http://d/]}}",
            "m.yaml:2:21: mirror \"D\": nowhere does not exist",
        ),
        (
            "release: r\nmirrors: {D: {path: a.iso, servers: [http://d/]}}",
            "m.yaml:2:21: mirror \"D\": a.iso is not a directory",
        ),
        (
            "release: r\nmirrors: {D: {path: mirror, servers: [http://d/], include: []}}",
            "m.yaml:2:21: \"include\" is an empty list, which matches no file; to include every file, leave the key out",
        ),
        (
            "release: r\nmirrors: {D: {path: mirror, servers: [http://d/], include: [/pool/]}}",
            "m.yaml:2:61: the glob \"/pool/\" matches no file below the path; did you mean \"pool/**\"?",
        ),
        (
            "release: r\nmirrors: {D: {path: mirror, servers: [http://d/], exclude: ['[a']}}",
            "m.yaml:2:61: not a glob: unclosed character class; missing ']'",
        ),
        (
            "release: r\nmirrors: {HTTPS: {path: mirror, servers: [http://d/]}}",
            "m.yaml:2:11: the label \"HTTPS\" looks like the scheme of a URL; choose another",
        ),
        (
            "release: r\nmirrors: {D: {path: mirror, servers: ['http://a b/']}}",
            "m.yaml:2:39: the URL \"http://a b/\" contains white space; write %20 for a space",
        ),
        (
            "release: r\nmirrors: {D: {path: mirror, servers: [[a]]}}",
            "m.yaml:2:39: expected a URL or a mapping with url and try_last, found a list",
        ),
        (
            "release: r\nmirrors: {D: {path: mirror, servers: [{url: 'http://a/', trylast: true}]}}",
            "m.yaml:2:58: unknown key \"trylast\"; did you mean \"try_last\"?",
        ),
        (
            "release: r\nmirrors: {D: {path: mirror, servers: ['D:x/']}}",
            "m.yaml:2:11: the servers of \"D\" lead back to itself",
        ),
        (
            "release: r\ndefaults: {output: x}\nmirrors: {D: {path: mirror, servers: [http://d/]}}",
            "m.yaml:2:12: unknown key \"output\"; the keys here are checksum, compression, level, min_length, compress_jigdo, sums, mode",
        ),
    ] {
        assert_eq!(site.errors(&with_top(lines)), expected, "{lines}");
    }
    assert_eq!(
        site.errors("release: r\nmirrors: {D: {path: mirror, servers: [http://d/]}}\nimages: []"),
        "m.yaml:3:9: no image is listed"
    );
}

#[test]
fn a_matrix_of_millions_is_an_error() {
    let site = Site::new(&["a.iso"]);
    let values = (0..30).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let matrix = ["a", "b", "c", "d", "e", "f"].map(|name| format!("{name}: [{values}]")).join(", ");
    let errors = site.errors(&with_image(&format!("    path: a.iso\n    matrix: {{{matrix}}}")));
    assert!(errors.ends_with("the matrices of all entries have more than 10000 combinations"), "{errors}");
}

#[test]
fn hostile_lists_and_keys_take_no_time() {
    let site = Site::new(&["a.iso"]);
    let start = std::time::Instant::now();
    let keys: String = (0..60_000).map(|n| format!("k{n}: 1\n")).collect();
    site.errors(&with_top(&keys));
    site.errors(&with_top(&format!("? {}\n: 1", "x".repeat(3 << 20))));
    site.errors(&with_image(&format!("    path: a.iso\n    sums: [{}]", "9, ".repeat(100_000))));
    let entries = "  - {path: '{a}{b}{c}{d}', output: x, matrix: {a: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], b: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], c: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], d: [0, 1, 2, 3, 4, 5]}}\n".repeat(1000);
    site.errors(&format!("release: r\nmirrors: {{D: {{path: mirror, servers: [http://d/]}}}}\nimages:\n{entries}"));
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn the_demo_release_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let release = load(&root.join("pipelines/demo.yaml"), &[]).unwrap();
    assert_eq!(
        release.images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(),
        ["demo-amd64-netinst", "demo-amd64-DVD-1"]
    );
}

#[test]
fn the_weekly_release_loads_from_a_tree_laid_out_as_debians() {
    let site = Site::new(&[]);
    let architectures = ["amd64", "arm64", "armhf", "ppc64el", "riscv64", "s390x"];
    for arch in architectures {
        for image in ["iso-cd/debian-testing-{}-netinst.iso", "iso-dvd/debian-testing-{}-DVD-1.iso"] {
            site.add(&format!("build/{arch}/{}", image.replace("{}", arch)));
        }
    }
    for image in ["amd64/iso-bd/debian-testing-amd64-BD-1.iso", "arm64/iso-bd/debian-testing-arm64-BD-1.iso"] {
        site.add(&format!("build/{image}"));
    }
    site.add("build/amd64/iso-cd/debian-testing-amd64-xfce-CD-1.iso");
    let text = include_str!("../../pipelines/debian-weekly.yaml");
    let environment = [("MIRROR", "mirror"), ("BUILD", "build"), ("CDIMAGE", "out"), ("SNAPSHOT", "20250113T000000Z")];
    let release = site.load_with(text, &[], &environment).unwrap();
    let sets = site.sets(&release);
    assert_eq!(sets.len(), 2 * architectures.len() + 3);
    let expected =
        "build/s390x/iso-dvd/debian-testing-s390x-DVD-1.iso > out/s390x/jigdo-dvd/debian-testing-s390x-DVD-1";
    assert!(sets.iter().any(|set| set == expected), "{sets:?}");
    assert!(release.mirrors[0].servers[1].try_last);
}

#[test]
fn a_job_of_the_ci_matrix_needs_its_own_architecture_alone() {
    let site = Site::new(&["images/riscv64/server-riscv64.iso"]);
    let text = include_str!("../../pipelines/ci-matrix.yaml");
    let release = site.load_with(text, &["arch=riscv64"], &[("MIRROR", "mirror")]).unwrap();
    assert_eq!(site.sets(&release), ["images/riscv64/server-riscv64.iso > out/riscv64/jigdo/server-riscv64"]);
}

#[test]
fn a_combination_without_a_file_concerns_no_other() {
    let site = Site::new(&["a-x.iso", "c-x.iso"]);
    let text = with_image("    path: '{l}-x.iso'\n    matrix: {l: [a, b, c]}");
    let release = site.load(&text);
    assert_eq!(site.sets(&release), ["a-x.iso > out/a-x", "c-x.iso > out/c-x"]);
    let [left_out] = &release.left_out[..] else { panic!("{:?}", release.left_out) };
    assert_eq!((&left_out.path, left_out.is_optional, left_out.images_before), (&site.path("b-x.iso"), false, 1));
    let place = "m.yaml:6:11: no file matches ";
    let message = left_out.problem.to_string().replace(&format!("{}/", site.directory.path().display()), "");
    assert_eq!(message, format!("{place}b-x.iso"));
    let optional = site.load(&format!("{text}    optional: true\n"));
    assert!(optional.left_out[0].is_optional);
    // If nothing is there, the manifest is probably wrong.
    let nothing = text.replace("[a, b, c]", "[d, e]");
    assert_eq!(site.errors(&nothing), format!("{place}d-x.iso\n{place}e-x.iso"));
    assert_eq!(site.load(&format!("{nothing}    optional: true\n")).left_out.len(), 2);
    // With other mistakes, it is one more.
    let errors = site.errors(&format!("{text}    level: 10\n"));
    assert_eq!(errors, format!("{place}b-x.iso\nm.yaml:8:12: expected a whole number from 0 to 9, found 10"));
}

#[test]
fn a_missing_mirror_only_concerns_the_images_that_use_it() {
    let site = Site::new(&["a.iso", "b.iso"]);
    let text = "release: r\nmirrors:\n  A: {path: mirror, servers: [http://a/]}\n  B: {path: gone, servers: [http://b/]}\n\
                images:\n  - {path: a.iso, output: out, mirrors: [A]}\n  - {path: b.iso, output: out}\n";
    let release = site.load(text);
    assert_eq!(site.sets(&release), ["a.iso > out/a"]);
    assert_eq!(release.left_out[0].path, site.path("b.iso"));
    assert!(release.left_out[0].problem.to_string().contains("m.yaml:4:13: mirror \"B\": "), "{:?}", release.left_out);
    assert_eq!(site.errors(&text.replace("[A]", "[B]")), "m.yaml:4:13: mirror \"B\": gone does not exist");
    let unused = text.replace("  - {path: b.iso, output: out}\n", "");
    assert_eq!(site.load(&unused).left_out, []);
}

#[test]
fn globs_are_the_same_in_paths_and_filters() {
    let site = Site::new(&["x/a.iso", "x/b.iso", "x/y/c.iso", "x/y/d.img"]);
    let release = site.load(&with_image("    path: 'x/{a,y/{c,{l}}}.i{so,mg}'\n    matrix: {l: [d]}"));
    assert_eq!(site.sets(&release), ["x/a.iso > out/a", "x/y/c.iso > out/c", "x/y/d.img > out/d"]);
    let release = site.load(&with_image("    path: 'x/**'"));
    assert_eq!(release.images.len(), 4);
}

#[test]
fn what_a_path_matches_but_cannot_be_published_is_left_out_and_not_absent() {
    use std::os::unix::ffi::OsStrExt as _;
    let site = Site::new(&["x/a.iso"]);
    fs::write(site.path("x").join(std::ffi::OsStr::from_bytes(b"\xff.iso")), "x").unwrap();
    fs::create_dir(site.path("x").join(std::ffi::OsStr::from_bytes(b"\xfe"))).unwrap();
    fs::write(site.path("x").join(std::ffi::OsStr::from_bytes(b"\xfe/b.iso")), "x").unwrap();
    for path in ["x/*.iso", "x/**/*.iso", "{x,y}/**"] {
        let release = site.load(&with_image(&format!("    path: '{path}'\n    optional: true")));
        assert_eq!(site.sets(&release), ["x/a.iso > out/a"], "{path}");
        assert!(!release.left_out.is_empty() && release.left_out.iter().all(|left_out| !left_out.is_optional));
        assert!(release.left_out[0].problem.to_string().contains("not UTF-8"), "{:?}", release.left_out);
    }
    std::os::unix::fs::symlink("nothing", site.path("x/link.img")).unwrap();
    let release = site.load(&with_image("    path: 'x/{*.img,a.iso}'"));
    assert_eq!(release.left_out[0].path, site.path("x/link.img"));
    assert!(release.left_out[0].problem.to_string().contains("a symbolic link that leads nowhere; correct or"));
    let nothing = with_image("    path: 'x/*.img'\n    optional: true");
    assert!(site.errors(&nothing).contains("a symbolic link that leads nowhere"));
    // Somebody asks for other images only.
    assert_eq!(site.load_with(&with_image("    path: 'x/{*.img,a.iso}'"), &["image=a.iso"], &[]).unwrap().left_out, []);
    fs::remove_file(site.path("x/a.iso")).unwrap();
    let errors = site.errors(&with_image("    path: x/*.iso"));
    assert!(errors.contains("whose name is not UTF-8; rename it"), "{errors}");
}

#[test]
fn an_image_whose_file_name_does_not_do_concerns_no_other() {
    let long = format!("x/{}.iso", "l".repeat(250));
    for (name, lines, expected) in [
        ("x/b\nc.iso", "", "x/b\\nc.iso: the set's name contains a line break or another control character"),
        ("x/b\x1b.iso", "    name: 'b'", "x/b\\u{1b}.iso: the image's file name contains a line break"),
        (&*long, "", "the set's name is longer than 246 bytes"),
    ] {
        let site = Site::new(&["x/a.iso", name]);
        let text = with_image(&format!("    path: 'x/*.iso'\n{lines}"));
        let release = site.load(&text);
        assert_eq!(site.sets(&release).len(), 1, "{name}");
        let [left_out] = &release.left_out[..] else { panic!("{:?}", release.left_out) };
        assert!(!left_out.is_optional);
        assert!(left_out.problem.message.contains(expected), "{}", left_out.problem);
        assert!(left_out.problem.message.ends_with("; rename the image"), "{}", left_out.problem);
        // Alone, it is said once.
        let alone = text.replace("x/*", &name.replace(".iso", "").replace(['\n', '\x1b'], "?").replace("x/l", "x/[l]"));
        assert_eq!(site.errors(&alone).lines().count(), 1, "{}", site.errors(&alone));
    }
    // What is wrong with every image is a mistake of the manifest.
    let site = Site::new(&["x/a.iso", "x/b\n.iso"]);
    let errors = site.errors(&with_image("    path: 'x/*.iso'\n    name: 'y/{stem}'"));
    assert!(errors.contains("not \"y/a\""), "{errors}");
}

#[test]
fn a_manifest_that_is_given_twice_is_read_once() {
    let site = Site::new(&["a.iso"]);
    fs::write(site.path("m.yaml"), SHORTEST).unwrap();
    std::os::unix::fs::symlink("m.yaml", site.path("l.yaml")).unwrap();
    let paths = [site.path("m.yaml"), site.path("x/../m.yaml"), site.path("mirror/../m.yaml"), site.path("l.yaml")];
    let given = [&paths[0], &paths[2], &paths[3]];
    assert_eq!(load_all(&given, &[]).unwrap().len(), 1);
    assert_eq!(load_mirrors(&given).unwrap().len(), 1);
    fs::write(site.path("m.yaml"), SHORTEST.replace("a.iso", "b.iso")).unwrap();
    assert_eq!(load_all(&given, &[]).unwrap_err().0.len(), 1);
    assert_eq!(load_all(&[&paths[1], &paths[1]], &[]).unwrap_err().0.len(), 1);
}

#[test]
fn free_keys_hold_anchors() {
    let site = Site::new(&["a.iso"]);
    let text = SHORTEST.replace("{path: a.iso, output: out}", "{<<: *common, path: a.iso}");
    let release = site.load(&format!("x-common: &common {{output: out, level: 3}}\nx-other: [1, ~]\nx-y: !foo z\nx-z: {{? [a] : b}}\nx-t: !t [!u {{}}]\n{text}"));
    assert_eq!(site.sets(&release), ["a.iso > out/a"]);
    assert_eq!(release.images[0].settings.level, 3);
}

#[test]
fn a_mirror_without_servers_needs_images_that_include_them() {
    let site = Site::new(&["a.iso"]);
    let with = |mirror: &str, image: &str| {
        format!(
            "release: r\nmirrors:\n  A: {mirror}\n  B: {{path: mirror, servers: [http://b/]}}\nimages:\n  - {{path: a.iso, output: out{image}}}\n"
        )
    };
    let include = ", include_jigdo: [debian-servers.jigdo]";
    for mirror in ["{path: mirror}", "{path: mirror, servers: []}"] {
        assert!(site.errors(&with(mirror, "")).contains("m.yaml:3:3: mirror \"A\" has no servers"));
        site.load(&with(mirror, include));
        site.load(&with(mirror, ", mirrors: [B]"));
    }
    site.load(&with("{path: mirror, servers: ['B:x/']}", ""));
    let errors = site.errors(&with("{path: mirror, servers: ['B:x/']}", ", mirrors: [A]"));
    assert!(errors.contains("only lead to \"B\""), "{errors}");
}
