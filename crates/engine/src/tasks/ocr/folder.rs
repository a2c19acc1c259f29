//! Networks that belong together, in a folder, and the characters that one of them knows.
//!
//! What it is not: a download. The one design choice: names of files say what they are, as the packages of these networks have it.

use super::Ocr;
use super::characters::LONGEST;
use crate::{Engine, Error, Examined, NetworkFile};
use host::{FlashFile, ReadAt};
use std::path::{Path, PathBuf};

/// Files of a folder that are looked at.
const MOST: usize = 4096;

pub(super) fn networks(folder: &Path) -> Result<Ocr, Error> {
    let failed = |source| Error::Host(host::Error::Open { path: folder.to_path_buf(), source });
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut paths: Vec<PathBuf> = entries.take(MOST).filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let named = |words: &[&str], extension: &str| {
        let fits = |path: &&PathBuf| {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or("").to_ascii_lowercase();
            let is_kind = path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
            is_kind && words.iter().any(|word| name.contains(word))
        };
        paths.iter().find(fits).cloned()
    };
    let missing = |what| Error::NoPart { folder: folder.to_path_buf(), what };
    Ok(Ocr {
        detector: named(&["det"], "onnx").ok_or_else(|| missing("network that finds lines (det.onnx)"))?,
        turner: named(&["cls", "ori"], "onnx"),
        reader: named(&["rec"], "onnx").ok_or_else(|| missing("network that reads lines (rec.onnx)"))?,
        characters: named(&["keys", "dict"], "txt"),
    })
}

/// The text of the list of characters.
pub(super) fn characters(ocr: &Ocr, engine: &Engine) -> Result<String, Error> {
    let folder = ocr.reader.parent().unwrap_or(Path::new(".")).to_path_buf();
    let missing = || Error::NoPart { folder: folder.clone(), what: "list of characters (keys.txt)" };
    let Some(path) = &ocr.characters else {
        let Examined::Network(NetworkFile::Onnx(model)) = engine.examine(&ocr.reader)? else {
            return Err(missing());
        };
        let found = model.metadata.iter().find(|(key, _)| &**key == "character");
        return found.map(|(_, text)| text.to_string()).ok_or_else(missing);
    };
    let file = FlashFile::open(path)?;
    let failed = |reason: String| Error::Pipeline { name: path.display().to_string(), reason };
    if file.len() > LONGEST {
        return Err(failed(format!("a list of characters has at most {LONGEST} bytes")));
    }
    let mut bytes = vec![0; file.len() as usize];
    file.read_exact_at(0, &mut bytes).map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}
