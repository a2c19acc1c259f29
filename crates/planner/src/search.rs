//! Finds the placement: sizes of chunk and window, and which runs stay.
//!
//! Candidates are few (chunks and run sizes are powers of two), so all are tried; of those that fit, the one with
//! the least predicted time for a typical request wins, and among equals the one that holds less.

use crate::cost::{Forecast, step_seconds};
use crate::placement::{Line, Placement};
use crate::{Profile, Request};
use ::memory::{Error, KvCache, Run, Tiling, TilingOptions, Vectors, WeightStore};
use graph::{Bounds, Plan};
use host::{Part, Stream, StreamOptions, format_bytes, kernel_overhead};
use std::sync::Arc;

/// Rows of a step that are tried. The first is the least that a prompt is fed in.
const CHUNKS: [u32; 6] = [16, 32, 64, 128, 256, 512];
/// Bytes of a run that are tried. The first is the least that reads at a good rate.
const RUN_BYTES: [u64; 3] = [512 << 10, 1 << 20, 4 << 20];
/// Runs that the window holds: one in use, one arriving, one asked for.
const WINDOW_RUNS: usize = 3;
/// The request that placements are compared by: tokens of the prompt and of the answer.
const TYPICAL: (u32, u32) = (512, 128);
/// Held back for what nobody can name.
const SLACK: u64 = 512 << 10;

/// Why no placement fits.
#[derive(Clone, Debug, thiserror::Error)]
#[error("needs at least {}, but the budget is {}", format_bytes(*.needed), format_bytes(*.budget))]
pub struct Refusal {
    /// The smallest budget that works.
    pub needed: u64,
    /// The budget that there is.
    pub budget: u64,
    /// What the smallest budget is made of.
    pub lines: Vec<Line>,
    /// Tokens of context that this is said of.
    pub context: u32,
}

/// The best placement within the request's budget.
///
/// # Errors
/// The outer error is a model that cannot be tiled; the inner one a budget that is too small.
pub fn place(request: &Request<'_>, profile: &Profile) -> Result<Result<Placement, Refusal>, Error> {
    let least = smallest(request)?;
    let mut best: Option<(f64, Placement)> = None;
    for run_bytes in RUN_BYTES {
        let tiling = Arc::new(tile(request, run_bytes)?);
        for rows in CHUNKS {
            if rows > CHUNKS[0] && rows >= request.context.saturating_mul(2) {
                continue;
            }
            let Some(placement) = fit(request, profile, &tiling, rows) else { continue };
            let seconds = typical_seconds(request, profile, &placement);
            let better = best.as_ref().is_none_or(|(so_far, kept)| {
                seconds < so_far * 0.99 || (seconds <= *so_far && placement.peak() < kept.peak())
            });
            if better {
                best = Some((seconds, placement));
            }
        }
    }
    Ok(best.map(|(_, placement)| placement).ok_or(least))
}

/// The smallest budget that works, as the refusal of a budget of nothing.
pub fn smallest(request: &Request<'_>) -> Result<Refusal, Error> {
    let sum = |lines: &[Line]| lines.iter().map(|l| l.bytes).sum::<u64>();
    let (_, _, mut lines) = account(request, &tile(request, RUN_BYTES[0])?, CHUNKS[0], 0, true);
    // A model smaller than what streaming takes is better kept.
    for run_bytes in RUN_BYTES {
        let tiling = tile(request, run_bytes)?;
        let all = tiling.runs.iter().map(|r| held_bytes(&tiling, r)).sum();
        let (_, _, whole) = account(request, &tiling, CHUNKS[0], all, false);
        if sum(&whole) < sum(&lines) {
            lines = whole;
        }
    }
    let needed = sum(&lines);
    Ok(Refusal { needed, budget: request.budget, lines, context: request.context })
}

fn tile(request: &Request<'_>, run_bytes: u64) -> Result<Tiling, Error> {
    let tile_bytes = run_bytes.min(1 << 20);
    Tiling::new(request.graph, request.file, TilingOptions { tile_bytes, run_bytes })
}

/// The account of a placement that keeps `resident` bytes, with its plan and window.
fn account(
    request: &Request<'_>,
    tiling: &Tiling,
    rows: u32,
    resident: u64,
    streams: bool,
) -> (Plan, u64, Vec<Line>) {
    let graph = request.graph;
    let plan = Plan::new(graph, Bounds { rows, logit_rows: request.logit_rows.min(rows) });
    let window = window_bytes(tiling, request.align).next_multiple_of(host::page_size() as u64);
    // A region is whole pages.
    let pages = |bytes: u64| bytes.max(1).next_multiple_of(host::page_size() as u64);
    let kv = pages(KvCache::bytes(graph, request.kv, request.context, rows));
    let weights = pages(Vectors::bytes(graph)) + pages(resident);
    let activations = pages(plan.arena_bytes) + pages(request.fixed.scratch);
    let stream = stream_options(tiling);
    let io = if streams { stream.memory() } else { 0 };
    // A window that is only for loading comes and goes, its ring with it, before the caches and the arena are touched.
    let window_line =
        if streams { window } else { (window + stream.memory()).saturating_sub(kv + activations) };
    let heap = request.fixed.heap + tiling.heap_bytes() + WeightStore::heap_bytes(tiling);
    let mapped = weights + window + kv + activations + heap + request.fixed.tokenizer;
    let kernel = kernel_overhead(request.fixed.threads as usize, mapped);
    let line = |part, bytes| Line { part, bytes };
    let mut lines = vec![
        line(Part::Program, request.fixed.program),
        line(Part::Kernel, kernel),
        line(Part::Heap, heap),
        line(Part::Tokenizer, request.fixed.tokenizer),
        line(Part::Weights, weights),
        line(Part::Window, window_line),
        line(Part::State, kv),
        line(Part::Activations, activations),
        line(Part::Io, io),
        line(Part::Slack, SLACK),
    ];
    // No run is smaller than the start of the process.
    let sum: u64 = lines.iter().map(|l| l.bytes).sum();
    lines[0].bytes += request.fixed.start.saturating_sub(sum);
    (plan, window, lines)
}

/// The placement with this tiling and chunk that keeps as many runs as fit; `None` if even none fits.
fn fit(request: &Request<'_>, profile: &Profile, tiling: &Arc<Tiling>, rows: u32) -> Option<Placement> {
    let all = tiling.runs.iter().map(|r| held_bytes(tiling, r)).sum();
    let sum = |lines: &[Line]| lines.iter().map(|l| l.bytes).sum::<u64>();
    let (plan, window_bytes, lines) = account(request, tiling, rows, all, false);
    let whole = sum(&lines) <= request.budget;
    let (resident, plan, lines) = if whole {
        (vec![true; tiling.runs.len()], plan, lines)
    } else {
        let (_, _, bare) = account(request, tiling, rows, 0, true);
        let mut room = request.budget.checked_sub(sum(&bare))?;
        // Page tables of what stays are not in the bare account: 8 bytes for each 4 KiB, and some to spare.
        room -= (room / 256).min(room);
        let resident = spread(tiling, room);
        let kept = held(tiling, &resident);
        let (plan, _, lines) = account(request, tiling, rows, kept, true);
        if sum(&lines) > request.budget {
            return None;
        }
        (resident, plan, lines)
    };
    let mut placement = Placement {
        bounds: plan.bounds,
        plan,
        tiling: Arc::clone(tiling),
        resident,
        window_bytes,
        stream: stream_options(tiling),
        context: request.context,
        kv: request.kv,
        lines,
        budget: request.budget,
        forecast: Forecast {
            tokens_per_second: 0.0,
            first_token_seconds: 0.0,
            prompt_tokens: 0,
            bound: crate::Bound::Arithmetic,
            flash_bytes_per_token: 0,
        },
    };
    placement.forecast = forecast(request, profile, &placement);
    Some(placement)
}

/// Marks runs that stay, spread evenly over a step so that reads and arithmetic overlap everywhere.
fn spread(tiling: &Tiling, room: u64) -> Vec<bool> {
    let total: u64 = tiling.runs.iter().map(|r| held_bytes(tiling, r)).sum();
    let (mut seen, mut kept) = (0u64, 0u64);
    let stays = tiling.runs.iter().map(|run| {
        let bytes = held_bytes(tiling, run);
        seen += bytes;
        let due = (u128::from(room) * u128::from(seen) / u128::from(total.max(1))) as u64;
        let stays = kept + bytes <= due;
        kept += if stays { bytes } else { 0 };
        stays
    });
    stays.collect()
}

fn held(tiling: &Tiling, resident: &[bool]) -> u64 {
    tiling.runs.iter().zip(resident).filter(|(_, stays)| **stays).map(|(r, _)| held_bytes(tiling, r)).sum()
}

/// Bytes that a run takes in memory: its tiles, each rounded up to 64.
fn held_bytes(tiling: &Tiling, run: &Run) -> u64 {
    run.tiles.clone().map(|t| tiling.tiles[t as usize].bytes.next_multiple_of(64)).sum()
}

/// A window for the most demanding few runs in a row, the first following the last.
fn window_bytes(tiling: &Tiling, align: usize) -> u64 {
    let runs = &tiling.runs;
    let count = WINDOW_RUNS.min(runs.len());
    let at = |i: usize| runs[i % runs.len()].extents.iter().copied();
    (0..runs.len())
        .map(|i| {
            let extents: Vec<_> = (i..i + count).flat_map(at).collect();
            Stream::window_needed(&extents, align)
        })
        .max()
        .unwrap_or(0)
}

fn stream_options(tiling: &Tiling) -> StreamOptions {
    let most = tiling.runs.iter().map(|r| r.extents.len()).max().unwrap_or(1);
    let max_runs = 16;
    StreamOptions { max_runs, max_extents: (most * max_runs).min(512).max(most), ..StreamOptions::default() }
}

fn typical_seconds(request: &Request<'_>, profile: &Profile, placement: &Placement) -> f64 {
    let forecast = forecast(request, profile, placement);
    forecast.first_token_seconds + f64::from(TYPICAL.1) / forecast.tokens_per_second
}

/// How fast a placement will be on a machine: a prompt of 512 tokens, or as many as the context holds, and the answer
/// to it.
pub fn forecast(request: &Request<'_>, profile: &Profile, placement: &Placement) -> Forecast {
    let prompt = TYPICAL.0.min(request.context);
    let streamed = |logits: bool| -> u64 {
        let runs = placement.tiling.runs.iter().zip(&placement.resident);
        runs.filter(|(r, stays)| !**stays && (logits || !r.logits_only)).map(|(r, _)| r.bytes).sum()
    };
    let step = |rows: u32, logit_rows: u32, context: u32| {
        let bounds = Bounds { rows, logit_rows };
        step_seconds(request.graph, profile, &bounds, context, streamed(logit_rows > 0))
    };
    let rows = placement.bounds.rows;
    let chunks = prompt.div_ceil(rows);
    let tail = prompt - (chunks - 1) * rows;
    // The chunks before the last begin, on average, in the middle of what they begin at.
    let body = f64::from(chunks - 1) * step(rows, 0, chunks.saturating_sub(2) * rows / 2).0;
    let (token, bound) = step(1, 1, request.context.min(prompt + TYPICAL.1));
    Forecast {
        tokens_per_second: 1.0 / token,
        first_token_seconds: body + step(tail, 1, prompt - tail).0,
        prompt_tokens: prompt,
        bound,
        flash_bytes_per_token: streamed(true),
    }
}
