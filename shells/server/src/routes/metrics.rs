//! `GET /metrics`: what Prometheus reads.
//!
//! What it is: vLLM's names with ours in front, so that its dashboards work with one change, and the account of memory. What
//! it is not: a registry; the figures are the engine's. The one design choice: written by hand, since a line is a name and a
//! number.

use std::fmt::{Display, Write};

use hyper::{Method, StatusCode};
use pintpot::{Counts, Finish, Histogram};

use super::Route;
use super::completion::reason;
use crate::Facts;
use crate::app::App;
use crate::reply;

pub(super) const ROUTE: Route = Route {
    method: Method::GET,
    path: "/metrics",
    says: "figures for Prometheus",
    body: "",
    open: false,
    run: |app, _| {
        let text = text(&app);
        Box::pin(
            async move { Ok(reply::text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)) },
        )
    },
};

/// What is written so far.
struct Page {
    text: String,
    /// Names as labels, and what was counted.
    models: Vec<(String, Counts)>,
    /// All names, for what belongs to the whole process.
    all: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP pintpot_{name} {help}\n# TYPE pintpot_{name} {kind}");
    }

    /// A line of the whole process; `label` comes after the models'.
    fn line(&mut self, name: &str, label: &str, value: impl Display) {
        write(&mut self.text, &self.all, name, label, value);
    }

    /// A figure of the whole process.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(name, "", value);
    }

    /// A figure of every model.
    fn each<D: Display>(&mut self, name: &str, kind: &str, help: &str, value: fn(&Counts) -> D) {
        self.head(name, kind, help);
        for (model, counts) in &self.models {
            write(&mut self.text, model, name, "", value(counts));
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: fn(&Counts) -> &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (model, counts) in &self.models {
            let (text, histogram) = (&mut self.text, histogram(counts));
            for (bound, count) in histogram.buckets() {
                write(text, model, &bucket, &format!(",le=\"{bound:?}\""), count);
            }
            write(text, model, &bucket, ",le=\"+Inf\"", histogram.count());
            write(text, model, &format!("{name}_sum"), "", histogram.sum);
            write(text, model, &format!("{name}_count"), "", histogram.count());
        }
    }
}

fn write(text: &mut String, model: &str, name: &str, label: &str, value: impl Display) {
    let _ = writeln!(text, "pintpot_{name}{{model_name=\"{model}\"{label}}} {value}");
}

fn text(app: &App) -> String {
    let name = |facts: &Facts| facts.name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let names: Vec<String> = app.models.iter().map(name).collect();
    let all = names.join(",");
    let models = names.into_iter().zip(app.service.seats()).map(|(name, seat)| (name, seat.counts)).collect();
    let mut page = Page { text: String::with_capacity(16 << 10), models, all };
    requests(&mut page, app);
    memory(&mut page, app);
    page.text
}

fn requests(page: &mut Page, app: &App) {
    page.each("num_requests_running", "gauge", "Answers that are being given.", |counts| counts.running);
    page.each("num_requests_waiting", "gauge", "Requests that wait for their turn.", |counts| counts.waiting);
    let entering = app.service.entering();
    page.one("num_requests_entering", "gauge", "Requests at the door, or for a model that waits.", entering);
    page.each(
        "kv_cache_usage_perc",
        "gauge",
        "Share of the room for keys and values that is held.",
        |counts| counts.state_bytes as f64 / counts.state_room.max(1) as f64,
    );
    let help = "Tokens of prompts that were looked for.";
    page.each("prefix_cache_queries_total", "counter", help, |counts| counts.prompt_tokens);
    page.each("prefix_cache_hits_total", "counter", "Tokens of prompts that were known.", |counts| {
        counts.cached_tokens
    });
    page.each("prompt_tokens_total", "counter", "Tokens of prompts.", |counts| counts.prompt_tokens);
    page.each("generation_tokens_total", "counter", "Tokens of answers.", |counts| counts.answer_tokens);
    page.head("request_success_total", "counter", "Answers that ended, by reason.");
    for (model, counts) in &page.models {
        for finish in Finish::ALL.into_iter().filter(|finish| *finish != Finish::Time) {
            let name = if finish == Finish::Cancelled { "abort" } else { reason(finish) };
            let timed_out = if finish == Finish::Length { counts.finished[Finish::Time as usize] } else { 0 };
            let (count, label) =
                (counts.finished[finish as usize] + timed_out, format!(",finished_reason=\"{name}\""));
            write(&mut page.text, model, "request_success_total", &label, count);
        }
    }
    let help = "Turns that were taken from answers for want of memory, and given back later.";
    page.each("num_preemptions_total", "counter", help, |counts| counts.preempted);
    page.each("request_failure_total", "counter", "Answers that failed.", |counts| counts.failed);
    page.histogram("time_to_first_token_seconds", "Until the first token.", |counts| &counts.first);
    page.histogram("inter_token_latency_seconds", "Between two tokens.", |counts| &counts.between);
    page.histogram("e2e_request_latency_seconds", "Of a request in all.", |counts| &counts.whole);
    page.histogram("request_queue_time_seconds", "Until the turn of a request came.", |counts| &counts.queue);
    page.histogram("request_prefill_time_seconds", "In which a prompt was read.", |counts| &counts.prefill);
    page.histogram("request_decode_time_seconds", "From the first token to the last.", |counts| {
        &counts.decode
    });
    page.histogram("request_prompt_tokens", "Tokens of a prompt.", |counts| &counts.prompts);
    page.histogram("request_generation_tokens", "Tokens of an answer.", |counts| &counts.answers);
    page.each("weights_read_bytes_total", "counter", "Weights read from flash.", |counts| counts.flash_bytes);
    page.each("weights_wait_seconds_total", "counter", "Steps waited for flash.", |counts| {
        counts.flash_wait_seconds
    });
    page.each("engine_steps_total", "counter", "Steps of the model.", |counts| counts.steps);
    let loaded = app.service.seats();
    page.head("model_loaded", "gauge", "Whether the model is in memory.");
    for ((model, _), seat) in page.models.iter().zip(&loaded) {
        write(&mut page.text, model, "model_loaded", "", u8::from(seat.bytes > 0));
    }
}

fn memory(page: &mut Page, app: &App) {
    let ledger = &app.ledger;
    page.one("memory_budget_bytes", "gauge", "The budget of the whole process.", ledger.budget());
    page.head("memory_used_bytes", "gauge", "What is held, by part of the account.");
    for (part, bytes) in ledger.lines() {
        page.line("memory_used_bytes", &format!(",part=\"{part}\""), bytes);
    }
    page.one("memory_peak_bytes", "gauge", "The most that was ever held.", ledger.peak());
    page.head("request_refusals_total", "counter", "Requests that were refused, by reason.");
    for (code, count) in app.refusals().iter() {
        page.line("request_refusals_total", &format!(",reason=\"{code}\""), count);
    }
    let resident = host::resident();
    let bytes = resident.anon + resident.file + resident.shared;
    page.one("connections", "gauge", "Connections that are open.", app.connections.count());
    let _ = writeln!(
        page.text,
        "# HELP process_resident_memory_bytes Memory of the process.\n# TYPE process_resident_memory_bytes gauge\n\
         process_resident_memory_bytes {bytes}"
    );
}
