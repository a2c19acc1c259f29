//! The regular expressions by which pre-tokenizers cut text.
//!
//! What it is: a small backtracking matcher for the subset that published tokenizers use: alternatives, groups
//! (optional or not, case-insensitive or not), sets with Unicode categories, counted repetition of one set, and a
//! look ahead at one character. What it is not: a regular expression engine; anything else is refused by name, and
//! so is a search that takes too many steps. The one design choice: a pattern is a few hundred bytes of linked
//! steps over one shared category table, where the automata of an engine would take megabytes.
//!
//! Text need not be UTF-8: a byte that is no part of a character counts as one that is in no category.

use unicode_general_category::{GeneralCategory, get_general_category};

use crate::Error;

/// A compiled expression.
pub(crate) struct Pattern {
    steps: Vec<Step>,
    sets: Vec<Set>,
    start: usize,
}

enum Step {
    /// The end of the expression.
    Done,
    /// The first of these that leads to the end.
    Choice(Vec<usize>),
    /// From `min` to `max` characters of a set, as many as possible, then `next`.
    Repeat { set: usize, min: usize, max: usize, gives_back: bool, next: usize },
    /// The next character is (or is not) in the set. At the end of the text it is not.
    Ahead { set: usize, wanted: bool, next: usize },
}

/// Some characters.
#[derive(Clone, Default)]
struct Set {
    /// The whole answer for ASCII, negation included.
    ascii: u128,
    /// A bit for every general category.
    categories: u32,
    /// Inclusive ranges.
    ranges: Vec<(u32, u32)>,
    white: bool,
    negated: bool,
}

/// Takes a piece and the fuel that is left.
pub(crate) type Sink<'s> = dyn FnMut(&[u8], &mut u64) -> Result<(), Error> + 's;

impl Pattern {
    /// Compiles `source`, or names what it cannot do.
    pub fn new(source: &str) -> Result<Pattern, Error> {
        let mut parser = Parser { source, rest: source, steps: vec![Step::Done], sets: Vec::new() };
        if source.len() > LONGEST {
            return Err(parser.refuse());
        }
        let start = parser.choice(0, false, 0)?;
        if !parser.rest.is_empty() {
            return Err(parser.refuse());
        }
        Ok(Pattern { steps: parser.steps, sets: parser.sets, start })
    }

    /// Calls `piece` with every match and with every stretch between matches, in order and without gaps.
    ///
    /// `fuel` is the number of steps that may be taken, and is lowered by those that were.
    pub fn split(&self, text: &[u8], fuel: &mut u64, piece: &mut Sink) -> Result<(), Error> {
        let (mut gap, mut at) = (0, 0);
        while at < text.len() {
            let end = self.run(self.start, text, at, fuel);
            if *fuel == 0 {
                return Err(Error::PatternTooCostly { bytes: text.len() });
            }
            match end.filter(|&end| end > at) {
                Some(end) => {
                    if gap < at {
                        piece(&text[gap..at], fuel)?;
                    }
                    piece(&text[at..end], fuel)?;
                    (gap, at) = (end, end);
                }
                None => at += decode(text, at).1,
            }
        }
        if gap < at { piece(&text[gap..at], fuel) } else { Ok(()) }
    }

    /// The end of the match of `step` and all after it, from `at`. Recursion is as deep as the expression is long.
    fn run(&self, step: usize, text: &[u8], at: usize, fuel: &mut u64) -> Option<usize> {
        *fuel = fuel.saturating_sub(1);
        match &self.steps[step] {
            _ if *fuel == 0 => None,
            Step::Done => Some(at),
            Step::Choice(options) => options.iter().find_map(|&o| self.run(o, text, at, fuel)),
            Step::Ahead { set, wanted, next } => {
                let inside = at < text.len() && self.sets[*set].contains(decode(text, at).0);
                if inside == *wanted { self.run(*next, text, at, fuel) } else { None }
            }
            &Step::Repeat { set, min, max, gives_back, next } => {
                let (mut end, mut count) = (at, 0);
                while count < max && end < text.len() {
                    let (char, len) = decode(text, end);
                    if !self.sets[set].contains(char) {
                        break;
                    }
                    end += len;
                    count += 1;
                }
                *fuel = fuel.saturating_sub(count as u64 / 4);
                while count >= min {
                    if let Some(end) = self.run(next, text, end, fuel) {
                        return Some(end);
                    }
                    if count == min || !gives_back || *fuel == 0 {
                        return None;
                    }
                    end -= width_before(text, end);
                    count -= 1;
                }
                None
            }
        }
    }
}

/// Steps that splitting `bytes` bytes of text may take.
pub(crate) fn fuel_for(bytes: usize) -> u64 {
    4096 + 256 * bytes as u64
}

impl Set {
    fn contains(&self, char: Option<char>) -> bool {
        match char {
            Some(c) if c.is_ascii() => self.ascii >> (c as u32) & 1 == 1,
            _ => self.matches(char) != self.negated,
        }
    }

    /// The slow answer, without negation.
    fn matches(&self, char: Option<char>) -> bool {
        let Some(char) = char else { return false };
        let code = char as u32;
        self.white && char.is_whitespace()
            || self.categories != 0 && self.categories >> get_general_category(char) as u32 & 1 == 1
            || self.ranges.iter().any(|&(low, high)| (low..=high).contains(&code))
    }

    /// Adds a character, and in a case-insensitive group what folds to the same.
    fn add(&mut self, low: char, high: char, fold: bool) {
        self.ranges.push((low as u32, high as u32));
        if fold {
            let also: &[char] = match low.to_ascii_lowercase() {
                'k' => &['\u{212a}'],
                's' => &['\u{17f}'],
                _ => &[],
            };
            let cases = [low.to_ascii_lowercase(), low.to_ascii_uppercase()];
            self.ranges.extend(cases.iter().chain(also).map(|&c| (c as u32, c as u32)));
        }
    }

    fn sealed(mut self) -> Set {
        for code in 0..128_u8 {
            if self.matches(Some(char::from(code))) != self.negated {
                self.ascii |= 1 << code;
            }
        }
        self
    }
}

/// The character at `at`, `None` for a byte that is part of none, and its width in bytes. `at` is inside `text`.
pub(crate) fn decode(text: &[u8], at: usize) -> (Option<char>, usize) {
    let first = text[at];
    let width = match first {
        0..0x80 => return (Some(char::from(first)), 1),
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return (None, 1),
    };
    let char =
        text.get(at..at + width).and_then(|b| std::str::from_utf8(b).ok()).and_then(|s| s.chars().next());
    char.map_or((None, 1), |c| (Some(c), width))
}

/// The width of the character, or lone byte, that ends at `end`. `end` is not 0.
pub(crate) fn width_before(text: &[u8], end: usize) -> usize {
    if text[end - 1] < 0x80 {
        return 1;
    }
    (2..=end.min(4)).find(|&w| decode(text, end - w).1 == w).unwrap_or(1)
}

struct Parser<'s> {
    source: &'s str,
    rest: &'s str,
    steps: Vec<Step>,
    sets: Vec<Set>,
}

/// Groups within groups; a bound on recursion.
const DEEPEST: usize = 16;
/// Bytes of an expression; a bound on recursion too. Published ones stay below a kilobyte.
const LONGEST: usize = 2048;

impl Parser<'_> {
    /// What is left of the source, as the construct that is not understood.
    fn refuse(&self) -> Error {
        Error::UnknownPattern {
            pattern: self.source.chars().take(200).collect(),
            at: self.source.len() - self.rest.len(),
        }
    }

    fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn next(&mut self) -> Result<char, Error> {
        let char = self.rest.chars().next().ok_or_else(|| self.refuse())?;
        self.rest = &self.rest[char.len_utf8()..];
        Ok(char)
    }

    fn step(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    fn set(&mut self, set: Set) -> usize {
        self.sets.push(set.sealed());
        self.sets.len() - 1
    }

    /// Alternatives up to `)` or the end, each of which goes on to `next`.
    fn choice(&mut self, next: usize, fold: bool, depth: usize) -> Result<usize, Error> {
        if depth > DEEPEST {
            return Err(self.refuse());
        }
        let mut options = vec![self.sequence(next, fold, depth)?];
        while self.eat("|") {
            options.push(self.sequence(next, fold, depth)?);
        }
        Ok(if options.len() == 1 { options[0] } else { self.step(Step::Choice(options)) })
    }

    /// Items up to `|`, `)` or the end. Each is compiled before what follows it is known, so links are patched.
    fn sequence(&mut self, next: usize, fold: bool, depth: usize) -> Result<usize, Error> {
        // A choice of one is a joint: it is created first and told later where it leads.
        let start = self.step(Step::Choice(Vec::new()));
        let mut joint = start;
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let after = self.step(Step::Choice(Vec::new()));
            let item = self.item(after, fold, depth)?;
            self.steps[joint] = Step::Choice(item);
            joint = after;
        }
        self.steps[joint] = Step::Choice(vec![next]);
        Ok(start)
    }

    /// One item that goes on to `next`; where to enter it, in order of preference.
    fn item(&mut self, next: usize, fold: bool, depth: usize) -> Result<Vec<usize>, Error> {
        for (prefix, wanted) in [("(?=", true), ("(?!", false)] {
            if self.eat(prefix) {
                let set = self.one(fold)?;
                let set = self.set(set);
                return if self.eat(")") {
                    Ok(vec![self.step(Step::Ahead { set, wanted, next })])
                } else {
                    Err(self.refuse())
                };
            }
        }
        if self.eat("$") {
            let set = self.set(Set { negated: true, ..Set::default() });
            return Ok(vec![self.step(Step::Ahead { set, wanted: false, next })]);
        }
        if self.eat("(") {
            let fold = self.eat("?i:") || {
                self.eat("?:");
                fold
            };
            let inner = self.choice(next, fold, depth + 1)?;
            if !self.eat(")") || self.rest.starts_with(['*', '+', '{']) {
                return Err(self.refuse());
            }
            return Ok(if self.eat("?") { vec![inner, next] } else { vec![inner] });
        }
        let set = self.one(fold)?;
        let set = self.set(set);
        let (min, max, gives_back) = self.quantifier()?;
        Ok(vec![self.step(Step::Repeat { set, min, max, gives_back, next })])
    }

    fn quantifier(&mut self) -> Result<(usize, usize, bool), Error> {
        let (min, max) = if self.eat("?") {
            (0, 1)
        } else if self.eat("*") {
            (0, usize::MAX)
        } else if self.eat("+") {
            (1, usize::MAX)
        } else if self.eat("{") {
            let min = self.number()?;
            let max = if !self.eat(",") {
                min
            } else if self.rest.starts_with('}') {
                usize::MAX
            } else {
                self.number()?
            };
            if !self.eat("}") || min > max || self.rest.starts_with('+') {
                return Err(self.refuse());
            }
            (min, max)
        } else {
            return Ok((1, 1, false));
        };
        if self.rest.starts_with(['?', '*', '{']) {
            return Err(self.refuse());
        }
        Ok((min, max, !self.eat("+")))
    }

    fn number(&mut self) -> Result<usize, Error> {
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = self.rest[..digits].parse::<u16>().map_err(|_| self.refuse())?;
        self.rest = &self.rest[digits..];
        Ok(usize::from(number))
    }

    /// A set in brackets, an escape, `.` or a literal.
    fn one(&mut self, fold: bool) -> Result<Set, Error> {
        let mut set = Set::default();
        if self.eat("[") {
            set.negated = self.eat("^");
            while !self.eat("]") {
                self.member(&mut set, fold)?;
            }
            return Ok(set);
        }
        if self.eat("\\S") {
            return Ok(Set { white: true, negated: true, ..set });
        }
        if self.eat(".") {
            set.negated = true;
            set.add('\n', '\n', false);
            return Ok(set);
        }
        if self.rest.starts_with(['^', '*', '+', '?', '{', '(', ')', '|']) {
            return Err(self.refuse());
        }
        if self.rest.starts_with('\\') {
            self.member(&mut set, fold)?;
        } else {
            let c = self.next()?;
            set.add(c, c, fold);
        }
        Ok(set)
    }

    /// A class, a range or a character inside brackets.
    fn member(&mut self, set: &mut Set, fold: bool) -> Result<(), Error> {
        if self.eat("\\s") {
            set.white = true;
        } else if self.eat("\\d") {
            set.categories |= category("Nd").unwrap_or(0);
        } else if self.rest.starts_with("\\p") {
            let refusal = self.refuse();
            self.rest = &self.rest[2..];
            let name = if self.eat("{") {
                let (name, rest) = self.rest.split_once('}').ok_or_else(|| self.refuse())?;
                self.rest = rest;
                name
            } else {
                let (name, rest) = self.rest.split_at_checked(1).ok_or_else(|| self.refuse())?;
                self.rest = rest;
                name
            };
            set.categories |= category(name).ok_or(refusal)?;
        } else {
            let low = self.literal()?;
            let ranged = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            let high = if ranged && self.eat("-") { self.literal()? } else { low };
            if low > high || fold && low != high {
                return Err(self.refuse());
            }
            set.add(low, high, fold);
        }
        Ok(())
    }

    fn literal(&mut self) -> Result<char, Error> {
        let before = self.rest;
        match self.next()? {
            '\\' => match self.next()? {
                'n' => Ok('\n'),
                'r' => Ok('\r'),
                't' => Ok('\t'),
                'x' if self.eat("{") => {
                    let (digits, rest) = self.rest.split_once('}').ok_or_else(|| self.refuse())?;
                    let char = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
                    self.rest = rest;
                    char.ok_or_else(|| self.refuse())
                }
                c if c.is_ascii_punctuation() => Ok(c),
                _ => {
                    self.rest = before;
                    Err(self.refuse())
                }
            },
            // Nested sets and set arithmetic.
            '[' => {
                self.rest = before;
                Err(self.refuse())
            }
            c => Ok(c),
        }
    }
}

/// The bits of the general categories whose abbreviation starts with `name`, such as `L` or `Lu`.
fn category(name: &str) -> Option<u32> {
    use GeneralCategory::*;
    const ALL: [GeneralCategory; 30] = [
        ClosePunctuation,
        ConnectorPunctuation,
        Control,
        CurrencySymbol,
        DashPunctuation,
        DecimalNumber,
        EnclosingMark,
        FinalPunctuation,
        Format,
        InitialPunctuation,
        LetterNumber,
        LineSeparator,
        LowercaseLetter,
        MathSymbol,
        ModifierLetter,
        ModifierSymbol,
        NonspacingMark,
        OpenPunctuation,
        OtherLetter,
        OtherNumber,
        OtherPunctuation,
        OtherSymbol,
        ParagraphSeparator,
        PrivateUse,
        SpaceSeparator,
        SpacingMark,
        Surrogate,
        TitlecaseLetter,
        Unassigned,
        UppercaseLetter,
    ];
    let chosen = ALL.iter().filter(|c| c.abbreviation().starts_with(name));
    let bits = chosen.fold(0, |bits, c| bits | 1 << (*c as u32));
    (bits != 0 && !name.is_empty()).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pattern: &str, text: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let mut fuel = fuel_for(text.len());
        let pattern = Pattern::new(pattern).unwrap();
        pattern
            .split(text, &mut fuel, &mut |p, _| {
                out.push(p.to_vec());
                Ok(())
            })
            .unwrap();
        out
    }

    #[test]
    fn splits() {
        for (pattern, text, want) in [
            ("a", "", &[][..]),
            ("ab?", "xaabxx", &["x", "a", "ab", "xx"]),
            (r"\p{L}+|\p{N}{1,3}", "ab1234é٣", &["ab", "123", "4", "é", "٣"]),
            (r"\s+(?!\S)|\s+|\S+", "a  b   ", &["a", " ", " ", "b", "   "]),
            (r"\s*[\r\n]+|\s+", "  \n \n  ", &["  \n \n", "  "]),
            (r"(?i:'s|'ll)| ?[^\s']+", "it'S we'LL 'ſ", &["it", "'S", " we", "'LL", " ", "'ſ"]),
            (r"[A-C]*[BD]+", "ABCBX", &["ABCB", "X"]),
            (r"[A-C]*+[BD]+", "ABCBD", &["ABCBD"]),
            (r"[A-C]++[B]", "ABCB", &["ABCB"]),
            (r"x(?:yz)?$", "xyzx", &["xyz", "x"]),
            (r"[\-\]a]", "b-]", &["b", "-", "]"]),
            (r"x$", "xx", &["x", "x"]),
            (r"[\x{41}-\x{43}]+", "ABCD", &["ABC", "D"]),
            (r"a{2}|b{2,}", "aaabbb", &["aa", "a", "bbb"]),
        ] {
            let want: Vec<Vec<u8>> = want.iter().map(|w| w.as_bytes().to_vec()).collect();
            assert_eq!(pieces(pattern, text.as_bytes()), want, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn a_stray_byte_is_a_symbol() {
        let want: [&[u8]; 3] = [b"a", b"\xff\xe4\xbd", "é".as_bytes()];
        assert_eq!(pieces(r"\p{L}+|[^\s\p{L}\p{N}]+", b"a\xff\xe4\xbd\xc3\xa9"), want);
        assert_eq!(pieces(r"\S*a", b"\xe4\xbda\xbd\xe4"), [&b"\xe4\xbda"[..], b"\xbd\xe4"]);
    }

    #[test]
    fn the_rest_is_refused_with_its_place() {
        for (pattern, at) in [
            ("(a|b)*", 5),
            ("a+?", 2),
            (r"a\b", 1),
            (r"\p{Greek}", 0),
            ("[a&&[b]]", 4),
            ("(?<=a)b", 1),
            ("a)", 1),
            ("(a", 2),
            ("[a", 2),
            ("a{2", 3),
            ("a{99999}", 2),
            (&"a".repeat(3000), 0),
            (&"(".repeat(30), 17),
        ] {
            match Pattern::new(pattern) {
                Err(Error::UnknownPattern { at: got, .. }) => assert_eq!(got, at, "{pattern}"),
                _ => panic!("{pattern} was accepted"),
            }
        }
    }

    #[test]
    fn a_costly_pattern_ends() {
        let pattern = Pattern::new("a*a*a*a*a*b").unwrap();
        let text = vec![b'a'; 3000];
        let mut fuel = fuel_for(text.len());
        let end = pattern.split(&text, &mut fuel, &mut |_, _| Ok(()));
        assert!(matches!(end, Err(Error::PatternTooCostly { bytes: 3000 })));
    }
}
