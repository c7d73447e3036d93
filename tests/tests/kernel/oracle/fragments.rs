//! Section "Fragments": steps 24 and 25, and what is remembered.

use super::network::{Datagram, Part};
use super::tables::{FirstFragment, FragmentName, Oracle, SECOND};
use crate::ground::Way;
use gateway_common::DropReason;

fn name(zone: u32, way: Way, packet: &Datagram, id: u32) -> FragmentName {
    let Datagram { from, to, protocol, .. } = *packet;
    FragmentName { zone, is_to_client: way == Way::Out, from, to, protocol: from.is_ipv4().then_some(protocol), id }
}

/// The stretches with one more, those that touch made one. None if it overlaps one.
fn joined(stretches: &[(u32, u32)], one: (u32, u32)) -> Option<Vec<(u32, u32)>> {
    let mut all = stretches.to_vec();
    all.push(one);
    all.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (start, end) in all {
        match joined.last_mut() {
            Some(last) if start < last.1 => return None,
            Some(last) if start == last.1 => last.1 = end,
            _ => joined.push((start, end)),
        }
    }
    Some(joined)
}

impl Oracle {
    /// Steps 24 and 25: a later fragment becomes a packet of the connection of its first one.
    pub fn recall(&self, zone: u32, way: Way, packet: &mut Datagram, now: u64) -> Result<(), DropReason> {
        let Part::Later { id, start, end } = packet.part else { return Ok(()) };
        let first = self.fragments.get(&name(zone, way, packet, id)).filter(|first| now < first.until);
        let first = first.ok_or(DropReason::FragmentStray)?;
        let later = joined(&first.later, (start, end)).filter(|later| start >= first.end && later.len() <= 4);
        later.ok_or(DropReason::FragmentOverlap)?;
        packet.protocol = first.protocol;
        packet.inside = first.inside.continued();
        Ok(())
    }

    /// Remembers a fragment that was forwarded.
    pub fn remember(&mut self, zone: u32, way: Way, packet: &Datagram, now: u64) {
        match packet.part {
            Part::Whole => {}
            Part::First { id, end } => {
                let Datagram { protocol, inside, .. } = *packet;
                let first = FirstFragment { until: now + 5 * SECOND, protocol, inside, end, later: Vec::new() };
                self.fragments.insert(name(zone, way, packet, id), first);
            }
            Part::Later { id, start, end } => {
                if let Some(first) = self.fragments.get_mut(&name(zone, way, packet, id))
                    && let Some(later) = joined(&first.later, (start, end))
                {
                    first.later = later;
                }
            }
        }
    }
}
