//! Templates that were made to hurt: each ends soon, in an error, without the memory that it asks for.
//!
//! Not a test of what templates may do. The one design choice: a program of its own, so that the counted heap is the
//! template's.

use std::time::{Duration, Instant};

use pintpot_processors::text::{ChatTemplate, Message, RenderOptions};

#[global_allocator]
static HEAP: host::CountingAlloc = host::CountingAlloc;

/// The most heap that any template may take: the longest source has most.
const MOST: u64 = 4 << 20;
/// What no template needs longer, in a build for tests on a busy machine.
const SOON: Duration = Duration::from_secs(8);

const TWICE: &str = "{% set ns = namespace(s='ab', l=['ab']) %}{% for i in range(60) %}BODY{% endfor %}";

fn bombs() -> Vec<String> {
    let doubled = |body: &str, end: &str| TWICE.replace("BODY", body) + end;
    let mut bombs: Vec<String> = [
        ("{% set ns.s = ns.s ~ ns.s %}", ""),
        ("{% set ns.s = ns.s + ns.s %}", ""),
        ("{% set ns.s = ns.s * 1000 %}", ""),
        ("{% set ns.s = ns.s.replace('a', 'aaaa') %}", ""),
        ("{% set ns.s = ns.s | replace('b', 'bbbb') %}", ""),
        ("{% set ns.s = [ns.s, ns.s, ns.s] | join(ns.s) %}", ""),
        ("{% set ns.s = ns.s.join([ns.s, ns.s, ns.s]) %}", ""),
        ("{% set ns.s = ns.s | indent(1000000) %}", ""),
        ("{% set x %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = x %}", ""),
        ("{% set ns.l = ns.l + ns.l %}", "{{ ns.l | length }}{{ ns.l | list }}"),
        ("{% set ns.l = ns.l + ns.l %}", "{{ 'x' in ns.l }}"),
        ("{% set ns.l = ns.l * 1000 %}", "{{ ns.l | list | length }}"),
        ("{% set ns.l = [ns.l, ns.l] %}", "{{ ns.l }}"),
        ("{% set ns.l = [ns.l, ns.l] %}", "{{ ns.l | tojson }}"),
        ("{% set ns.l = [ns.l, ns.l] %}", "{{ ns.l ~ 'x' }}"),
        ("{% set ns.l = [ns.l, ns.l] %}", "{{ ns.l | string | length }}"),
    ]
    .map(|(body, end)| doubled(body, end))
    .into();
    bombs.extend(
        [
            "{% for x in range(10**9) %}{% endfor %}",
            "{% for x in range(99999) %}{% for y in range(99999) %}{{ x * y }}{% endfor %}{% endfor %}",
            "{% macro f(s) %}{{ f(s ~ s) }}{{ f(s ~ s) }}{% endmacro %}{{ f('ab') }}",
            "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
            "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}",
            "{% set ns = namespace(l=[]) %}{% for i in range(2500) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
            "{% set ns = namespace(l=[]) %}{% for i in range(2500) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l | tojson }}",
            "{% set ns = namespace(l=[]) %}{% for i in range(2500) %}{% set ns.l = {'a': ns.l} %}{% endfor %}{{ ns.l == ns }}",
            "{{ 'x' * 99999999 }}",
            "{{ '%100000000d' | format(7) }}",
            "{{ messages | tojson(indent=64) * 99999 }}",
            "{{ range(99999) | list | map('string') | join('x' * 9999) }}",
            "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = ns.l + ['x' * 99] %}{% endfor %}\
             {{ ns.l | length }}",
        ]
        .map(str::to_string),
    );
    // Sources that are a burden before they run.
    bombs.push("{{ ".to_string() + &"(".repeat(50_000) + "1" + &")".repeat(50_000) + " }}");
    bombs.push("{{ ".to_string() + &"-".repeat(100_000) + "1 }}");
    bombs.push("{{ ".to_string() + &"not ".repeat(30_000) + "1 }}");
    bombs.push("{% if x %}".repeat(10_000));
    bombs.push("{{ a".to_string() + &".a".repeat(50_000) + " }}");
    bombs.push("{{ a".to_string() + &"|a".repeat(50_000) + " }}");
    bombs.push("{{ 1".to_string() + &" + 1".repeat(30_000) + " }}");
    bombs.push("{{ 2".to_string() + &" ** 2".repeat(25_000) + " }}");
    bombs.push("{{ 1".to_string() + &" if 1 else 1".repeat(9_000) + " }}");
    bombs.push("{{ ".to_string() + &"[".repeat(60_000) + " }}");
    bombs.push("{% if a %}".to_string() + &"{% elif a %}".repeat(900) + "{% endif %}");
    bombs.push("{{ ".to_string() + &"-".repeat(900) + "1 }}");
    bombs.push("{{ 1".to_string() + &" + 1".repeat(490) + " }}");
    bombs.push("{{ a".to_string() + &".a".repeat(490) + " }}");
    bombs
        .push("{% macro f(n) %}{% if n %}".to_string() + &"{% for x in [1] %}".repeat(60) + "{{ f(n - 1) }}");
    bombs.push("x".repeat(1 << 20));
    bombs.push("{{ 'x' }}".repeat(14_000));
    bombs
}

#[test]
fn none_goes_off() {
    let messages = [Message::new("user", "Hello"), Message::new("assistant", "Hi")];
    let mut wrong = Vec::new();
    for source in bombs() {
        let name: String = source.chars().take(150).collect();
        let (begin, before) = (Instant::now(), host::heap_in_use());
        let result = ChatTemplate::new(&source, "", "").render(&messages, &RenderOptions::default());
        let took = begin.elapsed();
        let held = host::heap_peak().saturating_sub(before);
        let said = match &result {
            Ok(text) => format!("{} bytes", text.len()),
            Err(error) => error.to_string().chars().take(120).collect(),
        };
        println!("{:6.2} s {:7} {name}: {said}", took.as_secs_f64(), held);
        if took > SOON {
            wrong.push(format!("{name}: {took:?}"));
        }
        if held > MOST {
            wrong.push(format!("{name}: {held} bytes"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
