//! A vocabulary in the order of its bytes, for those who must ask of every token whether it may come.
//!
//! What it is: ids sorted by what they stand for, and how many bytes each has in common with the one before, so that a walk
//! pushes no byte twice and leaves out whatever begins as something that was refused. What it is not: a trie of
//! nodes; six bytes a token do what thirteen and more would. The one design choice: tokens that are plain text, as a string in
//! JSON may hold it, are apart from the others and by length, so that where any plain text may come nobody has to walk them.

use llguidance::earley::ParserRecognizer;
use llguidance::toktrie::{Recognizer, SimpleVob};

use super::tokenizer::Tokenizer;
use super::vocab::reserved;
use crate::Error;

/// What plain tokens match, by class: the shorter are within the longer.
pub(super) const PLAIN: [&str; 6] = [
    r#"[^"\\\x00-\x1F\x7F]{1,2}"#,
    r#"[^"\\\x00-\x1F\x7F]{1,4}"#,
    r#"[^"\\\x00-\x1F\x7F]{1,6}"#,
    r#"[^"\\\x00-\x1F\x7F]{1,10}"#,
    r#"[^"\\\x00-\x1F\x7F]{1,30}"#,
    r#"[^"\\\x00-\x1F\x7F]+"#,
];
/// Characters of a token of each class but the last, at most.
const SHORT: [usize; PLAIN.len() - 1] = [2, 4, 6, 10, 30];
/// Classes: those of plain text, and the rest.
const CLASSES: usize = PLAIN.len() + 1;

/// A vocabulary in the order of its bytes.
pub struct TokenIndex {
    /// Plain tokens, the shortest first, and the rest.
    lists: [List; CLASSES],
    /// The plain tokens of each class as a set.
    sets: [SimpleVob; PLAIN.len()],
    tokens: usize,
}

/// Tokens in the order of their bytes.
struct List {
    ids: Vec<u32>,
    /// Bytes in common with the token before; 255 stands for that and more.
    shared: Vec<u8>,
}

impl TokenIndex {
    /// Sorts a vocabulary; marks and empty tokens are left out.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(tokenizer: &Tokenizer) -> Result<TokenIndex, Error> {
        let tokens = tokenizer.len();
        let all = (0..tokens as u32).filter(|&id| !tokenizer.is_special(id) && !tokenizer.is_end(id));
        let all = all.filter(|&id| !tokenizer.bytes(id).is_empty());
        let mut lists = [const { List { ids: Vec::new(), shared: Vec::new() } }; CLASSES];
        let mut sets = std::array::from_fn(|_| SimpleVob::alloc(tokens));
        for (class, list) in lists.iter_mut().enumerate() {
            let own = all.clone().filter(|&id| class_of(tokenizer.bytes(id)) == class);
            let count = own.clone().count();
            (list.ids, list.shared) = (reserved(count)?, reserved(count)?);
            list.ids.extend(own);
            list.ids.sort_unstable_by_key(|&id| tokenizer.bytes(id));
            let mut before: &[u8] = &[];
            for &id in &list.ids {
                let bytes = tokenizer.bytes(id);
                let shared = before.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                list.shared.push(u8::try_from(shared).unwrap_or(u8::MAX));
                before = bytes;
                if let Some(set) = sets.get_mut(class) {
                    SimpleVob::allow_token(set, id);
                }
            }
        }
        Ok(TokenIndex { lists, sets, tokens })
    }

    /// Bytes that the index of a vocabulary takes at most.
    pub fn estimate(tokens: usize) -> usize {
        5 * tokens + (PLAIN.len() * tokens).div_ceil(8) + 1024
    }

    /// All tokens that may come next.
    pub(super) fn walk(&self, tokenizer: &Tokenizer, parser: &mut ParserRecognizer<'_>) -> SimpleVob {
        let mut set = SimpleVob::alloc(self.tokens);
        let state = parser.lexer_state();
        let mut from = 0;
        if parser.lexer_mut().subsume_possible(state) {
            // The longest plain text that may come whatever it is, without the walk.
            let may = |class: &usize| {
                let may = parser.lexer_mut().check_subsume(state, *class, SUBSUMES, None);
                may.unwrap_or(false)
            };
            from = (0..PLAIN.len()).rev().find(may).map_or(0, |class| class + 1);
        }
        self.sets[..from].iter().for_each(|plain| set.or(plain));
        for list in &self.lists[from..] {
            parser.trie_started("walk");
            list.walk(tokenizer, parser, &mut set);
            parser.trie_finished();
        }
        set
    }
}

/// Steps that the question may take whether all plain text may come.
const SUBSUMES: u64 = 1000;

impl List {
    fn walk(&self, tokenizer: &Tokenizer, parser: &mut ParserRecognizer<'_>, set: &mut SimpleVob) {
        let (mut at, mut depth) = (0, 0);
        while let (Some(&id), Some(&shared)) = (self.ids.get(at), self.shared.get(at)) {
            let shared = usize::from(shared);
            if depth > shared {
                parser.pop_bytes(depth - shared);
                depth = shared;
            }
            let rest = tokenizer.bytes(id).get(depth..).unwrap_or_default();
            let pushed = rest.iter().take_while(|byte| parser.try_push_byte(**byte)).count();
            depth += pushed;
            at += 1;
            if pushed == rest.len() {
                set.allow_token(id);
            } else {
                at += self.beyond(at, depth);
            }
        }
        parser.pop_bytes(depth);
    }

    /// How many tokens from `at` on share more than `depth` bytes with the ones before them.
    fn beyond(&self, at: usize, depth: usize) -> usize {
        let (shared, mut count) = (self.shared.get(at..).unwrap_or_default(), 0);
        for some in shared.chunks(64) {
            if !some.iter().fold(true, |all, shared| all & (usize::from(*shared) > depth)) {
                return count + some.iter().take_while(|shared| usize::from(**shared) > depth).count();
            }
            count += some.len();
        }
        count
    }
}

/// Which class a token belongs to.
fn class_of(bytes: &[u8]) -> usize {
    let plain = |text: &&str| !text.chars().any(|c| matches!(c, '"' | '\\' | '\0'..='\x1f' | '\x7f'));
    match std::str::from_utf8(bytes).ok().filter(plain) {
        None => PLAIN.len(),
        Some(text) => {
            let characters = text.chars().count();
            SHORT.iter().position(|most| characters <= *most).unwrap_or(SHORT.len())
        }
    }
}
