//! Borrowing the address of a session helps nobody.

use anyhow::Result;
use gateway_tests::{Gate, Namespace, gate::Drops, link, world::at};

use crate::scene::{Apps, FAMILIES, Family, V4, V6, is_kept_out, reaches};

#[test]
fn the_address_of_a_session_with_another_mac_is_source_spoofed() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(&gate)?;
        reaches(client, family.crm());
        let before = gate.drops()?;
        link::mac(client, "eth0", "02:77:00:00:00:99")?;
        link::neighbour(client, "eth0", &family.guard0.to_string(), at::GUARD0_MAC)?;
        is_kept_out(client, family.crm());
        assert_eq!(others_than_claims(&gate, &before)?, ["guard0/source_spoofed"]);
        link::mac(client, "eth0", at::CLIENT_MAC)?;
        reaches(client, family.crm());
    }
    Ok(())
}

#[test]
fn the_address_of_a_session_on_another_interface_has_no_session() -> Result<()> {
    let gate = Gate::open()?;
    borrowed(&gate, "guard1/no_session")
}

#[test]
fn the_address_of_a_session_on_another_interface_of_its_zone_is_source_spoofed() -> Result<()> {
    let gate = Gate::with(|config| {
        config
            .replace("\"guard0\"", "\"guard0\"\nzone = \"branch\"")
            .replace("\"guard1\"", "\"guard1\"\nzone = \"branch\"")
    })?;
    borrowed(&gate, "guard1/source_spoofed")
}

fn borrowed(gate: &Gate, expected: &str) -> Result<()> {
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(gate)?;
        reaches(&gate.world.client, family.crm());
        let before = gate.drops()?;
        borrow(&gate.world.client2, family)?;
        is_kept_out(&gate.world.client2, family.crm());
        assert_eq!(others_than_claims(gate, &before)?, [expected]);
    }
    Ok(())
}

/// What was dropped since, but for the address resolution by which a borrower claims the address.
fn others_than_claims(gate: &Gate, before: &Drops) -> Result<Vec<String>> {
    let mut reasons = gate.reasons_since(before)?;
    reasons.retain(|reason| !reason.ends_with("/neighbour_spoofed"));
    Ok(reasons)
}

#[test]
fn a_claim_to_the_address_of_a_session_is_neighbour_spoofed_and_goes_no_further() -> Result<()> {
    let gate = Gate::open()?;
    let client = &gate.world.client;
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(&gate)?;
        reaches(client, family.crm());
        let before = gate.drops()?;
        client.run(&["ip", "neigh", "flush", "dev", "eth0"])?;
        link::mac(client, "eth0", "02:77:00:00:00:99")?;
        is_kept_out(client, family.crm());
        assert_eq!(gate.reasons_since(&before)?, ["guard0/neighbour_spoofed"]);
        let known = gate.world.gateway.run(&["ip", "neigh", "show", &family.client.to_string(), "dev", "guard0"])?;
        assert!(!known.contains("02:77:00:00:00:99"), "{known}");
        link::mac(client, "eth0", at::CLIENT_MAC)?;
        reaches(client, family.crm());
    }
    Ok(())
}

/// The second client speaks with the address of the first.
fn borrow(host: &Namespace, family: Family) -> Result<()> {
    let length = if family.client.is_ipv4() { 32 } else { 128 };
    link::address(host, "eth0", &format!("{}/{length}", family.client))?;
    let own = if family.client.is_ipv4() { V4.guard1 } else { V6.guard1 };
    link::neighbour(host, "eth0", &own.to_string(), at::GUARD1_MAC)?;
    host.ip(&[format!("route replace {}/{length} via {own} src {}", family.crm, family.client)])
}
