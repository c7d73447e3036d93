//! Who takes part: the gateway, those that do less, and those that people use today.

use super::filters::{self, Hook};
use super::forwarder;
use super::place::{Outside, Place};
use super::traffic::{BATCH, Stream};
use crate::measure::driver::constant;
use crate::measure::keys::Pattern;
use crate::measure::plane::{Family, Plane, guarded};
use crate::measure::row::grouped;
use anyhow::{Result, ensure};
use gateway_tests::bpf::{self, Attachment, Kind, Program};

/// Sessions of the gateway, and entries of the largest sets.
pub const MANY: usize = 1_000_000;
const SIZES: [usize; 3] = [1_000, 100_000, MANY];
/// The kernel follows no more connections than about a quarter of a million where nobody has said otherwise, and that is
/// said for the whole machine.
const CONNECTIONS: usize = 100_000;
const XDP_DROP: i32 = 1;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// To drop what is not granted.
    Drop,
    /// To forward what is.
    Forward,
}

/// One of those who take part.
pub struct Contender {
    /// As the rows name it.
    pub name: String,
    /// What it does.
    pub task: Task,
    /// Where it stands.
    pub place: Place,
    /// How many sessions or entries it has.
    pub entries: usize,
    /// The gateway's tables and programs, if it is one.
    pub plane: Option<Plane>,
    /// Its program otherwise, if it is one.
    _attachment: Option<Attachment>,
}

/// All of them, each told before it is made, in the order of the rows.
pub fn all(outside: &Outside, say: impl Fn(&str)) -> Result<Vec<Contender>> {
    let mut all = Vec::new();
    let mut join = |name: &str, task, entries, equip: &dyn Fn(&Place) -> Result<Equipment>| -> Result<()> {
        say(name);
        let place = Place::new(outside, all.len())?;
        let Equipment { plane, attachment } = equip(&place)?;
        all.push(Contender { name: name.to_owned(), task, place, entries, plane, _attachment: attachment });
        Ok(())
    };
    join(DROP_AT_ONCE, Task::Drop, MANY, &|place| program(place, &constant(Kind::Xdp, XDP_DROP)?))?;
    join(PORTCULLIS, Task::Drop, MANY, &portcullis)?;
    for entries in SIZES {
        let name = format!("nftables, netdev ingress, {}", grouped(entries));
        join(&name, Task::Drop, entries, &|place| nftables(place, Hook::Ingress, entries))?;
    }
    join("ipset, raw, 1,000,000", Task::Drop, MANY, &|place| ipset(place, Hook::Ingress))?;
    join(REDIRECT, Task::Forward, MANY, &|place| program(place, &forwarder::load()?))?;
    join(PORTCULLIS, Task::Forward, MANY, &portcullis)?;
    join(KERNEL, Task::Forward, MANY, &|place| place.poll("guard0").map(|()| Equipment::default()))?;
    for entries in SIZES {
        let name = format!("nftables, inet forward, {}", grouped(entries));
        join(&name, Task::Forward, entries, &|place| nftables(place, Hook::Forward, entries))?;
    }
    let name = format!("{FOLLOWING}, {}", grouped(CONNECTIONS));
    join(&name, Task::Forward, CONNECTIONS, &|place| nftables(place, Hook::Established, CONNECTIONS))?;
    join("ipset, FORWARD, 1,000,000", Task::Forward, MANY, &|place| ipset(place, Hook::Forward))?;
    for contender in all.iter().filter(|contender| contender.remembers()) {
        say(&format!("{}: connections", contender.name));
        contender.open_connections(outside)?;
    }
    Ok(all)
}

/// What lets packets of known connections through.
const FOLLOWING: &str = "nftables, ct established first";
/// The floor of what drops.
pub const DROP_AT_ONCE: &str = "XDP drop at once";
/// The floor of what forwards.
pub const REDIRECT: &str = "XDP FIB and redirect, no check";
/// What forwards where there is no filter.
pub const KERNEL: &str = "kernel forwarding, no filter";
/// The gateway.
pub const PORTCULLIS: &str = "Portcullis";

#[derive(Default)]
struct Equipment {
    plane: Option<Plane>,
    attachment: Option<Attachment>,
}

fn program(place: &Place, program: &Program) -> Result<Equipment> {
    let attachment = place.gateway.enter(|| program.attach("guard0", bpf::Hook::Xdp))??;
    Ok(Equipment { attachment: Some(attachment), ..Equipment::default() })
}

fn portcullis(place: &Place) -> Result<Equipment> {
    let mut plane = Plane::on(place.guard, "guard0", MANY, 2 * MANY)?.furnish(Family::V4, MANY)?;
    let interfaces = [guarded(place.guard, "guard0")];
    let attached = place.gateway.enter(|| plane.programs.guard(&interfaces))??;
    ensure!(attached.iter().all(|attached| attached.mode == "native"), "not in the driver: {attached:?}");
    Ok(Equipment { plane: Some(plane), ..Equipment::default() })
}

fn nftables(place: &Place, hook: Hook, entries: usize) -> Result<Equipment> {
    place.poll("guard0")?;
    filters::nftables(place, hook, entries)?;
    if hook == Hook::Established {
        place.poll("apps0")?;
        // Nobody has computed the checksums of these packets or counts their bytes.
        place.gateway.sysctl("netfilter/nf_conntrack_checksum", "0")?;
        place.gateway.sysctl("netfilter/nf_conntrack_tcp_be_liberal", "1")?;
    }
    Ok(Equipment::default())
}

fn ipset(place: &Place, hook: Hook) -> Result<Equipment> {
    place.poll("guard0")?;
    filters::ipset(place, hook, MANY)?;
    Ok(Equipment::default())
}

impl Contender {
    /// Whether what it does depends on connections that are open.
    fn remembers(&self) -> bool {
        self.task == Task::Forward && (self.plane.is_some() || self.name.starts_with(FOLLOWING))
    }

    /// Opens a connection of each session, and answers.
    fn open_connections(&self, outside: &Outside) -> Result<()> {
        for stream in [Stream::Opening, Stream::Back] {
            if stream == Stream::Back && self.plane.is_some() {
                continue;
            }
            let keys = stream.keys(Pattern::All, self.entries)?;
            let packets = u32::try_from(self.entries.next_power_of_two())?;
            let place = &self.place;
            outside.0.enter(|| -> Result<()> {
                let (interface, to) = match stream {
                    Stream::Back => (place.far()?, Some(Place::APPS_MAC)),
                    _ => (place.generator, None),
                };
                stream.driver(&keys, interface, to)?.send(&stream.frame(), packets, BATCH)
            })??;
        }
        Ok(())
    }
}
