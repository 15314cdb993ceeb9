//! What a run leaves out of the mirrors: counted by cause, with a few examples of each, for a few warnings in all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use jigdo::escaped_path;

use super::FileError;
use crate::progress::Progress;

/// Why something is left out. In the order in which warnings name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It was there when its directory was listed, and then it was not.
    Vanished,
    /// It is not what the walk saw, or changed while it was read.
    Changed,
    /// It cannot be opened, listed or read.
    Unreadable,
    /// A symbolic link whose target does not exist.
    LeadsNowhere,
    /// A jigdo file cannot carry its name.
    Unportable,
    /// Its path is too long for a line of a jigdo file.
    TooLong,
    /// A directory that too many paths of symbolic links lead to.
    TooManyWays,
}

impl Cause {
    /// The cause of an error of the file system.
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Vanished,
            _ => Self::Unreadable,
        }
    }

    /// What happened to one, or to several.
    fn what(self, count: u64) -> &'static str {
        let is_one = count == 1;
        match self {
            Self::Vanished if is_one => "file vanished",
            Self::Vanished => "files vanished",
            Self::Changed if is_one => "file changed",
            Self::Changed => "files changed",
            Self::Unreadable => "cannot be read",
            Self::LeadsNowhere if is_one => "symbolic link leads nowhere",
            Self::LeadsNowhere => "symbolic links lead nowhere",
            Self::Unportable if is_one => "name cannot be written in a jigdo file",
            Self::Unportable => "names cannot be written in a jigdo file",
            Self::TooLong if is_one => "path is too long for a jigdo file",
            Self::TooLong => "paths are too long for a jigdo file",
            Self::TooManyWays if is_one => "directory is reached by too many links, not all of which were tried",
            Self::TooManyWays => "directories are reached by too many links, not all of which were tried",
        }
    }
}

/// The causes that share a warning, with their remedy.
const WARNINGS: [(&[Cause], &str); 3] = [
    (&[Cause::Vanished, Cause::Changed], "run again once nothing updates the mirror"),
    (&[Cause::Unreadable], "check permissions and the disk"),
    (&[Cause::LeadsNowhere, Cause::Unportable, Cause::TooLong, Cause::TooManyWays], "correct this in the mirror"),
];

/// How many examples of a cause are named.
const EXAMPLES: usize = 3;

/// Everything that was left out.
#[derive(Debug, Clone, Default)]
pub struct LeftOut(BTreeMap<Cause, Group>);

#[derive(Debug, Clone, Default)]
struct Group {
    count: u64,
    /// The first ones in their order, so that they do not depend on that of threads.
    examples: BTreeSet<String>,
}

impl Group {
    fn add(&mut self, count: u64, examples: impl IntoIterator<Item = String>) {
        self.count += count;
        self.examples.extend(examples);
        while self.examples.len() > EXAMPLES {
            self.examples.pop_last();
        }
    }
}

impl LeftOut {
    /// Adds something; `detail` says more about the cause.
    pub fn add(&mut self, cause: Cause, path: &Path, detail: Option<&dyn std::fmt::Display>) {
        let mut example = shown(path);
        if let Some(detail) = detail {
            let _ = write!(example, ": {detail}");
        }
        self.0.entry(cause).or_default().add(1, [example]);
    }

    /// Adds what an error of the file system made unusable.
    pub fn add_error(&mut self, path: &Path, error: &io::Error) {
        match Cause::of(error) {
            Cause::Unreadable => self.add(Cause::Unreadable, path, Some(error)),
            cause => self.add(cause, path, None),
        }
    }

    /// Adds a file that cannot be used.
    pub fn add_file(&mut self, error: &FileError) {
        match error {
            FileError::Changed { path } => self.add(Cause::Changed, path, None),
            FileError::Io { path, source } => self.add_error(path, source),
        }
    }

    /// Adds everything of another.
    pub fn extend(&mut self, other: Self) {
        for (cause, group) in other.0 {
            self.0.entry(cause).or_default().add(group.count, group.examples);
        }
    }

    /// How many were left out for this cause.
    pub fn count(&self, cause: Cause) -> u64 {
        self.0.get(&cause).map_or(0, |group| group.count)
    }

    /// A warning for the causes that have the same remedy.
    fn warnings(&self) -> impl Iterator<Item = String> {
        WARNINGS.iter().filter_map(|(causes, remedy)| {
            let groups: Vec<String> = causes.iter().filter_map(|&cause| self.group(cause)).collect();
            (!groups.is_empty()).then(|| format!("left out: {}; {remedy}", groups.join("; ")))
        })
    }

    /// Reports all of it.
    pub fn warn(&self, progress: &dyn Progress) {
        self.warnings().for_each(|warning| progress.warn(&warning));
    }

    /// "60 files vanished (a, b, c and 57 more)".
    fn group(&self, cause: Cause) -> Option<String> {
        let Group { count, examples } = self.0.get(&cause)?;
        let named = examples.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match count - examples.len() as u64 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!("{count} {} ({named}{more})", cause.what(*count)))
    }
}

/// The path as a line of text, whatever its bytes are; only the beginning of one that is very long.
fn shown(path: &Path) -> String {
    const MOST: usize = 400;
    let text = escaped_path(path).to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_has_one_remedy_is_one_warning_with_counts_and_a_few_examples() {
        let mut left_out = LeftOut::default();
        for number in (0..60).rev() {
            let path = format!("/m/{number:02}").into();
            let source = Arc::new(io::Error::from(io::ErrorKind::NotFound));
            left_out.add_file(&FileError::Io { path, source });
        }
        left_out.add_file(&FileError::Changed { path: "/m/x".into() });
        let mut other = LeftOut::default();
        other.add_error(Path::new("/m/secret"), &io::Error::from_raw_os_error(libc::EACCES));
        other.add(Cause::Unportable, Path::new("/m/a\nb"), None);
        left_out.extend(other);
        assert_eq!(
            left_out.warnings().collect::<Vec<_>>(),
            [
                "left out: 60 files vanished (/m/00, /m/01, /m/02 and 57 more); 1 file changed (/m/x); \
                 run again once nothing updates the mirror",
                "left out: 1 cannot be read (/m/secret: Permission denied (os error 13)); check permissions and the disk",
                "left out: 1 name cannot be written in a jigdo file (/m/a\\nb); correct this in the mirror",
            ]
        );
        assert_eq!((left_out.count(Cause::Vanished), left_out.count(Cause::LeadsNowhere)), (60, 0));
    }

    #[test]
    fn nothing_left_out_is_no_warning() {
        assert_eq!(LeftOut::default().warnings().count(), 0);
    }
}
