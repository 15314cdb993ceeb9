//! Maps of files that survive the loss of pages.
//!
//! When a mapped file shrinks, or its disk fails, a process that touches a lost page is killed with SIGBUS. Here the
//! signal is caught, and a page of zeros takes the place of the lost one. [`GuardedMap::has_lost_pages`] reports it.

use std::fs::File;
use std::io;
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

fn install_handler() {
    // SAFETY: plain calls into libc with valid pointers; the handler only does what a signal handler may.
    unsafe {
        PAGE.store(libc::sysconf(libc::_SC_PAGESIZE) as usize, Ordering::Relaxed);
        let mut before: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut before);
        let _ = BEFORE.set(before);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = replace_lost_page as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

/// Replaces a lost page of a guarded map by a page of zeros. Any other fault goes to the earlier handler.
extern "C" fn replace_lost_page(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler installed with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    let page = page_size();
    let range = RANGES
        .iter()
        .find(|range| (range.start.load(Ordering::Acquire)..range.end.load(Ordering::Acquire)).contains(&address));
    // SAFETY: the page lies in a live map, which is only read elsewhere. `mmap` and `sigaction` are plain system calls,
    // which a signal handler may make.
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
        // After this returns, the same access faults again, now under the earlier disposition.
        if let Some(before) = BEFORE.get() {
            libc::sigaction(libc::SIGBUS, before, std::ptr::null_mut());
        }
    }
}
