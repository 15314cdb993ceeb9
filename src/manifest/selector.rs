//! Selects part of a release, for `--only`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use globset::GlobMatcher;

use super::expand::Variables;
use super::glob;
use super::problem::{Problems, did_you_mean};

/// `arch=amd64` selects the combinations with this value of the matrix variable, `image=GLOB` the images whose file name or
/// path matches. Of several selectors for one variable, any may match; those for different variables must all match.
#[derive(Debug, Clone)]
pub enum Selector {
    /// The combinations of the matrix that have this value.
    Variable {
        /// The matrix variable's name.
        name: String,
        /// Its value.
        value: String,
    },
    /// The images whose file name, path, or last components of the path match.
    Image(ImageGlob),
}

/// A glob for images.
#[derive(Debug, Clone)]
pub struct ImageGlob {
    text: String,
    /// For file names and whole paths.
    whole: GlobMatcher,
    /// For the end of a path, where a component begins.
    end: GlobMatcher,
}

impl ImageGlob {
    fn new(text: &str) -> Result<Self, globset::Error> {
        let end = glob::compile(&format!("**/{}", text.trim_start_matches('/')))?;
        Ok(Self { text: text.to_owned(), whole: glob::compile(text)?, end })
    }

    fn matches(&self, path: &Path) -> bool {
        self.whole.is_match(path) || (!self.text.starts_with('/') && self.end.is_match(path))
    }
}

/// Why a text is not a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum SelectorError {
    #[error("expected VARIABLE=VALUE or image=GLOB, as in arch=amd64")]
    NoValue,
    #[error("{}", glob::not_a_glob(.0))]
    Glob(#[from] globset::Error),
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        match text.split_once('=') {
            Some(("image", glob)) if !glob.is_empty() => Ok(Self::Image(ImageGlob::new(glob)?)),
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                Ok(Self::Variable { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err(SelectorError::NoValue),
        }
    }
}

/// As typed.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name, value } => write!(f, "{name}={value}"),
            Self::Image(glob) => write!(f, "image={}", glob.text),
        }
    }
}

/// All selectors of a run. Remembers what they matched, to report those that select nothing.
pub(super) struct Selectors<'a> {
    selectors: &'a [Selector],
    /// Every matrix variable with its values.
    seen: BTreeMap<String, BTreeSet<String>>,
    some_combination: bool,
    /// For each selector, whether it is a glob that has matched an image.
    matched: Vec<bool>,
}

impl<'a> Selectors<'a> {
    pub fn new(selectors: &'a [Selector]) -> Self {
        Self { selectors, seen: BTreeMap::new(), some_combination: false, matched: vec![false; selectors.len()] }
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.selectors.is_empty()
    }

    /// Whether images are selected by name, so that an entry without any is not a mistake.
    pub fn is_by_image(&self) -> bool {
        self.selectors.iter().any(|selector| matches!(selector, Selector::Image(_)))
    }

    /// Whether this combination of a matrix is selected.
    pub fn combination(&mut self, combination: &Variables) -> bool {
        for (name, value) in combination {
            self.seen.entry(name.clone()).or_default().insert(value.clone());
        }
        let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for selector in self.selectors {
            if let Selector::Variable { name, value } = selector {
                wanted.entry(name).or_default().insert(value);
            }
        }
        let selected = wanted
            .iter()
            .all(|(name, values)| combination.get(*name).is_some_and(|value| values.contains(value.as_str())));
        self.some_combination |= selected;
        selected
    }

    /// Whether this image of a selected combination is selected.
    pub fn image(&mut self, path: &Path) -> bool {
        let mut selected = !self.is_by_image();
        for (selector, matched) in self.selectors.iter().zip(&mut self.matched) {
            if let Selector::Image(glob) = selector
                && glob.matches(path)
            {
                *matched = true;
                selected = true;
            }
        }
        selected
    }

    /// Reports the selectors that selected nothing. Call this after all images were checked.
    pub fn finish(&self, problems: &mut Problems) {
        let mut all_known = true;
        for (selector, matched) in self.selectors.iter().zip(&self.matched) {
            let mistake = match selector {
                Selector::Variable { name, value } => match self.seen.get(name) {
                    None => {
                        let hint = did_you_mean(name, self.seen.keys().map(String::as_str));
                        Some(format!("no matrix has the variable \"{name}\"{hint}"))
                    }
                    Some(values) if !values.contains(value) => {
                        let hint = did_you_mean(value, values.iter().map(String::as_str));
                        Some(format!("no image entry has this value{hint}"))
                    }
                    Some(_) => None,
                },
                Selector::Image(_) if !matched && self.some_combination => Some("no image matches".to_owned()),
                Selector::Image(_) => None,
            };
            if let Some(mistake) = mistake {
                all_known = false;
                problems.add(None, format!("--only {selector}: {mistake}"));
            }
        }
        if all_known && !self.selectors.is_empty() && !self.some_combination {
            let all: Vec<_> = self.selectors.iter().map(|selector| format!("--only {selector}")).collect();
            problems.add(None, format!("{}: no combination has all of these", all.join(" ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_as_they_are_typed() {
        for text in ["arch=amd64", "image=*-DVD-*.iso", "point=1=2"] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_selector_needs_a_name_and_a_value() {
        for text in ["", "arch", "=amd64", "arch=", "image="] {
            assert_eq!(text.parse::<Selector>().unwrap_err(), SelectorError::NoValue, "{text}");
        }
        assert!(matches!("image=[a".parse::<Selector>(), Err(SelectorError::Glob(_))));
    }
}
