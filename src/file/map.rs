//! A file mapped into memory, and looked at window by window. A hole of a sparse file is not read: its zeros are had for
//! nothing.
//!
//! A mapped file that shrinks, or whose disk fails, kills the process that touches the lost page with SIGBUS. Here
//! the signal is caught, a page of zeros takes the lost one's place, and [`Mapped::intact`] says so afterwards: who
//! uses bytes of a window for a lasting result asks it before he keeps the result.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::{Deref, Range};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use memmap2::{Advice, Mmap, MmapOptions, UncheckedAdvice};
use parking_lot::{Mutex, MutexGuard};

use crate::file::Bytes;
use crate::file::Stamp;

/// An open file whose bytes are reached through windows of memory.
///
/// All of it is mapped as long as it is open, which takes addresses but no memory: pages come with the windows, and go
/// with [`Mapped::let_go`].
pub struct Mapped {
    path: PathBuf,
    /// `None` once it is closed.
    file: Option<File>,
    stamp: Stamp,
    is_sparse: bool,
    /// `None` if the file is empty.
    map: Option<Watched>,
    /// A range whose pages are there, as far as the system has not taken them back.
    present: Mutex<Range<u64>>,
}

impl Mapped {
    /// Opens the file at `path` for reading.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::over(path, |stamp| stamp.size)
    }

    /// Opens a file that is being written, and will have `most` bytes at the most. Its length is taken to be that; only
    /// what is written already may be looked at. It is not [`Mapped::intact`].
    pub fn growing(path: &Path, most: u64) -> io::Result<Self> {
        let grown = Self::over(path, |_| most)?;
        Ok(Self { stamp: Stamp { size: most, ..grown.stamp }, is_sparse: false, ..grown })
    }

    /// Opens the file, and maps as many bytes of it as `length` says.
    fn over(path: &Path, length: impl Fn(&Stamp) -> u64) -> io::Result<Self> {
        let file = open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        INSTALL.call_once(install_handler);
        let stamp = Stamp::of(&metadata);
        let is_sparse = metadata.blocks() * 512 < stamp.size;
        let length = length(&stamp);
        let map = if length == 0 { None } else { Some(Watched::over(&file, length)?) };
        let present = Mutex::new(0..0);
        Ok(Self { path: path.to_owned(), file: Some(file), stamp, is_sparse, map, present })
    }

    /// The same without an open file, of which a process may not have many. A long sparse one stays open, so that its
    /// holes are not read.
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

    /// An error if a page of any window was lost so far, or the file is not what it was when it was opened,
    /// or its path now leads to another one.
    pub fn intact(&self) -> io::Result<()> {
        if self.map.as_ref().is_some_and(Watched::has_lost_pages) {
            return Err(io::Error::other("it shrank, or its disk failed, while it was read"));
        }
        let changed = |metadata: std::fs::Metadata| Stamp::of(&metadata) != self.stamp;
        let of_file = self.file.as_ref().map(File::metadata).transpose()?;
        if of_file.is_some_and(changed) || changed(std::fs::metadata(&self.path)?) {
            return Err(io::Error::other("it changed while it was read"));
        }
        Ok(())
    }

    /// Whether the file takes less room on its disk than it has bytes: it may have holes.
    pub fn is_sparse(&self) -> bool {
        self.is_sparse
    }

    /// Says that from now on only windows here and there will be wanted: nothing is read beside them.
    pub fn scatter(&self) {
        if let Some(Watched { map, .. }) = &self.map {
            // Only advice.
            let _ = map.advise(Advice::Random);
        }
    }

    /// Says that windows of this range will be wanted soon: what is not in memory is read meanwhile.
    pub fn expect(&self, range: Range<u64>) {
        // Whether all of the range is a hole is asked when its windows come; that some of it is, nobody asks.
        if self.is_sparse {
            return;
        }
        if let Some((map, offset, length)) = self.mapped(range) {
            // Only advice.
            let _ = map.advise_range(Advice::WillNeed, offset, length);
        }
    }

    /// Says that no window of this range is wanted any more. Open ones stay as they are.
    pub fn let_go(&self, range: Range<u64>) {
        let mut present = self.present();
        let before = present.start.min(range.end);
        present.start = present.start.max(range.end).min(present.end);
        drop(present);
        if let Some((map, offset, length)) = self.mapped(before.max(range.start)..range.end) {
            let page = PAGE.load(Ordering::Relaxed);
            let (start, end) = (offset / page * page, offset + length);
            // Where memory is scarce, what was done with goes before what was read ahead.
            // SAFETY: the range is mapped, and the call is advice that changes no byte.
            let _ = unsafe { libc::madvise(map.as_ptr().add(start) as *mut _, end - start, libc::MADV_COLD) };
            // SAFETY: the map is shared and only read, so its pages come back from the file, as they were, when
            // somebody reads them. Those that took the place of lost ones come back as zeros, which they were.
            let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, length) };
        }
    }

    /// The map, and where in it the part of `range` is that the file has.
    fn mapped(&self, range: Range<u64>) -> Option<(&Mmap, usize, usize)> {
        let map = &self.map.as_ref()?.map;
        let end = range.end.min(self.stamp.size);
        (range.start < end).then(|| (map, range.start as usize, (end - range.start) as usize))
    }

    fn present(&self) -> MutexGuard<'_, Range<u64>> {
        self.present.lock()
    }

    /// Gets the pages of `range` at once, which is much cheaper than one by one as they are read, unless they are there.
    fn populate(&self, range: Range<u64>) {
        let mut present = self.present();
        if present.start <= range.start && range.end <= present.end {
            return;
        }
        // Most windows follow one another. Whoever wants the same bytes at the same time waits no longer for them than
        // he would without this.
        let follows = (present.start..=present.end).contains(&range.start);
        let missing = if follows { present.end..range.end } else { range };
        *present = if follows { present.start..missing.end } else { missing.clone() };
        drop(present);
        if let Some((map, offset, length)) = self.mapped(missing) {
            // It is only advice: a kernel older than 5.14 does not know it, and pages that are not there show when they
            // are read.
            let _ = map.advise_range(Advice::PopulateRead, offset, length);
        }
    }

    /// A window of bytes of which only few will be read: pages come as they are.
    pub fn sparing_window(&self, range: Range<u64>) -> io::Result<Window<'_>> {
        match self.mapped(range) {
            Some((map, offset, length)) => Ok(Window::Borrowed(&map[offset..offset + length])),
            None => Ok(Window::Borrowed(&[])),
        }
    }

    /// Whether the file system knows that all of `range` is a hole. Behind the end of a file that shrank it says so
    /// too, and [`Mapped::intact`] that it shrank.
    fn is_hole(&self, range: &Range<u64>) -> bool {
        let (Some(file), Ok(start)) = (&self.file, libc::off_t::try_from(range.start)) else { return false };
        // SAFETY: the descriptor is open as long as the file is, and the call touches no memory. It moves the file's
        // position, which nothing here relies on.
        match unsafe { libc::lseek(file.as_raw_fd(), start, libc::SEEK_DATA) } {
            -1 => io::Error::last_os_error().raw_os_error() == Some(libc::ENXIO),
            data => data as u64 >= range.end,
        }
    }
}

/// Opens a file for reading. Should a pipe be in its place, that does not wait for a writer.
///
/// Reading leaves access times alone: to write them for every file of a mirror costs more than to read their heads.
/// The system allows that for one's own files only.
pub fn open(path: &Path) -> io::Result<File> {
    static IS_ALLOWED: AtomicBool = AtomicBool::new(true);
    let open = |flags| OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | flags).open(path);
    if IS_ALLOWED.load(Ordering::Relaxed) {
        match open(libc::O_NOATIME) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => IS_ALLOWED.store(false, Ordering::Relaxed),
            result => return result,
        }
    }
    open(0)
}

/// A range of a mapped file's bytes.
pub enum Window<'a> {
    /// Of the map, or zeros that all share.
    Borrowed(&'a [u8]),
    /// Zeros of its own.
    Owned(Mmap),
}

impl Deref for Window<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(map) => map,
        }
    }
}

/// `length` zeros.
fn zeros(length: usize) -> io::Result<Window<'static>> {
    /// As long as most windows, so that few have to make zeros of their own.
    const SHARED: usize = 64 << 20;
    static ZEROS: OnceLock<Mmap> = OnceLock::new();
    if length > SHARED {
        return map_zeros(length).map(Window::Owned);
    }
    let shared = match ZEROS.get() {
        Some(shared) => shared,
        None => {
            let map = map_zeros(SHARED)?;
            ZEROS.get_or_init(|| map)
        }
    };
    Ok(Window::Borrowed(&shared[..length]))
}

/// Zeros that take addresses and page tables, but no memory: all their pages are the kernel's page of zeros.
fn map_zeros(length: usize) -> io::Result<Mmap> {
    let map = MmapOptions::new().len(length).no_reserve_swap().map_anon()?.make_read_only()?;
    // Both are only advice. There is a huge page of zeros too, which makes 512 page faults one.
    let _ = map.advise(Advice::HugePage);
    let _ = map.advise(Advice::PopulateRead);
    Ok(map)
}

impl Bytes for Mapped {
    type Window<'a> = Window<'a>;

    fn length(&self) -> u64 {
        self.stamp.size
    }

    fn window(&self, range: Range<u64>) -> io::Result<Window<'_>> {
        if range.end > self.stamp.size || range.start > range.end {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("it has no bytes {range:?}")));
        }
        let Some((map, offset, length)) = self.mapped(range.clone()) else {
            return Ok(Window::Borrowed(&[]));
        };
        // To read a hole through a map of the file would fill the page cache with pages of zeros. Asking takes some
        // microseconds, much less than reading does.
        if self.is_sparse && self.is_hole(&range) {
            return zeros(length);
        }
        self.populate(range);
        Ok(Window::Borrowed(&map[offset..offset + length]))
    }
}

/// A map of a file whose lost pages the SIGBUS handler replaces.
struct Watched {
    map: Mmap,
    /// Its place in `RANGES`.
    place: usize,
}

/// A range of addresses in which the SIGBUS handler may replace lost pages. An `end` of 0: free to take.
struct AddressRange {
    start: AtomicUsize,
    end: AtomicUsize,
    lost: AtomicBool,
}

/// How many files can be mapped at once in the process. Few systems let it open as many.
const MOST_FILES: usize = 1 << 16;

static RANGES: [AddressRange; MOST_FILES] = [const {
    AddressRange { start: AtomicUsize::new(usize::MAX), end: AtomicUsize::new(0), lost: AtomicBool::new(false) }
}; MOST_FILES];
/// Where the next search for a free place in `RANGES` begins.
static NEXT: AtomicUsize = AtomicUsize::new(0);
static INSTALL: Once = Once::new();

impl Watched {
    /// Maps the first `length` bytes of `file`.
    fn over(file: &File, length: u64) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        // SAFETY: the map is only read. Another process may write to the file, as to any mapped file: then the bytes
        // are not the same each time, which the hashes that everything is checked with find out, and `intact`
        // too. Pages that vanish are caught by the SIGBUS handler.
        let map = unsafe { MmapOptions::new().len(length).map(file)? };
        // Nothing before a missing page is to be read with it, and one that was used does not outlive others for that.
        let _ = map.advise(Advice::Sequential);
        let start = map.as_ptr() as usize;
        for _ in 0..MOST_FILES {
            let place = NEXT.fetch_add(1, Ordering::Relaxed) % MOST_FILES;
            let range = &RANGES[place];
            // The end is taken first and the start set after it: between the two the range is empty.
            if range.end.compare_exchange(0, start + length, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                range.lost.store(false, Ordering::Relaxed);
                range.start.store(start, Ordering::Release);
                return Ok(Self { map, place });
            }
        }
        Err(io::Error::other(format!("more than {MOST_FILES} files are mapped at once")))
    }

    fn has_lost_pages(&self) -> bool {
        RANGES[self.place].lost.load(Ordering::Acquire)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Before the map goes, and its addresses to somebody else.
        let range = &RANGES[self.place];
        range.start.store(usize::MAX, Ordering::Release);
        range.end.store(0, Ordering::Release);
    }
}

/// What SIGBUS did before, for faults that are not ours.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();
static PAGE: AtomicUsize = AtomicUsize::new(4096);

fn install_handler() {
    // SAFETY: plain calls into libc with valid pointers; the handler only does what a signal handler may.
    unsafe {
        PAGE.store(libc::sysconf(libc::_SC_PAGESIZE) as usize, Ordering::Relaxed);
        let mut before: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut before);
        let _ = BEFORE.set(before);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = replace_lost_page as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut());
    }
}

/// Puts a page of zeros where a watched one was lost. Any other fault goes to whoever handled SIGBUS before.
extern "C" fn replace_lost_page(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler installed with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    let page = PAGE.load(Ordering::Relaxed);
    let range = RANGES
        .iter()
        .find(|range| (range.start.load(Ordering::Acquire)..range.end.load(Ordering::Acquire)).contains(&address));
    // SAFETY: the page lies in a mapping that belongs to a live file, whose other users only read; `mmap` and
    // `sigaction` are system calls without state of their own, so a handler may make them.
    unsafe {
        if let Some(range) = range {
            let zeros = libc::mmap(
                (address / page * page) as *mut libc::c_void,
                page,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            );
            if zeros != libc::MAP_FAILED {
                range.lost.store(true, Ordering::Release);
                return;
            }
        }
        // Returning makes the same access fault again, this time under the earlier disposition.
        if let Some(before) = BEFORE.get() {
            libc::sigaction(libc::SIGBUS, before, std::ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    /// Whether the file system for temporary files tells where holes are.
    fn holes_are_known() -> bool {
        let file = sparse_file(MIB, &[], b"");
        let known = Mapped::open(file.path()).unwrap().is_hole(&(0..MIB));
        if !known {
            eprintln!("skipped: the file system for temporary files does not tell where holes are");
        }
        known
    }

    /// How many pages of a range of the file, which begins with a page, are in the page cache.
    fn cached_pages(file: &File, range: Range<u64>) -> usize {
        let length = (range.end - range.start) as usize;
        // SAFETY: the map is never read.
        let map = unsafe { MmapOptions::new().offset(range.start).len(length).map(file) }.unwrap();
        let mut pages = vec![0u8; length.div_ceil(PAGE.load(Ordering::Relaxed))];
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
        // One is longer than the zeros that windows share.
        for range in [MIB..139 * MIB, 5 * MIB + 1..20 * MIB - 1, 30 * MIB..30 * MIB + 1] {
            assert!(mapped.window(range).unwrap().iter().all(|&byte| byte == 0));
        }
        assert_eq!(cached_pages(file.as_file(), MIB..139 * MIB), 0);
        // What is counted is there to be counted.
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
        assert_eq!(window.iter().filter(|&&byte| byte == 7).count(), 10_000);
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
