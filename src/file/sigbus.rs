//! Maps of files that survive the loss of pages.
//!
//! When a mapped file shrinks, or its disk fails, a process that touches a lost page is killed with SIGBUS. Here the
//! signal is caught, and zeros take the place of the whole map: one lost page makes all of it useless, and a file that
//! was cut short would lose a quarter of a million pages for each GiB. [`GuardedMap::has_lost_pages`] reports it.
//! A SIGBUS that has another cause goes to the handler that was there before.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use memmap2::{Advice, Mmap, MmapOptions};

/// A map of a file whose lost pages the SIGBUS handler replaces.
pub(super) struct GuardedMap {
    pub(super) map: Mmap,
    /// Its index in `RANGES`.
    slot: usize,
}

/// A range of addresses in which the SIGBUS handler may replace lost pages. One with an `end` of 0 is free.
struct AddressRange {
    start: AtomicUsize,
    end: AtomicUsize,
    lost: AtomicBool,
}

/// How many files the process can map at the same time. Few systems let it open as many.
const MAX_MAPS: usize = 1 << 16;

static RANGES: [AddressRange; MAX_MAPS] = [const {
    AddressRange { start: AtomicUsize::new(usize::MAX), end: AtomicUsize::new(0), lost: AtomicBool::new(false) }
}; MAX_MAPS];
/// Where the next search for a free one of `RANGES` begins.
static NEXT: AtomicUsize = AtomicUsize::new(0);

impl GuardedMap {
    /// Maps the first `length` bytes of `file`, at least one.
    pub(super) fn new(file: &File, length: u64) -> io::Result<Self> {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(install_handler);
        refuse_huge_pages(file)?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        // SAFETY: the map is only read. Another process may write to the file, as to any mapped file, so that the same
        // bytes may be read with different values. The hashes that everything is checked with detect that, and so does
        // `Mapped::intact`. Pages that vanish are replaced by the SIGBUS handler.
        let map = unsafe { MmapOptions::new().len(length).map(file)? };
        // A page fault need not read the pages before it, and used pages need not be kept longer than others.
        let _ = map.advise(Advice::Sequential);
        let start = map.as_ptr() as usize;
        for _ in 0..MAX_MAPS {
            let slot = NEXT.fetch_add(1, Ordering::Relaxed) % MAX_MAPS;
            let range = &RANGES[slot];
            // The end is set first, then the start: between the two the range is empty.
            if range.end.compare_exchange(0, start + length, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                range.lost.store(false, Ordering::Relaxed);
                range.start.store(start, Ordering::Release);
                return Ok(Self { map, slot });
            }
        }
        Err(io::Error::other(format!("more than {MAX_MAPS} files are mapped at once")))
    }

    /// Whether any page was lost, and replaced by zeros, since the file was mapped.
    pub(super) fn has_lost_pages(&self) -> bool {
        RANGES[self.slot].lost.load(Ordering::Acquire)
    }
}

impl Drop for GuardedMap {
    fn drop(&mut self) {
        // Before the map is dropped, after which its addresses may be used for something else.
        let range = &RANGES[self.slot];
        range.start.store(usize::MAX, Ordering::Release);
        range.end.store(0, Ordering::Release);
    }
}

/// The earlier disposition of SIGBUS, for faults outside of `RANGES`.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();
/// The length of a page of memory, in bytes. The first map sets it.
static PAGE: AtomicUsize = AtomicUsize::new(4096);

/// The length of a page of memory, in bytes. There must be a map.
pub(super) fn page_size() -> usize {
    PAGE.load(Ordering::Relaxed)
}

/// A map of a file on hugetlbfs can be replaced in whole huge pages only, and nobody keeps images or mirrors there.
fn refuse_huge_pages(file: &File) -> io::Result<()> {
    /// Blocks are as long as huge pages there. Elsewhere they are rarely as long as this.
    const HUGE: u64 = 1 << 20;
    const HUGETLBFS: u64 = 0x9584_58f6;
    let is_there = file.metadata()?.blksize() >= HUGE && rustix::fs::fstatfs(file)?.f_type as u64 == HUGETLBFS;
    let refused = || io::Error::other("it is on hugetlbfs, where maps are not safe; copy it to another file system");
    if is_there { Err(refused()) } else { Ok(()) }
}

fn install_handler() {
    // SAFETY: plain calls into libc with valid pointers; the handler only does what a signal handler may.
    unsafe {
        PAGE.store(libc::sysconf(libc::_SC_PAGESIZE) as usize, Ordering::Relaxed);
        let mut before: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut before);
        let _ = BEFORE.set(before);
        install();
    }
}

/// Makes [`handle`] the handler of SIGBUS.
///
/// # Safety
/// [`BEFORE`] must be set. A signal handler may call this.
unsafe fn install() {
    // SAFETY: plain calls into libc with valid pointers.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

/// Replaces a guarded map that has lost a page by zeros. Any other SIGBUS goes to the earlier handler.
extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler installed with SA_SIGINFO.
    let (address, code) = unsafe { ((*info).si_addr() as usize, (*info).si_code) };
    // Codes of 0 and below mean that somebody has sent the signal, and that there is no address.
    let is_fault = code > 0;
    if is_fault && replace_map(address) {
        return;
    }
    // SAFETY: `info` and `context` are the kernel's own.
    unsafe { pass_on(is_fault, signal, info, context) }
}

/// Replaces the guarded map that has this address by zeros. Returns `false` if there is none.
fn replace_map(address: usize) -> bool {
    let bounds = |range: &AddressRange| range.start.load(Ordering::Acquire)..range.end.load(Ordering::Acquire);
    let Some(range) = RANGES.iter().find(|range| bounds(range).contains(&address)) else { return false };
    let (bounds, page) = (bounds(range), page_size());
    // SAFETY: the pages are those of a live map, which begins at a page, and which is only read elsewhere. `mmap` is a
    // plain system call, which a signal handler may make.
    let zeros = unsafe {
        libc::mmap(
            bounds.start as *mut libc::c_void,
            (bounds.end - bounds.start).next_multiple_of(page),
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    let is_replaced = zeros != libc::MAP_FAILED;
    if is_replaced {
        range.lost.store(true, Ordering::Release);
    }
    is_replaced
}

/// Does with a signal what would have been done without this module.
///
/// # Safety
/// Only for a signal handler, with what the kernel passed to it.
unsafe fn pass_on(is_fault: bool, signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(before) = BEFORE.get() else { return };
    // SAFETY: `before` is what `sigaction` returned, so its handler has the type that its flags say. The rest are system
    // calls, which a signal handler may make.
    unsafe {
        match before.sa_sigaction {
            libc::SIG_IGN if !is_fault => {}
            libc::SIG_IGN | libc::SIG_DFL => {
                // The process dies when this returns: of the same fault, or of the signal that is sent again.
                libc::sigaction(libc::SIGBUS, before, std::ptr::null_mut());
                if !is_fault {
                    libc::raise(signal);
                }
            }
            handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(handler);
                handler(signal, info, context);
            }
            handler => {
                let handler: extern "C" fn(libc::c_int) = std::mem::transmute(handler);
                handler(signal);
            }
        }
        // Rust's own handler removes itself, and with it this one, when it does not know a signal. After a fault that is
        // right: the access is repeated, and the process dies. After a signal from outside, maps are still to be guarded.
        if !is_fault && before.sa_sigaction != libc::SIG_DFL {
            install();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(length: usize) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(length as u64).unwrap();
        file
    }

    #[test]
    fn a_map_that_lost_a_page_is_zeros_to_its_end() {
        use std::io::Write as _;
        let (mut lost, kept) = (tempfile::tempfile().unwrap(), file(1 << 16));
        lost.write_all(&[7; 1 << 20]).unwrap();
        let map = GuardedMap::new(&lost, (1 << 20) - 5).unwrap();
        let other = GuardedMap::new(&kept, 1 << 16).unwrap();
        assert_eq!(map.map[1 << 19], 7);
        lost.set_len(1 << 18).unwrap();
        assert_eq!(map.map[1 << 19], 0);
        assert!(map.map.iter().all(|&byte| byte == 0));
        assert!(map.has_lost_pages() && !other.has_lost_pages());
    }

    #[test]
    fn a_signal_from_outside_leaves_maps_guarded() {
        let file = file(1 << 16);
        let map = GuardedMap::new(&file, 1 << 16).unwrap();
        // SAFETY: a plain system call. Rust's handler, which was there before, does nothing with such a signal.
        unsafe { libc::raise(libc::SIGBUS) };
        file.set_len(0).unwrap();
        assert_eq!(map.map[1 << 15], 0);
        assert!(map.has_lost_pages());
    }
}
