//! Everything that is tested from outside, in one program: it is linked once, and shares its helpers. All tests of one
//! file: `cargo test --test all matcher::`. The harness is our own: see `common/harness.rs`.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a test says what it did not look at")]

// Its `#[test]` takes the place of the usual one in all modules.
#[macro_use]
extern crate testing_macros;

mod assemble;
mod check;
mod cli;
mod common;
mod containers;
mod documents;
mod drop_in;
mod drop_in_scripts;
mod drop_in_table;
mod existing;
mod faults;
mod foreign_texts;
mod in_the_way;
mod includes;
mod jigdo_file;
mod logs;
mod long_paths;
mod man;
mod matcher;
mod mirrors;
mod modes;
mod odd_files;
mod peers;
mod places;
mod property;
mod prune_sets;
mod publish;
mod reports;
mod servers;
mod several_images;
mod snapshot;
mod snapshot_places;
mod snapshot_prune;
mod special_files;
mod unreadable;
mod vectors;
mod verify;

fn main() -> std::process::ExitCode {
    common::harness::main()
}
mod warnings;
