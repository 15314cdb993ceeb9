//! The windows through which a mapped file is read.

use std::io;
use std::ops::Deref;
use std::sync::OnceLock;

use memmap2::{Advice, Mmap, MmapOptions};

/// A range of a mapped file's bytes.
pub enum Window<'a> {
    /// Bytes of the map, or of the zeros that all windows share.
    Borrowed(&'a [u8]),
    /// More zeros than are shared.
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

/// A window of `length` zeros.
pub(super) fn zeros(length: usize) -> io::Result<Window<'static>> {
    /// As long as most windows, so that few need zeros of their own.
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

/// Maps zeros that take addresses and page tables, but no memory: all their pages are the kernel's page of zeros.
fn map_zeros(length: usize) -> io::Result<Mmap> {
    let map = MmapOptions::new().len(length).no_reserve_swap().map_anon()?.make_read_only()?;
    // Both are only advice. The kernel has a huge page of zeros too, which turns 512 page faults into one.
    let _ = map.advise(Advice::HugePage);
    let _ = map.advise(Advice::PopulateRead);
    Ok(map)
}
