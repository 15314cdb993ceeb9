//! Expands environment variables and the manifest's own variables in its texts.
//!
//! | written | stands for |
//! |---|---|
//! | `${VAR}` | the environment variable, which must be set |
//! | `${VAR:-default}` | the same, or the default if it is unset or empty; the default may contain variables |
//! | `$$` | a dollar sign; so does a `$` that no letter, `_`, `{` or `$` follows |
//! | `{variable}` | a variable of the manifest |
//! | `{{`, `}}` | a brace |

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::problem::did_you_mean;

/// Looks up an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Variables by name.
pub(super) type Variables = BTreeMap<String, String>;

/// The longest result, in bytes: nested variables could otherwise double it again and again.
const MAX_LEN: usize = 64 << 10;

/// How deep braces may be nested.
const MAX_DEPTH: usize = 8;

/// The kind of text, which decides how values are escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Plain,
    /// A glob for file paths; values of variables are literal.
    PathGlob,
    /// A glob for the files of a mirror, in which `{a,b}` means either, and is no variable.
    TreeGlob,
}

impl Syntax {
    fn literal(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::PathGlob => glob::Pattern::escape(text),
            Self::TreeGlob => globset::escape(text),
        }
    }
}

/// Expands `text`.
///
/// # Errors
/// The first mistake in the text.
pub(super) fn expand(
    text: &str,
    syntax: Syntax,
    environment: Environment,
    variables: &Variables,
) -> Result<String, String> {
    let mut expansion = Expansion { syntax, environment, variables, out: String::new() };
    expansion.add(text, 0)?;
    Ok(expansion.out)
}

struct Expansion<'a> {
    syntax: Syntax,
    environment: Environment<'a>,
    variables: &'a Variables,
    out: String,
}

impl Expansion<'_> {
    fn add(&mut self, text: &str, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("braces are nested more than {MAX_DEPTH} deep"));
        }
        let mut rest = text;
        while let Some(special) = rest.find(['$', '{', '}']) {
            self.out.push_str(&rest[..special]);
            rest = &rest[special..];
            let used = match rest.as_bytes() {
                [b'$', b'{', ..] => self.add_environment(rest, depth)?,
                [b'$', next, ..] if *next == b'_' || next.is_ascii_alphabetic() => {
                    let name = leading_name(&rest[1..]);
                    return Err(format!(
                        "write ${{{name}}} for the environment variable, or $${name} for a dollar sign"
                    ));
                }
                [b'$', ..] => {
                    self.out.push('$');
                    if rest.starts_with("$$") { 2 } else { 1 }
                }
                [first, second, ..] if first == second => {
                    self.out.push_str(&self.syntax.literal(&rest[..1]));
                    2
                }
                [b'{', ..] => self.add_variable(rest, depth)?,
                _ => return Err("\"}\" without \"{\"; write \"}}\" for a brace".into()),
            };
            rest = &rest[used..];
            self.check_len()?;
        }
        self.out.push_str(rest);
        self.check_len()
    }

    fn check_len(&self) -> Result<(), String> {
        if self.out.len() > MAX_LEN {
            Err(format!("the text is longer than {MAX_LEN} bytes when expanded"))
        } else {
            Ok(())
        }
    }

    /// Adds the value of the `${...}` at the start of `rest`, and returns the length of the expression.
    fn add_environment(&mut self, rest: &str, depth: usize) -> Result<usize, String> {
        let end = closing(&rest[1..]).ok_or("\"${\" is never closed")? + 1;
        let inner = &rest[2..end];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if name.is_empty() || leading_name(name) != name {
            return Err(format!(
                "\"${{{inner}}}\" is not an environment variable; write ${{NAME}} or ${{NAME:-default}}"
            ));
        }
        match ((self.environment)(name), default) {
            (Some(value), None) => self.add_value(name, value)?,
            (Some(value), Some(_)) if !value.is_empty() => self.add_value(name, value)?,
            (_, Some(default)) => self.add(default, depth + 1)?,
            (None, None) => {
                return Err(format!(
                    "the environment variable {name} is not set; set it, or write ${{{name}:-default}} to give it a \
                     default"
                ));
            }
        }
        Ok(end + 1)
    }

    fn add_value(&mut self, name: &str, value: OsString) -> Result<(), String> {
        let value = value.into_string().map_err(|_| format!("the environment variable {name} is not UTF-8"))?;
        self.out.push_str(&self.syntax.literal(&value));
        Ok(())
    }

    /// Adds the value of the `{...}` at the start of `rest`, and returns the length of the expression.
    fn add_variable(&mut self, rest: &str, depth: usize) -> Result<usize, String> {
        let end = closing(rest).ok_or("\"{\" is never closed; write \"{{\" for a brace")?;
        let name = &rest[1..end];
        if self.syntax == Syntax::TreeGlob && name.contains(',') {
            self.out.push('{');
            self.add(name, depth + 1)?;
            self.out.push('}');
        } else if let Some(value) = self.variables.get(name) {
            self.out.push_str(&self.syntax.literal(value));
        } else {
            return Err(self.unknown(name));
        }
        Ok(end + 1)
    }

    fn unknown(&self, name: &str) -> String {
        let names = || self.variables.keys().map(String::as_str);
        let mut hint = did_you_mean(name, names());
        if hint.is_empty() && !self.variables.is_empty() {
            let names: Vec<_> = names().map(|name| format!("{{{name}}}")).collect();
            hint = format!("; the variables here are {}", names.join(", "));
        }
        format!("unknown variable {{{name}}}{hint}")
    }
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
        let variables = [("point", "12.9.0"), ("arch", "amd64"), ("odd", "[x]")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        expand(text, syntax, &environment, &variables)
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
            ("$SET/x", "write ${SET} for the environment variable, or $$SET for a dollar sign"),
        ] {
            assert_eq!(expanded(text, Syntax::Plain), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn values_are_literal_in_globs() {
        assert_eq!(expanded("${STAR}/{odd}/*", Syntax::PathGlob).as_deref(), Ok("a[*]b/[[]x[]]/*"));
        assert_eq!(expanded("{arch}/*.{deb,udeb}", Syntax::TreeGlob).as_deref(), Ok("amd64/*.{deb,udeb}"));
    }

    #[test]
    fn hostile_texts_are_refused_before_they_grow() {
        let variables = [("a".to_owned(), "x".repeat(60_000))].into();
        let long = expand("{a}{a}", Syntax::Plain, &|_| None, &variables);
        assert_eq!(long, Err("the text is longer than 65536 bytes when expanded".into()));
        let deep = expanded(&format!("{}{}", "${A:-".repeat(50_000), "}".repeat(50_000)), Syntax::Plain);
        assert_eq!(deep, Err("braces are nested more than 8 deep".into()));
    }
}
