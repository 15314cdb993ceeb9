//! Decides which files of a mirror are parts.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use globset::{GlobSet, GlobSetBuilder};

use super::glob;

/// A mirror's `include` and `exclude` globs. Filters are equal if their patterns are.
#[derive(Debug, Clone)]
pub struct Filter {
    include: Patterns,
    exclude: Patterns,
    /// Those patterns of `exclude` that end in `/**`, without that: they match directories.
    excluded_directories: GlobSet,
}

#[derive(Debug, Clone)]
struct Patterns {
    text: Vec<String>,
    compiled: GlobSet,
}

impl Filter {
    /// A filter from its patterns. An empty `include` means every file.
    ///
    /// # Errors
    /// When a pattern is not a glob.
    pub fn new(include: Vec<String>, exclude: Vec<String>) -> Result<Self, globset::Error> {
        let directories = exclude.iter().filter_map(|pattern| pattern.strip_suffix("/**")).map(str::to_owned);
        let excluded_directories = Patterns::new(directories.collect())?.compiled;
        Ok(Self { include: Patterns::new(include)?, exclude: Patterns::new(exclude)?, excluded_directories })
    }

    /// A filter that matches every file.
    pub fn everything() -> Self {
        let nothing = Patterns { text: Vec::new(), compiled: GlobSet::empty() };
        Self { include: nothing.clone(), exclude: nothing, excluded_directories: GlobSet::empty() }
    }

    /// Whether the file at this path, relative to the mirror's, is a part.
    pub fn matches(&self, relative_path: impl AsRef<[u8]>) -> bool {
        let path = OsStr::from_bytes(relative_path.as_ref());
        let included = self.include.text.is_empty() || self.include.compiled.is_match(path);
        included && !self.exclude.compiled.is_match(path)
    }

    /// Whether no file below the directory at this path, relative to the mirror's, can be a part: a pattern excludes all of
    /// them, or they begin like no pattern of `include`. The directory need not be looked into.
    pub fn rejects_all_below(&self, relative_path: impl AsRef<[u8]>) -> bool {
        let directory = relative_path.as_ref();
        let may_be_included = |pattern: &String| {
            let end = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
            let beginning = &pattern.as_bytes()[..end];
            match beginning.strip_prefix(directory) {
                Some(rest) => rest.is_empty() || rest.starts_with(b"/"),
                None => directory.strip_prefix(beginning).is_some(),
            }
        };
        let included = self.include.text.is_empty() || self.include.text.iter().any(may_be_included);
        !included || self.excluded_directories.is_match(OsStr::from_bytes(directory))
    }

    /// The patterns of `include`, with variables replaced. An empty list means every file.
    pub fn include(&self) -> &[String] {
        &self.include.text
    }

    /// The patterns of `exclude`, with variables replaced.
    pub fn exclude(&self) -> &[String] {
        &self.exclude.text
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.include.text == other.include.text && self.exclude.text == other.exclude.text
    }
}

impl Eq for Filter {}

impl Patterns {
    fn new(text: Vec<String>) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for pattern in &text {
            set.add(glob::builder(pattern).build()?);
        }
        Ok(Self { compiled: set.build()?, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let owned = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        Filter::new(owned(include), owned(exclude)).unwrap()
    }

    #[test]
    fn everything_is_a_part_by_default() {
        assert!(filter(&[], &[]).matches("pool/a.deb"));
    }

    #[test]
    fn only_what_is_included_and_not_excluded_is_a_part() {
        let filter = filter(&["pool/**", "dists/**"], &["**/Release*"]);
        assert!(filter.matches("pool/main/a/a.deb"));
        assert!(filter.matches("dists/stable/main/Packages.gz"));
        assert!(!filter.matches("dists/stable/Release.gpg"));
        assert!(!filter.matches("doc/README"));
    }

    #[test]
    fn stars_stop_at_slashes() {
        let filter = filter(&["pool/*.{deb,udeb}"], &[]);
        assert!(filter.matches("pool/a.udeb"));
        assert!(!filter.matches("pool/main/a.deb"));
    }

    #[test]
    fn names_that_are_not_utf_8_are_matched_too() {
        let filter = filter(&["pool/*.deb"], &["pool/x*"]);
        assert!(filter.matches(b"pool/lat\xedn.deb") && !filter.matches(b"pool/x\xed.deb"));
    }

    #[test]
    fn a_directory_of_which_everything_is_excluded_need_not_be_looked_into() {
        let filter = filter(&[], &["secret/**", "**/old/**", "pool/*.udeb"]);
        for directory in ["secret", "old", "pool/main/old"] {
            assert!(filter.rejects_all_below(directory), "{directory}");
        }
        for directory in ["pool", "secrets", "pool/secret", "older"] {
            assert!(!filter.rejects_all_below(directory), "{directory}");
        }
    }

    #[test]
    fn a_directory_below_which_nothing_is_included_need_not_be_looked_into() {
        let chosen = filter(&["dists/testing/**", "pool/ma[ij]n/x", "doc/FAQ", "b*"], &[]);
        for directory in ["dists", "dists/testing", "dists/testing/main", "pool", "pool/main", "pool/ma", "doc", "boot"]
        {
            assert!(!chosen.rejects_all_below(directory), "{directory}");
        }
        for directory in ["dist", "dists/test", "dists/stable", "pool/contrib", "do", "doc/x", "x"] {
            assert!(chosen.rejects_all_below(directory), "{directory}");
        }
        assert!(!filter(&["**/x"], &[]).rejects_all_below("any/where"));
    }

    #[test]
    fn a_broken_glob_is_an_error() {
        assert!(Filter::new(vec!["pool/[a".into()], vec![]).is_err());
    }
}
