//! People and services whom real identity providers vouch for: how they come in, and how their access ends.

#[path = "identity/clients.rs"]
mod clients;
#[path = "identity/corp.rs"]
mod corp;
#[path = "identity/device.rs"]
mod device;
#[path = "identity/document.rs"]
mod document;
#[path = "identity/logout.rs"]
mod logout;
#[path = "identity/names.rs"]
mod names;
#[path = "identity/others.rs"]
mod others;
#[path = "identity/provision.rs"]
mod provision;
#[path = "identity/recheck.rs"]
mod recheck;
#[path = "identity/refused.rs"]
mod refused;
#[path = "identity/scim.rs"]
mod scim;
#[path = "../../benches/gateway/identity/serving.rs"]
mod serving;
#[path = "identity/sign_in.rs"]
mod sign_in;
#[path = "identity/signals.rs"]
mod signals;
#[path = "../../benches/gateway/identity/signer.rs"]
mod signer;
#[path = "identity/step_up.rs"]
mod step_up;
#[path = "identity/transmitter.rs"]
mod transmitter;
