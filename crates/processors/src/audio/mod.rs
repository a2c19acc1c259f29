//! Sound: from a file's samples to what networks hear, and back to a file.
//!
//! What it is: WAV in and out, any rate to another, pictures of how loud each pitch is at each moment, and pieces of a stream. What
//! it is not: compressed formats; whoever has those has a program that makes WAV of them. The one design choice: everything
//! streams through buffers of fixed size, so that an hour of sound takes the memory of a second.

mod fourier;
mod mel;
mod resample;
mod sound;
mod wav;

pub use mel::{FRAME_STEP, Length, Logarithm, Mel, Order, Scale, Shape, Slopes, Spectrogram, WINDOW};
pub use resample::Resampler;
pub use sound::{RATE, Sound};
pub use wav::{WavReader, wav_header};
