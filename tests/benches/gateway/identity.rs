//! People of an identity provider: from the provider's word that somebody is to have no access to their last packet, with
//! ten thousand sessions; and how many people can log in within a second.
//!
//! The provider is this process, on the gateway's own host and CPUs. What it is asked while something is measured is the
//! exchange of a code for tokens: its keys are known by then, and stay known.

mod corp;
mod leaving;
mod logins;
mod provider;
mod serving;
mod signer;

use crate::measure::options::Options;
use crate::measure::progress::Progress;
use crate::measure::row::Row;
use anyhow::Result;
use corp::Corp;

/// All of it, at one gateway.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let progress = Progress::new();
    progress.say("identity: 10,000 sessions are stored");
    let corp = Corp::open(leaving::KINDS * options.samples)?;
    progress.say("identity: people leave");
    let mut rows = leaving::measure(&corp, options.samples)?;
    progress.say("identity: people log in");
    rows.extend(logins::measure(&corp, options.rounds)?);
    Ok(rows)
}
