//! Chat templates against jinja2 as transformers sets it up; the answers were written by golden/chat.py.

use pintpot_processors::Error;
use pintpot_processors::text::{ChatTemplate, Message, RenderOptions};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Bounds of memory hold here too, and are wide enough for every template.
#[global_allocator]
static HEAP: host::CountingAlloc = host::CountingAlloc;

#[derive(Deserialize)]
struct Template {
    name: String,
    source: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    messages: Vec<Map<String, Value>>,
    add_generation_prompt: bool,
    variables: Map<String, Value>,
    text: Option<String>,
    error: Option<String>,
}

#[test]
fn templates_render_as_in_python() {
    let templates: Vec<Template> = serde_json::from_slice(include_bytes!("golden/chat.json")).unwrap();
    let mut wrong = 0;
    for template in &templates {
        let made = ChatTemplate::new(&template.source, "<s>", "</s>");
        for case in &template.cases {
            let messages: Vec<Message> = case
                .messages
                .iter()
                .map(|m| Message {
                    json: m.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
                    ..Default::default()
                })
                .collect();
            let options = RenderOptions {
                add_generation_prompt: case.add_generation_prompt,
                variables: case.variables.clone(),
                ..Default::default()
            };
            let got = made.render(&messages, &options);
            let right = match (&got, &case.text, &case.error) {
                (Ok(got), Some(want), _) => got == want,
                (Err(Error::Template { reason, .. }), _, Some(want)) => reason == want,
                _ => false,
            };
            if !right {
                wrong += 1;
                println!("{}: got\n{got:?}\nwant\n{:?} {:?}", template.name, case.text, case.error);
            }
        }
    }
    assert_eq!(wrong, 0);
}
