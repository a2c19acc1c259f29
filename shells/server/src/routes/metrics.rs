//! `GET /metrics`: what Prometheus reads.
//!
//! What it is: vLLM's names with ours in front, so that its dashboards work with one change, and the account of memory. What
//! it is not: a registry; the figures are the engine's. The one design choice: written by hand, since a line is a name and a
//! number.

use std::fmt::{Display, Write};

use hyper::{Method, StatusCode};
use pintpot::{Finish, Histogram};

use super::Route;
use super::completion::reason;
use crate::app::App;
use crate::reply;

pub(super) const ROUTE: Route = Route {
    method: Method::GET,
    path: "/metrics",
    open: false,
    run: |app, _| {
        let text = text(&app);
        Box::pin(
            async move { Ok(reply::text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)) },
        )
    },
};

/// What is written so far.
struct Page<'a> {
    text: String,
    model: &'a str,
}

impl Page<'_> {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP pintpot_{name} {help}\n# TYPE pintpot_{name} {kind}");
    }

    /// A line; `label` comes after the model's.
    fn line(&mut self, name: &str, label: &str, value: impl Display) {
        let _ = writeln!(self.text, "pintpot_{name}{{model_name=\"{}\"{label}}} {value}", self.model);
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(name, "", value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.buckets() {
            self.line(&bucket, &format!(",le=\"{bound:?}\""), count);
        }
        self.line(&bucket, ",le=\"+Inf\"", histogram.count());
        self.line(&format!("{name}_sum"), "", histogram.sum);
        self.line(&format!("{name}_count"), "", histogram.count());
    }
}

fn text(app: &App) -> String {
    let model = app.served.name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut page = Page { text: String::with_capacity(16 << 10), model: &model };
    requests(&mut page, app);
    memory(&mut page, app);
    page.text
}

fn requests(page: &mut Page<'_>, app: &App) {
    let counts = app.service.counts();
    page.one("num_requests_running", "gauge", "Answers that are being given.", counts.running);
    page.one("num_requests_waiting", "gauge", "Requests that wait for their turn.", counts.waiting);
    let used = counts.state_bytes as f64 / counts.state_room.max(1) as f64;
    page.one("kv_cache_usage_perc", "gauge", "Share of the room for keys and values that is held.", used);
    let (prompt, cached) = (counts.prompt_tokens, counts.cached_tokens);
    page.one("prefix_cache_queries_total", "counter", "Tokens of prompts that were looked for.", prompt);
    page.one("prefix_cache_hits_total", "counter", "Tokens of prompts that were known.", cached);
    page.one("prompt_tokens_total", "counter", "Tokens of prompts.", prompt);
    page.one("generation_tokens_total", "counter", "Tokens of answers.", counts.answer_tokens);
    page.head("request_success_total", "counter", "Answers that ended, by reason.");
    for finish in Finish::ALL {
        let name = if finish == Finish::Cancelled { "abort" } else { reason(finish) };
        if finish != Finish::Time {
            let timed_out = if finish == Finish::Length { counts.finished[Finish::Time as usize] } else { 0 };
            let count = counts.finished[finish as usize] + timed_out;
            page.line("request_success_total", &format!(",finished_reason=\"{name}\""), count);
        }
    }
    page.one("request_failure_total", "counter", "Answers that failed.", counts.failed);
    page.histogram("time_to_first_token_seconds", "Until the first token.", &counts.first);
    page.histogram("inter_token_latency_seconds", "Between two tokens.", &counts.between);
    page.histogram("e2e_request_latency_seconds", "Of a request in all.", &counts.whole);
    page.histogram("request_queue_time_seconds", "Until the turn of a request came.", &counts.queue);
    page.histogram("request_prefill_time_seconds", "In which a prompt was read.", &counts.prefill);
    page.histogram("request_decode_time_seconds", "From the first token to the last.", &counts.decode);
    page.histogram("request_prompt_tokens", "Tokens of a prompt.", &counts.prompts);
    page.histogram("request_generation_tokens", "Tokens of an answer.", &counts.answers);
    page.one("weights_read_bytes_total", "counter", "Weights read from flash.", counts.flash_bytes);
    page.one("weights_wait_seconds_total", "counter", "Steps waited for flash.", counts.flash_wait_seconds);
    page.one("engine_steps_total", "counter", "Steps of the model.", counts.steps);
}

fn memory(page: &mut Page<'_>, app: &App) {
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
