//! pintpot for Python: what the package `pintpot` stands on.
//!
//! What it is: engines, models and answers as objects. What it is not: the face that people see, which is the Python around it
//! (`pintpot/__init__.py`), or logic. The one design choice: whatever takes time happens without the interpreter's lock, on the
//! engine's thread or while the lock is given back.

#![forbid(unsafe_code)]

mod answer;
mod encoders;
mod engines;
mod error;
mod networks;

use pyo3::prelude::*;

/// Counts what this library has on the heap, so that templates end where they should.
#[global_allocator]
static ALLOCATOR: host::CountingAlloc = host::CountingAlloc;

/// Fetches a model, if it is not here; gives where it is.
#[pyfunction]
fn pull(py: Python<'_>, model: &str) -> PyResult<std::path::PathBuf> {
    py.detach(|| engine::pull(model)).map_err(|error| error::raise(py, &error))
}

/// Where a model is that was fetched.
#[pyfunction]
fn find(py: Python<'_>, model: &str) -> PyResult<std::path::PathBuf> {
    py.detach(|| engine::find(model)).map_err(|error| error::raise(py, &error))
}

#[pymodule]
fn _pintpot(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<answer::Answer>()?;
    module.add_class::<encoders::Encoder>()?;
    module.add_class::<engines::Engine>()?;
    module.add_class::<engines::Model>()?;
    module.add_class::<networks::Network>()?;
    module.add_function(wrap_pyfunction!(find, module)?)?;
    module.add_function(wrap_pyfunction!(pull, module)?)
}
