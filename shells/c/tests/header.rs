//! The header is what the source says: made anew and compared.
//!
//! What it is: the check, and with `PINTPOT_BLESS` set the making. What it is not: a test that it works; the example is.

use std::path::Path;

#[test]
fn the_header_is_current() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let mut made = Vec::new();
    let sources = cbindgen::Builder::new().with_config(config).with_src(here.join("src/lib.rs"));
    sources.generate().unwrap().write(&mut made);
    let (made, path) = (String::from_utf8(made).unwrap(), here.join("include/pintpot.h"));
    if std::env::var_os("PINTPOT_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "include/pintpot.h is out of date: PINTPOT_BLESS=1 cargo test -p pintpot-c --test header"
    );
}
