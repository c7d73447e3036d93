//! A connection by TCP or TLS over which nobody says that something has been taken.
//!
//! What there is instead: the receiver's system acknowledges every byte, a connection that is given up before all was read
//! is reset, and one that is ended in order has been read to its end. That is TCP's order: the farewell of TLS says nothing,
//! whoever stops with something unread sends it too. So a batch is taken when all of it is acknowledged, and what was sent
//! last is kept: after a connection that did not end in order it is sent again, before anything new.

use crate::export::settings::{Endpoint, TlsSettings};
use crate::export::{Failure, SetupError, tls};
use nix::libc;
use nix::sys::socket::{MsgFlags, recv};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

/// How much of what was sent last is kept: more than a Linux receiver can have unread, whose buffer is at most 6 MiB by
/// default, half of which is for its own use.
const RECALLED: usize = 4 << 20;
/// As much as a receiver may say while it takes a batch. It is ignored.
const TOLD: usize = 64 << 10;
/// As much as is written at once, so that it can be seen whether it goes on.
const PIECE: usize = 64 << 10;
/// Between two looks at what is acknowledged.
const LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// How long is waited for what.
#[derive(Clone, Copy)]
struct Patience {
    /// For a connection to one address, with its handshake.
    connect: Duration,
    /// For any progress.
    progress: Duration,
    /// How long a connection has to last before its first batch is believed: some receivers close what they don't want, and
    /// with TLS 1.3 a certificate is refused, only after the connection is there.
    settle: Duration,
}

const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(5), progress: Duration::from_secs(30), settle: Duration::from_secs(1) };

/// The way to a receiver. The connection is made when there is something to send, and kept.
pub(super) struct Stream {
    endpoint: Endpoint,
    tls: Option<Arc<ClientConfig>>,
    patience: Patience,
    open: Option<Open>,
    /// What was taken last, the newest at the back.
    recent: VecDeque<Vec<u8>>,
    /// Whether some of that may not have been read.
    is_doubtful: bool,
}

/// A connection.
struct Open {
    io: Box<dyn Both>,
    /// The socket below it.
    socket: OwnedFd,
    /// Whether it has carried nothing yet.
    is_new: bool,
}

trait Both: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Both for T {}

/// How a connection ended.
enum End {
    /// The receiver has read everything, and its system has closed it.
    InOrder,
    /// Otherwise.
    Broken(Failure),
}

impl Stream {
    /// # Errors
    /// As of [`super::Receiver::new`].
    pub fn new(endpoint: &Endpoint, tls: Option<&TlsSettings>) -> Result<Self, SetupError> {
        let tls = tls.map(tls::client).transpose()?.map(Arc::new);
        let (open, recent, is_doubtful) = (None, VecDeque::new(), false);
        Ok(Self { endpoint: endpoint.clone(), tls, patience: PATIENCE, open, recent, is_doubtful })
    }

    /// Sends a batch, and returns when all of it is acknowledged.
    ///
    /// # Errors
    /// If that is not known.
    pub async fn send(&mut self, batch: Vec<u8>) -> Result<(), Failure> {
        // A connection that was given up while nothing was sent is no reason to complain.
        let kept = match self.open.take() {
            Some(mut open) => match ended_already(&mut open).await {
                None => Some(open),
                Some(end) => {
                    self.remember(&end);
                    None
                }
            },
            None => None,
        };
        let mut open = match kept {
            Some(open) => open,
            None => self.connect().await?,
        };
        let again = self.recent.iter().filter(|_| self.is_doubtful);
        let passed = pass(&mut open, again.chain([&batch]), self.patience).await;
        if let Err(end) = passed {
            self.remember(&end);
            return Err(match end {
                End::InOrder => Failure::Unreachable("it has closed the connection".into()),
                End::Broken(failure) => failure,
            });
        }
        open.is_new = false;
        self.open = Some(open);
        self.is_doubtful = false;
        self.recent.push_back(batch);
        let mut size: usize = self.recent.iter().map(Vec::len).sum();
        while size > RECALLED && self.recent.len() > 1 {
            size = size.saturating_sub(self.recent.pop_front().map_or(0, |oldest| oldest.len()));
        }
        Ok(())
    }

    fn remember(&mut self, end: &End) {
        match end {
            // Of what was being sent again, some may not have got there.
            End::InOrder if self.is_doubtful => {}
            End::InOrder => self.recent.clear(),
            End::Broken(_) => self.is_doubtful = true,
        }
    }

    /// To the first of its addresses that answers.
    async fn connect(&self) -> Result<Open, Failure> {
        let host = self.endpoint.host.to_str();
        let found = timeout(self.patience.connect, lookup_host((host.as_ref(), self.endpoint.port))).await;
        let addresses: Vec<SocketAddr> = match found {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => return Err(Failure::Unreachable(format!("its name cannot be resolved: {error}"))),
            Err(_) => return Err(Failure::Unreachable("its name is not resolved in time".into())),
        };
        let mut failure = Failure::Unreachable("its name has no address".into());
        for address in addresses {
            match timeout(self.patience.connect, self.open(address)).await {
                Ok(Ok(open)) => return Ok(open),
                Ok(Err(error)) => failure = broken(&error),
                Err(_) => failure = Failure::Unreachable(format!("{address} does not answer in time")),
            }
        }
        Err(failure)
    }

    async fn open(&self, address: SocketAddr) -> io::Result<Open> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let socket = tcp.as_fd().try_clone_to_owned()?;
        let io: Box<dyn Both> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let host: ServerName<'static> = self.endpoint.host.clone();
                Box::new(TlsConnector::from(Arc::clone(config)).connect(host, tcp).await?)
            }
        };
        Ok(Open { io, socket, is_new: true })
    }
}

/// Whether a connection that was kept has ended since, as far as is known here.
async fn ended_already(open: &mut Open) -> Option<End> {
    let (mut read, _) = tokio::io::split(&mut open.io);
    // Only what is there already.
    timeout(Duration::ZERO, ended(&mut read, &open.socket)).await.ok()
}

/// Waits until the connection ends; what the receiver says is ignored, up to a bound.
async fn ended<T: AsyncRead>(read: &mut ReadHalf<T>, socket: &OwnedFd) -> End {
    let (mut buffer, mut told) = ([0; 4096], 0_usize);
    loop {
        match read.read(&mut buffer).await {
            Ok(0) if is_read_to_its_end(socket) => return End::InOrder,
            Ok(0) => {
                let what = "it has closed the connection, perhaps with something unread";
                return End::Broken(Failure::Unreachable(what.into()));
            }
            Ok(length) => told = told.saturating_add(length),
            Err(error) => return End::Broken(broken(&error)),
        }
        if told > TOLD {
            let what = format!("it sends more than {TOLD} bytes, where nothing is asked");
            return End::Broken(Failure::Contradictory(what));
        }
    }
}

/// Whether the other end's system has closed the connection in order. One that has not done so yet may still reset it.
fn is_read_to_its_end(socket: &OwnedFd) -> bool {
    recv(socket.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) == Ok(0)
}

/// Writes all of it and waits until it is acknowledged, unless the connection ends before.
async fn pass(open: &mut Open, batches: impl Iterator<Item = &Vec<u8>>, patience: Patience) -> Result<(), End> {
    let Open { io, socket, is_new } = open;
    let (mut read, mut write) = tokio::io::split(io);
    let sending = async {
        for piece in batches.flat_map(|batch| batch.chunks(PIECE)) {
            in_time(patience, write.write_all(piece)).await?;
        }
        in_time(patience, write.flush()).await?;
        acknowledged(socket, patience).await?;
        if *is_new {
            sleep(patience.settle).await;
        }
        Ok(())
    };
    tokio::select! {
        biased;
        end = ended(&mut read, socket) => Err(end),
        sent = sending => sent.map_err(End::Broken),
    }
}

async fn in_time(patience: Patience, work: impl Future<Output = io::Result<()>>) -> Result<(), Failure> {
    match timeout(patience.progress, work).await {
        Ok(done) => done.map_err(|error| broken(&error)),
        Err(_) => Err(Failure::TimedOut),
    }
}

async fn acknowledged(socket: &OwnedFd, patience: Patience) -> Result<(), Failure> {
    let (mut least, mut since, mut pause) = (usize::MAX, Instant::now(), LOOKS.0);
    loop {
        let outstanding = outstanding(socket).map_err(|error| broken(&error.into()))?;
        if outstanding == 0 {
            return Ok(());
        }
        if outstanding < least {
            (least, since) = (outstanding, Instant::now());
        } else if since.elapsed() >= patience.progress {
            return Err(Failure::TimedOut);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LOOKS.1);
    }
}

/// How many bytes the other end's system has not acknowledged.
fn outstanding(socket: &OwnedFd) -> nix::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which is TIOCOUTQ by another name, writes one `int` to the address that it is given and keeps
    // nothing; `bytes` is one, and nobody else refers to it. The descriptor is open, because it is borrowed.
    unsafe { siocoutq(socket.as_raw_fd(), &raw mut bytes) }?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

nix::ioctl_read_bad!(
    /// See tcp(7).
    siocoutq,
    libc::TIOCOUTQ,
    libc::c_int
);

/// What an error of a connection says of the receiver.
fn broken(error: &io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        // It has seen what the gateway shows, and does not want it.
        Some(rustls::Error::AlertReceived(alert)) => Failure::Unauthorized(format!("TLS alert {alert:?}")),
        Some(error) => Failure::Unreachable(format!("TLS: {error}")),
        None => Failure::Unreachable(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
