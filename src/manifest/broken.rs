//! Broken manifests, and everything that is said of them: `broken.snap` has the texts and the messages.

use std::fmt::Write as _;

use super::tests::Site;
use super::*;

/// The start of a manifest that is right.
const TOP: &str = "release: r\nmirrors:\n  D: {path: mirror, servers: [http://d/]}\n";

/// Broken manifests with what is wrong. `TOP` in a text stands for the start of one that is right.
const BROKEN: &[(&str, &str)] = &[
    (
        "five mistakes of five kinds in five entries",
        "relese: r\nmirrors:\n  D: {path: mirror, servers: [deb.example.org/debian/]}\nimages:\n  - {path: {arch}/a.iso, output: out}\n  - {path: a.iso, output: out, level: 12}\n  - {path: '{x}.iso', output: out}\n  - {path: b.iso, output: out, mirrors: [E]}\n",
    ),
    (
        "two mistakes in one mapping, and others elsewhere",
        "release: r\nmirrors:\n  D: {path: gone, servers: ['htps://d/']}\ndefaults: {checksum: sha265, levle: 3}\nimages:\n  - {path: a.iso, output: out, name: '{stm}', info: \"a\\nb\"}\n  - {output: [out]}\n",
    ),
    ("a variable without quotes", "TOPimages:\n  - path: {arch}/x.iso\n    matrix: {arch: [amd64]}\n    output: out\n"),
    ("a variable alone without quotes", "TOPimages:\n  - path: a.iso\n    output: {release}\n"),
    (
        "a variable without quotes between braces",
        "TOPimages: [{path: {release}.iso, output: {release}/x, level: 10}]\n",
    ),
    (
        "environment without quotes in a list",
        "release: r\nmirrors: {D: {path: mirror, servers: [${S}, http://d/]}}\nimages: [{path: a.iso, output: out}]\n",
    ),
    (
        "stars without quotes",
        "TOPimages:\n  - path: *.iso\n    output: out\n  - path: **/x*.iso\n    output: out\n  - {path: *.img, output: out}\n",
    ),
    (
        "stars without quotes in include",
        "release: r\nmirrors:\n  D:\n    path: mirror\n    include: [*.deb, **/*.udeb]\n    exclude:\n      - *.iso\n      - *\n    servers: [http://d/]\nimages: [{path: a.iso, output: out}]\n",
    ),
    ("a class without quotes", "TOPimages:\n  - path: [ab].iso\n    output: out\n"),
    ("an ampersand", "TOPimages:\n  - path: a.iso\n    output: &x\n"),
    ("an ampersand before a text", "TOPimages:\n  - path: a.iso\n    output: & x\n"),
    ("an exclamation mark", "TOPimages:\n  - path: !tag a.iso\n    output: !x\n"),
    ("a percent sign, an at sign and a backtick", "TOPimages:\n  - path: %a.iso\n    output: @out\n    name: `x`\n"),
    ("a bar and a question mark", "TOPimages:\n  - path: | a.iso\n    output: ? out\n"),
    ("two colons", "TOPimages:\n  - path: a.iso\n    output: out\n    short_info: Debian: amd64\n  - foo: bar: baz\n"),
    (
        "a tab",
        "release: r\nmirrors:\n\tD: {path: mirror, servers: [http://d/]}\nimages:\n\t- path: a.iso\n\t  output: out\n\t  levle: 3\n",
    ),
    (
        "mistakes of several kinds on one line",
        "TOPimages:\n\t- path: {arch}/*.iso\n\t  output: \"C:\\x\"\n\t  level: 11\n",
    ),
    ("a tab after spaces", "TOPimages:\n  - path: a.iso\n  \toutput: out\n"),
    ("a colon is missing", "TOPimages\n  - path: a.iso\n    output: out\n"),
    (
        "a colon and a space are missing",
        "release r\nmirrors:\n  D:\n    path:mirror\n    servers: [http://d/]\nimages:\n  - path a.iso\n    output: out\n",
    ),
    ("too few spaces", "TOPimages:\n  - path: a.iso\n   output: out\n"),
    ("too many spaces", "TOPimages:\n  - path: a.iso\n     output: out\n"),
    ("a value and keys below it", "TOPimages: x\n  - path: a.iso\n    output: out\n"),
    ("a dash is missing", "TOPimages:\n  - path: a.iso\n    output: out\n  path: a.iso\n"),
    ("no space after a dash", "TOPimages:\n  -path\n  -x\n"),
    ("a list beside its key", "release: r\nmirrors: {D: {path: mirror, servers: [http://d/]}}\nimages: - a.iso\n"),
    ("a quote is never closed", "TOPimages:\n  - path: \"a.iso\n    output: out\n    level: 11\n"),
    ("a single quote is never closed", "release: 'r\nmirrors: {}\n"),
    ("text after a quote", "TOPimages:\n  - path: \"a\".iso\n    output: 'it's'\n"),
    (
        "a bracket is never closed",
        "release: r\nmirrors:\n  D: {path: mirror, servers: [http://d/}\nimages:\n  - {path: a.iso, output: out}\n",
    ),
    (
        "brackets over lines are never closed",
        "release: r\nmirrors:\n  D:\n    path: mirror\n    servers: [\n      http://d/,\n      d.example/\nimages:\n  - {path: a.iso, output: out, level: 11}\n",
    ),
    (
        "a brace is never closed",
        "TOPimages:\n  - {path: a.iso, output: out\n  - {path: a.iso, output: out, level: 11}\n",
    ),
    ("a bracket that closes nothing", "TOPimages:\n  - path: a.iso\n    output: ]\n"),
    ("a comma is missing", "TOPimages:\n  - {path: a.iso output: out}\n"),
    ("repeated keys", "TOPrelease: s\nimages:\n  - {path: a.iso, output: out, path: b.iso, level: 1, level: 11}\n"),
    ("a zero byte", "release: r\nmirrors: a\0b\n"),
    ("a control character", "release: r\nmirrors: a\x1bb\n"),
    ("a byte order mark inside", "release: r\n\u{feff}mirrors: 1\n"),
    (
        "a byte order mark at the start, and CRLF",
        "\u{feff}release: r\r\nmirrors:\r\n  D: {path: mirror, servers: [http://d/]}\r\nimages:\r\n  - path: *.iso\r\n    output: out\r\n    level: 11\r\n",
    ),
    ("two documents", "TOPimages:\n  - {path: a.iso, output: out, level: 11}\n---\nrelease: r\n"),
    ("an end of the document", "TOPimages:\n  - {path: a.iso, output: out}\n...\nmore\n"),
    (
        "an unknown anchor",
        "TOPdefaults: &defaults {level: 3}\nimages:\n  - {<<: *defualts, path: a.iso, output: out}\n",
    ),
    (
        "aliases that multiply",
        "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n",
    ),
    (
        "a path of Windows",
        "release: r\nmirrors: {D: {path: C:\\srv\\mirror, servers: [http://d/]}}\nimages: [{path: a.iso, output: out}]\n",
    ),
    (
        "a path of Windows in double quotes",
        "release: r\nmirrors: {D: {path: \"C:\\srv\\mirror\", servers: [http://d/]}}\nimages: [{path: \"C:\\tmp\\new.iso\", output: out}]\n",
    ),
    (
        "a path of Windows in single quotes",
        "release: r\nmirrors: {D: {path: 'C:\\srv\\mirror', servers: [http://d/]}}\nimages: [{path: 'D:/iso/*.iso', output: out}]\n",
    ),
    (
        "a share of Windows",
        "release: r\nmirrors: {D: {path: '\\\\server\\mirror', servers: ['\\\\server\\mirror']}}\nimages: [{path: a.iso, output: out}]\n",
    ),
    (
        "yes and no",
        "TOPimages:\n  - {path: a.iso, output: out, optional: no, compress_jigdo: yes}\n  - {path: a.iso, output: no, optional: 'true'}\n",
    ),
    (
        "a country code",
        "TOPvars: {no: x}\nimages:\n  - {path: '{country}.iso', matrix: {country: [no, se]}, output: out}\n",
    ),
    (
        "octal numbers",
        "TOPimages:\n  - {path: a.iso, output: out, level: 07, min_length: 0o2000}\n  - {path: a.iso, output: out, name: b, min_length: 01024, level: 0x9}\n",
    ),
    (
        "numbers of other forms",
        "TOPimages:\n  - {path: a.iso, output: out, level: 9.0, min_length: 1_024}\n  - {path: a.iso, output: out, name: b, min_length: 1k, level: 1e0}\n",
    ),
    ("keys without values", "release:\nmirrors: ~\nimages: null\n"),
    (
        "null values",
        "release: r\nmirrors:\n  D:\nvars: {x: ~}\nimages:\n  - ~\n  - {path: '{x}.iso', output: null, sums: [~], matrix: ~}\n",
    ),
    ("an empty file", ""),
    ("only comments", "# nothing\n\n"),
    ("a list at the top", "- release: r\n"),
    ("a text at the top", "release r\n"),
    ("keys that are no texts", "TOP? [a]\n: b\n{x}: y\nimages: [{path: a.iso, output: out}]\n"),
    (
        "JSON",
        "{\"release\": \"r\", \"mirrors\": {\"D\": {\"path\": \"mirror\"}}, \"images\": [{\"path\": \"a.iso\"}]}\n",
    ),
    (
        "JSON with a comma too many and tabs",
        "{\n\t\"release\": \"r\",\n\t\"mirrors\": {\"D\": {\"path\": \"mirror\", \"servers\": [\"d.example\"],},},\n\t\"images\": [{\"path\": \"a.iso\", \"output\": \"out\",}],\n}\n",
    ),
    (
        "servers that are none",
        "release: r\nmirrors:\n  D:\n    path: mirror\n    servers: [deb.example.org/debian/, 'htps:/d/', 'htps://d/', 'rsync://d/', 'https:/d/', 'Debain:x', d, 'localhost:8080/', 'file://host/srv', 'http:\\\\d\\x']\n  Debian: {path: mirror, servers: [/srv, ./x, ../x, 'file:///srv', 'ftp://d/', 'D:']}\nimages: [{path: a.iso, output: out}]\n",
    ),
    (
        "mirrors without servers",
        "release: r\nmirrors:\n  D: {path: mirror}\n  E: {path: mirror, servers: []}\n  F: {path: mirror, servers: ['E:x/']}\n  G: {path: mirror}\nimages:\n  - {path: a.iso, output: out, mirrors: [D]}\n  - {path: a.iso, output: out, name: b, mirrors: [E, F]}\n  - {path: a.iso, output: out, name: c, mirrors: [G], include_jigdo: ['http://d/servers.jigdo']}\n",
    ),
    (
        "images that are none",
        "TOPimages:\n  - {path: mirror, output: out}\n  - {path: /dev/null, output: out}\n  - {path: nothing.iso, output: out}\n  - {path: 'mirro?', output: out}\n",
    ),
    (
        "globs that are none",
        "release: r\nmirrors: {D: {path: mirror, servers: [http://d/], include: ['[a', '{a,b', '/x', './x', 'x/']}}\nimages:\n  - {path: '[a.iso', output: out}\n  - {path: '{a,{b}.iso', output: out}\n  - {path: '{a,b}.iso', output: '{a,b}'}\n",
    ),
    (
        "variables with mistakes are not reported where they are used",
        "release: ${NO}\nvars: {x: '{y}', z: [1]}\nmirrors: {D: {path: '{release}/{x}', servers: ['http://{z}/']}}\nimages:\n  - {path: '{x}.iso', output: '{release}'}\n  - {path: '{arch}.iso', matrix: [amd64], output: '{arch}'}\n",
    ),
    (
        "what is free at the top is not free below",
        "TOPx-common: &common {output: out, anything: [~, {a: *b}]}\nimages:\n  - {<<: *common, path: a.iso, x-y: 1}\ny-x: 1\n",
    ),
    (
        "misspelt keys, and what is wrong below them",
        "release: r\nmirorrs: {D: {paht: mirror, incldue: ['[a'], servers: [d.example]}}\nimags: [{outptu: out, path: 'a.iso', levle: 12}]\n",
    ),
    (
        "several mistakes in one text",
        "TOPimages:\n  - {path: '{x}/{y}.iso', output: '{z}/{', name: '${N1}/${N2}'}\n  - {path: a.iso, output: out, path: '{x}', level: 1, level: [11]}\n",
    ),
    (
        "mistakes in a matrix hide none of its exclude",
        "TOPimages:\n  - path: '{l}{m}.iso'\n    output: out\n    matrix: {l: [a], m: x}\n    exclude: []\n  - path: '{l}.iso'\n    output: out\n    matrix: {l: [a], m: [[b]], exclude: [{l: '{q}', n: b, m: b}]}\n",
    ),
    (
        "JSON without commas",
        "{\n  \"release\": \"r\"\n  \"mirrors\": {\"D\": {\"path\": \"mirror\" \"servers\": [\"http://d/\"]}},\n  \"images\": [{\"path\": \"a.iso\", \"output\": \"out\", \"level\": 11}]\n}\n",
    ),
    (
        "entries without their space or colon",
        "TOPimages:\n  - path:a.iso\n  - path = a.iso\n  - -path: a.iso\n    output: out\n",
    ),
    ("an entry without a space after its dash", "TOPimages:\n  -path: a.iso\n"),
    ("no-break spaces", "TOPimages:\n  - path: a.iso\n\u{a0}\u{a0}\u{a0}\u{a0}output: out\n"),
    (
        "what should be lists",
        "release: r\nmirrors: {D: {path: mirror, servers: http://d/, include: 'x/'}}\nimages: {path: a.iso, output: out, level: 11}\n",
    ),
    ("labels of one letter", "TOPimages: [{path: a.iso, output: out, mirrors: [Q]}]\n"),
    ("variables whose names are refused", "TOPvars: {1x: a, ok: b}\nimages: [{path: '{c}.iso', output: out}]\n"),
    (
        "URLs of files that nobody can download",
        "TOPimages:\n  - {path: a.iso, output: out, template_url: 'a b'}\n  - {path: a.iso, output: o2, template_url: 'htps://x/{name}', include_jigdo: ['foo:x', 'htps://d/x', 'example.com/x.jigdo', x.jigdo, 'D:x']}\n",
    ),
];

#[test]
fn broken_manifests_are_reported_with_every_mistake_its_place_and_its_remedy() {
    let site = Site::new(&["a.iso", "r.iso"]);
    let mut text = String::new();
    for (what, manifest) in BROKEN {
        let manifest = manifest.replace("TOP", TOP);
        let errors = site.errors(&manifest);
        writeln!(text, "## {what}").unwrap();
        for (number, line) in manifest.split_inclusive('\n').enumerate() {
            writeln!(
                text,
                "{:>4} | {}",
                number + 1,
                line.trim_end_matches('\n').escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
            )
            .unwrap();
        }
        writeln!(text, "{errors}\n").unwrap();
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(".");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("broken", text));
}

#[test]
fn files_that_are_no_text_say_what_they_are() {
    let site = Site::new(&[]);
    for (name, bytes, expected) in [
        (
            "latin1",
            &b"release: r\nvars: {x: \xe9}\n"[..],
            ":2:11: the manifest is not UTF-8: this is the byte 0xE9; save it as UTF-8",
        ),
        ("utf16", b"\xff\xfer\0e\0", ":1:1: the manifest is UTF-16; save it as UTF-8"),
        ("zero", b"release: r\0\n", ":1:11: the manifest contains a zero byte; save it as plain text in UTF-8"),
    ] {
        std::fs::write(site.path(name), bytes).unwrap();
        let errors = load(&site.path(name), &[]).unwrap_err().to_string();
        assert!(errors.ends_with(&format!("{name}{expected}")), "{errors}");
    }
    let errors = load(&site.path("mirror"), &[]).unwrap_err().to_string();
    assert!(errors.ends_with("mirror: is a directory; name the manifest in it"), "{errors}");
}
