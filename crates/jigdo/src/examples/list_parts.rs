use jigdo::escaped;
use jigdo::jigdo_file::Jigdo;
use jigdo::template::{Area, Template};
use std::fs::File;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jigdo = Jigdo::read(File::open("image.jigdo")?)?;
    let template = Template::read(File::open("image.template")?)?;
    for (offset, area) in template.description.with_offsets() {
        if let Area::Part { length, sum, .. } = area {
            for (_, location) in jigdo.parts.iter().filter(|(known, _)| known == sum) {
                for url in jigdo.urls(location)? {
                    println!("{length} bytes at {offset}: {}", escaped(&url));
                }
            }
        }
    }
    Ok(())
}
