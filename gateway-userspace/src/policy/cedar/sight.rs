//! What the policies look at. Sessions that differ only in what nobody looks at share their decisions.

use crate::policy::model::{Attributes, Grain};
use cedar_policy::Policy;
use ipnet::IpNet;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Whether some policy looks at…
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Sight {
    /// …who the user is, beyond their groups, if they have one of these names.
    users: BTreeSet<String>,
    /// …the same, whatever their name is.
    every_user: bool,
    /// …whether they are in one of these groups.
    groups: BTreeSet<String>,
    /// …the address they come from.
    pub source: bool,
    /// …the zone they are in.
    pub zone: bool,
    /// …the clock, and how closely.
    pub time: Option<Grain>,
    /// …the country they are in.
    pub country: bool,
    /// …whether it is a person.
    pub kind: bool,
    /// …how likely it is that it is not they.
    pub risk: bool,
    /// …these attributes of the user.
    attributes: BTreeSet<String>,
    /// …all of them.
    every_attribute: bool,
    /// The addresses and ranges that policies compare with. Policies have no other way to tell two addresses apart, as
    /// the schema has no other address and strict validation wants literals.
    ranges: BTreeSet<IpNet>,
    /// A range was not understood here.
    has_riddle: bool,
}

/// An address, as far as policies can tell it from others.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::policy) enum SeenSource {
    /// Family, loopback, multicast, and the ranges that it lies in.
    Like(bool, bool, bool, Vec<bool>),
    Exactly(IpAddr),
}

impl Sight {
    pub(super) fn of<'p>(policies: impl Iterator<Item = &'p Policy>) -> Self {
        policies.fold(Self::default(), |mut sight, policy| {
            sight.look_at(policy);
            sight
        })
    }

    /// Whether some policy may tell this user from others in the same groups.
    pub(super) fn sees(&self, user: &str) -> bool {
        self.every_user || self.users.contains(user)
    }

    /// Whether some policy names this group.
    pub(super) fn names_group(&self, group: &str) -> bool {
        self.groups.contains(group)
    }

    pub(super) fn source(&self, address: IpAddr) -> Option<SeenSource> {
        if self.has_riddle {
            return Some(SeenSource::Exactly(address));
        }
        let ranges = || self.ranges.iter().map(|range| range.contains(&address)).collect();
        self.source
            .then(|| SeenSource::Like(address.is_ipv4(), address.is_loopback(), address.is_multicast(), ranges()))
    }

    /// Those attributes of a user that some policy looks at.
    pub(super) fn attributes(&self, of: &Attributes) -> Attributes {
        let is_seen = |(name, _): &(&String, &String)| self.every_attribute || self.attributes.contains(*name);
        of.iter().filter(is_seen).map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn look_at(&mut self, policy: &Policy) {
        for uid in policy.entity_literals() {
            let id = uid.id().unescaped().to_owned();
            match uid.type_name().to_string().as_str() {
                "User" => drop(self.users.insert(id)),
                "Group" => drop(self.groups.insert(id)),
                _ => {}
            }
        }
        match policy.to_json() {
            Ok(json) => self.look_into(&json),
            // In doubt a policy looks at everything: sharing is an economy, not a right.
            Err(_) => {
                (self.every_user, self.has_riddle, self.kind, self.every_attribute) = (true, true, true, true);
                self.note(&[]);
            }
        }
    }

    /// Looks for attributes of the context; any other use of it counts as all of them.
    fn look_into(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => match path(fields) {
                Some(path) => self.note(&path),
                None if is_context(value) => self.note(&[]),
                None => {
                    // Only users have tags, and only they have a kind.
                    self.kind |= fields.get("attr").is_some_and(|name| name == "kind");
                    let tags = ["hasTag", "getTag"].into_iter().filter_map(|operator| fields.get(operator));
                    tags.for_each(|operands| self.note_tag(operands));
                    fields.get("ip").into_iter().for_each(|arguments| self.note_range(arguments));
                    fields.values().for_each(|field| self.look_into(field));
                }
            },
            Value::Array(items) => items.iter().for_each(|item| self.look_into(item)),
            _ => {}
        }
    }

    /// Notes what is looked at: `context.time.hour` is `["time", "hour"]`, and the whole context `[]`.
    fn note(&mut self, path: &[&str]) {
        let time = match path {
            [] => {
                (self.source, self.zone, self.country, self.risk) = (true, true, true, true);
                Some(Grain::Minute)
            }
            ["time"] | ["time", "minute", ..] => Some(Grain::Minute),
            ["time", "hour", ..] => Some(Grain::Hour),
            ["time", ..] => Some(Grain::Day),
            _ => None,
        };
        self.time = self.time.max(time);
        match path.first() {
            Some(&"source") => self.source = true,
            Some(&"zone") => self.zone = true,
            Some(&"country") => self.country = true,
            Some(&"risk") => self.risk = true,
            _ => {}
        }
    }

    fn note_tag(&mut self, operands: &Value) {
        match operands.get("right").and_then(|name| name.get("Value")).and_then(Value::as_str) {
            Some(name) => drop(self.attributes.insert(name.to_owned())),
            None => self.every_attribute = true,
        }
    }

    fn note_range(&mut self, arguments: &Value) {
        let text = arguments.get(0).and_then(|argument| argument.get("Value")).and_then(Value::as_str);
        let range = text.and_then(|text| text.parse().ok().or_else(|| text.parse().ok().map(IpAddr::into)));
        match range {
            Some(range) => drop(self.ranges.insert(IpNet::trunc(&range))),
            None => self.has_riddle = true,
        }
    }
}

/// The attributes that lead from the context to what is accessed here.
fn path(access: &Map<String, Value>) -> Option<Vec<&str>> {
    let (left, attribute) = (access.get("left")?, access.get("attr")?.as_str()?);
    let mut path = if is_context(left) { Vec::new() } else { path(left.get(".")?.as_object()?)? };
    path.push(attribute);
    Some(path)
}

fn is_context(value: &Value) -> bool {
    value.get("Var").and_then(Value::as_str) == Some("context")
}

#[cfg(test)]
mod tests {
    use super::Sight;
    use crate::policy::model::{Attributes, Grain};
    use std::str::FromStr;

    #[test]
    fn policies_see_what_they_mention() {
        for (condition, expected) in [
            ("context.mfa", (false, false, false)),
            (r#"context.factors.contains("source")"#, (false, false, false)),
            (r#"context.zone == "source""#, (false, false, true)),
            (r#"!(context.mfa && context["source"].isIpv4())"#, (false, true, false)),
            (r#"if context has source then true else false"#, (false, true, false)),
            (r#"principal == User::"ada""#, (true, false, false)),
            ("[context].contains(context)", (false, true, true)),
        ] {
            let sight = sight(condition);
            assert_eq!((sight.sees("ada"), sight.source, sight.zone), expected, "{condition}");
            assert!(!sight.sees("eve"), "{condition}");
        }
    }

    #[test]
    fn policies_see_no_more_of_the_clock_than_they_look_at() {
        for (condition, expected) in [
            ("context.mfa", None),
            (r#"context.zone == "time""#, None),
            (r#"context.time.weekday == "monday" && !context.mfa"#, Some(Grain::Day)),
            (r#"context.time.date < datetime("2027-01-01")"#, Some(Grain::Day)),
            (r#"context.time.hour > 8 || context.time.zone == "UTC""#, Some(Grain::Hour)),
            (r#"context["time"]["minute"] > 8"#, Some(Grain::Minute)),
            ("[context.time].contains(context.time)", Some(Grain::Minute)),
            ("(if context.mfa then context.time else context.time).hour > 8", Some(Grain::Minute)),
            ("[context].contains(context)", Some(Grain::Minute)),
        ] {
            assert_eq!(sight(condition).time, expected, "{condition}");
        }
    }

    #[test]
    fn policies_see_countries_if_they_ask_for_them() {
        for (condition, expected) in [
            (r#"context.country == "DE""#, true),
            (r#"context.zone == "country""#, false),
            ("[context].contains(context)", true),
        ] {
            assert_eq!(sight(condition).country, expected, "{condition}");
        }
    }

    #[test]
    fn policies_see_those_attributes_that_they_ask_for() {
        let all: Attributes = ["a", "b", "context.risk"].map(|name| (name.to_owned(), name.to_owned())).into();
        for (condition, names, kind, risk) in [
            (r#"principal.hasTag("a") && principal.getTag("a") == "b""#, &["a"][..], false, false),
            (r#"principal in Group::"b" && context.zone == "a""#, &[], false, false),
            (r#"(if context.mfa then principal else User::"x").hasTag("b")"#, &["b"], false, false),
            ("principal.hasTag(context.zone)", &["a", "b", "context.risk"], false, false),
            (r#"principal.kind == "service""#, &[], true, false),
            (r#"(if context.mfa then principal else User::"x").kind == "person""#, &[], true, false),
            (r#"context.risk == "high""#, &[], false, true),
            ("[context].contains(context)", &[], false, true),
        ] {
            let sight = sight(condition);
            let seen: Vec<_> = sight.attributes(&all).into_keys().collect();
            assert_eq!(
                (&seen[..], sight.kind, sight.risk),
                (&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..], kind, risk),
                "{condition}"
            );
        }
    }

    #[test]
    fn addresses_that_no_policy_tells_apart_are_alike() {
        let sight =
            sight(r#"context.source.isInRange(ip("10.1.0.0/16")) || [ip("10.9.0.9")].contains(context.source)"#);
        let is_alike = |one: &str, two: &str| sight.source(one.parse().unwrap()) == sight.source(two.parse().unwrap());
        assert!(is_alike("10.1.0.1", "10.1.200.7"));
        assert!(is_alike("10.2.0.1", "10.9.0.8"));
        for other in ["10.2.0.1", "10.9.0.9", "::1", "127.0.0.1"] {
            assert!(!is_alike("10.1.0.1", other), "{other}");
        }
        assert!(!is_alike("10.9.0.8", "10.9.0.9"));
        assert!(!is_alike("10.9.0.8", "2001:db8::1"));
    }

    fn sight(condition: &str) -> Sight {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let set = cedar_policy::PolicySet::from_str(&text).expect(condition);
        Sight::of(set.policies())
    }
}
