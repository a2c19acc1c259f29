//! Encoders of texts as objects.
//!
//! What it is: vectors and scores as bytes, for whoever makes arrays of them. What it is not: the tasks, which are the library's,
//! nor arrays; the Python around it has those. The one design choice: which of the two an encoder does is seen in its file.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::Error;
use engine::tasks::{Embed, EncoderOptions, Pooling, Rerank, TextInput};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyByteArray;

use crate::engines::{Engine, path_of};
use crate::error::raise;
use crate::networks::{Lines, closed, lines};

/// What an encoder does.
enum Task {
    Embed(Embed),
    Rerank(Rerank),
}

/// An encoder in memory; without a task once it is closed.
#[pyclass(frozen, module = "pintpot._pintpot")]
pub(crate) struct Encoder {
    task: Mutex<Option<Task>>,
    longest: usize,
    dimensions: Option<usize>,
    lines: Lines,
}

/// How an encoder is to be used.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Use {
    tokenizer: Option<PathBuf>,
    longest: Option<u32>,
    pooling: Option<String>,
    normalize: bool,
}

impl Encoder {
    fn load(engine: &engine::Engine, model: &str, how: Use) -> Result<Encoder, Error> {
        let pooling = how.pooling.as_deref().map(Pooling::of).transpose()?;
        let options = EncoderOptions {
            longest: how.longest,
            pooling,
            keeps_length: !how.normalize,
            ..EncoderOptions::default()
        };
        let file = engine.open_encoder(&path_of(model)?, how.tokenizer.as_deref())?;
        let (task, longest, dimensions, lines) = match file.scores() {
            true => {
                let task = engine.load_rerank(file, &options)?;
                let (longest, lines) = (task.longest(), lines(task.lines()));
                (Task::Rerank(task), longest, None, lines)
            }
            false => {
                let task = engine.load_embed(file, &options)?;
                let (longest, dimensions, lines) = (task.longest(), task.dimensions(), lines(task.lines()));
                (Task::Embed(task), longest, Some(dimensions), lines)
            }
        };
        Ok(Encoder { task: Mutex::new(Some(task)), longest, dimensions, lines })
    }

    fn task(&self) -> MutexGuard<'_, Option<Task>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vectors(&self, texts: &[PyBackedStr]) -> Result<Vec<u8>, Error> {
        let inputs: Vec<TextInput<'_>> = texts.iter().map(|text| TextInput::Text(text)).collect();
        let mut bytes = Vec::new();
        match self.task().as_mut() {
            Some(Task::Embed(task)) => {
                task.embed(&inputs, |vector| vector.iter().for_each(|x| bytes.extend(x.to_ne_bytes())))?
            }
            Some(Task::Rerank(_)) => return Err(Error::OtherTask { makes: "scores, no vectors" }),
            None => return Err(closed()),
        };
        Ok(bytes)
    }

    fn scores(&self, query: &str, texts: &[PyBackedStr]) -> Result<Vec<u8>, Error> {
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let mut bytes = Vec::new();
        match self.task().as_mut() {
            Some(Task::Rerank(task)) => {
                task.score(query, &texts, |score| bytes.extend(score.to_ne_bytes()))?
            }
            Some(Task::Embed(_)) => return Err(Error::OtherTask { makes: "vectors, no scores" }),
            None => return Err(closed()),
        };
        Ok(bytes)
    }
}

#[pymethods]
impl Encoder {
    #[new]
    fn new(py: Python<'_>, engine: &Engine, model: &str, how: Use) -> PyResult<Encoder> {
        py.detach(|| Encoder::load(&engine.0, model, how)).map_err(|error| raise(py, &error))
    }

    /// The vectors of a few texts, one after another, as f32.
    fn embed<'py>(&self, py: Python<'py>, texts: Vec<PyBackedStr>) -> PyResult<Bound<'py, PyByteArray>> {
        let bytes = py.detach(|| self.vectors(&texts)).map_err(|error| raise(py, &error))?;
        Ok(PyByteArray::new(py, &bytes))
    }

    /// The scores of a few texts, as f32.
    fn rerank<'py>(
        &self,
        py: Python<'py>,
        query: PyBackedStr,
        texts: Vec<PyBackedStr>,
    ) -> PyResult<Bound<'py, PyByteArray>> {
        let bytes = py.detach(|| self.scores(&query, &texts)).map_err(|error| raise(py, &error))?;
        Ok(PyByteArray::new(py, &bytes))
    }

    /// Numbers of a vector; `None` if it gives scores.
    #[getter]
    fn dimensions(&self) -> Option<usize> {
        self.dimensions
    }

    #[getter]
    fn longest(&self) -> usize {
        self.longest
    }

    /// The account, by part.
    #[getter]
    fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Gives the memory back.
    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.task().take()));
    }
}
