//! How those who are asked for something outside are asked: by HTTPS only, without redirects and proxies, and of an answer
//! no more is read than was agreed. And which authorities are trusted then.

use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder, Response, redirect};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::sync::Arc;

/// A client that trusts whom `tls` trusts.
pub(crate) fn builder(tls: ClientConfig) -> ClientBuilder {
    Client::builder()
        .use_preconfigured_tls(tls)
        .https_only(true)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .tcp_nodelay(true)
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
}

/// Trusts these authorities, and shows no certificate of its own.
///
/// # Errors
/// If TLS cannot be set up.
pub(crate) fn trusting(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

/// The authorities of a text in PEM; `None` if there is none.
pub(crate) fn authorities(pem: &[u8]) -> Option<RootCertStore> {
    store(CertificateDer::pem_slice_iter(pem).flatten())
}

/// The authorities of the system; `None` if it has none.
///
/// Its store, not a list that is compiled in: what its administrator adds or distrusts counts here too, without another
/// version.
pub(crate) fn system_authorities() -> Option<RootCertStore> {
    store(rustls_native_certs::load_native_certs().certs)
}

fn store<'a>(certificates: impl IntoIterator<Item = CertificateDer<'a>>) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    (added > 0).then_some(roots)
}

/// Why an answer was not read.
pub(crate) enum Unread {
    /// It is longer.
    TooLarge,
    /// The connection broke.
    Broken(reqwest::Error),
}

/// Reads at most so many bytes of an answer; more is none.
pub(crate) async fn body(mut response: Response, most: usize) -> Result<Bytes, Unread> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len().saturating_add(chunk.len()) > most {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The innermost reason: the outer ones say no more than that a request failed, and to which address.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
