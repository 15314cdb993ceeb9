//! `list-template`: prints how a template or a half-assembled image describes its image.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;

use jigdo::template::description::Entry;
use jigdo::template::{self, Description, Template, Tmp};

use super::names::{Names, STANDARD};
use super::options::Options;
use super::{Error, Outcome};
use crate::cli::description_lines::{Notation, write_entry};

/// Prints a line for each area, and one for the image.
pub fn run(options: &Options) -> Result<Outcome, Error> {
    let path = Names::deduce(&options.image, &options.jigdo, &options.template).template;
    match path.as_os_str() {
        name if name.is_empty() => return Err(Error::Usage("list-template needs --template".to_owned())),
        name if name == STANDARD => {
            return Err(Error::Usage("list-template cannot read a template from standard input".to_owned()));
        }
        _ => {}
    }
    let (description, written) = read(&path)?;
    let notation = if options.hex { Notation::Hex } else { Notation::Base64 };
    let print = || {
        let mut out = BufWriter::new(io::stdout().lock());
        for ((offset, area), is_written) in description.with_offsets().zip(written) {
            let entry = if is_written { Entry::Written(*area) } else { Entry::Area(*area) };
            write_entry(&mut out, offset, &entry, notation)?;
        }
        write_entry(&mut out, 0, &Entry::Image(description.image), notation)?;
        out.flush()
    };
    print().map_err(Error::Standard)?;
    Ok(Outcome::Done)
}

/// The description in a template or after a half-assembled image, and for each area whether it is a part that was
/// written.
fn read(path: &Path) -> Result<(Description, Vec<bool>), Error> {
    let file = File::open(path).map_err(|source| Error::Input { path: path.to_owned(), source })?;
    match Template::read(BufReader::new(&file)) {
        Ok(template) => {
            let written = vec![false; template.description.areas.len()];
            Ok((template.description, written))
        }
        Err(template::Error::NotATemplate) => {
            // If the file is neither, the error is that it is not a template.
            let tmp = Tmp::read(&file).map_err(|_| template::Error::NotATemplate);
            tmp.map(|tmp| (tmp.description, tmp.written)).map_err(|source| super::unreadable(path, source))
        }
        Err(source) => Err(super::unreadable(path, source)),
    }
}
