//! GBNF, the grammars of llama.cpp, in the words of Lark.
//!
//! What it is: rules, texts, classes of characters, groups and repetitions, one for one. What it is not: a parser of what
//! the grammar describes. The one design choice: a translation of words, since both languages say the same things.
//! <https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md>

use std::fmt::Write;

/// Whether rules are written as in GBNF.
pub(super) fn is_gbnf(rules: &str) -> bool {
    rules.contains("::=")
}

/// The same rules for Lark; else what is wrong.
pub(super) fn to_lark(rules: &str) -> Result<String, String> {
    let mut words = Words { rest: rules };
    let mut lark = String::with_capacity(rules.len() + rules.len() / 4);
    let mut open = 0usize;
    while let Some(word) = words.next()? {
        match word {
            // A name that a definition follows begins a rule.
            Word::Name(name) if words.takes("::=") => {
                if open > 0 {
                    return Err(format!("a group is not closed before the rule {name}"));
                }
                let _ = write!(lark, "\n{}:", renamed(name));
            }
            Word::Name(name) => {
                let _ = write!(lark, " {}", renamed(name));
            }
            Word::Text(text) => {
                let _ = write!(lark, " {text}");
            }
            Word::Class(class) => {
                let _ = write!(lark, " /{class}/");
            }
            Word::Sign(sign) => {
                open = match sign {
                    '(' => open + 1,
                    ')' => open.checked_sub(1).ok_or("a group is closed that was not opened")?,
                    _ => open,
                };
                // What repeats something stands right behind it.
                let space = if matches!(sign, '(' | '|' | ')') { " " } else { "" };
                let _ = write!(lark, "{space}{sign}");
            }
            Word::Times(times) => lark.push_str(times),
        }
    }
    Ok(format!("start: r_root\n{lark}\n"))
}

/// A name that Lark takes for a rule, and that is no other's.
fn renamed(name: &str) -> String {
    let letters = name.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        b'-' => "_d".to_string(),
        b'_' => "_u".to_string(),
        upper => format!("_c{}", char::from(upper.to_ascii_lowercase())),
    });
    format!("r_{}", letters.collect::<String>())
}

enum Word<'r> {
    Name(&'r str),
    /// With its quotes.
    Text(String),
    /// With its brackets, or any character.
    Class(String),
    Sign(char),
    /// `{2}`, `{2,}` or `{2,5}`.
    Times(&'r str),
}

struct Words<'r> {
    rest: &'r str,
}

impl<'r> Words<'r> {
    /// Leaves out spaces and remarks.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return;
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
    }

    /// Whether `sign` comes next; if so it is gone.
    fn takes(&mut self, sign: &str) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn take(&mut self, bytes: usize) -> &'r str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn next(&mut self) -> Result<Option<Word<'r>>, String> {
        self.skip();
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let word = match first {
            '"' => Word::Text(self.text()?),
            '[' => Word::Class(self.class()?),
            '.' => {
                self.take(1);
                Word::Class("(.|\\n)".into())
            }
            '{' => {
                let end = self.rest.find('}').ok_or("a repetition is not closed")?;
                Word::Times(self.take(end + 1))
            }
            '(' | ')' | '|' | '*' | '+' | '?' => {
                self.take(1);
                Word::Sign(first)
            }
            _ => {
                let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
                let end = self.rest.find(|c| !letter(c)).unwrap_or(self.rest.len());
                if end == 0 {
                    return Err(format!("{first:?} is not known in GBNF"));
                }
                Word::Name(self.take(end))
            }
        };
        Ok(Some(word))
    }

    /// A text in quotes; its escapes become characters, and those Lark's.
    fn text(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = self.rest[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 2..];
                    return serde_json::to_string(&text).map_err(|error| error.to_string());
                }
                '\\' => text.push(escaped(&mut chars)?),
                c => text.push(c),
            }
        }
        Err("a text is not closed".into())
    }

    /// A class of characters, as a pattern writes it.
    fn class(&mut self) -> Result<String, String> {
        let (mut class, mut first) = (String::from("["), true);
        let mut chars = self.rest[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                ']' => {
                    self.rest = &self.rest[at + 2..];
                    return Ok(class + "]");
                }
                '\\' => class.push_str(&literal(escaped(&mut chars)?)),
                '^' if first => class.push(c),
                '-' => class.push(c),
                c => class.push_str(&literal(c)),
            }
            first = false;
        }
        Err("a class of characters is not closed".into())
    }
}

/// A character in a pattern that means nothing but itself.
fn literal(c: char) -> String {
    if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\u{{{:x}}}", u32::from(c)) }
}

/// What an escape stands for.
fn escaped(chars: &mut std::str::CharIndices<'_>) -> Result<char, String> {
    let wrong = || "an escape is not known in GBNF".to_string();
    let (_, c) = chars.next().ok_or_else(wrong)?;
    let digits = match c {
        'n' => return Ok('\n'),
        'r' => return Ok('\r'),
        't' => return Ok('\t'),
        '"' | '\\' | '[' | ']' | '-' | '^' => return Ok(c),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return Err(wrong()),
    };
    let digits: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
    u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_translated() {
        for (gbnf, want) in [
            ("root ::= \"a\"", "r_root: \"a\""),
            (
                "root ::= (x-y | [^\\n\"/])* # c\nx-y ::= \"\\x41\\\"\"",
                "r_root: ( r_x_dy | /[^\\u{a}\\u{22}\\u{2f}]/ )*\nr_x_dy: \"A\\\"\"",
            ),
            ("root ::= [a-z]{2,3} .?", "r_root: /[a-z]/{2,3} /(.|\\n)/?"),
            (
                "root ::=\n  a |\n  B\na ::= \"1\"\nB ::= \"2\"",
                "r_root: r_a | r__cb\nr_a: \"1\"\nr__cb: \"2\"",
            ),
        ] {
            assert_eq!(to_lark(gbnf).unwrap(), format!("start: r_root\n\n{want}\n"), "{gbnf}");
        }
        for gbnf in [
            "root ::= \"a",
            "root ::= [a",
            "root ::= )",
            "root ::= (\"a\"\nb ::= \"c\"",
            "root ::= !",
            "root ::= \"\\q\"",
            "root ::= a{2",
        ] {
            assert!(to_lark(gbnf).is_err(), "{gbnf}");
        }
    }
}
