//! `verify`: checks whether an image is the one that its template describes.

use std::fs::File;
use std::path::Path;

use jigdo::base64;
use jigdo::template::ImageEntry;
use jigdo::{Algorithm, Checksum, Sum, escaped_path};

use super::names::{Names, STANDARD};
use super::options::{Options, Report};
use super::{Error, Outcome, say, standard_input};
use crate::{digest, file};

/// Compares the image's sum with the template's.
pub fn run(options: &Options) -> Result<Outcome, Error> {
    let names = Names::deduce(&options.image, &options.jigdo, &options.template);
    names.require("verify")?;
    let described = super::open_template(&names.template)?.description.image;
    let found = sum_of_image(&names.image, &described)?;
    let (name, image) = (Algorithm::from(described.sum.checksum()).name(), escaped_path(&names.image));
    let shown = |sum: &Sum| if options.hex { sum.to_string() } else { base64::encode(sum.as_bytes()) };
    if found != Some(described.sum) {
        let found = found.as_ref().map_or_else(|| "it has another length".to_owned(), shown);
        say(format_args!("{image} is not the template's image: {found} instead of {name} {}", shown(&described.sum)));
        return Ok(Outcome::Wrong);
    }
    if options.report != Report::Quiet {
        say(format_args!("{image} is the template's image: {name} {}", shown(&described.sum)));
        if described.sum.checksum() == Checksum::Md5 {
            say(format_args!("an MD5 cannot rule out a deliberate forgery"));
        }
    }
    Ok(Outcome::Done)
}

/// The image's sum; `None` if its length already differs.
fn sum_of_image(path: &Path, described: &ImageEntry) -> Result<Option<Sum>, Error> {
    let checksum = described.sum.checksum();
    let sum = || {
        if path.as_os_str() == STANDARD {
            return digest::sum_of_reader(checksum, standard_input()).map(Some);
        }
        let is_stream = file::is_stream(path)?;
        let file = File::open(path)?;
        if !is_stream && file::length(&file)? != described.length {
            return Ok(None);
        }
        digest::sum_of_reader(checksum, file).map(Some)
    };
    sum().map_err(|source| Error::Input { path: path.to_owned(), source })
}
