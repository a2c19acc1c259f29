//! Tasks: what people want of a network, from their data to an answer.
//!
//! What it is: one file a task, a typed value that says how a network's numbers are read. What it is not: the networks, which
//! run in [`Network`](crate::Network), nor files of pictures and sound, which `processors` reads. The one design choice: a
//! [`Pipeline`] is data; a model of a known kind needs no code, and what takes several models is Rust.

mod boxes;
mod classify;
mod detect;
mod door;
mod embed;
mod encoder;
mod encoder_file;
mod eye;
mod follow;
mod hear;
mod ocr;
mod paint;
mod pipeline;
mod points;
mod pooling;
mod read;
mod rerank;
mod roi;
mod seen;
mod segment;
mod speak;
mod speech_service;
mod tensors;
mod text_service;
mod together;
mod transcribe;
mod values;
mod vision;
mod voice;
mod wake;

pub use boxes::{Boxes, Number};
pub use classify::{Class, Classify};
pub use detect::{Detect, Object};
pub use embed::Embed;
pub use encoder::{EncoderOptions, TextInput};
pub use encoder_file::EncoderFile;
pub use follow::{Follow, Followed, Kind, Landmarks, Mark};
pub use hear::{Hear, Heard, Listened, Loudness, SoundInput};
pub use ocr::{Ocr, Page, TextLine};
pub use paint::{NoiseInput, Paint, Painted, Painter};
pub use pipeline::{Fit, Input, PictureInput, Pipeline, Task};
pub use points::Points;
pub use pooling::Pooling;
pub use processors::audio::{Length, Logarithm, Order, Scale, Shape, Slopes, Spectrogram, wav_header};
pub use read::{Line, Read};
pub use rerank::Rerank;
pub use seen::Seen;
pub use segment::{Mask, Segment};
pub use speak::{Speak, SpeakOptions};
pub use speech_service::{SpeechAsked, SpeechListener, SpeechService};
pub use tensors::{Element, Tensor, Tensors};
pub use text_service::{OwnedText, TextAsked, TextSaid, TextService, TextTask};
pub use transcribe::{Passage, Speech, Transcribe, TranscribeOptions, Transcript, clock};
pub use vision::{Look, Looked};
pub use voice::{Spoken, Voice, VoiceOptions};
pub use wake::{BuiltWake, Wake, Woken};

/// A place on a picture: pixels from the left, pixels from the top.
pub type Point = [f32; 2];
