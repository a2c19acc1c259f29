//! The program as a user runs it: built for release, in a process of its own, under a cap if wanted.
//!
//! Not a mock. The one design choice: the kernel measures, the test only compares.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use host::cgroup::{Cap, Limits, Report, evict};
use serde_json::Value;

use crate::root;

/// The built program.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
}

/// What a run of the program left behind.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// What the kernel counted; empty without a cap.
    pub report: Report,
}

impl Answer {
    /// Standard output as JSON, `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or(Value::Null)
    }
}

impl Program {
    /// The program of `PINTPOT_PROGRAM`, or of this workspace, built for release if it is not up to date.
    ///
    /// # Panics
    /// If it does not build.
    pub fn built() -> Program {
        static PATH: OnceLock<PathBuf> = OnceLock::new();
        let build = || {
            if let Some(path) = std::env::var_os("PINTPOT_PROGRAM") {
                return PathBuf::from(path);
            }
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut command = Command::new(cargo);
            command.args(["build", "--quiet", "--release", "-p", "pintpot-cli"]).current_dir(root());
            assert!(command.status().is_ok_and(|status| status.success()), "the program does not build");
            let target =
                std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
            target.join("release/pintpot")
        };
        Program { path: PATH.get_or_init(build).clone() }
    }

    /// Runs it without a cap.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn run(&self, args: &[&str]) -> Answer {
        answer(self.command(args).output().expect("the program starts"), Report::default())
    }

    /// Runs it in a group of its own, with `file` and itself out of the page cache before.
    ///
    /// # Errors
    /// If there may be no such group here.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn run_capped(&self, args: &[&str], file: &Path, limits: &Limits) -> Result<Answer, host::Error> {
        evict(file)?;
        evict(&self.path)?;
        let cap = Cap::new(limits)?;
        let mut command = self.command(args);
        cap.attach(&mut command)?;
        let output = command.output().expect("the program starts");
        Ok(answer(output, cap.report()))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PINTPOT_")) {
                command.env_remove(name);
            }
        }
        // Nor do the settings of whoever runs the tests matter.
        command.env("XDG_CONFIG_HOME", root().join("target/no-settings"));
        command.args(args).stdin(Stdio::null());
        command
    }
}

fn answer(output: Output, report: Report) -> Answer {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Answer { code: output.status.code(), out: text(output.stdout), err: text(output.stderr), report }
}

/// Whether groups with a limit can be made here.
pub fn can_cap() -> bool {
    Cap::new(&Limits { memory: Some(1 << 30), ..Limits::default() }).is_ok()
}
