//! A manual page in the making: what stands in it, in the macros of man(7).

use roff::{Inline, Roff, bold, italic, line_break, roman};

/// When the pages were last changed in substance. They name no other date: the same program prints the same pages.
const DATE: &str = "2026-11-26";

/// A manual page.
pub struct Page {
    roff: Roff,
    /// Whether nothing stands below the last heading yet.
    is_below_heading: bool,
}

impl Page {
    /// A page with this name, such as `jigpress-publish`, in a section of the manual. `about` is one line, without a full
    /// stop.
    pub fn new(name: &str, section: &str, about: &str) -> Self {
        let mut roff = Roff::new();
        let source = concat!("jigpress ", env!("CARGO_PKG_VERSION"));
        let manual = if section == "5" { "File Formats" } else { "User Commands" };
        roff.control("TH", [&*name.to_uppercase(), section, DATE, source, manual]);
        roff.control("SH", ["NAME"]);
        roff.text([roman(format!("{name} - {}", lower_first(about)))]);
        // Spaces are not stretched, and the names of options and files are not hyphenated.
        roff.control("ad", ["l"]);
        roff.control("nh", []);
        // Without this, groff hyphenates again after the next heading.
        roff.control("nr", ["HY", "0"]);
        Self { roff, is_below_heading: false }
    }

    /// Begins a section.
    pub fn section(&mut self, title: &str) {
        self.roff.control("SH", [&*title.to_uppercase()]);
        self.is_below_heading = true;
    }

    /// Begins a section of a section.
    pub fn subsection(&mut self, title: &str) {
        self.roff.control("SS", [title]);
        self.is_below_heading = true;
    }

    /// Paragraphs, separated by empty lines. The first one follows a heading or the term of an item.
    pub fn text(&mut self, text: &str) {
        for (number, paragraph) in text.split("\n\n").enumerate() {
            if number > 0 {
                self.paragraph();
            }
            self.inlines(markup(&joined(paragraph)));
        }
    }

    /// Begins a paragraph. Below a heading, one has begun.
    pub fn paragraph(&mut self) {
        if !self.is_below_heading {
            self.roff.control("PP", []);
        }
    }

    /// Text on one line of the source.
    pub fn inlines(&mut self, inlines: Vec<Inline>) {
        self.roff.text(inlines);
        self.is_below_heading = false;
    }

    /// An item of a list: a term, and the paragraph that describes it.
    pub fn item(&mut self, term: Vec<Inline>, text: &str) {
        self.described(term, markup(&joined(text)));
    }

    /// An item of a list whose text has its fonts.
    pub fn described(&mut self, term: Vec<Inline>, text: Vec<Inline>) {
        self.roff.control("TP", []);
        self.roff.text(term);
        self.inlines(text);
    }

    /// An item that begins with a dot.
    pub fn bullet(&mut self, text: Vec<Inline>) {
        self.roff.control("IP", ["\\(bu", "2"]);
        self.inlines(text);
    }

    /// What follows belongs to the last item, until [`Page::outdent`].
    pub fn indent(&mut self) {
        self.roff.control("RS", []);
    }

    /// Ends what [`Page::indent`] began.
    pub fn outdent(&mut self) {
        self.roff.control("RE", []);
    }

    /// Lines as they are, indented.
    pub fn code(&mut self, lines: &str) {
        self.paragraph();
        self.is_below_heading = false;
        self.roff.control("RS", ["4"]);
        self.roff.control("EX", []);
        lines.lines().for_each(|line| {
            self.roff.text([roman(line)]);
        });
        self.roff.control("EE", []);
        self.roff.control("RE", []);
    }

    /// Lines of a synopsis: what is typed as it stands is bold, what stands for something else is italic.
    pub fn synopsis(&mut self, lines: &[String]) {
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                self.roff.control("br", []);
            }
            self.roff.text(synopsis(line));
        }
    }

    /// The names of other pages, with their sections.
    pub fn see_also(&mut self, pages: &[(String, String)]) {
        let last = pages.len() - 1;
        for (number, (name, section)) in pages.iter().enumerate() {
            let comma = if number < last { "," } else { "" };
            self.inlines(vec![bold(name.clone()), roman(format!("({section}){comma}"))]);
        }
    }

    /// Where the documentation is.
    pub fn documentation(&mut self) {
        self.paragraph();
        let place = roman(env!("CARGO_PKG_REPOSITORY"));
        self.inlines(vec![roman("The documentation is in the directory docs of"), line_break(), place]);
    }

    /// The source of the page.
    pub fn source(&self) -> String {
        self.roff.render()
    }
}

/// The text on one line.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text with `code` in bold.
pub fn markup(text: &str) -> Vec<Inline> {
    let style = |(number, text): (usize, &str)| if number % 2 == 1 { bold(text) } else { roman(text) };
    text.split('`').enumerate().filter(|(_, text)| !text.is_empty()).map(style).collect()
}

fn synopsis(line: &str) -> Vec<Inline> {
    let mut is_name = true;
    let words = line.split(' ').flat_map(|word| {
        let bare = word.trim_start_matches(['[', '<', '(']);
        let begins_as_option = bare.starts_with('-');
        is_name &= bare == word && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        let inline = if is_name || begins_as_option { bold(word) } else { italic(word.replace(['<', '>'], "")) };
        [inline, roman(" ")]
    });
    let mut words: Vec<Inline> = words.collect();
    words.pop();
    words
}

/// As the line of whatis(1) begins, unless the word is a name.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}
