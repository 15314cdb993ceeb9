//! Expands environment variables and the manifest's own variables in its texts.
//!
//! | written | stands for |
//! |---|---|
//! | `${VAR}` | the environment variable, which must be set |
//! | `${VAR:-default}` | the same, or the default if it is unset or empty; the default may contain variables |
//! | `$$` | a dollar sign; so does a `$` that no letter, `_`, `{` or `$` follows |
//! | `{variable}` | a variable of the manifest |
//! | `{{`, `}}` | a brace |
//!
//! In globs, `{a,b}` is no variable, but either of the two.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::glob;
use super::problem::did_you_mean;

/// Looks up an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Variables by name.
pub(super) type Variables = BTreeMap<String, String>;

/// The variables that a text may use.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub known: Variables,
    /// Variables whose values have mistakes, which were reported.
    pub broken: BTreeSet<String>,
    /// Whether there may be more variables, because what defines them has a mistake.
    pub is_open: bool,
}

impl Scope {
    /// Defines a variable; without a value if that has a mistake.
    pub fn define(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.known.insert(name.to_owned(), value);
        } else {
            self.broken.insert(name.to_owned());
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.known.contains_key(name) || self.broken.contains(name)
    }
}

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The text has this mistake.
    Here(String),
    /// It uses something that has a mistake, which was reported.
    Elsewhere,
}

impl From<String> for Mistake {
    fn from(message: String) -> Self {
        Self::Here(message)
    }
}

impl From<&str> for Mistake {
    fn from(message: &str) -> Self {
        Self::Here(message.to_owned())
    }
}

/// The longest result, in bytes: nested variables could otherwise double it again and again.
const MAX_LEN: usize = 64 << 10;

/// How deep braces may be nested.
const MAX_DEPTH: usize = 8;

/// The kind of text, which decides how values are escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Plain,
    /// A glob, in which `{a,b}` means either, and is no variable. Values of variables are literal.
    Glob,
}

impl Syntax {
    fn literal(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Glob => glob::escape(text),
        }
    }
}

/// The most mistakes that are reported of one text.
const MAX_MISTAKES: usize = 20;

/// Expands `text`.
///
/// # Errors
/// The mistakes in the text.
pub(super) fn expand(
    text: &str,
    syntax: Syntax,
    environment: Environment,
    scope: &Scope,
) -> Result<String, Vec<Mistake>> {
    let mut expansion = Expansion { syntax, environment, scope, out: String::new(), mistakes: Vec::new() };
    if let Err(last) = expansion.add(text, 0) {
        expansion.mistakes.push(last);
    }
    if expansion.mistakes.is_empty() { Ok(expansion.out) } else { Err(expansion.mistakes) }
}

struct Expansion<'a> {
    syntax: Syntax,
    environment: Environment<'a>,
    scope: &'a Scope,
    out: String,
    /// Those after which the rest of the text can be read.
    mistakes: Vec<Mistake>,
}

impl Expansion<'_> {
    /// Adds the expanded text.
    ///
    /// # Errors
    /// A mistake after which nothing more can be said of the text.
    fn add(&mut self, text: &str, depth: usize) -> Result<(), Mistake> {
        if depth > MAX_DEPTH {
            return Err(format!("braces are nested more than {MAX_DEPTH} deep").into());
        }
        let mut rest = text;
        while let Some(special) = rest.find(['$', '{', '}']) {
            self.out.push_str(&rest[..special]);
            rest = &rest[special..];
            let used = match rest.as_bytes() {
                [b'$', b'{', ..] => self.add_environment(rest, depth),
                [b'$', next, ..] if *next == b'_' || next.is_ascii_alphabetic() => {
                    let name = leading_name(&rest[1..]);
                    let message =
                        format!("write ${{{name}}} for the environment variable, or $${name} for a dollar sign");
                    self.mistakes.push(message.into());
                    Ok(1 + name.len())
                }
                [b'$', ..] => {
                    self.out.push('$');
                    Ok(if rest.starts_with("$$") { 2 } else { 1 })
                }
                [first, second, ..] if first == second => {
                    self.out.push_str(&self.syntax.literal(&rest[..1]));
                    Ok(2)
                }
                [b'{', ..] => self.add_variable(rest, depth),
                _ => {
                    self.mistakes.push("\"}\" without \"{\"; write \"}}\" for a brace".into());
                    Ok(1)
                }
            };
            rest = &rest[used?..];
            self.check_len()?;
            if self.mistakes.len() >= MAX_MISTAKES {
                return Ok(());
            }
        }
        self.out.push_str(rest);
        self.check_len()
    }

    fn check_len(&self) -> Result<(), Mistake> {
        if self.out.len() > MAX_LEN {
            Err(format!("the text is longer than {MAX_LEN} bytes when expanded").into())
        } else {
            Ok(())
        }
    }

    /// Adds the value of the `${...}` at the start of `rest`, and returns the length of the expression.
    fn add_environment(&mut self, rest: &str, depth: usize) -> Result<usize, Mistake> {
        let Some(end) = closing(&rest[1..]) else {
            self.mistakes.push("\"${\" is never closed".into());
            return Ok(2);
        };
        let end = end + 1;
        let inner = &rest[2..end];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if name.is_empty() || leading_name(name) != name {
            let message =
                format!("\"${{{inner}}}\" is not an environment variable; write ${{NAME}} or ${{NAME:-default}}");
            self.mistakes.push(message.into());
            return Ok(end + 1);
        }
        match ((self.environment)(name), default) {
            (Some(value), None) => self.add_value(name, value),
            (Some(value), Some(_)) if !value.is_empty() => self.add_value(name, value),
            (_, Some(default)) => self.add(default, depth + 1)?,
            (None, None) => {
                let message = format!(
                    "the environment variable {name} is not set; set it, or write ${{{name}:-default}} to give it a \
                     default"
                );
                self.mistakes.push(message.into());
            }
        }
        Ok(end + 1)
    }

    fn add_value(&mut self, name: &str, value: OsString) {
        match value.into_string() {
            Ok(value) => self.out.push_str(&self.syntax.literal(&value)),
            Err(_) => self.mistakes.push(format!("the environment variable {name} is not UTF-8").into()),
        }
    }

    /// Adds the value of the `{...}` at the start of `rest`, and returns the length of the expression.
    fn add_variable(&mut self, rest: &str, depth: usize) -> Result<usize, Mistake> {
        let Some(end) = closing(rest) else {
            self.mistakes.push("\"{\" is never closed; write \"{{\" for a brace".into());
            return Ok(1);
        };
        let name = &rest[1..end];
        if self.syntax == Syntax::Glob && name.contains(',') {
            self.out.push('{');
            self.add(name, depth + 1)?;
            self.out.push('}');
        } else if let Some(value) = self.scope.known.get(name) {
            self.out.push_str(&self.syntax.literal(value));
        } else if self.scope.is_open || self.scope.broken.contains(name) {
            self.mistakes.push(Mistake::Elsewhere);
        } else {
            self.mistakes.push(self.unknown(name).into());
        }
        Ok(end + 1)
    }

    fn unknown(&self, name: &str) -> String {
        // A variable whose name was refused cannot be used.
        let names = || self.scope.known.keys().map(String::as_str).filter(|name| is_variable_name(name));
        let mut hint = did_you_mean(name, names());
        if name.contains(',') {
            hint.clear();
            hint.push_str("; {a,b} means either in globs only");
        } else if hint.is_empty() && names().next().is_some() {
            let names: Vec<_> = names().map(|name| format!("{{{name}}}")).collect();
            hint = format!("; the variables here are {}", names.join(", "));
        }
        format!("unknown variable {{{name}}}{hint}")
    }
}

/// Whether a variable may have this name.
pub(super) fn is_variable_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// The letters, digits and `_` at the start of `text`.
fn leading_name(text: &str) -> &str {
    let end = text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    &text[..end]
}

/// The position of the brace that closes the one at the start of `text`.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.bytes().position(|byte| {
        match byte {
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        open == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str, syntax: Syntax) -> Result<String, String> {
        let environment = |name: &str| match name {
            "SET" => Some("value".into()),
            "STAR" => Some("a*b".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        };
        let known = [("point", "12.9.0"), ("arch", "amd64"), ("odd", "[x]")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let scope = Scope { known, broken: ["broken".to_owned()].into(), is_open: false };
        expand(text, syntax, &environment, &scope).map_err(|mistakes| {
            let message = |mistake: &Mistake| match mistake {
                Mistake::Here(message) => message.clone(),
                Mistake::Elsewhere => "elsewhere".to_owned(),
            };
            mistakes.iter().map(message).collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn variables_of_both_kinds_are_replaced() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{point}/{arch}", "12.9.0/amd64"),
            ("${SET}/{arch}", "value/amd64"),
            ("${UNSET:-/srv/{arch}/x}!", "/srv/amd64/x!"),
            ("${UNSET:-${ALSO:-deep}}", "deep"),
            ("${EMPTY:-default}${EMPTY}", "default"),
            ("${UNSET:-}", ""),
            ("$$HOME costs 5$", "$HOME costs 5$"),
            ("{{point}} é {{", "{point} é {"),
        ] {
            assert_eq!(expanded(text, Syntax::Plain).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, expected) in [
            ("{poin}", "unknown variable {poin}; did you mean \"point\"?"),
            ("{x y z w}", "unknown variable {x y z w}; the variables here are {arch}, {odd}, {point}"),
            ("{point", "\"{\" is never closed; write \"{{\" for a brace"),
            ("point}", "\"}\" without \"{\"; write \"}}\" for a brace"),
            (
                "${UNSET}",
                "the environment variable UNSET is not set; set it, or write ${UNSET:-default} to give it a default",
            ),
            ("${SET", "\"${\" is never closed"),
            ("${SET-x}", "\"${SET-x}\" is not an environment variable; write ${NAME} or ${NAME:-default}"),
            ("{a,b}", "unknown variable {a,b}; {a,b} means either in globs only"),
            ("{broken}", "elsewhere"),
            ("$SET/x", "write ${SET} for the environment variable, or $$SET for a dollar sign"),
            (
                "{broken}/{poin}/{",
                "elsewhere\nunknown variable {poin}; did you mean \"point\"?\n\"{\" is never closed; write \"{{\" for a \
                 brace",
            ),
            (
                "$A}${B-}",
                "write ${A} for the environment variable, or $$A for a dollar sign\n\"}\" without \"{\"; write \"}}\" for a brace\n\"${B-}\" is not an environment variable; write ${NAME} or ${NAME:-default}",
            ),
        ] {
            assert_eq!(expanded(text, Syntax::Plain), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn values_are_literal_in_globs() {
        assert_eq!(expanded("${STAR}/{odd}/*", Syntax::Glob).as_deref(), Ok("a[*]b/[[]x[]]/*"));
        assert_eq!(expanded("{arch}/*.{deb,udeb}", Syntax::Glob).as_deref(), Ok("amd64/*.{deb,udeb}"));
    }

    #[test]
    fn hostile_texts_are_refused_before_they_grow() {
        let scope = Scope { known: [("a".to_owned(), "x".repeat(60_000))].into(), ..Scope::default() };
        let long = expand("{a}{a}", Syntax::Plain, &|_| None, &scope);
        assert_eq!(long, Err(vec!["the text is longer than 65536 bytes when expanded".into()]));
        let deep = expanded(&format!("{}{}", "${A:-".repeat(50_000), "}".repeat(50_000)), Syntax::Plain);
        assert_eq!(deep, Err("braces are nested more than 8 deep".into()));
    }
}
