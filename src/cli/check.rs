//! `jigpress servers check`: whether the parts of sets can be downloaded.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use jigdo::bstr::BString;
use jigdo::escaped_path;

use super::file_args::FileArgs;
use super::inspect::printable;
use super::{Failure, Format, SOME_FAILED, terminal};
use crate::json;
use crate::progress::counted;
use crate::servers::check::{self, Options, PartReport, Report, ServerReport};
use crate::servers::{self, LabelledServer};
use crate::web;

/// Checks whether servers have the parts of sets: every part at every server of its label.
///
/// Local servers are looked up on disk, web servers are asked with HEAD, and lengths are compared with those in the
/// template. A set's template is checked too, if it is there: its sum, and whether it has the same parts as the jigdo
/// file. Files that sets include from the web are fetched. Proxies come from the environment (http_proxy, https_proxy,
/// all_proxy, no_proxy), trusted certificates from the system or from SSL_CERT_FILE.
///
/// A server that has none of the parts it was asked for is an error even if others have them: it is dead, or its URL is
/// wrong, and clients try it. With --any it is not.
///
/// Exit codes: 0 every part has a working server, and every server has parts; 1 a part has none, a server has no part,
/// or something is wrong with a set or could not be read; 2 the command line is wrong; 3 nothing could be done.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: FileArgs,
    /// Ask this server instead of those of the label. Repeat it for several.
    #[arg(long = "server", value_name = "LABEL=URL")]
    servers: Vec<LabelledServer>,
    /// Do not mind a server that has no part, as long as another has each of them.
    #[arg(long)]
    any: bool,
    /// Check only this many of a label's parts in each set: a fixed pseudo-random sample.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// Fetch the parts and compare their sums.
    #[arg(long)]
    deep: bool,
    /// How many requests to make to one server at a time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// The most requests per second, to all servers together. By default, only --connections limits them.
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    rate: Option<f64>,
    /// How long a server may take to answer, in seconds. It is also the time over which a server must send at least 256
    /// bytes per second on average.
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = parse_positive)]
    timeout: f64,
    /// How many times to retry a failed request: first after half a second, then after twice as long each time. A
    /// server's Retry-After is honoured.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=20))]
    retries: u32,
    /// Give up on a server whose Retry-After is longer than this, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0, value_parser = parse_positive)]
    longest_wait: f64,
    /// Print a [Servers] section, the most complete and fastest servers first. The report goes to standard error.
    #[arg(long)]
    suggest: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print nothing but warnings and errors.
    #[arg(long, short)]
    quiet: bool,
}

fn parse_positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.001..=1e6).contains(number));
    number.ok_or_else(|| "give a number from 0.001 to 1000000".to_owned())
}

/// Carries out the command.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let options = Options {
        servers: args.servers.iter().map(|given| (given.label.as_str().into(), given.server.clone())).collect(),
        sample: args.sample.map(|sample| usize::try_from(sample).unwrap_or(usize::MAX)),
        deep: args.deep,
        web: web::Options {
            connections: args.connections.into(),
            timeout: Duration::from_secs_f64(args.timeout),
            retries: args.retries,
            rate: args.rate.unwrap_or(0.0),
            longest_wait: Duration::from_secs_f64(args.longest_wait),
        },
    };
    servers::check_typed_servers(&args.servers).map_err(Failure::Usage)?;
    let is_json = args.format == Format::Json;
    let progress = terminal::listener(args.quiet || is_json);
    let report = args.files.work(|tree| {
        servers::check_typed_labels(&tree, &args.servers, &[], &[]).map_err(Failure::Usage)?;
        check::check(&tree, &options, &*progress).map_err(Failure::nothing)
    })?;
    drop(progress);
    let suggested = args.suggest.then(|| report.suggested().map_err(Failure::nothing)).transpose()?;
    let text = match (args.format, suggested) {
        (Format::Json, suggested) => json(&report, suggested).into(),
        (Format::Human, Some(section)) => {
            if !args.quiet {
                terminal::note(format_args!("{}", summary(&report, args.any).trim_end()));
            }
            section
        }
        (Format::Human, None) if args.quiet => BString::default(),
        (Format::Human, None) => summary(&report, args.any).into(),
    };
    if args.quiet {
        wrong(&report, args.any).lines().for_each(|line| terminal::error(format_args!("{line}")));
    }
    super::written(std::io::stdout().write_all(&text))?;
    let is_good = report.is_good() && (args.any || report.useless().next().is_none());
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}

fn json(report: &Report, suggested: Option<BString>) -> String {
    let mut value = serde_json::to_value(report).expect("a report is plain data");
    if let (Some(object), Some(section)) = (value.as_object_mut(), suggested) {
        let section = json::foreign(&section, serde_json::value::Serializer).expect("a text is plain data");
        object.insert("suggested".to_owned(), section);
    }
    serde_json::to_string_pretty(&value).expect("a report is plain data") + "\n"
}

/// The result for people: what is wrong, then the servers.
fn summary(report: &Report, any: bool) -> String {
    let mut text = String::new();
    for set in &report.sets {
        set.notes.iter().for_each(|note| text += &format!("{}: {}\n", escaped_path(&set.path), printable(note)));
    }
    text += &wrong(report, any);
    for (label, servers) in by_label(&report.servers) {
        for server in servers.iter().filter(|server| server.failed > 0) {
            for (why, count) in server.failures.iter().take(3) {
                let place = if server.url.is_empty() { label } else { &server.url };
                text += &format!("{}: {}: {}\n", printable(place), counted(*count, "time"), printable(why));
            }
        }
    }
    text += &table(report);
    let incomplete = report.incomplete.iter().filter(|part| part.has_server).count();
    text += &format!("{}, {}", counted(report.sets.len(), "set"), counted(report.parts, "part"));
    if report.without_server > 0 {
        text += &format!(", {} without a working server", report.without_server);
    }
    if incomplete > 0 {
        text += &format!(", {incomplete} missing from some server");
    }
    text + "\n"
}

/// What is wrong with the sets, the servers without parts unless that is allowed, and the parts that no server has.
fn wrong(report: &Report, any: bool) -> String {
    let mut text = String::new();
    for set in &report.sets {
        set.problems
            .iter()
            .for_each(|problem| text += &format!("{}: {}\n", escaped_path(&set.path), printable(problem)));
    }
    for server in report.useless().filter(|_| !any) {
        let parts = server.parts;
        let name = printable(&server_name(server));
        text += &format!(
            "{name}: it has none of the {parts} parts that it was asked for; remove it, or allow it with --any\n"
        );
    }
    for part in report.incomplete.iter().filter(|part| !part.has_server) {
        text += &missing(part);
    }
    text
}

/// A line for a part that no server has, with the jigdo files that need it.
fn missing(part: &PartReport) -> String {
    let sets: Vec<_> = part.sets.iter().map(|set| escaped_path(&set).to_string()).collect();
    format!("{} has no working server; needed by {}\n", printable(&part.location), sets.join(", "))
}

fn by_label(servers: &[ServerReport]) -> BTreeMap<&BString, Vec<&ServerReport>> {
    let mut labels: BTreeMap<&BString, Vec<&ServerReport>> = BTreeMap::new();
    servers.iter().for_each(|server| labels.entry(&server.label).or_default().push(server));
    labels
}

/// A server as it is listed.
fn server_name(server: &ServerReport) -> String {
    match server.label.is_empty() {
        true => "(URLs of their own)".to_owned(),
        false => format!("{}={}", printable(&server.label), printable(&server.url)),
    }
}

fn table(report: &Report) -> String {
    let head = ["server", "parts", "found", "missing", "length", "sum", "failed", "median", ""];
    let mut rows = vec![head.map(str::to_owned)];
    for servers in by_label(&report.servers).into_values() {
        for server in servers {
            let name = server_name(server);
            let median =
                server.median_latency.map_or_else(String::new, |seconds| format!("{:.1} ms", seconds * 1000.0));
            rows.push([
                name,
                server.parts.to_string(),
                server.found.to_string(),
                server.missing.to_string(),
                server.wrong_length.to_string(),
                server.wrong_sum.to_string(),
                server.failed.to_string(),
                median,
                if server.try_last { "--try-last".to_owned() } else { String::new() },
            ]);
        }
    }
    super::columns(&rows)
}
