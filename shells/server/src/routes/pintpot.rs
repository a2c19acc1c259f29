//! `GET /v1/pintpot/status` and `POST /v1/pintpot/memory`: the account as it stands, and another budget for it.
//!
//! What it is: what the page shows, as JSON that any client can read. What it is not: metrics for a database, which have their
//! own route. The one design choice: whoever changes the budget is answered by the account as it stands afterwards.

use hyper::{Method, StatusCode};
use pintpot::Memory;
use serde::Deserialize;
use serde::de::MapAccess;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Route;
use crate::app::App;
use crate::refusal::Refusal;
use crate::reply;
use crate::request::{self, Fields, Taken, value};

pub(super) const STATUS: Route = Route {
    method: Method::GET,
    path: "/v1/pintpot/status",
    open: false,
    run: |app, _| Box::pin(async move { Ok(reply::json(StatusCode::OK, &status(&app)?)) }),
};

pub(super) const MEMORY: Route = Route {
    method: Method::POST,
    path: "/v1/pintpot/memory",
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
    let (standing, counts, ledger) = (app.service.standing(), app.service.counts(), &app.ledger);
    let machine = app.service.most_memory().map_err(|error| Refusal::of(&error))?;
    let part = |(part, bytes): (pintpot::Part, u64)| json!({ "part": part.name(), "bytes": bytes });
    Ok(json!({
        "model": app.served.name,
        "context": app.facts.context,
        "budget_bytes": ledger.budget(),
        "held_bytes": ledger.used(),
        "peak_bytes": ledger.peak(),
        "smallest_budget_bytes": standing.least,
        "useful_budget_bytes": standing.most,
        "largest_budget_bytes": machine,
        "ledger": ledger.lines().into_iter().map(part).collect::<Vec<_>>(),
        "weights": { "resident_bytes": standing.resident, "streamed_bytes": standing.streamed },
        "forecast": {
            "tokens_per_second": standing.forecast.tokens_per_second,
            "flash_bytes_per_token": standing.forecast.flash_bytes_per_token,
        },
        "state": { "held_bytes": counts.state_bytes, "room_bytes": counts.state_room },
        "requests": { "running": counts.running, "waiting": counts.waiting, "queue": app.served.queue },
        "so_far": {
            "seconds": app.started.elapsed().unwrap_or_default().as_secs_f64(),
            "steps": counts.steps,
            "prompt_tokens": counts.prompt_tokens,
            "cached_tokens": counts.cached_tokens,
            "answer_tokens": counts.answer_tokens,
            "flash_bytes": counts.flash_bytes,
        },
    }))
}
