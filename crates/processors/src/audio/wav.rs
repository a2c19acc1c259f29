//! WAV: samples of whole numbers or floats, read as one channel from a stream, and a header to write them behind.
//!
//! What it is: RIFF with a `fmt ` and a `data` part, others passed over; a length that whoever wrote to a pipe did not know
//! means to the end. What it is not: compressed sound in WAV, which is refused by its number. Layout: Microsoft and IBM,
//! "Multimedia Programming Interface and Data Specifications 1.0" (1991), and `WAVEFORMATEXTENSIBLE`.

use std::io::{self, Read};

use crate::Error;

/// Channels that there may be.
const CHANNELS: u16 = 64;
/// Samples a second that there may be.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;
/// Parts before the samples.
const PARTS: usize = 1_000;
/// Bytes that are read at once.
const BLOCK: usize = 8 << 10;

/// How a sample is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    F32,
    F64,
    I16,
    I24,
    I32,
    U8,
}

impl Stored {
    fn bytes(self) -> usize {
        match self {
            Stored::U8 => 1,
            Stored::I16 => 2,
            Stored::I24 => 3,
            Stored::F32 | Stored::I32 => 4,
            Stored::F64 => 8,
        }
    }

    fn read(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Stored::U8, &[a]) => (f32::from(a) - 128.0) / 128.0,
            (Stored::I16, &[a, b]) => f32::from(i16::from_le_bytes([a, b])) / 32_768.0,
            (Stored::I24, &[a, b, c]) => (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0,
            (Stored::I32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]) as f32 / 2_147_483_648.0,
            (Stored::F32, &[a, b, c, d]) => sane(f32::from_le_bytes([a, b, c, d])),
            (Stored::F64, bytes) => {
                bytes.try_into().map_or(0.0, |bytes| sane(f64::from_le_bytes(bytes) as f32))
            }
            _ => 0.0,
        }
    }
}

/// A sample as a float: no number that would spoil all others.
fn sane(x: f32) -> f32 {
    if x.is_finite() { x.clamp(-8.0, 8.0) } else { 0.0 }
}

/// A stream of WAV, from its samples on.
pub struct WavReader<R> {
    from: R,
    rate: u32,
    channels: usize,
    stored: Stored,
    /// Bytes of samples that are still to come.
    left: u64,
    block: Vec<u8>,
}

impl<R: Read> WavReader<R> {
    /// Reads up to the samples.
    ///
    /// # Errors
    /// What is no WAV, or one that is not read, by name.
    pub fn new(mut from: R) -> Result<WavReader<R>, Error> {
        let mut start = [0; 12];
        from.read_exact(&mut start).map_err(wav_end)?;
        if &start[..4] != b"RIFF" || &start[8..] != b"WAVE" {
            return Err(Error::NotWav);
        }
        let mut format = None;
        for _ in 0..PARTS {
            let mut head = [0; 8];
            from.read_exact(&mut head).map_err(wav_end)?;
            let [a, b, c, d, size @ ..] = head;
            let size = u64::from(u32::from_le_bytes(size));
            match (&[a, b, c, d], format) {
                (b"fmt ", _) => {
                    let mut bytes = [0; 40];
                    let len = (size as usize).min(bytes.len());
                    from.read_exact(&mut bytes[..len]).map_err(wav_end)?;
                    skip(&mut from, size - len as u64 + size % 2)?;
                    format = Some(read_format(&bytes[..len])?);
                }
                (b"data", Some((rate, channels, stored))) => {
                    let left = if size == 0 || size == u64::from(u32::MAX) { u64::MAX } else { size };
                    return Ok(WavReader { from, rate, channels, stored, left, block: vec![0; BLOCK] });
                }
                (b"data", None) => return Err(Error::NotWav),
                _ => skip(&mut from, size + size % 2)?,
            }
        }
        Err(Error::NotWav)
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Adds the next samples to `out`, channels mixed; says whether there were any.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub fn read(&mut self, out: &mut Vec<f32>) -> Result<bool, Error> {
        let (width, frame) = (self.stored.bytes(), self.stored.bytes() * self.channels);
        let most = (BLOCK / frame * frame) as u64;
        let want = most.min(self.left) as usize;
        let mut got = 0;
        while got < want {
            match self.from.read(&mut self.block[got..want]) {
                Ok(0) => break,
                Ok(count) => got += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Sound(error)),
            }
            // Someone who talks now is not kept waiting for a whole block.
            if got >= frame && got.is_multiple_of(frame) {
                break;
            }
        }
        self.left -= got as u64;
        let frames = self.block[..got].chunks_exact(frame);
        let mixed = frames.map(|frame| {
            let sum: f32 = frame.chunks_exact(width).map(|bytes| self.stored.read(bytes)).sum();
            sum / self.channels as f32
        });
        out.extend(mixed);
        Ok(got >= frame)
    }
}

fn read_format(bytes: &[u8]) -> Result<(u32, usize, Stored), Error> {
    let word = |at: usize| {
        bytes.get(at..at + 2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).ok_or(Error::NotWav)
    };
    let (mut tag, channels, bits) = (word(0)?, word(2)?, word(14)?);
    let rate = u32::from(word(4)?) | u32::from(word(6)?) << 16;
    if tag == 0xFFFE {
        tag = word(24)?;
    }
    let refused = |what: String| Err(Error::Wav { what });
    let stored = match (tag, bits) {
        (1, 8) => Stored::U8,
        (1, 16) => Stored::I16,
        (1, 24) => Stored::I24,
        (1, 32) => Stored::I32,
        (3, 32) => Stored::F32,
        (3, 64) => Stored::F64,
        (1 | 3, bits) => return refused(format!("samples of {bits} bits")),
        (tag, _) => return refused(format!("compressed, in format {tag:#x}")),
    };
    if channels == 0 || channels > CHANNELS {
        return refused(format!("of {channels} channels"));
    }
    if !RATES.contains(&rate) {
        return refused(format!("of {rate} samples a second"));
    }
    Ok((rate, usize::from(channels), stored))
}

fn skip(from: &mut impl Read, bytes: u64) -> Result<(), Error> {
    let mut rest = from.take(bytes);
    let passed = io::copy(&mut rest, &mut io::sink()).map_err(Error::Sound)?;
    if passed == bytes { Ok(()) } else { Err(Error::NotWav) }
}

/// What it means that a header cannot be read.
fn wav_end(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::NotWav,
        _ => Error::Sound(error),
    }
}

/// What goes before so many samples of 16 bits and one channel.
pub fn wav_header(rate: u32, samples: u32) -> Vec<u8> {
    let bytes = samples.saturating_mul(2);
    let numbers = |list: &[u32]| -> Vec<u8> { list.iter().flat_map(|number| number.to_le_bytes()).collect() };
    let format = numbers(&[16, 1 | 1 << 16, rate, rate.saturating_mul(2), 2 | 16 << 16]);
    [b"RIFF", &numbers(&[bytes.saturating_add(36)])[..], b"WAVEfmt ", &format, b"data", &numbers(&[bytes])]
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this format and these bytes of samples, behind a part that is nobody's.
    fn file(tag: u16, channels: u16, bits: u16, data: &[u8], told: u32) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        let frame = channels * (bits / 8);
        bytes.extend(tag.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend(16_000u32.to_le_bytes());
        bytes.extend((16_000 * u32::from(frame)).to_le_bytes());
        bytes.extend(frame.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend(told.to_le_bytes());
        bytes.extend(data);
        bytes
    }

    fn samples(bytes: &[u8]) -> Result<Vec<f32>, Error> {
        let (mut reader, mut out) = (WavReader::new(bytes)?, Vec::new());
        while reader.read(&mut out)? {}
        Ok(out)
    }

    #[test]
    fn samples_of_every_kind_are_read() {
        let half = 0.5f32.to_le_bytes();
        let cases: [(u16, u16, &[u8]); 6] = [
            (1, 8, &[192]),
            (1, 16, &[0, 64]),
            (1, 24, &[0, 0, 64]),
            (1, 32, &[0, 0, 0, 64]),
            (3, 32, &half),
            (3, 64, &0.5f64.to_le_bytes()),
        ];
        for (tag, bits, data) in cases {
            let told = data.len() as u32;
            assert_eq!(samples(&file(tag, 1, bits, data, told)).unwrap(), [0.5], "{tag} {bits}");
            // To the end, where the writer knew none; half a sample is no sample.
            assert_eq!(samples(&file(tag, 1, bits, data, u32::MAX)).unwrap(), [0.5], "{tag} {bits}");
        }
        assert_eq!(samples(&file(1, 2, 16, &[0, 64, 0, 0, 1], 5)).unwrap(), [0.25]);
        assert_eq!(samples(&file(3, 1, 32, &f32::NAN.to_le_bytes(), 4)).unwrap(), [0.0]);
    }

    #[test]
    fn what_is_not_read_says_so() {
        for (tag, channels, bits, want) in
            [(2, 1, 4, "0x2"), (1, 1, 12, "12 bits"), (1, 0, 16, "0 channels"), (1, 65, 16, "65 channels")]
        {
            let error = samples(&file(tag, channels, bits, &[], 0)).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
        let whole = file(1, 1, 16, &[0, 64], 2);
        for end in 0..whole.len() - 2 {
            assert!(matches!(samples(&whole[..end]), Err(Error::NotWav)), "{end}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = wav_header(22_050, 3);
        [0i16, 16_384, -32_768].iter().for_each(|x| bytes.extend(x.to_le_bytes()));
        assert_eq!(WavReader::new(&bytes[..]).unwrap().rate(), 22_050);
        assert_eq!(samples(&bytes).unwrap(), [0.0, 0.5, -1.0]);
    }
}
