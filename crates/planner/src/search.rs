//! Finds the placement: sizes of chunk and window, and which runs stay.
//!
//! Candidates are few (chunks and run sizes are powers of two), so all are tried. Of those that fit and take no longer
//! than the fastest for a typical request, or hardly, one that reads nothing wins, then the one whose first token comes
//! soonest, then the one that reads least, then the one that holds least. A prompt and its answer want different things of
//! the same bytes: the one large steps, since each reads all weights that do not stay, the other weights that stay. So both
//! have a placement of their own with the same cut where weights are streamed, and what lies between them is read once for
//! each answer.

use crate::cost::{FlashSeconds, Forecast, step_seconds};
use crate::placement::{Line, Placement};
use crate::{Exchange, Profile, Request};
use ::memory::{
    Error, ExpertOptions, ExpertSets, ExpertStore, KvCache, Tiling, TilingOptions, Vectors, WeightStore,
};
use formats::ModelFile;
use graph::op::expected_experts;
use graph::{Bounds, Plan};
use host::{Extent, Part, Stream, StreamOptions, format_bytes, kernel_overhead};
use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

/// Rows of a step that are tried. The first is the least that a prompt is fed in.
const CHUNKS: [u32; 6] = [16, 32, 64, 128, 256, 512];
/// Bytes of a run that are tried. The first is the least that reads at a good rate.
pub const RUN_BYTES: [u64; 3] = [512 << 10, 1 << 20, 4 << 20];
/// Runs that the window holds: one in use, one arriving, one asked for.
const WINDOW_RUNS: usize = 3;
/// Pieces of experts that their window holds: in use, arriving, asked for.
const WINDOW_READS: usize = 4;
/// Reads under way at once where they are of a few neurons.
const SMALL_DEPTH: usize = 64;
/// Reads of experts that can be held at once.
const EXPERT_RUNS: usize = 64;
/// How many times as long as the fastest a request may take, for the sake of its first token: predictions are no better.
const NO_LONGER: f64 = 1.03;
/// How many times as long as the soonest the first token may take, for the sake of memory.
const AS_SOON: f64 = 1.02;
/// How many times the least of caches a chunk may need: what they take is not given back.
const LARGER_CACHES: f64 = 1.25;
/// Held back for what nobody can name.
pub(crate) const SLACK: u64 = 512 << 10;

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

/// The best placement within the request's budget of the weights in `file`.
///
/// # Errors
/// The outer error is a model that cannot be tiled; the inner one a budget that is too small.
pub fn place(
    request: &Request<'_>,
    file: &ModelFile,
    profile: &Profile,
) -> Result<Result<Placement, Refusal>, Error> {
    let plans = Rc::default();
    let least = smallest_with(request, file, profile, &plans)?;
    let mut found = Vec::new();
    for run_bytes in RUN_BYTES {
        // One cut at a time: the lists of a large model are not small.
        let cut = Cut::new(request, file, profile, run_bytes, &plans)?;
        found.extend(candidates(request, profile, &cut).map(|candidate| (run_bytes, candidate)));
    }
    let Some((run_bytes, Candidate { rows, .. })) = best(&found, |(_, candidate)| candidate) else {
        return Ok(Err(least));
    };
    let cut = Cut::new(request, file, profile, *run_bytes, &plans)?;
    Ok(fit_exchange(request, profile, &cut, *rows).ok_or(least))
}

/// The best placement within the request's budget of a model that is loaded as `now`. Weights stay cut as they are if
/// that fits, so that those which stay need not be read again; caches keep their size.
///
/// # Errors
/// As [`place`].
pub fn adapt(
    request: &Request<'_>,
    file: &ModelFile,
    now: &Placement,
    profile: &Profile,
) -> Result<Result<Placement, Refusal>, Error> {
    let cut = Cut::of(Arc::clone(&now.tiling), Arc::clone(&now.experts), profile, &Rc::default());
    let request = Request { kv_rows: Some(now.kv_rows), ..*request };
    let found: Vec<Candidate> = candidates(&request, profile, &cut).collect();
    match best(&found, |candidate| candidate)
        .and_then(|best| fit_exchange(&request, profile, &cut, best.rows))
    {
        Some(placement) => Ok(Ok(placement)),
        None => place(&request, file, profile),
    }
}

/// A placement that fits, in so far as it is compared with others.
#[derive(Clone, Copy)]
struct Candidate {
    /// Rows of a step in which a prompt is read.
    rows: u32,
    /// Seconds of a typical request.
    seconds: f64,
    /// Seconds to its first token.
    first_token: f64,
    /// Bytes that it reads; for its prompt, as if each step wanted all experts.
    read: u64,
    peak: u64,
    /// Bytes of caches, which stay as they are if the budget shrinks.
    state: u64,
    streams: bool,
}

/// All placements that fit with one cut, with chunks no larger than caches were made for.
fn candidates(request: &Request<'_>, profile: &Profile, cut: &Cut) -> impl Iterator<Item = Candidate> {
    let most = request.kv_rows.unwrap_or(u32::MAX);
    let useful = move |rows: &u32| *rows == CHUNKS[0] || *rows < request.context.saturating_mul(2);
    CHUNKS.into_iter().filter(move |rows| *rows <= most).filter(useful).filter_map(move |rows| {
        let placement = fit_exchange(request, profile, cut, rows)?;
        let Forecast { first_token_seconds, tokens_per_second, .. } = placement.forecast;
        let reading = placement.while_reading();
        let between = placement.resident_bytes().saturating_sub(reading.resident_bytes());
        let between = between as f64 / profile.way(longest_run(&cut.tiling)).bytes_per_second;
        let answer = f64::from(Exchange::TYPICAL.answer) / tokens_per_second;
        let steps = placement.forecast.prompt_tokens.div_ceil(rows);
        let of_answer = u64::from(Exchange::TYPICAL.answer) * placement.forecast.flash_bytes_per_token;
        Some(Candidate {
            rows,
            seconds: first_token_seconds + between + answer,
            first_token: first_token_seconds,
            read: u64::from(steps) * reading.streamed_bytes() + of_answer,
            peak: placement.peak(),
            state: placement.bytes_of(Part::State),
            streams: reading.streamed_bytes() > 0,
        })
    })
}

/// The best of what was found.
fn best<T>(found: &[T], candidate: impl Fn(&T) -> &Candidate) -> Option<&T> {
    let least = |of: fn(&Candidate) -> f64, among: &[&T]| {
        among.iter().map(|found| of(candidate(found))).fold(f64::INFINITY, f64::min)
    };
    let mut left: Vec<&T> = found.iter().collect();
    let fastest = least(|c| c.seconds, &left);
    left.retain(|found| candidate(found).seconds <= fastest * NO_LONGER);
    // Reads that hide behind arithmetic are not free, only not predicted.
    let streams = left.iter().all(|found| candidate(found).streams);
    left.retain(|found| candidate(found).streams == streams);
    let caches = least(|c| c.state as f64, &left);
    left.retain(|found| candidate(found).state as f64 <= caches * LARGER_CACHES);
    let soonest = least(|c| c.first_token, &left);
    left.retain(|found| candidate(found).first_token <= soonest * AS_SOON);
    left.into_iter().min_by_key(|found| (candidate(found).read, candidate(found).peak))
}

/// The smallest budget that works, as the refusal of a budget of nothing.
pub fn smallest(request: &Request<'_>, file: &ModelFile, profile: &Profile) -> Result<Refusal, Error> {
    smallest_with(request, file, profile, &Rc::default())
}

fn smallest_with(
    request: &Request<'_>,
    file: &ModelFile,
    profile: &Profile,
    plans: &Rc<Plans>,
) -> Result<Refusal, Error> {
    let sum = |lines: &[Line]| lines.iter().map(|l| l.bytes).sum::<u64>();
    let cut = Cut::new(request, file, profile, RUN_BYTES[0], plans)?;
    let mut lines = account(request, &cut, CHUNKS[0], &Kept::nothing(&cut)).lines;
    // A model smaller than what streaming takes is better kept.
    for run_bytes in RUN_BYTES {
        let cut = Cut::new(request, file, profile, run_bytes, plans)?;
        let whole = account(request, &cut, CHUNKS[0], &Kept::all(&cut)).lines;
        if sum(&whole) < sum(&lines) {
            lines = whole;
        }
    }
    let needed = sum(&lines);
    Ok(Refusal { needed, budget: request.budget, lines, context: request.context })
}

/// Where values live in a step of each size, worked out when it is wanted.
#[derive(Default)]
struct Plans([OnceCell<Plan>; CHUNKS.len()]);

impl Plans {
    fn of(&self, request: &Request<'_>, rows: u32) -> Plan {
        let plan = || Plan::new(request.graph, Bounds { rows, logit_rows: request.logit_rows.min(rows) });
        let known = CHUNKS.iter().position(|chunk| *chunk == rows).and_then(|at| self.0.get(at));
        known.map_or_else(plan, |cell| cell.get_or_init(plan).clone())
    }
}

/// Weights cut for one size of run, and how they are read.
struct Cut {
    tiling: Arc<Tiling>,
    experts: Arc<ExpertSets>,
    stream: StreamOptions,
    expert_stream: StreamOptions,
    plans: Rc<Plans>,
}

impl Cut {
    fn new(
        request: &Request<'_>,
        file: &ModelFile,
        profile: &Profile,
        run_bytes: u64,
        plans: &Rc<Plans>,
    ) -> Result<Cut, Error> {
        let tile_bytes = run_bytes.min(1 << 20);
        let options = TilingOptions { tile_bytes, run_bytes };
        let tiling = Arc::new(Tiling::new(request.graph, file, options)?);
        Ok(Cut::of(tiling, Arc::new(ExpertSets::new(request.graph, file, tile_bytes)?), profile, plans))
    }

    fn of(tiling: Arc<Tiling>, experts: Arc<ExpertSets>, profile: &Profile, plans: &Rc<Plans>) -> Cut {
        let most = tiling.runs.iter().map(|r| r.extents.len()).max().unwrap_or(1);
        let max_runs = 16;
        let max_extents = (most * max_runs).min(512).max(most);
        let stream = StreamOptions { max_runs, max_extents, ..profile.way(longest_run(&tiling)).options() };
        let pieces = profile.way(experts.largest_read()).options();
        let max_extents = EXPERT_RUNS * experts.most_extents();
        // Small reads take as long as large ones, so many are under way.
        let depth = if experts.are_small() { SMALL_DEPTH } else { pieces.depth };
        let expert_stream = StreamOptions { depth, max_runs: EXPERT_RUNS, max_extents, ..pieces };
        Cut { tiling, experts, stream, expert_stream, plans: Rc::clone(plans) }
    }
}

/// What of the weights stays.
struct Kept {
    /// Bytes of runs that stay.
    runs: u64,
    /// Whether others are streamed.
    streams: bool,
    /// For each set of experts, how many stay.
    slots: Vec<u32>,
}

impl Kept {
    fn nothing(cut: &Cut) -> Kept {
        Kept { runs: 0, streams: !cut.tiling.runs.is_empty(), slots: vec![0; cut.experts.len()] }
    }

    fn runs(cut: &Cut) -> Kept {
        let runs = cut.tiling.runs.iter().map(|r| cut.tiling.held_bytes(r)).sum();
        Kept { runs, streams: false, slots: vec![0; cut.experts.len()] }
    }

    fn all(cut: &Cut) -> Kept {
        Kept { slots: cut.experts.iter().map(|set| set.count).collect(), ..Kept::runs(cut) }
    }
}

/// A plan, how weights are read, and what it all takes.
struct Account {
    plan: Plan,
    window_bytes: u64,
    experts: ExpertOptions,
    lines: Vec<Line>,
}

impl Account {
    fn sum(&self) -> u64 {
        self.lines.iter().map(|l| l.bytes).sum()
    }
}

/// The account of a placement that keeps so much.
fn account(request: &Request<'_>, cut: &Cut, rows: u32, kept: &Kept) -> Account {
    let (graph, tiling) = (request.graph, &cut.tiling);
    let plan = cut.plans.of(request, rows);
    let window = window_bytes(tiling, request.align).next_multiple_of(host::page_size() as u64);
    // A region is whole pages.
    let pages = |bytes: u64| bytes.max(1).next_multiple_of(host::page_size() as u64);
    let kv_rows = request.kv_rows.unwrap_or(rows);
    let sequence = pages(KvCache::bytes(graph, request.kv, request.context, kv_rows));
    let kv = sequence * u64::from(request.sequences);
    let weights = pages(Vectors::bytes(graph)) + kept.runs;
    let activations = pages(plan.arena_bytes) + pages(request.fixed.scratch);
    let stream = cut.stream;
    let sets = || cut.experts.iter().zip(&kept.slots);
    let slots = cut.experts.held_bytes(&kept.slots);
    let experts = expert_options(cut, kept.slots.clone(), request.align);
    // A window that is only for loading comes and goes, its ring with it, before the caches and the arena are touched.
    let of_window = |window: u64, stream: &StreamOptions, stays: bool| match stays {
        true => (window, stream.memory(window)),
        false => ((window + stream.memory(window)).saturating_sub(kv + activations), 0),
    };
    let (window_line, io) = of_window(window, &stream, kept.streams);
    let misses = sets().any(|(set, &slots)| slots < set.count);
    let (expert_window, expert_io) = match cut.experts.is_empty() {
        true => (0, 0),
        false => of_window(experts.window_bytes, &experts.stream, misses),
    };
    let heap = request.fixed.heap
        + tiling.heap_bytes()
        + WeightStore::heap_bytes(tiling)
        + cut.experts.heap_bytes()
        + ExpertStore::heap_bytes(&cut.experts);
    let mapped =
        weights + slots + window + experts.window_bytes + kv + activations + heap + request.fixed.tokenizer;
    let kernel = kernel_overhead(request.fixed.threads as usize, mapped);
    let line = |part, bytes| Line { part, bytes };
    let mut lines = vec![
        line(Part::Program, request.fixed.program),
        line(Part::Kernel, kernel),
        line(Part::Heap, heap),
        line(Part::Tokenizer, request.fixed.tokenizer),
        line(Part::Weights, weights),
        line(Part::Window, window_line + expert_window),
        line(Part::State, kv),
        line(Part::Activations, activations),
        line(Part::Io, io + expert_io),
        line(Part::Slack, SLACK),
    ];
    if request.fixed.connections > 0 {
        lines.insert(lines.len() - 1, line(Part::Connections, request.fixed.connections));
    }
    if !cut.experts.is_empty() {
        lines.insert(5, line(Part::Experts, slots));
    }
    // No run is smaller than the start of the process.
    let sum: u64 = lines.iter().map(|l| l.bytes).sum();
    lines[0].bytes += request.fixed.start.saturating_sub(sum);
    Account { plan, window_bytes: window, experts, lines }
}

/// How experts are read, of which so many stay.
fn expert_options(cut: &Cut, slots: Vec<u32>, align: usize) -> ExpertOptions {
    let most = cut.experts.most_extents();
    let len = cut.experts.largest_read() + 2 * (most * align) as u64;
    let read = Extent { file: 0, offset: 1, len };
    let window_bytes = match cut.experts.is_empty() {
        true => 0,
        false => Stream::window_needed(&[read; WINDOW_READS], align),
    };
    ExpertOptions { slots, window_bytes, stream: cut.expert_stream }
}

/// The placement with this cut that reads prompts in steps of `rows`, and answers in smaller ones if that keeps weights that are
/// read otherwise; `None` if it does not fit.
fn fit_exchange(request: &Request<'_>, profile: &Profile, cut: &Cut, rows: u32) -> Option<Placement> {
    let whole = fit(request, profile, cut, rows, None)?;
    let few = CHUNKS.into_iter().find(|chunk| *chunk >= request.logit_rows);
    let Some(few) = few.filter(|few| *few < rows && whole.streamed_bytes() > 0) else { return Some(whole) };
    let both = Request { kv_rows: Some(whole.kv_rows), ..*request };
    let answering = fit(&both, profile, cut, few, None);
    let reading = answering.as_ref().and_then(|answering| {
        fit(&Request { budget: answering.peak(), ..both }, profile, cut, rows, Some(&answering.resident))
    });
    // What comes back comes through a window, which only who streams has in its account.
    let comes_back = |reading: &Placement, answering: &Placement| {
        let streams =
            |placement: &Placement| [placement.resident.contains(&false), placement.misses_experts()];
        streams(reading).iter().zip(streams(answering)).all(|(reads, answers)| answers || !reads)
    };
    let (Some(mut placement), Some(reading)) = (answering, reading) else { return Some(whole) };
    if !comes_back(&reading, &placement) {
        return Some(whole);
    }
    placement.reading = Some(Box::new(reading));
    placement.forecast = forecast(request, profile, &placement, Exchange::TYPICAL);
    Some(placement)
}

/// The placement with this cut and steps that keeps as much as fits, of the runs `among`; `None` if it does not fit at all.
fn fit(
    request: &Request<'_>,
    profile: &Profile,
    cut: &Cut,
    rows: u32,
    among: Option<&[bool]>,
) -> Option<Placement> {
    let tiling = &cut.tiling;
    let account = |kept: &Kept| account(request, cut, rows, kept);
    // Page tables of what stays are not in the account of what does not: 8 bytes for each 4 KiB, and some to spare.
    let room = |bare: &Account| {
        let room = request.budget.checked_sub(bare.sum())?;
        Some(room - (room / 256).min(room))
    };
    let all_runs = || vec![true; tiling.runs.len()];
    let whole = account(&Kept::all(cut));
    let (resident, account) = if whole.sum() <= request.budget {
        (all_runs(), whole)
    } else if let Some(room) = room(&account(&Kept::runs(cut))).filter(|_| !cut.experts.is_empty()) {
        // A step reads every run and only some of the experts, so runs come first.
        (all_runs(), account(&Kept { slots: slots(&cut.experts, room), ..Kept::runs(cut) }))
    } else {
        let resident = spread(tiling, room(&account(&Kept::nothing(cut)))?, among);
        let kept = Kept { runs: held(tiling, &resident), ..Kept::nothing(cut) };
        (resident, account(&kept))
    };
    if account.sum() > request.budget {
        return None;
    }
    let Account { plan, window_bytes, experts, lines } = account;
    let mut placement = Placement {
        bounds: plan.bounds,
        plan,
        tiling: Arc::clone(tiling),
        resident,
        window_bytes,
        stream: cut.stream,
        experts: Arc::clone(&cut.experts),
        expert_options: experts,
        context: request.context,
        sequences: request.sequences,
        kv: request.kv,
        kv_rows: request.kv_rows.unwrap_or(rows),
        lines,
        budget: request.budget,
        forecast: Forecast {
            tokens_per_second: 0.0,
            first_token_seconds: 0.0,
            prompt_tokens: 0,
            bound: crate::Bound::Arithmetic,
            flash_bytes_per_token: 0,
        },
        reading: None,
    };
    placement.forecast = forecast(request, profile, &placement, Exchange::TYPICAL);
    Some(placement)
}

/// How many experts of each set stay in `room` bytes: the same share of every set, and what is left to the first.
fn slots(experts: &ExpertSets, room: u64) -> Vec<u32> {
    let total = experts.bytes().max(1);
    // Each set has pages of its own.
    let pages = experts.len() as u64 * host::page_size() as u64;
    let share =
        |count: u32| (u128::from(count) * u128::from(room.saturating_sub(pages)) / u128::from(total)) as u32;
    let mut slots: Vec<u32> = experts.iter().map(|set| share(set.count).min(set.count)).collect();
    let mut left = room.saturating_sub(experts.held_bytes(&slots));
    for (set, slots) in experts.iter().zip(&mut slots) {
        let more = set.held_bytes(*slots + 1) - set.held_bytes(*slots);
        if *slots < set.count && more <= left {
            *slots += 1;
            left -= more;
        }
    }
    slots
}

/// Marks runs that stay, of those `among` which they may be, spread evenly over a step so that reads and arithmetic overlap
/// everywhere.
fn spread(tiling: &Tiling, room: u64, among: Option<&[bool]>) -> Vec<bool> {
    let may = |index: usize| among.is_none_or(|among| among[index]);
    let of = |(index, run)| if may(index) { tiling.held_bytes(run) } else { 0 };
    let total: u64 = tiling.runs.iter().enumerate().map(of).sum();
    let (mut seen, mut kept) = (0u64, 0u64);
    let stays = tiling.runs.iter().enumerate().map(|run| {
        let bytes = of(run);
        seen += bytes;
        let due = (u128::from(room) * u128::from(seen) / u128::from(total.max(1))) as u64;
        let stays = may(run.0) && kept + bytes <= due;
        kept += if stays { bytes } else { 0 };
        stays
    });
    stays.collect()
}

fn held(tiling: &Tiling, resident: &[bool]) -> u64 {
    tiling.runs.iter().zip(resident).filter(|(_, stays)| **stays).map(|(r, _)| tiling.held_bytes(r)).sum()
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

/// Bytes of the longest run.
fn longest_run(tiling: &Tiling) -> u64 {
    tiling.runs.iter().map(|run| run.bytes).max().unwrap_or(0)
}

/// How fast a placement will be on a machine: the prompt of `exchange`, or as much of it as the context holds, and the
/// answer to it.
pub fn forecast(
    request: &Request<'_>,
    profile: &Profile,
    placement: &Placement,
    exchange: Exchange,
) -> Forecast {
    let prompt = exchange.prompt.clamp(1, request.context.max(1));
    let streamed = |placement: &Placement, logits: bool| -> u64 {
        let runs = placement.tiling.runs.iter().zip(&placement.resident);
        runs.filter(|(r, stays)| !**stays && (logits || !r.logits_only)).map(|(r, _)| r.bytes).sum()
    };
    // As a run has shown; else if all are equally likely, and so to be found among those that stay. Where some stay, they are those
    // that were wanted, so a first step finds nobody. Bytes, and which share of the layers reads any.
    let missed = |placement: &Placement, rows: u32, is_first: bool| -> (f64, f64) {
        let sets = placement.experts.iter().zip(&placement.expert_options.slots).enumerate();
        let missed = |(index, (set, &slots)): (usize, (&::memory::ExpertSet, &u32))| {
            let known = profile.reuse.as_ref().and_then(|reuse| reuse.layers.get(index));
            let here = if is_first && slots < set.count { 0 } else { slots };
            let away = 1.0 - f64::from(here) / f64::from(set.count);
            let wanted = expected_experts(set.count, set.used, rows);
            let missed = match known {
                Some(layer) if slots < set.count => layer.missed(rows, set.used, here),
                _ => wanted * away,
            };
            let wanted = wanted.max(missed);
            (missed * set.slot_bytes as f64, 1.0 - (1.0 - missed / wanted).powf(wanted))
        };
        let layers = placement.experts.len().max(1) as f64;
        sets.map(missed).fold((0.0, 0.0), |sum, set| (sum.0 + set.0, sum.1 + set.1 / layers))
    };
    let rate = profile.way(longest_run(&placement.tiling)).bytes_per_second;
    let rate_of_experts = profile.way(placement.experts.largest_read()).bytes_per_second;
    let step = |placement: &Placement, rows: u32, logit_rows: u32, context: u32| {
        let bounds = Bounds { rows, logit_rows };
        let ahead = streamed(placement, logit_rows > 0) as f64 / rate;
        let (bytes, reading) = missed(placement, rows, context == 0);
        let flash = FlashSeconds { ahead, experts: bytes / rate_of_experts, reading };
        step_seconds(request.graph, profile, &bounds, context, flash)
    };
    let reading = placement.while_reading();
    let rows = reading.bounds.rows;
    let chunks = prompt.div_ceil(rows);
    let tail = prompt - (chunks - 1) * rows;
    // The first begins at nothing, and those between it and the last, on average, in the middle of the prompt.
    let first = if chunks > 1 { step(reading, rows, 0, 0).0 } else { 0.0 };
    let between = f64::from(chunks.saturating_sub(2)) * step(reading, rows, 0, (chunks - 1) * rows / 2).0;
    let (token, bound) =
        step(placement, 1, 1, request.context.min(prompt.saturating_add(exchange.answer / 2)));
    Forecast {
        tokens_per_second: 1.0 / token,
        first_token_seconds: first + between + step(reading, tail, 1, prompt - tail).0,
        prompt_tokens: prompt,
        bound,
        flash_bytes_per_token: streamed(placement, true) + missed(placement, 1, false).0 as u64,
    }
}
