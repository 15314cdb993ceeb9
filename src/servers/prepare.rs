//! Reads, edits and stages the files of one directory. Staged files keep mode and owner.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jigdo::bstr::BString;
use jigdo::jigdo_file::{Edit, Unpacked};
use jigdo::{Algorithm, hex};
use similar::TextDiff;

use super::direct;
use super::directory::{Directory, SumsFile};
use super::request::{FileError, Options, Update, UpdateError};
use super::update::shown_path;
use crate::digest::Hasher;
use crate::file::Stamp;
use crate::output;
use crate::output::sums::{Edit as SumsEdit, file_name};
use crate::set::JigdoFile;
use crate::summing::{self, Engine, Request, Ticket};

/// A staged jigdo file.
pub struct Prepared {
    /// The index of its update.
    pub update: usize,
    /// The index of its directory.
    pub directory: usize,
    pub name: String,
    /// Of the file that it will replace.
    pub stamp: Stamp,
    pub diff: Option<Vec<u8>>,
    /// In hexadecimal: those that SUMS files beside it hold.
    pub sums: BTreeMap<Algorithm, String>,
}

/// A staged SUMS file.
pub struct PreparedSums {
    pub directory: usize,
    pub name: String,
    pub path: PathBuf,
    pub stamp: Stamp,
    pub diff: Option<Vec<u8>>,
}

/// The result for some files of a directory.
#[derive(Default)]
pub struct PreparedBatch {
    pub files: Vec<Prepared>,
    /// With the index of the file's update.
    pub wrong: Vec<(usize, FileError)>,
    /// The labels with given servers that some file has.
    pub used: BTreeSet<BString>,
}

/// A file that was read.
struct Source {
    update: usize,
    name: String,
    metadata: Metadata,
    bytes: Vec<u8>,
}

/// A file that changes.
struct Changing<'s> {
    source: &'s Source,
    unpacked: Unpacked<'s>,
    edits: Vec<Edit>,
}

/// Reads some files of a directory, and stages those that change.
pub fn batch(
    number: usize,
    directory: &Directory,
    updates: &[(usize, &Update<'_>)],
    options: &Options<'_>,
    is_synced: bool,
) -> Result<PreparedBatch, UpdateError> {
    let mut batch = PreparedBatch::default();
    let mut sources = Vec::new();
    for &(update, Update { file, change }) in updates {
        match read(update, file) {
            Ok(source) => sources.push((source, change)),
            Err(error) => batch.wrong.push((update, error)),
        }
    }
    let mut changing = Vec::new();
    for (source, change) in &sources {
        let unpacked = Unpacked::new(&source.bytes).map_err(|error| FileError::Change(error.into()));
        let edited = unpacked.and_then(|unpacked| {
            let edits = change.edits(&unpacked.text, &mut batch.used)?;
            Ok(Changing { source, unpacked, edits })
        });
        match edited {
            Ok(changed) if changed.edits.is_empty() => {}
            Ok(_) if source.name.is_empty() => batch.wrong.push((source.update, FileError::Name)),
            Ok(changed) => changing.push(changed),
            Err(error) => batch.wrong.push((source.update, error)),
        }
    }
    // One error anywhere means that nothing is changed.
    if !batch.wrong.is_empty() {
        return Ok(batch);
    }
    let contents: Vec<_> = changing.iter().map(|changing| changing.unpacked.edited(&changing.edits)).collect();
    let sums = sums(directory, &changing, &contents);
    for ((changing, runs), sums) in changing.iter().zip(&contents).zip(sums) {
        let Changing { source, unpacked, edits } = changing;
        let diff = options.dry_run.then(|| diff(&path_of(updates, source.update), unpacked, edits));
        if !options.dry_run {
            let mtime = options.keep_mtime;
            let permissions = permissions_of(updates, source.update);
            stage(directory, &source.name, runs, (&source.metadata, permissions), mtime, is_synced)?;
        }
        let stamp = Stamp::of(&source.metadata);
        batch.files.push(Prepared {
            update: source.update,
            directory: number,
            name: source.name.clone(),
            stamp,
            diff,
            sums,
        });
    }
    Ok(batch)
}

fn path_of(updates: &[(usize, &Update<'_>)], number: usize) -> PathBuf {
    let update = updates.iter().find(|(update, _)| *update == number);
    update.map(|(_, update)| shown_path(&update.file)).unwrap_or_default()
}

fn permissions_of(updates: &[(usize, &Update<'_>)], number: usize) -> Option<u32> {
    updates.iter().find(|(update, _)| *update == number)?.1.change.permissions
}

/// Reads a file. Its name is empty if a record of changes cannot hold it.
fn read(update: usize, file: &JigdoFile) -> Result<Source, FileError> {
    let (metadata, bytes) = file.read()?;
    let name = file.real.file_name().and_then(|name| name.to_str()).filter(|name| !name.contains(char::is_control));
    Ok(Source { update, name: name.unwrap_or_default().to_owned(), metadata, bytes })
}

/// The sums of the new contents that the directory's SUMS files list, computed side by side.
fn sums(
    directory: &Directory,
    changing: &[Changing<'_>],
    contents: &[Vec<Cow<'_, [u8]>>],
) -> Vec<BTreeMap<Algorithm, String>> {
    let listing = |changing: &Changing<'_>| -> Vec<Algorithm> {
        let listed = directory.sums.iter().filter_map(|sums| sums.listed.get(changing.source.name.as_bytes()));
        listed.flatten().copied().collect::<BTreeSet<_>>().into_iter().collect()
    };
    let request = |algorithms: &Vec<Algorithm>, runs: &[Cow<'_, [u8]>]| {
        let bytes = if algorithms.is_empty() { Vec::new() } else { runs.concat() };
        let (ends, hashers) = (vec![bytes.len() as u64], algorithms.iter().map(|&algorithm| Hasher::new(algorithm)));
        Request { source: summing::Source::Memory(bytes.into()), start: 0, ends, hashers: hashers.collect() }
    };
    let algorithms: Vec<Vec<Algorithm>> = changing.iter().map(listing).collect();
    // Batches are prepared on all threads, so each sums its own.
    let engine = Engine::new(0);
    let tickets = engine.sum(algorithms.iter().zip(contents).map(|(algorithms, runs)| request(algorithms, runs)));
    engine.wait(&tickets);
    let sums = |(algorithms, ticket): (Vec<Algorithm>, Arc<Ticket>)| {
        let sums = ticket.sums().and_then(|sums| sums.as_ref().ok()).expect("bytes in memory can be read");
        algorithms.into_iter().zip(sums[0].iter().map(|sum| hex(sum))).collect()
    };
    algorithms.into_iter().zip(tickets).map(sums).collect()
}

/// Stages a SUMS file with the new sums of these files of its directory, if it lists any of them.
pub fn sums_file(
    number: usize,
    directory: &Directory,
    sums: &SumsFile,
    files: &[&Prepared],
    permissions: Option<u32>,
    options: &Options<'_>,
) -> Result<Option<PreparedSums>, UpdateError> {
    let new: BTreeMap<&[u8], _> = files.iter().map(|file| (file.name.as_bytes(), &file.sums)).collect();
    let mut changed = sums.parsed.clone();
    changed.edit(|name, algorithm| {
        let sum = new.get(name).and_then(|sums| sums.get(&algorithm?));
        sum.map_or(SumsEdit::Keep, |sum| SumsEdit::Sum(sum))
    });
    let text = changed.text();
    if text == sums.text {
        return Ok(None);
    }
    if !sums.metadata.is_file() {
        return Err(UpdateError::Files(vec![(sums.path.clone(), FileError::NoFile)]));
    }
    let name = file_name(sums.algorithm);
    let path = sums.path.clone();
    let diff = options.dry_run.then(|| unified(&path, &sums.text, &text));
    if !options.dry_run {
        stage(directory, &name, &[Cow::Borrowed(&text)], (&sums.metadata, permissions), false, true)?;
    }
    Ok(Some(PreparedSums { directory: number, name, path, stamp: Stamp::of(&sums.metadata), diff }))
}

/// Writes a staged file, with the owner of the one that it will replace, and its mode or the given one.
fn stage(
    directory: &Directory,
    name: &str,
    runs: &[Cow<'_, [u8]>],
    (like, permissions): (&Metadata, Option<u32>),
    keep_mtime: bool,
    is_synced: bool,
) -> Result<(), UpdateError> {
    let failed = |source| UpdateError::from(output::Error::Write { path: directory.output.staged(name), source });
    let staged = directory.output.stage(name);
    directory.has_staged.store(true, Ordering::Relaxed);
    let mut file = staged?;
    let mut write = || -> io::Result<()> {
        direct::write(&mut file, &directory.output.staged(name), runs)?;
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (like.uid(), like.gid()) {
            fchown(&file, Some(like.uid()), Some(like.gid()))?;
        }
        file.set_permissions(permissions.map_or_else(|| like.permissions(), Permissions::from_mode))?;
        if keep_mtime {
            file.set_modified(like.modified()?)?;
        }
        if is_synced { file.sync_all() } else { Ok(()) }
    };
    write().map_err(failed)
}

/// The edits of a file's text as a unified diff.
fn diff(path: &Path, unpacked: &Unpacked<'_>, edits: &[Edit]) -> Vec<u8> {
    let mut after = unpacked.text.clone().into_owned();
    edits.iter().rev().for_each(|edit| drop(after.splice(edit.range.clone(), edit.text.iter().copied())));
    unified(path, &unpacked.text, &after)
}

/// A patch is of bytes, and the library's is of text: each byte is a character while the difference is made.
fn unified(path: &Path, before: &[u8], after: &[u8]) -> Vec<u8> {
    let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let (name, before, after) = (text(path.as_os_str().as_bytes()), text(before), text(after));
    let diff = TextDiff::from_lines(&before, &after).unified_diff().context_radius(3).header(&name, &name).to_string();
    diff.chars().map(|character| character as u8).collect()
}
