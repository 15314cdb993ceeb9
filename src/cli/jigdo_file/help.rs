//! What the stand-in says of itself.

use super::options::Information;

/// The version of jigdo-file that this stands in for, where scripts look for it, and then its own.
const VERSION: &str = concat!("jigdo-file version 0.8.0 (jigpress ", env!("CARGO_PKG_VERSION"), ")\n");

const COMMANDS: &str = "
Usage: jigdo-file COMMAND [OPTIONS] [FILES]

Commands, each with its short name
  make-template mt     searches an image for files, writes its template and jigdo file
  make-image mi        puts an image together from its template and files, in as many runs as
                       it takes; until then it is IMAGE.tmp
  print-missing pm     prints where the parts are that an image still lacks
  print-missing-all pma
                       prints all places where each of them is
  verify ver           compares an image with the sum in its template
  scan sc              reads files into the cache
  list-template ls     prints what a template, or an IMAGE.tmp, says of its image
  md5sum md5           prints the MD5 of files
  sha256sum sha256     prints the SHA-256 of files

FILES may be directories. What follows a double slash in a name is what is written into jigdo files.
";

const USUAL: &str = "
Options that are often needed
  -i --image=FILE      the image
  -j --jigdo=FILE      its jigdo file
  -t --template=FILE   its template; names that are not given are deduced from one that is
  -T --files-from=FILE names of further files, one a line, up to the first empty line; - is
                       standard input
  -r --report=default|noprogress|quiet|grep
                       what is told; grep: make-template prints `offset file` for each match
  -f --force           replace files that are there
     --label LABEL=DIR [make-template] what a file of DIR//... is called in the jigdo file
     --uri LABEL=URI   [make-template] what the label stands for, if not a file: URI
                       [print-missing] the same, before what the jigdo file says
  -0 to -9             how hard the template is compressed; 9 if not given
     --bzip2, --gzip   how it is compressed; gzip if not given
  -C --checksum-algorithm=md5|sha256
                       [make-template] the generation of the format; md5 if not given
  -c --cache=FILE      remember what was read of files
  -h --help, -H --help-all, -v --version
";

const FURTHER: &str = "
Further options; BYTES may end in k, M or G
     --merge=FILE      [make-template] add to what this jigdo file says
     --min-length=BYTES
                       [make-template] do not look for shorter files; 256 to 16M, 1k if not given
     --match-exec=COMMAND
                       [make-template] run this by the shell for each match, with LABEL, LABELPATH,
                       MATCHPATH, LEAF, MD5SUM, SHA256SUM and FILE in its environment
     --no-image-section, --no-servers-section
                       [make-template] write no such section into the jigdo file
     --no-check-files  [make-template, md5sum, sha256sum] take files that are not there as the
                       cache knows them
     --scan-whole-file [scan] read files whole, not only their first blocks
     --cache-expiry=SECONDS[h|d|w|m|y], or off
                       forget what was not used for so long; 30d if not given
     --hex             [md5sum, sha256sum, list-template] sums in hexadecimal, not in base64
     --debug[=UNIT,...]
                       tell more; --debug=help lists the units
     --no-force --no-cache --no-hex --no-debug --image-section --servers-section --check-files
     --no-scan-whole-file
                       the opposites, which are the defaults
     --greedy-matching --no-greedy-matching --readbuffer=BYTES --checksum-block-size=BYTES
     --md5-block-size=BYTES
                       taken for the sake of scripts, and of no effect

Exit codes: 0 done, 1 more files are needed, 2 it did not work and can be put right, 3 it failed.
";

/// What is printed in the place of all work, if anything is.
pub fn text(wanted: Information) -> Option<String> {
    let version = if wanted.version { VERSION } else { "" };
    let help = match (wanted.help_all, wanted.help) {
        (true, _) => [COMMANDS, USUAL, FURTHER].concat(),
        (false, true) => [COMMANDS, USUAL].concat(),
        (false, false) => String::new(),
    };
    Some([version, &help].concat()).filter(|text| !text.is_empty())
}
