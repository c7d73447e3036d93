//! How many people can log in within a second: TLS, a password hashed with Argon2id, policy, the store, the tables.
//!
//! Guessing is limited by address and by user, so it takes many addresses, each with its own person's session, and no
//! more rounds than an address may log in at once.

use crate::measure::row::Row;
use anyhow::{Context as _, Result, ensure};
use gateway_tests::Gate;
use gateway_tests::gate::PASSWORD;
use serde_json::json;
use std::net::Ipv4Addr;
use std::time::Instant;

/// Who logs in at the same time.
const AT_ONCE: usize = 4;
/// Addresses, each of which logs in once a round.
const ADDRESSES: usize = 40;
/// So many of them belong to one user.
const ADDRESSES_OF_A_USER: usize = 10;
/// What an address may do at once.
const MOST_ROUNDS: usize = 9;

/// One figure.
pub fn measure(rounds: usize) -> Result<Vec<Row>> {
    let gate = Gate::open()?;
    for user in 0..ADDRESSES / ADDRESSES_OF_A_USER {
        gate.introduce(&format!("user{user}"), "finance")?;
    }
    let addresses: Vec<String> = (0..ADDRESSES).map(|n| format!("address add {}/24 dev eth0", address(n))).collect();
    gate.world.client.ip(&addresses)?;
    let mut rates = Vec::new();
    for _ in 0..rounds.min(MOST_ROUNDS) {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let turns = |first| (first..ADDRESSES).step_by(AT_ONCE).try_for_each(|number| log_in(&gate, number));
            let threads: Vec<_> = (0..AT_ONCE).map(|first| scope.spawn(move || turns(first))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().ok().context("a thread has panicked")?)
        })?;
        rates.push(ADDRESSES as f64 / began.elapsed().as_secs_f64());
    }
    Ok(vec![Row::new("login by curl, four at a time", "rate", "/s", rates)])
}

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 77, 0, 100)) + number as u32)
}

fn log_in(gate: &Gate, number: usize) -> Result<()> {
    let body = json!({ "username": format!("user{}", number / ADDRESSES_OF_A_USER), "password": PASSWORD });
    let mut curl = gate.world.client.command("curl")?;
    curl.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "10", "--noproxy", "*"]);
    curl.args(["--header", "Content-Type: application/json", "--data", &body.to_string()]);
    curl.args(["--interface", &address(number).to_string()]);
    curl.arg("--cacert").arg(gate.world.scratch().join("state/api.crt")).arg("https://10.77.0.1/v1/login");
    let output = curl.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "login {number}: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
