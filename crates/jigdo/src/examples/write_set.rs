use std::error::Error;
use std::io::Cursor;

use jigdo::bstr::BString;
use jigdo::jigdo_file::{Image, Jigdo, Location, Server};
use jigdo::template::{ImageEntry, Options, Writer};
use jigdo::{Checksum, Rsync64, Sum};

/// Writes a set for an image with a package in it, and 512 bytes before and 1536 bytes after the package.
fn write_set(package: &[u8; 2048], image: &[u8; 4096]) -> Result<(Vec<u8>, BString), Box<dyn Error>> {
    let mut writer = Writer::new(Cursor::new(Vec::new()), Options::new(Checksum::Sha256, "example/1.0"))?;
    writer.unmatched(&image[..512])?;
    writer.part(2048, Rsync64::of(&package[..1024]), Sum::of(Checksum::Sha256, package))?;
    writer.unmatched(&image[2560..])?;
    let sum = Sum::of(Checksum::Sha256, image);
    let entry = ImageEntry { length: image.len() as u64, sum, block_length: Some(1024) };
    let template = writer.finish(entry)?.into_inner();

    let location = Location { label: "Debian".into(), path: "pool/main/p/package.deb".into() };
    let server = Server { url: "https://deb.debian.org/debian/".into(), try_last: false };
    let jigdo = Jigdo {
        version: Some("2.0".into()),
        generator: Some("example/1.0".into()),
        images: vec![Image {
            filename: "image.iso".into(),
            template: "image.template".into(),
            template_sum: Some(Sum::of(Checksum::Sha256, &template)),
            ..Image::default()
        }],
        parts: vec![(Sum::of(Checksum::Sha256, package), location)],
        servers: vec![("Debian".into(), server)],
        includes: vec![],
    };
    Ok((template, jigdo.to_text()?))
}
