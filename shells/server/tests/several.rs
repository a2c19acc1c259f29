//! Several models behind one server: loaded when they are asked for, gone when another needs the room, the same answers always.
//!
//! What it is: real models, sockets and the account as witness. What it is not: the kernel as witness, which `serving` in the
//! tests of the whole has. The one design choice: the budget is so small that two models cannot be there at once.

mod kit;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kit::Running;
use pintpot::Engine;
use pintpot_server::Limits;
use pintpot_tests::{tall, tiny};
use serde_json::{Value, json};

const CONTEXT: u32 = 160;
const NAMES: [&str; 3] = ["llama-q4", "gemma3-q8_0", "qwen3moe-q4"];

struct Case {
    paths: Vec<PathBuf>,
    /// The least that each runs in, and the most that it uses.
    bounds: Vec<(u64, u64)>,
    _folder: tempfile::TempDir,
}

fn case() -> Case {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::builder().memory("1GiB".parse().unwrap()).threads(Some(2)).build().unwrap();
    let options = kit::several(CONTEXT, &Limits::new(Some(CONTEXT)));
    let made = NAMES.map(|name| {
        let (short, path) = (tiny(&format!("{name}.gguf")).0, folder.path().join(format!("{name}.gguf")));
        tall(&short, 160, &path);
        let opened = engine.open(&path).unwrap();
        let least = engine.plan_in(&opened, &options, 0).unwrap().unwrap_err().needed;
        let most = engine.plan(&opened, &options).unwrap().unwrap().peak();
        (path, (least, most))
    });
    let (paths, bounds) = made.into_iter().unzip();
    Case { paths, bounds, _folder: folder }
}

fn ask(model: usize, n: usize) -> Value {
    json!({
        "model": NAMES[model], "max_tokens": 4 + n % 3 * 8, "temperature": n % 2, "seed": n, "ignore_eos": true,
        "messages": [{ "role": "user", "content": format!("hello {n} world ").repeat(1 + n % 4) }],
    })
}

fn digest(server: &Running, model: usize, n: usize) -> Value {
    let reply = server.post("/v1/chat/completions", &ask(model, n));
    assert_eq!(reply.status, 200, "{} {n}: {reply:?}", NAMES[model]);
    let json = reply.json();
    assert_eq!(json["model"], NAMES[model]);
    json["choices"][0]["logits_digest"].clone()
}

fn status(server: &Running) -> Value {
    let status = server.get("/v1/pintpot/status").json();
    let bytes = |name: &str| status[name].as_u64().unwrap_or(u64::MAX);
    assert!(bytes("held_bytes") <= bytes("budget_bytes"), "{status}");
    status
}

fn loaded(server: &Running) -> Vec<bool> {
    let status = status(server);
    status["models"].as_array().unwrap().iter().map(|model| model["loaded"] == true).collect()
}

fn until(server: &Running, want: &[bool]) {
    let begin = Instant::now();
    while loaded(server) != want {
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", status(server));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn models_take_turns_in_one_budget_and_answer_as_alone() {
    let Case { paths, bounds, _folder } = case();
    let alone: Vec<Vec<Value>> = (0..3)
        .map(|model| {
            let server = Running::share(&paths[model..=model], CONTEXT, 1 << 30, None);
            (0..6).map(|n| digest(&server, model, n)).collect()
        })
        .collect();
    let least = bounds.iter().map(|bound| bound.0).max().unwrap();
    let most: u64 = bounds.iter().map(|bound| bound.1).sum();
    for budget in [least, least + (4 << 20), most + (16 << 20)] {
        let server = Running::share(&paths, CONTEXT, budget, None);
        let list = server.get("/v1/models").json();
        let names: Vec<&str> =
            list["data"].as_array().unwrap().iter().filter_map(|m| m["id"].as_str()).collect();
        assert_eq!((names, &list["data"][0]["loaded"]), (NAMES.to_vec(), &json!(true)));
        std::thread::scope(|scope| {
            let crowd = (0..6).map(|n| {
                let (server, alone) = (&server, &alone);
                scope.spawn(move || {
                    for turn in 0..3 {
                        let model = (n + turn) % 3;
                        assert_eq!(
                            digest(server, model, n),
                            alone[model][n],
                            "{} {n} in {budget}",
                            NAMES[model]
                        );
                        status(server);
                    }
                })
            });
            crowd.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        });
        let here = loaded(&server);
        match budget {
            b if b == least => assert_ne!(here, [true; 3], "there is no room for all in {budget}"),
            b if b > most => assert_eq!(here, [true; 3], "nobody had to go in {budget}"),
            _ => {}
        }
        let text = server.get("/metrics").body;
        for name in NAMES {
            let line = format!("pintpot_generation_tokens_total{{model_name=\"{name}\"}} ");
            let count: f64 = text.lines().find_map(|l| l.strip_prefix(&line)).unwrap().parse().unwrap();
            assert!(count > 50.0, "{name}: {count}");
        }
    }
}

#[test]
fn models_stay_as_long_as_they_are_told_to() {
    let Case { paths, bounds, _folder } = case();
    let budget = bounds.iter().map(|bound| bound.1).sum::<u64>() + (16 << 20);
    let server = Running::share(&paths, CONTEXT, budget, Some(Duration::from_millis(900)));
    assert_eq!(loaded(&server), [true, false, false]);
    until(&server, &[false, false, false]);
    let before = digest(&server, 1, 3);
    until(&server, &[false, false, false]);
    assert_eq!(digest(&server, 1, 3), before, "loaded anew");
    // A request says how long its model stays, and another that it goes.
    let chat = |keep: Value| {
        let messages = ask(2, 1)["messages"].clone();
        let body = json!({ "model": NAMES[2], "stream": false, "keep_alive": keep, "messages": messages });
        server.post("/api/chat", &body)
    };
    assert_eq!(chat(json!("10m")).status, 200);
    until(&server, &[false, false, true]);
    std::thread::sleep(Duration::from_millis(1100));
    let ps = server.get("/api/ps").json();
    let models = ps["models"].as_array().unwrap();
    assert_eq!((models.len(), &models[0]["name"]), (1, &json!(NAMES[2])), "{ps}");
    assert!(models[0]["size"].as_u64() > Some(1 << 20) && models[0]["expires_at"].is_string(), "{ps}");
    assert_eq!(chat(json!(0)).status, 200);
    until(&server, &[false, false, false]);
    assert_eq!(chat(json!("soon")).status, 400);

    let load = server.post("/api/generate", &json!({ "model": NAMES[0], "keep_alive": -1 })).json();
    assert_eq!(load["done_reason"], "load", "{load}");
    assert_eq!(loaded(&server), [true, false, false]);
    let unload =
        server.post("/api/chat", &json!({ "model": NAMES[0], "messages": [], "keep_alive": 0 })).json();
    assert_eq!(unload["done_reason"], "unload", "{unload}");
    assert_eq!(loaded(&server), [false, false, false]);
}

#[test]
fn the_budget_of_all_changes_and_others_give_way() {
    let Case { paths, bounds, _folder } = case();
    let budget = bounds.iter().map(|bound| bound.1).sum::<u64>() + (16 << 20);
    let server = Running::share(&paths, CONTEXT, budget, None);
    let alone: Vec<Value> = (0..3).map(|model| digest(&server, model, 2)).collect();
    assert_eq!(loaded(&server), [true; 3]);
    let set = |memory: u64| server.post("/v1/pintpot/memory", &json!({ "memory": memory }));
    let least = status(&server)["smallest_budget_bytes"].as_u64().unwrap();
    let refused = set(least - 1);
    assert_eq!((refused.status, &refused.json()["error"]["smallest_budget_bytes"]), (400, &json!(least)));
    assert_eq!(loaded(&server), [true; 3], "nobody gave way in vain");
    let small = bounds.iter().map(|bound| bound.0).max().unwrap();
    std::thread::scope(|scope| {
        let talkers: Vec<_> = (0..3)
            .map(|model| {
                scope.spawn({
                    let server = &server;
                    move || (0..8).map(|_| digest(server, model, 2)).collect::<Vec<_>>()
                })
            })
            .collect();
        for n in 0..10 {
            // Those who are being answered may hold more than a plan for one.
            assert!(matches!(set(if n % 2 == 0 { small + (1 << 20) } else { budget }).status, 200 | 400));
            status(&server);
        }
        for (talker, alone) in talkers.into_iter().zip(&alone) {
            assert!(talker.join().unwrap().iter().all(|digest| digest == alone));
        }
    });
    assert_eq!(set(small).status, 200);
    (0..3).for_each(|model| assert_eq!(digest(&server, model, 2), alone[model]));
}

#[test]
fn a_file_that_is_cut_off_fails_its_model_alone_and_until_it_is_whole() {
    let Case { paths, bounds, _folder } = case();
    let server =
        Running::share(&paths[..2], CONTEXT, bounds[0].1 + bounds[1].1, Some(Duration::from_millis(300)));
    let (whole, beside) = (digest(&server, 0, 0), digest(&server, 1, 0));
    until(&server, &[false; 2]);
    let cut = std::fs::File::options().write(true).open(&paths[0]).unwrap();
    cut.set_len(cut.metadata().unwrap().len() / 2).unwrap();
    for n in 1..4 {
        let reply = server.post("/v1/chat/completions", &ask(0, n));
        assert!((500..600).contains(&reply.status), "{reply:?}");
        assert!(reply.json()["error"]["message"].is_string(), "{reply:?}");
        assert_eq!(server.get("/health").status, 200);
        assert_eq!(digest(&server, 1, 0), beside);
    }
    tall(&tiny(&format!("{}.gguf", NAMES[0])).0, 160, &paths[0]);
    assert_eq!(digest(&server, 0, 0), whole);
}

#[test]
fn who_waits_for_another_model_has_his_place_in_the_queue() {
    let Case { paths, bounds, _folder } = case();
    let server = Running::share(&paths[..2], CONTEXT, bounds[0].0.max(bounds[1].0), None);
    let wait = |model: usize| {
        let mut body = ask(model, 2);
        body["max_tokens"] = 120.into();
        body["n"] = 4.into();
        server.post("/v1/chat/completions", &body).status
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..12).map(|n| scope.spawn(move || wait(n % 2))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(status(&server)["requests"]["waiting"], 0);
    digest(&server, 0, 1);
    digest(&server, 1, 1);
}
