//! How many people can log in by OpenID Connect within a second: TLS, sign-in, the exchange of the code, the ID token's
//! signature, policy, the store, the tables.
//!
//! Everybody opens a connection of their own, as a browser does that has never been here, and logs in at the address at
//! which they have a session; the new one replaces it. Browsers and provider run on the same CPUs.

use super::corp::{Corp, PORTAL, SESSIONS};
use super::provider::Provider;
use crate::crowd;
use crate::measure::row::Row;
use anyhow::{Context as _, Result, ensure};
use gateway_tests::process::time_at_work;
use nix::time::{ClockId, clock_gettime};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

/// Who logs in at the same time.
const AT_ONCE: u32 = 32;
/// Logins of a round, each of somebody else.
const LOGINS: u32 = 1_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// The rate, how long one takes, and what takes the CPU's time.
pub fn measure(corp: &Corp, rounds: usize) -> Result<Vec<Row>> {
    let (mut rates, mut took, mut shares) = (Vec::new(), Vec::new(), <[Vec<f64>; 3]>::default());
    let tls = tls(corp)?;
    // Connections to the provider are made and kept, and everybody is known by their subject, as in any but the first hour.
    round(corp, &tls)?;
    for _ in 0..rounds {
        let (before, began) = (busy(corp)?, Instant::now());
        took.extend(round(corp, &tls)?);
        rates.push(f64::from(LOGINS) / began.elapsed().as_secs_f64());
        for ((share, before), after) in shares.iter_mut().zip(before).zip(busy(corp)?) {
            share.push((after - before) / f64::from(LOGINS));
        }
    }
    let row = |metric, unit, values| {
        Row::new("OpenID Connect login, 32 at a time", metric, unit, values).size(SESSIONS as usize)
    };
    let [daemon, provider, browser] = shares;
    Ok(vec![
        row("rate", "/s", rates),
        row("time for each", "ms", took),
        row("CPU time for each, daemon", "µs", daemon),
        row("CPU time for each, provider", "µs", provider),
        row("CPU time for each, browser", "µs", browser),
    ])
}

/// Everybody once: milliseconds for each.
fn round(corp: &Corp, tls: &ClientConfig) -> Result<Vec<f64>> {
    // All connections are opened by this thread, inside the client's host.
    corp.gate.world.client.enter(|| {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let mut turns = JoinSet::new();
            for first in 0..AT_ONCE {
                let (crowd, tls) = (corp.crowd, tls.clone());
                turns.spawn(async move {
                    let mut took = Vec::new();
                    for number in (first..LOGINS).step_by(AT_ONCE as usize) {
                        let number = crowd.leavers + number;
                        let (user, address) = (crowd.user(number), crowd::address(number).into());
                        let began = Instant::now();
                        let login = log_in(tls.clone(), address, &user).await;
                        login.with_context(|| format!("login of {user} at {address}"))?;
                        took.push(began.elapsed().as_secs_f64() * 1e3);
                    }
                    anyhow::Ok(took)
                });
            }
            let took = turns.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
            Ok(took.concat())
        })
    })?
}

async fn log_in(tls: ClientConfig, address: IpAddr, user: &str) -> Result<()> {
    let browser = Client::builder().use_preconfigured_tls(tls).local_address(address);
    let browser = browser.no_proxy().redirect(redirect::Policy::none()).timeout(PATIENCE).build()?;
    let sent = browser.get(format!("{PORTAL}/sign-in/corp")).send().await?;
    ensure!(sent.status() == StatusCode::SEE_OTHER, "not sent to the provider: {}", sent.status());
    let (there, cookie) = (Url::parse(header(&sent, LOCATION.as_str())?)?, header(&sent, SET_COOKIE.as_str())?);
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let asked = |name: &str| {
        let found = there.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        found.with_context(|| format!("no `{name}` in {there}"))
    };
    let (state, code) = (asked("state")?, Provider::code(&asked("nonce")?, user));
    // Only then may the connection be used again.
    drop(sent.bytes().await?);
    let back = Url::parse_with_params(&format!("{PORTAL}/sign-in/corp/callback"), [("state", state), ("code", code)])?;
    let answer = browser.get(back).header(COOKIE, cookie).send().await?;
    let status = answer.status();
    ensure!(status == StatusCode::SEE_OTHER, "not let in: {status}: {}", answer.text().await?);
    Ok(())
}

fn header<'r>(response: &'r Response, name: &str) -> Result<&'r str> {
    Ok(response.headers().get(name).with_context(|| format!("no `{name}`"))?.to_str()?)
}

/// Of a browser that has never been here.
fn tls(corp: &Corp) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(corp.gate.world.scratch().join("state/api.crt"))?)?;
    let mut tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    tls.resumption = Resumption::disabled();
    Ok(tls)
}

/// Microseconds at work so far: the daemon, the provider, and the rest of this process, which is the browsers.
fn busy(corp: &Corp) -> Result<[f64; 3]> {
    let daemon = time_at_work(corp.gate.daemon.pid())?.as_secs_f64() * 1e6;
    let provider = corp.provider.busy()? as f64 / 1e3;
    let own = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
    let own = own.tv_sec() as f64 * 1e6 + own.tv_nsec() as f64 / 1e3;
    Ok([daemon, provider, own - provider])
}
