//! The stand-in for jigdo-file beside Debian's jigdo-file: each command and each option, on the same files. Exit code,
//! standard output and the files that are written must be the same, but where `docs/jigdo-file-drop-in.md` says otherwise.
//! What needs jigdo-file is skipped without it, except where `JIGPRESS_PEERS=required`.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use common::drop_in::{Arena, Ran, differences};
use common::{installed, noise, repository, run, write};

/// An hour old, so that a cache remembers it.
fn age(path: &Path) {
    let then = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

fn put(path: &Path, content: &[u8]) {
    write(path, content);
    age(path);
}

/// Copies a directory of the vectors.
fn copy(from: &Path, to: &Path) {
    for file in common::files(from) {
        put(&to.join(file.strip_prefix(from).unwrap()), &fs::read(&file).unwrap());
    }
}

/// Trees of files, images of some of them, and sets that other tools made.
fn inputs(place: &Path) {
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
    put(&place.join("gz.jigdo"), &jigpress::format::jigdo::gzip(&sets).unwrap());
}

/// Cases of one kind, each a few commands one after the other.
type Cases = &'static [&'static [&'static str]];

const SUMS: Cases = &[
    &["md5sum src//a src//b"],
    &["md5 -r quiet src//b src//a"],
    &["sha256sum src"],
    &["sha256 --hex src//a//sub src//e"],
    &["md5sum --hex --no-hex -r noprogress src/b/link src/a/one"],
    &["md5sum -r grep src/a/ src/a/. ./src/a"],
    &["md5sum src//b/far src//b"],
    &["md5sum src///e"],
    &["md5sum src/a/empty src/a/small nothing src/a/one/ ''"],
    &["md5sum"],
    &["md5sum -- -x src/a/one --hex"],
    &["--report=quiet -- md5sum src/a/one -f"],
    &["md5sum -T list.txt src/a/small"],
    &["md5sum --files-from=list.txt --files-from list2.txt src/e"],
    &["md5sum -T nothing -T list2.txt"],
    &["list.txt | md5sum -T -"],
    &["list2.txt | sha256sum --files-from=- src/a/one"],
    &["crlf.txt | md5sum -T-"],
    &["md5sum /dev/null src/a/one"],
    &["md5sum --readbuffer=10k --checksum-block-size=1M --md5-block-size=2m --cache-expiry=off -C sha256 src/a"],
    &["md5sum --no-cache --cache-expiry=2w --debug=all,~general --no-debug --no-force --no-greedy-matching src/a"],
    &["md5sum --check-files --no-scan-whole-file --greedy-matching --gzip --image-section --servers-section src/a"],
    &["md5sum --cache=new.db src/a", "sha256sum -c new2.db src/b"],
    &["scan --cache new.db src", "sc -c new.db --scan-whole-file src//a nothing"],
    &["scan src"],
    &["scan --cache=new.db --no-cache src"],
    &["md5sum --cache=nothing/new.db src/a/one"],
];

const WRONG: Cases = &[
    &["''"],
    &[""],
    &["bogus"],
    &["MD5SUM src"],
    &["src md5sum"],
    &["--bogus md5sum"],
    &["-Z md5sum"],
    &["md5sum -i"],
    &["md5sum --image"],
    &["--force=1 md5sum src/a"],
    &["--re=quiet md5sum src/a"],
    &["--rep=quiet md5sum src/a/one"],
    &["-r loud md5sum src/a"],
    &["-fr=quiet md5sum src/a"],
    &["-frquiet md5sum src/a/one"],
    &["-C sha1 md5sum src/a"],
    &["--checksum-algorithm=MD5 md5sum src/a"],
    &["--readbuffer=1.5k md5sum src/a"],
    &["--min-length=-1 md5sum src/a"],
    &["--checksum-block-size=12x md5sum src/a"],
    &["--md5-block-size=1kk md5sum src/a"],
    &["--cache-expiry=OFF md5sum src/a"],
    &["--cache-expiry=1x md5sum src/a"],
    &["--debug=bogus md5sum src/a"],
    &["--debug=help md5sum src/a"],
];

const LISTS: Cases = &[
    &["list-template -t v1.template"],
    &["ls --template=v2.template"],
    &["ls --hex -t v1.template"],
    &["ls --hex -t v2.template"],
    &["ls -t v1b.template -r quiet extra"],
    &["ls -t v2s.template"],
    &["ls -t j1.template"],
    &["ls -t j2.template --hex"],
    &["ls -i v1"],
    &["ls -i v1.iso"],
    &["ls -j v1.jigdo"],
    &["ls -i v1.iso -j nothing.jigdo"],
    &["ls v1.template"],
    &["ls"],
    &["ls -t nothing"],
    &["ls -t a.iso"],
    &["ls -t empty.jigdo"],
    &["ls -t src"],
    &["v1.template | ls -t -"],
    &["ls -t ''"],
];

const MISSING: Cases = &[
    &["print-missing -j v1.jigdo"],
    &["print-missing-all -j v1.jigdo"],
    &["pm -t v2.template"],
    &["pma -i v2"],
    &["pma -i v2.iso -j v1.jigdo"],
    &["pm -j v1.jigdo --uri Debian=http://x/y/"],
    &["pma -j v1.jigdo --uri Debian=http://x/y/ --uri Debian=http://z/"],
    &["pm -j v1.jigdo --uri Debian=/local/path"],
    &["pm -j v1.jigdo --uri Debian=file:/srv/x/"],
    &["pm -j v1.jigdo --uri Debian"],
    &["pm -j v1.jigdo --uri Debian="],
    &["pma -j v1.jigdo '--uri=Debian=\"http://a b/\" --try-last'"],
    &["pm -j v1.jigdo '--uri=Debian=http://a b/'"],
    &["pm -j v1.jigdo --uri Debian=Other:y/ --uri Other=http://o/"],
    &["pm -j v1.jigdo --uri MD5Sum=http://sums/"],
    &["pm -j many-servers.jigdo -t v1.template"],
    &["pma -j many-servers.jigdo -t v1.template"],
    &["pma -j many-servers.jigdo -t v1.template --uri Lab=http://over/"],
    &["pm -j malformed.jigdo -t v1.template"],
    &["pma -j malformed.jigdo -t v1.template"],
    &["pma -j md5sum-server.jigdo -t v1.template"],
    &["pm -j empty.jigdo -t v1.template"],
    &["pma -j empty.jigdo -t v2.template"],
    &["pm -j newer.jigdo -t v1.template"],
    &["pm -j nothing.jigdo -t v1.template"],
    &["pm -j v1.jigdo -t nothing"],
    &["pm -j v1.jigdo -t a.iso"],
    &["pm -i plain.img -j v1.jigdo -t v1.template"],
    &["pm -i - -j v1.jigdo"],
    &["v1.jigdo | pm -j - -i v1"],
    &["pm"],
    &["pm -i foo.jigdo"],
    &["pm -t -"],
];

const VERIFY: Cases = &[
    &["verify -i plain.img -t v1.template"],
    &["ver -i plain.img -t v2.template -r quiet"],
    &["ver --image=libjte.iso --template=j1.template --hex"],
    &["ver -i libjte.iso -t j2.template"],
    &["ver -i wrong.img -t v1.template"],
    &["ver -i short.img -t v1.template"],
    &["ver -i wrong.img -t v2.template -r quiet"],
    &["ver -i empty.jigdo -t v2.template"],
    &["plain.img | ver -i - -t v1.template"],
    &["wrong.img | ver -i - -t v1.template"],
    &["short.img | ver -i - -t v2.template"],
    &["ver -i nothing -t v1.template"],
    &["ver -i plain.img -t nothing"],
    &["ver -i plain.img -t a.iso"],
    &["ver -i plain.img"],
    &["ver"],
    &["ver plain.img v1.template"],
    &["ver -t - -i plain.img"],
];

const TEMPLATES: Cases = &[
    &["make-template -i a.iso src//a src//b"],
    &["mt --image=a.iso --jigdo=x.jigdo --template=y.template src"],
    &["mt -i a.iso src/a src/b"],
    &["mt -i a.iso src/a// src/b// --label Foo=src/a"],
    &["mt -i a.iso src/a// src/b// --label Foo=src/a/ --uri Foo=http://foo/ --uri Bar=http://bar/"],
    &["mt -i a.iso src// --label Foo=src '--uri=Foo=\"http://a b/\" --try-last'"],
    &["mt -i a.iso src// --label Foo=src --uri Foo="],
    &["mt -i a.iso src// --label Foo=src --label Bar=src --uri Foo=http://one/ --uri Foo=http://two/"],
    &["mt -i a.iso src// --uri A=http://a/"],
    &["mt -i a.iso -r grep src//a src/b//"],
    &["mt -i a.iso -r grep src -C sha256"],
    &["mt -i a.iso -r grep none.iso"],
    &["mt -i none.iso src"],
    &["mt -i a.iso"],
    &["mt -i a.iso nothing"],
    &["mt -i a.iso -C sha256 src//"],
    &["mt -i a.iso -0 src//", "mt -f -i a.iso -5 src//", "mt -i a.iso -9 src//"],
    &["mt -i a.iso --bzip2 src//"],
    &["mt -i a.iso --bzip2 -1 -C sha256 src//"],
    &["mt -i a.iso --bzip2 --gzip -3 -C md5 src//"],
    &["mt -i a.iso --min-length=256 -r grep src//"],
    &["mt -i a.iso --min-length=0 -r grep src//"],
    &["mt -i a.iso --min-length=3k -r grep src//"],
    &["mt -i a.iso --min-length=5000 -r grep src//"],
    &["mt -i a.iso --min-length=5001 -r grep src//"],
    &["mt -i a.iso --no-image-section src//"],
    &["mt -i a.iso --no-image-section --image-section --hex src//"],
    &["mt -i a.iso --no-servers-section --servers-section src//"],
    &["mt -i a.iso --no-servers-section src//a"],
    &["mt -i a.iso --no-greedy-matching src//"],
    &["mt -i a.iso --greedy-matching --check-files --readbuffer=64k --checksum-block-size=64k src//"],
    &["mt -i a.iso -T list.txt src/e"],
    &["list.txt | mt -i a.iso -T -"],
    &["d1.txt c.img | mt -i - -T - -t c.template"],
    &["a.iso | mt -i - -j x.jigdo -t y.template src//"],
    &["a.iso | mt -i - -t y.template -r grep src//"],
    &["mt -i c.img -j - -t c.template d1// d2//"],
    &["mt -i c.img d2// 'd 4#//' d1// d3// -r grep"],
    &["mt -i c.img d2// 'd 4#//' d1// d3// --label Z=d1 --label M=d3/ --label Q=d2/// -r quiet"],
    &["mt -i c.img ./d2 ./d1// d3//x .//d1//x"],
    &["mt -i c.img d2///x .//d1//x"],
    &[
        "mt -i many.img many/0// many/1// many/2// many/3// many/4// many/5// many/6// many/7// many/8// many/9// many/10// many/11// many/12// many/13// many/14// many/15// many/16// many/17// many/18// many/19// many/20// many/21// many/22// many/23// many/24// many/25// many/26// many/27// many/28// many/29//",
    ],
    &["mt -i a.iso --cache=new.db src//a"],
    &["mt -i a.iso src//", "mt -i a.iso src//a", "mt --force -i a.iso src//a"],
    &["mt -i among/c.img among// -r grep"],
    &["mt -i among/c.img -j x.jigdo -t x.template among src"],
    &["mt -i a.iso -j /dev/null -t /dev/null src//"],
    &["mt -f -i a.iso -j /dev/null -t /dev/null src//"],
    &["mt -i nothing src"],
    &["mt -i a.iso -t nothing/x.template src"],
    &["mt src"],
    &["mt -j foo src"],
    &["mt -i foo.jigdo src"],
];

const MATCH_EXEC: Cases = &[
    &["mt -i a.iso src// -r quiet --match-exec='echo \"$LABEL|$LABELPATH|$MATCHPATH|$LEAF|$MD5SUM|$SHA256SUM|$FILE\"'"],
    &[
        "mt -i a.iso src/a// src/b --label L=src/a -C sha256 -r grep '--match-exec=echo \"$LABEL|$LABELPATH|$MATCHPATH|$LEAF|$MD5SUM|$SHA256SUM|$FILE\"'",
    ],
    &["mt -i a.iso src -r grep --match-exec='echo no' --match-exec=''"],
    &[
        "mt -i a.iso src//a --label Label=src --match-exec='mkdir -p \"${LABEL:-.}/$MATCHPATH\" && cp \"$FILE\" \"${LABEL:-.}/$MATCHPATH$LEAF\"'",
    ],
];

const MERGES: Cases = &[
    &["mt -i a.iso src//a src/b// --merge=empty.jigdo"],
    &["mt -i a.iso src//a src/b// --merge=merge-parts.jigdo"],
    &["mt -i a.iso src//a src/b// --merge merge-image.jigdo"],
    &["mt -i a.iso src//a src/b// --merge=merge-image.jigdo -C sha256"],
    &["mt -i a.iso src//a src/b// --merge=merge-image2.jigdo"],
    &["mt -i a.iso src//a src/b// --merge=merge-image2.jigdo -C sha256"],
    &["mt -i a.iso src//a src/b// --merge=merge-image.jigdo --no-image-section"],
    &["mt -i a.iso src//a src/b// --merge=merge-labels.jigdo"],
    &["mt -i a.iso src//a src/b// --merge=merge-same.jigdo --label Foo=src --uri Foo=http://foo/"],
    &["mt -i a.iso src//a src/b// --merge=merge-same.jigdo --label Foo=src --uri Foo=http://bar/"],
    &[
        "mt -i a.iso src//a src/b// --merge=merge-image.jigdo --no-image-section --no-servers-section --label A=src/b --label B=src",
    ],
    &["mt -i a.iso src//a", "mt -f -i a.iso src/b// --merge=a.jigdo", "mt -f -i a.iso src/b// src//a --merge=a.jigdo"],
    &["mt -i a.iso src//a", "mt -i a.iso src/b// --merge=a.jigdo"],
    &["merge-labels.jigdo | mt -i a.iso src//a --merge=-"],
    &["mt -i a.iso src//a --merge=nothing"],
    &["mt -i a.iso src//a --merge=src"],
];

const IMAGES: Cases = &[
    &["make-image --image=x.img --template=v1.template mirror"],
    &["mi -i x.img -t v2.template mirror//", "pm -i x.img -j v2.jigdo -t v2.template"],
    &["mi -i x.img -t v1b.template mirror", "ver -i x.img -t v1.template"],
    &["mi -i x.img -t v2s.template -r quiet mirror"],
    &["mi -i x.iso -t j1.template mirror"],
    &["mi -i x.iso -t j2.template --no-check-files mirror"],
    &["mi -t v1.template", "mi -t v1.template nothing src", "ls -t v1.tmp"],
    &[
        "mi -t v1.template mirror/pool/a",
        "ls -t v1.tmp",
        "ls --hex -t v1.tmp",
        "pm -j v1.jigdo",
        "pma -j v1.jigdo",
        "mi -t v1.template",
        "mi -t v1.template src/a/one mirror/pool/a",
        "mi -t v1.template mirror/doc",
        "ls -t v1.tmp",
        "mi -t v1.template -r grep mirror/pool/b",
        "pm -j v1.jigdo",
        "mi -t v1.template mirror",
        "mi -t v1.template -f mirror/doc",
        "mi -t v1.template -f mirror",
        "ver -i v1 -t v1.template",
    ],
    &[
        "mi -t v2.template mirror/pool/b -r noprogress",
        "ls -t v2.tmp",
        "pma -j v2.jigdo --uri Debian=file:/x/",
        "mi -t v2.template -f mirror/pool/a",
        "mi -t v2.template --cache=new.db mirror/doc",
        "ver -i v2 -t v2.template",
    ],
    &[
        "mi -t v1.template -i x mirror/doc",
        "mi -t v2.template -i x mirror/doc",
        "pm -t v2.template -i x -j v2.jigdo",
        "mi -t v2.template -i x -f mirror/doc",
        "ls -t x.tmp",
    ],
    &[
        "mi -t v1.template -i made mirror/doc",
        "pm -t v1.template -i made -j v1.jigdo",
        "mi -t v1.template -i made mirror",
    ],
    &["mi -t v1.template -i - mirror/pool"],
    &["mi -t v1.template -i - -r quiet mirror"],
    &["mi -t v2.template -i - mirror --readbuffer=1k"],
    &["mirror.txt | mi -t v1.template -T-"],
    &["mi -t v1.template -i x.img damaged", "mi -t v1.template -i x.img damaged mirror/pool/b", "ls -t x.img.tmp"],
    &["mi -i plain.img -t v1.template mirror"],
    &["mi -i x.img -t nothing mirror"],
    &["mi -i x.img -t a.iso mirror"],
    &["v1.template | mi -i x.img -t - mirror"],
    &["mi -i nothing/x.img -t v1.template mirror"],
    &["mi -i x.img mirror"],
    &["mi mirror"],
    &["mi -j v1.jigdo -i x.img mirror"],
    &["mi -j nothing.jigdo -i x.img -t v1.template mirror"],
];

/// Where the two are not meant to agree: the commands, the exit codes of jigdo-file and of ours, and the heading in
/// `docs/jigdo-file-drop-in.md` that says so.
struct Difference {
    lines: &'static [&'static str],
    theirs: i32,
    ours: i32,
    heading: &'static str,
}

/// The exit code that stands for a signal: jigdo-file aborts, or touches memory that it has not.
const SIGNAL: i32 = -1;

const fn same_code(lines: &'static [&'static str], code: i32, heading: &'static str) -> Difference {
    Difference { lines, theirs: code, ours: code, heading }
}

const DIFFERENCES: &[Difference] = &[
    same_code(&["mt -i plain.img mirror//"], 0, "More matches"),
    same_code(&["mt -i plain.img mirror// -r grep -C sha256"], 0, "More matches"),
    same_code(&["mt -i among/c.img among// -r grep --no-greedy-matching"], 0, "More matches"),
    Difference { lines: &["mt -i cut.img src//"], theirs: SIGNAL, ours: 0, heading: "More matches" },
    same_code(&["make-template --label Foo -i a.iso src"], 3, "Failed runs"),
    same_code(&["make-template --uri Foo -i a.iso src"], 3, "Failed runs"),
    same_code(&["mt -i a.iso -j nothing/x.jigdo src"], 3, "Failed runs"),
    Difference { lines: &["mt -i a.iso src --match-exec=false"], theirs: SIGNAL, ours: 3, heading: "Failed runs" },
    Difference { lines: &["mt -i src d1"], theirs: 0, ours: 3, heading: "Failed runs" },
    Difference { lines: &["verify -i src -t v1.template"], theirs: 2, ours: 3, heading: "Failed runs" },
    Difference { lines: &["mt -i c.img -j x.y -t x.y d1"], theirs: 0, ours: 3, heading: "Failed runs" },
    Difference { lines: &["mt -i a.iso --min-length=17M src"], theirs: 0, ours: 3, heading: "Failed runs" },
    same_code(&["md5sum --cache=new.db src/a", "md5sum --cache=new.db src/a"], 0, "The cache"),
    same_code(&["sha256sum --cache=new.db src/a", "sha256sum --cache=new.db src/a --no-check-files"], 0, "The cache"),
    same_code(
        &["mt -i a.iso --cache=new.db src//", "mt -i a.iso -f --cache=new.db src// --no-check-files"],
        0,
        "The cache",
    ),
    same_code(&["mt -i c.img d1// d2// --no-servers-section"], 0, "Labels and names in jigdo files"),
    same_code(&["mt -i c.img d2// d1// --label A=nothing"], 0, "Labels and names in jigdo files"),
    same_code(&["mt -i c.img d2 d1 --label Here="], 0, "Labels and names in jigdo files"),
    same_code(&["mt -i 'im #1.img' src//"], 0, "Labels and names in jigdo files"),
    Difference {
        lines: &["mt -i c.img d1// '--label=A B=d1'"],
        theirs: 0,
        ours: 3,
        heading: "Labels and names in jigdo files",
    },
    same_code(&["mt -i odd.img odd//"], 0, "Labels and names in jigdo files"),
    same_code(&["mt -i empty.jigdo src -j x.jigdo -t x.template"], 0, "Labels and names in jigdo files"),
    same_code(&["mt -i c.img d1// --merge=merge-a.jigdo"], 0, "Merging"),
    same_code(&["mt -i c.img d1// --merge=merge-plain.jigdo"], 0, "Merging"),
    same_code(&["mt -i c.img d1// --merge=gz.jigdo"], 0, "Merging"),
    same_code(&["pm -j gz.jigdo -t v1.template"], 0, "Reading jigdo files"),
    same_code(&["pm -j open-quote.jigdo -t v1.template"], 0, "Reading jigdo files"),
    Difference {
        lines: &["pm -j no-value.jigdo -t v1.template"],
        theirs: SIGNAL,
        ours: 0,
        heading: "Reading jigdo files",
    },
    same_code(&["pma -j j1.jigdo"], 0, "Reading jigdo files"),
    same_code(&["pma -j loop.jigdo -t v1.template"], 0, "Reading jigdo files"),
    same_code(&["mi -t v1.template --files-from=mirror.txt damaged -i x.img"], 1, "Half-assembled images"),
    same_code(&["--version"], 0, "Messages"),
    same_code(&["-h"], 0, "Messages"),
    same_code(&["-H"], 0, "Messages"),
    same_code(&["--help --version"], 0, "Messages"),
    same_code(&["--help-all"], 0, "Messages"),
];

fn arena() -> Option<Arena> {
    installed(&["jigdo-file"]).then(|| Arena::new(inputs))
}

/// Runs all cases, and fails with what differs in any of them.
#[track_caller]
fn check(cases: Cases) {
    let Some(arena) = arena() else { return };
    let mut text = String::new();
    for lines in cases {
        let (theirs, ours) = arena.run(lines);
        text += &differences(lines, &theirs, &ours);
    }
    assert!(text.is_empty(), "{text}");
}

#[test]
fn sums_and_scans_are_the_same() {
    check(SUMS);
}

#[test]
fn a_wrong_command_line_has_the_same_exit_code() {
    check(WRONG);
}

#[test]
fn templates_are_listed_in_the_same_lines() {
    check(LISTS);
}

#[test]
fn the_same_places_of_missing_parts_are_printed() {
    check(MISSING);
}

#[test]
fn images_are_verified_alike() {
    check(VERIFY);
}

#[test]
fn templates_and_jigdo_files_say_the_same() {
    check(TEMPLATES);
}

#[test]
fn the_command_of_match_exec_sees_the_same() {
    check(MATCH_EXEC);
}

#[test]
fn jigdo_files_are_merged_alike() {
    check(MERGES);
}

#[test]
fn images_are_assembled_alike_in_one_run_or_several() {
    check(IMAGES);
}

/// Files of noise in several directories, and images of them, some cut, with other bytes between: nothing that the two
/// are known to match differently.
fn generated(place: &Path, seed: u64) {
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
        for piece in 0..1 + below(15) {
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

#[test]
fn generated_images_are_taken_apart_and_put_together_alike() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let mut text = String::new();
    for seed in 1..9 {
        let arena = Arena::new(|place| generated(place, seed));
        let size = ["1k", "256", "1025", "4k"][seed as usize % 4];
        let algorithm = ["md5", "sha256"][seed as usize % 2];
        for image in 0..3 {
            let template = format!("{image}.template");
            let lines = [
                format!("mt -i {image}.img -r grep -C {algorithm} --min-length={size} tree//0 tree/1// tree"),
                format!("ls -t {template}"),
                format!("pma -i x -j {image}.jigdo -t {template}"),
                format!("mi -i x -t {template} tree/1 tree/2"),
                format!("pm -i x -j {image}.jigdo -t {template}"),
                format!("mi -i x -t {template} tree/0"),
                format!("ver -i x -t {template}"),
                "md5sum --hex tree//".to_owned(),
            ];
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let (theirs, ours) = arena.run(&lines);
            text += &differences(&lines, &theirs, &ours);
        }
    }
    assert!(text.is_empty(), "{text}");
}

#[test]
fn where_the_two_differ_the_documentation_says_so() {
    let Some(arena) = arena() else { return };
    let page = fs::read_to_string(repository().join("docs/jigdo-file-drop-in.md")).unwrap();
    let mut text = String::new();
    for Difference { lines, theirs, ours, heading } in DIFFERENCES {
        assert!(page.contains(&format!("\n## {heading}\n")), "{heading}");
        let (by_them, by_us) = arena.run(lines);
        let code = |ran: &[Ran]| ran.last().unwrap().code.unwrap_or(SIGNAL);
        if (code(&by_them), code(&by_us)) != (*theirs, *ours) {
            text += &format!("{lines:?}: exit codes {} and {}\n", code(&by_them), code(&by_us));
        }
        if differences(lines, &by_them, &by_us).is_empty() {
            text += &format!("{lines:?}: no difference\n");
        }
    }
    assert!(text.is_empty(), "{text}");
}

/// Every line of every table.
fn all_lines() -> Vec<&'static str> {
    let tables = [SUMS, WRONG, LISTS, MISSING, VERIFY, TEMPLATES, MATCH_EXEC, MERGES, IMAGES];
    let of_tables = tables.into_iter().flatten().flat_map(|lines| lines.iter());
    of_tables.chain(DIFFERENCES.iter().flat_map(|difference| difference.lines)).copied().collect()
}

#[test]
fn every_option_of_jigdo_file_is_in_the_tables() {
    if !installed(&["jigdo-file"]) {
        return;
    }
    let help = run(Command::new("jigdo-file").arg("--help-all")).stdout;
    let help = String::from_utf8(help).unwrap();
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let options = help.split(|character| !is_name(character)).filter(|word| word.starts_with("--") && word.len() > 2);
    let lines = all_lines();
    let is_used = |option: &str| {
        let words = lines.iter().flat_map(|line| line.split([' ', '=', '\'']));
        words.collect::<Vec<_>>().contains(&option)
    };
    let unused: Vec<_> = options.filter(|option| !is_used(option)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}
