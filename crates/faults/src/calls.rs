//! The system calls that are watched.

use nix::libc;

/// A system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    pub(crate) number: i64,
}

macro_rules! calls {
    ($($name:ident = $number:ident),* $(,)?) => {
        &[$(Call { name: stringify!($name), number: libc::$number }),*]
    };
}

/// Everything that opens, writes, syncs, renames, links, locks or removes files.
pub const CHANGES: &[Call] = calls![
    open = SYS_open,
    openat = SYS_openat,
    openat2 = SYS_openat2,
    creat = SYS_creat,
    write = SYS_write,
    pwrite64 = SYS_pwrite64,
    writev = SYS_writev,
    pwritev = SYS_pwritev,
    pwritev2 = SYS_pwritev2,
    copy_file_range = SYS_copy_file_range,
    sendfile = SYS_sendfile,
    ioctl = SYS_ioctl,
    truncate = SYS_truncate,
    ftruncate = SYS_ftruncate,
    fallocate = SYS_fallocate,
    fsync = SYS_fsync,
    fdatasync = SYS_fdatasync,
    sync_file_range = SYS_sync_file_range,
    syncfs = SYS_syncfs,
    msync = SYS_msync,
    rename = SYS_rename,
    renameat = SYS_renameat,
    renameat2 = SYS_renameat2,
    link = SYS_link,
    linkat = SYS_linkat,
    symlink = SYS_symlink,
    symlinkat = SYS_symlinkat,
    unlink = SYS_unlink,
    unlinkat = SYS_unlinkat,
    mkdir = SYS_mkdir,
    mkdirat = SYS_mkdirat,
    rmdir = SYS_rmdir,
    chmod = SYS_chmod,
    fchmod = SYS_fchmod,
    fchmodat = SYS_fchmodat,
    chown = SYS_chown,
    fchown = SYS_fchown,
    fchownat = SYS_fchownat,
    utimensat = SYS_utimensat,
    flock = SYS_flock,
];

/// Everything that reads files and directories, but for memory maps.
pub const READS: &[Call] = calls![
    read = SYS_read,
    pread64 = SYS_pread64,
    readv = SYS_readv,
    preadv = SYS_preadv,
    getdents64 = SYS_getdents64,
    stat = SYS_stat,
    lstat = SYS_lstat,
    fstat = SYS_fstat,
    newfstatat = SYS_newfstatat,
    statx = SYS_statx,
    mmap = SYS_mmap,
];
