//! Jigdo files that have been read, and the images of them that are wanted.

use jigdo::escaped_path;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::super::source::{LabelError, LabelTrees, Trees};
use super::{Error, Job, Options, OrReport, Wanted};
use crate::set::{self, Images, Set};

/// A jigdo file that has been read. Its images share where its parts are.
struct Opened {
    images: Images,
    labels: OnceLock<Result<Arc<LabelTrees>, LabelError>>,
}

/// An image of a jigdo file that is wanted.
pub(super) struct Request {
    opened: Arc<Opened>,
    number: usize,
    template: Option<PathBuf>,
    /// The directory for the image.
    pub directory: PathBuf,
}

/// Reads the jigdo file of a job. Returns a request for each image that is wanted, or a report of why there is none.
pub(super) fn open(job: &Job, options: &Options<'_>) -> Vec<OrReport<Request>> {
    read(job, options).unwrap_or_else(|error| vec![Err(error.report(&job.set))])
}

fn read(job: &Job, options: &Options<'_>) -> Result<Vec<OrReport<Request>>, Error> {
    let images = Images::read(&job.set, options.fetch)?;
    for left_out in &images.not_included {
        let what = format!("{}: {left_out}", escaped_path(&job.set));
        options.progress.warn(&what);
    }
    let numbers = match &job.images {
        Wanted::All => (0..images.count()).collect(),
        Wanted::Numbers(numbers) => numbers.clone(),
        Wanted::Named(name) => vec![images.named(name)?],
    };
    if job.template.is_some() && numbers.len() > 1 {
        // The error names the images.
        images.only()?;
    }
    let opened = Arc::new(Opened { images, labels: OnceLock::new() });
    let request = |number| {
        let beside = job.templates.as_ref().and_then(|templates| opened.images.template_in(number, templates));
        Ok(Request {
            opened: Arc::clone(&opened),
            number,
            template: job.template.clone().or(beside),
            directory: job.directory.clone(),
        })
    };
    Ok(numbers.into_iter().map(request).collect())
}

impl Request {
    /// The jigdo file's path.
    pub fn path(&self) -> &Path {
        self.opened.images.path()
    }

    /// Where the image goes, if it can have its name.
    pub fn image(&self) -> Option<PathBuf> {
        self.opened.images.name(self.number).map(|name| self.directory.join(name))
    }

    /// The image's set.
    ///
    /// # Errors
    /// As for [`Images::set`].
    pub fn set(&self) -> Result<Set, set::Error> {
        self.opened.images.set(self.number, self.template.as_deref())
    }

    /// Where the jigdo file's parts are.
    ///
    /// # Errors
    /// As for [`LabelTrees::new`].
    pub fn labels(&self, trees: &Trees) -> Result<Arc<LabelTrees>, LabelError> {
        let Opened { images, labels } = &*self.opened;
        labels.get_or_init(|| LabelTrees::of_images(images, trees).map(Arc::new)).clone()
    }
}
