//! A file mapped into memory and read through windows. Holes of a sparse file cost no I/O: their windows are zeros that
//! are not read from the file.
//!
//! A file that shrinks while it is mapped, or whose disk fails, does not kill the process: zeros replace its lost pages,
//! and [`Mapped::intact`] reports it. Callers must check `intact()` before they keep anything derived from a window.

use jigdo::escaped_path;
use memmap2::{Advice, Mmap, UncheckedAdvice};
use parking_lot::{Mutex, MutexGuard};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::open::{length as length_of, open};
use super::sigbus::{GuardedMap, page_size};
use super::window::{Window, zeros};
use crate::file::Bytes;
use crate::file::Stamp;

/// A file whose bytes are read through windows of memory.
///
/// All of it stays mapped, which takes addresses but no memory: windows bring pages in, and [`Mapped::release`] gives
/// them back.
pub struct Mapped {
    path: PathBuf,
    /// `None` after [`Mapped::closed`].
    file: Option<File>,
    stamp: Stamp,
    is_sparse: bool,
    /// `None` if the file is empty.
    map: Option<GuardedMap>,
    /// A range whose pages were faulted in. The system may have reclaimed some since.
    present: Mutex<Range<u64>>,
}

impl Mapped {
    /// Opens and maps the file or block device at `path`.
    ///
    /// # Errors
    /// When it cannot be opened or mapped, or is neither.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, |stamp| stamp.size)
    }

    /// Opens a file that is still being written, and will have at most `most` bytes, which are taken for its length.
    /// Only what has already been written may be read. [`Mapped::intact`] fails for such a file.
    ///
    /// # Errors
    /// As for [`Mapped::open`].
    pub fn growing(path: &Path, most: u64) -> io::Result<Self> {
        let grown = Self::open_with(path, |_| most)?;
        Ok(Self { stamp: Stamp { size: most, ..grown.stamp }, is_sparse: false, ..grown })
    }

    /// Opens the file, and maps the number of bytes that `length` returns.
    fn open_with(path: &Path, length: impl Fn(&Stamp) -> u64) -> io::Result<Self> {
        let file = open(path)?;
        let metadata = file.metadata()?;
        let stamp = Stamp { size: length_of(&file)?, ..Stamp::of(&metadata) };
        let is_sparse = metadata.is_file() && metadata.blocks() * 512 < stamp.size;
        let length = length(&stamp);
        let map = if length == 0 { None } else { Some(GuardedMap::new(&file, length)?) };
        let present = Mutex::new(0..0);
        Ok(Self { path: path.to_owned(), file: Some(file), stamp, is_sparse, map, present })
    }

    /// Closes the file and keeps the map, as a process may not have many open files. A long sparse file stays open, so that
    /// its holes are not read.
    #[must_use]
    pub fn closed(self) -> Self {
        /// Reading the holes of a shorter file costs little, and there may be thousands of those, in bytes.
        const SHORT: u64 = 1 << 20;
        let file = self.file.filter(|_| self.is_sparse && self.stamp.size > SHORT);
        Self { file, ..self }
    }

    /// What the file looked like when it was opened.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Checks that all bytes of all windows so far were the file's own.
    ///
    /// # Errors
    /// When a page of any window was lost, the file has changed since it was opened, or its path now leads to another
    /// file.
    pub fn intact(&self) -> io::Result<()> {
        if self.map.as_ref().is_some_and(GuardedMap::has_lost_pages) {
            tracing::debug!(path = %escaped_path(&self.path), "pages of a mapped file were lost (SIGBUS)");
            return Err(io::Error::other("it shrank, or its disk failed, while it was read"));
        }
        // A device does not tell when its bytes change.
        let changed = |metadata: std::fs::Metadata| match Stamp::of(&metadata) {
            found if metadata.is_file() => found != self.stamp,
            found => (found.device, found.inode) != (self.stamp.device, self.stamp.inode),
        };
        let of_file = self.file.as_ref().map(File::metadata).transpose()?;
        if of_file.is_some_and(changed) || changed(std::fs::metadata(&self.path)?) {
            return Err(io::Error::other("it changed while it was read"));
        }
        Ok(())
    }

    /// Whether the file takes less room on its disk than it has bytes, so that it may have holes.
    pub fn is_sparse(&self) -> bool {
        self.is_sparse
    }

    /// Advises the system that windows will be read in random order from now on, so that it does not read ahead.
    pub fn advise_random(&self) {
        if let Some(GuardedMap { map, .. }) = &self.map {
            // Only advice.
            let _ = map.advise(Advice::Random);
        }
    }

    /// Starts reading this range in the background, unless it is in memory already. Does nothing for a sparse file.
    pub fn prefetch(&self, range: Range<u64>) {
        // Prefetching would fill the page cache with the zeros of holes.
        if self.is_sparse {
            return;
        }
        if let Some((map, offset, length)) = self.mapped(range) {
            // Only advice.
            let _ = map.advise_range(Advice::WillNeed, offset, length);
        }
    }

    /// Gives back the memory of this range, of which no more windows will be needed. Open ones stay valid.
    pub fn release(&self, range: Range<u64>) {
        let mut present = self.present();
        let before = present.start.min(range.end);
        present.start = present.start.max(range.end).min(present.end);
        drop(present);
        if let Some((map, offset, length)) = self.mapped(before.max(range.start)..range.end) {
            let page = page_size();
            let (start, end) = (offset / page * page, offset + length);
            // When memory is scarce, the system should reclaim these pages before those that were read ahead.
            // SAFETY: the range is mapped, and the call is advice that changes no byte.
            let _ = unsafe { libc::madvise(map.as_ptr().add(start) as *mut _, end - start, libc::MADV_COLD) };
            // SAFETY: the map is shared and only read, so its pages come back from the file, unchanged, when somebody
            // reads them. Those that replaced lost pages come back as the zeros that they were.
            let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, length) };
        }
    }

    /// The map, and the offset and length in it of the part of `range` that lies in the file. `None` if there is none.
    fn mapped(&self, range: Range<u64>) -> Option<(&Mmap, usize, usize)> {
        let map = &self.map.as_ref()?.map;
        let end = range.end.min(self.stamp.size);
        (range.start < end).then(|| (map, range.start as usize, (end - range.start) as usize))
    }

    fn present(&self) -> MutexGuard<'_, Range<u64>> {
        self.present.lock()
    }

    /// Faults in the pages of `range` that are not present, all at once, which is much cheaper than one page fault each.
    fn fault_in(&self, range: Range<u64>) {
        let mut present = self.present();
        if present.start <= range.start && range.end <= present.end {
            return;
        }
        // Most windows follow one another. The pages count as present from here on: another thread that reads them
        // meanwhile waits for them no longer than it would have anyway.
        let follows = (present.start..=present.end).contains(&range.start);
        let missing = if follows { present.end..range.end } else { range };
        *present = if follows { present.start..missing.end } else { missing.clone() };
        drop(present);
        if let Some((map, offset, length)) = self.mapped(missing) {
            // This is only advice: kernels older than 5.14 do not know it, and a page that cannot be read is noticed when
            // it is touched.
            let _ = map.advise_range(Advice::PopulateRead, offset, length);
        }
    }

    /// A window of which only a few bytes will be read: its pages are faulted in one by one. It is empty if `range` begins
    /// beyond the file's end, and shorter than `range` if that ends beyond it.
    pub fn lazy_window(&self, range: Range<u64>) -> Window<'_> {
        match self.mapped(range) {
            Some((map, offset, length)) => Window::Borrowed(&map[offset..offset + length]),
            None => Window::Borrowed(&[]),
        }
    }

    /// Whether the file system reports that all of `range` is a hole. Beyond the end of a file that shrank it reports that
    /// too, and [`Mapped::intact`] fails.
    fn is_hole(&self, range: &Range<u64>) -> bool {
        let (Some(file), Ok(start)) = (&self.file, libc::off_t::try_from(range.start)) else { return false };
        // SAFETY: the descriptor is open as long as `file` lives, and the call touches no memory. It moves the file's
        // position, on which nothing here relies.
        match unsafe { libc::lseek(file.as_raw_fd(), start, libc::SEEK_DATA) } {
            -1 => io::Error::last_os_error().raw_os_error() == Some(libc::ENXIO),
            data => data as u64 >= range.end,
        }
    }
}

impl Bytes for Mapped {
    type Window<'a> = Window<'a>;

    fn length(&self) -> u64 {
        self.stamp.size
    }

    fn window(&self, range: Range<u64>) -> io::Result<Window<'_>> {
        if range.end > self.stamp.size || range.start > range.end {
            let message = format!(
                "it has {} bytes, but those from {} to {} were wanted",
                self.stamp.size, range.start, range.end
            );
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        let Some((map, offset, length)) = self.mapped(range.clone()) else {
            return Ok(Window::Borrowed(&[]));
        };
        // Reading a hole through the map would fill the page cache with zeros. To ask takes a few microseconds, much less
        // than to read.
        if self.is_sparse && self.is_hole(&range) {
            return zeros(length);
        }
        self.fault_in(range);
        Ok(Window::Borrowed(&map[offset..offset + length]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memmap2::MmapOptions;
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;

    fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_window_shows_its_range_of_the_file_at_any_offset() {
        let bytes: Vec<u8> = (0..20_000u32).map(|at| (at % 251) as u8).collect();
        let file = file_of(&bytes);
        let mapped = Mapped::open(file.path()).unwrap();
        for range in [0..20_000, 4095..4097, 5000..5000, 19_999..20_000] {
            assert_eq!(&*mapped.window(range.clone()).unwrap(), &bytes[range.start as usize..range.end as usize]);
        }
        assert!(mapped.window(10..20_001).is_err());
        mapped.intact().unwrap();
    }

    const MIB: u64 = 1 << 20;

    /// A file of `length` bytes with `data` written at these offsets, and holes elsewhere, where they can be made.
    fn sparse_file(length: u64, offsets: &[u64], data: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(length).unwrap();
        for &offset in offsets {
            file.as_file().write_all_at(data, offset).unwrap();
        }
        // Clocks of file systems are coarse: a change that follows must not fall into the same tick.
        file.as_file().set_modified(std::time::UNIX_EPOCH).unwrap();
        file
    }

    /// Whether the file system for temporary files reports holes.
    fn holes_are_known() -> bool {
        let file = sparse_file(MIB, &[], b"");
        let known = Mapped::open(file.path()).unwrap().is_hole(&(0..MIB));
        if !known {
            eprintln!("skipped: the file system for temporary files does not report holes");
        }
        known
    }

    /// How many pages of a range of the file, which begins with a page, are in the page cache.
    fn cached_pages(file: &File, range: Range<u64>) -> usize {
        let length = (range.end - range.start) as usize;
        // SAFETY: the map is never read.
        let map = unsafe { MmapOptions::new().offset(range.start).len(length).map(file) }.unwrap();
        let mut pages = vec![0u8; length.div_ceil(page_size())];
        // SAFETY: the range is mapped, and the vector has a byte for each of its pages.
        let result = unsafe { libc::mincore(map.as_ptr().cast_mut().cast(), length, pages.as_mut_ptr()) };
        assert_eq!(result, 0);
        pages.iter().filter(|&page| page & 1 == 1).count()
    }

    #[test]
    fn a_sparse_file_shows_zeros_in_its_holes_and_its_data_elsewhere() {
        let length = 20 * MIB + 77;
        let file = sparse_file(length, &[3 * MIB + 5, 9 * MIB - 3], &[7; 1000]);
        let bytes = std::fs::read(file.path()).unwrap();
        let mapped = Mapped::open(file.path()).unwrap();
        let edges =
            [0, 1, MIB + 333, 3 * MIB + 5, 3 * MIB + 999, 4 * MIB + 1, 9 * MIB, 10 * MIB - 1, length - 1, length];
        for (index, &start) in edges.iter().enumerate() {
            for &end in &edges[index..] {
                let window = mapped.window(start..end).unwrap();
                assert!(*window == bytes[start as usize..end as usize], "{start}..{end}");
            }
        }
        if holes_are_known() {
            let holes = [0..3 * MIB, MIB + 1..MIB + 2, 4 * MIB + 1..8 * MIB + 9, 10 * MIB - 1..length];
            assert!(holes.iter().all(|range| mapped.is_hole(range)));
            let data = [0..3 * MIB + 6, 3 * MIB + 7..3 * MIB + 8, 3 * MIB + 900..8 * MIB, 9 * MIB..length];
            assert!(!data.iter().any(|range| mapped.is_hole(range)));
        }
        mapped.intact().unwrap();
    }

    #[test]
    fn windows_in_a_hole_do_not_fill_the_page_cache() {
        if !holes_are_known() {
            return;
        }
        let file = sparse_file(140 * MIB, &[0, 139 * MIB], &[7; 1000]);
        let mapped = Mapped::open(file.path()).unwrap();
        // The first is longer than the zeros that windows share.
        for range in [MIB..139 * MIB, 5 * MIB + 1..20 * MIB - 1, 30 * MIB..30 * MIB + 1] {
            assert!(mapped.window(range).unwrap().iter().all(|&byte| byte == 0));
        }
        assert_eq!(cached_pages(file.as_file(), MIB..139 * MIB), 0);
        // The count does find pages that are cached.
        assert_eq!(mapped.window(0..2 * MIB).unwrap()[..1000], [7; 1000]);
        assert!(cached_pages(file.as_file(), 0..MIB) > 0);
    }

    #[test]
    fn a_sparse_file_that_shrinks_or_grows_is_noticed_and_kills_nobody() {
        for new_length in [MIB, 3 * MIB] {
            let file = sparse_file(2 * MIB, &[], b"");
            let mapped = Mapped::open(file.path()).unwrap();
            let open = mapped.window(0..2 * MIB).unwrap();
            file.as_file().set_len(new_length).unwrap();
            let later = mapped.window(1000..2 * MIB).unwrap();
            assert!(open.iter().chain(&*later).all(|&byte| byte == 0));
            drop((open, later));
            assert!(mapped.intact().is_err());
        }
    }

    #[test]
    fn a_hole_that_is_filled_is_noticed() {
        let file = sparse_file(2 * MIB, &[], b"");
        let mapped = Mapped::open(file.path()).unwrap();
        assert_eq!(mapped.window(MIB..MIB + 1).unwrap()[..], [0]);
        file.as_file().write_all_at(b"x", MIB).unwrap();
        assert_eq!(mapped.window(MIB..MIB + 1).unwrap()[..], *b"x");
        assert!(mapped.intact().unwrap_err().to_string().contains("changed"));
    }

    #[test]
    fn an_empty_file_has_an_empty_window() {
        let file = file_of(b"");
        assert!(Mapped::open(file.path()).unwrap().window(0..0).unwrap().is_empty());
    }

    #[test]
    fn a_file_that_shrinks_while_a_window_is_open_is_noticed_and_kills_nobody() {
        let file = file_of(&[7; 100_000]);
        let mapped = Mapped::open(file.path()).unwrap();
        let window = mapped.window(0..100_000).unwrap();
        file.as_file().set_len(10_000).unwrap();
        assert_eq!(memchr::memchr_iter(7, &window).count(), 10_000);
        drop(window);
        assert!(mapped.intact().unwrap_err().to_string().contains("shrank"));
    }

    #[test]
    fn a_file_that_changes_is_noticed() {
        let mut file = file_of(&[7; 1000]);
        let mapped = Mapped::open(file.path()).unwrap();
        file.write_all(b"more").unwrap();
        assert!(mapped.intact().unwrap_err().to_string().contains("changed"));
    }
}
