//! What the core reports while it works. The terminal is one listener, a log another, tests a third.

/// Takes what the core reports. Calls come from many threads.
pub trait Progress: Sync {
    /// Something happened.
    fn report(&self, event: Event<'_>);
}

/// What can happen. Sizes are in bytes; an image is named by its index in the run.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The walk of mirror trees has found this many files so far.
    MirrorWalked { files: u64 },
    /// The walk is over; this many files must be opened, because the index does not know them as they are.
    MirrorToRead { files: u64 },
    /// One more of these files has been looked at.
    MirrorRead,
    /// The index is up to date.
    MirrorDone { files: u64, bytes: u64 },
    /// Work on the images begins; this is how long they are together.
    BatchStarted { bytes: u64 },
    /// Work on an image begins.
    ImageStarted { image: usize, name: &'a str, bytes: u64 },
    /// The image has been processed up to this offset.
    ImageAdvanced { image: usize, offset: u64 },
    /// Work on the image is over, well or not; how it went, in words, if there is anything to say.
    ImageDone { image: usize, name: &'a str, summary: &'a str },
    /// Work on all images is over.
    BatchDone,
    /// Something that was found, for whoever wants to see the work go on.
    Note(&'a str),
    /// Servers are asked for so many files.
    PartsToCheck { parts: u64 },
    /// One more of these has been answered.
    PartChecked,
    /// All are.
    CheckDone,
    /// Something that the person should know, and that does not stop the run.
    Warning(&'a str),
}

/// Listens to nothing.
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _: Event<'_>) {}
}
