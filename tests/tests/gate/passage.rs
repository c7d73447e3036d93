//! What belongs to a permitted connection passes with it.

use std::net::SocketAddr;

use anyhow::Result;
use gateway_tests::{Gate, Outcome, tcp_connect};

use crate::scene::{FAMILIES, SOON};

/// Granted, and nobody is there.
const CLOSED: u16 = 443;

#[test]
fn a_server_that_refuses_is_heard() -> Result<()> {
    let gate = Gate::open()?;
    for family in FAMILIES {
        family.alice(&gate)?;
        assert_eq!(tcp_connect(&gate.world.client, SocketAddr::new(family.crm, CLOSED), SOON)?, Outcome::Refused);
    }
    Ok(())
}

#[test]
fn a_login_from_behind_an_unguarded_interface_is_refused() -> Result<()> {
    let gate = Gate::open()?;
    for family in FAMILIES {
        let problem = gate.try_login(&gate.world.app, family.guard0, "alice")?.problem(403)?;
        assert_eq!(problem["type"], "urn:portcullis:problem:not-guarded");
    }
    Ok(())
}
