//! The manifest as typed: its keys, their values, and the descriptions that editors show.
//! The docs of the fields become the schema's descriptions; `check` fills in defaults.

use std::borrow::Cow;

use jigdo::template::Compression;
use jigdo::{Algorithm, Checksum};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::problem::Problems;
use super::shape::{Bounded, Map, OneOf, Placed, Read, Required, Text, Words, mappings, mismatch, report_repeated};
use super::yaml::{Key, Node, Value};

/// The longest block, in bytes. The index reads one block of every file, so this must stay small.
pub(super) const MAX_MIN_LENGTH: u32 = 16 << 20;

impl Words for Checksum {
    const WORDS: &'static [(&'static str, Self)] = &[("sha256", Self::Sha256), ("md5", Self::Md5)];
}

impl Words for Compression {
    const WORDS: &'static [(&'static str, Self)] = &[("gzip", Self::Gzip), ("bzip2", Self::Bzip2)];
}

impl Words for Algorithm {
    const WORDS: &'static [(&'static str, Self)] =
        &[("md5", Self::Md5), ("sha1", Self::Sha1), ("sha256", Self::Sha256), ("sha512", Self::Sha512)];
}

mappings! {
    /// A release of disc images, published as jigdo sets by `jigpress publish`.
    ///
    /// In every text, `${VAR}` is an environment variable and `${VAR:-default}` one with a default; `$$` is a dollar
    /// sign. `{variable}` is a variable of `vars` or the matrix, or `{release}`; `{{` and `}}` are braces.
    /// Relative paths are relative to the manifest. Keys that begin with `x-` may have any value, such as one with an
    /// anchor.
    pub struct Manifest {
        free "x-";
        /// The release's name, for `{release}`.
        pub release: Required<Text>,
        /// Variables: `point: 12.9.0` is used as `{point}`. A value may use those above it.
        pub vars: Option<Map<Text>>,
        /// The mirror trees, by label, preferred ones first.
        pub mirrors: Required<Placed<Map<Mirror>>>,
        /// Settings for all images that do not have their own.
        pub defaults: Option<Settings>,
        /// The images.
        pub images: Required<Placed<Vec<Placed<Image>>>>,
    }

    /// A tree of parts.
    pub struct Mirror {
        /// The directory that holds the tree.
        pub path: Required<Text>,
        /// Globs relative to the path: only files that match one of them are parts. Default: every file.
        /// `*` and `?` do not match slashes, `**` does, `{a,b}` matches either.
        pub include: Option<Vec<Text>>,
        /// Globs relative to the path: files that match one of them are not parts.
        pub exclude: Option<Vec<Text>>,
        /// Whether hidden files are parts too, and files in hidden directories: those whose names begin with a dot, and
        /// `lost+found`. Default: false.
        #[schemars(extend("default" = false))]
        pub hidden: Option<bool>,
        /// Where to download the label's parts, in order: the `[Servers]` lines.
        pub servers: Option<Placed<Vec<Server>>>,
    }

    /// A server with options.
    pub struct ServerWithOptions {
        /// The URL to which the parts' paths are appended, or `Label:directory/` below another label.
        pub url: Required<Text>,
        /// Only use this server when all others have failed. Default: false.
        #[schemars(extend("default" = false))]
        pub try_last: Option<bool>,
    }

    /// How to make sets.
    pub struct Settings {
        /// The checksum of parts and image: sha256 makes format 2.0, md5 format 1.2, which jigdo-file before 0.8.0
        /// can read. Default: sha256.
        #[schemars(extend("default" = "sha256"))]
        pub checksum: Option<OneOf<Checksum>>,
        /// How the template's unmatched data is compressed. Default: gzip.
        #[schemars(extend("default" = "gzip"))]
        pub compression: Option<Placed<OneOf<Compression>>>,
        /// The compression level, from 0 (stored; gzip only) to 9. Default: 9.
        #[schemars(extend("default" = 9))]
        pub level: Option<Placed<Bounded<0, 9>>>,
        /// Files shorter than this many bytes are not matched. Default: 1024.
        #[schemars(extend("default" = 1024))]
        pub min_length: Option<Bounded<256, MAX_MIN_LENGTH>>,
        /// Whether the .jigdo file's content is compressed with gzip. Default: false.
        #[schemars(extend("default" = false))]
        pub compress_jigdo: Option<bool>,
        /// The algorithms of the SUMS files in the output directory and of the sums in the .jigdo file's comments.
        /// Default: sha256.
        #[schemars(extend("default" = ["sha256"]))]
        pub sums: Option<Vec<Placed<OneOf<Algorithm>>>>,
        /// The permissions of the set's files and of SUMS files, in octal, such as "0644". Default: those of the files that
        /// they replace, else 0644.
        pub mode: Option<FileMode>,
    }

    /// Any number of images.
    pub struct Image {
        /// The image files: a glob, in which variables are replaced first.
        pub path: Required<Text>,
        /// Lists of values by variable. The entry applies to each combination of them.
        pub matrix: Option<Matrix>,
        /// The directory for the sets; created if missing.
        pub output: Required<Text>,
        /// The set's name: {name}.jigdo and {name}.template. `{stem}` is the image's file name without its extension,
        /// `{file}` is the name with it. Default: {stem}.
        #[schemars(extend("default" = "{stem}"))]
        pub name: Option<Text>,
        /// The template's URL, absolute or relative to that of the .jigdo file. Default: {name}.template.
        #[schemars(extend("default" = "{name}.template"))]
        pub template_url: Option<Text>,
        /// The file name for the rebuilt image. Default: {file}.
        #[schemars(extend("default" = "{file}"))]
        pub filename: Option<Text>,
        /// A short description of the image, at most 200 characters.
        pub short_info: Option<Text>,
        /// A description of the image, at most 5000 characters.
        pub info: Option<Text>,
        /// URLs of other .jigdo files for `[Include]` lines, absolute or relative to that of the .jigdo file.
        pub include_jigdo: Option<Vec<Text>>,
        /// The labels of the mirrors to search, preferred ones first. Default: all, in their order.
        pub mirrors: Option<Placed<Vec<Text>>>,
        /// Whether it is fine if the path matches no file. Default: false.
        #[schemars(extend("default" = false))]
        pub optional: Option<bool>,
        flatten pub settings: Settings,
    }
}

/// Permissions, as chmod takes them in octal. The owner may read and write.
#[derive(Debug, Clone, Copy)]
pub struct FileMode(pub u32);

impl Read for FileMode {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = match &node.value {
            Value::Scalar(_, text) => text.strip_prefix("0o").unwrap_or(text),
            _ => "",
        };
        let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..b'8').contains(&digit));
        let mode = if is_octal { u32::from_str_radix(text, 8).ok() } else { None };
        match mode.filter(|mode| mode & !0o777 == 0 && mode & 0o600 == 0o600) {
            Some(mode) => Some(Self(mode)),
            None => mismatch(
                node,
                "permissions in octal, such as \"0644\", with which the owner may read and write",
                problems,
            ),
        }
    }
}

impl JsonSchema for FileMode {
    fn schema_name() -> Cow<'static, str> {
        "FileMode".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number"], "pattern": "^(0o?)?[67][0-7]{2}$"})
    }
}

/// A server: a URL, or a URL with options.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Server {
    /// The URL to which the parts' paths are appended, or `Label:directory/` below another label.
    Url(Text),
    WithOptions(ServerWithOptions),
}

impl Read for Server {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Scalar(..) => Text::read(node, problems).map(Self::Url),
            Value::Mapping(_) => ServerWithOptions::read(node, problems).map(Self::WithOptions),
            _ => mismatch(node, "a URL or a mapping with url and try_last", problems),
        }
    }
}

/// The variables of an image entry with their values, and the combinations to leave out.
#[derive(Debug, Clone)]
pub struct Matrix {
    pub variables: Vec<(Key, Vec<Text>)>,
    pub exclude: Vec<Placed<Map<Text>>>,
    /// The variables of which not all values could be read.
    pub incomplete: Vec<String>,
}

impl Read for Matrix {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else { return mismatch(node, "a mapping", problems) };
        report_repeated(entries, problems);
        let mut matrix = Self { variables: Vec::new(), exclude: Vec::new(), incomplete: Vec::new() };
        for (key, value) in entries {
            if key.text == "exclude" {
                matrix.exclude = Read::read(value, problems).unwrap_or_default();
                continue;
            }
            let met = problems.met();
            matrix.variables.extend(Vec::read(value, problems).map(|values| (key.clone(), values)));
            if problems.met() != met {
                matrix.incomplete.push(key.text.clone());
            }
        }
        Some(matrix)
    }
}

impl JsonSchema for Matrix {
    fn schema_name() -> Cow<'static, str> {
        "Matrix".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Text>();
        json_schema!({
            "description": "Lists of values by variable. The key exclude lists combinations to leave out.",
            "type": "object",
            "properties": {
                "exclude": {
                    "description": "Combinations to leave out. A variable that is not named may have any value.",
                    "type": "array",
                    "items": {"type": "object", "additionalProperties": text},
                },
            },
            "additionalProperties": {"type": "array", "items": text},
        })
    }
}
