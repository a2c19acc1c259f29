//! Runs a command with fewer rights than this process has.
//!
//! Not a sandbox: it is how a test sees a machine as an ordinary user does, or as a container whose rules refuse
//! io_uring. The one design choice: the child gives rights up between fork and exec, so that what runs is the program
//! itself and nothing on this machine is set differently for anyone else. `setrlimit(2)`, `seccomp(2)`.

use std::io;
use std::process::Command;

use crate::sys;

/// What a command may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// The user and group whose rights it has, by number, and no further groups; `None` leaves this process's. To take
    /// another's is root's right.
    pub user: Option<u32>,
    /// Bytes of memory that it may lock; `None` leaves the limit of this process.
    pub locked: Option<u64>,
    /// Whether it may use io_uring.
    pub io_uring: bool,
}

impl Default for Rights {
    /// All that this process has.
    fn default() -> Rights {
        Rights { user: None, locked: None, io_uring: true }
    }
}

impl Rights {
    /// Makes the child of `command` give up what it is not to have before it runs. What cannot be given up fails the
    /// start of the command.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where pintpot knows no way to give rights up.
    pub fn attach(&self, command: &mut Command) -> io::Result<()> {
        if *self == Rights::default() {
            return Ok(());
        }
        sys::give_up(command, self.user, self.locked, !self.io_uring)
    }
}

/// Makes the child that `command` will start end when the thread that starts it does, where the system can.
pub fn end_with_parent(command: &mut Command) {
    sys::end_with_parent(command);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_has_the_rights_that_it_was_left() {
        let run = |rights: Rights| {
            let mut command = Command::new("sh");
            command.args(["-c", "id -u; id -g; ulimit -l; grep -c 'Seccomp:.*2' /proc/self/status"]);
            rights.attach(&mut command).unwrap();
            command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let own = run(Rights::default()).unwrap();
        let lines: Vec<&str> = own.lines().collect();
        let [user, group, ..] = *lines else { panic!("{own}") };
        let rights = Rights { locked: Some(64 << 10), io_uring: false, ..Rights::default() };
        assert_eq!(run(rights).unwrap(), format!("{user}\n{group}\n64\n1\n"));
        match run(Rights { user: Some(65_534), ..Rights::default() }) {
            Ok(text) => assert!(text.starts_with("65534\n65534\n"), "{text}"),
            Err(error) => eprintln!("skipped: {error}"),
        }
    }
}
