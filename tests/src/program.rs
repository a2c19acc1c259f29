//! The program as a user runs it: built for release, in a process of its own, under a cap if wanted.
//!
//! Not a mock. The one design choice: the kernel measures, the test only compares.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use host::Rights;
use host::cgroup::{Cap, Limits, Report, evict};
use serde_json::Value;

use crate::root;

/// The built program.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    rights: Rights,
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
        Program { path: PATH.get_or_init(build).clone(), rights: Rights::default() }
    }

    /// A copy of it in `folder`, run with these rights; `None` if this machine does not let it be started so.
    ///
    /// # Panics
    /// If it cannot be copied.
    pub fn with_rights(&self, rights: Rights, folder: &Path) -> Option<Program> {
        let program = Program { path: published(&self.path, folder), rights };
        program
            .command(&["--version"])
            .output()
            .is_ok_and(|output| output.status.success())
            .then_some(program)
    }

    /// Bytes of its file.
    ///
    /// # Panics
    /// If it is gone.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).expect("the program is there").len()
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

    /// Starts it in the group of `cap`, with nobody to hear what it says.
    ///
    /// # Errors
    /// If it may not join the group.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(&self, args: &[&str], cap: &Cap) -> Result<Child, host::Error> {
        let mut command = self.command(args);
        cap.attach(&mut command)?;
        Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts"))
    }

    /// Starts it in the group of `cap` and reads what it says, line by line.
    ///
    /// # Errors
    /// If it may not join the group.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_heard(&self, args: &[&str], file: &Path, cap: &Cap) -> Result<Child, host::Error> {
        evict(file)?;
        evict(&self.path)?;
        let mut command = self.command(args);
        cap.attach(&mut command)?;
        Ok(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts"))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PINTPOT_")) {
                command.env_remove(name);
            }
        }
        // Nor do the settings of whoever runs the tests matter.
        for folder in ["XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
            command.env(folder, std::env::temp_dir().join("no-settings-of-pintpot"));
        }
        command.args(args).stdin(Stdio::null());
        self.rights.attach(&mut command).expect("a system where rights can be given up");
        command
    }
}

/// Copies `file` into `folder`, readable for every user, as is the folder; where the copy is.
///
/// # Panics
/// If that cannot be.
pub fn published(file: &Path, folder: &Path) -> PathBuf {
    let copy = folder.join(file.file_name().expect("a file has a name"));
    fs::copy(file, &copy).expect("a copy");
    for path in [folder, &copy] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("rights to give");
    }
    copy
}

fn answer(output: Output, report: Report) -> Answer {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Answer { code: output.status.code(), out: text(output.stdout), err: text(output.stderr), report }
}

/// Whether this system takes pages that it holds for cold from everybody, needed or not: Linux's DAMON with the action `pageout`. Then
/// pages that a program reads again say nothing of its limit.
pub fn drops_cold_pages() -> bool {
    let entries = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let says = |path: PathBuf, word: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == word);
    let is_on = |watch: &PathBuf| says(watch.join("state"), "on");
    let watches = entries(Path::new("/sys/kernel/mm/damon/admin/kdamonds")).into_iter().filter(is_on);
    let contexts = watches.flat_map(|watch| entries(&watch.join("contexts")));
    let mut schemes = contexts.flat_map(|context| entries(&context.join("schemes")));
    schemes.any(|scheme| says(scheme.join("action"), "pageout"))
}

/// Whether groups with a limit can be made here.
pub fn can_cap() -> bool {
    Cap::new(&Limits { memory: Some(1 << 30), ..Limits::default() }).is_ok()
}
