//! Automation that keeps its connection to the API, as a provisioning service does.

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, Namespace};
use gateway_userspace::urgency::be_prompt;
use reqwest::{Certificate, Client, Method};
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::runtime::{Builder, Runtime};

const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who asks the API.
pub struct Caller {
    host: Namespace,
    runtime: Runtime,
    http: Client,
    base: String,
    token: Option<String>,
}

/// What came of a request.
pub struct Answered {
    /// The body.
    pub body: Value,
    /// Just before it was sent, in nanoseconds of the Unix epoch.
    pub sent: i128,
    /// Nanoseconds until all of the answer was there.
    pub took: i128,
}

impl Caller {
    /// The administrator, on the gateway itself.
    pub fn administrator(gate: &Gate) -> Result<Self> {
        let token = std::fs::read_to_string(gate.world.scratch().join("state/admin.token"))?;
        let base = "https://127.0.0.1:8443".to_owned();
        Self::new(gate, &gate.world.gateway, base, None, Some(token.trim().to_owned()))
    }

    /// An identity provider on the gateway's host, with what it shows.
    pub fn provider(gate: &Gate, token: Option<&str>) -> Result<Self> {
        let base = "https://127.0.0.1:8443".to_owned();
        Self::new(gate, &gate.world.gateway, base, None, token.map(str::to_owned))
    }

    /// A client that logs in from one of its addresses.
    pub fn client(gate: &Gate, portal: IpAddr, address: IpAddr) -> Result<Self> {
        Self::new(gate, &gate.world.client, format!("https://{portal}"), Some(address), None)
    }

    fn new(
        gate: &Gate,
        host: &Namespace,
        base: String,
        address: Option<IpAddr>,
        token: Option<String>,
    ) -> Result<Self> {
        // Whoever came first has installed it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let authority = std::fs::read(gate.world.scratch().join("state/api.crt"))?;
        let http = Client::builder()
            .add_root_certificate(Certificate::from_pem(&authority)?)
            .local_address(address)
            .no_proxy()
            .timeout(PATIENCE)
            .build()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { host: host.clone(), runtime, http, base, token })
    }

    /// Asks.
    pub fn call(&self, method: &Method, path: &str, body: Option<(&str, String)>) -> Result<Answered> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        // A connection that has to be opened is opened by this thread. It stands for one on another machine, which has a CPU
        // of its own.
        self.host
            .enter(|| {
                be_prompt()?;
                self.runtime.block_on(async {
                    let sent = OffsetDateTime::now_utc().unix_timestamp_nanos();
                    let answer = request.send().await?;
                    let status = answer.status();
                    let text = answer.text().await?;
                    let took = OffsetDateTime::now_utc().unix_timestamp_nanos() - sent;
                    ensure!(status.is_success(), "{method} {path}: {status}: {text}");
                    let body = if text.starts_with('{') { serde_json::from_str(&text)? } else { Value::Null };
                    Ok(Answered { body, sent, took })
                })
            })?
            .with_context(|| format!("{method} {path}"))
    }
}
