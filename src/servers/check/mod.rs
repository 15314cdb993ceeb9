//! Whether the parts of sets can be had: at each server of each label, every part or a sample, by asking for its length,
//! or by fetching it and comparing sums.
//!
//! | module | does |
//! |---|---|
//! | `set` | reads a set, and compares it with its template |
//! | `place` | texts to URLs and paths |
//! | `plan` | what is asked of which server, once for all sets |
//! | `http`, `local` | ask |
//! | `answer` | what an answer means for a part |
//! | `report` | what came of it |

mod answer;
mod http;
mod local;
mod place;
mod plan;
mod report;
mod set;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use parking_lot::Mutex;
use rayon::prelude::*;

pub use http::{ClientError, Manners};
pub use report::{Lacking, PartReport, Report, ServerReport, SetReport};

use super::Found;
use crate::progress::{Begin, Progress, Task};
use answer::Answer;
use http::{Http, Request};
use jigdo::Checksum;
use jigdo::jigdo_file::Server;
use place::Place;
use plan::{Plan, Probe};
use set::Set;

/// How sets are checked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Labels and servers that are asked in the place of those that the sets have.
    pub servers: Vec<(String, Server)>,
    /// How many of a label's parts are looked for in each set; `None`: all.
    pub sample: Option<usize>,
    /// Parts are fetched, and their sums compared.
    pub deep: bool,
    pub manners: Manners,
}

/// Checks these sets. What is wrong with them is in the report.
///
/// # Errors
///
/// Web servers cannot be asked at all.
pub fn check(files: &[Found], options: &Options, progress: &dyn Progress) -> Result<Report, ClientError> {
    let web = Web::new(&options.manners);
    let fetch = |url: &url::Url| web.get().map_err(|error| error.to_string())?.fetch(url);
    let read: Vec<Result<Set, String>> = files.par_iter().map(|file| Set::read(file, &fetch)).collect();
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
    report.sets.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(report)
}

/// What asks web servers, made when the first one is to be asked.
struct Web<'a> {
    manners: &'a Manners,
    http: OnceLock<Result<Http, ClientError>>,
}

impl<'a> Web<'a> {
    fn new(manners: &'a Manners) -> Self {
        Self { manners, http: OnceLock::new() }
    }

    fn get(&self) -> Result<&Http, ClientError> {
        self.http.get_or_init(|| Http::new(self.manners.clone())).as_ref().map_err(Clone::clone)
    }
}

/// The answers to all probes.
fn ask(plan: &Plan, options: &Options, web: &Web<'_>, progress: &dyn Progress) -> Result<Vec<Answer>, ClientError> {
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
        let http = web.get()?;
        let hosts = hosts.into_values().map(|requests| http.ask(requests, &take)).collect();
        http.block_on(http::ask_all(hosts));
    }
    drop(task);
    let answer = |answer: Mutex<Option<Answer>>| answer.into_inner();
    Ok(answers.into_iter().map(|it| answer(it).unwrap_or(Answer::Missing)).collect())
}

/// For each probe the length that the file should have, if all sets agree.
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
