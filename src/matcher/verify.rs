//! Verification: which of the parts that were assumed at an offset are really there.

use std::io;

use rayon::prelude::*;

use super::context::Context;
use super::view::ImageView;
use super::{Match, PartId, PartSum};
use crate::digest::Content;
use crate::file::{Bytes, Region};

/// Parts that may begin at one offset of the image, because a block there has their sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumption {
    /// The offset, in bytes.
    pub start: u64,
    /// By length, the shortest first; parts of equal length in the order of preference.
    pub candidates: Vec<(u64, Vec<PartId>)>,
}

impl Assumption {
    /// The offset after the longest candidate.
    pub fn end(&self) -> u64 {
        self.start + self.candidates.last().map_or(0, |(length, _)| *length)
    }
}

impl<B: Bytes + ?Sized> Context<'_, B> {
    /// For each assumption, the candidates that were proven, at most one of each length, the shortest first.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn verify(&self, assumptions: &[Assumption], view: &ImageView<'_, B>) -> io::Result<Vec<Vec<Match>>> {
        verify(self, assumptions, view)
    }
}

fn verify<B: Bytes + ?Sized>(
    context: &Context<'_, B>,
    assumptions: &[Assumption],
    view: &ImageView<'_, B>,
) -> io::Result<Vec<Vec<Match>>> {
    // Most assumptions are of one part. If its file has to be read, that happens while the region is hashed.
    let candidates = assumptions.iter().flat_map(|assumption| &assumption.candidates);
    let favourites: Vec<PartId> = candidates.filter_map(|(_, parts)| parts.first().copied()).collect();
    let sums = context.sums;
    sums.prefetch(&favourites);
    let regions = contents_of_regions(context, assumptions, view)?;
    let mut favourites = sums.sums(&favourites).into_iter();
    let mut verdicts = Vec::with_capacity(assumptions.len());
    for (assumption, regions) in assumptions.iter().zip(regions) {
        let mut matches = Vec::new();
        for ((length, parts), region) in assumption.candidates.iter().zip(regions) {
            let sum_if_equal =
                |sum: Option<PartSum>| sum.filter(|sum| sum.content == region).map(|PartSum { sum, .. }| sum);
            let favourite = sum_if_equal(favourites.next().flatten()).map(|sum| (parts[0], sum));
            let found = favourite.or_else(|| {
                let mut others = parts.iter().skip(1);
                others.find_map(|&part| Some((part, sum_if_equal(sums.sums(&[part]).pop().flatten())?)))
            });
            matches.extend(found.map(|(part, sum)| Match { start: assumption.start, length: *length, part, sum }));
        }
        verdicts.push(matches);
    }
    Ok(verdicts)
}

/// For each assumption, the content hashes of the image's bytes there, one for each length of its candidates.
fn contents_of_regions<B: Bytes + ?Sized>(
    context: &Context<'_, B>,
    assumptions: &[Assumption],
    view: &ImageView<'_, B>,
) -> io::Result<Vec<Vec<Content>>> {
    let region = |Assumption { start, candidates }: &Assumption| {
        let ends = candidates.iter().map(|(length, _)| start + length).collect();
        Region { start: *start, ends }
    };
    let regions: Vec<Region> = assumptions.iter().map(region).collect();
    let checksum = context.sums.checksum();
    let contents = view.image.contents(checksum, &regions)?;
    if contents.iter().all(Option::is_some) {
        return Ok(contents.into_iter().flatten().collect());
    }
    let hashed = |(Region { start, ends }, contents): (&Region, Option<Vec<Content>>)| match contents {
        Some(contents) => Ok(contents),
        None => {
            let bytes = view.bytes(*start..ends.last().copied().unwrap_or(*start))?;
            Ok(Content::of_beginnings(checksum, &bytes, ends.iter().map(|end| (end - start) as usize)))
        }
    };
    // One region may be as long as all others together: each is a task.
    context.work(|| regions.par_iter().with_max_len(1).zip(contents).map(hashed).collect())
}
