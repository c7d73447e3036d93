//! Guarded interfaces, the VLANs on them, and what becomes of packets that are denied or unusual.

use super::section::Section;
use super::value::Value;
use crate::dataplane::attach::{InterfaceSettings, XdpChoice};
use crate::dataplane::interfaces::{Wanted, WantedVlan};
use gateway_common::abi::{Interface, Vlan};
use toml::de::DeValue;

/// One row of the counters is that of packets on no known interface.
const MOST_INTERFACES: usize = Interface::LIMIT as usize - 1;
const MOST_VLANS: usize = Interface::MOST_VLANS as usize;
/// The last number of a VLAN; 4095 is reserved.
const LAST_VLAN: u16 = 4_094;

/// All of them; at least one, each name once, and each with every VLAN once. The zone is by default the interface's name;
/// that of a VLAN is the one around it, a dot, and the VLAN.
pub(super) fn interfaces(root: &mut Section<'_, '_>) -> Vec<Wanted> {
    let mut sections = root.sections("interface");
    if sections.is_empty() {
        root.refuse(
            "interface",
            "is missing",
            "add `[[interface]]` with `name = \"eth1\"` for each interface that faces clients",
        );
    }
    if sections.len() > MOST_INTERFACES {
        let fix = format!("guard at most {MOST_INTERFACES}");
        root.refuse("interface", format!("there are {} interfaces", sections.len()), fix);
    }
    let mut found: Vec<Wanted> = Vec::new();
    for section in &mut sections {
        let Some((name, interface)) = interface(section) else { continue };
        if found.iter().any(|other| other.name == interface.name) {
            name.refuse(format!("interface `{}` is there twice", interface.name), "remove one of them");
        }
        found.push(interface);
    }
    let vlans: usize = found.iter().map(|interface| interface.vlans.len()).sum();
    if vlans > MOST_VLANS {
        root.refuse("interface", format!("there are {vlans} VLANs"), format!("name at most {MOST_VLANS} in all"));
    }
    found
}

/// One of them, and where its name stands. Every key is read before anything is given up.
fn interface<'r, 't>(section: &mut Section<'r, 't>) -> Option<(Value<'r, 't>, Wanted)> {
    let name = section.required("name", "name = \"eth1\"");
    let zone = section.value("zone").and_then(|value| value.interface_name());
    let xdp = section.value("xdp").and_then(|value| value.xdp_mode());
    let settings = settings(section);
    let said = name.as_ref().and_then(Value::interface_name);
    let zone = zone.or(said).unwrap_or_default().to_owned();
    let vlans = vlans(section, &zone);
    let interface = Wanted { name: said?.to_owned(), zone, mode: xdp.unwrap_or_default(), settings, vlans };
    Some((name?, interface))
}

fn settings(section: &mut Section<'_, '_>) -> InterfaceSettings {
    let mut is = |key, usual, other| {
        let said = section.value(key).and_then(|value| value.choice(&[(usual, false), (other, true)]));
        said.unwrap_or_default()
    };
    InterfaceSettings {
        observe: is("mode", "enforce", "observe"),
        reject: is("on_denial", "drop", "reject"),
        track_fragments: is("fragments", "drop", "track"),
        admit_options: is("ip_options", "drop", "admit"),
        admit_extensions: is("ip_extensions", "drop", "admit"),
        forward: is("forward", "kernel", "xdp"),
    }
}

fn vlans(section: &mut Section<'_, '_>, zone_around: &str) -> Vec<WantedVlan> {
    let mut found: Vec<WantedVlan> = Vec::new();
    for section in &mut section.sections("vlan") {
        let id = section.required("id", "id = \"10\"");
        let zone = section.value("zone").and_then(|value| value.interface_name());
        let Some((id, vlan)) = id.and_then(|id| id.vlan().map(|vlan| (id, vlan))) else { continue };
        if found.iter().any(|other| other.vlan == vlan) {
            id.refuse(format!("VLAN `{}` is there twice", vlan_id(vlan)), "remove one of them");
        }
        let zone = zone.map_or_else(|| format!("{zone_around}.{}", vlan_id(vlan)), str::to_owned);
        found.push(WantedVlan { vlan, zone });
    }
    found
}

/// As the file writes it: `10`, or `100.20`.
#[must_use]
pub fn vlan_id(Vlan { outer, inner }: Vlan) -> String {
    if outer == 0 { inner.to_string() } else { format!("{outer}.{inner}") }
}

impl Value<'_, '_> {
    /// Where an XDP program runs.
    pub(super) fn xdp_mode(&self) -> Option<XdpChoice> {
        self.choice(&[("auto", XdpChoice::Auto), ("native", XdpChoice::Native), ("generic", XdpChoice::Generic)])
    }

    /// The tags of a VLAN.
    fn vlan(&self) -> Option<Vlan> {
        if let DeValue::Integer(_) = self.raw {
            let inner = u16::try_from(self.integer(1..=LAST_VLAN.into())?).ok()?;
            return Some(Vlan { outer: 0, inner });
        }
        let text = self.text("100.20")?;
        let vlan = parse_vlan(text);
        if vlan.is_none() {
            self.refuse(
                format!("`{text}` is not a VLAN"),
                format!(
                    "write a number from 1 to {LAST_VLAN}, like `10`, or two, like `100.20`, for an 802.1ad tag and an \
                     802.1Q tag inside it"
                ),
            );
        }
        vlan
    }
}

fn parse_vlan(text: &str) -> Option<Vlan> {
    let number = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        text.parse::<u16>().ok().filter(|number| is_plain && *number <= LAST_VLAN)
    };
    match text.split_once('.') {
        None => Some(Vlan { outer: 0, inner: number(text)? }),
        Some((outer, inner)) => Some(Vlan { outer: number(outer)?, inner: number(inner)? }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_is_one_number_or_two_and_is_written_as_it_was() {
        for (text, outer, inner) in [("10", 0, 10), ("1", 0, 1), ("4094", 0, 4_094), ("100.20", 100, 20)] {
            let vlan = parse_vlan(text).unwrap();
            assert_eq!((vlan, vlan_id(vlan).as_str()), (Vlan { outer, inner }, text));
        }
        for text in ["", "0", "4095", "10.", ".10", "10.0", "1.2.3", "010", "+1", "-1", "a", "10 ", "65546"] {
            assert_eq!(parse_vlan(text), None, "{text}");
        }
    }
}
