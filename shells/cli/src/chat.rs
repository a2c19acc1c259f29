//! A conversation at the terminal.
//!
//! What it is: turns, history, commands, and what happens when the context is full. What it is not: a line editor; the
//! terminal's own is used, which costs no memory. The one design choice: a conversation that outgrows its context is
//! refused or loses whole oldest turns, as the user chose, and says so; never silently.

use std::io::{BufRead, Write};

use pintpot::{Completion, Engine, Finish, Flow, GenerateOptions, Memory, Message, Model};

use crate::exit::Failure;
use crate::flags::{self, Args, wrong};
use crate::interrupt::Interrupt;
use crate::report;

const HELP: &str = "\
  a line that ends in \\ goes on in the next; \"\"\" begins and ends a text of many lines
  Ctrl-C stops an answer; at the prompt it ends the program
  /bye     end
  /clear   forget the conversation
  /help    this
  /memory  the account; with an amount, such as /memory 512MiB, another budget from now on
  /stats   where bytes and seconds of the last answer went
";

/// What to do when a conversation outgrows the context.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Overflow {
    DropOldest,
    Refuse,
}

impl Overflow {
    pub fn of(args: &Args) -> Result<Overflow, Failure> {
        match args.get(&flags::OVERFLOW) {
            None | Some("refuse") => Ok(Overflow::Refuse),
            Some("drop-oldest") => Ok(Overflow::DropOldest),
            Some(other) => Err(wrong(&flags::OVERFLOW, other, "refuse or drop-oldest")),
        }
    }
}

/// A conversation.
pub(crate) struct Chat<'a> {
    pub name: &'a str,
    pub engine: &'a Engine,
    pub model: &'a mut Model,
    pub options: GenerateOptions,
    pub overflow: Overflow,
    pub interrupt: &'a Interrupt,
    /// The system message, if any, then turns of user and model.
    pub messages: Vec<Message>,
    pub stats: bool,
}

impl Chat<'_> {
    /// Reads and answers until the input ends.
    pub fn run(&mut self, input: &mut dyn BufRead) -> Result<(), Failure> {
        eprintln!("/help lists what can be typed besides words.");
        let system = self.messages.len();
        let mut last = None;
        while let Some(turn) = read_turn(input)? {
            match turn.trim() {
                "" => {}
                "/bye" | "/exit" | "/quit" => break,
                "/clear" => {
                    self.messages.truncate(system);
                    self.model.clear();
                }
                "/help" | "/?" => eprint!("{HELP}"),
                "/memory" => eprint!("{}", report::ledger_text(&self.model.placement().lines)),
                "/stats" => match &last {
                    Some(answer) => eprint!("{}", self.report(answer)),
                    None => eprintln!("nothing was said yet"),
                },
                command if command.split_whitespace().next() == Some("/memory") => {
                    self.change_budget(command.trim_start_matches("/memory").trim());
                }
                command if command.starts_with('/') && !command.contains(char::is_whitespace) => {
                    eprintln!("there is no {command}; /help lists what there is");
                }
                words => last = self.answer(words)?.or(last),
            }
        }
        Ok(())
    }

    /// Changes the budget, or says why not.
    fn change_budget(&mut self, amount: &str) {
        let bytes = match amount.parse::<Memory>().map_err(|error| error.to_string()) {
            Ok(memory) => memory.resolve().map(|budget| budget.bytes).map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        let changed = bytes.and_then(|bytes| self.model.set_memory(bytes).map_err(|error| error.to_string()));
        match changed {
            Ok(()) => eprintln!("{}", report::start_line(self.model.placement())),
            Err(error) => eprintln!("the budget stays as it was: {error}"),
        }
    }

    /// One turn; `None` if it was refused.
    fn answer(&mut self, words: &str) -> Result<Option<Completion>, Failure> {
        self.messages.push(Message::new("user", words));
        let Some(ids) = self.fit()? else {
            self.messages.pop();
            return Ok(None);
        };
        let (model, options, interrupt) = (&mut *self.model, &self.options, self.interrupt);
        let answer =
            interrupt.only_stops(|| model.generate(&ids, options, &mut |text| speak(text, interrupt)))?;
        crate::print("\n")?;
        self.messages.push(Message::new("assistant", &answer.text));
        if answer.finish == Finish::Length {
            eprintln!("(cut: {})", self.why_cut(&answer));
        }
        if self.stats {
            eprint!("{}", self.report(&answer));
        }
        Ok(Some(answer))
    }

    /// The ids of the conversation, shortened as the user chose; `None` if it does not fit.
    fn fit(&mut self) -> Result<Option<Vec<u32>>, Failure> {
        let context = self.model.context();
        let mut dropped = 0;
        loop {
            let ids = self.model.encode_chat(&self.messages)?;
            if ids.len() <= context as usize {
                if dropped > 0 {
                    eprintln!(
                        "(the context of {context} tokens was full: the oldest {dropped} messages were dropped)"
                    );
                }
                return Ok(Some(ids));
            }
            let first = usize::from(self.messages.first().is_some_and(|message| message.role == "system"));
            // A turn is what the user said and the answer to it; the newest is what this is about.
            let turn = self.messages[first..]
                .iter()
                .skip(1)
                .position(|message| message.role == "user")
                .map(|at| at + 1);
            match (self.overflow, turn) {
                (Overflow::DropOldest, Some(length)) => {
                    self.messages.drain(first..first + length);
                    dropped += length;
                }
                (Overflow::DropOldest, None) => {
                    eprintln!("refused: this alone has {} tokens, the context {context}", ids.len());
                    return Ok(None);
                }
                (Overflow::Refuse, _) => {
                    eprintln!(
                        "refused: the conversation would have {} tokens, the context holds {context}",
                        ids.len()
                    );
                    eprintln!(
                        "  /clear forgets it; --overflow drop-oldest forgets its oldest turns; -c asks for more"
                    );
                    return Ok(None);
                }
            }
        }
    }

    fn why_cut(&self, answer: &Completion) -> String {
        match self.options.max_tokens {
            Some(most) if answer.timing.answer_tokens as u64 >= u64::from(most) => format!("-n {most}"),
            _ => format!("the context of {} tokens is full", self.model.context()),
        }
    }

    fn report(&self, answer: &Completion) -> String {
        report::lines(&report::answer(self.name, self.engine, self.model, answer))
    }
}

/// Prints a piece of an answer at once; a reader that is gone or a Ctrl-C ends it.
pub(crate) fn speak(text: &str, interrupt: &Interrupt) -> Flow {
    let mut out = std::io::stdout().lock();
    let gone = out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err();
    if gone || interrupt.is_pressed() { Flow::Stop } else { Flow::Continue }
}

/// What the user says next; `None` at the end of the input.
fn read_turn(input: &mut dyn BufRead) -> Result<Option<String>, Failure> {
    let mut turn = String::new();
    let mut quoted = false;
    loop {
        eprint!("{}", if turn.is_empty() && !quoted { ">>> " } else { "... " });
        let mut line = String::new();
        if input.read_line(&mut line).map_err(|error| Failure::io("read standard input", error))? == 0 {
            eprintln!();
            return Ok((!turn.trim().is_empty()).then_some(turn));
        }
        let line = line.trim_end_matches(['\n', '\r']);
        if let Some(first) = line.strip_prefix("\"\"\"").filter(|_| turn.is_empty() && !quoted) {
            match first.strip_suffix("\"\"\"") {
                Some(whole) => return Ok(Some(whole.to_string())),
                None => (turn, quoted) = (format!("{first}\n"), true),
            }
        } else if quoted {
            match line.strip_suffix("\"\"\"") {
                Some(end) => return Ok(Some(turn + end)),
                None => turn = turn + line + "\n",
            }
        } else if let Some(more) = line.strip_suffix('\\') {
            turn = turn + more + "\n";
        } else {
            return Ok(Some(turn + line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_of_one_and_many_lines() {
        for (typed, turns) in [
            ("a\nb\n", vec!["a", "b"]),
            ("a\\\nb\nc", vec!["a\nb", "c"]),
            ("\"\"\"a\nb\"\"\"\nc\n", vec!["a\nb", "c"]),
            ("\"\"\"a\"\"\"\n", vec!["a"]),
            ("a\\\n", vec!["a\n"]),
            ("\n", vec![""]),
            ("", vec![]),
        ] {
            let mut input = typed.as_bytes();
            let mut got = Vec::new();
            while let Some(turn) = read_turn(&mut input).unwrap() {
                got.push(turn);
            }
            assert_eq!(got, turns, "{typed:?}");
        }
    }
}
