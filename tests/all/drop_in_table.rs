//! The stand-in for jigdo-file beside Debian's jigdo-file: each command and each option, on the same files. Exit code,
//! standard output and the files that are written must be the same, but where `docs/jigdo-file-drop-in.md` says otherwise.
//! What needs jigdo-file is skipped without it, except where `JIGPRESS_PEERS=required`.

use std::fs;
use std::process::Command;

use crate::common::drop_in::{Arena, Ran, differences};
use crate::common::drop_in_inputs::{generated, inputs};
use crate::common::{installed, repository, run};

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
    &["pm -j open-quote.jigdo -t v1.template"],
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
