//! What stands around the texts that an encoder is given: marks, and to which text each token belongs.
//!
//! What it is: the post-processor of a tokenizer.json, or BERT's where there is no such file. What it is not: padding; texts
//! of one length share a run. The one design choice: a form is a list of marks and places for texts, so that it is written
//! down by walking it, and what it takes besides the texts is counted the same way.

use serde_json::Value;

use super::json_parts::{kind, list, unknown};
use crate::Error;

/// Parts of a form, at most.
const PARTS_MAX: usize = 64;

/// A part of what an encoder is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A mark.
    Mark { id: u32, type_id: u32 },
    /// The first text, or the second.
    Text { second: bool, type_id: u32 },
}

/// Forms for one text and for two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostProcessor {
    single: Vec<Part>,
    pair: Vec<Part>,
}

/// What an encoder is given: ids, and for each the text that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Tokens.
    pub ids: Vec<u32>,
    /// Of each token, its type.
    pub type_ids: Vec<u32>,
}

impl PostProcessor {
    /// One text after another, and nothing around them.
    pub fn plain() -> PostProcessor {
        let text = |second| Part::Text { second, type_id: u32::from(second) };
        PostProcessor { single: vec![text(false)], pair: vec![text(false), text(true)] }
    }

    /// BERT's: `[CLS] a [SEP]`, and `[CLS] a [SEP] b [SEP]`.
    pub fn bert(cls: u32, sep: u32) -> PostProcessor {
        let mark = |id, type_id| Part::Mark { id, type_id };
        let text = |second| Part::Text { second, type_id: u32::from(second) };
        let single = vec![mark(cls, 0), text(false), mark(sep, 0)];
        let pair = [&single[..], &[text(true), mark(sep, 1)]].concat();
        PostProcessor { single, pair }
    }

    /// RoBERTa's: `<s> a </s>`, and `<s> a </s> </s> b </s>`, all of one type.
    fn roberta(cls: u32, sep: u32) -> PostProcessor {
        let mark = |id| Part::Mark { id, type_id: 0 };
        let text = |second| Part::Text { second, type_id: 0 };
        let single = vec![mark(cls), text(false), mark(sep)];
        let pair = [&single[..], &[mark(sep), text(true), mark(sep)]].concat();
        PostProcessor { single, pair }
    }

    /// As tokenizer.json says it.
    pub(crate) fn from_json(part: &Value) -> Result<PostProcessor, Error> {
        let marks = || {
            let id = |name: &str| u32::try_from(part[name][1].as_u64()?).ok();
            id("cls").zip(id("sep")).ok_or_else(|| unknown("post-processor", part))
        };
        match kind(part) {
            "" | "ByteLevel" => Ok(PostProcessor::plain()),
            "BertProcessing" => marks().map(|(cls, sep)| PostProcessor::bert(cls, sep)),
            "RobertaProcessing" => marks().map(|(cls, sep)| PostProcessor::roberta(cls, sep)),
            "Sequence" => {
                let mut inner = list(part, "processors").map(PostProcessor::from_json);
                let plain = PostProcessor::plain();
                inner.try_fold(plain.clone(), |all, next| {
                    let next = next?;
                    match (all == plain, next == plain) {
                        (true, _) => Ok(next),
                        (_, true) => Ok(all),
                        _ => Err(unknown("post-processor", part)),
                    }
                })
            }
            "TemplateProcessing" => {
                Ok(PostProcessor { single: template(part, "single")?, pair: template(part, "pair")? })
            }
            _ => Err(unknown("post-processor", part)),
        }
    }

    /// The highest id of a mark.
    pub(crate) fn highest(&self) -> Option<u32> {
        let marks = self.single.iter().chain(&self.pair).filter_map(|part| match part {
            Part::Mark { id, .. } => Some(*id),
            Part::Text { .. } => None,
        });
        marks.max()
    }

    /// Tokens that stand around one text, or around two.
    pub fn marks(&self, is_pair: bool) -> usize {
        let form = if is_pair { &self.pair } else { &self.single };
        form.iter().filter(|part| matches!(part, Part::Mark { .. })).count()
    }

    /// One text or two as an encoder wants them, of at most `longest` tokens: the longer text gives way first. Of each there
    /// are at least as many of its first ids as `longest`, or all, and how many it has.
    pub fn process(
        &self,
        first: (&[u32], usize),
        second: Option<(&[u32], usize)>,
        longest: usize,
    ) -> Encoding {
        let room = longest.saturating_sub(self.marks(second.is_some()));
        let [own, other] = kept([first.1, second.map_or(0, |(_, tokens)| tokens)], room);
        let of = |ids: &'_ [u32], most: usize| ids.len().min(most);
        let (first, second_ids) = (first.0, second.map_or(&[][..], |(ids, _)| ids));
        let texts = [&first[..of(first, own)], &second_ids[..of(second_ids, other)]];
        let mut made = Encoding::default();
        for part in if second.is_some() { &self.pair } else { &self.single } {
            let (ids, type_id) = match part {
                Part::Mark { id, type_id } => (std::slice::from_ref(id), *type_id),
                Part::Text { second, type_id } => (texts[usize::from(*second)], *type_id),
            };
            made.ids.extend(ids);
            made.type_ids.resize(made.ids.len(), type_id);
        }
        made
    }
}

/// How much of two texts stays in a room; as the `tokenizers` library decides it, the odd token too.
fn kept([first, second]: [usize; 2], room: usize) -> [usize; 2] {
    if first + second <= room {
        return [first, second];
    }
    let (less, more) = (first.min(second), first.max(second));
    let half = room / 2;
    let (less, more) = if less > room || less.max(room - less) + less > room {
        (half, half + room % 2)
    } else {
        (less, more.min(room - less))
    };
    if first > second { [more, less] } else { [less, more] }
}

/// The form `name` of a template.
fn template(part: &Value, name: &str) -> Result<Vec<Part>, Error> {
    let items: Vec<&Value> = list(part, name).collect();
    if items.len() > PARTS_MAX {
        return Err(unknown("template", part));
    }
    let mut form = Vec::new();
    for item in items {
        let wrong = || unknown("template", item);
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(wrong);
        if let Value::Object(text) = &item["Sequence"] {
            let second = match text.get("id").and_then(Value::as_str) {
                Some("A") => false,
                Some("B") => true,
                _ => return Err(wrong()),
            };
            form.push(Part::Text { second, type_id: number(&item["Sequence"]["type_id"])? });
            continue;
        }
        let mark = item["SpecialToken"]["id"].as_str().ok_or_else(wrong)?;
        let type_id = number(&item["SpecialToken"]["type_id"])?;
        for id in list(&part["special_tokens"][mark], "ids") {
            form.push(Part::Mark { id: number(id)?, type_id });
        }
    }
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_text_gives_way() {
        for (lengths, room, want) in [
            ([3, 4], 7, [3, 4]),
            ([3, 10], 7, [3, 4]),
            ([10, 3], 7, [4, 3]),
            ([10, 9], 7, [4, 3]),
            ([9, 10], 7, [3, 4]),
            ([9, 0], 7, [7, 0]),
            ([9, 9], 0, [0, 0]),
        ] {
            assert_eq!(kept(lengths, room), want, "{lengths:?} {room}");
        }
    }

    #[test]
    fn marks_count() {
        let bert = PostProcessor::bert(101, 102);
        let made = bert.process((&[1, 2, 3, 4], 4), Some((&[5, 6], 2)), 7);
        assert_eq!(made.ids, [101, 1, 2, 102, 5, 6, 102]);
        assert_eq!(made.type_ids, [0, 0, 0, 0, 1, 1, 1]);
        assert_eq!(bert.process((&[1, 2, 3], 3), None, 4).ids, [101, 1, 2, 102]);
        assert_eq!(bert.process((&[1], 1), None, 0).ids, [101, 102]);
    }
}
