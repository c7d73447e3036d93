//! From a connection to requests that know what its handshake has proved.

use super::client_certificate::Presented;
use super::limits::{LimitedAcceptor, LimitedStream};
use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsAcceptor;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tower::Layer as _;

/// Speaks TLS, and tells requests of the client's certificate.
#[derive(Clone, Debug)]
pub(super) struct Handshake(pub RustlsAcceptor<LimitedAcceptor>);

type Done<S> = io::Result<(TlsStream<LimitedStream>, AddExtension<S, Presented>)>;

impl<S: Send + 'static> Accept<TcpStream, S> for Handshake {
    type Stream = TlsStream<LimitedStream>;
    type Service = AddExtension<S, Presented>;
    type Future = Pin<Box<dyn Future<Output = Done<S>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (peer, acceptor) = (stream.peer_addr(), self.0.clone());
        Box::pin(async move {
            let (stream, service) =
                acceptor.accept(stream, service).await.inspect_err(|error| refused(peer.ok(), error))?;
            let certificates = stream.get_ref().1.peer_certificates();
            let presented = Presented::of(certificates.and_then(|chain| chain.first()).map(AsRef::as_ref));
            Ok((stream, Extension(presented).layer(service)))
        })
    }
}

/// Says why a certificate did not make it through the handshake: nobody else is told more than that it was refused.
fn refused(peer: Option<SocketAddr>, error: &io::Error) {
    let tls = error.get_ref().and_then(|error| (error as &(dyn Error + 'static)).downcast_ref::<rustls::Error>());
    let reason = match tls {
        Some(rustls::Error::InvalidCertificate(reason)) => reason.to_string(),
        _ => return,
    };
    let peer = peer.map(|peer| peer.ip().to_canonical().to_string());
    tracing::info!(peer, reason, "a client certificate was refused");
}
