//! Texts to vectors, whose directions say what they mean.
//!
//! What it is: the task. What it is not: search among vectors. The one design choice: vectors come in the order of the texts,
//! some at a time, so that what is held does not grow with how many texts there are.

use super::encoder::{Encoder, EncoderOptions, Prepared, TOGETHER, TextInput, Wanted, prepare};
use super::encoder_file::EncoderFile;
use super::pooling::{Pooling, normalize};
use crate::{Engine, Error};
use planner::{Line, Refusal};
use processors::text::Encoding;

/// An encoder that makes vectors.
pub struct Embed {
    encoder: Encoder,
    pooling: Pooling,
    keeps_length: bool,
}

/// How `file` pools with these options, and what is built for it.
fn prepared(file: &EncoderFile, options: &EncoderOptions) -> Result<(Prepared, Pooling), Error> {
    let pooling = options.pooling.or(file.pooling);
    match pooling {
        Some(Pooling::Network) => Ok((prepare(file, options, Wanted::Texts)?, Pooling::Network)),
        Some(pooling) => Ok((prepare(file, options, Wanted::Tokens)?, pooling)),
        // A network whose only vectors are those of texts has pooled them itself.
        None => match prepare(file, options, Wanted::Tokens) {
            Err(Error::EncoderOutput { .. }) => {
                Ok((prepare(file, options, Wanted::Texts)?, Pooling::Network))
            }
            made => Ok((made?, Pooling::default())),
        },
    }
}

impl Engine {
    /// The account of an encoder that makes vectors, in so many bytes; a budget that is too small is the inner error.
    ///
    /// # Errors
    /// A network that takes or gives something else.
    pub fn plan_embed(
        &self,
        file: &EncoderFile,
        options: &EncoderOptions,
        budget: u64,
    ) -> Result<Result<Vec<Line>, Refusal>, Error> {
        Ok(prepared(file, options)?.0.plan(self, budget))
    }

    /// Loads an encoder that makes vectors, or refuses before a weight is read.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not fit the budget; otherwise what is wrong with the files.
    pub fn load_embed(&self, file: EncoderFile, options: &EncoderOptions) -> Result<Embed, Error> {
        let (prepared, pooling) = prepared(&file, options)?;
        let encoder = Encoder::load(self, file, prepared)?;
        Ok(Embed { encoder, pooling, keeps_length: options.keeps_length })
    }
}

impl Embed {
    /// Numbers of a vector.
    pub fn dimensions(&self) -> usize {
        self.encoder.width
    }

    /// How vectors of tokens become one.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// Tokens that a text may have; longer ones are cut.
    pub fn longest(&self) -> usize {
        self.encoder.longest
    }

    /// The account, in printing order.
    pub fn lines(&self) -> &[Line] {
        self.encoder.lines()
    }

    /// Calls `each` with the vector of every text, in their order; gives how many tokens they had together.
    ///
    /// # Errors
    /// A text that is too long to be cut; what an operator says.
    pub fn embed(&mut self, texts: &[TextInput<'_>], mut each: impl FnMut(&[f32])) -> Result<usize, Error> {
        let (width, mut tokens) = (self.encoder.width, 0);
        let mut vectors = vec![0.0; width * TOGETHER.min(texts.len())];
        for texts in texts.chunks(TOGETHER) {
            let encodings = texts.iter().map(|text| self.encoder.encode(*text, None));
            let encodings = encodings.collect::<Result<Vec<Encoding>, Error>>()?;
            tokens += encodings.iter().map(|encoding| encoding.ids.len()).sum::<usize>();
            let (pooling, keeps_length) = (self.pooling, self.keeps_length);
            self.encoder.run(&encodings, |number, rows| {
                let Some(vector) = vectors.get_mut(number * width..(number + 1) * width) else { return };
                pooling.pool(rows, vector);
                if !keeps_length {
                    normalize(vector);
                }
            })?;
            vectors.chunks_exact(width.max(1)).take(texts.len()).for_each(&mut each);
        }
        Ok(tokens)
    }
}
