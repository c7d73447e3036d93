//! Who takes part: the gateway, those that do less, and those that people use today.

use super::filters::{self, Hook};
use super::forwarder;
use super::place::{Outside, Place};
use super::traffic::{BATCH, Stream};
use crate::measure::driver::constant;
use crate::measure::keys::Pattern;
use crate::measure::plane::{Family, Plane, guarded};
use crate::measure::row::grouped;
use anyhow::{Context as _, Result, ensure};
use gateway_tests::bpf::{self, Attachment, Kind, Program};
use gateway_userspace::dataplane::AppSide;
use gateway_userspace::dataplane::Programs;
use gateway_userspace::dataplane::attach::{InterfaceSettings, XdpChoice};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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

/// Who is to take part: a name, what it does, with how many entries, and how its place is equipped.
type Entry<'e> = (String, Task, usize, Box<dyn Fn(&Place) -> Result<Equipment> + Send + Sync + 'e>);

/// A way in which the gateway forwards.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    /// How the guarded interface is handled.
    settings: InterfaceSettings,
    /// What the programs are told besides, before they are attached.
    tell: fn(&mut Programs),
}

/// All of them: whoever adds a way to the gateway adds it here.
fn ways() -> Vec<Way> {
    vec![
        Way {
            name: "Portcullis, forwarding in XDP",
            settings: InterfaceSettings { forward: true, ..InterfaceSettings::default() },
            tell: |programs| programs.face_apps(AppSide { names: vec!["apps0".into()], mode: XdpChoice::Native }),
        },
        Way { name: "Portcullis, kernel forwarding", settings: InterfaceSettings::default(), tell: |_| {} },
    ]
}

fn entries<'e>() -> Vec<Entry<'e>> {
    let mut entries: Vec<Entry<'e>> = Vec::new();
    let drop_at_once = |place: &Place| program(place, &constant(Kind::Xdp, XDP_DROP)?);
    entries.push((DROP_AT_ONCE.to_owned(), Task::Drop, MANY, Box::new(drop_at_once)));
    // What is dropped is dropped before it matters how the rest is forwarded.
    for way in ways().into_iter().take(1) {
        entries.push(("Portcullis".to_owned(), Task::Drop, MANY, Box::new(move |place| portcullis(place, way))));
    }
    for size in SIZES {
        let name = format!("nftables, netdev ingress, {}", grouped(size));
        entries.push((name, Task::Drop, size, Box::new(move |place| nftables(place, Hook::Ingress, size))));
    }
    let name = format!("ipset, raw, {}", grouped(MANY));
    entries.push((name, Task::Drop, MANY, Box::new(|place| ipset(place, Hook::Ingress))));
    let redirect = |place: &Place| program(place, &forwarder::load()?);
    entries.push((REDIRECT.to_owned(), Task::Forward, MANY, Box::new(redirect)));
    for way in ways() {
        entries.push((way.name.to_owned(), Task::Forward, MANY, Box::new(move |place| portcullis(place, way))));
    }
    let unfiltered = |place: &Place| place.poll("guard0").map(|()| Equipment::default());
    entries.push((KERNEL.to_owned(), Task::Forward, MANY, Box::new(unfiltered)));
    for size in SIZES {
        let name = format!("nftables, inet forward, {}", grouped(size));
        entries.push((name, Task::Forward, size, Box::new(move |place| nftables(place, Hook::Forward, size))));
    }
    let name = format!("{FOLLOWING}, {}", grouped(CONNECTIONS));
    let following = |place: &Place| nftables(place, Hook::Established, CONNECTIONS);
    entries.push((name, Task::Forward, CONNECTIONS, Box::new(following)));
    let name = format!("ipset, FORWARD, {}", grouped(MANY));
    entries.push((name, Task::Forward, MANY, Box::new(|place| ipset(place, Hook::Forward))));
    entries
}

/// All of them, each told before it is made, in the order of the rows. Two at a time: to fill the large sets takes
/// most of the time.
pub fn all(outside: &Outside, say: impl Fn(&str) + Sync) -> Result<Vec<Contender>> {
    let (entries, next, made) = (entries(), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> Result<()> {
        while let Some((number, entry)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, entries.get(at)?)))
        {
            let (name, task, entries, equip) = entry;
            say(name);
            let place = Place::new(outside, number)?;
            let Equipment { plane, attachment } = equip(&place).with_context(|| name.clone())?;
            let (name, task, entries) = (name.clone(), *task, *entries);
            let contender = Contender { name, task, place, entries, plane, _attachment: attachment };
            made.lock().unwrap_or_else(PoisonError::into_inner).push((number, contender));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        work().and(other.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })?;
    let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    made.sort_by_key(|(number, _)| *number);
    let all: Vec<Contender> = made.into_iter().map(|(_, contender)| contender).collect();
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

#[derive(Default)]
struct Equipment {
    plane: Option<Plane>,
    attachment: Option<Attachment>,
}

fn program(place: &Place, program: &Program) -> Result<Equipment> {
    let attachment = place.gateway.enter(|| program.attach("guard0", bpf::Hook::Xdp))??;
    Ok(Equipment { attachment: Some(attachment), ..Equipment::default() })
}

fn portcullis(place: &Place, way: Way) -> Result<Equipment> {
    let mut plane = Plane::on(place.guard, "guard0", MANY, MANY + MANY / 4)?.furnish(Family::V4, MANY)?;
    let interfaces = [guarded(place.guard, "guard0", way.settings)];
    (way.tell)(&mut plane.programs);
    let attached = place.gateway.enter(|| {
        plane.watch_ways()?;
        anyhow::Ok(plane.programs.guard(&interfaces)?)
    })??;
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

    /// Opens a connection of each session, and goes on with it so far that nothing of it is for the first time: elsewhere
    /// by an answer, with the gateway, whose flows remember their ways, by another packet.
    fn open_connections(&self, outside: &Outside) -> Result<()> {
        let then = if self.plane.is_some() { Stream::Granted } else { Stream::Back };
        for stream in [Stream::Opening, then] {
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
