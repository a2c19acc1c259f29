//! `GET /v1/pintpot/status` and `POST /v1/pintpot/memory`: the account as it stands, and another budget for it.
//!
//! What it is: what the page shows, as JSON that any client can read. What it is not: metrics for a database, which have their
//! own route. The one design choice: whoever changes the budget is answered by the account as it stands afterwards.

use std::time::Instant;

use hyper::{Method, StatusCode};
use pintpot::{Memory, Seat, Standing};
use serde::Deserialize;
use serde::de::MapAccess;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Route;
use crate::Facts;
use crate::app::{ANSWERS, App};
use crate::refusal::Refusal;
use crate::reply;
use crate::request::{self, Fields, Taken, value};

pub(super) const STATUS: Route = Route {
    method: Method::GET,
    path: "/v1/pintpot/status",
    says: "the account: the budget, what is held, and what was done",
    body: "",
    open: false,
    run: |app, _| Box::pin(async move { Ok(reply::json(StatusCode::OK, &status(&app)?)) }),
};

pub(super) const MEMORY: Route = Route {
    method: Method::POST,
    path: "/v1/pintpot/memory",
    says: "another budget",
    body: "memory:any!",
    run: |app, request| {
        Box::pin(async move {
            app.guard.trusted()?;
            let (Asked { memory }, _permit) = request::take(&app, request, Asked::default()).await?;
            let missing = || Refusal::field("memory", "missing_field", "the field memory is missing");
            let (tell, told) = oneshot::channel();
            let tell = move |changed| {
                let _ = tell.send(changed); // whoever asked may have gone
            };
            app.service.set_memory(memory.ok_or_else(missing)?, tell).map_err(|error| Refusal::of(&error))?;
            let changed = told.await.map_err(|_| Refusal::unavailable("the server is closing"))?;
            // The request itself can never be granted, so it is not a matter of waiting.
            changed.map_err(|error| Refusal {
                status: StatusCode::BAD_REQUEST,
                param: Some("memory".into()),
                ..Refusal::of(&error)
            })?;
            Ok(reply::json(StatusCode::OK, &status(&app)?))
        })
    },
    ..STATUS
};

/// Which budget is meant.
#[derive(Default)]
struct Asked {
    memory: Option<Memory>,
}

/// A size as people write it, or bytes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Bytes(u64),
    Text(String),
}

impl Fields for Asked {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        if key != "memory" {
            return Ok(Taken::Unknown);
        }
        let read = |size| match size {
            Size::Bytes(bytes) => bytes.to_string().parse(),
            Size::Text(text) => text.parse::<Memory>(),
        };
        match value::<A, Size>(map)?.map(read).transpose() {
            Ok(memory) => self.memory = memory,
            Err(error) => return Ok(Taken::Refused(error.to_string())),
        }
        Ok(Taken::Yes)
    }

    fn warn(&mut self, _warning: String) {}
}

fn status(app: &App) -> Result<Value, Refusal> {
    let (seats, ledger) = (app.service.seats(), &app.ledger);
    let sum = |figure: fn(&Seat) -> u64| seats.iter().map(figure).sum::<u64>();
    let loaded = |figure: fn(&Standing) -> u64| {
        let here = seats.iter().filter(|seat| seat.bytes > 0);
        here.filter_map(|seat| seat.standing.as_ref()).map(figure).sum::<u64>()
    };
    // The others give way to whoever answered last.
    let last = seats.iter().filter(|seat| seat.bytes > 0).max_by_key(|seat| seat.asked);
    let standing = last.or(seats.first()).and_then(|seat| seat.standing);
    let machine = app.service.most_memory().map_err(|error| Refusal::of(&error))?;
    let part = |(part, bytes): (pintpot::Part, u64)| json!({ "part": part.name(), "bytes": bytes });
    Ok(json!({
        "budget_bytes": ledger.budget(),
        "held_bytes": ledger.used(),
        "peak_bytes": ledger.peak(),
        "smallest_budget_bytes": standing.map(|standing| standing.least + app.service.beside()),
        "useful_budget_bytes": standing.map(|standing| standing.most + app.service.beside()),
        "largest_budget_bytes": machine,
        "models": app.models.iter().zip(&seats).map(model).chain(app.whole().map(whole)).collect::<Vec<_>>(),
        "ledger": ledger.lines().into_iter().map(part).collect::<Vec<_>>(),
        "weights": { "resident_bytes": loaded(|s| s.resident), "streamed_bytes": loaded(|s| s.streamed) },
        "forecast": {
            "tokens_per_second": standing.map(|standing| standing.forecast.tokens_per_second),
            "flash_bytes_per_token": standing.map(|standing| standing.forecast.flash_bytes_per_token),
        },
        "state": {
            "held_bytes": sum(|seat| seat.counts.state_bytes), "room_bytes": sum(|seat| seat.counts.state_room),
        },
        "requests": {
            "running": sum(|seat| seat.counts.running as u64),
            "waiting": sum(|seat| seat.counts.waiting as u64) + app.service.entering() as u64,
            "queue": app.served.queue,
        },
        "so_far": {
            "seconds": app.started.elapsed().unwrap_or_default().as_secs_f64(),
            "steps": sum(|seat| seat.counts.steps),
            "prompt_tokens": sum(|seat| seat.counts.prompt_tokens),
            "cached_tokens": sum(|seat| seat.counts.cached_tokens),
            "answer_tokens": sum(|seat| seat.counts.answer_tokens),
            "flash_bytes": sum(|seat| seat.counts.flash_bytes),
        },
    }))
}

/// A model that is here as long as the server runs.
fn whole((facts, gives): (&Facts, &str)) -> Value {
    json!({
        "id": facts.name,
        "gives": gives,
        "loaded": true,
        "held_bytes": facts.held_bytes,
        "context": facts.context,
        "running": null,
        "stays_seconds": null,
    })
}

/// A model, and whether it is here.
fn model((facts, seat): (&Facts, &Seat)) -> Value {
    let left = seat.until.map(|until| until.saturating_duration_since(Instant::now()).as_secs_f64());
    json!({
        "id": facts.name,
        "gives": ANSWERS,
        "loaded": seat.bytes > 0,
        "held_bytes": seat.bytes,
        "context": facts.context,
        "running": seat.counts.running,
        "stays_seconds": left,
    })
}
