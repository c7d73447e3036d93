//! Forwarding in XDP: the interfaces that face apps.

use super::section::Section;
use crate::dataplane::AppSide;
use crate::dataplane::interfaces::Wanted;
use gateway_common::abi::{Interface, Port};

/// There is room for as many guarded ones beside them.
const MOST: usize = (Port::LIMIT - Interface::LIMIT) as usize;

/// Those that are named. Each once, none of them guarded; and there if and only if a guarded interface forwards in XDP.
pub(super) fn app_side(section: &mut Section<'_, '_>, guarded: &[Wanted]) -> AppSide {
    let mode = section.value("xdp").and_then(|value| value.xdp_mode()).unwrap_or_default();
    let key = section.value("app_interfaces");
    let values = key.as_ref().map(|key| key.list("write a list of interfaces, like `[\"eth0\"]`")).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for (value, name) in values.iter().filter_map(|value| Some((value, value.interface_name()?))) {
        if guarded.iter().any(|interface| interface.name == name) {
            value.refuse(format!("interface `{name}` is guarded"), "name interfaces that face apps");
        }
        if names.iter().any(|other| other == name) {
            value.refuse(format!("interface `{name}` is there twice"), "remove one of them");
        }
        names.push(name.to_owned());
    }
    let forwarding = guarded.iter().find(|interface| interface.settings.forward);
    match (&key, forwarding) {
        (None, Some(interface)) => section.refuse(
            "app_interfaces",
            format!("is missing, and interface `{}` forwards in XDP", interface.name),
            "add `app_interfaces = [\"eth0\"]` below `[forwarding]`, with the interfaces that face apps",
        ),
        (Some(key), Some(_)) if key.is_empty_list() => {
            key.refuse("is empty", "name at least one interface that faces apps, like `eth0`");
        }
        (Some(key), None) => key.refuse(
            "is of no use: no interface forwards in XDP",
            "add `forward = \"xdp\"` to an `[[interface]]`, or remove this key",
        ),
        _ => {}
    }
    if let Some(key) = key.filter(|_| names.len() > MOST) {
        key.refuse(format!("there are {} interfaces", names.len()), format!("name at most {MOST}"));
    }
    AppSide { names, mode }
}
