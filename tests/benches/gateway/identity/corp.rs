//! A company: its provider, and a gateway that has been told of its people and has their sessions.

use super::provider::{AUDIENCE, CLIENT, Provider};
use crate::crowd::Crowd;
use crate::filled::Filled;
use anyhow::Result;
use gateway_tests::gate::Gate;
use gateway_tests::world::World;
use std::fs;

/// Sessions that stay, of a thousand people.
pub const SESSIONS: u32 = 10_000;
/// Where browsers find the gateway.
pub const PORTAL: &str = "https://10.77.0.1";
/// What the provider shows when it pushes users and groups, and events.
pub const SCIM_TOKEN: &str = "the token of the company";
pub const PUSH_TOKEN: &str = "the token of the stream";

/// A company at work. Dropping ends and removes everything.
pub struct Corp {
    pub provider: Provider,
    pub crowd: Crowd,
    pub gate: Gate,
}

impl Corp {
    /// With so many people more, who have a session each.
    pub fn open(leavers: u32) -> Result<Self> {
        let crowd = Crowd { sessions: SESSIONS + leavers, leavers, pushed: true };
        let world = World::new()?;
        let provider = Provider::start(&world.gateway)?;
        let scratch = world.scratch();
        fs::write(scratch.join("provider.pem"), provider.certificate())?;
        fs::write(scratch.join("scim"), SCIM_TOKEN)?;
        fs::write(scratch.join("push"), format!("Bearer {PUSH_TOKEN}"))?;
        let section = section(provider.issuer());
        let url = format!("[login]\nurl = \"{PORTAL}\"");
        let mut filled = Filled::inside(world, crowd, |config| config.replace("[login]", &url) + &section)?;
        filled.start()?;
        filled.gate.says("the identity provider answers")?;
        Ok(Self { provider, crowd, gate: filled.gate })
    }
}

fn section(issuer: &str) -> String {
    format!(
        r#"
[[provider]]
name = "corp"
issuer = "{issuer}"
client_id = "{CLIENT}"
ca = "{{scratch}}/provider.pem"
users = "scim"
groups = "scim"

[provider.scim]
token_file = "{{scratch}}/scim"

[provider.signals]
audience = "{AUDIENCE}"
delivery = "push"
authorization_file = "{{scratch}}/push"
"#
    )
}
