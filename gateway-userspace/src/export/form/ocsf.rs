//! Events of the Open Cybersecurity Schema Framework, version 1.8.0 (<https://schema.ocsf.io/1.8.0>): network activity,
//! authentication, authorization of sessions, changes of accounts and of other entities.
//!
//! What of a record has a place in the schema goes there, and the rest below `unmapped`: nothing is left out.

use super::protocol;
use crate::export::Origin;
use crate::record::Archived;
use serde_json::{Map, Value, json};
use std::net::Ipv6Addr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The version of the schema.
const VERSION: &str = "1.8.0";

/// The class of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Class {
    uid: u64,
    name: &'static str,
    category: &'static str,
}

const BASE: Class = Class { uid: 0, name: "Base Event", category: "Uncategorized" };
const ACCOUNT: Class = Class { uid: 3001, name: "Account Change", category: IDENTITY };
const AUTHENTICATION: Class = Class { uid: 3002, name: "Authentication", category: IDENTITY };
const AUTHORIZATION: Class = Class { uid: 3003, name: "Authorize Session", category: IDENTITY };
const ENTITY: Class = Class { uid: 3004, name: "Entity Management", category: IDENTITY };
const NETWORK: Class = Class { uid: 4001, name: "Network Activity", category: "Network Activity" };

const IDENTITY: &str = "Identity & Access Management";

/// What was done with it: `activity_id` and its name.
type Activity = (u64, &'static str);

const OTHER: u64 = 99;

/// How much it matters: `severity_id` and its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Severity {
    Informational = 1,
    Low = 2,
    Medium = 3,
    High = 4,
}

/// An event, being made of what a record says.
struct Event {
    made: Map<String, Value>,
    /// What has found no place yet.
    rest: Map<String, Value>,
}

/// The event of a record.
pub(in crate::export) fn event(origin: &Origin, record: &Archived) -> Value {
    let mut event = Event { made: Map::new(), rest: record.fields.clone() };
    let kind = event.text("type").unwrap_or_default();
    let time = event.millis("time").unwrap_or(0);
    let is_alert = event.rest.remove("alert") == Some(Value::Bool(true));
    let (class, (activity, activity_name)) = match kind.as_str() {
        "login" => event.login(),
        "login_failed" => event.login_failed(),
        "session_end" => event.session_end(),
        "regranted" => event.regranted(),
        "admin" => event.admin(),
        "flow_start" => event.flow((1, "Open")),
        "flow_update" => event.flow((6, "Traffic")),
        "flow_end" => event.flow_end(),
        "denied" => event.denied(),
        _ => (BASE, (OTHER, "Other")),
    };
    let severity = if is_alert { Severity::High } else { severity(&kind, &event.made) };
    let Class { uid: class_uid, name: class_name, category } = class;
    event.put("class_uid", class_uid.into());
    event.put("class_name", class_name.into());
    event.put("category_uid", (class_uid / 1_000).into());
    event.put("category_name", category.into());
    event.put("activity_id", activity.into());
    event.put("activity_name", activity_name.into());
    event.put("type_uid", (class_uid * 100 + activity).into());
    event.put("type_name", format!("{class_name}: {activity_name}").into());
    event.put("time", time.into());
    event.put("severity_id", (severity as u64).into());
    event.put("severity", format!("{severity:?}").into());
    event.put("metadata", metadata(origin, record, &kind));
    event.put("device", json!({ "name": origin.gateway, "type_id": 9, "type": "Firewall" }));
    if is_alert {
        event.put("is_alert", true.into());
    }
    let Event { mut made, rest } = event;
    if !rest.is_empty() {
        made.insert("unmapped".into(), Value::Object(rest));
    }
    Value::Object(made)
}

fn metadata(origin: &Origin, record: &Archived, kind: &str) -> Value {
    let mut metadata = json!({
        "version": VERSION,
        "product": { "name": "Portcullis", "vendor_name": "Portcullis", "version": env!("CARGO_PKG_VERSION") },
        "log_name": kind,
        "log_provider": origin.gateway,
        "sequence": record.sequence,
        "profiles": ["host", "security_control"],
    });
    if let (Some(time), Value::Object(fields)) = (record.text("time"), &mut metadata) {
        fields.insert("original_time".into(), time.into());
    }
    metadata
}

/// Of what has no policy that wants to be told of it.
fn severity(kind: &str, made: &Map<String, Value>) -> Severity {
    let detail = made.get("status_detail").and_then(Value::as_str);
    match (kind, detail) {
        ("denied" | "session_end", Some("trip_wire" | "scan_detected")) => Severity::High,
        ("lost", _) => Severity::Medium,
        ("denied" | "login_failed" | "app_health", _) => Severity::Low,
        _ => Severity::Informational,
    }
}

impl Event {
    fn put(&mut self, name: &str, value: Value) {
        self.made.insert(name.to_owned(), value);
    }

    /// Takes a text out of the record.
    fn text(&mut self, field: &str) -> Option<String> {
        match self.rest.remove(field)? {
            Value::String(text) => Some(text),
            other => {
                self.rest.insert(field.to_owned(), other);
                None
            }
        }
    }

    /// Takes a moment out of the record, in milliseconds since 1970.
    fn millis(&mut self, field: &str) -> Option<i64> {
        let text = self.text(field)?;
        if let Ok(moment) = OffsetDateTime::parse(&text, &Rfc3339) {
            return i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok();
        }
        self.rest.insert(field.to_owned(), text.into());
        None
    }

    /// Puts members into an object, of those that the record has: the name here, and the name there.
    fn object(&mut self, members: &[(&str, &str)]) -> Map<String, Value> {
        let member = |(here, there): &(&str, &str)| Some(((*here).to_owned(), self.rest.remove(*there)?));
        members.iter().filter_map(member).collect()
    }

    /// As [`Self::object`], if there is any of them.
    fn put_object(&mut self, name: &str, members: &[(&str, &str)]) {
        let object = self.object(members);
        if !object.is_empty() {
            self.put(name, Value::Object(object));
        }
    }

    fn status(&mut self, is_success: bool, detail: Option<String>) {
        self.put("status_id", if is_success { 1 } else { 2 }.into());
        self.put("status", if is_success { "Success" } else { "Failure" }.into());
        if let Some(detail) = detail {
            self.put("status_detail", detail.into());
        }
    }

    /// What the gate did with it.
    fn disposition(&mut self, (action_id, action): (u64, &str), (disposition_id, disposition): (u64, &str)) {
        self.put("action_id", action_id.into());
        self.put("action", action.into());
        self.put("disposition_id", disposition_id.into());
        self.put("disposition", disposition.into());
    }

    /// Who was at the client's end, and by which session.
    fn actor(&mut self) {
        let mut actor = Map::new();
        for (name, field, member) in [("user", "user", "name"), ("session", "session", "uid")] {
            if let Some(text) = self.text(field) {
                actor.insert(name.to_owned(), json!({ member: text }));
            }
        }
        if !actor.is_empty() {
            self.put("actor", Value::Object(actor));
        }
    }

    /// Which policies have decided, and how.
    fn policies(&mut self, decision: &str) {
        let Some(Value::Array(names)) = self.rest.remove("policies") else { return };
        let decided = |name| json!({ "decision": decision, "policy": { "name": name } });
        let decided: Vec<_> = names.into_iter().map(decided).collect();
        if !decided.is_empty() {
            self.put("authorizations", decided.into());
        }
    }

    fn protocol(&mut self) -> Map<String, Value> {
        let name = self.text("protocol").unwrap_or_default();
        let addresses = ["client", "source", "destination"].map(|field| self.rest.get(field).and_then(Value::as_str));
        let mut addresses = addresses.into_iter().flatten().filter_map(|text| text.parse::<Ipv6Addr>().ok());
        // What was not understood of a packet is zero.
        let is_v6 = addresses.any(|address| !address.is_unspecified());
        let number = protocol(&name, is_v6);
        let mut info = Map::new();
        info.insert("protocol_name".into(), name.into());
        if let Some(number) = number {
            info.insert("protocol_num".into(), number.into());
        }
        info
    }

    /// The app, and how it is reached: before its ends are put.
    fn put_reached(&mut self, is_outbound: bool) {
        if let Some(app) = self.rest.get("app").cloned() {
            self.put("app_name", app);
        }
        let mut info = self.protocol();
        let (direction_id, direction) = if is_outbound { (2, "Outbound") } else { (1, "Inbound") };
        info.insert("direction_id".into(), direction_id.into());
        info.insert("direction".into(), direction.into());
        self.put("connection_info", Value::Object(info));
    }

    fn flow(&mut self, activity: Activity) -> (Class, Activity) {
        let is_by_app = self.rest.get("opened_by").and_then(Value::as_str) == Some("app");
        self.put_reached(is_by_app);
        self.put_object(
            "src_endpoint",
            &[("ip", "client"), ("port", "client_port"), ("interface_name", "interface"), ("zone", "zone")],
        );
        self.put_object("dst_endpoint", &[("ip", "destination"), ("port", "port"), ("svc_name", "app")]);
        self.actor();
        self.policies("Permit");
        self.traffic();
        self.status(true, None);
        self.disposition((1, "Allowed"), (1, "Allowed"));
        (NETWORK, activity)
    }

    /// As seen from the client: out is to the app.
    fn traffic(&mut self) {
        let mut traffic = self.object(&[
            ("packets_out", "to_app_packets"),
            ("bytes_out", "to_app_bytes"),
            ("packets_in", "to_client_packets"),
            ("bytes_in", "to_client_bytes"),
        ]);
        if traffic.is_empty() {
            return;
        }
        for (sum, parts) in [("packets", ["packets_out", "packets_in"]), ("bytes", ["bytes_out", "bytes_in"])] {
            let part = |name: &str| traffic.get(name).and_then(Value::as_u64).unwrap_or(0);
            let both = parts.map(part).into_iter().fold(0, u64::saturating_add);
            traffic.insert(sum.to_owned(), both.into());
        }
        self.put("traffic", Value::Object(traffic));
        if let (Some(start), Some(end)) = (self.millis("opened_at"), self.millis("last_seen")) {
            self.put("start_time", start.into());
            self.put("end_time", end.into());
            self.put("duration", end.saturating_sub(start).max(0).into());
        }
    }

    fn flow_end(&mut self) -> (Class, Activity) {
        let outcome = self.text("outcome");
        let is_reset = self.rest.get("tcp").and_then(Value::as_str) == Some("reset");
        let ended = self.flow(if is_reset { (3, "Reset") } else { (2, "Close") });
        if matches!(outcome.as_deref(), Some("revoked" | "policy")) {
            self.disposition((2, "Denied"), (24, "Access Revoked"));
        }
        self.status(true, outcome);
        ended
    }

    fn denied(&mut self) -> (Class, Activity) {
        let is_observed = self.rest.remove("observed") == Some(Value::Bool(true));
        let is_answered = self.rest.get("answered").and_then(Value::as_u64).is_some_and(|count| count > 0);
        let is_to_client = self.rest.get("direction").and_then(Value::as_str) == Some("to_client");
        self.put_reached(is_to_client);
        // The client's end is the guarded interface in its zone, whichever way the packets went.
        let (client, app) = ([("interface_name", "interface"), ("zone", "zone")], [("svc_name", "app")]);
        let (source, destination) = if is_to_client { (&app[..], &client[..]) } else { (&client[..], &app[..]) };
        self.put_object("src_endpoint", &[&[("ip", "source"), ("mac", "mac")][..], source].concat());
        self.put_object("dst_endpoint", &[&[("ip", "destination"), ("port", "port")][..], destination].concat());
        self.actor();
        self.policies("Forbid");
        if let Some(packets) = self.rest.remove("packets") {
            self.put("count", packets.clone());
            self.put("traffic", json!({ "packets": packets }));
        }
        if let (Some(first), Some(last)) = (self.millis("first"), self.millis("last")) {
            self.put("start_time", first.into());
            self.put("end_time", last.into());
        }
        let reason = self.text("reason");
        self.status(false, reason);
        match (is_observed, is_answered) {
            (true, _) => self.disposition((3, "Observed"), (17, "Logged")),
            (false, true) => self.disposition((2, "Denied"), (25, "Rejected")),
            (false, false) => self.disposition((2, "Denied"), (6, "Dropped")),
        }
        (NETWORK, (5, "Refuse"))
    }

    /// Whose session it is, from where, and where they log in.
    fn person(&mut self) {
        let name = self.text("user").unwrap_or_default();
        self.put("user", json!({ "name": name }));
        self.put_object(
            "src_endpoint",
            &[("ip", "source"), ("mac", "mac"), ("interface_name", "interface"), ("zone", "zone")],
        );
        self.put("service", json!({ "name": "Portcullis" }));
    }

    fn login(&mut self) -> (Class, Activity) {
        self.person();
        let mut session = self.object(&[("uid", "session")]);
        if let Some(until) = self.millis("until") {
            session.insert("expiration_time".into(), until.into());
        }
        self.put("session", Value::Object(session));
        let factors = match self.rest.remove("factors") {
            Some(Value::Array(factors)) => factors,
            _ => Vec::new(),
        };
        if let Some(is_mfa) = is_mfa(&factors) {
            self.put("is_mfa", is_mfa.into());
        }
        let factors: Vec<_> = factors.into_iter().map(factor).collect();
        self.put("auth_factors", factors.into());
        self.put("is_remote", true.into());
        self.status(true, None);
        self.disposition((1, "Allowed"), (1, "Allowed"));
        (AUTHENTICATION, (1, "Logon"))
    }

    fn login_failed(&mut self) -> (Class, Activity) {
        self.person();
        self.put("is_remote", true.into());
        let why = self.text("why");
        self.status(false, why);
        self.disposition((2, "Denied"), (2, "Blocked"));
        (AUTHENTICATION, (1, "Logon"))
    }

    fn session_end(&mut self) -> (Class, Activity) {
        self.person();
        let cause = self.text("cause");
        let mut session = self.object(&[("uid", "session")]);
        if let Some(cause) = &cause {
            session.insert("expiration_reason".into(), cause.as_str().into());
        }
        self.put("session", Value::Object(session));
        if let Some(by) = self.text("by") {
            self.put("actor", json!({ "user": { "name": by } }));
        }
        if matches!(cause.as_deref(), Some("logout" | "expired" | "replaced")) {
            self.disposition((1, "Allowed"), (1, "Allowed"));
        } else {
            self.disposition((2, "Denied"), (24, "Access Revoked"));
        }
        self.status(true, cause);
        (AUTHENTICATION, (2, "Logoff"))
    }

    fn regranted(&mut self) -> (Class, Activity) {
        let name = self.text("user").unwrap_or_default();
        self.put("user", json!({ "name": name }));
        self.put_object("session", &[("uid", "session")]);
        let gained = self.rest.remove("gained").unwrap_or_else(|| json!([]));
        self.put("privileges", gained);
        self.status(true, None);
        // What was lost has no place in the class.
        let has_lost = self.rest.get("lost").and_then(Value::as_array).is_some_and(|lost| !lost.is_empty());
        (AUTHORIZATION, if has_lost { (OTHER, "Change Privileges") } else { (1, "Assign Privileges") })
    }

    fn admin(&mut self) -> (Class, Activity) {
        if let Some(by) = self.text("by") {
            self.put("actor", json!({ "user": { "name": by } }));
        }
        self.put_object("src_endpoint", &[("ip", "from")]);
        let action = self.text("action").unwrap_or_default();
        let object = self.text("object").unwrap_or_default();
        self.status(true, None);
        let account = match action.as_str() {
            "password_set" => Some((4, "Password Reset")),
            "user_disabled" => Some((5, "Disable")),
            "user_removed" => Some((6, "Delete")),
            _ => None,
        };
        if let Some(activity) = account {
            self.put("user", json!({ "name": object }));
            return (ACCOUNT, activity);
        }
        let (what, done) = action.rsplit_once('_').unwrap_or((&action, ""));
        let (type_id, type_name) = match what {
            "user" | "service" => (2, "User"),
            "group" => (3, "Group"),
            "policy" | "bundle" | "generation" => (5, "Policy"),
            _ => (OTHER, what),
        };
        self.put("entity", json!({ "name": object, "type_id": type_id, "type": type_name }));
        self.put("comment", action.as_str().into());
        let activity = match done {
            "created" => (1, "Create"),
            "removed" | "revoked" => (4, "Delete"),
            "disabled" => (9, "Disable"),
            "confirmed" => (10, "Activate"),
            _ => (3, "Update"),
        };
        (ENTITY, activity)
    }
}

/// Whether they proved who they are in two ways, as `context.mfa` has it: a passkey is two. What a provider has asked for is
/// not in the record.
fn is_mfa(factors: &[Value]) -> Option<bool> {
    let used = |name: &str| factors.iter().any(|factor| factor == name);
    let own = ["password", "totp", "passkey"].into_iter().filter(|name| used(name)).count();
    match used("passkey") || own > 1 {
        true => Some(true),
        false => (!used("provider")).then_some(false),
    }
}

fn factor(factor: Value) -> Value {
    let (id, name) = match factor.as_str() {
        Some("password") => (11, "Password"),
        Some("totp") => (7, "OTP"),
        Some("passkey") => (10, "WebAuthn"),
        Some("certificate") => (OTHER, "Certificate"),
        Some(other) => (OTHER, other),
        None => (0, "Unknown"),
    };
    json!({ "factor_type_id": id, "factor_type": name })
}

#[cfg(test)]
mod tests;
