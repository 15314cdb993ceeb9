//! The names of a set's three files: usually one is given and the others are deduced.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use super::Error;

/// The name of standard input or output.
pub const STANDARD: &str = "-";

/// The files of a set. An empty name was neither given nor deduced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub image: PathBuf,
    pub jigdo: PathBuf,
    pub template: PathBuf,
}

impl Names {
    /// The given names. Empty ones are deduced from the first given name of a file, without its extension, unless that
    /// would be the same name again.
    pub fn deduce(image: &OsStr, jigdo: &OsStr, template: &OsStr) -> Self {
        let given = [image, jigdo, template];
        let known = given.into_iter().find(|name| !name.is_empty() && *name != STANDARD);
        let name = |given: &OsStr, extension: &str| {
            let Some(known) = known.filter(|_| given.is_empty()) else { return given.into() };
            let deduced = OsString::from_vec([without_extension(known.as_bytes()), extension.as_bytes()].concat());
            if deduced == known { PathBuf::new() } else { deduced.into() }
        };
        Self { image: name(image, ""), jigdo: name(jigdo, ".jigdo"), template: name(template, ".template") }
    }

    /// An error unless the image and the template have names.
    pub fn require(&self, command: &str) -> Result<(), Error> {
        require(command, &[("--image", &self.image), ("--template", &self.template)])
    }

    /// An error unless all three files have names.
    pub fn require_all(&self, command: &str) -> Result<(), Error> {
        require(command, &[("--image", &self.image), ("--jigdo", &self.jigdo), ("--template", &self.template)])
    }

    /// Where the half-assembled image is.
    pub fn tmp(&self) -> PathBuf {
        OsString::from_vec([self.image.as_os_str().as_bytes(), b".tmp"].concat()).into()
    }
}

fn require(command: &str, names: &[(&str, &PathBuf)]) -> Result<(), Error> {
    let missing: Vec<&str> =
        names.iter().filter(|(_, name)| name.as_os_str().is_empty()).map(|(option, _)| *option).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Error::Usage(format!(
            "{command} needs {}, which cannot be deduced from the other names",
            missing.join(" and ")
        ))),
    }
}

/// The path up to the last dot of its last component.
fn without_extension(path: &[u8]) -> &[u8] {
    let name = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let dot = path[name..].iter().rposition(|&byte| byte == b'.');
    dot.map_or(path, |dot| &path[..name + dot])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three names, separated by spaces.
    fn deduced(image: &str, jigdo: &str, template: &str) -> String {
        let names = Names::deduce(OsStr::new(image), OsStr::new(jigdo), OsStr::new(template));
        [names.image, names.jigdo, names.template].map(|name| name.display().to_string()).join(" ")
    }

    #[test]
    fn names_are_deduced_from_the_first_one_given() {
        for (given, names) in [
            (["foo", "", ""], "foo foo.jigdo foo.template"),
            (["a.b/foo.bar.iso", "", ""], "a.b/foo.bar.iso a.b/foo.bar.jigdo a.b/foo.bar.template"),
            (["a.b/foo", "", ""], "a.b/foo a.b/foo.jigdo a.b/foo.template"),
            (["", "foo.jigdo", ""], "foo foo.jigdo foo.template"),
            (["", "", "x/foo.template"], "x/foo x/foo.jigdo x/foo.template"),
            (["", "foo.jigdo", "bar.template"], "foo foo.jigdo bar.template"),
            (["foo.iso", "bar.jigdo", ""], "foo.iso bar.jigdo foo.template"),
            (["-", "", "foo.template"], "- foo.jigdo foo.template"),
            ([".foo", "", ""], ".foo .jigdo .template"),
        ] {
            assert_eq!(deduced(given[0], given[1], given[2]), names);
        }
    }

    #[test]
    fn a_name_that_would_be_the_given_one_is_not_deduced() {
        for (given, names) in [
            (["", "foo", ""], " foo foo.template"),
            (["", "foo", "bar.template"], " foo bar.template"),
            (["foo.jigdo", "", ""], "foo.jigdo  foo.template"),
            (["-", "", ""], "-  "),
            (["", "", ""], "  "),
        ] {
            assert_eq!(deduced(given[0], given[1], given[2]), names);
        }
    }
}
