//! Forwarding in XDP: what is permitted goes past the network stack, and everything else is as it was.

use anyhow::Result;
use gateway_tests::{Gate, World, link};

use crate::scene::{Apps, FAMILIES, is_kept_out, reaches};

/// The demonstration with forwarding in XDP on both interfaces.
pub fn in_xdp(config: String) -> String {
    let config = config.replace("name = \"guard0\"", "name = \"guard0\"\nforward = \"xdp\"");
    let config = config.replace("name = \"guard1\"", "name = \"guard1\"\nforward = \"xdp\"");
    config + "\n[forwarding]\napp_interfaces = [\"apps0\"]\n"
}

/// A world of which the links can forward in XDP: the hosts complete their checksums, take what is redirected to them, and
/// tags stay in frames.
pub fn able() -> Result<World> {
    let world = World::new()?;
    for host in [&world.client, &world.client2, &world.app] {
        link::offload(host, "eth0", &["tx"], false)?;
        link::offload(host, "eth0", &["gro"], true)?;
    }
    for name in ["guard0", "guard1", "apps0"] {
        link::offload(&world.gateway, name, &["rxvlan", "rx-vlan-stag-hw-parse"], false)?;
    }
    Ok(world)
}

#[test]
fn what_is_permitted_passes_both_ways_and_what_is_not_does_not() -> Result<()> {
    let gate = Gate::inside(able()?, in_xdp)?;
    for family in FAMILIES {
        let _apps = Apps::start(&gate.world, family)?;
        family.alice(&gate)?;
        reaches(&gate.world.client, family.crm());
        is_kept_out(&gate.world.client, family.vault());
    }
    Ok(())
}
