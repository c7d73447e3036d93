//! From a connection to requests that know what its handshake has proved, and what they may ask of it.

use super::client_certificate::Presented;
use super::limits::{LimitedAcceptor, LimitedStream};
use super::unread::Linger;
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

/// Speaks TLS, and tells requests of the client's certificate and of their connection.
#[derive(Clone, Debug)]
pub(super) struct Handshake(pub RustlsAcceptor<LimitedAcceptor>);

type Knowing<S> = AddExtension<AddExtension<S, Presented>, Linger>;

type Done<S> = io::Result<(TlsStream<LimitedStream>, Knowing<S>)>;

impl<S: Send + 'static> Accept<TcpStream, S> for Handshake {
    type Stream = TlsStream<LimitedStream>;
    type Service = Knowing<S>;
    type Future = Pin<Box<dyn Future<Output = Done<S>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (peer, acceptor) = (stream.peer_addr(), self.0.clone());
        Box::pin(async move {
            let (stream, service) =
                acceptor.accept(stream, service).await.inspect_err(|error| refused(peer.ok(), error))?;
            let (connection, tls) = stream.get_ref();
            let presented = Presented::of(tls.peer_certificates().and_then(|chain| chain.first()).map(AsRef::as_ref));
            let service = Extension(connection.linger()).layer(Extension(presented).layer(service));
            Ok((stream, service))
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

#[cfg(test)]
mod tests {
    use super::super::certificate::Certificate;
    use super::super::client_certificate::ClientAuthority;
    use super::super::client_certificate::tests::{authority, client};
    use super::super::limits::ConnectionLimits;
    use super::super::server::{ListenerConfig, Server, ServerHandle};
    use super::*;
    use crate::outward;
    use axum::Router;
    use axum::routing::get;
    use rcgen::{
        CertificateParams, CertificateRevocationListParams, CertifiedIssuer, KeyIdMethod, KeyPair, RevokedCertParams,
        SerialNumber,
    };
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ClientConfig, ServerConfig};
    use std::sync::Arc;
    use time::{Duration, OffsetDateTime};

    /// A server that says the names in certificates, and its authority of clients.
    struct World {
        folder: tempfile::TempDir,
        authority: CertifiedIssuer<'static, KeyPair>,
        handle: ServerHandle,
        url: String,
    }

    impl World {
        fn new() -> Self {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let folder = tempfile::tempdir().unwrap();
            let authority = authority();
            std::fs::write(folder.path().join("ca.pem"), authority.as_ref().pem()).unwrap();
            let tls = config(&folder, None);
            let addresses = vec!["127.0.0.1:0".parse().unwrap()];
            let server = Server::bind(ListenerConfig { addresses, tls, limits: ConnectionLimits::default() }).unwrap();
            let (url, handle) = (format!("https://{}/", server.addresses()[0]), server.handle());
            let names = |Extension(presented): Extension<Presented>| async move {
                let found = presented.certificate(OffsetDateTime::now_utc()).unwrap();
                found.map_or(String::new(), |found| found.names[0].to_string())
            };
            let running = handle.clone();
            tokio::spawn(async move { server.run(move |_| Router::new().route("/", get(names)), &running).await });
            Self { folder, authority, handle, url }
        }

        /// What the server says to a client with a certificate.
        async fn asks(&self, params: Option<&CertificateParams>) -> Result<String, reqwest::Error> {
            let own = std::fs::read(self.folder.path().join("c")).unwrap();
            let roots = outward::authorities(&own).unwrap();
            let builder = ClientConfig::builder().with_root_certificates(roots);
            let tls = match params {
                None => builder.with_no_client_auth(),
                Some(params) => {
                    let key = KeyPair::generate().unwrap();
                    let certificate = params.signed_by(&key, &self.authority).unwrap();
                    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                    builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
                }
            };
            let client = reqwest::Client::builder().use_preconfigured_tls(tls).build().unwrap();
            client.get(&self.url).send().await?.text().await
        }

        /// From now on these serial numbers are revoked, by a list that is good until then.
        fn revokes(&self, serials: &[u64], until: OffsetDateTime) {
            let revoked = serials.iter().map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(*serial),
                revocation_time: until - Duration::DAY,
                reason_code: None,
                invalidity_date: None,
            });
            let list = CertificateRevocationListParams {
                this_update: until - Duration::DAY,
                next_update: until,
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: None,
                revoked_certs: revoked.collect(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            let text = list.signed_by(&self.authority).unwrap().pem().unwrap();
            std::fs::write(self.folder.path().join("crl.pem"), text).unwrap();
            self.handle.renew(config(&self.folder, Some("crl.pem")));
        }
    }

    fn config(folder: &tempfile::TempDir, revoked: Option<&str>) -> Arc<ServerConfig> {
        let path = |name: &str| folder.path().join(name);
        let certificate = Certificate::load_or_make(&path("c"), &path("k"), &["127.0.0.1".to_owned()]).unwrap();
        let clients = ClientAuthority { certificates: path("ca.pem"), revoked: revoked.map(path) };
        certificate.into_config(Some(clients.verifier().unwrap())).unwrap()
    }

    fn numbered(serial: u64) -> CertificateParams {
        let mut params = client("spiffe://example.org/ci", "ci", "ci");
        params.serial_number = Some(SerialNumber::from(serial));
        params
    }

    #[tokio::test]
    async fn requests_know_the_certificate_of_their_connection_or_that_there_is_none() {
        let world = World::new();
        assert_eq!(world.asks(None).await.unwrap(), "");
        assert_eq!(world.asks(Some(&numbered(1))).await.unwrap(), "uri:spiffe://example.org/ci");
        let mut past = numbered(1);
        past.not_after = OffsetDateTime::now_utc() - Duration::HOUR;
        world.asks(Some(&past)).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_certificate_is_refused_from_the_moment_its_revocation_is_read_and_all_are_once_the_list_is_over() {
        let world = World::new();
        let soon = OffsetDateTime::now_utc() + Duration::HOUR;
        world.revokes(&[2], soon);
        world.asks(Some(&numbered(1))).await.unwrap();
        world.asks(Some(&numbered(2))).await.unwrap_err();
        world.asks(None).await.unwrap();
        world.revokes(&[2], OffsetDateTime::now_utc() - Duration::MINUTE);
        world.asks(Some(&numbered(1))).await.unwrap_err();
        world.asks(None).await.unwrap();
    }
}
