//! What to ask which server: every location of every part, at each server of its label, once for all sets.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt as _;

use jigdo::bstr::{BStr, BString, ByteSlice as _};
use jigdo::jigdo_file::{Jigdo, Location, Server, is_scheme};
use jigdo::{Checksum, Sum};

use super::set::Set;
use crate::set::{BadPlace, Place};

/// The probes to make, and the sets that need them.
#[derive(Default)]
pub struct Plan {
    pub servers: Vec<PlannedServer>,
    pub probes: Vec<Probe>,
    pub needs: Vec<Need>,
    server_places: HashMap<(BString, BString, bool), usize>,
    probe_places: HashMap<(usize, BString), usize>,
    need_places: HashMap<(Sum, Vec<usize>, Location), usize>,
}

/// A server of a label.
pub struct PlannedServer {
    /// Empty for parts with a URL or a path of their own.
    pub label: BString,
    /// The URL that paths are appended to.
    pub url: BString,
    pub try_last: bool,
}

/// A file to ask for.
pub struct Probe {
    pub server: usize,
    pub place: Result<Place, BadPlace>,
    /// The sums that sets expect it to have.
    pub sums: Vec<Sum>,
}

/// A part that sets need.
pub struct Need {
    pub sum: Sum,
    /// In bytes; `None` if no template has it.
    pub length: Option<u64>,
    /// Any of these will do.
    pub probes: Vec<usize>,
    /// Its first location.
    pub location: Location,
    pub sets: Vec<usize>,
}

impl Plan {
    /// Makes the plan for these sets. `servers` replace those of their labels. At most `sample` parts of each label in a
    /// set are probed: a fixed choice that prefers the same parts in every set.
    pub fn new(sets: &[Set], servers: &[(BString, Server)], sample: Option<usize>) -> Self {
        let mut plan = Self::default();
        for (number, set) in sets.iter().enumerate() {
            plan.add(number, set, servers, sample);
        }
        plan
    }

    fn add(&mut self, number: usize, set: &Set, servers: &[(BString, Server)], sample: Option<usize>) {
        let mut listed = set.jigdo.servers.clone();
        listed.retain(|(label, _)| !servers.iter().any(|(given, _)| given == label));
        listed.extend_from_slice(servers);
        let jigdo = Jigdo { servers: listed, ..Jigdo::default() };
        let mut bases: HashMap<&BStr, Vec<usize>> = HashMap::new();
        for (sum, locations) in chosen(set, sample) {
            let mut probes = Vec::new();
            for location in &locations {
                let label = location.label.as_bstr();
                let bases = bases.entry(label).or_insert_with(|| self.servers_of(&jigdo, label));
                for &server in &*bases {
                    let path = if is_direct(label) { location.text() } else { location.path.clone() };
                    let base: &[u8] = if is_direct(label) { b"" } else { &self.servers[server].url };
                    let text = [base, &path].concat();
                    probes.push(self.probe(server, path, &text, set, sum));
                }
            }
            self.need(number, set, sum, probes, locations[0]);
        }
    }

    /// The servers of a label, those with `--try-last` at the end. A label without servers counts as its own server, so
    /// that it is reported.
    fn servers_of(&mut self, jigdo: &Jigdo, label: &BStr) -> Vec<usize> {
        if is_direct(label) {
            return vec![self.server(b"", b"", false)];
        }
        let base = Location { label: label.to_owned(), path: BString::default() };
        let is_last = |url: &BString| {
            let mut last = jigdo.servers.iter().filter(|(known, server)| known == label && server.try_last);
            last.any(|(_, server)| server.url == *url)
        };
        match jigdo.urls(&base) {
            Ok(urls) => urls.iter().map(|url| self.server(label, url, is_last(url))).collect(),
            Err(_) => vec![self.server(label, &base.text(), false)],
        }
    }

    fn server(&mut self, label: &[u8], url: &[u8], try_last: bool) -> usize {
        let next = self.servers.len();
        let key = (label.into(), url.into(), try_last);
        *self.server_places.entry(key).or_insert_with_key(|(label, url, try_last)| {
            self.servers.push(PlannedServer { label: label.clone(), url: url.clone(), try_last: *try_last });
            next
        })
    }

    fn probe(&mut self, server: usize, path: BString, text: &[u8], set: &Set, sum: Sum) -> usize {
        // The target of a relative path depends on the set.
        let place = Place::of(text, &set.origin);
        let key = match &place {
            Ok(Place::File(path)) => path.as_os_str().as_bytes().into(),
            _ => path,
        };
        let next = self.probes.len();
        let number = *self.probe_places.entry((server, key)).or_insert(next);
        if number == next {
            self.probes.push(Probe { server, place, sums: Vec::new() });
        }
        let probe = &mut self.probes[number];
        if !probe.sums.contains(&sum) {
            probe.sums.push(sum);
        }
        number
    }

    fn need(&mut self, number: usize, set: &Set, sum: Sum, probes: Vec<usize>, location: &Location) {
        let next = self.needs.len();
        let place = *self.need_places.entry((sum, probes, location.clone())).or_insert_with_key(|(sum, probes, _)| {
            self.needs.push(Need {
                sum: *sum,
                length: None,
                probes: probes.clone(),
                location: location.clone(),
                sets: Vec::new(),
            });
            next
        });
        let need = &mut self.needs[place];
        need.length = need.length.or(set.lengths.get(&sum).copied());
        need.sets.push(number);
    }
}

impl Probe {
    /// The kinds of sums that sets expect.
    pub fn checksums(&self) -> Vec<Checksum> {
        Checksum::ALL.into_iter().filter(|&kind| self.sums.iter().any(|sum| sum.checksum() == kind)).collect()
    }
}

/// Whether a location with this label is itself a URL or a path.
fn is_direct(label: &[u8]) -> bool {
    label.is_empty() || is_scheme(label)
}

/// The set's parts with all their locations; with `sample`, only those with the smallest sums of each label, which makes
/// a fixed pseudo-random sample.
fn chosen(set: &Set, sample: Option<usize>) -> Vec<(Sum, Vec<&Location>)> {
    let mut parts: BTreeMap<Sum, Vec<&Location>> = BTreeMap::new();
    for (sum, location) in &set.jigdo.parts {
        let locations = parts.entry(*sum).or_default();
        if !locations.contains(&location) {
            locations.push(location);
        }
    }
    let mut counts: HashMap<&BStr, usize> = HashMap::new();
    let mut chosen = Vec::with_capacity(parts.len());
    let mut is_within = |label| {
        let count = counts.entry(label).or_default();
        *count += 1;
        sample.is_none_or(|sample| *count <= sample)
    };
    for (sum, locations) in parts {
        if is_within(locations[0].label.as_bstr()) {
            chosen.push((sum, locations));
        }
    }
    chosen
}
