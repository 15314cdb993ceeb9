//! What the stand-in and jigdo-file are run on, side by side.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::release::age;
use super::{repository, write};
use testing::noise;

/// Writes a file that is an hour old, so that a cache remembers it.
fn put(path: &Path, content: &[u8]) {
    write(path, content);
    age(path, 3600);
}

/// Copies a directory of the vectors.
fn copy(from: &Path, to: &Path) {
    for file in super::files(from) {
        put(&to.join(file.strip_prefix(from).unwrap()), &fs::read(&file).unwrap());
    }
}

/// Trees of files, images of some of them, and sets that other tools made.
pub fn inputs(place: &Path) {
    let at = |path: &str| place.join(path);
    let [one, two, three, small, odd] =
        [(1, 5000), (2, 3000), (3, 200_000), (4, 500), (5, 4000)].map(|(seed, length)| noise(seed, length));
    for (path, content) in [
        ("src/a/one", &one),
        ("src/a/sub/two", &two),
        ("src/a/small", &small),
        ("src/a/sp ace'\"\\#x", &odd),
        ("src/a/empty", &Vec::new()),
        ("src/b/three", &three),
        ("src/b/copy", &one),
        ("src/c#d/one", &noise(6, 1100)),
    ] {
        put(&at(path), content);
    }
    fs::hard_link(at("src/a/sub/two"), at("src/b/hard")).unwrap();
    for (target, link) in
        [("nowhere", "src/a/dangling"), ("../a/one", "src/b/link"), (".", "src/b/loop"), ("../e", "src/b/far")]
    {
        symlink(target, at(link)).unwrap();
    }
    for (path, seed) in [("src/e/f", 7), ("src/e/g/h", 8)] {
        put(&at(path), &noise(seed, 1500));
    }
    symlink("../../e/g", at("src/a/sub/g")).unwrap();
    let gaps = [noise(90, 3000), noise(91, 10), vec![0; 100]];
    put(
        &at("a.iso"),
        &[&one, &gaps[0], &two, &three, &small, &odd, &gaps[1], &one, &gaps[2]].map(|piece| &piece[..]).concat(),
    );
    put(&at("none.iso"), &noise(92, 5000));
    let numbered = [10, 11, 12, 13].map(|seed| noise(seed, 2000 + seed as usize));
    for (path, content) in ["d1/x", "d2/x", "d3/x", "d 4#/x"].iter().zip(&numbered) {
        put(&at(path), content);
    }
    put(&at("c.img"), &[&noise(93, 100)[..], &numbered.concat()].concat());
    let many: Vec<_> = (0..30).map(|seed| noise(100 + seed, 1200)).collect();
    for (number, content) in many.iter().enumerate() {
        put(&at(&format!("many/{number}/x")), content);
    }
    put(&at("many.img"), &[&many.concat()[..], b"end"].concat());
    put(&at("cut.img"), &[&one[..], &three[..100_000]].concat());
    put(&at("im #1.img"), &one);
    put(&at("among/c.img"), &[&gaps[0][..], &numbered[2], &noise(94, 200_000)].concat());
    put(&at("among/x"), &numbered[2]);
    put(&at("odd/a\tb"), &noise(20, 2000));
    put(&at("odd/c"), &noise(21, 2000));
    put(&at("odd.img"), &[noise(20, 2000), noise(21, 2000)].concat());
    sets(place);
    texts(place);
}

/// The vectors, under shorter names.
fn sets(place: &Path) {
    let vectors = repository().join("testdata/vectors");
    copy(&vectors.join("mirror"), &place.join("mirror"));
    for (from, to) in [
        ("plain.img", "plain.img"),
        ("libjte.iso", "libjte.iso"),
        ("jigdo-file-v1-gzip.jigdo", "v1.jigdo"),
        ("jigdo-file-v1-gzip.template", "v1.template"),
        ("jigdo-file-v1-bzip2.template", "v1b.template"),
        ("jigdo-file-v2-gzip.jigdo", "v2.jigdo"),
        ("jigdo-file-v2-gzip.template", "v2.template"),
        ("jigdo-file-v2-level0.template", "v2s.template"),
        ("libjte-v1.jigdo", "j1.jigdo"),
        ("libjte-v1.template", "j1.template"),
        ("libjte-v2.template", "j2.template"),
    ] {
        put(&place.join(to), &fs::read(vectors.join(from)).unwrap());
    }
    let mut part = fs::read(place.join("mirror/pool/b/delta-copy_amd64.deb")).unwrap();
    *part.last_mut().unwrap() ^= 1;
    put(&place.join("damaged/delta"), &part);
    let image = fs::read(vectors.join("plain.img")).unwrap();
    put(&place.join("short.img"), &image[..image.len() - 1]);
    put(&place.join("wrong.img"), &[&image[..1000], b"X", &image[1001..]].concat());
}

/// Lists of names, and jigdo files that people wrote.
fn texts(place: &Path) {
    let gamma = "y4qgWjfs-G7UpfEeKYWMwA";
    for (path, text) in [
        ("list.txt", "src/b\nsrc//a/one\n\nsrc/a/small\n"),
        ("list2.txt", "src/a/small\nnothing\nsrc/e"),
        ("crlf.txt", "src/a/small\r\nsrc/a/one\n"),
        ("d1.txt", "d1//\n\n"),
        ("mirror.txt", "mirror/doc\nmirror//pool/a\nnothing\n"),
        ("made.tmp", "this is no half-assembled image, whatever its name"),
        (
            "many-servers.jigdo",
            &format!(
                "[Jigdo]\nVersion=1.1\n[Servers]\nDebian=http://s1/ --try-last\nDebian=http://s2/\nDebian=Lab:sub/\n\
                 Lab=http://l1/\nLab=ftp://l2/ --try-last\nLab=file:/srv/l3/\nLab=file://host/srv/l4/\n\
                 Zed=\"http://qu oted/\" --opt\n[Parts]\n{gamma}=\"Debian:a #1 \\\"q\\\" it's.deb\"\n{gamma}=Zed:g2\n\
                 {gamma}=http://abs/g3\n{gamma}=Unknown:g4\n{gamma}=plain/g5\n{gamma}=/abs/g6\n{gamma}=file:/abs/g7\n\
                 {gamma}=file:g8\n{gamma}=Zed:g2\nnXb3pOcG17eayxE_uI2UCA=Zed:doc/README.txt --some-option\n"
            ),
        ),
        (
            "malformed.jigdo",
            &format!(
                "garbage\n[Parts]\n  {gamma} =  x\\ y  # c\ngarbage\nnXb3pOcG17eayxE_uI2UCA=y\n[x y]z\nA=b\n[a\n[Foo]\nbar\n\
                 [Comment]\nit's\n[ Servers ] # c\nFoo = http://foo/#comment\n=x\n[Include http://x/y]\n[Parts]\n\
                 -n0M4DpPQotHDweC_j7zIA=Foo:'q r'\"s t\"\n"
            ),
        ),
        ("md5sum-server.jigdo", "[Servers]\nMD5Sum=http://sums/\n[Parts]\n"),
        ("newer.jigdo", "[Jigdo]\nVersion=3.0\n[Parts]\n"),
        ("empty.jigdo", ""),
        (
            "merge-parts.jigdo",
            "# JigsawDownload\n[Parts]\n# why\nAAAAAAAAAAAAAAAAAAAAAA=Q:x --opt\nBAAAAAAAAAAAAAAAAAAAAA='Q:y z'\nAAAAAAAAAAAAAAAAAAAAAA=Q:x --opt\nAAAAAAAAAAAAAAAAAAAAAA=Q:other\n\n[Jigdo]\nVersion=1.0\nGenerator=me/1\n",
        ),
        (
            "merge-image.jigdo",
            "# JigsawDownload\n# mine\n\n[Jigdo]\nVersion=1.1\nGenerator=me/1\n\n[Image]\nFilename='some thing.iso'\n\
             Template=a.template\nTemplate-MD5Sum=\nShortInfo=it's\n\n[Servers]\nOther=http://o/\nOther=http://o/\n# c\n\n\
             [Comment]\nblah = blah\n",
        ),
        (
            "merge-image2.jigdo",
            "# JigsawDownload\n[Jigdo]\nVersion=2.0\nGenerator=me/1\n[Image]\nTemplate=a.template\nTemplate-MD5Sum=\nTemplate-SHA256Sum=\n",
        ),
        (
            "merge-labels.jigdo",
            "# JigsawDownload\n[Jigdo]\nVersion=1.2\nGenerator=me/1\n\n[Servers]\nA=http://zzz/\nC=file:src/b/\n[Include http://i/]\n",
        ),
        (
            "merge-a.jigdo",
            "# JigsawDownload\n[Jigdo]\nVersion=1.2\nGenerator=me/1\n[Parts]\nAAAAAAAAAAAAAAAAAAAAAA=A:x\n",
        ),
        ("merge-plain.jigdo", "[Servers]\nA=http://a/\n[Parts]\nAAAAAAAAAAAAAAAAAAAAAA = A:x\njunk\n"),
        ("open-quote.jigdo", &format!("[Parts]\n{gamma}=\"A:open\n")),
        ("no-value.jigdo", &format!("[Parts]\n{gamma}=\n")),
        ("loop.jigdo", &format!("[Servers]\nA=B:x/\nB=A:y/\nA=http://a/\n[Parts]\n{gamma}=A:z\n")),
        (
            "merge-same.jigdo",
            "# JigsawDownload\n[Jigdo]\nVersion=1.2\nGenerator=me/1\n\n[Servers]\nFoo=http://foo/\n\n\n[Foo]\nx=y\n",
        ),
    ] {
        put(&place.join(path), text.as_bytes());
    }
    let sets = fs::read_to_string(place.join("v1.jigdo")).unwrap();
    put(&place.join("gz.jigdo"), &jigdo::jigdo_file::gzip(&sets).unwrap());
}

/// Files of noise in several directories, and images of them, some cut, with other bytes between: nothing that the two
/// are known to match differently.
pub fn generated(place: &Path, seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % end
    };
    let lengths = [300, 1023, 1024, 1025, 5000, 66_000, 140_000, 300_000];
    let parts: Vec<_> =
        (0..20).map(|number| noise(seed * 1000 + number, lengths[below(lengths.len())] + below(3))).collect();
    for (number, part) in parts.iter().enumerate() {
        put(&place.join(format!("tree/{}/{}/{number}", below(3), below(2))), part);
    }
    for image in 0..3 {
        let mut bytes = Vec::new();
        for piece in 0..=below(15) {
            let part = &parts[below(parts.len())];
            let length = if below(4) == 0 { 1 + below(part.len()) } else { part.len() };
            bytes.extend_from_slice(&part[..length]);
            bytes.extend(noise(
                seed * 1000 + 100 + piece as u64,
                if length < part.len() { 1500 } else { below(2) * 700 },
            ));
        }
        // Where an image ends inside of what may be a part, jigdo-file aborts.
        bytes.extend(noise(seed * 1000 + 900 + image, 310_000));
        put(&place.join(format!("{image}.img")), &bytes);
    }
}
