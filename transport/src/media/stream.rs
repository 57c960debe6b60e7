//! Bodies that come from a file, piece by piece.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

/// How much is read at once, in bytes.
const PIECE: usize = 64 * 1024;

/// How many pieces wait for a slow reader.
const AHEAD: usize = 2;

/// The bytes of a file, with something before and after. Its length is known.
#[derive(Debug)]
pub(crate) struct FileBody {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl FileBody {
    /// Begins to read `size` bytes where the file stands.
    pub(super) fn new(before: Bytes, file: std::fs::File, size: u64, after: Bytes) -> Self {
        let (sender, pieces) = mpsc::channel(AHEAD);
        let length = |bytes: &Bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let left = size.saturating_add(length(&before)).saturating_add(length(&after));
        tokio::spawn(async move {
            // Nobody who has gone away is told.
            let _ = pump(&sender, before, file, size, after).await;
        });
        Self { pieces, left }
    }
}

/// A reader that has gone away.
struct Gone;

async fn pump(
    sender: &mpsc::Sender<io::Result<Bytes>>,
    before: Bytes,
    file: std::fs::File,
    size: u64,
    after: Bytes,
) -> Result<(), Gone> {
    let send = async |piece| sender.send(piece).await.map_err(|_| Gone);
    send(Ok(before)).await?;
    let mut file = tokio::fs::File::from_std(file).take(size);
    let mut sent = 0_u64;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        match file.read_buf(&mut piece).await {
            Ok(0) => break,
            Ok(read) => {
                sent = sent.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                send(Ok(piece.into())).await?;
            }
            Err(error) => return send(Err(error)).await,
        }
    }
    if sent < size {
        return send(Err(io::ErrorKind::UnexpectedEof.into())).await;
    }
    send(Ok(after)).await
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.pieces.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(piece))) => {
                self.left = self.left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            // Whatever was pumping has stopped: what is missing must not look like the end.
            Poll::Ready(None) if self.left > 0 => {
                self.left = 0;
                Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())))
            }
            Poll::Ready(None) => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
