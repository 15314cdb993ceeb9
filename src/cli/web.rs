//! The option that keeps commands that read sets off the web.

use crate::set::{Fetch, Offline};
use crate::web::{Options, Web};

/// Whether files are fetched from the web.
#[derive(Debug, Clone, clap::Args)]
pub struct WebArgs {
    /// Do not fetch jigdo files that sets include from the web. Parts and servers that only these name stay unknown.
    #[arg(long)]
    offline: bool,
}

impl WebArgs {
    /// What fetches jigdo files from the web.
    pub fn fetch(&self) -> Box<dyn Fetch> {
        if self.offline { Box::new(Offline) } else { Box::new(Web::new(Options::default())) }
    }
}
