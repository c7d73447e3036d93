//! The audit trail: its entries, its head, and what verifying it has found.

use crate::record::audit::{self, Beginning, Compared, Condition, Edge, Found, Report};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// An entry of the audit trail. It is passed on as it stands there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its number.
    pub seq: u64,
    /// When it happened.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub time: OffsetDateTime,
    /// What happened: `login`, `session_ended`, `admin`, and others.
    #[serde(rename = "type")]
    pub kind: String,
    /// What else there is to say; which fields there are depends on the type.
    #[serde(flatten)]
    pub fields: BTreeMap<String, Value>,
    /// The hash of the entry before.
    pub prev: String,
    /// Its own hash.
    pub hash: String,
}

/// How the audit trail of the gateway is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// The last entry that the disk has, as `SEQ:HASH`: write it down, and `portcullis audit verify --head` tells later whether
    /// what led to it is still the same. Absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// When that was written.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub time: Option<OffsetDateTime>,
    /// Whether nothing was found broken since the daemon started.
    pub intact: bool,
    /// Where it was.
    pub flaws: Vec<AuditFlaw>,
    /// Entries that wait for the disk.
    pub waiting: usize,
    /// Entries that were lost since the daemon started.
    pub lost: u64,
}

/// Where the audit trail is not what was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditFlaw {
    /// The file in the folder of the trail.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong: `changed`, `missing`, `replaced`, `out_of_place`, and others.
    pub flaw: String,
    /// What that means.
    pub means: String,
}

/// What `portcullis audit verify` has found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditReport {
    /// Whether there is a trail, nothing is wrong with it, and the head that was written down is in it.
    pub verified: bool,
    /// How many files there are.
    pub files: usize,
    /// How many entries are what was written.
    pub entries: u64,
    /// With what they begin: `trail`, `later` (older files are not there) or `break`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<String>,
    /// The first entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<AuditEdge>,
    /// The last entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<AuditEdge>,
    /// The last entry, as `SEQ:HASH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// What is wrong; at most sixteen places.
    pub flaws: Vec<AuditFlaw>,
    /// How many more there are.
    pub more_flaws: u64,
    /// How the head that was written down compares: `same`, `other`, `cut_off`, `before`, `absent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_down: Option<String>,
}

/// An entry at the edge of what is there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditEdge {
    /// Its number.
    pub seq: u64,
    /// When it was written.
    pub time: String,
}

impl From<&Found> for AuditFlaw {
    fn from(found: &Found) -> Self {
        let Found { file, line, flaw } = found;
        Self { file: file.clone(), line: *line, flaw: flaw.label().into(), means: flaw.to_string() }
    }
}

impl From<&Condition> for AuditHead {
    fn from(condition: &Condition) -> Self {
        let Condition { kept, flaws, waiting, lost } = condition;
        Self {
            head: kept.map(|kept: audit::Kept| kept.head.to_string()),
            time: kept.map(|kept| kept.time),
            intact: flaws.is_empty(),
            flaws: flaws.iter().map(AuditFlaw::from).collect(),
            waiting: *waiting,
            lost: *lost,
        }
    }
}

impl From<&Report> for AuditReport {
    fn from(report: &Report) -> Self {
        let Report { files, entries, begins, first, last, head, flaws, more_flaws, compared } = report;
        let edge = |edge: &Edge| AuditEdge { seq: edge.seq, time: edge.time.clone() };
        let begins = begins.map(|begins| match begins {
            Beginning::Trail => "trail",
            Beginning::Later => "later",
            Beginning::Break => "break",
        });
        let written_down = compared.as_ref().map(|compared| match compared {
            Compared::Same => "same",
            Compared::Other(_) => "other",
            Compared::CutOff(_) => "cut_off",
            Compared::Before(_) => "before",
            Compared::Absent => "absent",
        });
        Self {
            verified: report.is_whole(),
            files: *files,
            entries: *entries,
            begins: begins.map(str::to_owned),
            first: first.as_ref().map(edge),
            last: last.as_ref().map(edge),
            head: head.map(|head| head.to_string()),
            flaws: flaws.iter().map(AuditFlaw::from).collect(),
            more_flaws: *more_flaws,
            written_down: written_down.map(str::to_owned),
        }
    }
}
