//! Everything that is tested from outside, in one program: it is linked once, and shares its helpers. All tests of one
//! file: `cargo test --test all matcher::`.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a test says what it skips")]

mod assemble;
mod check;
mod cli;
mod common;
mod containers;
mod documents;
mod drop_in;
mod drop_in_scripts;
mod drop_in_table;
mod includes;
mod jigdo_file;
mod logs;
mod matcher;
mod peers;
mod places;
mod property;
mod publish;
mod servers;
mod snapshot;
mod vectors;
mod verify;
