//! A server over HTTPS, on a thread of its own.

use anyhow::{Context as _, Result};
use axum::Router;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::runtime::Builder;

/// At work. Dropping ends it.
pub struct Serving {
    handle: Handle<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Begins, with a certificate and its key (PEM). Also the number of its thread.
    pub fn start(listener: TcpListener, pem: (Vec<u8>, Vec<u8>), routes: Router) -> Result<(Self, i32)> {
        listener.set_nonblocking(true)?;
        let (handle, (tell, told)) = (Handle::new(), mpsc::channel());
        let own = handle.clone();
        // Whoever came first has installed it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let thread = std::thread::spawn(move || {
            // Whoever waits for the number sees that it has failed.
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
            let _ = tell.send(nix::unistd::gettid().as_raw());
            let _ = runtime.block_on(serve(listener, pem, routes, own));
        });
        let task = told.recv().context("the server has no thread")?;
        Ok((Self { handle, thread: Some(thread) }, task))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.handle.shutdown();
        self.thread.take().map(JoinHandle::join);
    }
}

async fn serve(
    listener: TcpListener,
    (certificate, key): (Vec<u8>, Vec<u8>),
    routes: Router,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let tls = RustlsConfig::from_pem(certificate, key).await?;
    // Otherwise an answer waits until the one before it has been acknowledged.
    let acceptor = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new());
    axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle).serve(routes.into_make_service()).await
}
