//! What is set for the whole process, unless it stands in for jigdo-file: signals and the umask.

use rustix::fs::Mode;

use super::signals;
use crate::file::set_private_umask;

/// With this umask, new files can be read by everyone.
const PUBLIC: u32 = 0o022;

/// Sets it. `remark` ends the line that says that a signal ended the run.
pub fn begin(remark: &'static str) {
    signals::begin(remark);
    // What is made is there for others to read, apart from the index.
    let before = rustix::process::umask(Mode::from_raw_mode(PUBLIC));
    set_private_umask(before.as_raw_mode());
}
