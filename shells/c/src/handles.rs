//! Engines, plans and models, as handles.
//!
//! What it is: what can be held from C. What it is not: their work. The one design choice: a model does not need its engine
//! any more once it is loaded, so they may be freed in any order.

use std::ffi::c_char;
use std::path::Path;
use std::sync::Mutex;

use engine::{Engine, Error, KvFormat, LoadOptions, Memory, Model, report};

use crate::code::{Failure, PintpotCode, call};
use crate::text::{give, handle, put, read, read_any};

/// A budget and the account of it.
pub struct PintpotEngine(Engine);

/// A model in memory. Calls of several threads are answered one after the other.
pub struct PintpotModel(pub(crate) Mutex<Model>);

/// How a model is to be loaded; begin with `pintpot_load_options()`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PintpotLoadOptions {
    /// Tokens that a conversation may have; 0 for the library's choice.
    pub context: u32,
    /// How keys and values are kept: "f16" or "q8_0"; null for f16.
    pub kv: *const c_char,
}

/// What is taken if nothing else is said.
#[unsafe(no_mangle)]
pub extern "C" fn pintpot_load_options() -> PintpotLoadOptions {
    PintpotLoadOptions { context: 0, kv: std::ptr::null() }
}

/// Makes an engine.
///
/// `memory` is the budget: "2GiB", "1.5G", "800MiB", "50%", or null for what the machine can spare. It covers all that the
/// engine holds; the rest of your program is `pintpot_host_bytes()`. `threads` is how many compute; 0 for all cores.
///
/// # Safety
/// `memory` is null or a text; `engine` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pintpot_engine_new(
    memory: *const c_char,
    threads: u32,
    engine: *mut *mut PintpotEngine,
) -> PintpotCode {
    call(|| {
        // SAFETY: the caller promises both.
        let memory = unsafe { read_any(memory, "memory") }?;
        let memory = memory.map_or(Ok(Memory::Auto), str::parse).map_err(Error::from)?;
        let threads = (threads > 0).then_some(threads as usize);
        let built = Engine::builder().memory(memory).threads(threads).guest(true).build()?;
        let made = Box::into_raw(Box::new(PintpotEngine(built)));
        // SAFETY: as above; what cannot be handed over is freed.
        unsafe { put(engine, made, "engine").inspect_err(|_| drop(Box::from_raw(made))) }
    })
}

/// Frees an engine; models that it loaded live on. Null is nothing to free.
///
/// # Safety
/// `engine` is null, or was given out by this library and not freed since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pintpot_engine_free(engine: *mut PintpotEngine) {
    if !engine.is_null() {
        // SAFETY: the caller promises that this is its only end.
        drop(unsafe { Box::from_raw(engine) });
    }
}

/// Bytes of this process that are in memory now beyond those of the engine's account: the rest of your program, less what the
/// account holds and nothing is in yet. 0 if `engine` is null.
///
/// # Safety
/// `engine` is null, or was given out by this library and not freed since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pintpot_host_bytes(engine: *const PintpotEngine) -> u64 {
    // SAFETY: the caller promises it.
    unsafe { engine.as_ref() }.map_or(0, |engine| engine.0.host_bytes())
}

/// What a budget would give, before a weight is read: `json` gets a text with the account, the forecast and whether it fits.
/// A budget that is too small is no failure here: `fits` is false, and `smallest_budget_bytes` says what would do.
///
/// # Safety
/// `engine` is a handle, `model` a text, `options` null or options; `json` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pintpot_plan(
    engine: *const PintpotEngine,
    model: *const c_char,
    options: *const PintpotLoadOptions,
    json: *mut *mut c_char,
) -> PintpotCode {
    call(|| {
        // SAFETY: the caller promises all of it.
        let (ours, name, options) =
            unsafe { (handle(engine, "engine")?, read(model, "model")?, load_options(options)?) };
        let opened = ours.0.open(&engine::find(name)?)?;
        let plan = match ours.0.plan(&opened, &options)? {
            Ok(placement) => report::placement(&placement),
            Err(refused) => report::refusal(name, &refused),
        };
        let text = give(&plan.to_string());
        // SAFETY: as above; what cannot be handed over is freed.
        unsafe { put(json, text, "json").inspect_err(|_| crate::pintpot_text_free(text)) }
    })
}

/// Loads a model, or refuses it with `Budget` before a weight is read. `model` is a path, or a name of a model that
/// `pintpot pull` has fetched. `options` may be null.
///
/// # Safety
/// `engine` is a handle, `model` a text, `options` null or options; `loaded` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pintpot_load(
    engine: *const PintpotEngine,
    model: *const c_char,
    options: *const PintpotLoadOptions,
    loaded: *mut *mut PintpotModel,
) -> PintpotCode {
    call(|| {
        // SAFETY: the caller promises all of it.
        let (ours, name, options) =
            unsafe { (handle(engine, "engine")?, read(model, "model")?, load_options(options)?) };
        let path = if Path::new(name).exists() { name.into() } else { engine::find(name)? };
        let made = Box::into_raw(Box::new(PintpotModel(Mutex::new(ours.0.load(&path, &options)?))));
        // SAFETY: as above; what cannot be handed over is freed.
        unsafe { put(loaded, made, "loaded").inspect_err(|_| drop(Box::from_raw(made))) }
    })
}

/// Frees a model, and gives its memory back. Null is nothing to free.
///
/// # Safety
/// `model` is null, or was given out by this library, not freed since, and no call with it is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pintpot_model_free(model: *mut PintpotModel) {
    if !model.is_null() {
        // SAFETY: the caller promises that this is its only end.
        drop(unsafe { Box::from_raw(model) });
    }
}

/// Tokens that a conversation with the model may have; 0 if `model` is null.
///
/// # Safety
/// `model` is null, or was given out by this library and not freed since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pintpot_model_context(model: *const PintpotModel) -> u32 {
    // SAFETY: the caller promises it.
    let model = unsafe { model.as_ref() };
    model.and_then(|model| model.0.lock().ok().map(|model| model.context())).unwrap_or(0)
}

/// The library's options.
///
/// # Safety
/// `options` is null or points to options whose texts are sound.
unsafe fn load_options(options: *const PintpotLoadOptions) -> Result<LoadOptions, Failure> {
    // SAFETY: the caller promises it.
    let Some(options) = (unsafe { options.as_ref() }) else { return Ok(LoadOptions::default()) };
    // SAFETY: the caller promises it.
    let kv = match unsafe { read_any(options.kv, "kv") }? {
        None => KvFormat::default(),
        Some(name) => LoadOptions::kv_of(name)?,
    };
    Ok(LoadOptions {
        context: (options.context > 0).then_some(options.context),
        kv,
        ..LoadOptions::default()
    })
}
