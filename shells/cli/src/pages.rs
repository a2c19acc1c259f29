//! Man pages and completions of shells, from the lists of verbs and flags; made in a test, so the program does not hold them.
//!
//! What it is: the same facts as the help, as three shells and `man` want them. What it is not: a part of the program. The one
//! design choice: what is made is kept in `packaging/` and compared, so that whoever packages it needs no build.

use std::fmt::Write;
use std::path::Path;

use crate::flags::Flag;
use crate::verbs::{VERBS, Verb};

/// Exit codes and files, which all pages end with.
const CODES: &str = ".SH EXIT STATUS\n0 done, 1 failure, 2 usage, 3 refused by the budget, 4 model missing or unsupported, \
5 damaged or unreadable file, 6 network, 130 interrupted.\n.SH FILES\n.I $XDG_CONFIG_HOME/pintpot/config.toml\nholds settings, a \
flag a line: top\\-k = 5.\n";

/// Text as roff takes it.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn head(name: &str, summary: &str) -> String {
    let title = name.to_uppercase();
    format!(
        ".\\\" Made from the lists of verbs and flags; do not edit.\n.TH \"{}\" 1 \"\" \"pintpot {}\" \"pintpot\"\n.SH NAME\n{} \\- {}\n",
        roff(&title),
        env!("CARGO_PKG_VERSION"),
        roff(name),
        roff(summary)
    )
}

fn page_of_program() -> String {
    let mut page = head("pintpot", "runs neural networks in the memory you give it");
    page += ".SH SYNOPSIS\n.B pintpot\n.I VERB\n\\&...\n.SH VERBS\n";
    for verb in VERBS {
        let _ = write!(page, ".TP\n.B {}\n{}.\n", roff(verb.name), roff(verb.summary));
    }
    page + CODES + ".SH SEE ALSO\n.BR pintpot\\-run (1),\n.BR pintpot\\-plan (1)\n"
}

fn page_of(verb: &Verb) -> String {
    let mut page = head(&format!("pintpot-{}", verb.name.replace(' ', "-")), verb.summary);
    let _ = write!(page, ".SH SYNOPSIS\n.B pintpot {}\n", roff(verb.name));
    for operand in verb.operands {
        let _ = writeln!(page, ".I {}", roff(operand));
    }
    page += "[flags]\n.SH OPTIONS\nEach has a twin in the environment, \\-\\-top\\-k is PINTPOT_TOP_K.\n";
    for flag in verb.flags() {
        let short = flag.short.map_or(String::new(), |letter| format!("\\-{letter}, "));
        let value = if flag.value.is_empty() { String::new() } else { format!(" \\fI{}\\fR", flag.value) };
        let (name, help) = (roff(flag.name), roff(flag.help));
        let _ = write!(page, ".TP\n\\fB{short}\\-\\-{name}\\fR{value}\n{help}.\n");
    }
    page + CODES + ".SH SEE ALSO\n.BR pintpot (1)\n"
}

/// The first words of all verbs, each once.
fn words() -> Vec<&'static str> {
    let mut words: Vec<&str> = VERBS.iter().filter_map(|verb| verb.name.split(' ').next()).collect();
    words.dedup();
    words
}

/// Whether a file is likely to stand after the flag.
fn takes_file(flag: &Flag) -> bool {
    matches!(flag.value, "FILE" | "MODEL" | "PATH" | "SIZE")
}

fn bash() -> String {
    let mut text = String::from("# Made from the lists of verbs and flags; do not edit.\n_pintpot() {\n");
    text += "    local word=\"${COMP_WORDS[COMP_CWORD]}\" verb=\"${COMP_WORDS[1]}\" flags=\n";
    let _ = write!(
        text,
        "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W \"{}\" -- \"$word\"))\n        return\n    fi\n",
        words().join(" ")
    );
    text += "    case \"$verb ${COMP_WORDS[2]}\" in\n";
    // Verbs of two words are met before those that they begin with.
    let by_length = VERBS.iter().filter(|verb| verb.name.contains(' '));
    for verb in by_length.chain(VERBS.iter().filter(|verb| !verb.name.contains(' '))) {
        let flags: Vec<String> = verb.flags().map(|flag| format!("--{}", flag.name)).collect();
        let pattern =
            if verb.name.contains(' ') { format!("'{}'", verb.name) } else { format!("'{} '*", verb.name) };
        let _ = writeln!(text, "        {pattern}) flags=\"{} --help\" ;;", flags.join(" "));
    }
    text +=
        "    esac\n    case \"$word\" in\n        -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n";
    text += "        *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n    esac\n}\ncomplete -o filenames -F _pintpot pintpot\n";
    text
}

fn fish() -> String {
    let mut text = String::from("# Made from the lists of verbs and flags; do not edit.\n");
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    for word in words() {
        let verb = VERBS.iter().find(|verb| verb.name == word);
        let summary = quoted(verb.map_or("", |verb| verb.summary));
        let _ = writeln!(text, "complete -c pintpot -f -n __fish_use_subcommand -a {word} -d {summary}");
    }
    for verb in VERBS {
        let words: Vec<&str> = verb.name.split(' ').collect();
        let seen: Vec<String> =
            words.iter().map(|word| format!("__fish_seen_subcommand_from {word}")).collect();
        for flag in verb.flags() {
            let short = flag.short.map_or(String::new(), |letter| format!(" -s {letter}"));
            let value = match (flag.value, takes_file(flag)) {
                ("", _) => "",
                (_, true) => " -r -F",
                (_, false) => " -x",
            };
            let (name, help, when) = (flag.name, quoted(flag.help), quoted(&seen.join("; and ")));
            let _ = writeln!(text, "complete -c pintpot -n {when} -l {name}{short}{value} -d {help}");
        }
    }
    text
}

fn zsh() -> String {
    let mut text = String::from(
        "#compdef pintpot\n# Made from the lists of verbs and flags; do not edit.\n_pintpot() {\n",
    );
    let quoted =
        |text: &str| text.replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:");
    text += "    local -a verbs\n    verbs=(\n";
    for word in words() {
        let verb = VERBS.iter().find(|verb| verb.name == word);
        let _ = writeln!(text, "        '{word}:{}'", quoted(verb.map_or("", |verb| verb.summary)));
    }
    text +=
        "    )\n    if (( CURRENT == 2 )); then\n        _describe 'verb' verbs\n        return\n    fi\n";
    text += "    case \"${words[2]} ${words[3]}\" in\n";
    let two = VERBS.iter().filter(|verb| verb.name.contains(' '));
    for verb in two.chain(VERBS.iter().filter(|verb| !verb.name.contains(' '))) {
        let pattern =
            if verb.name.contains(' ') { format!("'{}'", verb.name) } else { format!("'{} '*", verb.name) };
        let _ = writeln!(text, "        {pattern})\n            _arguments \\");
        for flag in verb.flags() {
            let value = match (flag.value, takes_file(flag)) {
                ("", _) => String::new(),
                (value, true) => format!(":{value}:_files"),
                (value, false) => format!(":{value}:"),
            };
            let help = quoted(flag.help);
            let _ = writeln!(text, "                '*--{}[{help}]{value}' \\", flag.name);
            if let Some(letter) = flag.short {
                let _ = writeln!(text, "                '*-{letter}[{help}]{value}' \\");
            }
        }
        text += "                '*:file:_files'\n            ;;\n";
    }
    text + "    esac\n}\n_pintpot \"$@\"\n"
}

#[test]
fn pages_and_completions_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let mut made = vec![
        ("man/pintpot.1".to_string(), page_of_program()),
        ("completions/pintpot.bash".to_string(), bash()),
        ("completions/pintpot.fish".to_string(), fish()),
        ("completions/_pintpot".to_string(), zsh()),
    ];
    for verb in VERBS {
        made.push((format!("man/pintpot-{}.1", verb.name.replace(' ', "-")), page_of(verb)));
    }
    let mut stale = Vec::new();
    for (name, text) in &made {
        let path = folder.join(name);
        if std::env::var_os("PINTPOT_BLESS").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != *text {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "out of date: {stale:?}\n  PINTPOT_BLESS=1 cargo test -p pintpot-cli pages");
    let pages = std::fs::read_dir(folder.join("man")).unwrap().count();
    assert_eq!(pages, VERBS.len() + 1, "packaging/man has a page of a verb that is gone");
}
