//! Parts whose blocks an image shares with their files (reflinks), where the file system supports that. They take
//! neither time to write nor space on the disk.
//!
//! They are still read for their sums. Once the sums are known to be right, the file system is asked to share the
//! blocks, and the file must still be the one that was read.

use jigdo::escaped_path;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::assemble::Error;
use crate::assemble::part::OpenedFile;
use crate::assemble::window::BLOCK;
use crate::file;
use crate::file::Stamp;

/// Parts with fewer bytes in whole blocks than this are written instead.
const SHORTEST: u64 = 16 << 10;

/// How many bytes are copied at a time where blocks cannot be shared after all.
const PIECE: usize = 1 << 20;

/// The parts of one image whose blocks are to be shared.
pub struct Clones {
    /// The file that becomes the image.
    path: PathBuf,
    is_asked: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// For each device with parts, whether its files can share blocks with the image.
    can_share: HashMap<u64, bool>,
    /// In the order of the image.
    planned: Vec<Clone>,
}

/// Whole blocks of the image that belong to one part.
struct Clone {
    area: usize,
    blocks: Range<u64>,
    file: Arc<Path>,
    stamp: Stamp,
    /// Where the blocks begin in the file, in bytes.
    start: u64,
}

impl Clones {
    /// Starts with no parts, for the image at `path`.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), is_asked: true, state: Mutex::default() }
    }

    /// Never shares any blocks.
    pub fn none(path: &Path) -> Self {
        Self { is_asked: false, ..Self::new(path) }
    }

    /// Plans to share the blocks of the area at `offset` of the image, if they can be. Call it in the order of the
    /// areas.
    pub fn plan(&self, area: usize, offset: u64, length: u64, from: &OpenedFile) {
        let block = BLOCK as u64;
        let blocks = offset.next_multiple_of(block)..(offset + length) / block * block;
        let is_aligned = offset % block == from.start % block;
        if !self.is_asked || !is_aligned || blocks.end < blocks.start + SHORTEST || !self.can_share(from) {
            return;
        }
        let start = from.start + (blocks.start - offset);
        self.lock().planned.push(Clone { area, blocks, file: Arc::clone(&from.path), stamp: from.stamp, start });
    }

    /// Whether files on the device of this one can share blocks with the image. Tries it with the first file of each
    /// device.
    fn can_share(&self, from: &OpenedFile) -> bool {
        let mut state = self.lock();
        *state.can_share.entry(from.stamp.device).or_insert_with(|| {
            // It has no name that anybody could have taken.
            let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let probe = tempfile::tempfile_in(directory.unwrap_or(Path::new(".")));
            probe.is_ok_and(|probe| rustix::fs::ioctl_ficlone(&probe, &from.file).is_ok())
        })
    }

    /// The blocks that need not be written among `length` bytes of the image at `offset`, relative to `offset`.
    pub fn in_range(&self, offset: u64, length: usize) -> Vec<Range<usize>> {
        let state = self.lock();
        let end = offset + length as u64;
        let first = state.planned.partition_point(|clone| clone.blocks.end <= offset);
        let inside = state.planned[first..].iter().take_while(|clone| clone.blocks.start < end);
        let relative = |at: u64| (at.clamp(offset, end) - offset) as usize;
        inside.map(|Clone { blocks, .. }| relative(blocks.start)..relative(blocks.end)).collect()
    }

    /// Shares all planned blocks with `image`, except those of areas that were wrong.
    pub fn share_blocks(&self, image: &File, wrong: &[usize]) -> Result<(), Error> {
        let planned = std::mem::take(&mut self.lock().planned);
        for clone in planned.into_iter().filter(|clone| !wrong.contains(&clone.area)) {
            let offset = clone.blocks.start;
            let failed = |source| Error::Write { path: self.path.clone(), offset, source };
            clone.share(image).map_err(failed)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Clone {
    fn share(&self, image: &File) -> io::Result<()> {
        let file = file::open(&self.file)?;
        let (mut from, mut to) = (self.start, self.blocks.start);
        while to < self.blocks.end {
            let length = usize::try_from(self.blocks.end - to).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(&file, Some(&mut from), image, Some(&mut to), length) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    copy(&file, from, image, to..self.blocks.end)?;
                    break;
                }
            }
        }
        // The sum is that of the bytes that were read then.
        if Stamp::of(&file.metadata()?) == self.stamp {
            Ok(())
        } else {
            let what =
                format!("{} changed while it was read; run again when it no longer changes", escaped_path(&self.file));
            Err(io::Error::other(what))
        }
    }
}

fn copy(from: &File, start: u64, image: &File, blocks: Range<u64>) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    for offset in blocks.clone().step_by(PIECE) {
        let length = PIECE.min((blocks.end - offset) as usize);
        from.read_exact_at(&mut buffer[..length], start + (offset - blocks.start))?;
        image.write_all_at(&buffer[..length], offset)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Clones that assume that blocks can be shared. Where they cannot, they are copied.
    fn plan(directory: &Path, content: &[u8]) -> (Clones, OpenedFile) {
        let path = directory.join("part");
        fs::write(&path, content).unwrap();
        let file = File::open(&path).unwrap();
        let stamp = Stamp::of(&file.metadata().unwrap());
        let clones = Clones::new(&directory.join("image"));
        clones.lock().can_share.insert(stamp.device, true);
        (clones, OpenedFile { path: path.into(), file, start: 0, stamp })
    }

    #[test]
    fn whole_blocks_of_parts_that_begin_with_a_block_are_shared() {
        let directory = tempfile::tempdir().unwrap();
        let content = testing::noise(1, 10 * BLOCK + 77);
        let (clones, part) = plan(directory.path(), &content);
        let block = BLOCK as u64;
        clones.plan(0, 3 * block, content.len() as u64, &part);
        clones.plan(1, 20 * block + 1, content.len() as u64, &part);
        clones.plan(2, 40 * block, content.len() as u64, &part);
        assert!(clones.in_range(0, 3 * BLOCK).is_empty());
        assert_eq!(clones.in_range(block, 40 * BLOCK), [2 * BLOCK..12 * BLOCK, 39 * BLOCK..40 * BLOCK]);
        assert_eq!(clones.in_range(5 * block, 36 * BLOCK), [0..8 * BLOCK, 35 * BLOCK..36 * BLOCK]);
        let image =
            File::options().read(true).write(true).create_new(true).open(directory.path().join("image")).unwrap();
        clones.share_blocks(&image, &[2]).unwrap();
        let mut written = vec![0; 10 * BLOCK];
        image.read_exact_at(&mut written, 3 * block).unwrap();
        assert!(written == content[..10 * BLOCK]);
        assert_eq!(image.metadata().unwrap().len(), 13 * block);
    }

    #[test]
    fn a_part_that_has_changed_since_it_was_read_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let content = testing::noise(1, 10 * BLOCK);
        let (clones, part) = plan(directory.path(), &content);
        clones.plan(0, 0, content.len() as u64, &part);
        fs::write(directory.path().join("part"), testing::noise(1, 11 * BLOCK)).unwrap();
        let image = File::options().write(true).create_new(true).open(directory.path().join("image")).unwrap();
        let error = clones.share_blocks(&image, &[]).unwrap_err().to_string();
        assert!(error.contains("changed"), "{error}");
    }

    #[test]
    fn files_of_a_file_system_that_cannot_share_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let content = testing::noise(1, 10 * BLOCK);
        let (clones, part) = plan(directory.path(), &content);
        clones.lock().can_share.insert(part.stamp.device, false);
        clones.plan(0, 0, content.len() as u64, &part);
        assert!(clones.in_range(0, 10 * BLOCK).is_empty());
    }
}
