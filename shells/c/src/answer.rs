//! Answers: what is wanted of one, who hears it, what came of it.
//!
//! What it is: the way from C's options to the engine's, and from its pieces to a callback. What it is not: sampling. The one
//! design choice: options are a plain struct that begins with the library's own defaults, so one that grows stays readable.

use std::ffi::{CString, c_char, c_int, c_void};

use engine::{Chat, Flow, GenerateOptions, Grammar, Model, Sampling, report};

use crate::code::{Failure, PintpotCode, call};
use crate::handles::PintpotModel;
use crate::text::{give, handle, put, read, read_any};

/// Hears a piece of an answer as it is known; anything but 0 ends the answer there. The piece is there until it returns.
pub type PintpotOnText = Option<unsafe extern "C" fn(piece: *const c_char, data: *mut c_void) -> c_int>;

/// What is wanted of an answer; begin with `pintpot_options()`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PintpotOptions {
    /// Tokens at most; 0 for up to the end of the context.
    pub max_tokens: u32,
    /// 0 takes the likeliest token; larger is more varied.
    pub temperature: f32,
    /// Only so many of the likeliest tokens; 0 is all.
    pub top_k: u32,
    /// Only the likeliest tokens that together have this probability.
    pub top_p: f32,
    /// Only tokens at least this fraction as likely as the likeliest.
    pub min_p: f32,
    /// Divides the logits of recent tokens; 1 is none.
    pub repetition_penalty: f32,
    /// Taken from the logit of every recent token.
    pub presence_penalty: f32,
    /// Taken from a recent token's logit for each time it occurred.
    pub frequency_penalty: f32,
    /// Start of the draws.
    pub seed: u64,
    /// The answer is JSON that this schema allows; null for any text.
    pub json_schema: *const c_char,
    /// A text that ends the answer; null for none.
    pub stop: *const c_char,
}

/// What is taken if nothing else is said.
#[unsafe(no_mangle)]
pub extern "C" fn pintpot_options() -> PintpotOptions {
    let Sampling { temperature, top_k, top_p, min_p, repetition_penalty, seed, .. } = Sampling::default();
    PintpotOptions {
        max_tokens: 0,
        temperature,
        top_k: top_k as u32,
        top_p,
        min_p,
        repetition_penalty,
        presence_penalty: 0.0,
        frequency_penalty: 0.0,
        seed,
        json_schema: std::ptr::null(),
        stop: std::ptr::null(),
    }
}

/// Goes on with a text. `on_text` hears the pieces, with `data`; `answer`, which may be null, gets a text in JSON: the whole
/// answer, why it ended, its `logits_digest`, tokens and seconds.
///
/// # Safety
/// `model` is a handle, `prompt` a text, `options` null or options; `on_text` may be called with `data`; `answer` is null or may
/// be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pintpot_generate(
    model: *const PintpotModel,
    prompt: *const c_char,
    options: *const PintpotOptions,
    on_text: PintpotOnText,
    data: *mut c_void,
    answer: *mut *mut c_char,
) -> PintpotCode {
    call(|| {
        // SAFETY: the caller promises both.
        let (model, prompt) = unsafe { (handle(model, "model")?, read(prompt, "prompt")?) };
        // SAFETY: handed on.
        unsafe { say(model, |model| model.encode(prompt), options, (on_text, data), answer) }
    })
}

/// Answers a conversation: `messages` is a list in JSON, `[{"role": "user", "content": "Hello"}]`. All else is as of
/// `pintpot_generate()`.
///
/// # Safety
/// As of `pintpot_generate()`, `messages` a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pintpot_chat(
    model: *const PintpotModel,
    messages: *const c_char,
    options: *const PintpotOptions,
    on_text: PintpotOnText,
    data: *mut c_void,
    answer: *mut *mut c_char,
) -> PintpotCode {
    call(|| {
        // SAFETY: the caller promises both.
        let (model, messages) = unsafe { (handle(model, "model")?, read(messages, "messages")?) };
        let chat = Chat::from_json(messages)?;
        // SAFETY: handed on.
        unsafe { say(model, |model| model.encode_chat(&chat.messages), options, (on_text, data), answer) }
    })
}

/// # Safety
/// As of [`pintpot_generate`].
unsafe fn say(
    model: &PintpotModel,
    prompt: impl FnOnce(&Model) -> Result<Vec<u32>, engine::Error>,
    options: *const PintpotOptions,
    (on_text, data): (PintpotOnText, *mut c_void),
    answer: *mut *mut c_char,
) -> Result<(), Failure> {
    // SAFETY: the caller promises it.
    let options = unsafe { generate_options(options) }?;
    let mut model = model
        .0
        .lock()
        .map_err(|_| Failure::usage("a call with this model ended in a fault; load it again"))?;
    let prompt = prompt(&model)?;
    let said = model.generate(&prompt, &options, &mut |piece| {
        let Some(on_text) = on_text else { return Flow::Continue };
        let piece = CString::new(piece.replace('\0', "\u{fffd}")).unwrap_or_default();
        // SAFETY: the caller promises that it may be called with this data.
        match unsafe { on_text(piece.as_ptr(), data) } {
            0 => Flow::Continue,
            _ => Flow::Stop,
        }
    })?;
    if answer.is_null() {
        return Ok(());
    }
    // SAFETY: it is not null, and the caller promises the rest.
    unsafe { put(answer, give(&report::completion(&said).to_string()), "answer") }
}

/// The library's options.
///
/// # Safety
/// `options` is null or points to options whose texts are sound.
unsafe fn generate_options(options: *const PintpotOptions) -> Result<GenerateOptions, Failure> {
    // SAFETY: the caller promises it.
    let Some(options) = (unsafe { options.as_ref() }) else { return Ok(GenerateOptions::default()) };
    // SAFETY: the caller promises it.
    let (schema, stop) =
        unsafe { (read_any(options.json_schema, "json_schema")?, read_any(options.stop, "stop")?) };
    let sampling = Sampling {
        temperature: options.temperature,
        top_k: options.top_k as usize,
        top_p: options.top_p,
        min_p: options.min_p,
        repetition_penalty: options.repetition_penalty,
        presence_penalty: options.presence_penalty,
        frequency_penalty: options.frequency_penalty,
        seed: options.seed,
        ..Sampling::default()
    };
    Ok(GenerateOptions {
        max_tokens: (options.max_tokens > 0).then_some(options.max_tokens),
        sampling,
        grammar: schema.map(|schema| Grammar::JsonSchema(schema.to_string())),
        stop: stop.into_iter().map(str::to_string).collect(),
        ..GenerateOptions::default()
    })
}
