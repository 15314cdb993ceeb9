//! Runs a program, and kills it or fails one of its system calls at a chosen point.
//!
//! The calls that change files or open them are counted over all threads of the program, so that a test can go through
//! every moment at which a run may be killed, and through every call that may fail on a full or broken disk. A seccomp
//! filter stops the program at these calls only, so it runs at nearly full speed. Only for Linux on x86-64: elsewhere
//! the crate is empty.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod calls;
mod tracer;

pub use calls::{CHANGES, Call, READS};
pub use nix::errno::Errno;
pub use nix::sys::signal::Signal;
pub use tracer::{Ended, Fault, Run, run};
