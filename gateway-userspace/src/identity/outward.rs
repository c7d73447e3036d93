//! How those who are asked for something outside are asked: by HTTPS only, without redirects and proxies, and of an answer
//! no more is read than was agreed.

use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder, Response, redirect};
use std::error::Error;

/// A client that trusts whom `tls` trusts.
pub(super) fn builder(tls: rustls::ClientConfig) -> ClientBuilder {
    Client::builder()
        .use_preconfigured_tls(tls)
        .https_only(true)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .tcp_nodelay(true)
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
}

/// Why an answer was not read.
pub(super) enum Unread {
    /// It is longer.
    TooLarge,
    /// The connection broke.
    Broken(reqwest::Error),
}

/// Reads at most so many bytes of an answer; more is none.
pub(super) async fn body(mut response: Response, most: usize) -> Result<Bytes, Unread> {
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
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
