//! Labels: they stand in a jigdo file for the directories in which files were found.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use jigdo::bstr::{BStr, BString, ByteSlice as _};
use jigdo::jigdo_file::quote_simply;

use super::Error;
use super::options::Options;

/// The labels of directories, given by `--label` or generated when needed.
pub struct Labels {
    /// Directories, with a slash at the end, and their labels.
    given: Vec<(OsString, BString)>,
    uris: Vec<(BString, BString)>,
    generated: HashMap<OsString, BString>,
    /// Labels that are already used.
    taken: BTreeSet<BString>,
    /// How many labels were generated so far, including those that were taken.
    count: usize,
}

impl Labels {
    /// The labels that the options give. Those in `taken` are never generated.
    pub fn new(options: &Options, mut taken: BTreeSet<BString>) -> Result<Self, Error> {
        let mut given = Vec::new();
        for text in &options.labels {
            let (label, path) = split("--label", text)?;
            let mut path = path.to_owned();
            if !path.is_empty() && !path.as_bytes().ends_with(b"/") {
                path.push("/");
            }
            taken.insert(label.to_owned());
            given.push((path, label.to_owned()));
        }
        let uri = |text: &OsString| {
            let (label, uri) = split("--uri", text)?;
            Ok::<_, Error>((label.to_owned(), uri.as_bytes().into()))
        };
        let uris = options.uris.iter().map(uri).collect::<Result<_, _>>()?;
        Ok(Self { given, uris, generated: HashMap::new(), taken, count: 0 })
    }

    /// The label that the options give a directory.
    pub fn given(&self, root: &OsStr) -> Option<&BStr> {
        let given = self.given.iter().find(|(path, label)| path == root && !label.is_empty());
        given.map(|(_, label)| label.as_bstr())
    }

    /// The label of a directory.
    pub fn label(&mut self, root: &OsStr) -> BString {
        if let Some(label) = self.given(root).or_else(|| self.generated.get(root).map(|label| label.as_bstr())) {
            return label.to_owned();
        }
        let label = loop {
            let label = BString::from(generate(self.count));
            self.count += 1;
            if !self.taken.contains(&label) {
                break label;
            }
        };
        self.generated.insert(root.to_owned(), label.clone());
        label
    }

    /// What a directory's label stands for, as written into a jigdo file: the first `--uri` of a given label, else the
    /// directory itself.
    pub fn server(&self, root: &OsStr) -> BString {
        let uri = self.given(root).and_then(|label| self.uris.iter().find(|(of, _)| of == label));
        if let Some((_, uri)) = uri {
            return uri.clone();
        }
        quote_simply(&[b"file:", root.as_bytes()].concat())
    }
}

/// `Label=value`.
fn split<'a>(option: &str, text: &'a OsStr) -> Result<(&'a BStr, &'a OsStr), Error> {
    let parts = text.as_bytes().split_once_str("=");
    let parts = parts.map(|(label, value)| (BStr::new(label), OsStr::from_bytes(value)));
    parts.ok_or_else(|| Error::Usage(format!("{option} needs Label=value, not {text:?}")))
}

/// The label that is generated after `count` others: A to Z, then AA, BA and so on; the first letter changes fastest.
fn generate(mut count: usize) -> String {
    let mut label = String::new();
    loop {
        label.push(char::from(b'A' + (count % 26) as u8));
        match count / 26 {
            0 => return label,
            rest => count = rest - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(arguments: &[&str], taken: &[&str]) -> Labels {
        let options = Options::parse(arguments.iter().map(OsString::from)).unwrap();
        Labels::new(&options, taken.iter().map(|label| BString::from(*label)).collect()).unwrap()
    }

    #[test]
    fn labels_are_generated_in_the_order_in_which_they_are_needed() {
        let mut labels = labels(&["--label", "B=two"], &["C"]);
        let roots: Vec<String> = ["one/", "two/", "three/", "four/", "one/"].map(str::to_owned).into();
        let found: Vec<_> = roots.iter().map(|root| labels.label(OsStr::new(root))).collect();
        assert_eq!(found, ["A", "B", "D", "E", "A"]);
        let names: Vec<_> = [25, 26, 27, 51, 52, 700, 702].map(generate).into();
        assert_eq!(names, ["Z", "AA", "BA", "ZA", "AB", "YZ", "AAA"]);
    }

    #[test]
    fn a_label_stands_for_its_uri_or_its_directory() {
        let labels = labels(
            &["--label=A=x/", "--uri=A='http://a b/' --try-last", "--uri=A=http://b/", "--uri=B=http://no/"],
            &[],
        );
        assert_eq!(labels.server(OsStr::new("x/")), "'http://a b/' --try-last");
        assert_eq!(labels.server(OsStr::new("sp ace/")), "'file:sp ace/'");
        assert_eq!(labels.server(OsStr::new("")), "file:");
        assert_eq!(labels.server(OsStr::from_bytes(b"K\xe4se/")), &b"file:K\xe4se/"[..]);
    }

    #[test]
    fn what_has_no_equals_sign_is_refused() {
        for option in ["--label=x", "--uri=x"] {
            let options = Options::parse([OsString::from(option)]).unwrap();
            assert!(Labels::new(&options, BTreeSet::new()).is_err(), "{option}");
        }
    }
}
