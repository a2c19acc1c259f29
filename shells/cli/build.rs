//! How the program is linked, which is about its size: the start of a process has all of its file in memory. A release ends at a
//! panic, so tables that tell how to unwind the stack, one part in fifteen of the file, are left out. Relocations are packed, one
//! part in twenty-three, where the C library that will load it is new enough to unpack them.

use std::process::Command;

/// The first release of the GNU C library that unpacks relocations (`DT_RELR`).
const UNPACKS: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=no-unwinding.ld");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{folder}/no-unwinding.ld");
        if std::env::var("HOST") == std::env::var("TARGET") && library().is_some_and(|found| found >= UNPACKS)
        {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// The GNU C library of this machine: "glibc 2.36".
fn library() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let (major, minor) =
        std::str::from_utf8(&said.stdout).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
