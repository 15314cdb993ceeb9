//! Changes of the servers in jigdo files, and the edits of one file's text that make them.
//!
//! Lines that stay keep their comments and quoting. New lines are in the order of the servers.

use std::collections::BTreeSet;
use std::ops::Range;

use jigdo::bstr::{BStr, BString, ByteSlice as _, ByteVec as _};
use jigdo::escaped;
use jigdo::jigdo_file::{
    self, Edit, Jigdo, Location, Outline, ResolveError, Server, ServerLine, WriteError, include_line, is_scheme,
    server_line,
};
use similar::{Algorithm, DiffTag, capture_diff_slices};

/// What to do with the given servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// They replace their labels' servers.
    #[default]
    Replace,
    /// They are put before their labels' servers.
    Prepend,
    /// They are put after their labels' servers.
    Append,
    /// They are removed. A label in [`Change::labels`] for which no server is given loses all its servers.
    Remove,
}

/// A change to make in any number of jigdo files.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What is done with the servers.
    pub mode: Mode,
    /// Labels and servers, in order.
    pub servers: Vec<(BString, Server)>,
    /// The only labels whose servers change. Empty: all.
    pub labels: Vec<BString>,
    /// Old labels and new ones, in `[Parts]` and in `[Servers]`.
    pub relabel: Vec<(BString, BString)>,
    /// URLs of `[Include]` lines to add, or in [`Mode::Remove`] to remove.
    pub includes: Vec<BString>,
    /// Whether labels that parts use may have no server.
    pub allow_unserved: bool,
    /// Whether the section ends up with exactly `servers`: other labels are removed, and labels that the file does not have
    /// are added.
    pub is_all: bool,
    /// The permissions of changed files; `None` for those of the files that they replace.
    pub permissions: Option<u32>,
}

/// Why a file cannot be changed. Lines are counted from 1 in the uncompressed text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "a variant means what its message says")]
pub enum ChangeError {
    #[error("{0}")]
    Text(#[from] jigdo_file::Error),
    #[error("{0}")]
    Write(#[from] WriteError),
    #[error(
        "line {line}: with the new label, the part's line would be {length} bytes long, which is more than jigit-mkimage can read"
    )]
    PartLine { line: usize, length: usize },
    #[error("{0}")]
    Resolve(#[from] ResolveError),
    #[error(
        "parts use {labels}, which would be left without a server; give a server with --server, or allow this with --allow-unserved",
        labels = named(.labels)
    )]
    Unserved { labels: Vec<BString> },
}

fn named(labels: &[BString]) -> String {
    let quoted: Vec<_> = labels.iter().map(|label| format!("label \"{}\"", escaped(label))).collect();
    quoted.join(" and ")
}

/// An existing server line of the file, perhaps with a new label.
struct Line {
    range: Range<usize>,
    /// Its new text, if that differs.
    text: Option<BString>,
    label: BString,
    server: Server,
}

impl Change {
    /// Returns the edits of `text` that make the change, in order; none if there is nothing to change. Adds to `used` the
    /// labels with given servers that the file has.
    ///
    /// # Errors
    ///
    /// The text is malformed, would become malformed, or would leave parts without servers.
    pub fn edits(&self, text: &[u8], used: &mut BTreeSet<BString>) -> Result<Vec<Edit>, ChangeError> {
        let relabelled: Vec<&BStr> = self.relabel.iter().map(|(old, _)| old.as_bstr()).collect();
        let outline = Outline::new(text, &relabelled)?;
        let lines = outline.servers.iter().map(|line| self.line(text, line)).collect::<Result<Vec<_>, _>>()?;
        let labels: Vec<BString> = outline.labels.iter().map(|(label, _)| self.new_label(label.as_bstr())).collect();
        let mut edits = Edits::new(text, &outline);
        for part in &outline.parts {
            let changed = part.relabelled(text, &self.new_label(part.location.label.as_bstr()));
            let too_long = |length| ChangeError::PartLine { line: line_number(text, part.line.start), length };
            edits.set(part.line.clone(), changed.map_err(too_long)?);
        }

        let mut after: Vec<(BString, Server)> = Vec::new();
        let affected = self.affected(&labels, &lines);
        used.extend(affected.iter().filter(|label| self.gives(label)).cloned());
        for label in &affected {
            let old: Vec<&Line> = lines.iter().filter(|line| line.label == *label).collect();
            let new = self.servers_of(label, &old);
            edits.arrange(label, &old, &new)?;
            after.extend(new.into_iter().map(|server| (label.clone(), server)));
        }
        for line in lines.iter().filter(|line| !affected.contains(&line.label)) {
            edits.keep(line);
            after.push((line.label.clone(), line.server.clone()));
        }
        let has_includes = self.change_includes(&outline, &mut edits)?;
        self.check_served(labels, after, has_includes)?;
        Ok(edits.finish())
    }

    /// The new name of a label.
    fn new_label(&self, label: &BStr) -> BString {
        let new = self.relabel.iter().find(|(old, _)| old == label).map(|(_, new)| new.as_bstr());
        new.unwrap_or(label).to_owned()
    }

    fn line(&self, text: &[u8], line: &ServerLine) -> Result<Line, ChangeError> {
        let url_label = Location::parse(&line.server.url).label;
        if self.new_label(line.label.as_bstr()) == line.label && self.new_label(url_label.as_bstr()) == url_label {
            let ServerLine { line: range, label, server } = line.clone();
            return Ok(Line { range, text: None, label, server });
        }
        let (text, changed) = line.relabelled(text, |label| self.new_label(label))?;
        Ok(Line { range: line.line.clone(), text: Some(text), label: changed.label, server: changed.server })
    }

    /// Whether a server is given for this label.
    fn gives(&self, label: &[u8]) -> bool {
        self.servers.iter().any(|(given, _)| given == label)
    }

    /// The labels whose servers may change: those with given servers, if the file has them in its parts, its servers, or
    /// a server that is given to another label.
    fn affected(&self, labels: &[BString], lines: &[Line]) -> Vec<BString> {
        let is_chosen = |label: &BStr| self.labels.is_empty() || self.labels.iter().any(|chosen| chosen == label);
        let is_listed = |label: &BStr| lines.iter().any(|line| line.label == label);
        let mut affected: Vec<BString> = Vec::new();
        let mut given: Vec<&BStr> = self.servers.iter().map(|(label, _)| label.as_bstr()).collect();
        given.retain(|label| is_chosen(label));
        let mut known: BTreeSet<BString> = labels.iter().cloned().collect();
        known.extend(lines.iter().map(|line| line.label.clone()));
        // A server may refer to a label, which may refer to another.
        loop {
            let place = given.iter().position(|label| self.is_all || known.contains::<BStr>(label));
            let Some(place) = place else { break };
            let label = given.remove(place);
            if !affected.iter().any(|other| other == label) {
                affected.push(label.to_owned());
                let servers = self.servers.iter().filter(|(given, _)| given == label);
                known.extend(servers.map(|(_, server)| Location::parse(&server.url).label));
            }
        }
        if self.mode == Mode::Remove {
            let all = self.labels.iter().filter(|label| !self.gives(label) && is_listed(label.as_bstr()));
            affected.extend(all.cloned());
        }
        if self.is_all {
            let others: BTreeSet<_> = lines.iter().map(|line| &line.label).filter(|label| !self.gives(label)).collect();
            affected.extend(others.into_iter().cloned());
        }
        affected
    }

    /// The servers that a label has after the change.
    fn servers_of(&self, label: &[u8], old: &[&Line]) -> Vec<Server> {
        let old = || old.iter().map(|line| line.server.clone());
        let mut given: Vec<Server> = Vec::new();
        for (_, server) in self.servers.iter().filter(|(given, _)| given == label) {
            if !given.iter().any(|other| is_same(other, server)) {
                given.push(server.clone());
            }
        }
        let is_given = |server: &Server| given.iter().any(|other| is_same(other, server));
        match self.mode {
            Mode::Replace => given,
            Mode::Prepend => given.iter().cloned().chain(old().filter(|server| !is_given(server))).collect(),
            Mode::Append => {
                let with_option = |server: Server| {
                    let given = given.iter().find(|given| is_same(given, &server));
                    Server { try_last: given.map_or(server.try_last, |given| given.try_last), ..server }
                };
                let is_new = |server: &&Server| !old().any(|other| is_same(&other, server));
                old().map(with_option).chain(given.iter().filter(is_new).cloned()).collect()
            }
            Mode::Remove if given.is_empty() => Vec::new(),
            Mode::Remove => old().filter(|server| !is_given(server)).collect(),
        }
    }

    /// Returns whether there are `[Include]` lines after the change.
    fn change_includes(&self, outline: &Outline, edits: &mut Edits<'_>) -> Result<bool, ChangeError> {
        let mut left = outline.includes.len();
        for url in &self.includes {
            let lines = outline.includes.iter().filter(|include| include.url == *url);
            match self.mode {
                Mode::Remove => lines.for_each(|include| {
                    edits.set(include.line.clone(), BString::default());
                    left -= 1;
                }),
                _ if lines.count() > 0 => {}
                _ => {
                    edits.append_include(&include_line(url)?);
                    left += 1;
                }
            }
        }
        Ok(left > 0)
    }

    /// Refuses a text whose parts use labels without a server. A file with `[Include]` lines may get servers from there.
    fn check_served(
        &self,
        labels: Vec<BString>,
        servers: Vec<(BString, Server)>,
        has_includes: bool,
    ) -> Result<(), ChangeError> {
        let jigdo = Jigdo { servers, ..Jigdo::default() };
        let mut unserved = Vec::new();
        for label in labels.into_iter().filter(|label| !label.is_empty() && !is_scheme(label)) {
            let urls = jigdo.urls(&Location { label: label.clone(), path: BString::default() })?;
            let leads_somewhere = |url: &BString| {
                let label = Location::parse(url).label;
                label.is_empty() || is_scheme(&label)
            };
            if !urls.iter().any(leads_somewhere) && !unserved.contains(&label) {
                unserved.push(label);
            }
        }
        if unserved.is_empty() || has_includes || self.allow_unserved {
            return Ok(());
        }
        Err(ChangeError::Unserved { labels: unserved })
    }
}

/// Whether two servers are the same, ignoring a slash at the end.
fn is_same(a: &Server, b: &Server) -> bool {
    let plain = |server: &'_ Server| server.url.strip_suffix(b"/").unwrap_or(&server.url).to_owned();
    plain(a) == plain(b)
}

fn line_number(text: &[u8], offset: usize) -> usize {
    memchr::memchr_iter(b'\n', &text[..offset]).count() + 1
}

/// The edits of a text, being collected.
struct Edits<'t> {
    text: &'t [u8],
    outline: &'t Outline,
    edits: Vec<Edit>,
    /// Server lines of labels that have none yet.
    added: BString,
    /// `[Include]` lines to put at the end.
    includes: BString,
}

impl<'t> Edits<'t> {
    fn new(text: &'t [u8], outline: &'t Outline) -> Self {
        Self { text, outline, edits: Vec::new(), added: BString::default(), includes: BString::default() }
    }

    fn set(&mut self, range: Range<usize>, text: BString) {
        if text != self.text[range.clone()] {
            self.edits.push(Edit { range, text });
        }
    }

    /// Keeps a server line where it is.
    fn keep(&mut self, line: &Line) {
        if let Some(text) = &line.text {
            self.set(line.range.clone(), text.clone());
        }
    }

    /// Turns a label's lines into `new` with as few edits as possible.
    fn arrange(&mut self, label: &[u8], old: &[&Line], new: &[Server]) -> Result<(), WriteError> {
        let Some(last) = old.last() else {
            let lines = self.server_lines(label, new)?;
            self.added.push_str(&lines);
            return Ok(());
        };
        let before: Vec<&Server> = old.iter().map(|line| &line.server).collect();
        let after: Vec<&Server> = new.iter().collect();
        for change in capture_diff_slices(Algorithm::Myers, &before, &after) {
            let (kind, gone, come) = change.as_tag_tuple();
            if kind == DiffTag::Equal {
                old[gone].iter().for_each(|line| self.keep(line));
                continue;
            }
            let place = old.get(gone.start).map_or(last.range.end, |line| line.range.start);
            let text = self.server_lines(label, &new[come])?;
            if !text.is_empty() {
                self.edits.push(Edit { range: place..place, text });
            }
            old[gone]
                .iter()
                .for_each(|line| self.edits.push(Edit { range: line.range.clone(), text: BString::default() }));
        }
        Ok(())
    }

    fn server_lines(&self, label: &[u8], servers: &[Server]) -> Result<BString, WriteError> {
        let mut lines = BString::default();
        for server in servers {
            lines.push_str(self.with_line_end(&server_line(label, server)?));
        }
        Ok(lines)
    }

    /// A line with the text's own line ending.
    fn with_line_end(&self, line: &[u8]) -> BString {
        line.replace("\n", self.outline.line_end()).into()
    }

    fn append_include(&mut self, line: &[u8]) {
        let line = self.with_line_end(line);
        self.includes.push_str(&line);
    }

    /// All edits, in order.
    fn finish(mut self) -> Vec<Edit> {
        let (end, line_end) = (self.text.len(), self.outline.line_end());
        let mut after = BString::default();
        match self.outline.servers_end {
            _ if self.added.is_empty() => {}
            Some(place) => self.edits.push(Edit { range: place..place, text: std::mem::take(&mut self.added) }),
            None => {
                [line_end, "[Servers]", line_end].iter().for_each(|piece| after.push_str(piece));
                after.push_str(&self.added);
            }
        }
        if !self.includes.is_empty() {
            let follows_include =
                after.is_empty() && self.outline.includes.last().is_some_and(|last| last.line.end == end);
            after.push_str(if follows_include { "" } else { line_end });
            after.push_str(&self.includes);
        }
        if !after.is_empty() {
            self.edits.push(Edit { range: end..end, text: after });
        }
        // At the same offset, insertions come before replacements.
        self.edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
        // The last line may lack a line ending. Text added after it needs one, unless that line is removed.
        let is_open = !self.text.is_empty() && !self.text.ends_with(b"\n");
        let last_goes =
            self.edits.iter().any(|edit| edit.range.end == end && !edit.range.is_empty() && edit.text.is_empty());
        if is_open
            && !last_goes
            && let Some(edit) = self.edits.iter_mut().find(|edit| edit.range == (end..end))
        {
            edit.text.insert_str(0, line_end);
        }
        self.edits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PART: &str = "nXb3pOcG17eayxE_uI2UCA";

    fn server(url: &str, try_last: bool) -> Server {
        Server { url: url.into(), try_last }
    }

    fn change(mode: Mode, servers: &[(&str, &str, bool)]) -> Change {
        let server = |&(label, url, try_last): &(&str, &str, bool)| (label.into(), server(url, try_last));
        Change { mode, servers: servers.iter().map(server).collect(), ..Change::default() }
    }

    fn changed(text: &str, change: &Change) -> Result<String, ChangeError> {
        let edits = change.edits(text.as_bytes(), &mut BTreeSet::new())?;
        let mut text = text.to_owned();
        edits.iter().rev().for_each(|edit| text.replace_range(edit.range.clone(), &edit.text.to_string()));
        Ok(text)
    }

    /// A file with one part of label A, this `[Servers]` section, and a section after it.
    fn file(servers: &str) -> String {
        format!("# JigsawDownload\n\n[Parts]\n{PART}=A:x\n\n[Servers]\n{servers}\n[Comment]\nit's = free\n")
    }

    #[track_caller]
    fn check(change: &Change, before: &str, after: &str) {
        assert_eq!(changed(&file(before), change).unwrap(), file(after));
        assert_eq!(changed(&file(after), change).unwrap(), file(after), "again");
    }

    #[test]
    fn servers_take_the_place_of_their_labels_servers() {
        let change = change(Mode::Replace, &[("A", "http://new/", false), ("A", "http://b/", true)]);
        check(&change, "A=http://a/\nC=http://c/\n", "A=http://new/\nA=http://b/ --try-last\nC=http://c/\n");
        check(
            &change,
            "# mine\n A = http://new/ # here\n# last\nA=http://old/\n",
            "# mine\n A = http://new/ # here\n# last\nA=http://b/ --try-last\n",
        );
        check(&change, "", "A=http://new/\nA=http://b/ --try-last\n");
    }

    #[test]
    fn servers_come_before_or_after_their_labels_servers() {
        let prepended = change(Mode::Prepend, &[("A", "http://b/", false), ("A", "http://n/", false)]);
        check(
            &prepended,
            "A=http://a/\nA=http://b\nC=http://c/\n",
            "A=http://b/\nA=http://n/\nA=http://a/\nC=http://c/\n",
        );
        let appended = change(Mode::Append, &[("A", "http://b/", true), ("A", "http://n/", false)]);
        check(
            &appended,
            "A=http://b/ # b\nA=http://a/\nC=http://c/\n",
            "A=http://b/ --try-last\nA=http://a/\nA=http://n/\nC=http://c/\n",
        );
    }

    #[test]
    fn servers_go_one_by_one_or_all_of_a_label() {
        let one = change(Mode::Remove, &[("A", "http://b", false)]);
        check(&one, "A=http://b/ --try-last\nA=http://a/\nB=http://b/\n", "A=http://a/\nB=http://b/\n");
        let all = Change { labels: vec!["B".into()], ..change(Mode::Remove, &[]) };
        check(&all, "B=http://b/\nA=http://a/\nB=http://c/\n", "A=http://a/\n");
    }

    #[test]
    fn only_the_labels_that_were_chosen_and_the_file_knows_change() {
        let servers = &[("A", "http://n/", false), ("B", "http://n/", false), ("New", "http://n/", false)];
        check(&change(Mode::Replace, servers), "A=http://a/\n", "A=http://n/\n");
        let chosen = Change { labels: vec!["B".into()], ..change(Mode::Replace, servers) };
        check(&chosen, "A=http://a/\nB=http://b/\n", "A=http://a/\nB=http://n/\n");
        let mut used = BTreeSet::new();
        change(Mode::Replace, servers).edits(file("").as_bytes(), &mut used).unwrap();
        assert_eq!(used.into_iter().collect::<Vec<_>>(), ["A"]);
    }

    #[test]
    fn a_label_to_which_a_server_leads_comes_with_it() {
        let servers =
            &[("C", "http://c/", false), ("B", "C:", false), ("A", "B:sub/", false), ("D", "http://d/", false)];
        check(&change(Mode::Replace, servers), "", "A=B:sub/\nB=C:\nC=http://c/\n");
    }

    #[test]
    fn a_whole_section_is_what_was_given() {
        let servers = &[("A", "http://n/", false), ("New", "http://m/", false)];
        let whole = Change { is_all: true, ..change(Mode::Replace, servers) };
        check(&whole, "Old=http://o/\nA=http://a/\n", "A=http://n/\nNew=http://m/\n");
    }

    #[test]
    fn labels_change_in_parts_and_servers() {
        let relabel = vec![("A".into(), "N".into()), ("B".into(), "A".into())];
        let change = Change { relabel, ..change(Mode::Append, &[("N", "http://n/", false)]) };
        let before = file("A=http://a/ # a\nB=A:sub/\nC=B:x --try-last\n");
        let after = file("N=http://a/ # a\nN=http://n/\nA=N:sub/\nC=A:x --try-last\n").replace("=A:x\n", "=N:x\n");
        assert_eq!(changed(&before, &change).unwrap(), after);
    }

    #[test]
    fn a_section_is_made_where_there_is_none() {
        let with = |text: &str| changed(text, &change(Mode::Replace, &[("A", "http://a/", false)])).unwrap();
        let parts = format!("[Parts]\n{PART}=A:x");
        assert_eq!(with(&parts), format!("{parts}\n\n[Servers]\nA=http://a/\n"));
        assert_eq!(with(&format!("{parts}\n[Servers]")), format!("{parts}\n[Servers]\nA=http://a/\n"));
        let dos = format!("[Parts]\r\n{PART}=A:x\r\n[Servers]\r\nA=http://b/\r\n");
        assert_eq!(with(&dos), dos.replace("//b", "//a"));
        assert_eq!(with("[Parts]\n"), "[Parts]\n");
    }

    #[test]
    fn includes_are_added_once_and_serve_labels() {
        let text = format!("[Parts]\n{PART}=A:x\n");
        let with = |mode, text: &str| {
            let includes = vec!["http://i/".into(), "http://j/".into()];
            changed(text, &Change { includes, ..change(mode, &[]) })
        };
        let added = with(Mode::Replace, &text).unwrap();
        assert_eq!(added, format!("{text}\n[Include http://i/]\n[Include http://j/]\n"));
        assert_eq!(with(Mode::Append, &added).unwrap(), added);
        assert!(matches!(with(Mode::Remove, &added), Err(ChangeError::Unserved { .. })));
        let first = format!("[Servers]\nA=http://a/\n{text}[Include http://j/]\n");
        assert_eq!(with(Mode::Append, &first).unwrap(), format!("{first}[Include http://i/]\n"));
        assert_eq!(with(Mode::Remove, &first).unwrap(), first.replace("[Include http://j/]\n", ""));
    }

    #[test]
    fn labels_that_lead_nowhere_are_refused_unless_that_is_allowed() {
        let removed = change(Mode::Remove, &[("A", "http://a/", false)]);
        let error = changed(&file("A=http://a/\n"), &removed).unwrap_err().to_string();
        assert!(error.contains("label \"A\"") && error.contains("--allow-unserved"), "{error}");
        let allowed = Change { allow_unserved: true, ..removed.clone() };
        assert_eq!(changed(&file("A=http://a/\n"), &allowed).unwrap(), file(""));
        assert!(changed(&file("A=Nowhere:x/\n"), &removed).is_err());
        assert!(changed(&file("A=B:x/\nB=A:\n"), &allowed).unwrap_err().to_string().contains("loop"));
        let url = format!("[Parts]\n{PART}=http://h/x\n{PART}=plain\n");
        assert_eq!(changed(&url, &removed).unwrap(), url);
    }

    #[test]
    fn labels_and_urls_that_a_line_cannot_hold_are_refused() {
        let bad = |change: Change| changed(&file("A=http://a/\n"), &change).unwrap_err().to_string();
        assert!(bad(change(Mode::Replace, &[("A", "http://a\n/", false)])).contains("control character"));
        let relabel = vec![("A".into(), "B C".into())];
        assert!(bad(Change { relabel, ..Change::default() }).contains("\"B C\""));
    }

    proptest! {
        /// Text outside the section stays the same, and making a change twice changes nothing more.
        #[test]
        fn only_the_section_changes_and_only_once(
            section in prop::collection::vec(r"(A|B|C) ?=(http://[a-c]/|B:|C:)( --try-last)?( # x)?|#c|", 0..8),
            servers in prop::collection::vec((prop::sample::select(vec!["A", "B", "C"]), "http://[a-e]/", any::<bool>()), 0..6),
            mode in prop::sample::select(vec![Mode::Replace, Mode::Prepend, Mode::Append, Mode::Remove]),
            end in prop::sample::select(vec!["\n", "", "\n\n[Image]\nFilename=a\nTemplate=b\n"]),
        ) {
            let text = format!("[Parts]\n{PART}=A:x y\n\n[Servers]\n{}{end}", section.join("\n"));
            let servers = servers.iter().map(|(label, url, try_last)| ((*label).into(), server(url, *try_last)));
            let change = Change { mode, servers: servers.collect(), allow_unserved: true, ..Change::default() };
            let Ok(after) = changed(&text, &change) else { return Ok(()) };
            let (head, _) = text.split_once("[Servers]\n").unwrap();
            prop_assert!(after.starts_with(head) && after.trim_end().ends_with(end.trim_end()), "{}", after);
            prop_assert_eq!(changed(&after, &change).unwrap(), after);
        }
    }
}
