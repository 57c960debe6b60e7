//! What stands in front of a server and cuts connections: some after so many bytes, some in the middle of it all.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// One in so many connections is cut.
const ONE_IN: u32 = 10;
/// A connection that is to be cut by its bytes is cut before it has carried so many, both ways together: in the handshake
/// or with one of the first requests.
const MAX_BYTES: u64 = 16 * 1024;

/// Listens under a server's name and passes on what comes.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

struct Inner {
    /// Where the server is; nowhere while it is away.
    server: Mutex<Option<SocketAddr>>,
    random: Mutex<StdRng>,
    /// Whether connections are cut.
    cruel: AtomicBool,
    /// Cuts a share of the connections there are: each throws the dice.
    cut: broadcast::Sender<()>,
    /// Counts the connections to all servers.
    connections: Arc<AtomicU64>,
    cuts: AtomicU64,
}

impl Proxy {
    /// `connections` counts those of all proxies: of each ten in a row, one is cut.
    pub(crate) async fn start(seed: u64, connections: Arc<AtomicU64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            server: Mutex::default(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            cruel: AtomicBool::new(true),
            cut: broadcast::Sender::new(16),
            connections,
            cuts: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&inner)));
        Self { address, inner, task }
    }

    /// Where connections lead from now on.
    pub(crate) fn lead_to(&self, server: Option<SocketAddr>) {
        *self.inner.server.lock().unwrap() = server;
    }

    /// Cuts a share of the connections there are.
    pub(crate) fn cut_some(&self) {
        // Without a connection there is nobody to hear it.
        let _ = self.inner.cut.send(());
    }

    /// Cuts no more.
    pub(crate) fn relent(&self) {
        self.inner.cruel.store(false, Ordering::SeqCst);
    }

    pub(crate) fn cuts(&self) -> u64 {
        self.inner.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inner {
    fn is_unlucky(&self) -> bool {
        self.cruel.load(Ordering::SeqCst) && self.random.lock().unwrap().random_ratio(1, ONE_IN)
    }

    /// After how many bytes a new connection is cut, if it is.
    fn fate(&self) -> Option<u64> {
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        let unlucky = number % u64::from(ONE_IN) == 1 && self.cruel.load(Ordering::SeqCst);
        unlucky.then(|| self.random.lock().unwrap().random_range(0..MAX_BYTES))
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(carry(client, Arc::clone(&inner)));
    }
}

/// Carries one connection until one side ends it or it is cut. Both sides are dropped then, with whatever was under way.
async fn carry(client: TcpStream, inner: Arc<Inner>) {
    let fate = inner.fate();
    let server = *inner.server.lock().unwrap();
    let Some(server) = server else { return };
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let left = Arc::new(AtomicU64::new(fate.unwrap_or(u64::MAX)));
    let mut cut = inner.cut.subscribe();
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let unlucky = async {
        loop {
            match cut.recv().await {
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                _ if inner.is_unlucky() => return,
                _ => {}
            }
        }
    };
    let was_cut = tokio::select! {
        was_cut = pass(from_client, to_server, Arc::clone(&left)) => was_cut,
        was_cut = pass(from_server, to_client, left) => was_cut,
        () = unlucky => true,
    };
    if was_cut {
        inner.cuts.fetch_add(1, Ordering::SeqCst);
    }
}

/// Passes bytes on. Returns whether the connection is to be cut; otherwise one side has ended it.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, left: Arc<AtomicU64>) -> bool {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return false };
        let allowed = left.load(Ordering::SeqCst);
        let count = usize::try_from(allowed).unwrap_or(usize::MAX).min(read);
        if to.write_all(&buffer[..count]).await.is_err() {
            return false;
        }
        if count < read {
            return true;
        }
        if allowed != u64::MAX {
            left.fetch_sub(u64::try_from(count).unwrap(), Ordering::SeqCst);
        }
    }
}
