//! `verify`: checks whether an image is the one that its template describes.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use jigdo::base64;
use jigdo::template::{ImageEntry, Template};
use jigdo::{Algorithm, Checksum, Sum};

use super::names::{Names, STANDARD};
use super::options::{Options, Report};
use super::{Error, Outcome, say, standard_input};
use crate::digest;

/// Compares the image's sum with the template's.
pub fn run(options: &Options) -> Result<Outcome, Error> {
    let names = Names::deduce(&options.image, &options.jigdo, &options.template);
    if [&names.image, &names.template].iter().any(|name| name.as_os_str().is_empty()) {
        return Err(Error::Usage(
            "verify needs the names of image and template, of which one cannot be deduced".to_owned(),
        ));
    }
    let described = read_template(&names.template)?;
    let found = sum_of_image(&names.image, &described)?;
    let (name, image) = (Algorithm::from(described.sum.checksum()).name(), names.image.display());
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

fn read_template(path: &Path) -> Result<ImageEntry, Error> {
    let file = File::open(path).map_err(|source| Error::Input { path: path.to_owned(), source })?;
    let template = Template::read(BufReader::new(file)).map_err(|source| super::unreadable(path, source))?;
    Ok(template.description.image)
}

/// The image's sum; `None` if its length already differs.
fn sum_of_image(path: &Path, described: &ImageEntry) -> Result<Option<Sum>, Error> {
    let checksum = described.sum.checksum();
    let sum = || {
        if path.as_os_str() == STANDARD {
            return digest::sum_of_reader(checksum, standard_input()).map(Some);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() && metadata.len() != described.length {
            return Ok(None);
        }
        digest::sum_of_reader(checksum, file).map(Some)
    };
    sum().map_err(|source| Error::Input { path: path.to_owned(), source })
}
