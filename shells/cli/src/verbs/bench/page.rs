//! The page of the report: headings, words, drawings and the table of all figures.
//!
//! What it is: HTML around [`super::plot`]. What it is not: measuring. The one design choice: colours are variables of the
//! page with a light and a dark value, so that one drawing serves both.

use host::format_bytes;
use pintpot::bench::{Outcome, SweepPoint};

use super::plot::{Axis, COLOURS, Line, Mark, bars, drawing, escaped, legend};
use super::report::Chapter;

const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#fff;--ink:#1c2330;--soft:#5d6778;--grid:#e4e7ec;--card:#f7f8fa;\
--c1:#2a6fdb;--c2:#d9730d;--c3:#1f8a5b;--c4:#9aa3b2;--c5:#8a4fc8;--c6:#c2375a}\
@media(prefers-color-scheme:dark){:root{--bg:#12161d;--ink:#e6e9ef;--soft:#98a2b3;--grid:#2a313c;--card:#1a2029;\
--c1:#5b9bff;--c2:#f2994a;--c3:#4cc38a;--c4:#6b7586;--c5:#b78aee;--c6:#ee6f8e}}\
body{margin:0 auto;max-width:1080px;padding:24px 20px 60px;background:var(--bg);color:var(--ink);\
font:15px/1.5 system-ui,sans-serif}\
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:38px 0 4px}h3{font-size:15px;margin:0 0 6px}\
p{margin:4px 0 12px;color:var(--soft);max-width:76ch}svg{width:100%;height:auto;display:block}\
.cards{display:grid;gap:14px;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr))}\
.card{background:var(--card);border:1px solid var(--grid);border-radius:10px;padding:14px 14px 8px}\
.grid{stroke:var(--grid);stroke-width:1;fill:none}.line{fill:none;stroke-width:2}\
.mark{stroke:var(--card);stroke-width:1.5}.tick{font-size:12px;fill:var(--soft)}\
.axis{font-size:12.5px;fill:var(--ink)}.inside{font-size:11.5px;fill:var(--bg);font-weight:600}\
.legend span{display:inline-block;margin-right:18px;white-space:nowrap}\
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}\
th,td{padding:5px 10px;border-bottom:1px solid var(--grid);text-align:right;white-space:nowrap}\
th{color:var(--soft);font-weight:600}th:first-child,td:first-child,td:nth-child(2),th:nth-child(2){text-align:left}";

/// What the parts of a bar are.
const PHASES: [&str; 4] = ["products", "waiting for flash", "attention", "other"];

/// What is drawn against budgets.
const CURVES: [&str; 4] = ["measured", "foretold", "bound", "llama.cpp"];

/// The whole page.
pub(super) fn html(chapters: &[Chapter]) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page += "<meta name=\"viewport\" content=\"width=device-width\">\n<title>pintpot bench report</title>\n";
    page += &format!(
        "<style>{STYLE}</style>\n</head>\n<body>\n<h1>pintpot bench report</h1>\n{}",
        machine(chapters)
    );
    page += "<h2>Roofline</h2>\n<p>Multiply-adds a second against multiply-adds for each byte that comes from memory. The \
        slope is what memory gives, a level line what registers do with the types of its model and with its attention, both measured \
        here after the tests. Squares are prompts, circles answers; a mark below a line is what is left.</p>\n";
    page += &format!("<div class=\"card\">{}</div>\n", roofline(chapters));
    page += &legend(chapters.iter().map(|chapter| chapter.name.as_str()));
    page += "<h2>Speed against memory</h2>\n<p>Tokens a second of an answer, cold, in budgets of the whole process that the \
        kernel enforces where it may. The answer is the same at every one of them. The bound is what the disk gave in this \
        run over the bytes that are not kept, or the speed with all of them kept. Dashed lines are what the planner \
        foretells.</p>\n";
    let cards = chapters.iter().map(|chapter| {
        format!("<div class=\"card\"><h3>{}</h3>{}</div>\n", escaped(&chapter.name), against_memory(chapter))
    });
    page += &format!("<div class=\"cards\">{}</div>\n", cards.collect::<String>());
    page += &legend(CURVES.into_iter());
    page += &format!("<div class=\"wide\">{}</div>\n", budgets(chapters));
    page += "<h2>Time per phase</h2>\n<p>Where the time of a run goes; behind each bar, milliseconds a token.</p>\n";
    page += &format!("<div class=\"card\">{}</div>\n{}", phases(chapters), legend(PHASES.into_iter()));
    page +=
        &format!("<h2>All figures</h2>\n<div class=\"wide\">{}</div>\n</body>\n</html>\n", tests(chapters));
    page
}

/// One line on where this was measured.
fn machine(chapters: &[Chapter]) -> String {
    let Some(outcome) = chapters.iter().find_map(|chapter| chapter.measured.outcomes.first()) else {
        return String::new();
    };
    let threads =
        if outcome.threads == 1 { "1 thread".to_string() } else { format!("{} threads", outcome.threads) };
    let [read, bytes, floats] =
        [outcome.silicon.memory_bytes, outcome.silicon.byte_macs, outcome.silicon.float_macs]
            .map(|rate| rate / 1e9);
    format!(
        "<p>{} kernels on {threads}; memory is read at {read:.1} GB/s, registers do {bytes:.0} G multiply-adds a second of bytes and {floats:.0} of floats.</p>\n",
        escaped(outcome.isa)
    )
}

fn says(name: &str, outcome: &Outcome) -> String {
    let (rate, deviation) = outcome.rate();
    format!("{name}, {}: {rate:.1} ± {deviation:.1} tokens/s", outcome.test.name())
}

/// What arithmetic alone would allow, G multiply-adds a second.
fn ceiling(outcome: &Outcome) -> f64 {
    outcome.macs as f64 / outcome.arithmetic_seconds.max(1e-12) / 1e9
}

fn roofline(chapters: &[Chapter]) -> String {
    let mut marks = Vec::new();
    let mut roofs: Vec<(usize, f64)> = Vec::new();
    let mut bandwidth = 1e-9f64;
    for (series, chapter) in chapters.iter().enumerate() {
        for outcome in &chapter.measured.outcomes {
            let bytes = (outcome.weight_bytes + outcome.state_bytes).max(1) as f64;
            let x = outcome.macs as f64 / bytes;
            let y = outcome.macs as f64 / outcome.seconds().0.max(1e-9) / 1e9;
            let is_round = outcome.test.prompt == 0;
            let says = says(&chapter.name, outcome);
            marks.push(Mark { x, y, series, is_round, says });
            bandwidth = bandwidth.max(outcome.silicon.memory_bytes / 1e9);
        }
        roofs.push((series, chapter.measured.outcomes.iter().map(ceiling).fold(0.0, f64::max)));
    }
    let highest = roofs.iter().map(|roof| roof.1).fold(1.0, f64::max);
    let x = Axis::log("multiply-adds for each byte from memory", marks.iter().map(|mark| mark.x));
    let ys: Vec<f64> = marks.iter().map(|mark| mark.y).chain([highest]).collect();
    let y = Axis::log("G multiply-adds/s", ys.into_iter());
    let from = x.least.max(y.least / bandwidth);
    let points = vec![(from, from * bandwidth), (highest / bandwidth, highest)];
    let mut lines =
        vec![Line { points, colour: "var(--soft)", is_dashed: false, label: "memory".to_string() }];
    for (series, rate) in roofs {
        let points = vec![(rate / bandwidth, rate), (x.most, rate)];
        let colour = COLOURS[series % COLOURS.len()];
        lines.push(Line { points, colour, is_dashed: false, label: String::new() });
    }
    drawing((1000.0, 420.0), &x, &y, &lines, &marks)
}

fn against_memory(chapter: &Chapter) -> String {
    let mib = |point: &SweepPoint| point.budget as f64 / f64::from(1 << 20);
    let points = &chapter.swept.points;
    let curve = |rate: &dyn Fn(&SweepPoint) -> Option<f64>| -> Vec<(f64, f64)> {
        points.iter().filter_map(|point| Some((mib(point), rate(point)?))).collect()
    };
    let curves = [
        curve(&|point| point.ours(|turn| turn.rate)),
        curve(&|point| point.foretold(|foretold| foretold.rate)),
        curve(&|point| point.bound),
        curve(&|point| point.theirs(true)),
    ];
    let all = || curves.iter().flatten();
    let x = Axis::linear("budget of the whole process, MiB", all().map(|point| point.0));
    let y = Axis::log("tokens/s", all().map(|point| point.1).collect::<Vec<_>>().into_iter());
    // What was measured is drawn last, over the others.
    let lines = curves.iter().enumerate().rev().map(|(series, points)| Line {
        points: points.clone(),
        colour: COLOURS[series],
        is_dashed: series == 1,
        label: String::new(),
    });
    let marks = [3, 0].into_iter().flat_map(|series: usize| {
        let shown = points.iter().filter_map(move |point| {
            let is_ours = series == 0;
            let y = if is_ours { point.ours(|turn| turn.rate)? } else { point.theirs(true)? };
            let says = format!("{}: {y:.2} tokens/s, {}", format_bytes(point.budget), CURVES[series]);
            Some(Mark { x: mib(point), y, series, is_round: is_ours, says })
        });
        shown.collect::<Vec<_>>()
    });
    drawing((500.0, 320.0), &x, &y, &lines.collect::<Vec<_>>(), &marks.collect::<Vec<_>>())
}

/// The figures behind the curves.
fn budgets(chapters: &[Chapter]) -> String {
    const TITLES: [&str; 11] = [
        "model",
        "budget",
        "of file",
        "kept",
        "read/token",
        "tokens/s",
        "foretold",
        "bound",
        "llama.cpp",
        "group's peak",
        "remark",
    ];
    let mut rows = Vec::new();
    for Chapter { name, swept, .. } in chapters {
        let limited = if swept.open.is_some() { "no limit" } else { "" };
        for point in &swept.points {
            let rate = |rate: Option<f64>| rate.map_or("-".to_string(), |rate| format!("{rate:.2}"));
            let bytes = |bytes: Option<u64>| bytes.map_or("-".to_string(), format_bytes);
            let kept = point.foretold.first().map(|foretold| foretold.resident_bytes);
            rows.push(vec![
                escaped(name),
                format_bytes(point.budget),
                format!("{:.0}%", point.budget as f64 / swept.file_bytes.max(1) as f64 * 100.0),
                bytes(kept),
                bytes(point.ours(|turn| turn.flash_bytes_per_token).map(|bytes| bytes as u64)),
                rate(point.ours(|turn| turn.rate)),
                rate(point.foretold(|foretold| foretold.rate)),
                rate(point.bound),
                rate(point.theirs(true)),
                bytes(point.ours.iter().filter_map(|turn| turn.report.peak).max()),
                escaped(point.skipped.as_deref().or(point.failed.as_deref()).unwrap_or(limited)),
            ]);
        }
    }
    table(&TITLES, &rows)
}

fn phases(chapters: &[Chapter]) -> String {
    let mut rows = Vec::new();
    let mut bar = |label: String, [products, attention, other]: [f64; 3], wait: f64, ms: f64| {
        let wait = wait.min(products);
        rows.push((label, vec![products - wait, wait, attention, other], format!("{ms:.2} ms/token")));
    };
    for Chapter { name, measured, swept } in chapters {
        for outcome in &measured.outcomes {
            let ms = outcome.seconds().0 * 1e3 / f64::from(outcome.test.tokens().max(1));
            let label = format!("{name} {}", outcome.test.name());
            bar(label, outcome.phase_seconds(), outcome.wait_seconds(), ms);
        }
        let smallest = swept.points.iter().rev().find_map(|point| Some((point.budget, point.ours.first()?)));
        if let Some((budget, turn)) = smallest {
            let label = format!("{name} in {}", format_bytes(budget));
            bar(label, turn.phase_seconds, turn.wait_seconds, 1e3 / turn.rate.max(1e-9));
        }
    }
    bars(1000.0, &rows, &PHASES)
}

/// The figures of all tests.
fn tests(chapters: &[Chapter]) -> String {
    const TITLES: [&str; 11] = [
        "model",
        "test",
        "threads",
        "tokens/s",
        "budget",
        "peak",
        "weights kept",
        "touched/token",
        "flash/token",
        "of bandwidth",
        "of arithmetic",
    ];
    let mut rows = Vec::new();
    for chapter in chapters {
        for outcome in &chapter.measured.outcomes {
            let (rate, deviation) = outcome.rate();
            let placement = &outcome.placement;
            rows.push(vec![
                escaped(&chapter.name),
                outcome.test.name(),
                outcome.threads.to_string(),
                format!("{rate:.2} ± {deviation:.2}"),
                format_bytes(placement.budget),
                format_bytes(placement.peak()),
                format_bytes(placement.resident_bytes()),
                format_bytes(outcome.touched_per_token() as u64),
                format_bytes(outcome.flash_per_token() as u64),
                format!("{:.0}%", outcome.bandwidth_share() * 100.0),
                format!("{:.0}%", outcome.arithmetic_share() * 100.0),
            ]);
        }
    }
    table(&TITLES, &rows)
}

fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let titles: String = titles.iter().map(|title| format!("<th>{title}</th>")).collect();
    let mut text = format!("<table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n");
    for cells in rows {
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        text += &format!("<tr>{cells}</tr>\n");
    }
    text + "</tbody>\n</table>"
}
