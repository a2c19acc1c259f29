//! Settings of custom operators by name.
//!
//! Not their layout, which is `formats`'. The one design choice: a setting is asked for by its name when it is needed, and one that
//! is missing is an error that names it.

use super::Importer;
use super::call::Call;
use crate::Error;
use formats::tflite::flex;
use host::ReadAt;

/// The settings of an operator.
pub(super) struct Settings(Vec<(String, Vec<f64>)>);

impl Settings {
    pub fn read(importer: &Importer<'_>, call: &Call<'_>) -> Result<Settings, Error> {
        let range = call.operator.custom_options.clone().unwrap_or(0..0);
        let mut bytes = vec![0; range.end.saturating_sub(range.start).min(flex::MOST as u64) as usize];
        let file: Option<&&dyn ReadAt> = importer.builder.files().first();
        let read = file.map(|file| file.read_exact_at(range.start, &mut bytes));
        match (read, flex::numbers(&bytes)) {
            (Some(Ok(())), Some(numbers)) => Ok(Settings(numbers)),
            _ => call.wrong("custom_options", "a map of settings is needed"),
        }
    }

    pub fn list(&self, name: &str) -> &[f64] {
        self.0.iter().find(|(own, _)| own == name).map_or(&[], |(_, list)| list)
    }

    pub fn one(&self, call: &Call<'_>, name: &'static str) -> Result<f64, Error> {
        match self.list(name) {
            [number] => Ok(*number),
            _ => call.wrong(name, "a number is needed"),
        }
    }

    /// A whole number that is not negative; `usual` if it is not said.
    pub fn count(&self, call: &Call<'_>, name: &'static str, usual: Option<usize>) -> Result<usize, Error> {
        match (self.list(name), usual) {
            ([], Some(usual)) => Ok(usual),
            ([number], _) if (0.0..f64::from(i32::MAX)).contains(number) => Ok(*number as usize),
            _ => call.wrong(name, "a whole number is needed"),
        }
    }
}
