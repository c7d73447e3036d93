//! The two messages of RFC 8936.

use super::super::refusal::SetError;
use super::MAX_EVENTS;
use crate::identity::json::object;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PollRequest {
    /// As many events at once.
    pub max_events: usize,
    /// Whether the answer shall come even if there are none. It shall not: the transmitter holds it.
    pub return_immediately: bool,
    /// The events that are dealt with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ack: Vec<String>,
    /// The events that are refused.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set_errs: BTreeMap<String, SetError>,
}

/// One event of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its name.
    pub jti: String,
    /// Its token.
    pub token: String,
}

/// What is answered. `moreAvailable` is not looked at: after events one asks again anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollMessage {
    /// The events. Those over the number that was asked for are left for the next time.
    pub sets: Vec<Delivery>,
}

impl PollMessage {
    /// Reads an answer. `None` if it is not one: each event has one token, and each member stands there once.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let message = object(body).ok()?;
        let sets = message.get("sets")?.as_object()?;
        let sets = sets.iter().map(|(jti, token)| Some((jti, token.as_str()?))).collect::<Option<BTreeMap<_, _>>>()?;
        let delivery = |(jti, token): (&String, &str)| Delivery { jti: jti.clone(), token: token.to_owned() };
        Some(Self { sets: sets.into_iter().take(MAX_EVENTS).map(delivery).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ssf::Refusal;
    use serde_json::{Map, Value, json};

    #[test]
    fn a_request_is_as_rfc_8936_has_it() {
        let mut request =
            PollRequest { max_events: 64, return_immediately: false, ack: vec![], set_errs: BTreeMap::new() };
        let written = serde_json::to_value(&request).unwrap();
        assert_eq!(written, json!({"maxEvents": 64, "returnImmediately": false}));
        request.ack.push("1".into());
        request.set_errs.insert("2".into(), Refusal::UnexpectedState.into());
        let written = serde_json::to_value(&request).unwrap();
        assert_eq!((&written["ack"], &written["setErrs"]["2"]["err"]), (&json!(["1"]), &json!("invalid_state")));
    }

    #[test]
    fn an_answer_has_its_events_and_may_have_more_members() {
        let read = PollMessage::read(br#"{"sets": {"a": "t1", "b": "t2"}, "moreAvailable": true, "x": 1}"#).unwrap();
        let delivered: Vec<_> = read.sets.iter().map(|one| (one.jti.as_str(), one.token.as_str())).collect();
        assert_eq!(delivered, [("a", "t1"), ("b", "t2")]);
        assert_eq!(PollMessage::read(br#"{"sets": {}}"#).unwrap().sets, []);
    }

    #[test]
    fn what_is_no_answer_is_refused_as_a_whole() {
        let wrong: [&[u8]; 7] = [
            b"",
            b"[]",
            b"{}",
            br#"{"sets": []}"#,
            br#"{"sets": {"a": 1}}"#,
            br#"{"sets": {"a": "t1", "a": "t2"}}"#,
            br#"{"sets": {}, "sets": {}}"#,
        ];
        for body in wrong {
            assert_eq!(PollMessage::read(body), None, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn more_events_than_were_asked_for_are_left_for_the_next_time() {
        let sets: Map<String, Value> = (0..1000).map(|n| (n.to_string(), json!("t"))).collect();
        let body = json!({ "sets": sets }).to_string();
        assert_eq!(PollMessage::read(body.as_bytes()).unwrap().sets.len(), MAX_EVENTS);
    }
}
