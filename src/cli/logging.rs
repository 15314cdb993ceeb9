//! What goes to standard error: messages for people, log lines for operators, JSON for programs.
//!
//! On a terminal, a line is just its message. Elsewhere it is a log line: the time (UTC, RFC 3339), level and target
//! come before the message, or the line is a JSON object. Errors in manifests always begin with file, line and column,
//! without time or level, unless they are JSON: editors and CI systems look for that.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use jigdo::escaped;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;

use super::{messages, terminal};

/// The environment variable that chooses what is logged.
const VARIABLE: &str = "JIGPRESS_LOG";
/// The target of the program's own messages. All its modules' names begin with it.
const PROGRAM: &str = "jigpress";

/// What is logged, and how.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Logging")]
pub struct Args {
    /// Log what is done; -vv adds details. JIGPRESS_LOG gives finer control, as in `debug` or
    /// `jigpress::mirror=trace,info`.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// The format of lines on standard error.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
}

/// The format of lines on standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// Plain lines, with time and level unless standard error is a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The message.
    Short,
    /// Time, level and target before it.
    Log,
    Json,
}

/// Lines are short until the command line has been read.
static FORM: OnceLock<Form> = OnceLock::new();

/// Starts logging.
///
/// # Errors
/// `JIGPRESS_LOG` is malformed; the error says why.
pub fn begin(args: &Args) -> Result<(), String> {
    let form = match args.log_format {
        LogFormat::Json => Form::Json,
        LogFormat::Text if std::io::stderr().is_terminal() => Form::Short,
        LogFormat::Text => Form::Log,
    };
    let _ = FORM.set(form);
    let wanted = std::env::var_os(VARIABLE).unwrap_or_default();
    let targets = match args.verbose {
        0 if !wanted.is_empty() => targets(&wanted.to_string_lossy())?,
        0 => all(LevelFilter::INFO),
        1 => all(LevelFilter::DEBUG),
        _ => all(LevelFilter::TRACE),
    };
    // Fails only if a program that uses this crate as a library has set one.
    let _ = tracing::subscriber::set_global_default(Log::new(targets));
    Ok(())
}

/// The program's own events at this level or above, and none of its libraries'.
fn all(level: LevelFilter) -> Targets {
    Targets::new().with_target(PROGRAM, level)
}

/// What `JIGPRESS_LOG` asks for: a level for everything, or levels for some modules, with the program's messages as
/// usual.
fn targets(text: &str) -> Result<Targets, String> {
    let wrong = |what: &str| {
        format!(
            "{VARIABLE}={text}: {what}; write levels (off, error, warn, info, debug, trace) or MODULE=LEVEL, separated by commas"
        )
    };
    for directive in text.split(',').map(str::trim) {
        let is_known = directive.contains('=') || directive.starts_with(PROGRAM);
        // `LevelFilter` would accept an empty text.
        if !is_known && (directive.is_empty() || directive.parse::<LevelFilter>().is_err()) {
            return Err(wrong(&format!("\"{directive}\" is not a level")));
        }
    }
    let wanted: Targets = text.parse().map_err(|error| wrong(&format!("{error}")))?;
    let is_own = |target: &str| target == PROGRAM;
    Ok(match wanted.default_level().is_some() || wanted.iter().any(|(target, _)| is_own(target)) {
        true => wanted,
        false => wanted.with_target(PROGRAM, LevelFilter::INFO),
    })
}

/// Lines as a terminal may show them: see [`escaped`]. Messages name files and quote texts of strangers.
pub fn visible(lines: &str) -> String {
    visible_bytes(lines.as_bytes())
}

/// The same for lines that need not be UTF-8.
pub fn visible_bytes(lines: &[u8]) -> String {
    lines.split(|&byte| byte == b'\n').map(|line| escaped(line).to_string()).collect::<Vec<_>>().join("\n")
}

/// Writes a line as it is, but for what only controls a terminal. Unlike `eprintln`, it does not panic if nobody reads
/// standard error any more.
pub fn say(line: fmt::Arguments<'_>) {
    put(&visible(&format!("{line}\n")));
}

/// Reports a result of the work.
pub fn note(text: fmt::Arguments<'_>) {
    tracing::info!(target: PROGRAM, "{text}");
}

/// Reports a problem that did not stop the work.
pub fn warn(text: fmt::Arguments<'_>) {
    messages::warning(&text.to_string());
    tracing::warn!(target: PROGRAM, "{text}");
}

/// Reports an error, whatever the log level.
pub fn error(text: fmt::Arguments<'_>) {
    let text = text.to_string();
    messages::error(&text);
    print_error(&text);
}

/// Prints an error that was kept already.
pub fn print_error(text: &str) {
    write(Level::ERROR, PROGRAM, text, Map::new());
}

/// Reports the errors of a manifest. Each line of the text begins with file, line and column.
pub fn manifest_error(text: fmt::Arguments<'_>) {
    match form() {
        Form::Json => text.to_string().lines().for_each(|line| error(format_args!("{line}"))),
        Form::Short | Form::Log => {
            text.to_string().lines().for_each(messages::error);
            say(text);
        }
    }
}

/// Whether lines are JSON.
pub fn is_json() -> bool {
    form() == Form::Json
}

/// Switches to JSON if the command line asks for it, even if the rest of the command line is wrong.
pub fn prefer_json(arguments: impl Iterator<Item = std::ffi::OsString>) {
    let arguments: Vec<_> = arguments.collect();
    let asks = |at: usize| match arguments[at].to_str() {
        Some("--log-format=json") => true,
        Some("--log-format") => arguments.get(at + 1).is_some_and(|next| next == "json"),
        _ => false,
    };
    if (0..arguments.len()).any(asks) {
        let _ = FORM.set(Form::Json);
    }
}

fn form() -> Form {
    *FORM.get().unwrap_or(&Form::Short)
}

fn put(lines: &str) {
    terminal::print(lines);
}

/// Writes a message in the chosen form, in one call.
fn write(level: Level, target: &str, message: &str, fields: Map<String, Value>) {
    put(&render(form(), SystemTime::now(), level, target, message, fields));
}

/// The lines of a message.
fn render(
    form: Form,
    time: SystemTime,
    level: Level,
    target: &str,
    message: &str,
    fields: Map<String, Value>,
) -> String {
    if form == Form::Json {
        let start = [
            ("timestamp", timestamp(time)),
            ("level", level.to_string()),
            ("target", target.to_owned()),
            ("message", message.to_owned()),
        ];
        let start = start.map(|(key, value)| (key.to_owned(), Value::String(value)));
        return format!("{}\n", Value::Object(start.into_iter().chain(fields).collect()));
    }
    let mut text = visible(message);
    for (key, value) in fields {
        // Writing to a String cannot fail.
        let _ = match value {
            // Quoted where it would not end where it should.
            Value::String(value) if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c == '"') => {
                write!(text, " {key}={value:?}")
            }
            Value::String(value) => write!(text, " {key}={}", escaped(&value)),
            value => write!(text, " {key}={value}"),
        };
    }
    let before = match (form, level) {
        (Form::Log, level) => format!("{} {level:<5} {target}: ", timestamp(time)),
        (_, Level::ERROR) => "jigpress: ".to_owned(),
        (_, Level::WARN) => "warning: ".to_owned(),
        (_, Level::INFO) => String::new(),
        (_, Level::DEBUG) => "debug: ".to_owned(),
        (_, Level::TRACE) => "trace: ".to_owned(),
    };
    // In a log, every line has a time. On a terminal, a message of several lines has one prefix.
    match form {
        Form::Log => text.lines().map(|line| format!("{before}{line}\n")).collect(),
        _ => format!("{before}{text}\n"),
    }
}

/// A time in the format of RFC 3339, in UTC, with milliseconds.
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hours, minutes, seconds) = (second / 3600, second / 60 % 60, second % 60);
    let milliseconds = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}Z")
}

/// Year, month and day of the day that is `days` after 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// Writes events as lines.
struct Log {
    targets: Targets,
    /// The most detailed level of any target.
    most: LevelFilter,
}

impl Log {
    fn new(targets: Targets) -> Self {
        let levels = targets.iter().map(|(_, level)| level).chain(targets.default_level());
        // Warnings are kept even if they are not printed.
        Self { most: levels.max().unwrap_or(LevelFilter::OFF).max(LevelFilter::WARN), targets }
    }

    fn is_printed(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.targets.would_enable(metadata.target(), metadata.level())
    }
}

/// Whether this is a warning of one of the program's modules. Those of [`warn`] are kept there.
fn is_of_module(metadata: &Metadata<'_>) -> bool {
    let is_own = metadata.target().strip_prefix(PROGRAM).is_some_and(|rest| rest.starts_with("::"));
    metadata.is_event() && is_own && *metadata.level() == Level::WARN
}

impl Subscriber for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.is_printed(metadata) || is_of_module(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if is_of_module(event.metadata()) {
            messages::warning(&fields.message);
        }
        if !self.is_printed(event.metadata()) {
            return;
        }
        write(*event.metadata().level(), event.metadata().target(), &fields.message, fields.others);
    }

    // Spans are ignored.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The message and fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.add(field, format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.add(field, value),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, (value * 1000.0).round() / 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7)
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_709_251_199, "2024-02-29T23:59:59.007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(timestamp(at(seconds)), text);
        }
    }

    #[test]
    fn a_message_is_short_on_a_terminal_and_has_time_level_and_target_in_a_log() {
        let fields = || Map::from_iter([("files".to_owned(), Value::from(3)), ("path".to_owned(), "a b".into())]);
        let short = |level| render(Form::Short, at(0), level, PROGRAM, "text", Map::new());
        assert_eq!(short(Level::INFO), "text\n");
        assert_eq!(short(Level::WARN), "warning: text\n");
        assert_eq!(short(Level::ERROR), "jigpress: text\n");
        let log = |message| render(Form::Log, at(0), Level::WARN, "jigpress::set", message, fields());
        assert_eq!(log("text"), "1970-01-01T00:00:00.007Z WARN  jigpress::set: text files=3 path=\"a b\"\n");
        assert_eq!(
            log("one\ntwo").lines().filter(|line| line.starts_with("1970-01-01T00:00:00.007Z WARN ")).count(),
            2
        );
        let json = render(Form::Json, at(0), Level::WARN, "jigpress", "one\n\"two\"", fields());
        let json: Value = serde_json::from_str(json.strip_suffix('\n').unwrap()).unwrap();
        assert_eq!(
            (&json["message"], &json["files"], &json["level"]),
            (&"one\n\"two\"".into(), &3.into(), &"WARN".into())
        );
    }

    #[test]
    fn directives_choose_by_module_and_leave_messages_alone() {
        let enabled = |text: &str, target: &str, level: Level| targets(text).unwrap().would_enable(target, &level);
        assert!(enabled("debug", "jigpress::mirror", Level::DEBUG) && enabled("debug", "h2", Level::DEBUG));
        assert!(!enabled("off", PROGRAM, Level::WARN));
        assert!(enabled("jigpress::mirror=trace", "jigpress::mirror::walk", Level::TRACE));
        assert!(enabled("jigpress::mirror=trace", PROGRAM, Level::INFO));
        assert!(!enabled("jigpress::mirror=trace", "jigpress::set", Level::DEBUG));
        for wrong in ["loud", "jigpress=loud", "debug,", "debgu"] {
            assert!(targets(wrong).unwrap_err().starts_with(&format!("JIGPRESS_LOG={wrong}: ")), "{wrong}");
        }
    }
}
