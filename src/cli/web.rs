//! Whether commands that read sets fetch from the web.

use crate::set::{Fetch, Offline};
use crate::web::{Options, Web};

/// Whether files are fetched from the web.
#[derive(Debug, Clone, clap::Args)]
pub struct WebArgs {
    /// Do not fetch the jigdo files that sets include from the web. What only these name is unknown then.
    #[arg(long)]
    offline: bool,
}

impl WebArgs {
    /// What gets jigdo files from the web.
    pub fn fetch(&self) -> Box<dyn Fetch> {
        if self.offline { Box::new(Offline) } else { Box::new(Web::new(Options::default())) }
    }
}
