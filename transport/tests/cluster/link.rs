//! The network between two NATS servers: a TCP proxy that can be cut. Connections end then, and new ones are not made.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One way from whoever connects to whom it leads.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    whole: Arc<watch::Sender<bool>>,
    task: JoinHandle<()>,
}

impl Link {
    /// A way that leads nowhere yet.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(None));
        let whole = Arc::new(watch::Sender::new(true));
        let task = tokio::spawn(accept(listener, Arc::clone(&target), Arc::clone(&whole)));
        Self { address, target, whole, task }
    }

    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = Some(target);
    }

    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: Arc<Mutex<Option<SocketAddr>>>,
    whole: Arc<watch::Sender<bool>>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (target, mut whole) = (*target.lock().unwrap(), whole.subscribe());
        let Some(target) = target.filter(|_| *whole.borrow_and_update()) else { continue };
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::select! {
                () = pass(from_client, to_server) => {}
                () = pass(from_server, to_client) => {}
                _ = whole.wait_for(|whole| !*whole) => {}
            }
        });
    }
}

/// Passes bytes on.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
