//! The command line: parses options, which may stand anywhere, and fills in defaults.
//!
//! The syntax is that of `getopt_long`, which scripts rely on: a long name may be abbreviated while it stays unique, short
//! options may be bundled, `--` ends the options.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use jigdo::Checksum;
use jigdo::template::Compression;

use super::{Error, values};

/// The command to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    MakeTemplate,
    MakeImage,
    PrintMissing,
    PrintMissingAll,
    Verify,
    Scan,
    ListTemplate,
    Sum(Checksum),
}

/// The commands with their long and short names.
const COMMANDS: [(Command, &str, &str); 9] = [
    (Command::MakeTemplate, "make-template", "mt"),
    (Command::MakeImage, "make-image", "mi"),
    (Command::PrintMissing, "print-missing", "pm"),
    (Command::PrintMissingAll, "print-missing-all", "pma"),
    (Command::Verify, "verify", "ver"),
    (Command::Scan, "scan", "sc"),
    (Command::ListTemplate, "list-template", "ls"),
    (Command::Sum(Checksum::Md5), "md5sum", "md5"),
    (Command::Sum(Checksum::Sha256), "sha256sum", "sha256"),
];

impl Command {
    fn parse(name: &OsStr) -> Result<Self, Error> {
        let known = COMMANDS.iter().find(|(_, long, short)| name == *long || name == *short);
        known.map(|&(command, ..)| command).ok_or_else(|| {
            let names: Vec<_> = COMMANDS.iter().flat_map(|(_, long, short)| [*long, *short]).collect();
            let name = name.to_string_lossy();
            Error::Usage(format!("unknown command {name:?}; the commands are {}", names.join(", ")))
        })
    }
}

/// What to print, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// Everything, with progress bars on a terminal.
    Default,
    /// The same without the bars.
    NoProgress,
    /// Errors and warnings only.
    Quiet,
    /// Errors and warnings; matches are printed for other programs.
    Grep,
}

/// Information to print instead of running a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Information {
    pub version: bool,
    pub help: bool,
    /// The help with all options.
    pub help_all: bool,
    pub debug: bool,
}

/// The command line, with every default filled in.
#[derive(Debug, Clone)]
pub struct Options {
    pub information: Information,
    /// The first argument that is not an option.
    command: Option<OsString>,
    pub files: Vec<OsString>,
    pub files_from: Vec<PathBuf>,
    pub image: OsString,
    pub jigdo: OsString,
    pub template: OsString,
    pub merge: Option<PathBuf>,
    pub report: Report,
    pub force: bool,
    pub cache: Option<PathBuf>,
    /// In seconds; 0: never.
    pub cache_expiry: u64,
    pub checksum: Checksum,
    pub hex: bool,
    /// Whether to print the deduced names.
    pub debug: bool,
    /// As given: `Label=path`.
    pub labels: Vec<OsString>,
    /// As given: `Label=URI`.
    pub uris: Vec<OsString>,
    pub compression: Compression,
    pub level: u8,
    /// In bytes.
    pub min_length: u64,
    pub image_section: bool,
    pub servers_section: bool,
    /// Empty: none.
    pub match_exec: OsString,
    pub check_files: bool,
    pub scan_whole_file: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            information: Information::default(),
            command: None,
            files: Vec::new(),
            files_from: Vec::new(),
            image: OsString::new(),
            jigdo: OsString::new(),
            template: OsString::new(),
            merge: None,
            report: Report::Default,
            force: false,
            cache: None,
            cache_expiry: 30 * 24 * 60 * 60,
            checksum: Checksum::Md5,
            hex: false,
            debug: false,
            labels: Vec::new(),
            uris: Vec::new(),
            compression: Compression::Gzip,
            level: 9,
            min_length: 1024,
            image_section: true,
            servers_section: true,
            match_exec: OsString::new(),
            check_files: true,
            scan_whole_file: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Argument {
    None,
    Required,
    Optional,
}

/// What an option sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sets {
    Image,
    Jigdo,
    Template,
    Merge,
    Report,
    Force(bool),
    Cache,
    NoCache,
    CacheExpiry,
    Checksum,
    FilesFrom,
    Hex(bool),
    Debug,
    NoDebug,
    Label,
    Uri,
    Compression(Compression),
    Level(u8),
    MinLength,
    ImageSection(bool),
    ServersSection(bool),
    MatchExec,
    CheckFiles(bool),
    ScanWholeFile(bool),
    /// A number of bytes that configures jigdo-file's internals, and has no effect here.
    Bytes,
    /// Nothing: there is no such choice here.
    Nothing,
    Help,
    HelpAll,
    Version,
}

/// All options with a long name: the long name, the short one, the kind of argument, and what the option sets.
const OPTIONS: &[(&str, Option<u8>, Argument, Sets)] = &[
    ("image", Some(b'i'), Argument::Required, Sets::Image),
    ("jigdo", Some(b'j'), Argument::Required, Sets::Jigdo),
    ("template", Some(b't'), Argument::Required, Sets::Template),
    ("report", Some(b'r'), Argument::Required, Sets::Report),
    ("force", Some(b'f'), Argument::None, Sets::Force(true)),
    ("no-force", None, Argument::None, Sets::Force(false)),
    ("cache", Some(b'c'), Argument::Required, Sets::Cache),
    ("no-cache", None, Argument::None, Sets::NoCache),
    ("cache-expiry", None, Argument::Required, Sets::CacheExpiry),
    ("readbuffer", None, Argument::Required, Sets::Bytes),
    ("checksum-algorithm", Some(b'C'), Argument::Required, Sets::Checksum),
    ("checksum-block-size", None, Argument::Required, Sets::Bytes),
    ("md5-block-size", None, Argument::Required, Sets::Bytes),
    ("files-from", Some(b'T'), Argument::Required, Sets::FilesFrom),
    ("hex", None, Argument::None, Sets::Hex(true)),
    ("no-hex", None, Argument::None, Sets::Hex(false)),
    ("debug", None, Argument::Optional, Sets::Debug),
    ("no-debug", None, Argument::None, Sets::NoDebug),
    ("label", None, Argument::Required, Sets::Label),
    ("uri", None, Argument::Required, Sets::Uri),
    ("gzip", None, Argument::None, Sets::Compression(Compression::Gzip)),
    ("bzip2", None, Argument::None, Sets::Compression(Compression::Bzip2)),
    ("min-length", None, Argument::Required, Sets::MinLength),
    ("merge", None, Argument::Required, Sets::Merge),
    ("image-section", None, Argument::None, Sets::ImageSection(true)),
    ("no-image-section", None, Argument::None, Sets::ImageSection(false)),
    ("servers-section", None, Argument::None, Sets::ServersSection(true)),
    ("no-servers-section", None, Argument::None, Sets::ServersSection(false)),
    ("match-exec", None, Argument::Required, Sets::MatchExec),
    ("greedy-matching", None, Argument::None, Sets::Nothing),
    ("no-greedy-matching", None, Argument::None, Sets::Nothing),
    ("check-files", None, Argument::None, Sets::CheckFiles(true)),
    ("no-check-files", None, Argument::None, Sets::CheckFiles(false)),
    ("scan-whole-file", None, Argument::None, Sets::ScanWholeFile(true)),
    ("no-scan-whole-file", None, Argument::None, Sets::ScanWholeFile(false)),
    ("help", Some(b'h'), Argument::None, Sets::Help),
    ("help-all", Some(b'H'), Argument::None, Sets::HelpAll),
    ("version", Some(b'v'), Argument::None, Sets::Version),
];

impl Options {
    /// Parses the arguments that follow the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_bytes() {
                b"--" => {
                    arguments.by_ref().for_each(|argument| options.take(argument));
                }
                [b'-', b'-', long @ ..] => options.long(long, &mut arguments)?,
                [b'-', bundle @ ..] if !bundle.is_empty() => options.short(bundle, &mut arguments)?,
                _ => options.take(argument),
            }
        }
        Ok(options)
    }

    /// The command.
    pub fn command(&self) -> Result<Command, Error> {
        let name = self.command.as_ref().ok_or_else(|| Error::Usage("no command given".to_owned()))?;
        Command::parse(name)
    }

    /// Takes an argument that is not an option.
    fn take(&mut self, argument: OsString) {
        if self.command.is_none() {
            self.command = Some(argument);
        } else {
            self.files.push(argument);
        }
    }

    /// Takes a long option, without its dashes. Its argument may be in the same word or in `rest`.
    fn long(&mut self, word: &[u8], rest: &mut impl Iterator<Item = OsString>) -> Result<(), Error> {
        let equals = word.iter().position(|&byte| byte == b'=');
        let (name, given) = word.split_at(equals.unwrap_or(word.len()));
        let given = (!given.is_empty()).then(|| OsString::from_vec(given[1..].to_vec()));
        let &(name, _, argument, sets) = find_long(name)?;
        let value = match (argument, given) {
            (Argument::None, Some(_)) => return Err(Error::Usage(format!("option --{name} takes no argument"))),
            (Argument::Required, None) => {
                rest.next().ok_or_else(|| Error::Usage(format!("option --{name} needs an argument")))?
            }
            // `--debug` alone has no argument.
            (_, given) => given.unwrap_or_default(),
        };
        self.set(name, sets, value)
    }

    /// Takes a bundle of short options, without its dash.
    fn short(&mut self, bundle: &[u8], rest: &mut impl Iterator<Item = OsString>) -> Result<(), Error> {
        for (at, &letter) in bundle.iter().enumerate() {
            if letter.is_ascii_digit() {
                self.set("", Sets::Level(letter - b'0'), OsString::new())?;
                continue;
            }
            let shown = char::from(letter);
            let known = OPTIONS.iter().find(|(_, short, ..)| *short == Some(letter));
            let &(name, _, argument, sets) = known.ok_or_else(|| Error::Usage(format!("unknown option -{shown}")))?;
            if argument == Argument::None {
                self.set(name, sets, OsString::new())?;
                continue;
            }
            let given = &bundle[at + 1..];
            let value = if given.is_empty() { rest.next() } else { Some(OsString::from_vec(given.to_vec())) };
            let value = value.ok_or_else(|| Error::Usage(format!("option -{shown} needs an argument")))?;
            return self.set(name, sets, value);
        }
        Ok(())
    }

    fn set(&mut self, name: &'static str, sets: Sets, value: OsString) -> Result<(), Error> {
        match sets {
            Sets::Image => self.image = value,
            Sets::Jigdo => self.jigdo = value,
            Sets::Template => self.template = value,
            Sets::Merge => self.merge = Some(value.into()),
            Sets::Report => {
                let reports = [
                    ("default", Report::Default),
                    ("noprogress", Report::NoProgress),
                    ("quiet", Report::Quiet),
                    ("grep", Report::Grep),
                ];
                self.report = one_of(name, &value, &reports)?;
            }
            Sets::Force(force) => self.force = force,
            Sets::Cache => self.cache = Some(value.into()).filter(|path: &PathBuf| !path.as_os_str().is_empty()),
            Sets::NoCache => self.cache = None,
            Sets::CacheExpiry => self.cache_expiry = values::seconds(&value)?,
            Sets::Checksum => {
                self.checksum = one_of(name, &value, &[("md5", Checksum::Md5), ("sha256", Checksum::Sha256)])?;
            }
            Sets::FilesFrom => self.files_from.push(value.into()),
            Sets::Hex(hex) => self.hex = hex,
            Sets::Debug => self.set_debug(&value)?,
            Sets::NoDebug => self.debug = false,
            Sets::Label => self.labels.push(value),
            Sets::Uri => self.uris.push(value),
            Sets::Compression(compression) => self.compression = compression,
            Sets::Level(level) => self.level = level,
            Sets::MinLength => self.min_length = values::bytes(&value)?,
            Sets::ImageSection(is_wanted) => self.image_section = is_wanted,
            Sets::ServersSection(is_wanted) => self.servers_section = is_wanted,
            Sets::MatchExec => self.match_exec = value,
            Sets::CheckFiles(is_wanted) => self.check_files = is_wanted,
            Sets::ScanWholeFile(is_wanted) => self.scan_whole_file = is_wanted,
            Sets::Bytes => drop(values::bytes(&value)?),
            Sets::Nothing => {}
            Sets::Help => self.information.help = true,
            Sets::HelpAll => self.information.help_all = true,
            Sets::Version => self.information.version = true,
        }
        Ok(())
    }

    /// Takes the names of units to debug, or, after `~`, not to debug.
    fn set_debug(&mut self, units: &OsStr) -> Result<(), Error> {
        let units = units.to_string_lossy();
        for unit in if units.is_empty() { "all" } else { &units }.split(',') {
            match (unit.trim_start_matches('~'), unit.starts_with('~')) {
                ("help", false) => self.information.debug = true,
                ("all" | "general", is_off) => self.debug = !is_off,
                ("assert" | "make-template", _) => {}
                _ => {
                    return Err(Error::Usage(format!(
                        "there is no unit {unit:?} to debug; --debug=help lists the units"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The option with this name or this unique abbreviation.
fn find_long(name: &[u8]) -> Result<&'static (&'static str, Option<u8>, Argument, Sets), Error> {
    let begins: Vec<_> = OPTIONS.iter().filter(|(long, ..)| long.as_bytes().starts_with(name)).collect();
    let shown = String::from_utf8_lossy(name);
    match begins[..] {
        [] => Err(Error::Usage(format!("unknown option --{shown}"))),
        [only] => Ok(only),
        _ => begins.iter().copied().find(|(long, ..)| long.as_bytes() == name).ok_or_else(|| {
            let names: Vec<_> = begins.iter().map(|(long, ..)| format!("--{long}")).collect();
            Error::Usage(format!("option --{shown} is ambiguous: it could be any of {}", names.join(", ")))
        }),
    }
}

fn one_of<T: Copy>(name: &str, value: &OsStr, choices: &[(&str, T)]) -> Result<T, Error> {
    let chosen = choices.iter().find(|(word, _)| value == *word);
    chosen.map(|&(_, choice)| choice).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        Error::Usage(format!("--{name} must be one of {}, not {:?}", words.join(", "), value.to_string_lossy()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, Error> {
        Options::parse(arguments.iter().map(OsString::from))
    }

    fn refused(arguments: &[&str]) -> String {
        parse(arguments).expect_err("must be refused").to_string()
    }

    #[test]
    fn options_stand_anywhere_and_are_written_in_every_way() {
        for arguments in [
            &["mt", "--image=a", "--report=quiet", "-f", "b", "-9", "-T", "list"][..],
            &["-ia", "-fr", "quiet", "mt", "-Tlist", "b"],
            &["--image", "a", "-9frquiet", "mt", "--files-f", "list", "--", "b"],
        ] {
            let options = parse(arguments).unwrap();
            assert_eq!(options.command().unwrap(), Command::MakeTemplate);
            assert_eq!((&*options.image, options.report, options.force), (OsStr::new("a"), Report::Quiet, true));
            assert_eq!((options.files, options.files_from), (vec!["b".into()], vec!["list".into()]));
        }
    }

    #[test]
    fn what_comes_last_wins() {
        let options = parse(&["--bzip2", "--gzip", "-3", "-7", "--cache=x", "--no-cache", "-f", "--no-force"]).unwrap();
        assert_eq!(
            (options.compression, options.level, options.cache, options.force),
            (Compression::Gzip, 7, None, false)
        );
    }

    #[test]
    fn two_dashes_end_the_options_and_one_dash_is_a_file() {
        let options = parse(&["md5", "-", "--", "-r", "--", "x"]).unwrap();
        assert_eq!(options.files, ["-", "-r", "--", "x"]);
    }

    #[test]
    fn every_command_has_two_names() {
        for (command, long, short) in COMMANDS {
            assert_eq!(parse(&[long]).unwrap().command().unwrap(), command);
            assert_eq!(parse(&[short]).unwrap().command().unwrap(), command);
        }
        assert!(parse(&["bogus"]).unwrap().command().unwrap_err().to_string().contains("bogus"));
        assert!(parse(&[]).unwrap().command().is_err());
    }

    #[test]
    fn a_wrong_command_line_is_refused_in_words() {
        for (arguments, message) in [
            (&["--bogus"][..], "--bogus"),
            (&["--re=quiet"], "--report, --readbuffer"),
            (&["--force=1"], "--force takes no argument"),
            (&["--image"], "--image needs an argument"),
            (&["-i"], "-i needs an argument"),
            (&["-fZ"], "-Z"),
            (&["--report=loud"], "default, noprogress, quiet, grep"),
            (&["-C", "sha1"], "md5, sha256"),
            (&["--debug=x"], "\"x\""),
            (&["--min-length=x"], "x"),
        ] {
            assert!(refused(arguments).contains(message), "{arguments:?}: {}", refused(arguments));
        }
    }
}
