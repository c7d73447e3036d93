//! What the policies look at. Sessions that differ only in what nobody looks at share their decisions.

use cedar_policy::Policy;
use serde_json::Value;

/// Whether some policy looks at…
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sight {
    /// …who the user is, beyond their groups.
    pub user: bool,
    /// …the address they come from.
    pub source: bool,
    /// …the zone they are in.
    pub zone: bool,
}

impl Sight {
    const EVERYTHING: Self = Self { user: true, source: true, zone: true };

    pub(super) fn of<'p>(policies: impl Iterator<Item = &'p Policy>) -> Self {
        policies.map(of_policy).fold(Self::default(), Self::and)
    }

    fn and(self, other: Self) -> Self {
        Self { user: self.user || other.user, source: self.source || other.source, zone: self.zone || other.zone }
    }
}

fn of_policy(policy: &Policy) -> Sight {
    let names_a_user = policy.entity_literals().iter().any(|uid| uid.type_name().to_string() == "User");
    // In doubt a policy looks at everything: sharing is an economy, not a right.
    let body = policy.to_json().map_or(Sight::EVERYTHING, |json| of_expression(&json));
    Sight { user: names_a_user, ..Sight::default() }.and(body)
}

/// Looks for `context.source` and `context.zone`; any other use of the context but by attribute counts as both.
fn of_expression(value: &Value) -> Sight {
    match value {
        Value::Object(fields) => {
            let is_access = fields.get("left").is_some_and(is_context) && fields.contains_key("attr");
            match fields.get("attr").and_then(Value::as_str).filter(|_| is_access) {
                Some("source") => Sight { source: true, ..Sight::default() },
                Some("zone") => Sight { zone: true, ..Sight::default() },
                Some(_) => Sight::default(),
                None if is_context(value) => Sight { source: true, zone: true, ..Sight::default() },
                None => fields.values().map(of_expression).fold(Sight::default(), Sight::and),
            }
        }
        Value::Array(items) => items.iter().map(of_expression).fold(Sight::default(), Sight::and),
        _ => Sight::default(),
    }
}

fn is_context(value: &Value) -> bool {
    value.get("Var").and_then(Value::as_str) == Some("context")
}

#[cfg(test)]
mod tests {
    use super::Sight;
    use std::str::FromStr;

    #[test]
    fn policies_see_what_they_mention() {
        let nothing = Sight::default();
        for (condition, expected) in [
            ("context.mfa", nothing),
            (r#"context.factors.contains("source")"#, nothing),
            (r#"context.zone == "source""#, Sight { zone: true, ..nothing }),
            (r#"!(context.mfa && context["source"].isIpv4())"#, Sight { source: true, ..nothing }),
            (r#"if context has source then true else false"#, Sight { source: true, ..nothing }),
            (r#"principal == User::"ada""#, Sight { user: true, ..nothing }),
            ("[context].contains(context)", Sight { source: true, zone: true, ..nothing }),
        ] {
            let text = format!("permit (principal, action, resource) when {{ {condition} }};");
            let set = cedar_policy::PolicySet::from_str(&text).expect(condition);
            assert_eq!(Sight::of(set.policies()), expected, "{condition}");
        }
    }
}
