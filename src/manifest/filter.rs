//! Decides which files of a mirror are parts.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A mirror's `include` and `exclude` globs. Filters are equal if their patterns are.
#[derive(Debug, Clone)]
pub struct Filter {
    include: Patterns,
    exclude: Patterns,
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
        Ok(Self { include: Patterns::new(include)?, exclude: Patterns::new(exclude)? })
    }

    /// A filter that matches every file.
    pub fn everything() -> Self {
        let nothing = Patterns { text: Vec::new(), compiled: GlobSet::empty() };
        Self { include: nothing.clone(), exclude: nothing }
    }

    /// Whether the file at this path, relative to the mirror's, is a part.
    pub fn matches(&self, relative_path: &str) -> bool {
        let included = self.include.text.is_empty() || self.include.compiled.is_match(relative_path);
        included && !self.exclude.compiled.is_match(relative_path)
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
            set.add(GlobBuilder::new(pattern).literal_separator(true).build()?);
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
    fn a_broken_glob_is_an_error() {
        assert!(Filter::new(vec!["pool/[a".into()], vec![]).is_err());
    }
}
