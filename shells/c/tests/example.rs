//! The example in C: compiled by the system's compiler, against both libraries, and run.
//!
//! What it is: a test from outside, by C. What it is not: a test of the engine. The one design choice: the library is that of the
//! profile that the test was built with, so nothing large is built twice.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const FLAGS: [&str; 5] = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"];
/// What the static library needs of the system.
const SYSTEM: [&str; 5] = ["-lpthread", "-ldl", "-lm", "-lc", "-lgcc_s"];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tiny() -> String {
    here().join("../../tests/golden/tiny/llama-q4.gguf").to_str().unwrap().to_string()
}

/// Where the libraries are, once they are built: beside the folder of this test.
fn libraries() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().unwrap().parent().unwrap().to_path_buf();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let profile = if name == "debug" { "dev" } else { name };
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "--lib", "-p", "pintpot-c", "--profile", profile]);
        cargo.args(["--target-dir".as_ref(), folder.parent().unwrap().as_os_str()]);
        assert!(cargo.current_dir(here()).status().unwrap().success(), "the library does not build");
        folder
    })
}

/// Compiles C, and gives the program; `None` if there is no compiler.
fn compiled(source: &Path, is_static: bool, folder: &Path) -> Option<PathBuf> {
    let program = folder.join(if is_static { "static" } else { "shared" });
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(FLAGS).arg("-I").arg(here().join("include")).arg(source).arg("-o").arg(&program);
    let library = libraries();
    match is_static {
        true => cc.arg(library.join("libpintpot.a")).args(SYSTEM),
        false => cc.arg("-L").arg(library).arg("-lpintpot").arg(format!("-Wl,-rpath,{}", library.display())),
    };
    let output = match cc.output() {
        Err(_) if std::env::var_os("PINTPOT_TEST_STRICT").is_none() => {
            eprintln!("skipped: there is no compiler for C");
            return None;
        }
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{}", text(&output));
    Some(program)
}

fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

#[test]
fn the_example_compiles_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let source = here().join("examples/chat.c");
    let mut answers = Vec::new();
    for is_static in [false, true] {
        let Some(program) = compiled(&source, is_static, folder.path()) else { return };
        let run = |words: &[&str]| Command::new(&program).args(words).output().unwrap();
        let output = run(&[&tiny(), "256MiB", "Who \"are\" you?"]);
        let said = text(&output);
        assert!(output.status.success() && said.contains("logits_digest"), "{said}");
        assert!(said.contains("\"fits\":true") && said.contains("\"ledger\""), "{said}");
        answers.push(output.stdout);
        for (words, code, said) in [
            (&["nowhere.gguf", "256MiB", "?"], 4, "no plan: "),
            (&[tiny().as_str(), "3MiB", "?"], 3, "cannot run in this budget"),
            (&[tiny().as_str(), "a lot", "?"], 2, "no engine: "),
        ] {
            let output = run(words);
            assert!(output.status.code() == Some(code) && text(&output).contains(said), "{}", text(&output));
        }
    }
    assert!(answers[0] == answers[1] && !answers[0].is_empty());
}

/// Calls as no one should make them.
const WRONG: &str = r#"
#include <stdint.h>
#include <string.h>
#include "pintpot.h"
static int stop(const char *piece, void *data) { (void)piece; ++*(int *)data; return 1; }
#define IS(call, want) do { if ((call) != (want)) return __LINE__; } while (0)
int main(int count, char **words) {
    if (count != 2) return 1;
    PintpotEngine *engine; PintpotModel *model; char *text = 0; int heard = 0;
    IS(pintpot_engine_new("1GiB", 1, 0), PINTPOT_CODE_USAGE);
    IS(strstr(pintpot_error(), "engine is null") != 0, 1);
    IS(pintpot_engine_new("\xff", 1, &engine), PINTPOT_CODE_USAGE);
    IS(pintpot_engine_new("1GiB", 1, &engine), PINTPOT_CODE_OK);
    IS(pintpot_host_bytes(engine) > 0, 1);
    IS(pintpot_load(engine, 0, 0, &model), PINTPOT_CODE_USAGE);
    IS(pintpot_load(0, words[1], 0, &model), PINTPOT_CODE_USAGE);
    PintpotLoadOptions load = pintpot_load_options();
    load.kv = "q3";
    IS(pintpot_load(engine, words[1], &load, &model), PINTPOT_CODE_USAGE);
    IS(pintpot_load(engine, words[1], 0, &model), PINTPOT_CODE_OK);
    pintpot_engine_free(engine);
    IS(pintpot_model_context(model) > 0, 1);
    IS(pintpot_generate(model, "", 0, 0, 0, 0), PINTPOT_CODE_USAGE);
    IS(pintpot_chat(model, "{}", 0, 0, 0, 0), PINTPOT_CODE_USAGE);
    PintpotOptions options = pintpot_options();
    options.top_p = -1;
    IS(pintpot_generate(model, "a", &options, 0, 0, 0), PINTPOT_CODE_USAGE);
    IS(pintpot_generate(model, "a", 0, stop, &heard, &text), PINTPOT_CODE_OK);
    IS(heard, 1);
    IS(strstr(text, "\"finish\":\"cancelled\"") != 0, 1);
    pintpot_text_free(text);
    pintpot_text_free(0);
    pintpot_model_free(model);
    pintpot_model_free(0);
    pintpot_engine_free(0);
    return 0;
}
"#;

#[test]
fn what_makes_no_sense_is_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("wrong.c");
    std::fs::write(&source, WRONG).unwrap();
    let Some(program) = compiled(&source, false, folder.path()) else { return };
    let output = Command::new(&program).arg(tiny()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "the line of wrong.c: {}", text(&output));
}
