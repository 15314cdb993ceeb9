//! `scan`: reads files into the cache, so that later commands need not read them.

use jigdo::Checksum;

use super::cache::Cache;
use super::files::Finder;
use super::options::Options;
use super::{Error, Outcome, make_template, progress, standard_input};

/// Caches the files' first blocks, and all their sums with `--scan-whole-file`.
pub fn run(options: &Options) -> Result<Outcome, Error> {
    if options.cache.is_none() {
        return Err(Error::Usage("scan needs a cache file: use --cache=FILE".to_owned()));
    }
    let cache = Cache::open(options)?;
    let found = Finder::new(&|_| None).find(&options.files, &options.files_from, &mut standard_input());
    let progress = progress::listener(options);
    let block_length = make_template::block_length(options)?;
    let catalogued = cache.catalogue(&found, &[block_length], &Checksum::ALL, &*progress)?;
    if options.scan_whole_file {
        let files: Vec<_> = catalogued.files.iter().flatten().copied().collect();
        catalogued.catalogue.sums(&files, &*progress);
    }
    catalogued.catalogue.warn(&*progress);
    cache.finish(&catalogued.catalogue);
    Ok(Outcome::Done)
}
