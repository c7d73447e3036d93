//! One operation on the attributes of a document.

use super::super::document::{expect_few, is_primary, one, put, values};
use super::super::filter::Selection;
use super::super::path::Place;
use super::super::{ScimError, ScimType};
use super::{Target, Verb};
use serde_json::{Map, Value};

/// Does what an operation says.
pub(super) fn apply(
    document: &mut Map<String, Value>,
    verb: Verb,
    target: &Target,
    value: &Value,
) -> Result<(), ScimError> {
    let place = target.place;
    let Some(urn) = place.extension else { return within(document, verb, target, value) };
    let mut extension = document.remove(urn).unwrap_or_default().as_object().cloned().unwrap_or_default();
    within(&mut extension, verb, target, value)?;
    put(document, urn, Some(extension).filter(|extension| !extension.is_empty()).map(Value::Object));
    Ok(())
}

fn within(attributes: &mut Map<String, Value>, verb: Verb, target: &Target, value: &Value) -> Result<(), ScimError> {
    let Target { place, selection } = target;
    let name = place.attribute.name;
    let former = attributes.get(name).cloned();
    let wanted = match (place.attribute.is_multi, verb) {
        (true, _) => {
            let items = former.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
            let items = several(items, verb, *place, selection.as_ref(), value)?;
            // After each operation: values are compared with each other, and a thousand operations could add very many.
            expect_few(place.attribute, &items)?;
            Some(items).filter(|items| !items.is_empty()).map(Value::Array)
        }
        (false, Verb::Remove) => without(former, *place),
        (false, Verb::Add | Verb::Replace) => single(former, *place, value)?,
    };
    if wanted.is_none() && place.attribute.is_required {
        return Err(ScimError::of(ScimType::Mutability, format!("`{name}` is required and cannot be removed")));
    }
    put(attributes, name, wanted);
    Ok(())
}

fn without(former: Option<Value>, place: Place) -> Option<Value> {
    let (Some(part), Some(Value::Object(mut parts))) = (place.part, former) else { return None };
    parts.remove(part.name);
    Some(parts).filter(|parts| !parts.is_empty()).map(Value::Object)
}

/// What a single value is afterwards. Parts that are not mentioned stay.
fn single(former: Option<Value>, place: Place, value: &Value) -> Result<Option<Value>, ScimError> {
    let mut parts = match former {
        Some(Value::Object(parts)) => parts,
        _ => Map::new(),
    };
    match place.part {
        Some(part) => put(&mut parts, part.name, one(part.name, part, value)?),
        None => match values(place.attribute, value)? {
            Some(Value::Object(wanted)) => parts.extend(wanted),
            other => return Ok(other),
        },
    }
    Ok(Some(parts).filter(|parts| !parts.is_empty()).map(Value::Object))
}

/// What several values are afterwards.
fn several(
    mut items: Vec<Value>,
    verb: Verb,
    place: Place,
    selection: Option<&Selection>,
    value: &Value,
) -> Result<Vec<Value>, ScimError> {
    let former = items.clone();
    match (verb, selection, place.part) {
        (Verb::Remove, None, None) => remove_listed(&mut items, place, value)?,
        (Verb::Remove, _, None) => items.retain(|item| !selection.is_some_and(|selection| selection.selects(item))),
        (Verb::Remove, _, Some(part)) => {
            let is_meant = |item: &Value| selection.is_none_or(|selection| selection.selects(item));
            for parts in items.iter_mut().filter(|item| is_meant(item)).filter_map(Value::as_object_mut) {
                parts.remove(part.name);
            }
            items.retain(|item| item.as_object().is_none_or(|parts| !parts.is_empty()));
        }
        (Verb::Add, None, None) => {
            let Some(Value::Array(more)) = values(place.attribute, value)? else { return Ok(items) };
            more.into_iter().for_each(|item| {
                if !items.contains(&item) {
                    items.push(item)
                }
            });
        }
        (Verb::Replace, None, None) => match values(place.attribute, value)? {
            Some(Value::Array(wanted)) => return Ok(wanted),
            _ => items.clear(),
        },
        (Verb::Add | Verb::Replace, _, _) => change_selected(&mut items, verb, place, selection, value)?,
    }
    one_primary(&former, &mut items, place)?;
    Ok(items)
}

/// Entra lists the values to remove beside a path that names all of them.
fn remove_listed(items: &mut Vec<Value>, place: Place, value: &Value) -> Result<(), ScimError> {
    match values(place.attribute, value)? {
        None => items.clear(),
        Some(listed) => {
            let listed = listed.as_array().cloned().unwrap_or_default();
            let value_of = |item: &Value| item.get("value").cloned();
            items.retain(|item| !listed.iter().any(|other| other == item || value_of(other) == value_of(item)));
        }
    }
    Ok(())
}

fn change_selected(
    items: &mut Vec<Value>,
    verb: Verb,
    place: Place,
    selection: Option<&Selection>,
    value: &Value,
) -> Result<(), ScimError> {
    let wanted = match place.part {
        Some(part) => {
            let value = one(part.name, part, value)?;
            Map::from_iter([(part.name.to_owned(), value.unwrap_or_default())])
        }
        None => match one(place.attribute.name, place.attribute, value)? {
            Some(Value::Object(parts)) => parts,
            _ => return Err(ScimError::value(format!("`{}` is not of type complex", place.attribute.name))),
        },
    };
    let mut is_found = false;
    for item in items.iter_mut().filter(|item| selection.is_none_or(|selection| selection.selects(item))) {
        is_found = true;
        if let Value::Object(parts) = item {
            parts.extend(wanted.clone());
            parts.retain(|_, part| !part.is_null());
        }
    }
    if is_found {
        return Ok(());
    }
    // Entra adds the first address of mail as a part of the one that is for work.
    match selection.and_then(Selection::template).filter(|_| verb == Verb::Add) {
        Some(mut parts) => {
            parts.extend(wanted);
            parts.retain(|_, part| !part.is_null());
            items.push(Value::Object(parts));
            Ok(())
        }
        None => Err(ScimError::of(ScimType::NoTarget, format!("none of `{}` is selected", place.attribute.name))),
    }
}

/// A value that becomes the preferred one takes that from the one that was (RFC 7644, 3.5.2).
fn one_primary(former: &[Value], items: &mut [Value], place: Place) -> Result<(), ScimError> {
    let was_primary = |item: &Value| former.iter().any(|former| former == item && is_primary(former));
    let primary = |items: &[Value]| items.iter().filter(|item| is_primary(item)).count();
    if primary(items) <= 1 {
        return Ok(());
    }
    for item in items.iter_mut().filter(|item| was_primary(item)) {
        item.as_object_mut().and_then(|parts| parts.insert("primary".to_owned(), false.into()));
    }
    if primary(items) <= 1 {
        return Ok(());
    }
    Err(ScimError::value(format!("more than one of `{}` is primary", place.attribute.name)))
}
