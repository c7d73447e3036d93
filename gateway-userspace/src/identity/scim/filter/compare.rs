//! One value against another, as the attribute's type has it.

use super::super::ScimError;
use super::super::schema::{Attribute, Type};
use super::invalid;
use scim_v2::filter::{CompValue, CompareOp};
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How values are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What values are compared with.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Operand {
    Nothing,
    /// Folded, unless the attribute has a case.
    Text(String),
    Boolean(bool),
    Moment(OffsetDateTime),
    /// Something that no value of the attribute's type equals.
    Foreign,
}

impl Comparison {
    pub fn of(operator: &CompareOp, attribute: &Attribute) -> Result<Self, ScimError> {
        let comparison = match operator {
            CompareOp::Eq => Self::Equal,
            CompareOp::Ne => Self::NotEqual,
            CompareOp::Co => Self::Contains,
            CompareOp::Sw => Self::StartsWith,
            CompareOp::Ew => Self::EndsWith,
            CompareOp::Gt => Self::Greater,
            CompareOp::Ge => Self::GreaterOrEqual,
            CompareOp::Lt => Self::Less,
            CompareOp::Le => Self::LessOrEqual,
        };
        let is_ordering = matches!(comparison, Self::Greater | Self::GreaterOrEqual | Self::Less | Self::LessOrEqual);
        if is_ordering && matches!(attribute.kind, Type::Boolean | Type::Binary) {
            return Err(invalid(format!("`{}` has no order; use `eq` or `ne`", attribute.name)));
        }
        Ok(comparison)
    }

    /// Whether a value compares so.
    pub fn holds(self, attribute: &Attribute, value: &Value, operand: &Operand) -> bool {
        let Some(ordering) = order(attribute, value, operand) else { return self == Self::NotEqual };
        match self {
            Self::Equal => ordering == Ordering::Equal,
            Self::NotEqual => ordering != Ordering::Equal,
            Self::Greater => ordering == Ordering::Greater,
            Self::GreaterOrEqual => ordering != Ordering::Less,
            Self::Less => ordering == Ordering::Less,
            Self::LessOrEqual => ordering != Ordering::Greater,
            Self::Contains | Self::StartsWith | Self::EndsWith => self.is_part(attribute, value, operand),
        }
    }

    fn is_part(self, attribute: &Attribute, value: &Value, operand: &Operand) -> bool {
        let (Some(value), Operand::Text(part)) = (value.as_str(), operand) else { return false };
        let value = folded(attribute, value);
        match self {
            Self::Contains => value.contains(part.as_str()),
            Self::StartsWith => value.starts_with(part.as_str()),
            _ => value.ends_with(part.as_str()),
        }
    }

    /// Whether an attribute without a value compares so.
    pub fn holds_of_nothing(self, operand: &Operand) -> bool {
        match self {
            Self::Equal => *operand == Operand::Nothing,
            Self::NotEqual => *operand != Operand::Nothing,
            _ => false,
        }
    }
}

impl Operand {
    pub fn of(value: &CompValue, attribute: &Attribute) -> Result<Self, ScimError> {
        Ok(match (attribute.kind, value) {
            (_, CompValue::Null) => Self::Nothing,
            (Type::Boolean, CompValue::True) => Self::Boolean(true),
            (Type::Boolean, CompValue::False) => Self::Boolean(false),
            // As Entra writes them.
            (Type::Boolean, CompValue::Str(text)) if text.eq_ignore_ascii_case("true") => Self::Boolean(true),
            (Type::Boolean, CompValue::Str(text)) if text.eq_ignore_ascii_case("false") => Self::Boolean(false),
            (Type::DateTime, CompValue::Str(text)) => moment(text)
                .map(Self::Moment)
                .ok_or_else(|| invalid(format!("`{text}` is no time; write it as `2026-01-31T12:00:00Z`")))?,
            (Type::Text | Type::Reference | Type::Binary, CompValue::Str(text)) => {
                Self::Text(folded(attribute, text).into_owned())
            }
            _ => Self::Foreign,
        })
    }

    /// The value that equals it.
    pub fn value(&self) -> Option<Value> {
        match self {
            Self::Text(text) => Some(text.as_str().into()),
            Self::Boolean(boolean) => Some((*boolean).into()),
            Self::Nothing | Self::Moment(_) | Self::Foreign => None,
        }
    }
}

fn moment(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

fn order(attribute: &Attribute, value: &Value, operand: &Operand) -> Option<Ordering> {
    match (value, operand) {
        (Value::String(text), Operand::Moment(operand)) => Some(moment(text)?.cmp(operand)),
        (Value::String(text), Operand::Text(operand)) => Some(folded(attribute, text).as_ref().cmp(operand.as_str())),
        (Value::Bool(value), Operand::Boolean(operand)) => Some(value.cmp(operand)),
        _ => None,
    }
}

/// A text as it is compared.
pub(in super::super) fn folded<'a>(attribute: &Attribute, text: &'a str) -> Cow<'a, str> {
    if attribute.is_case_exact { text.into() } else { text.to_lowercase().into() }
}
