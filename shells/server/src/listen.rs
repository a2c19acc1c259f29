//! Sockets: who is let in, for how long, and how it all ends.
//!
//! What it is: the loop that accepts, one task for each connection, and the way out. What it is not: routes. The one design
//! choice: when it is told to end it takes nobody in any more, lets those who are being answered hear the end, for a
//! while, and then goes.

use std::convert::Infallible;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pintpot::{Ledger, Service};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use crate::app::App;
use crate::arriving::Arriving;
use crate::connection::{Busy, State};
use crate::encoder::Encoder;
use crate::guard::{Guard, is_local};
use crate::limits::{BUFFER, SOCKET};
use crate::scribe::Scribes;
use crate::{Error, Facts, Served, routes};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(100);
/// Connections that the kernel holds for us until we take them.
const BACKLOG: u32 = 64;
/// Headers of a request.
const HEADERS: usize = 64;

/// A server that listens already.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    app: Rc<App>,
}

impl Server {
    /// Listens for those who ask `service`, whose models are `models`, in its order.
    ///
    /// # Errors
    /// An address that cannot be had, a key that cannot be sent.
    pub fn new(
        served: Served,
        models: Vec<Facts>,
        ledger: Ledger,
        service: Service,
    ) -> Result<Server, Error> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
        let listener = {
            let _inside = runtime.enter();
            listen(&served)?
        };
        let guard = Guard::new(&served.api_keys, is_local(&served.host))?;
        let app = Rc::new(App::new(service, served, models, ledger, guard));
        Ok(Server { runtime, listener, app })
    }

    /// The same with encoders of texts.
    #[must_use]
    pub fn with_encoders(mut self, encoders: Vec<Encoder>) -> Server {
        if let Some(app) = Rc::get_mut(&mut self.app) {
            app.encoders = encoders;
        }
        self
    }

    /// The same with models of speech.
    #[must_use]
    pub fn with_speech(mut self, scribes: Scribes) -> Server {
        if let Some(app) = Rc::get_mut(&mut self.app) {
            app.scribes = scribes;
        }
        self
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until `stop` is true, and then as long as answers last, within [`crate::Limits::drain`].
    pub fn run(self, stop: &AtomicBool) {
        let Server { runtime, listener, app } = self;
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            accept(&app, listener, stop).await;
            drain(&app).await;
        });
        drop(local);
        app.service.stop();
    }
}

fn listen(served: &Served) -> Result<TcpListener, Error> {
    let failed = |source| Error::Listen { host: served.host.clone(), port: served.port, source };
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in (served.host.as_str(), served.port).to_socket_addrs().map_err(failed)? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let listening = socket.and_then(|socket| {
            socket.set_reuseaddr(true)?;
            // Connections have what the listener has.
            socket.set_recv_buffer_size(SOCKET)?;
            socket.set_send_buffer_size(SOCKET)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        });
        match listening {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// Lets connections in until it is told to stop.
async fn accept(app: &Rc<App>, listener: TcpListener, stop: &AtomicBool) {
    let (most, mut swept) = (app.limits.connections as usize, Instant::now());
    while !stop.load(Relaxed) {
        if swept.elapsed() > TICK {
            app.connections.sweep(&app.limits);
            swept = Instant::now();
        }
        if app.connections.count() >= most && !app.connections.make_room() {
            let _ = timeout(TICK, app.connections.left.notified()).await;
            continue;
        }
        match timeout(TICK, listener.accept()).await {
            Err(_) => {}
            Ok(Ok((stream, _))) => connect(app, stream),
            // No more files, or the like: it passes.
            Ok(Err(_)) => sleep(TICK).await,
        }
    }
}

/// A task for a connection.
fn connect(app: &Rc<App>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let (state, ours) = (State::new(), Rc::clone(app));
    let its = Rc::clone(&state);
    let task = spawn_local(async move {
        let service = service_fn(|request: Request<Incoming>| {
            let (app, busy) = (Rc::clone(&ours), Busy::new(&its));
            async move {
                let request = request.map(Arriving::new);
                let body = request.body().clone();
                let mut reply = routes::answer(&app, request).await;
                if !body.clear().await {
                    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                reply.body_mut().busy = Some(busy);
                Ok::<_, Infallible>(reply)
            }
        });
        let connection = http1::Builder::new()
            .max_buf_size(BUFFER)
            .max_headers(HEADERS)
            .keep_alive(true)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let closing = std::pin::pin!(ours.connections.closing.notified());
        // Whoever breaks off has nobody to be told.
        if let Either::Closing = either(connection.as_mut(), closing).await {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
        ours.connections.remove(&its);
    });
    app.connections.add(state, task.abort_handle());
}

enum Either {
    Ended,
    Closing,
}

/// Waits for the connection to end or for the server to close.
async fn either(
    mut connection: impl Future<Output = hyper::Result<()>> + Unpin,
    mut closing: impl Future<Output = ()> + Unpin,
) -> Either {
    std::future::poll_fn(|context| {
        if std::pin::Pin::new(&mut connection).poll(context).is_ready() {
            return std::task::Poll::Ready(Either::Ended);
        }
        std::pin::Pin::new(&mut closing).poll(context).map(|()| Either::Closing)
    })
    .await
}

/// Lets those who are being answered hear the end.
async fn drain(app: &Rc<App>) {
    app.service.close();
    app.encoders.iter().for_each(Encoder::close);
    app.scribes.close();
    app.connections.closing.notify_waiters();
    let begin = Instant::now();
    while app.connections.count() > 0 && begin.elapsed() < app.limits.drain {
        let _ = timeout(TICK, app.connections.left.notified()).await;
    }
    app.connections.end();
}
