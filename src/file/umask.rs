//! The umask for files that are the user's own, such as the index, in a process whose own umask is for files that are
//! published.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// In addition to the process's own umask.
static PRIVATE: AtomicU32 = AtomicU32::new(0);

/// From now on, files that are the user's own are created with this umask.
pub fn set_private_umask(umask: u32) {
    PRIVATE.store(umask, Ordering::Relaxed);
}

/// Creates an empty file of the user's own, and its directory, unless they are there. Whatever fails here fails again when
/// the file is opened, with an error that says what to do.
pub fn make_private(path: &Path) {
    let umask = PRIVATE.load(Ordering::Relaxed);
    if let Some(directory) = path.parent() {
        let _ = DirBuilder::new().recursive(true).mode(0o777 & !umask).create(directory);
    }
    let _ = File::options().append(true).create_new(true).mode(0o666 & !umask).open(path);
}
