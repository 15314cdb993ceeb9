//! From a layout to a template and a jigdo file, and from these back to the image, all in memory.

use std::collections::BTreeSet;
use std::io::{self, Cursor, Read};

use jigdo::Sum;
use jigdo::bstr::BString;
use jigdo::jigdo_file::{self, Image, Jigdo, Location, Server};
use jigdo::template::{self, Compression, ImageEntry, Options, Template, Writer};
use jigpress::assemble::{Destination, Order, Part, PartPlace, assemble};
use jigpress::matcher::{Area, Layout, PartId};
use jigpress::progress::Silent;

use crate::case::{Case, Texts};
use crate::matching::Parts;

/// How many bytes are given to bzip2 at most: it is so slow that more would take nearly all of the time.
const MOST_FOR_BZIP2: u64 = 2048;

/// Writes the set of `image` and puts the image together again from what the readers say of it.
///
/// # Panics
/// When anything is not what was written.
pub fn assert_round_trip(case: &Case, parts: &Parts, layout: &Layout, image: &[u8]) {
    let template = template(case, parts, layout, image);
    let places = places(&case.texts, layout);
    let jigdo = checked_jigdo(case, &places, Sum::of(case.checksum, &template));
    let mut template = Template::read(Cursor::new(&template)).expect("a template that was just written");
    assert_described(&template, parts, layout, image);

    // By what the jigdo file says.
    let source = |part: &Part| {
        let location = jigdo.parts.iter().find(|(known, _)| *known == part.sum).map(|(_, location)| location);
        let place = location.and_then(|location| places.iter().find(|place| place.location == *location));
        let content = place.map(|place| &parts.contents[place.part.0 as usize][..]);
        content.into_iter().map(|content| PartPlace::Memory(content.into())).collect::<Vec<_>>()
    };
    let mut rebuilt = Vec::new();
    let order = Order {
        name: String::new(),
        template: &mut template,
        sources: vec![&source],
        destination: Destination::Stream(&mut rebuilt),
    };
    let report = assemble(order, &Silent).expect("memory takes every write");
    assert!(report.is_complete && rebuilt == image, "another image came back");
    assert_eq!(report.parts, layout.parts().count());
    assert_eq!(report.unmatched, image.len() as u64 - layout.matched());
}

fn template(case: &Case, parts: &Parts, layout: &Layout, image: &[u8]) -> Vec<u8> {
    let unmatched = image.len() as u64 - layout.matched();
    let compression = if unmatched > MOST_FOR_BZIP2 { Compression::Gzip } else { case.compression };
    let options = Options { compression, level: case.level, ..Options::new(case.checksum, "fuzz/1") };
    let mut writer = Writer::new(Vec::new(), options).expect("the header is plain");
    for area in &layout.areas {
        match area {
            Area::Unmatched(range) => writer.unmatched(&image[range.start as usize..range.end as usize]),
            Area::Part(part) => writer.part(part.length, parts.first(part.part), part.sum),
        }
        .expect("memory takes every write");
    }
    writer.finish(image_entry(case, image)).expect("memory takes every write")
}

fn image_entry(case: &Case, image: &[u8]) -> ImageEntry {
    let sum = Sum::of(case.checksum, image);
    ImageEntry { length: image.len() as u64, sum, block_length: Some(case.block_length) }
}

fn assert_described<R: Read + io::Seek>(template: &Template<R>, parts: &Parts, layout: &Layout, image: &[u8]) {
    let described = |area: &Area| match area {
        Area::Unmatched(range) => template::Area::Unmatched { length: range.end - range.start },
        Area::Part(part) => {
            template::Area::Part { length: part.length, rsync64: Some(parts.first(part.part)), sum: part.sum }
        }
    };
    // The description of an empty image may have an area of no bytes, which makes it long enough for other readers.
    if !image.is_empty() {
        let expected: Vec<_> = layout.areas.iter().map(described).collect();
        assert_eq!(template.description.areas, expected);
    }
    assert_eq!(template.description.image.length, image.len() as u64);
}

/// A part of the layout, and where the jigdo file says it is.
struct Place {
    part: PartId,
    sum: Sum,
    location: Location,
    server: Option<Server>,
}

/// The places of the layout's parts, one for each sum.
fn places(texts: &Texts, layout: &Layout) -> Vec<Place> {
    let mut seen = BTreeSet::new();
    let parts = layout.parts().filter(|part| seen.insert(part.sum));
    let place = |(number, part): (usize, &jigpress::matcher::Match)| {
        let named = texts.names.get(number).map(|name| {
            let location =
                Location { label: name.label.as_str().into(), path: format!("{}/{number}", name.path).into() };
            let server = Server { url: name.url.as_str().into(), try_last: name.try_last };
            let server = Some(server).filter(|_| !name.label.is_empty());
            Place { part: part.part, sum: part.sum, location, server }
        });
        let location = Location { label: "Mirror".into(), path: format!("pool/{number}.deb").into() };
        let plain = Place { part: part.part, sum: part.sum, location, server: None };
        named.filter(|place| jigdo_of(std::slice::from_ref(place), None).to_text().is_ok()).unwrap_or(plain)
    };
    parts.enumerate().map(place).collect()
}

fn jigdo_of(places: &[Place], image: Option<Image>) -> Jigdo {
    let server = |place: &Place| place.server.clone().map(|server| (place.location.label.clone(), server));
    Jigdo {
        version: Some("2.0".into()),
        generator: Some("jigpress/0".into()),
        images: image.into_iter().collect(),
        parts: places.iter().map(|place| (place.sum, place.location.clone())).collect(),
        servers: places.iter().filter_map(server).collect(),
        includes: Vec::new(),
    }
}

/// The jigdo file of these places as it reads after it was written.
fn checked_jigdo(case: &Case, places: &[Place], template_sum: Sum) -> Jigdo {
    let texts = &case.texts;
    let plain = Image {
        filename: "image.iso".into(),
        template: "image.template".into(),
        template_sum: Some(template_sum),
        ..Image::default()
    };
    // What is empty cannot be written either, but is no reason to leave the rest unsaid.
    let said = |text: &String| Some(text.as_str().into()).filter(|text: &BString| !text.is_empty());
    let filled = Image {
        filename: said(&texts.filename).unwrap_or_else(|| plain.filename.clone()),
        short_info: texts.short_info.as_ref().and_then(said),
        comments: texts.comment.iter().filter_map(said).collect(),
        ..plain.clone()
    };
    let mut jigdo = jigdo_of(places, Some(filled));
    let text = jigdo.to_text().unwrap_or_else(|_| {
        jigdo.images = vec![plain];
        jigdo.to_text().expect("plain words can be written")
    });
    let bytes =
        if case.compress_jigdo { jigdo_file::gzip(&text).expect("memory takes every write") } else { text.into() };
    let read = Jigdo::read(&*bytes).expect("a jigdo file that was just written");
    assert_eq!(read, jigdo, "another jigdo file came back");
    read
}
