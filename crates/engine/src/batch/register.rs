//! Which lines of a batch are done: by the names that they have, and by number where they have none.
//!
//! What it is: sixteen bytes and two bits for a name, a bit for a line. What it is not: the names. The one design choice: it is
//! made anew from both files whenever a batch begins, so there is nothing that could disagree with them.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What stands for a name: 128 bits, which no two names of one file share by accident.
pub(super) type Key = u128;

/// The key of a name.
pub(super) fn key(name: &str) -> Key {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, name).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// What is to be done with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is to be answered.
    New,
    /// It was answered.
    Done,
    /// A line before it has the same name.
    Twice,
}

/// Which lines are done.
pub(super) struct Register {
    /// In ascending order, each once.
    keys: Vec<Key>,
    /// By key.
    done: Bits,
    taken: Bits,
    /// By line, from 1.
    told: Bits,
}

impl Register {
    /// Bytes that it takes for so many lines.
    pub fn bytes(lines: u64) -> u64 {
        lines * 17
    }

    /// For the names of a file with so many lines.
    pub fn new(mut keys: Vec<Key>, lines: u64) -> Register {
        keys.sort_unstable();
        keys.dedup();
        let (done, taken) = (Bits::new(keys.len() as u64), Bits::new(keys.len() as u64));
        Register { keys, done, taken, told: Bits::new(lines + 1) }
    }

    /// A line of that name is in the output; whether there is one in the input.
    pub fn is_done(&mut self, name: &str) -> bool {
        self.place(name).is_some_and(|at| self.done.set(at))
    }

    /// What is wrong with that line is in the output; whether there is such a line.
    pub fn is_told(&mut self, line: u64) -> bool {
        self.told.set(line)
    }

    /// Whether what is wrong with that line was said before.
    pub fn was_told(&self, line: u64) -> bool {
        self.told.get(line)
    }

    /// What is to be done with the next line that has this name.
    pub fn take(&mut self, name: &str) -> Turn {
        let Some(at) = self.place(name) else { return Turn::Twice };
        let turn = match (self.taken.get(at), self.done.get(at)) {
            (true, _) => Turn::Twice,
            (false, true) => Turn::Done,
            (false, false) => Turn::New,
        };
        self.taken.set(at);
        turn
    }

    fn place(&self, name: &str) -> Option<u64> {
        self.keys.binary_search(&key(name)).ok().map(|at| at as u64)
    }
}

/// Bits, all of them off at first.
struct Bits(Vec<u8>);

impl Bits {
    fn new(count: u64) -> Bits {
        Bits(vec![0; count.div_ceil(8) as usize])
    }

    /// Turns a bit on; whether there is one.
    fn set(&mut self, at: u64) -> bool {
        let byte = self.0.get_mut((at / 8) as usize);
        byte.map(|byte| *byte |= 1 << (at % 8)).is_some()
    }

    fn get(&self, at: u64) -> bool {
        self.0.get((at / 8) as usize).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_new_once() {
        let mut register = Register::new(["a", "b", "a", "c"].map(key).to_vec(), 4);
        assert!(register.is_done("b") && !register.is_done("d"));
        assert!(register.is_told(4) && !register.is_told(99));
        let turns = ["a", "b", "a", "b", "c"].map(|name| register.take(name));
        assert_eq!(turns, [Turn::New, Turn::Done, Turn::Twice, Turn::Twice, Turn::New]);
        assert!(register.was_told(4) && !register.was_told(3));
    }
}
