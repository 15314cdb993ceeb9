//! The command line: one file a command.

pub mod schema;
//! The command line: one module a command.
pub mod inspect;
