//! The routes: one file each, one line here.
//!
//! What it is: the list, and the way from a request to its route. What it is not: their work. The one design choice: a route
//! is data and one function, so that who may ask, and what methods there are, is decided in one place.

/// What several bodies have, as [`Route::body`] writes it.
macro_rules! shared {
    () => {
        "stream:boolean stream_options:object n:integer stop:any max_tokens:integer max_completion_tokens:integer seed:integer \
         temperature:number top_p:number top_k:integer min_p:number presence_penalty:number frequency_penalty:number \
         repetition_penalty:number logit_bias:object ignore_eos:boolean response_format:object grammar:string \
         json_schema:any guided_json:any guided_regex:string guided_choice:array guided_grammar:string \
         structured_outputs:object user:string metadata:object store:boolean service_tier:string"
    };
}

mod account;
mod anthropic;
mod chat_completions;
mod completion;
mod completions;
mod embeddings;
mod health;
mod items;
mod messages;
mod metrics;
mod models;
mod ollama;
mod ollama_embed;
mod ollama_models;
mod openapi;
mod page;
mod rerank;
mod responses;
mod says;
mod transcriptions;
mod version;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, StatusCode};
use pintpot::Asked;

use crate::app::App;
use crate::arriving::Arriving;
use crate::dialect::Dialect;
use crate::refusal::Refusal;
use crate::reply::Reply;

type Answer = Pin<Box<dyn Future<Output = Result<Reply, Refusal>>>>;

/// Something that can be asked for.
pub(crate) struct Route {
    method: Method,
    /// The path; one that ends in a slash stands for all below it.
    path: &'static str,
    /// What it is, in a few words.
    says: &'static str,
    /// The fields of its body, each as `name:type`, with a mark after what must be there, behind the body's type if it is not JSON;
    /// empty if there is no body.
    body: &'static str,
    /// Whether it needs no key.
    open: bool,
    run: fn(Rc<App>, Request<Arriving>) -> Answer,
}

/// All routes, in alphabetical order.
static ROUTES: &[Route] = &[
    account::MEMORY,
    account::STATUS,
    anthropic::COUNT_TOKENS,
    anthropic::MESSAGES,
    chat_completions::ROUTE,
    completions::ROUTE,
    embeddings::ROUTE,
    health::HEALTH,
    health::LIVEZ,
    health::READYZ,
    metrics::ROUTE,
    models::LIST,
    models::ONE,
    ollama::CHAT,
    ollama::GENERATE,
    ollama_embed::EMBED,
    ollama_embed::EMBEDDINGS,
    ollama_models::PS,
    ollama_models::SHOW,
    ollama_models::TAGS,
    ollama_models::VERSION,
    openapi::ROUTE,
    page::FILE,
    page::ROOT,
    rerank::PLAIN,
    rerank::ROUTE,
    responses::ROUTE,
    transcriptions::ROUTE,
    transcriptions::TRANSLATIONS,
    version::ROUTE,
];

/// Reads what a body asks for.
type Reads = fn(&App, &str) -> Result<Asked, Refusal>;

/// What may be asked without a socket, by its path, in alphabetical order.
static OFFLINE: &[(&str, Reads)] =
    &[("/v1/chat/completions", chat_completions::asked), ("/v1/completions", completions::asked)];

/// What a body asks for at a path, without a socket.
pub(crate) fn asked(app: &App, path: &str, body: &str) -> Result<Asked, Refusal> {
    let Some((_, asked)) = OFFLINE.iter().find(|(offline, _)| *offline == path) else {
        let paths: Vec<&str> = OFFLINE.iter().map(|(path, _)| *path).collect();
        let message = format!("a batch cannot ask at {path:?}, but at {}", paths.join(" and "));
        return Err(Refusal::new(StatusCode::NOT_FOUND, "unknown_url", message));
    };
    asked(app, body)
}

/// What a request gets.
pub(crate) async fn answer(app: &Rc<App>, request: Request<Arriving>) -> Reply {
    let path = request.uri().path();
    let dialect = Dialect::of(path);
    let here = |route: &&Route| match route.path.strip_suffix('/') {
        Some(folder) if !folder.is_empty() => {
            path.strip_prefix(route.path).is_some_and(|rest| !rest.is_empty())
        }
        _ => route.path == path,
    };
    // What HEAD asks for, GET gives; the body stays here.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let route = ROUTES.iter().filter(here).find(|route| route.method == method);
    let allowed: Vec<&str> = ROUTES.iter().filter(here).map(|route| route.method.as_str()).collect();
    let refusal = match route {
        Some(route) => match checked(app, route, request).await {
            Ok(reply) => return reply,
            Err(refusal) => refusal,
        },
        None if allowed.is_empty() => {
            Refusal::new(StatusCode::NOT_FOUND, "unknown_url", format!("there is nothing at {path}"))
        }
        None => {
            let message = format!("{path} takes {}, not {}", allowed.join(", "), request.method());
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        }
    };
    app.refused(refusal.code);
    let mut reply = refusal.reply(dialect);
    if let (StatusCode::METHOD_NOT_ALLOWED, Ok(allowed)) =
        (refusal.status, HeaderValue::from_str(&allowed.join(", ")))
    {
        reply.headers_mut().insert(ALLOW, allowed);
    }
    reply
}

async fn checked(app: &Rc<App>, route: &Route, request: Request<Arriving>) -> Result<Reply, Refusal> {
    app.guard.origin(request.headers())?;
    if !route.open {
        app.guard.key(request.headers())?;
    }
    (route.run)(Rc::clone(app), request).await
}
