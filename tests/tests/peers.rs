//! The identity peers keep their promises before any gateway is judged by them: each logs people in as its protocol
//! says, does what its owner asks, and is gone when it is dropped.

#[path = "peers/canaille.rs"]
mod canaille;
#[path = "peers/glewlwyd.rs"]
mod glewlwyd;
#[path = "peers/oidc_provider.rs"]
mod oidc_provider;
#[path = "peers/party.rs"]
mod party;
#[path = "peers/testers.rs"]
mod testers;
