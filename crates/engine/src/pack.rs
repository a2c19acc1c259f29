//! Writes a model anew for streaming: tensors in the order in which a step reads them, aligned for a disk; when asked,
//! the way back of each feed-forward by neuron as well, so that only neurons that are awake need be read.
//!
//! What it is: a copy, a buffer at a time, in this engine's budget. What it is not: a quantiser; every tensor of the
//! model stays what it is to the bit. The one design choice: the result is a GGUF that this program reads as it is,
//! with nothing beside it, and it has its name only when it is whole.

use crate::{Engine, Error, LoadOptions, Model, Opened, Price};
use formats::write::{Gguf, Item, TensorWriter};
use formats::{Format, ModelFile, TensorInfo};
use graph::op::{Activation, WeightUse};
use host::{NewFile, Part, ReadAt, Reservation};
use std::collections::HashSet;
use std::path::Path;
use tensor::DType;

/// Alignment of tensors: a page, and a sector of every disk.
const ALIGNMENT: u32 = 4096;
/// Bytes that are copied at a time.
const COPY: usize = 1 << 20;
/// Bytes of a transposed strip, at most and at least.
const STRIP: (u64, u64) = (256 << 20, 1 << 20);
/// Keys that a file of several parts has, and one does not.
const PARTS: &str = "split.";
/// The key that says which share of neurons a token wakes, after the architecture's name.
const AWAKE: &str = "ffn_awake_share";

/// How to pack.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PackOptions<'a> {
    /// Adds the way back of each feed-forward by neuron: `ffn_down_t`.
    pub by_neuron: bool,
    /// Puts this share of the neurons to sleep, by thresholds of their gates that are found with the text. Answers change.
    pub sparsity: Option<f32>,
    /// Adds a copy of all experts in this coarser type, which may stand in for those that are not in memory.
    pub stand_ins: Option<DType>,
    /// A text like those that the model will see: tells which share of its neurons a token wakes, so that what is planned is
    /// nearer to the truth.
    pub text: Option<&'a [u8]>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Packed {
    /// Bytes of all tensors.
    pub bytes: u64,
    /// How many tensors.
    pub tensors: usize,
    /// How many of them were added.
    pub added: usize,
    /// Which share of its neurons' clusters a token wakes, if a text was given to find out.
    pub awake: Option<f64>,
    /// Bytes of feed-forwards that a token needs: before, and with what it leaves asleep left out.
    pub ffn_bytes: [u64; 2],
    /// What putting neurons to sleep costs and gains on the second half of the text, if it was asked for.
    pub price: Option<Price>,
}

/// A tensor of the file to be.
enum Job<'a> {
    /// As it is.
    Copy(&'a TensorInfo),
    /// The rows of the transposed matrix.
    Transpose { of: &'a TensorInfo, name: String, dtype: DType },
    /// Thresholds of the gates of a layer.
    Threshold { name: String, values: Vec<f32> },
    /// The same matrices in a coarser type.
    Coarser { of: &'a TensorInfo, name: String, dtype: DType },
}

impl Engine {
    /// Writes `opened` to `target`, which must not exist.
    ///
    /// # Errors
    /// [`Error::Pack`] if the model cannot be packed in this way; a budget without room for the buffers; a disk that is
    /// full or fails, after which nothing is left at `target`.
    pub fn pack(&self, opened: &Opened, target: &Path, options: &PackOptions<'_>) -> Result<Packed, Error> {
        if !matches!(opened.file.format, Format::Gguf { .. }) {
            return Err(Error::Pack { what: "it is not GGUF, which pack copies".to_string() });
        }
        let mut jobs = jobs(opened, options)?;
        let added = jobs.iter().filter(|job| matches!(job, Job::Transpose { .. })).count();
        let _thresholds = match (options.sparsity, options.text) {
            (Some(share), Some(text)) => Some(self.put_to_sleep(opened, text, share, &mut jobs)?),
            (Some(_), None) => {
                let what = "thresholds of its gates are found with a text, and none was given".to_string();
                return Err(Error::Pack { what });
            }
            _ => None,
        };
        let (header, heap) = self.header(opened, &jobs, added > 0)?;
        let (bytes, tensors) = (header.tensors().sum(), jobs.len());
        let mut packed = Packed { bytes, tensors, added, ..Packed::default() };
        let mut file = NewFile::create(target)?;
        self.write(opened, &header, &jobs, &mut file)?;
        let offset = header.value_offset(&awake_key(opened)).filter(|_| added > 0);
        drop((header, heap));
        if let (Some(text), Some(offset)) = (options.text, offset) {
            file.settle()?;
            let share = self.awake(file.path(), text)?;
            file.patch(offset, &(share as f32).to_le_bytes())?;
            packed.awake = Some(share);
            packed.ffn_bytes = ffn_bytes(opened, &jobs, share);
            if options.sparsity.is_some() {
                let price = self.price_of_pack(&opened.path, file.path(), text)?;
                packed.price = Some(Price { skipped: 1.0 - share, ..price });
            }
        }
        file.finish()?;
        Ok(packed)
    }

    /// The header of the file to be, and what holds its memory.
    fn header(
        &self,
        opened: &Opened,
        jobs: &[Job<'_>],
        by_neuron: bool,
    ) -> Result<(Gguf, Reservation), Error> {
        let mut header = Gguf::new();
        header.set("general.alignment", ALIGNMENT);
        let source = opened.files.first().ok_or_else(|| Error::NotHere { path: opened.path.clone() })?;
        let keys = formats::gguf_keys(&**source).map_err(Error::from)?;
        // Values are held, and the header is made of them in a list that may double as it grows.
        let values: u64 = keys.iter().map(|(_, range)| range.end - range.start).sum();
        let heap = self.ledger.reserve(Part::Heap, values.saturating_mul(3))?;
        let awake = awake_key(opened);
        if by_neuron {
            header.set(&awake, opened.decoder.spec.awake as f32);
        }
        let stays = |key: &str| key != "general.alignment" && !key.starts_with(PARTS) && key != awake;
        for (key, range) in keys.into_iter().filter(|(key, _)| stays(key)) {
            let (path, offset, len) = (source.path().to_path_buf(), range.start, range.end - range.start);
            let mut value = vec![0; len as usize];
            let failed = |source| host::Error::Read { path, offset, len, source };
            source.read_exact_at(offset, &mut value).map_err(failed)?;
            header.set(&key, Item::Raw(value.into()));
        }
        for job in jobs {
            match job {
                Job::Copy(info) => header.declare(&info.name, info.dtype, info.shape.extents()),
                Job::Transpose { of, name, dtype } => {
                    let extents: Vec<u64> = of.shape.extents().iter().rev().copied().collect();
                    header.declare(name, *dtype, &extents);
                }
                Job::Coarser { of, name, dtype } => header.declare(name, *dtype, of.shape.extents()),
                Job::Threshold { name, values } => header.declare(name, DType::F32, &[values.len() as u64]),
            }
        }
        Ok((header, heap))
    }

    fn write(
        &self,
        opened: &Opened,
        header: &Gguf,
        jobs: &[Job<'_>],
        file: &mut NewFile,
    ) -> Result<(), Error> {
        let left = self.ledger.budget().saturating_sub(self.ledger.used());
        let strip = (left / 4).min(STRIP.0);
        let widest = jobs.iter().filter_map(|job| match job {
            Job::Transpose { of, .. } => Some(of.shape.rows() * 4 * of.dtype.block_elements() as u64),
            Job::Copy(_) | Job::Threshold { .. } | Job::Coarser { .. } => None,
        });
        // A strip is at least as wide as a block of what it is taken from.
        let strip = strip.max(STRIP.1).max(widest.max().unwrap_or(0));
        let needs_strip = jobs.iter().any(|job| matches!(job, Job::Transpose { .. }));
        let held = COPY as u64 + if needs_strip { strip + strip / 2 } else { 0 };
        let _buffers = self.ledger.reserve(Part::Heap, held)?;
        let failed = |file: &NewFile, error| Error::from(file.error(error));
        let mut buffer = vec![0; COPY];
        let begun = header.start(&mut *file);
        let mut writer = match begun {
            Ok(writer) => writer,
            Err(error) => return Err(failed(file, error)),
        };
        let mut result = Ok(());
        for job in jobs {
            result = match job {
                Job::Copy(info) => copy(opened, info, &mut buffer, &mut writer),
                Job::Transpose { of, dtype, .. } => {
                    transpose(opened, of, *dtype, strip, &mut buffer, &mut writer)
                }
                Job::Coarser { of, dtype, .. } => coarsen(opened, of, *dtype, &mut buffer, &mut writer),
                Job::Threshold { values, .. } => {
                    writer.tensor(host::as_bytes(values)).map_err(Trouble::Write)
                }
            };
            if result.is_err() {
                break;
            }
        }
        let result = result.and_then(|()| writer.end().map(drop).map_err(Trouble::Write));
        match result {
            Ok(()) => Ok(()),
            Err(Trouble::Write(error)) => Err(failed(file, error)),
            Err(Trouble::Read(path, offset, len, source)) => {
                Err(host::Error::Read { path, offset, len, source }.into())
            }
        }
    }

    /// Finds thresholds that put `share` of the neurons to sleep, and adds them to what is written; gives what holds them.
    fn put_to_sleep(
        &self,
        opened: &Opened,
        text: &[u8],
        share: f32,
        jobs: &mut Vec<Job<'_>>,
    ) -> Result<Reservation, Error> {
        let found = self.thresholds(&opened.path, text, share)?;
        let bytes = found.iter().map(|(_, values)| 4 * values.len() as u64).sum();
        let held = self.ledger.reserve(Part::Heap, bytes)?;
        for (layer, values) in found {
            let name = format!("{layer}.ffn_gate_threshold.weight");
            let after = format!("{layer}.ffn_gate.weight");
            let place = |job: &Job<'_>| matches!(job, Job::Copy(info) if *info.name == *after);
            if let Some(at) = jobs.iter().position(place) {
                jobs.insert(at + 1, Job::Threshold { name, values });
            }
        }
        Ok(held)
    }

    /// The share of its clusters of neurons that a token wakes, over the first tokens of a text.
    fn awake(&self, path: &Path, text: &[u8]) -> Result<f64, Error> {
        const TOKENS: usize = 256;
        let opened = self.open(path)?;
        let context = (TOKENS as u32).min(opened.decoder.spec.context);
        let options = LoadOptions { context: Some(context), ..LoadOptions::default() };
        let mut model = self.load_within(opened, &options, self.ledger.free())?;
        let mut ids = Vec::new();
        model.tokenizer().encode(&text[..text.len().min(16 * TOKENS)], true, &mut ids)?;
        ids.truncate(context as usize);
        model.awake(&ids)
    }
}

impl Model {
    /// The share of its clusters of neurons that a token of `ids` wakes. The conversation is forgotten.
    fn awake(&mut self, ids: &[u32]) -> Result<f64, Error> {
        let wanted = |model: &Model| {
            let stats = model.executor.expert_stats();
            stats.hits + stats.misses
        };
        let clusters: u64 = self.placement.experts.iter().map(|set| u64::from(set.count)).sum();
        self.clear();
        let before = wanted(self);
        for id in ids {
            self.feed_ids(&[*id], false)?;
        }
        let woken = wanted(self) - before;
        self.clear();
        Ok(woken as f64 / (clusters * ids.len() as u64).max(1) as f64)
    }
}

/// The key that says which share of neurons a token wakes.
fn awake_key(opened: &Opened) -> String {
    format!("{}.{AWAKE}", opened.file.architecture)
}

/// The tensors of the file to be, in the order of a step; what no step reads goes last.
fn jobs<'a>(opened: &'a Opened, options: &PackOptions<'_>) -> Result<Vec<Job<'a>>, Error> {
    let by_neuron = options.by_neuron;
    let (file, graph) = (&opened.file, &opened.decoder.graph);
    let mut seen = HashSet::new();
    let mut order = Vec::new();
    let mut add = |tensor: usize| {
        if seen.insert(tensor) {
            order.push(tensor);
        }
    };
    for (used, _) in graph::plan::weight_uses(graph) {
        match used {
            WeightUse::Whole(id) | WeightUse::Rows(id) | WeightUse::Vector(id) => {
                add(graph.weight_of(id).tensor)
            }
            WeightUse::OneOf { set, stand_ins, of, .. } => {
                for stack in set.into_iter().chain(stand_ins) {
                    (0..of).for_each(|expert| add(graph.weight_of(stack.of(expert).0).tensor));
                }
            }
        }
    }
    (0..file.tensors.len()).for_each(&mut add);
    let mut jobs = Vec::with_capacity(order.len());
    for info in order.into_iter().map(|tensor| &file.tensors[tensor]) {
        jobs.push(Job::Copy(info));
        if let Some(dtype) = options.stand_ins
            && let Some(name) = info.name.strip_suffix("_exps.weight")
        {
            jobs.push(stand_in(file, info, format!("{name}_exps_low.weight"), dtype)?);
        }
        let layer = info.name.strip_suffix(".ffn_up.weight").filter(|_| by_neuron);
        let Some(layer) = layer else { continue };
        let name = format!("{layer}.ffn_down_t.weight");
        if let Some(of) = file.find_tensor(&format!("{layer}.ffn_down.weight"))
            && file.find_tensor(&name).is_none()
        {
            jobs.push(Job::Transpose { of, name, dtype: row_type(of, options.sparsity.is_none()) });
        }
    }
    let refused = |what: &str| Err(Error::Pack { what: what.to_string() });
    if options.stand_ins.is_some() && !jobs.iter().any(|job| matches!(job, Job::Coarser { .. })) {
        return refused("it has no experts that others could stand in for");
    }
    match opened.decoder.spec.activation {
        _ if !by_neuron => {}
        Activation::ClampedSwiglu => return refused("its gates are no factors of its neurons"),
        activation if activation != Activation::Relu && options.sparsity.is_none() => {
            return refused(
                "its gates are not ReLU, so hardly any neuron is asleep unless thresholds put it to sleep (--sparsity)",
            );
        }
        _ => {}
    }
    if by_neuron && !jobs.iter().any(|job| matches!(job, Job::Transpose { .. })) {
        return refused("it has no feed-forward whose way back is not stored by neuron already");
    }
    Ok(jobs)
}

/// A coarser copy of a layer's experts.
fn stand_in<'a>(file: &ModelFile, of: &'a TensorInfo, name: String, dtype: DType) -> Result<Job<'a>, Error> {
    let bits = |dtype: DType| 8.0 * dtype.block_bytes() as f64 / dtype.block_elements() as f64;
    let refused = |what: String| Err(Error::Pack { what: format!("{}: {what}", of.name) });
    match () {
        () if file.find_tensor(&name).is_some() => refused("has a copy already".to_string()),
        () if !of.dtype.is_quantized() || !dtype.is_quantized() || bits(dtype) >= bits(of.dtype) => {
            refused(format!("is {}, for which {dtype} is no coarser type", of.dtype))
        }
        () if !of.shape.columns().is_multiple_of(dtype.block_elements() as u64) => {
            refused(format!("rows of {} are not whole blocks of {dtype}", of.shape.columns()))
        }
        () => Ok(Job::Coarser { of, name, dtype }),
    }
}

/// Bytes of the feed-forwards that are stored by neuron which a token needs, before and if it wakes `share` of them.
fn ffn_bytes(opened: &Opened, jobs: &[Job<'_>], share: f64) -> [u64; 2] {
    let mut sums = [0, 0];
    for job in jobs {
        let Job::Transpose { of, name, dtype } = job else { continue };
        let layer = name.strip_suffix(".ffn_down_t.weight").unwrap_or_default();
        let bytes = |info: &TensorInfo| info.range.end - info.range.start;
        let tensor = |role: &str| opened.file.find_tensor(&format!("{layer}.{role}.weight")).map_or(0, bytes);
        let [gate, up] = [tensor("ffn_gate"), tensor("ffn_up")];
        let turned = dtype.bytes_of(of.shape.elements()).unwrap_or(0);
        sums[0] += gate + up + bytes(of);
        sums[1] += gate + ((up + turned) as f64 * share) as u64;
    }
    sums
}

/// The type of a transposed matrix: blocks lie across the other way, so they are made anew, of eight bits if answers are not
/// to change, or of a bit more than they were; floats stay.
fn row_type(of: &TensorInfo, same_answers: bool) -> DType {
    let bytes = |dtype: DType| dtype.block_bytes() as f64 / dtype.block_elements() as f64;
    let is_small = bytes(of.dtype) <= bytes(DType::Q5_0) - 1.0 / 8.0;
    match of.dtype {
        dtype if !dtype.is_quantized() => dtype,
        _ if !of.shape.rows().is_multiple_of(DType::Q8_0.block_elements() as u64) => DType::F16,
        _ if is_small && !same_answers => DType::Q5_0,
        _ => DType::Q8_0,
    }
}

/// What failed.
enum Trouble {
    Write(std::io::Error),
    Read(std::path::PathBuf, u64, u64, std::io::Error),
}

/// Reads bytes of a tensor.
fn read(opened: &Opened, info: &TensorInfo, at: u64, into: &mut [u8]) -> Result<(), Trouble> {
    let file = &opened.files[info.file as usize];
    let (offset, len) = (info.range.start + at, into.len() as u64);
    let failed = |source| Trouble::Read(file.path().to_path_buf(), offset, len, source);
    file.read_exact_at(offset, into).map_err(failed)
}

fn copy(
    opened: &Opened,
    info: &TensorInfo,
    buffer: &mut [u8],
    writer: &mut TensorWriter<&mut NewFile>,
) -> Result<(), Trouble> {
    writer.begin().map_err(Trouble::Write)?;
    let bytes = info.range.end - info.range.start;
    for at in (0..bytes).step_by(buffer.len()) {
        let piece = &mut buffer[..(bytes - at).min(COPY as u64) as usize];
        read(opened, info, at, piece)?;
        writer.more(piece).map_err(Trouble::Write)?;
    }
    Ok(())
}

/// Writes a tensor in another type, some blocks at a time.
fn coarsen(
    opened: &Opened,
    of: &TensorInfo,
    dtype: DType,
    buffer: &mut [u8],
    writer: &mut TensorWriter<&mut NewFile>,
) -> Result<(), Trouble> {
    writer.begin().map_err(Trouble::Write)?;
    let (Some(from), Some(to)) = (of.dtype.block(), dtype.block()) else {
        let error = std::io::Error::other(format!("{} has no blocks", of.dtype));
        return Err(Trouble::Write(error));
    };
    let (block, block_bytes) = (of.dtype.block_elements(), of.dtype.block_bytes());
    // As many elements as are whole blocks of both.
    let group = block.max(dtype.block_elements());
    let group_bytes = group / block * block_bytes;
    let mut floats = vec![0f32; group];
    let mut out = vec![0u8; group / dtype.block_elements() * dtype.block_bytes()];
    let bytes = of.range.end - of.range.start;
    let step = buffer.len() / group_bytes * group_bytes;
    for at in (0..bytes).step_by(step) {
        let piece = &mut buffer[..(bytes - at).min(step as u64) as usize];
        read(opened, of, at, piece)?;
        for bytes in piece.chunks_exact(group_bytes) {
            let blocks = bytes.chunks_exact(block_bytes).zip(floats.chunks_exact_mut(block));
            blocks.for_each(|(bytes, floats)| from.dequantize(bytes, floats));
            let blocks = floats.chunks_exact(dtype.block_elements());
            let outs = out.chunks_exact_mut(dtype.block_bytes());
            blocks.zip(outs).for_each(|(floats, out)| to.quantize(floats, out));
            writer.more(&out).map_err(Trouble::Write)?;
        }
    }
    Ok(())
}

/// Writes a matrix transposed, in strips of as many columns as fit `strip` bytes of f32.
fn transpose(
    opened: &Opened,
    of: &TensorInfo,
    dtype: DType,
    strip: u64,
    buffer: &mut Vec<u8>,
    writer: &mut TensorWriter<&mut NewFile>,
) -> Result<(), Trouble> {
    writer.begin().map_err(Trouble::Write)?;
    let (rows, columns) = (of.shape.rows() as usize, of.shape.columns() as usize);
    let (block, block_bytes) = (of.dtype.block_elements(), of.dtype.block_bytes());
    let row_bytes = columns / block * block_bytes;
    let (Some(from), Some(to)) = (of.dtype.block(), dtype.block()) else {
        let error = std::io::Error::other(format!("{} has no blocks", of.dtype));
        return Err(Trouble::Write(error));
    };
    let width = (strip as usize / 4 / rows.max(1) / block * block).clamp(block, columns);
    let mut turned = vec![0f32; rows * width];
    let mut floats = vec![0f32; block];
    let mut out = vec![0u8; rows / dtype.block_elements() * dtype.block_bytes()];
    let many = (buffer.len() / row_bytes).max(1);
    buffer.resize(buffer.len().max(row_bytes), 0);
    for first in (0..columns).step_by(width) {
        let width = width.min(columns - first);
        for row in (0..rows).step_by(many) {
            let count = many.min(rows - row);
            let piece = &mut buffer[..count * row_bytes];
            read(opened, of, (row * row_bytes) as u64, piece)?;
            for (r, bytes) in piece.chunks_exact(row_bytes).enumerate() {
                let blocks = &bytes[first / block * block_bytes..][..width / block * block_bytes];
                for (b, bytes) in blocks.chunks_exact(block_bytes).enumerate() {
                    from.dequantize(bytes, &mut floats);
                    for (c, &x) in floats.iter().enumerate() {
                        turned[(b * block + c) * rows + row + r] = x;
                    }
                }
            }
        }
        for values in turned[..width * rows].chunks_exact(rows) {
            let blocks = values.chunks_exact(dtype.block_elements());
            let outs = out.chunks_exact_mut(dtype.block_bytes());
            blocks.zip(outs).for_each(|(values, out)| to.quantize(values, out));
            writer.more(&out).map_err(Trouble::Write)?;
        }
    }
    Ok(())
}
