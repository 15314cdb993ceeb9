//! `print-missing` and `print-missing-all`: where to get the parts that an image still lacks.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use jigdo::base64;
use jigdo::bstr::{BString, ByteSlice as _};
use jigdo::jigdo_file::{self, Jigdo, Location, Server, split_words};
use jigdo::template::{Area, Tmp};
use jigdo::{Algorithm, Sum, escaped, escaped_path};

use super::names::{Names, STANDARD};
use super::options::Options;
use super::{Error, Outcome, say, standard_input};

/// How many warnings about one jigdo file are printed.
const MAX_COMPLAINTS: usize = 10;

/// How many of a part's locations are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locations {
    /// The first.
    First,
    /// All, followed by an empty line.
    All,
}

/// Prints the URLs of each part that is missing, in the order of their sums.
pub fn run(options: &Options, locations: Locations) -> Result<Outcome, Error> {
    let names = Names::deduce(&options.image, &options.jigdo, &options.template);
    names.require_all("print-missing")?;
    if names.image.exists() {
        return Ok(Outcome::Done);
    }
    let missing = missing(&names)?;
    let mut jigdo = read_jigdo(&names.jigdo)?;
    let overriding = options.uris.iter().filter_map(server);
    jigdo.servers = overriding.chain(std::mem::take(&mut jigdo.servers)).collect();
    // They are printed as they are listed, whatever is marked `--try-last`: jigdo-file does not know that.
    jigdo.servers.iter_mut().for_each(|(_, server)| server.try_last = false);
    let by_sum = by_sum(&jigdo);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut print = || {
        for sum in &missing {
            let mut urls = urls(&jigdo, by_sum.get(sum).map_or(&[], Vec::as_slice), sum);
            match locations {
                Locations::First => urls.truncate(1),
                Locations::All => urls.push(BString::default()),
            }
            urls.iter().try_for_each(|url| out.write_all(&[url.as_slice(), b"\n"].concat()))?;
        }
        out.flush()
    };
    print().map_err(Error::Standard)?;
    Ok(Outcome::Done)
}

/// The sums of the missing parts, sorted, without duplicates.
fn missing(names: &Names) -> Result<Vec<Sum>, Error> {
    let description = super::open_template(&names.template)?.description;
    let written = half_assembled(&names.tmp(), |tmp| tmp.is_of(&description)).map_or_else(Vec::new, |tmp| tmp.written);
    let is_written = written.into_iter().chain(std::iter::repeat(false));
    let sum = |(area, is_written): (&Area, bool)| match area {
        Area::Part { sum, .. } if !is_written => Some(*sum),
        _ => None,
    };
    let mut missing: Vec<Sum> = description.areas.iter().zip(is_written).filter_map(sum).collect();
    missing.sort_unstable();
    missing.dedup();
    Ok(missing)
}

/// The half-assembled image at `path`, if there is one and `is_right` accepts it.
fn half_assembled(path: &Path, is_right: impl Fn(&Tmp) -> bool) -> Option<Tmp> {
    let file = crate::file::open(path).ok()?;
    let skip = |cause: &dyn std::fmt::Display| say(format_args!("skipping {}: {cause}", escaped_path(&path)));
    match Tmp::read(file) {
        Err(error) => skip(&error),
        Ok(tmp) if is_right(&tmp) => return Some(tmp),
        Ok(_) => skip(&"it belongs to another image or template"),
    }
    None
}

/// Reads the jigdo file at `path`, or on standard input. Malformed lines are reported and skipped.
fn read_jigdo(path: &Path) -> Result<Jigdo, Error> {
    let mut complaints = 0;
    let complain = |error: jigdo_file::Error| {
        complaints += 1;
        if complaints <= MAX_COMPLAINTS {
            say(format_args!("{}: {error}; skipped", escaped_path(&path)));
        }
    };
    let jigdo = if path.as_os_str() == STANDARD {
        Jigdo::read_leniently(standard_input(), complain)
    } else {
        let file = File::open(path).map_err(|source| Error::Input { path: path.to_owned(), source })?;
        Jigdo::read_leniently(file, complain)
    };
    let jigdo = jigdo.map_err(|source| Error::Jigdo { path: path.to_owned(), source })?;
    if jigdo.is_newer() {
        let version = jigdo.version.unwrap_or_default();
        return Err(Error::Newer { path: path.to_owned(), version: escaped(&version).to_string() });
    }
    Ok(jigdo)
}

/// The server that a `--uri` names; `None` if it names none.
fn server(text: &OsString) -> Option<(BString, Server)> {
    let (label, value) = text.as_bytes().split_once_str("=")?;
    let url = split_words(value).ok()?.into_iter().next().unwrap_or_default();
    Some((label.into(), Server { url, try_last: false }))
}

/// The locations of each sum, in the order of the jigdo file.
fn by_sum(jigdo: &Jigdo) -> BTreeMap<Sum, Vec<&Location>> {
    let mut by_sum: BTreeMap<Sum, Vec<&Location>> = BTreeMap::new();
    for (sum, location) in &jigdo.parts {
        by_sum.entry(*sum).or_default().push(location);
    }
    by_sum
}

/// The URLs of a part: those of its locations, then those of the label for parts by sum.
fn urls(jigdo: &Jigdo, locations: &[&Location], sum: &Sum) -> Vec<BString> {
    let label = format!("{}Sum", Algorithm::from(sum.checksum()).name());
    let last = Location { label: label.into(), path: base64::encode(sum.as_bytes()).into() };
    let resolve = |location: &Location| {
        jigdo.urls(location).unwrap_or_else(|error| {
            say(format_args!("{location} is printed unresolved: {error}"));
            vec![location.text()]
        })
    };
    let urls = locations.iter().copied().chain([&last]).flat_map(resolve);
    // A `file:` URL is printed as a path.
    urls.map(|url| url.strip_prefix(b"file:").map_or(url.clone(), BString::from)).collect()
}
