//! From a part's location to the URLs where it can be downloaded. Labels are looked up in `[Servers]`, where they may
//! lead to further labels.

use bstr::{BStr, BString, ByteSlice as _};

use super::{Jigdo, Location};
use crate::escaped;

/// The longest chain of labels.
const MAX_DEPTH: usize = 16;

/// The most URLs of one location.
const MAX_URLS: usize = 1000;

/// The longest URL, in bytes.
const MAX_URL: usize = 64 << 10;

/// Why a location has no list of URLs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum ResolveError {
    #[error("[Servers] has a loop of labels: {}", escaped(&bstr::join(" -> ", .0)))]
    Loop(Vec<BString>),
    #[error("[Servers] has a chain of more than {MAX_DEPTH} labels, beginning with \"{}\"", escaped(.0))]
    TooDeep(BString),
    #[error("[Servers] gives label \"{}\" more than {MAX_URLS} URLs", escaped(.0))]
    TooMany(BString),
    #[error("[Servers] gives label \"{}\" a URL of more than {MAX_URL} bytes", escaped(.0))]
    TooLong(BString),
}

impl Jigdo {
    /// The URLs of `location`, in the order in which to try them: that of `[Servers]`, except that servers marked
    /// `--try-last`, and those reached through them, come last.
    ///
    /// A location whose label has no server is itself a URL, absolute or relative to the jigdo file's own.
    ///
    /// # Errors
    ///
    /// A loop of labels, a chain of more than 16, more than 1000 URLs, or one of more than 64 KiB.
    pub fn urls(&self, location: &Location) -> Result<Vec<BString>, ResolveError> {
        Ok(self.expand(location, |_| false)?.iter().map(Location::text).collect())
    }

    /// The locations that `location` leads to, in the same order. Labels for which `is_known` returns true are not looked
    /// up in `[Servers]`.
    ///
    /// # Errors
    ///
    /// As for [`Jigdo::urls`].
    pub fn expand(&self, location: &Location, is_known: impl Fn(&BStr) -> bool) -> Result<Vec<Location>, ResolveError> {
        let mut walk =
            Walk { jigdo: self, is_known: &is_known, chain: Vec::new(), first: Vec::new(), last: Vec::new() };
        walk.expand(location, false)?;
        walk.first.append(&mut walk.last);
        Ok(walk.first)
    }
}

struct Walk<'a> {
    jigdo: &'a Jigdo,
    is_known: &'a dyn Fn(&BStr) -> bool,
    /// The labels that led here.
    chain: Vec<BString>,
    first: Vec<Location>,
    last: Vec<Location>,
}

impl Walk<'_> {
    fn expand(&mut self, location: &Location, try_last: bool) -> Result<(), ResolveError> {
        let jigdo = self.jigdo;
        let servers = || jigdo.servers.iter().filter(|(label, _)| *label == location.label);
        if location.label.is_empty() || (self.is_known)(location.label.as_bstr()) || servers().next().is_none() {
            return self.push(location.clone(), try_last);
        }
        let looped = self.chain.contains(&location.label);
        self.chain.push(location.label.clone());
        if looped {
            return Err(ResolveError::Loop(std::mem::take(&mut self.chain)));
        }
        if self.chain.len() > MAX_DEPTH {
            return Err(ResolveError::TooDeep(self.start()));
        }
        for (_, server) in servers() {
            let mut next = Location::parse(&server.url);
            next.path.extend_from_slice(&location.path);
            if next.path.len() > MAX_URL {
                return Err(ResolveError::TooLong(self.start()));
            }
            self.expand(&next, try_last || server.try_last)?;
        }
        self.chain.pop();
        Ok(())
    }

    fn push(&mut self, location: Location, try_last: bool) -> Result<(), ResolveError> {
        if self.first.len() + self.last.len() == MAX_URLS {
            return Err(ResolveError::TooMany(self.start()));
        }
        if try_last {
            self.last.push(location);
        } else {
            self.first.push(location);
        }
        Ok(())
    }

    fn start(&self) -> BString {
        self.chain.first().cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jigdo_file::Server;

    fn jigdo(servers: &[(&str, &str, bool)]) -> Jigdo {
        let server =
            |&(label, url, try_last): &(&str, &str, bool)| (label.into(), Server { url: url.into(), try_last });
        Jigdo { servers: servers.iter().map(server).collect(), ..Jigdo::default() }
    }

    fn urls(servers: &[(&str, &str, bool)], location: &str) -> Result<Vec<BString>, ResolveError> {
        jigdo(servers).urls(&Location::parse(location))
    }

    #[test]
    fn servers_are_tried_in_order_and_the_last_ones_last() {
        let servers = [("A", "http://late/", true), ("A", "http://one/", false), ("A", "http://two/", false)];
        assert_eq!(urls(&servers, "A:x y").unwrap(), ["http://one/x y", "http://two/x y", "http://late/x y"]);
    }

    #[test]
    fn labels_lead_through_labels() {
        let servers = [("B", "C:sub/", false), ("C", "http://s/", false), ("B", "http://q/", false)];
        assert_eq!(urls(&servers, "B:foo").unwrap(), ["http://s/sub/foo", "http://q/foo"]);
    }

    #[test]
    fn a_location_without_a_known_label_is_a_url() {
        for url in ["http://zed/foo", "zed/foo", "Zed:foo"] {
            assert_eq!(urls(&[("A", "http://s/", false)], url).unwrap(), [url]);
        }
    }

    #[test]
    fn loops_are_refused_by_name() {
        let error = urls(&[("A", "B:x/", false), ("B", "A:", false)], "A:foo").unwrap_err();
        assert_eq!(error.to_string(), "[Servers] has a loop of labels: A -> B -> A");
    }

    #[test]
    fn servers_that_multiply_or_go_on_are_refused() {
        let labels: Vec<String> = (0..60).map(|depth| format!("L{depth}")).collect();
        let steps: Vec<String> = (1..61).map(|depth| format!("L{depth}:")).collect();
        let chain = |count, width| -> Vec<_> {
            let level = |depth: usize| std::iter::repeat_n((&*labels[depth], &*steps[depth], false), width);
            (0..count).flat_map(level).collect()
        };
        assert_eq!(urls(&chain(60, 1), "L0:x").unwrap_err(), ResolveError::TooDeep("L0".into()));
        assert_eq!(urls(&chain(12, 2), "L0:x").unwrap_err(), ResolveError::TooMany("L0".into()));
        let long = format!("http://{}/", "x".repeat(MAX_URL));
        assert_eq!(urls(&[("A", &long, false)], "A:x").unwrap_err(), ResolveError::TooLong("A".into()));
    }
}
