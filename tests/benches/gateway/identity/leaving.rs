//! The ways in which a provider takes access away, each from somebody in the middle of sending.

use super::corp::{Corp, PUSH_TOKEN, SCIM_TOKEN, SESSIONS};
use crate::crowd::{self, pushed};
use crate::measure::row::Row;
use crate::revocation::Scene;
use crate::revocation::caller::Caller;
use crate::revocation::latencies::{Latencies, last_packets};
use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

const SCIM: &str = "application/scim+json";
const FORM: &str = "application/x-www-form-urlencoded";
const EVENT: &str = "application/secevent+jwt";

/// A way.
#[derive(Clone, Copy)]
enum Way {
    Suspended,
    LeftGroup,
    LoggedOut,
    Revoked,
}

/// All of them. Each has leavers of its own.
const WAYS: [Way; KINDS as usize] = [Way::Suspended, Way::LeftGroup, Way::LoggedOut, Way::Revoked];
/// How many.
pub const KINDS: u32 = 4;

/// Each of them for so many people, in turn.
pub fn measure(corp: &Corp, samples: u32) -> Result<Vec<Row>> {
    let mut scene = Scene::new(&corp.gate, false)?;
    let ways = WAYS.map(|way| (way, Latencies::default()));
    let mut ways: Vec<_> =
        ways.into_iter().map(|(way, latencies)| Ok((way, way.caller(corp)?, latencies))).collect::<Result<_>>()?;
    for number in 0..samples {
        for ((way, caller, latencies), kind) in ways.iter_mut().zip(0..) {
            let leaver = kind * samples + number;
            let (method, path, (kind, body)) = way.request(corp, leaver)?;
            let numbers = scene.markers.of(&[crowd::address(leaver)])?;
            let answered = caller.call(&method, &path, Some((kind, body)))?;
            latencies.add(caller, &answered, &last_packets(&scene.markers, &numbers))?;
        }
    }
    Ok(ways.into_iter().flat_map(|(way, _, latencies)| latencies.rows(way.name(), SESSIONS, "idle")).collect())
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Suspended => "SCIM: `active: false`",
            Self::LeftGroup => "SCIM: removed from a group",
            Self::LoggedOut => "back-channel logout",
            Self::Revoked => "CAEP: session revoked",
        }
    }

    /// Who says so.
    fn caller(self, corp: &Corp) -> Result<Caller> {
        let token = match self {
            Self::Suspended | Self::LeftGroup => Some(SCIM_TOKEN),
            // The token that is sent proves itself.
            Self::LoggedOut => None,
            Self::Revoked => Some(PUSH_TOKEN),
        };
        Caller::provider(&corp.gate, token)
    }

    /// What is sent of a leaver. Whatever has to be signed is.
    fn request(self, corp: &Corp, leaver: u32) -> Result<(Method, String, (&'static str, String))> {
        let document = pushed::document(leaver);
        Ok(match self {
            Self::Suspended => {
                let patch = patch(&json!({ "op": "Replace", "path": "active", "value": false }));
                (Method::PATCH, format!("/scim/v2/Users/{document}"), (SCIM, patch))
            }
            Self::LeftGroup => {
                let members = [json!({ "value": document.to_string() })];
                let patch = patch(&json!({ "op": "Remove", "path": "members", "value": members }));
                (Method::PATCH, format!("/scim/v2/Groups/{}", pushed::group_document()), (SCIM, patch))
            }
            Self::LoggedOut => {
                let token = corp.provider.logout(&crowd::leaver(leaver))?;
                (Method::POST, "/oidc/corp/logout".to_owned(), (FORM, token))
            }
            Self::Revoked => {
                let token = corp.provider.revoked(&crowd::leaver(leaver))?;
                (Method::POST, "/ssf/corp".to_owned(), (EVENT, token))
            }
        })
    }
}

/// One operation, as Entra writes it.
fn patch(operation: &Value) -> String {
    let schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
    json!({ "schemas": [schema], "Operations": [operation] }).to_string()
}
