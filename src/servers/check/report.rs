//! The report on a check, and the order of servers that it suggests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jigdo::base64;
use jigdo::bstr::{BString, ByteVec as _};
use jigdo::jigdo_file::{Server, WriteError, server_line};
use serde::Serialize;

use super::answer::{Answer, Meaning};
use super::plan::{Need, Plan};
use super::set::Set;
use crate::json;
use crate::progress::counted;

/// The report on a check.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// The jigdo files that were checked.
    pub sets: Vec<SetReport>,
    /// How many parts were checked, each once for all sets that need it.
    pub parts: u64,
    /// In the order in which jigdo files list them.
    pub servers: Vec<ServerReport>,
    /// Parts that are missing from some server.
    pub incomplete: Vec<PartReport>,
    /// How many of these are on no server.
    pub without_server: u64,
    /// What could not be looked at, as `path: what is wrong`: there may be more sets.
    pub unreadable: Vec<String>,
    /// Files with the name of a jigdo file and other content.
    #[serde(serialize_with = "json::foreign")]
    pub left_out: Vec<PathBuf>,
}

/// A jigdo file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetReport {
    /// The jigdo file's path.
    #[serde(serialize_with = "json::foreign")]
    pub path: PathBuf,
    /// What is wrong with the set itself.
    pub problems: Vec<String>,
    /// What could not be checked.
    pub notes: Vec<String>,
}

/// A server of a label. A part with several names counts once for each of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ServerReport {
    /// Empty for parts with URLs or paths of their own.
    #[serde(serialize_with = "json::foreign")]
    pub label: BString,
    /// The server's URL, as the jigdo files have it.
    #[serde(serialize_with = "json::foreign")]
    pub url: BString,
    /// Whether clients should try it last.
    pub try_last: bool,
    /// How many parts it was asked for.
    pub parts: u64,
    /// How many of them it has.
    pub found: u64,
    /// How many of them it does not have.
    pub missing: u64,
    /// How many files have another length than their part.
    pub wrong_length: u64,
    /// How many files have another sum than their part.
    pub wrong_sum: u64,
    /// How many may or may not be there.
    pub failed: u64,
    /// Why requests failed, and how many times.
    pub failures: BTreeMap<String, u64>,
    /// The median time in seconds until it answered, over the parts that are there.
    pub median_latency: Option<f64>,
}

/// A part that is missing from some server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartReport {
    /// The part's location, as in jigdo files: `Label:path`.
    #[serde(serialize_with = "json::foreign")]
    pub location: BString,
    /// In base64, as in jigdo files.
    pub sum: String,
    /// Whether another server has it.
    pub has_server: bool,
    /// The servers that lack it.
    pub lacking: Vec<Lacking>,
    /// The jigdo files that need it.
    #[serde(serialize_with = "json::foreign")]
    pub sets: Vec<PathBuf>,
}

/// A server that lacks a part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lacking {
    /// The part's URL on the server.
    #[serde(serialize_with = "json::foreign")]
    pub url: BString,
    /// What is wrong there, in a few words.
    pub why: String,
}

impl Report {
    /// Makes the report on these sets from the answers to their probes.
    pub fn new(sets: &[Set], plan: &Plan, answers: &[Answer]) -> Self {
        let set =
            |set: &Set| SetReport { path: set.path.clone(), problems: set.problems.clone(), notes: set.notes.clone() };
        let mut report = Self {
            sets: sets.iter().map(set).collect(),
            parts: plan.needs.len() as u64,
            servers: servers(plan, answers),
            ..Self::default()
        };
        for need in &plan.needs {
            let lacking = |&probe: &usize| {
                let meaning = answers[probe].meaning(need);
                (meaning != Meaning::Found).then(|| Lacking {
                    url: plan.servers[plan.probes[probe].server].url.clone(),
                    why: why(meaning, &answers[probe], need),
                })
            };
            let lacking: Vec<Lacking> = need.probes.iter().filter_map(lacking).collect();
            if lacking.is_empty() && !need.probes.is_empty() {
                continue;
            }
            let has_server = lacking.len() < need.probes.len();
            report.without_server += u64::from(!has_server);
            report.incomplete.push(PartReport {
                location: need.location.text(),
                sum: base64::encode(need.sum.as_bytes()),
                has_server,
                lacking,
                sets: need.sets.iter().map(|&set| sets[set].path.clone()).collect(),
            });
        }
        report.incomplete.sort_by(|a, b| (a.has_server, &a.location, &a.sum).cmp(&(b.has_server, &b.location, &b.sum)));
        report
    }

    /// Whether every part has a working server, nothing is wrong with the sets, and all of them could be looked at.
    pub fn is_good(&self) -> bool {
        let has_problems = self.sets.iter().any(|set| !set.problems.is_empty());
        self.without_server == 0 && !has_problems && self.unreadable.is_empty()
    }

    /// The servers that have not one of the parts that they were asked for: dead, moved, or of another label.
    pub fn useless(&self) -> impl Iterator<Item = &ServerReport> {
        self.servers.iter().filter(|server| server.is_useless())
    }

    /// A `[Servers]` section with the servers of each label that have any part: those with the most parts first, then the
    /// fastest; those with `--try-last` come last.
    ///
    /// # Errors
    ///
    /// A label or URL that such a section cannot hold.
    pub fn suggested(&self) -> Result<BString, WriteError> {
        let mut labels: Vec<&BString> = Vec::new();
        for server in self.servers.iter().filter(|server| !server.label.is_empty()) {
            if !labels.contains(&&server.label) {
                labels.push(&server.label);
            }
        }
        let mut text = BString::from("[Servers]\n");
        for label in labels {
            let useful = |server: &&ServerReport| server.label == *label && server.found > 0;
            let mut servers: Vec<&ServerReport> = self.servers.iter().filter(useful).collect();
            let speed = |server: &ServerReport| server.median_latency.unwrap_or(f64::INFINITY);
            servers.sort_by(|a, b| {
                a.try_last.cmp(&b.try_last).then(b.found.cmp(&a.found)).then(speed(a).total_cmp(&speed(b)))
            });
            for server in servers {
                text.push_str(server_line(label, &Server { url: server.url.clone(), try_last: server.try_last })?);
            }
        }
        Ok(text)
    }
}

fn servers(plan: &Plan, answers: &[Answer]) -> Vec<ServerReport> {
    let planned = plan.servers.iter().map(|server| ServerReport {
        label: server.label.clone(),
        url: server.url.clone(),
        try_last: server.try_last,
        ..ServerReport::default()
    });
    let mut reports: Vec<ServerReport> = planned.collect();
    for need in &plan.needs {
        for &probe in &need.probes {
            reports[plan.probes[probe].server].count(answers[probe].meaning(need), &answers[probe]);
        }
    }
    let mut latencies: Vec<Vec<Duration>> = vec![Vec::new(); reports.len()];
    for (probe, answer) in plan.probes.iter().zip(answers) {
        if let Answer::There { latency, .. } = answer {
            latencies[probe.server].push(*latency);
        }
    }
    for (report, mut latencies) in reports.iter_mut().zip(latencies) {
        latencies.sort_unstable();
        report.median_latency = latencies.get(latencies.len() / 2).map(Duration::as_secs_f64);
    }
    reports
}

impl ServerReport {
    /// Whether it was asked for parts and has none of them. Parts with URLs of their own have no server, nor have those of
    /// a label without one.
    pub fn is_useless(&self) -> bool {
        let is_server = !self.label.is_empty() && self.url.strip_suffix(b":") != Some(&self.label[..]);
        is_server && self.parts > 0 && self.found == 0
    }

    fn count(&mut self, meaning: Meaning, answer: &Answer) {
        self.parts += 1;
        *match meaning {
            Meaning::Found => &mut self.found,
            Meaning::Missing => &mut self.missing,
            Meaning::WrongLength => &mut self.wrong_length,
            Meaning::WrongSum => &mut self.wrong_sum,
            Meaning::Failed => &mut self.failed,
        } += 1;
        if let Answer::Failed(why) = answer {
            *self.failures.entry(why.clone()).or_default() += 1;
        }
    }
}

fn why(meaning: Meaning, answer: &Answer, need: &Need) -> String {
    match (meaning, answer) {
        (_, Answer::Failed(why)) => why.clone(),
        (Meaning::WrongLength, Answer::There { length: Some(length), .. }) => {
            format!("it has {} instead of {}", counted(*length, "byte"), need.length.unwrap_or_default())
        }
        (Meaning::WrongSum, _) => "it has another sum".to_owned(),
        _ => "not found".to_owned(),
    }
}
