//! The help and version texts.

use super::options::Information;

/// The version of jigdo-file that this replaces, where scripts look for it, followed by its own.
const VERSION: &str = concat!("jigdo-file version 0.8.0 (jigpress ", env!("CARGO_PKG_VERSION"), ")\n");

/// The commands.
pub const COMMANDS: &str = "
Usage: jigdo-file COMMAND [OPTIONS] [FILES]

Commands, with their short names
  make-template mt     searches an image for files and writes its template and jigdo file
  make-image mi        rebuilds an image from its template and files, over several runs if
                       necessary; an incomplete image is IMAGE.tmp
  print-missing pm     prints a URL for each part that an image still lacks
  print-missing-all pma
                       prints all URLs of each such part
  verify ver           compares an image with the sum in its template
  scan sc              reads files into the cache
  list-template ls     prints how a template or an IMAGE.tmp describes its image
  md5sum md5           prints the MD5 of files
  sha256sum sha256     prints the SHA-256 of files

FILES may be directories. Jigdo files contain the part of a name that follows its double slash.
";

/// The options that are used most.
pub const USUAL: &str = "
Common options
  -i --image=FILE      the image
  -j --jigdo=FILE      its jigdo file
  -t --template=FILE   its template; missing names are deduced from one that is given
  -T --files-from=FILE read more names of files, one per line, up to the first empty line; - is
                       standard input
  -r --report=default|noprogress|quiet|grep
                       what to print; grep: make-template prints `offset file` for each match
  -f --force           replace existing files
     --label LABEL=DIR [make-template] the label for files in DIR//... in the jigdo file
     --uri LABEL=URI   [make-template] the label's URI; a file: URI if not given
                       [print-missing] the same, tried before those of the jigdo file
  -0 to -9             compression level of the template; 9 if not given
     --bzip2, --gzip   compression method; gzip if not given
  -C --checksum-algorithm=md5|sha256
                       [make-template] the format's checksum; md5 if not given
  -c --cache=FILE      remember what was read from files
  -h --help, -H --help-all, -v --version
";

/// The other options, and the exit codes.
pub const FURTHER: &str = "
Other options; BYTES may end in k, M or G
     --merge=FILE      [make-template] add to the content of this jigdo file
     --min-length=BYTES
                       [make-template] ignore shorter files; 256 to 16M, 1k if not given
     --match-exec=COMMAND
                       [make-template] run this in a shell for each match, with LABEL, LABELPATH,
                       MATCHPATH, LEAF, MD5SUM, SHA256SUM and FILE in its environment
     --no-image-section, --no-servers-section
                       [make-template] leave this section out of the jigdo file
     --no-check-files  [make-template, md5sum, sha256sum] use the cache's data for files that
                       do not exist
     --scan-whole-file [scan] read whole files, not only their first blocks
     --cache-expiry=SECONDS[h|d|w|m|y], or off
                       forget what has not been used for this long; 30d if not given
     --hex             [md5sum, sha256sum, list-template] print sums in hexadecimal, not base64
     --debug[=UNIT,...]
                       print more; --debug=help lists the units
     --no-force --no-cache --no-hex --no-debug --image-section --servers-section --check-files
     --no-scan-whole-file
                       the opposites, which are the defaults
     --greedy-matching --no-greedy-matching --readbuffer=BYTES --checksum-block-size=BYTES
     --md5-block-size=BYTES
                       accepted for compatibility, without effect

Exit codes: 0 success, 1 more files are needed, 2 something you can correct, 3 failure.
";

/// The text to print instead of running a command, if any.
pub fn text(wanted: Information) -> Option<String> {
    let version = if wanted.version { VERSION } else { "" };
    let help = match (wanted.help_all, wanted.help) {
        (true, _) => [COMMANDS, USUAL, FURTHER].concat(),
        (false, true) => [COMMANDS, USUAL].concat(),
        (false, false) => String::new(),
    };
    Some([version, &help].concat()).filter(|text| !text.is_empty())
}
