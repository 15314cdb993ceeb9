//! Maps of files whose lost pages are replaced by pages of zeros, instead of the process being killed by SIGBUS.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use memmap2::{Advice, Mmap, MmapOptions};

/// A map of a file whose lost pages the SIGBUS handler replaces.
pub(super) struct Watched {
    pub(super) map: Mmap,
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
pub(super) static INSTALL: Once = Once::new();

impl Watched {
    /// Maps the first `length` bytes of `file`.
    pub(super) fn over(file: &File, length: u64) -> io::Result<Self> {
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

    pub(super) fn has_lost_pages(&self) -> bool {
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
pub(super) static PAGE: AtomicUsize = AtomicUsize::new(4096);

pub(super) fn install_handler() {
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
