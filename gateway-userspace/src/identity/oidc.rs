//! People in by OpenID Connect: the relying party. Discovery, authorization code with PKCE, device code, refresh, logout
//! in both directions, and the access tokens of services.
//!
//! What a provider says is checked in three places: where it says it (`http`, `discovery`), who signed it
//! ([`super::jose`]), and what it means (`proven`). Who may come in, and what becomes of a [`Proven`], is decided
//! elsewhere; sessions are none of this module's business. Nothing sleeps here: time comes in as a value.

mod device;
mod discovery;
mod http;
mod login;
mod logout;
mod parameters;
mod preset;
mod proven;
mod provider;
mod refresh;
mod refusal;
mod replays;
mod roots;
mod service;
mod settings;

#[cfg(test)]
pub(crate) mod tests;

pub use device::{DevicePending, DevicePoll, DeviceStart};
pub use login::{Ask, Begun, Pending, Prompt};
pub use logout::LogoutToken;
pub use parameters::Parameters;
pub use preset::{Preset, UnknownPreset};
pub use proven::Proven;
pub use provider::Provider;
pub use refresh::{RefreshError, Refreshed};
pub use refusal::Refusal;
pub use replays::Replays;
pub use roots::config as authorities;
pub use settings::{ClaimNames, Settings, SettingsError};
