//! Sections of the documentation as sections of a manual page, so that one text serves both.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};
use roff::{Inline, bold, italic, roman};

use super::page::Page;

/// A section of a document: its heading, and what stands below it.
pub struct Section<'a> {
    pub title: &'a str,
    text: &'a str,
}

/// The sections of a document, as its headings of the second level divide it. What stands before them is left out.
pub fn sections(document: &str) -> impl Iterator<Item = Section<'_>> {
    document.split("\n## ").skip(1).map(|section| {
        let (title, text) = section.split_once('\n').unwrap_or((section, ""));
        Section { title, text }
    })
}

impl Section<'_> {
    /// Appends the text to a page, below a heading that the page has. A table whose first column is called `key` is left
    /// to `keys`, if that says it has printed it.
    pub fn render(&self, page: &mut Page, keys: &mut dyn FnMut(&mut Page) -> bool) {
        let mut renderer = Renderer { page, line: Vec::new(), style: Style::Roman };
        let mut events = Parser::new_ext(self.text, Options::ENABLE_TABLES);
        while let Some(event) = events.next() {
            match event {
                Event::Start(Tag::Table(_)) => renderer.table(&Table::read(&mut events), keys),
                Event::Start(Tag::CodeBlock(_)) => {
                    let text = events.by_ref().map_while(|event| match event {
                        Event::Text(text) => Some(text.into_string()),
                        _ => None,
                    });
                    renderer.page.code(text.collect::<String>().trim_end());
                }
                event => renderer.event(event),
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Style {
    Roman,
    Bold,
    Italic,
}

struct Renderer<'a> {
    page: &'a mut Page,
    line: Vec<Inline>,
    style: Style,
}

impl Renderer<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(Tag::Strong) => self.style = Style::Bold,
            Event::Start(Tag::Emphasis) => self.style = Style::Italic,
            Event::End(TagEnd::Strong | TagEnd::Emphasis) => self.style = Style::Roman,
            Event::End(TagEnd::Paragraph) => {
                self.page.paragraph();
                self.page.inlines(std::mem::take(&mut self.line));
            }
            Event::End(TagEnd::Item) => {
                self.page.bullet(std::mem::take(&mut self.line));
            }
            event => self.line.extend(inline(event, self.style)),
        }
    }

    fn table(&mut self, table: &Table, keys: &mut dyn FnMut(&mut Page) -> bool) {
        let is_of_keys = table.head.first().is_some_and(|cell| plain(cell) == "key");
        if !(is_of_keys && keys(self.page)) {
            table.rows.iter().for_each(|row| table.render(row, self.page));
        }
    }
}

fn inline(event: Event<'_>, style: Style) -> Option<Inline> {
    let styled = |text: CowStr<'_>| match style {
        Style::Roman => roman(&*text),
        Style::Bold => bold(&*text),
        Style::Italic => italic(&*text),
    };
    match event {
        Event::Text(text) => Some(styled(text)),
        Event::Code(text) => Some(bold(&*text)),
        Event::SoftBreak | Event::HardBreak => Some(roman(" ")),
        _ => None,
    }
}

/// The cells of a table.
struct Table {
    head: Vec<Vec<Inline>>,
    rows: Vec<Vec<Vec<Inline>>>,
}

impl Table {
    fn read(events: &mut Parser<'_>) -> Self {
        let mut table = Self { head: Vec::new(), rows: Vec::new() };
        let (mut row, mut cell) = (Vec::new(), Vec::new());
        for event in events.by_ref() {
            match event {
                Event::End(TagEnd::Table) => break,
                Event::End(TagEnd::TableCell) => row.push(std::mem::take(&mut cell)),
                Event::End(TagEnd::TableHead) => table.head = std::mem::take(&mut row),
                Event::End(TagEnd::TableRow) => table.rows.push(std::mem::take(&mut row)),
                event => cell.extend(inline(event, Style::Roman)),
            }
        }
        table
    }

    /// A row as an item of a list. With more than two columns, each cell is called by the head of its column.
    fn render(&self, row: &[Vec<Inline>], page: &mut Page) {
        let Some((term, cells)) = row.split_first() else { return };
        let mut text = Vec::new();
        for (head, cell) in self.head.iter().skip(1).zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            if cells.len() > 1 {
                let separator = if text.is_empty() { "" } else { "; " };
                let head = plain(head);
                let colon = if head.is_empty() { "" } else { ": " };
                text.push(roman(format!("{separator}{head}{colon}")));
            }
            text.extend_from_slice(cell);
        }
        page.described(term.clone(), text);
    }
}

/// The text without its fonts.
fn plain(inlines: &[Inline]) -> String {
    let text = |inline: &Inline| match inline {
        Inline::Roman(text) | Inline::Bold(text) | Inline::Italic(text) => text.clone(),
        Inline::LineBreak => String::new(),
    };
    inlines.iter().map(text).collect()
}
