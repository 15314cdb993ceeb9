//! A server's answer about a file, and what it means for a part.

use std::time::Duration;

use jigdo::Sum;

use super::plan::Need;

/// The result of asking for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is there.
    There {
        /// In bytes; `None` if the server does not say.
        length: Option<u64>,
        /// Sums of the bytes, if they were fetched.
        sums: Vec<Sum>,
        /// The time until the server answered.
        latency: Duration,
    },
    /// The server says that it is not there.
    Missing,
    /// Whether it is there is not known, for this reason.
    Failed(String),
}

/// What an answer means for a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Found,
    Missing,
    WrongLength,
    WrongSum,
    Failed,
}

impl Answer {
    /// Whether the file is the part that is needed. Where sums were computed, the length is checked with them.
    pub fn meaning(&self, need: &Need) -> Meaning {
        match self {
            Self::Missing => Meaning::Missing,
            Self::Failed(_) => Meaning::Failed,
            Self::There { length, .. } if differ(*length, need.length) => Meaning::WrongLength,
            Self::There { sums, .. } if !sums.is_empty() && !sums.contains(&need.sum) => Meaning::WrongSum,
            Self::There { .. } => Meaning::Found,
        }
    }
}

fn differ(found: Option<u64>, expected: Option<u64>) -> bool {
    found.zip(expected).is_some_and(|(found, expected)| found != expected)
}
