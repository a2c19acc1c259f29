//! `POST /v1/rerank`: texts in the order in which they answer a query, in the words of Jina, Cohere and llama-server.
//!
//! Not the scores' making. The one design choice: a score is the classifier's own number, as llama-server has it.

use std::rc::Rc;

use hyper::{Method, StatusCode};
use pintpot::tasks::TextAsked;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::Route;
use crate::app::App;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::request::{self, Fields, Taken, harmless, value};

/// Texts of a request.
const TEXTS: usize = 2048;

pub(super) const ROUTE: Route = Route { path: "/v1/rerank", ..PLAIN };

pub(super) const PLAIN: Route = Route {
    method: Method::POST,
    path: "/rerank",
    says: "texts by how well they answer a query",
    body: "model:string query:string! documents:array! top_n:integer return_documents:boolean user:string",
    open: false,
    run: |app, request| {
        Box::pin(async move {
            let (asked, permit) = request::take(&app, request, Asked::default()).await?;
            let reply = answer(&app, asked).await;
            drop(permit);
            reply
        })
    },
};

async fn answer(app: &Rc<App>, asked: Asked) -> Result<Reply, Refusal> {
    let Asked { model, query, documents, top, quotes } = asked;
    let missing = |name: &str| Refusal::field(name, "missing_field", format!("the field {name} is missing"));
    let query = query.filter(|query| !query.is_empty()).ok_or_else(|| missing("query"))?;
    let texts = documents.ok_or_else(|| missing("documents"))?.0;
    let encoder = &app.encoders[app.encoder(model.as_deref(), true)?];
    let kept = if quotes { texts.clone() } else { Vec::new() };
    let quoted = kept.iter().map(String::len).sum();
    let count = texts.len();
    let (said, permit) = encoder.ask(TextAsked::Scores { query, texts }, count, quoted).await?;
    let mut order: Vec<usize> = (0..said.numbers.len()).collect();
    order.sort_by(|a, b| said.numbers[*b].total_cmp(&said.numbers[*a]).then(a.cmp(b)));
    order.truncate(top.map_or(usize::MAX, |top| usize::try_from(top).unwrap_or(usize::MAX)));
    let result = |index: usize| -> Value {
        let mut result = json!({ "index": index, "relevance_score": said.numbers[index] });
        if let Some(text) = kept.get(index) {
            result["document"] = json!({ "text": text });
        }
        result
    };
    let results: Vec<Value> = order.into_iter().map(result).collect();
    let usage = json!({ "prompt_tokens": said.tokens, "total_tokens": said.tokens });
    let value = json!({ "object": "list", "model": encoder.facts.name, "results": results, "usage": usage });
    let mut reply = reply::json(StatusCode::OK, &value);
    reply.body_mut().holds = Some(permit);
    Ok(reply)
}

/// What may be asked.
#[derive(Default)]
struct Asked {
    model: Option<String>,
    query: Option<String>,
    documents: Option<Documents>,
    top: Option<u64>,
    quotes: bool,
}

impl Fields for Asked {
    fn most(limits: &Limits) -> u64 {
        limits.texts.max(limits.body)
    }

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<Taken, A::Error> {
        match key {
            "documents" => self.documents = value(map)?,
            "model" => self.model = value(map)?,
            "query" => self.query = value(map)?,
            "return_documents" => self.quotes = value(map)?.unwrap_or(false),
            "top_n" => self.top = value(map)?,
            "user" => return harmless(map),
            _ => return Ok(Taken::Unknown),
        }
        Ok(Taken::Yes)
    }

    fn warn(&mut self, _warning: String) {}
}

/// Texts, plain or as objects.
struct Documents(Vec<String>);

impl<'de> Deserialize<'de> for Documents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Documents, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Document {
            Plain(String),
            Object { text: String },
        }
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Documents;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Documents, A::Error> {
                let mut texts = Vec::new();
                while let Some(item) = items.next_element()? {
                    texts.push(match item {
                        Document::Plain(text) | Document::Object { text } => text,
                    });
                    if texts.len() > TEXTS {
                        return Err(A::Error::custom(format!("more than {TEXTS} texts")));
                    }
                }
                if texts.is_empty() {
                    Err(A::Error::custom("there is no text"))
                } else {
                    Ok(Documents(texts))
                }
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_texts_or_objects() {
        let read = |body: &str| Some(request::parse(body.as_bytes(), Asked::default()).ok()?.documents?.0);
        let want = Some(vec!["a".to_string(), "b".to_string()]);
        assert_eq!(read(r#"{"query":"q","documents":["a",{"text":"b"}],"top_n":1}"#), want);
        for body in
            [r#"{"documents":[]}"#, r#"{"documents":"a"}"#, r#"{"documents":[1]}"#, r#"{"texts":["a"]}"#]
        {
            assert_eq!(read(body), None, "{body}");
        }
        let body = r#"{"query":"q","documents":["a",{"text":"b"}],"return_documents":true}"#;
        request::testing::damage(body, |bytes| drop(request::parse(bytes, Asked::default())));
    }
}
