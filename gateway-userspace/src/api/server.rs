//! Listening: sockets first, so that an address in use is known before anything else begins; then requests over TLS.

use super::handshake::Handshake;
use super::limits::{ConnectionLimits, LimitedAcceptor};
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const LARGEST_HEAD: usize = 32 * 1024;
const MOST_HEADERS: usize = 64;
const MOST_STREAMS: u32 = 64;
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Where to listen, and how.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// The addresses.
    pub addresses: Vec<SocketAddr>,
    /// Certificate, key and versions.
    pub tls: Arc<rustls::ServerConfig>,
    /// How many connections.
    pub limits: ConnectionLimits,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("`{address}` cannot be listened on: {source}; is it an address of this host, and free?")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A listener failed.
    #[error("the listener at `{address}` failed: {source}")]
    Serve {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Sockets that listen, before the first connection is taken.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<(SocketAddr, TcpListener)>,
    tls: RustlsConfig,
    acceptor: LimitedAcceptor,
}

/// Ends a server, or gives it another certificate.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    handle: Handle<SocketAddr>,
    tls: RustlsConfig,
}

impl ServerHandle {
    /// Takes no more connections, and ends those that are open after a while.
    pub fn shut_down(&self, grace: Duration) {
        self.handle.graceful_shutdown(Some(grace));
    }

    /// Uses another certificate from the next connection on.
    pub fn renew(&self, tls: Arc<rustls::ServerConfig>) {
        self.tls.reload_from_config(tls);
    }
}

impl Server {
    /// Begins to listen.
    ///
    /// # Errors
    /// If an address cannot be listened on.
    pub fn bind(config: ListenerConfig) -> Result<Self, ServerError> {
        let ListenerConfig { addresses, tls, limits } = config;
        let listeners = addresses.into_iter().map(listen).collect::<Result<_, _>>()?;
        Ok(Self { listeners, tls: RustlsConfig::from_config(tls), acceptor: LimitedAcceptor::new(limits) })
    }

    /// The addresses that are listened on, with the ports that the system chose where 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }

    /// Answers requests until it is told to end, each address by its own router.
    ///
    /// # Errors
    /// If a listener fails.
    pub async fn run(self, router: impl Fn(SocketAddr) -> Router, handle: &ServerHandle) -> Result<(), ServerError> {
        let mut tasks = JoinSet::new();
        for (address, listener) in self.listeners {
            let acceptor = RustlsAcceptor::new(self.tls.clone()).handshake_timeout(HANDSHAKE);
            let acceptor = Handshake(acceptor.acceptor(self.acceptor.clone()));
            let (router, handle) = (router(address), handle.handle.clone());
            tasks.spawn(async move {
                let served = serve(listener, acceptor, router, handle).await;
                served.map_err(|source| ServerError::Serve { address, source })
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        }
        Ok(())
    }

    /// What ends this server.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { handle: Handle::new(), tls: self.tls.clone() }
    }
}

fn listen(address: SocketAddr) -> Result<(SocketAddr, TcpListener), ServerError> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?, listener))
    };
    listen().map_err(|source| ServerError::Bind { address, source })
}

async fn serve(
    listener: TcpListener,
    acceptor: Handshake,
    router: Router,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle);
    server.http_builder().http1().max_buf_size(LARGEST_HEAD).max_headers(MOST_HEADERS);
    let mut http2 = server.http_builder().http2();
    http2.max_header_list_size(LARGEST_HEAD as u32).max_concurrent_streams(MOST_STREAMS);
    server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
}

#[cfg(test)]
mod tests {
    use super::super::certificate::Certificate;
    use super::super::unread;
    use super::*;
    use crate::outward;
    use axum::extract::ConnectInfo;
    use axum::http::StatusCode;
    use axum::middleware;
    use axum::routing::{get, post};
    use rustls::ClientConfig;
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    fn config(limits: ConnectionLimits) -> ListenerConfig {
        with_trust(limits).0
    }

    /// With what trusts its certificate.
    fn with_trust(limits: ConnectionLimits) -> (ListenerConfig, ClientConfig) {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("c"), folder.path().join("k"));
        let certificate = Certificate::load_or_make(&chain, &key, &["127.0.0.1".to_owned()]).unwrap();
        let addresses = ["127.0.0.1:0", "[::1]:0"].map(|address| address.parse().unwrap()).to_vec();
        let roots = outward::authorities(&std::fs::read(&chain).unwrap()).unwrap();
        let config = ListenerConfig { addresses, tls: certificate.into_config(None).unwrap(), limits };
        (config, outward::trusting(roots).unwrap())
    }

    fn client() -> reqwest::Client {
        // The tests' own client: whoever is first sets the provider for the process.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap()
    }

    async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::clone(tls)).connect(ServerName::from(address.ip()), stream).await
    }

    #[tokio::test]
    async fn requests_are_answered_over_tls_at_every_address_until_the_server_is_shut_down() {
        let router = Router::new()
            .route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }));
        let server = Server::bind(config(ConnectionLimits::default())).unwrap();
        let (addresses, handle) = (server.addresses(), server.handle());
        let stop = handle.clone();
        let running = tokio::spawn(async move { server.run(|_| router.clone(), &handle).await });
        let client = client();
        for address in addresses {
            let answer = client.get(format!("https://{address}/")).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), address.ip().to_string());
        }
        stop.shut_down(Duration::from_millis(100));
        running.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed_and_a_large_head_refused() {
        let limits = ConnectionLimits { per_address: 1, ..ConnectionLimits::default() };
        let server = Server::bind(config(limits)).unwrap();
        let (address, handle) = (server.addresses()[0], server.handle());
        tokio::spawn(async move { server.run(|_| Router::new().route("/", get(|| async { "ok" })), &handle).await });
        let first = client();
        let url = format!("https://{address}/");
        assert_eq!(first.get(&url).send().await.unwrap().status(), 200);
        assert!(client().get(&url).send().await.is_err());
        let large = first.get(&url).header("x-large", "x".repeat(8 * LARGEST_HEAD)).send().await;
        assert!(large.as_ref().map_or(true, |answer| answer.status() == 431), "{large:?}");
    }

    #[tokio::test]
    async fn whoever_is_still_sending_hears_the_answer_and_does_not_hold_their_place_by_not_closing() {
        let silence = Duration::from_secs(3);
        let limits = ConnectionLimits { per_address: 1, silence, ..ConnectionLimits::default() };
        let (config, tls) = with_trust(limits);
        let tls = Arc::new(tls);
        let server = Server::bind(config).unwrap();
        let (address, handle) = (server.addresses()[0], server.handle());
        let router = Router::new().route("/", post(|| async { StatusCode::FORBIDDEN }));
        let router = router.layer(middleware::from_fn(unread::told));
        tokio::spawn(async move { server.run(|_| router.clone(), &handle).await });
        // A client that does not look before it has sent everything, as most do.
        let mut sender = connect(address, &tls).await.unwrap();
        let body = vec![b'x'; 16 * 1024 * 1024];
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        sender.write_all(head.as_bytes()).await.unwrap();
        sender.write_all(&body).await.unwrap();
        sender.flush().await.unwrap();
        let mut answer = Vec::new();
        sender.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap().to_lowercase();
        assert!(answer.starts_with("http/1.1 403") && answer.contains("connection: close"), "{answer}");
        let next = async {
            while connect(address, &tls).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(10 * silence, next).await.unwrap();
        drop(sender);
    }

    #[test]
    fn an_address_in_use_is_named() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let busy = held.local_addr().unwrap();
        let error = Server::bind(ListenerConfig { addresses: vec![busy], ..config(ConnectionLimits::default()) });
        assert!(error.unwrap_err().to_string().contains(&format!("`{busy}` cannot be listened on")));
    }
}
