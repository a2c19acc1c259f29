//! Who is connected: a bounded table, in which a newcomer takes the place of whoever has been silent the longest.
//!
//! What it is: for each connection, whether it has a request, since when, and how to end it. What it is not: HTTP. The one
//! design choice: connections without a request are worth nothing, so ten thousand half-open ones only chase each other away.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::limits::Limits;

/// How long a connection is left in peace before it makes room for another: what a request takes to arrive.
pub(crate) const PEACE: Duration = Duration::from_millis(250);

/// Everybody who is connected.
#[derive(Default)]
pub(crate) struct Connections {
    all: RefCell<Vec<(Rc<State>, AbortHandle)>>,
    /// Somebody has left.
    pub left: Notify,
    /// The server is to end.
    pub closing: Notify,
}

/// One connection.
pub(crate) struct State {
    /// Requests that are being answered; more than one only while one ends and the next begins.
    requests: Cell<u32>,
    since: Cell<Instant>,
}

impl State {
    pub fn new() -> Rc<State> {
        Rc::new(State { requests: Cell::new(0), since: Cell::new(Instant::now()) })
    }
}

/// A request that is being answered, until its reply is sent.
pub(crate) struct Busy(Rc<State>);

impl Busy {
    pub fn new(state: &Rc<State>) -> Rc<Busy> {
        state.requests.set(state.requests.get() + 1);
        state.since.set(Instant::now());
        Rc::new(Busy(Rc::clone(state)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get().saturating_sub(1));
        self.0.since.set(Instant::now());
    }
}

impl Connections {
    pub fn add(&self, state: Rc<State>, task: AbortHandle) {
        self.all.borrow_mut().push((state, task));
    }

    pub fn remove(&self, state: &Rc<State>) {
        self.all.borrow_mut().retain(|(other, _)| !Rc::ptr_eq(other, state));
        self.left.notify_one();
    }

    pub fn count(&self) -> usize {
        self.all.borrow().len()
    }

    /// Ends the connection that has been without a request the longest, if there is one that has been for a while.
    pub fn make_room(&self) -> bool {
        let mut all = self.all.borrow_mut();
        let idle = |state: &State| state.requests.get() == 0 && state.since.get().elapsed() > PEACE;
        let idle = all.iter().enumerate().filter(|(_, (state, _))| idle(state));
        let oldest = idle.min_by_key(|(_, (state, _))| state.since.get()).map(|(at, _)| at);
        oldest.map(|at| all.swap_remove(at).1.abort()).is_some()
    }

    /// Ends connections that have been silent, or busy, for longer than they may.
    pub fn sweep(&self, limits: &Limits) {
        self.all.borrow_mut().retain(|(state, task)| {
            let most = match state.requests.get() {
                0 => limits.idle,
                _ => limits.arrival + limits.answer + limits.idle,
            };
            let stays = state.since.get().elapsed() <= most;
            if !stays {
                task.abort();
            }
            stays
        });
        self.left.notify_one();
    }

    /// Ends all of them.
    pub fn end(&self) {
        self.all.borrow_mut().drain(..).for_each(|(_, task)| task.abort());
    }
}
