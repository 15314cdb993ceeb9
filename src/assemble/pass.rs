//! One pass over an image: one thread fills windows while others sum and write the full ones.

use std::io::{Read, Seek};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::Builder;

use jigdo::Sum;
use jigdo::template::Template;

use super::Error;
use super::fill::{Filler, Refused, Visit};
use super::image_output::Output;
use super::part::Reason;
use super::plan::{Plan, What};
use super::summing::{ImageSums, Summed};
use super::window::{Pool, Windows};
use crate::progress::{Progress, Task};
use crate::summing::Engine;

/// What all images share during a run.
pub(super) struct Shared<'a> {
    pub engine: Engine,
    pub pool: Arc<Pool>,
    pub progress: &'a dyn Progress,
}

/// The result of a pass.
pub(super) struct PassResult {
    /// The sum of the image, if the pass covered all of it.
    pub image: Option<Sum>,
    /// Places whose bytes were wrong.
    pub refused: Vec<Refused>,
    /// The indices of the areas that were wrong.
    pub wrong: Vec<usize>,
}

/// Makes a pass over an image, reports it to `task`, and records in `plan` what was written.
pub(super) fn pass<R: Read + Seek>(
    task: &Task<'_>,
    plan: &mut Plan,
    template: &mut Template<R>,
    output: &Output<'_>,
    visit: Visit,
    shared: &Shared<'_>,
) -> Result<PassResult, Error> {
    let expected = plan.areas.iter().map(|area| match area.what {
        What::Part { number, .. } => Some(plan.parts[number].part.sum),
        What::Unmatched => None,
    });
    let with_image = visit != Visit::Needed;
    let mut sums = ImageSums::new(&shared.engine, plan.image.sum.checksum(), expected.collect(), with_image);
    let next = Windows::new(&shared.pool);
    let mut filler = Filler::new(plan, output, template.unmatched(), visit);
    std::thread::scope(|threads| {
        let (to_write, windows) = sync_channel::<Arc<_>>(1);
        let write = move || windows.into_iter().try_for_each(|window| output.write(&window));
        let writer = Builder::new().spawn_scoped(threads, write).map_err(Error::Threads)?;
        loop {
            let mut window = next.next().map_err(Error::Memory)?;
            if !filler.fill(&mut window)? {
                break;
            }
            let offset = window.segments.last().map_or(0, |segment| segment.offset + segment.at.len() as u64);
            let window = Arc::new(window);
            sums.push(&window);
            // The writer has failed; its error is returned below.
            if to_write.send(window).is_err() {
                break;
            }
            task.advance_to(offset);
        }
        drop(to_write);
        writer.join().expect("writing does not panic")
    })?;
    let mut refused = filler.refused();
    let Summed { image, wrong } = sums.finish();
    let areas: Vec<usize> = wrong.iter().map(|wrong| wrong.area).collect();
    for ((area, place), wrong) in plan.settle(&areas).into_iter().zip(wrong) {
        if let What::Part { number, .. } = plan.areas[area].what {
            let (part, offset) = (plan.parts[number].part, plan.areas[area].offset);
            refused.push(Refused { part, offset, place, reason: Reason::Sum { found: wrong.found } });
        }
    }
    Ok(PassResult { image, refused, wrong: areas })
}
