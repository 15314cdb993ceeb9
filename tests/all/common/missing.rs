//! What the running test found missing. Each test has a thread of its own, which asks.

use std::cell::RefCell;
use std::collections::BTreeSet;

/// Set to `required` where a missing peer is a failure, as in CI; elsewhere, tests that need it are skipped.
const PEERS: &str = "JIGPRESS_PEERS";

thread_local! {
    static MISSING: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// A program, or what else a peer needs, is missing: the test is skipped, or it fails where all peers are required.
#[track_caller]
pub fn peer(what: &str) {
    assert!(std::env::var_os(PEERS).is_none_or(|value| value != "required"), "{what} is missing");
    other(what);
}

/// Something is missing that not even CI always has: the test is skipped.
pub fn other(what: &str) {
    MISSING.with_borrow_mut(|missing| missing.insert(what.to_owned()));
}

/// What was missing.
pub fn take() -> BTreeSet<String> {
    MISSING.take()
}
