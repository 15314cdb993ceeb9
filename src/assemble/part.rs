//! The parts that a template names, and the places where their bytes may be.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use jigdo::bstr::BString;
use jigdo::template::Area;
use jigdo::{Rsync64, Sum, escaped_path};

use crate::file;
use crate::file::Stamp;

/// A part, as a template describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// The strong sum of its content.
    pub sum: Sum,
    /// In bytes.
    pub length: u64,
    /// `None` in templates of version 1.0, which do not have it.
    pub first_block: Option<FirstBlock>,
}

/// The sum of a part's first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirstBlock {
    /// The block's sum, as templates have it.
    pub rsync64: Rsync64,
    /// In bytes; at most the part's own length.
    pub length: u32,
}

impl Part {
    /// The part in an area of a template whose blocks have `block_length` bytes; `None` for unmatched data.
    pub fn of(area: &Area, block_length: Option<u32>) -> Option<Self> {
        let Area::Part { length, rsync64, sum } = *area else { return None };
        let block = block_length.filter(|&block| block > 0 && u64::from(block) <= length);
        let first_block = rsync64.zip(block).map(|(rsync64, length)| FirstBlock { rsync64, length });
        Some(Self { sum, length, first_block })
    }
}

impl FirstBlock {
    /// Whether the bytes at `place`, which has a part of this length, begin with this block.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) fn begins(self, place: &PartPlace, part_length: u64) -> Result<bool, Reason> {
        let mut block = vec![0; self.length as usize];
        Opened::new(place, part_length)?.read(&mut block, 0)?;
        Ok(Rsync64::of(&block) == self.rsync64)
    }
}

/// Where the bytes of a part may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PartPlace {
    /// The whole file.
    File(Arc<Path>),
    /// Inside a larger file.
    Inside {
        /// The larger file.
        file: Arc<Path>,
        /// Where in it they begin, in bytes.
        offset: u64,
    },
    /// In memory.
    Memory(Arc<[u8]>),
}

impl PartPlace {
    /// The file at `path`.
    pub fn file(path: &Path) -> Self {
        Self::File(path.into())
    }
}

impl PartPlace {
    /// The place with the exact bytes of its path, for programs.
    pub(crate) fn text(&self) -> BString {
        match self {
            Self::File(path) => path.as_os_str().as_encoded_bytes().into(),
            Self::Inside { file, offset } => {
                [file.as_os_str().as_encoded_bytes(), format!(" at offset {offset}").as_bytes()].concat().into()
            }
            Self::Memory(_) => self.to_string().into(),
        }
    }
}

impl fmt::Display for PartPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", escaped_path(&path)),
            Self::Inside { file, offset } => write!(f, "{} at offset {offset}", escaped_path(&file)),
            Self::Memory(bytes) => write!(f, "{} bytes in memory", bytes.len()),
        }
    }
}

/// Why the bytes at a place are not those of the part. Lengths are in bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum Reason {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is not a regular file")]
    NotAFile,
    #[error("it has {found} bytes instead of {expected}")]
    Length { expected: u64, found: u64 },
    #[error("it has another sum, {found:?}")]
    Sum { found: Sum },
    #[error("the template has a wrong rsync64 sum of its first block, so jigdo-file refuses it; make the set again")]
    FirstBlock,
}

/// A place that has been opened for reading.
pub(super) enum Opened {
    File(OpenedFile),
    Memory(Arc<[u8]>),
}

/// An open file that has the bytes of a part.
pub(super) struct OpenedFile {
    pub path: Arc<Path>,
    pub file: File,
    /// Where the part begins in it, in bytes.
    pub start: u64,
    /// The file's stamp when it was opened.
    pub stamp: Stamp,
}

impl Opened {
    /// Opens `place`, which should have the `length` bytes of a part.
    pub fn new(place: &PartPlace, length: u64) -> Result<Self, Reason> {
        let (path, start) = match place {
            PartPlace::File(path) => (path, 0),
            PartPlace::Inside { file, offset } => (file, *offset),
            PartPlace::Memory(bytes) => {
                let found = bytes.len() as u64;
                let is_right = found == length;
                let opened = || Self::Memory(Arc::clone(bytes));
                return is_right.then(opened).ok_or(Reason::Length { expected: length, found });
            }
        };
        let file = file::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Reason::NotAFile);
        }
        if matches!(place, PartPlace::File(_)) && metadata.len() != length {
            return Err(Reason::Length { expected: length, found: metadata.len() });
        }
        Ok(Self::File(OpenedFile { path: Arc::clone(path), file, start, stamp: Stamp::of(&metadata) }))
    }

    /// Fills `buffer` with the part's bytes from `offset` on.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Reason> {
        match self {
            Self::File(OpenedFile { file, start, .. }) => Ok(file.read_exact_at(buffer, start + offset)?),
            Self::Memory(bytes) => {
                buffer.copy_from_slice(&bytes[offset as usize..][..buffer.len()]);
                Ok(())
            }
        }
    }
}
