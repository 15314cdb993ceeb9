//! `md5sum` and `sha256sum`: print the sums of files in the format of coreutils, but in base64 by default.

use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;

use jigdo::base64;
use jigdo::{Checksum, Sum};

use super::cache::Cache;
use super::files::{Finder, GivenFile};
use super::options::Options;
use super::{Error, Outcome, progress, standard_input};
use crate::matcher::PartSum;
use crate::mirror::FileId;

/// How many files are read before their sums are printed.
const AT_ONCE: usize = 256;

/// Prints the sum of each file.
pub fn run(options: &Options, checksum: Checksum) -> Result<Outcome, Error> {
    let cache = Cache::open(options)?;
    let known = |name: &_| cache.stamp(name);
    let found = Finder::new(&known).find(&options.files, &options.files_from, &mut standard_input());
    let progress = progress::listener(options);
    let catalogued = cache.catalogue(&found, &[], &[checksum], &*progress)?;
    let mut out = BufWriter::new(io::stdout().lock());
    for (found, files) in found.chunks(AT_ONCE).zip(catalogued.files.chunks(AT_ONCE)) {
        let ids: Vec<FileId> = files.iter().flatten().copied().collect();
        catalogued.catalogue.sums(&ids, &*progress);
        for (found, file) in found.iter().zip(files) {
            // Files that cannot be read are reported at the end.
            let known = file.and_then(|file| catalogued.catalogue.known_sums(file));
            if let Some(PartSum { sum, .. }) = known.and_then(|sums| sums.part(checksum)) {
                print(&mut out, found, &sum, options.hex).map_err(Error::Standard)?;
            }
        }
    }
    out.flush().map_err(Error::Standard)?;
    catalogued.catalogue.warn(&*progress);
    cache.finish(&catalogued.catalogue);
    Ok(Outcome::Done)
}

fn print(out: &mut impl Write, found: &GivenFile, sum: &Sum, hex: bool) -> io::Result<()> {
    let sum = if hex { sum.to_string() } else { base64::encode(sum.as_bytes()) };
    write!(out, "{sum}  ")?;
    out.write_all(found.name.shown().as_bytes())?;
    out.write_all(b"\n")
}
