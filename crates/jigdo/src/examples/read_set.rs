use std::error::Error;
use std::io::{Cursor, Read as _};

use jigdo::escaped;
use jigdo::jigdo_file::Jigdo;
use jigdo::template::{Area, Template};

/// Lists the parts of an image, with their places and URLs, and returns its unmatched data.
fn read_set(jigdo: &[u8], template: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let jigdo = Jigdo::read(jigdo)?;
    let mut template = Template::read(Cursor::new(template))?;
    for (offset, area) in template.description.with_offsets() {
        if let Area::Part { length, sum, .. } = area {
            let (_, location) = jigdo.parts.iter().find(|(known, _)| known == sum).ok_or("a part has no location")?;
            for url in jigdo.urls(location)? {
                println!("{length} bytes at {offset}: {}", escaped(&url));
            }
        }
    }
    let mut unmatched = Vec::new();
    template.unmatched().read_to_end(&mut unmatched)?;
    Ok(unmatched)
}
