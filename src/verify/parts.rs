//! The sums of many parts, side by side, each read once however many sets need it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use jigdo::template::{Area, Description, ImageEntry, MAX_LENGTH, Template};
use jigdo::{Checksum, Sum};

use crate::assemble::{Destination, Order, Part, Place, Reason, assemble_all};
use crate::progress::{Begin, Meter, Progress};

/// How many parts are read side by side.
const SIDE_BY_SIDE: usize = 16;

/// A part, and the places where it should be, the best first.
pub type Wanted = (Part, Vec<Place>);

/// What was found out about a part.
#[derive(Debug)]
pub struct Checked {
    /// Whether one of its places has it.
    pub is_right: bool,
    /// The places that have something else.
    pub refused: Vec<(Place, Reason)>,
}

/// Looks at the places of each of these parts, until one is right. Gives what was found out, in their order.
///
/// # Errors
/// There is no memory, or no thread.
pub fn check(
    wanted: &[Wanted],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Checked>, crate::assemble::Error> {
    let mut checked: Vec<Checked> = wanted.iter().map(|_| Checked { is_right: true, refused: Vec::new() }).collect();
    for layer in layers(wanted) {
        check_layer(wanted, &layer, threads, progress, &mut checked)?;
    }
    Ok(checked)
}

/// The numbers of the parts, in layers that have no part twice: sets may look for one at different places.
fn layers(wanted: &[Wanted]) -> Vec<HashMap<Part, usize>> {
    let mut layers: Vec<HashMap<Part, usize>> = Vec::new();
    for (number, (part, _)) in wanted.iter().enumerate() {
        match layers.iter_mut().find(|layer| !layer.contains_key(part)) {
            Some(layer) => {
                layer.insert(*part, number);
            }
            None => layers.push(HashMap::from([(*part, number)])),
        }
    }
    layers
}

fn check_layer(
    wanted: &[Wanted],
    layer: &HashMap<Part, usize>,
    threads: usize,
    progress: &dyn Progress,
    checked: &mut [Checked],
) -> Result<(), crate::assemble::Error> {
    let places = |part: &Part| layer.get(part).map_or_else(Vec::new, |&number| wanted[number].1.clone());
    let mut templates: Vec<_> = share_out(layer.keys().copied()).iter().map(|parts| template(parts)).collect();
    let order =
        |template| Order { name: String::new(), template, sources: vec![&places], destination: Destination::Nowhere };
    let orders = templates.iter_mut().map(order).collect();
    for report in assemble_all(orders, &[], threads, &Quiet(progress)) {
        let report = report?;
        for refused in report.refused {
            let found = &mut checked[layer[&refused.part]].refused;
            found.extend(refused.place.map(|place| (place, refused.reason)));
        }
        report.missing.iter().for_each(|missing| checked[layer[&missing.part]].is_right = false);
    }
    Ok(())
}

/// Shares parts out among as many images as are summed side by side, all of about the same length. Each has parts of
/// one kind.
fn share_out(parts: impl Iterator<Item = Part>) -> Vec<Vec<Part>> {
    let mut by_kind: BTreeMap<(Checksum, Option<u32>), Vec<Part>> = BTreeMap::new();
    for part in parts {
        by_kind.entry((part.sum.checksum(), part.first_block.map(|block| block.length))).or_default().push(part);
    }
    let mut shares = Vec::new();
    for (_, mut parts) in by_kind {
        // The longest first, each to the image that is the shortest by then.
        parts.sort_unstable_by_key(|part| (std::cmp::Reverse(part.length), part.sum));
        let mut images: Vec<(u64, Vec<Part>)> = (0..SIDE_BY_SIDE.min(parts.len())).map(|_| (0, Vec::new())).collect();
        for part in parts {
            let shortest = images.iter_mut().min_by_key(|(length, _)| *length);
            match shortest.filter(|(length, _)| *length + part.length <= MAX_LENGTH) {
                Some((length, image)) => {
                    *length += part.length;
                    image.push(part);
                }
                None => images.push((part.length, vec![part])),
            }
        }
        shares.extend(images.into_iter().map(|(_, parts)| parts));
    }
    shares
}

/// The template of an image that is nothing but these parts. That image's sum is of no interest.
fn template(parts: &[Part]) -> Template<io::Empty> {
    let checksum = parts.first().map_or(Checksum::Md5, |part| part.sum.checksum());
    let block_length = parts.first().and_then(|part| part.first_block).map(|block| block.length);
    let area = |part: &Part| {
        let rsync64 = part.first_block.map(|block| block.rsync64);
        Area::Part { length: part.length, rsync64, sum: part.sum }
    };
    let length = parts.iter().map(|part| part.length).sum();
    let image = ImageEntry { length, sum: Sum::of(checksum, b""), block_length };
    Template::without_data(Description { areas: parts.iter().map(area).collect(), image })
}

/// Passes on how far the work is, but neither what is only a share of it, nor what is said in the end.
struct Quiet<'a>(&'a dyn Progress);

impl Progress for Quiet<'_> {
    fn begin<'a>(&'a self, task: &Begin<'_>) -> Arc<dyn Meter + 'a> {
        let name = if task.is_child { "parts" } else { task.name };
        Arc::new(Mute(self.0.begin(&Begin { name, ..*task })))
    }

    fn note(&self, _: &str) {}

    fn warn(&self, _: &str) {}
}

/// A task of which is not said how it went.
struct Mute<'a>(Arc<dyn Meter + 'a>);

impl Meter for Mute<'_> {
    fn advance(&self, by: u64) {
        self.0.advance(by);
    }

    fn skip(&self, by: u64) {
        self.0.skip(by);
    }

    fn child_ended(&self) {
        self.0.child_ended();
    }

    fn end(&self, _: &str) {
        self.0.end("");
    }
}
