//! Checks whether servers have the parts of sets: every part or a sample at each server of its label, by length, or by
//! fetching it and comparing sums.
//!
//! | module | does |
//! |---|---|
//! | `set` | reads a set, and compares it with its template |
//! | `plan` | which server to ask for what, once for all sets |
//! | `http`, `local` | ask web servers and look at files |
//! | `answer` | answers, and what they mean for a part |
//! | `report` | the result |

mod answer;
#[cfg(feature = "web")]
mod http;
mod local;
mod plan;
mod report;
mod set;

use std::collections::BTreeMap;

use jigdo::Checksum;
use jigdo::bstr::BString;
use jigdo::jigdo_file::Server;
use parking_lot::Mutex;
use rayon::prelude::*;
use url::Url;

pub use report::{Lacking, PartReport, Report, ServerReport, SetReport};

use crate::natural;
use crate::progress::{Begin, Progress, Task};
use crate::set::{Place, Tree};
use crate::web::{self, Web};
use answer::Answer;
use plan::{Plan, Probe};
use set::Set;

/// How sets are checked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Labels and servers to ask instead of those that the sets have.
    pub servers: Vec<(BString, Server)>,
    /// How many of a label's parts to check in each set; `None`: all.
    pub sample: Option<usize>,
    /// Fetch parts and compare their sums.
    pub deep: bool,
    /// How web servers are asked.
    pub web: web::Options,
}

/// A request for a file on a web server.
#[cfg_attr(not(feature = "web"), allow(dead_code, reason = "without the feature, no request is made"))]
struct Request {
    number: usize,
    url: Url,
    /// The expected length in bytes, if known: a file of another length is not fetched.
    length: Option<u64>,
    /// The sums to compute of its bytes. If there are none, the bytes are not fetched.
    sums: Vec<Checksum>,
}

/// Checks these sets. Whatever is wrong with them is in the report.
///
/// # Errors
///
/// No request can be made to web servers.
pub fn check(tree: &Tree, options: &Options, progress: &dyn Progress) -> Result<Report, web::Error> {
    let Tree { files, unreadable, left_out } = tree;
    let web = Web::new(options.web.clone());
    let read: Vec<Result<Set, String>> = files.par_iter().map(|file| Set::read(file, &web)).collect();
    let (mut sets, mut refused) = (Vec::new(), Vec::new());
    for (file, set) in files.iter().zip(read) {
        match set {
            Ok(set) => sets.push(set),
            Err(problem) => {
                refused.push(SetReport { path: file.path.clone(), problems: vec![problem], notes: Vec::new() });
            }
        }
    }
    let plan = Plan::new(&sets, &options.servers, options.sample);
    let answers = ask(&plan, options, &web, progress)?;
    let mut report = Report::new(&sets, &plan, &answers);
    report.sets.extend(refused);
    report.sets.sort_by(|a, b| natural::compare(&a.path, &b.path));
    report.unreadable = unreadable.iter().map(ToString::to_string).collect();
    report.left_out = left_out.iter().map(|error| error.path().to_owned()).collect();
    Ok(report)
}

/// The answers to all probes.
fn ask(plan: &Plan, options: &Options, web: &Web, progress: &dyn Progress) -> Result<Vec<Answer>, web::Error> {
    let task = Task::begin(progress, Begin::items("check", "parts").total(plan.probes.len() as u64));
    let answers: Vec<Mutex<Option<Answer>>> = plan.probes.iter().map(|_| Mutex::new(None)).collect();
    let take = |number: usize, answer: Answer| {
        *answers[number].lock() = Some(answer);
        task.advance(1);
    };
    let sums = |probe: &Probe| if options.deep { probe.checksums() } else { Vec::<Checksum>::new() };
    let mut hosts: BTreeMap<String, Vec<Request>> = BTreeMap::new();
    let mut files = Vec::new();
    let lengths = lengths(plan);
    for (number, probe) in plan.probes.iter().enumerate() {
        match &probe.place {
            Ok(Place::Web(url)) => {
                let length = lengths[number];
                let request = Request { number, url: url.clone(), length, sums: sums(probe) };
                hosts.entry(url.origin().ascii_serialization()).or_default().push(request);
            }
            Ok(Place::File(path)) => files.push((number, path, sums(probe))),
            Err(error) => take(number, Answer::Failed(error.to_string())),
        }
    }
    files.par_iter().for_each(|(number, path, sums)| take(*number, local::look(path, sums)));
    if !hosts.is_empty() {
        ask_servers(web, hosts.into_values().collect(), &take)?;
    }
    drop(task);
    let answer = |answer: Mutex<Option<Answer>>| answer.into_inner();
    Ok(answers.into_iter().map(|it| answer(it).unwrap_or(Answer::Missing)).collect())
}

#[cfg(feature = "web")]
fn ask_servers(web: &Web, servers: Vec<Vec<Request>>, take: &(dyn Fn(usize, Answer) + Sync)) -> Result<(), web::Error> {
    http::ask(web.client()?, servers, take);
    Ok(())
}

#[cfg(not(feature = "web"))]
fn ask_servers(_: &Web, _: Vec<Vec<Request>>, _: &(dyn Fn(usize, Answer) + Sync)) -> Result<(), web::Error> {
    Err(web::Error::NotBuilt)
}

/// The expected length of each probe's file, if all sets agree on it.
fn lengths(plan: &Plan) -> Vec<Option<u64>> {
    let mut lengths: Vec<Option<Option<u64>>> = vec![None; plan.probes.len()];
    for need in &plan.needs {
        for &probe in &need.probes {
            lengths[probe] = match lengths[probe] {
                None => Some(need.length),
                known if known == Some(need.length) => known,
                Some(_) => Some(None),
            };
        }
    }
    lengths.into_iter().map(Option::flatten).collect()
}
