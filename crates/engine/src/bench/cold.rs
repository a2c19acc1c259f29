//! A program in a process of its own, cold, under a limit that the kernel enforces.
//!
//! What it is: pages dropped, groups made, one command run to its end. What it is not: a proof; `tests/tests/budget.rs` has
//! those. The one design choice: pintpot is run as a copy of itself, since a group pays only for pages that nobody holds
//! yet, and this process holds its program's.

use super::peers::output;
use crate::Error;
use host::cgroup::{Cap, Limits, Report, evict};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where programs are run.
#[derive(Debug)]
pub(super) struct Stage {
    /// The files of the model.
    files: Vec<PathBuf>,
    throttle: Option<u64>,
    /// Why no limit can be set here.
    pub open: Option<String>,
    /// The largest share of the model that was in the page cache when a program began; `None` if that is not told.
    pub cached: Option<f64>,
}

impl Stage {
    /// For a model in `files`, whose disk is slowed to `throttle` bytes a second if that is said.
    ///
    /// # Errors
    /// [`Error::Throttle`] for a disk that cannot be slowed; a limit on memory that cannot be set is no error.
    pub fn new(files: Vec<PathBuf>, throttle: Option<u64>) -> Result<Stage, Error> {
        let mut stage = Stage { files, throttle, open: None, cached: None };
        let tried = Cap::new(&stage.limits(Some(1 << 30)));
        if let Some(first) = stage.files.first().filter(|_| throttle.is_some()) {
            tried.map_err(|source| Error::Throttle { path: first.clone(), source })?;
        } else {
            stage.open = tried.err().map(|error| error.to_string());
        }
        Ok(stage)
    }

    fn limits(&self, memory: Option<u64>) -> Limits {
        let disk_of = self.files.first().filter(|_| self.throttle.is_some()).cloned();
        Limits { memory, read_rate: self.throttle, disk_of }
    }

    /// Runs `command`, which starts `program`, in at most `memory` bytes, once the pages of the model and of the program are
    /// out of the page cache. Gives what it printed and what the kernel counted, which is nothing where it sets no limit.
    ///
    /// # Errors
    /// [`Error::Peer`] for a program that cannot be started or fails, with the last that it said; [`Error::Killed`] for one
    /// that takes more than `memory`.
    pub fn run(
        &mut self,
        mut command: Command,
        program: &Path,
        memory: Option<u64>,
    ) -> Result<(Output, Report), Error> {
        evict(program)?;
        for file in &self.files {
            evict(file)?;
            let shares = [self.cached, host::cached_share(file)];
            self.cached = shares.into_iter().flatten().reduce(f64::max);
        }
        if self.open.is_some() {
            return Ok((output(command, program)?, Report::default()));
        }
        let cap = Cap::new(&self.limits(memory))?;
        cap.attach(&mut command)?;
        let (printed, report) = (output(command, program), cap.report());
        match (printed, memory) {
            (Err(_), Some(bytes)) if report.oom_kills > Some(0) => {
                Err(Error::Killed { program: program.to_path_buf(), bytes })
            }
            (printed, _) => Ok((printed?, report)),
        }
    }
}

/// A program that no process has in its memory, in the folder for temporary files; removed when dropped.
#[derive(Debug)]
pub(super) struct Copy(PathBuf);

impl Copy {
    /// A copy of `program`; `None` where none can be made or started.
    pub fn of(program: &Path) -> Option<Copy> {
        let copy = Copy(std::env::temp_dir().join(format!("pintpot-sweep-{}", std::process::id())));
        std::fs::copy(program, &copy.0).ok()?;
        let mut command = Command::new(&copy.0);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success()).then_some(copy)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_runs_in_its_group_and_its_copy_does_not_stay() {
        let shell = Path::new("/bin/sh");
        let stage = Stage::new(vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")], None);
        let mut stage = stage.unwrap();
        let run = |stage: &mut Stage, script: &str| {
            let mut command = Command::new(shell);
            command.args(["-c", script]);
            stage.run(command, shell, Some(64 << 20))
        };
        let (printed, report) = run(&mut stage, "echo here").unwrap();
        assert_eq!(printed.stdout, b"here\n");
        assert!(report.peak.is_none_or(|peak| peak <= 64 << 20), "{report:?}");
        if stage.open.is_none() {
            let error =
                run(&mut stage, "x=$(head -c 99000000 /dev/zero | tr '\\0' a); echo ${#x}").unwrap_err();
            assert!(matches!(error, Error::Killed { bytes, .. } if bytes == 64 << 20), "{error}");
        }
        let error = run(&mut stage, "echo no >&2; exit 7").unwrap_err().to_string();
        assert!(error.contains("exit status: 7") && error.contains("no"), "{error}");
        assert!(stage.cached.is_none_or(|share| share <= 1.0));
        assert!(Copy::of(Path::new("/nowhere")).is_none());
        let path = Copy::of(Path::new("/bin/true")).map(|copy| copy.path().to_path_buf());
        assert!(path.is_none_or(|path| !path.exists()));
    }
}
