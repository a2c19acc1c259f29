//! `pintpot eval`: how good a model is, by a text or against reference logits.
//!
//! What it is: perplexity over windows (`--text`), or divergence from stored logits (`--reference`). What it is not: a
//! benchmark of speed. The one design choice: reference rows are read one at a time, so a reference of any length fits.
//!
//! A reference is one line of JSON with `ids`, `vocabulary` and, if not every position has a row, `positions`; then rows
//! of little-endian f32, `vocabulary` each.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use pintpot::{Error, EvalOptions, LoadOptions, Model};
use serde_json::{Map, Value, json};

use super::Verb;
use crate::exit::Failure;
use crate::flags::{self, Args};
use crate::{find, profile, report, setup};

pub(super) const VERB: Verb = Verb {
    name: "eval",
    operands: &["MODEL"],
    summary: "judge a model: perplexity over a text, or divergence from reference logits",
    flags: &[
        &[&flags::TEXT, &flags::REFERENCE, &flags::WINDOW, &flags::WINDOWS],
        setup::LOAD,
        setup::ENGINE,
        setup::ECONOMY,
        &[&flags::JSON],
    ],
    run,
};

/// Positions whose logits are computed at once.
const ROWS: u32 = 16;
/// The longest first line of a reference, in bytes.
const LONGEST: u64 = 16 << 20;

fn run(args: &Args) -> Result<(), Failure> {
    let (reference, _) = find::named(args)?;
    let window = args.read(&flags::WINDOW, "a number of tokens")?;
    let windows = args.read(&flags::WINDOWS, "a number of windows")?;
    let options = EvalOptions { window: window.unwrap_or(EvalOptions::default().window), windows };
    let (text, logits) = (args.get(&flags::TEXT), args.get(&flags::REFERENCE));
    let logits = logits.map(|path| Logits::open(Path::new(path))).transpose()?;
    let mut load = setup::load(args)?;
    let needed = logits.as_ref().map_or(options.window, |logits| logits.ids.len());
    load =
        LoadOptions { context: load.context.or(u32::try_from(needed).ok()), logit_rows: Some(ROWS), ..load };
    let engine = setup::engine(args)?;
    let local = find::local(&reference, args)?;
    let opened = engine.open(&local.path)?;
    let reuse = profile::reuse(&opened);
    let mut model = engine.load_opened(opened, &load)?;
    let economy = setup::economize(&mut model, args, reuse)?;
    let mut gained = Map::new();
    let result = match (text, logits) {
        (Some(path), None) if economy.is_off() => model.perplexity(&ids_of(&model, path)?, &options)?,
        (Some(path), None) => {
            let price = model.price(&ids_of(&model, path)?, &options, economy)?;
            gained.insert("plain_perplexity".to_string(), json!(price.plain.perplexity));
            gained.insert("experts_skipped".to_string(), json!(price.skipped));
            gained.insert("experts_stood_in".to_string(), json!(price.stood_in));
            gained.insert("plain_flash_bytes".to_string(), json!(price.flash_bytes[0]));
            gained.insert("flash_bytes".to_string(), json!(price.flash_bytes[1]));
            price.economical
        }
        (None, Some(_)) if !economy.is_off() => {
            return Err(Failure::usage("--skip-weak, --skip-cold and --stand-in are judged by --text FILE"));
        }
        (None, Some(mut logits)) => {
            let ids = std::mem::take(&mut logits.ids);
            model.compare(&ids, &mut |position, row| logits.read(position, row))?
        }
        _ => return Err(Failure::usage("eval needs one of --text FILE and --reference FILE")),
    };
    let mut value = json!({
        "model": local.name,
        "windows": result.windows,
        "tokens": result.tokens,
        "perplexity": result.perplexity,
        "mean_kld": result.mean_kld,
        "same_top": result.same_top,
        "logits_digest": result.digest.to_string(),
    });
    value.as_object_mut().into_iter().for_each(|object| object.append(&mut gained));
    if args.is_on(&flags::JSON) { crate::print(&format!("{value}\n")) } else { crate::print(&plain(&value)) }
}

/// Small numbers need more digits than a report gives.
fn plain(value: &Value) -> String {
    let mut value = value.clone();
    for key in
        ["perplexity", "plain_perplexity", "experts_skipped", "experts_stood_in", "mean_kld", "same_top"]
    {
        match value[key].as_f64() {
            Some(number) => value[key] = Value::String(format!("{number:.6}")),
            None => drop(value.as_object_mut().and_then(|object| object.remove(key))),
        }
    }
    report::lines(&value)
}

/// The ids of a text.
fn ids_of(model: &Model, path: &str) -> Result<Vec<u32>, Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::io(&format!("read {path}"), error))?;
    let mut ids = Vec::new();
    model.tokenizer().encode(&text, false, &mut ids).map_err(Error::from)?;
    Ok(ids)
}

/// A file of reference logits, read row by row.
struct Logits {
    ids: Vec<u32>,
    /// The positions that have a row, ascending.
    positions: Vec<u64>,
    vocabulary: usize,
    /// How many rows have been read.
    row: usize,
    rows: BufReader<File>,
}

impl Logits {
    fn open(path: &Path) -> Result<Logits, Failure> {
        let file =
            File::open(path).map_err(|error| Failure::io(&format!("read {}", path.display()), error))?;
        let mut rows = BufReader::new(file);
        let mut line = Vec::new();
        (&mut rows)
            .take(LONGEST)
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::io("read the reference", error))?;
        let bad = || {
            Failure::from(Error::Reference {
                what: "its first line is not the JSON of a reference".to_string(),
            })
        };
        let header: Value = serde_json::from_slice(&line).map_err(|_| bad())?;
        let numbers =
            |key: &str| -> Option<Vec<u64>> { header[key].as_array()?.iter().map(Value::as_u64).collect() };
        let ids: Vec<u64> = numbers("ids").ok_or_else(bad)?;
        let ids: Vec<u32> =
            ids.into_iter().map(u32::try_from).collect::<Result<_, _>>().map_err(|_| bad())?;
        let positions = numbers("positions").unwrap_or_else(|| (0..ids.len() as u64).collect());
        let vocabulary = header["vocabulary"].as_u64().or(header["vocab"].as_u64()).ok_or_else(bad)?;
        let vocabulary = usize::try_from(vocabulary).ok().filter(|size| *size <= 1 << 24).ok_or_else(bad)?;
        if !positions.is_sorted_by(|a, b| a < b) {
            return Err(bad());
        }
        Ok(Logits { ids, positions, vocabulary, row: 0, rows })
    }

    /// The row at `position`, which is asked for in ascending order.
    fn read(&mut self, position: usize, out: &mut Vec<f32>) -> Result<bool, Error> {
        if self.positions.get(self.row) != Some(&(position as u64)) {
            return Ok(false);
        }
        let short =
            |_| Error::Reference { what: format!("the file ends before the row of position {position}") };
        let mut bytes = [0; 4];
        out.clear();
        for _ in 0..self.vocabulary {
            self.rows.read_exact(&mut bytes).map_err(short)?;
            out.push(f32::from_le_bytes(bytes));
        }
        self.row += 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_where_there_are_some() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logits");
        let mut bytes = b"{\"ids\":[5,6,7],\"positions\":[1,2],\"vocabulary\":2}\n".to_vec();
        bytes.extend([1.0f32, 2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()));
        std::fs::write(&path, bytes).unwrap();
        let mut logits = Logits::open(&path).unwrap();
        assert_eq!(logits.ids, [5, 6, 7]);
        let mut row = Vec::new();
        assert!(!logits.read(0, &mut row).unwrap());
        assert!(logits.read(1, &mut row).unwrap());
        assert_eq!(row, [1.0, 2.0]);
        assert!(logits.read(2, &mut row).is_err());
        for bad in [
            "",
            "{}",
            "{\"ids\":[-1],\"vocabulary\":2}",
            "{\"ids\":[1],\"vocabulary\":2,\"positions\":[1,0]}",
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(Logits::open(&path).is_err(), "{bad}");
        }
    }
}
