//! Putting the programs on interfaces, and keeping them there: links are pinned, so they outlive the daemon, and a new
//! daemon replaces the program behind a link in one step.

use super::load::{EGRESS, INGRESS, REPLIES, STRIPPED, classifier, xdp};
use super::ports::AppInterface;
use super::{DataPlaneError, load};
use aya::Ebpf;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, TcAttachType};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, Xdp};
use gateway_common::abi::{Interface, Vlan};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// An interface that the programs are to guard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardedInterface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Number of its zone.
    pub zone: u32,
    /// Name of its zone.
    pub zone_name: String,
    /// Whether its frames begin with an Ethernet header.
    pub has_link_layer: bool,
    /// Which XDP mode to use.
    pub mode: XdpChoice,
    /// What is done with what it carries.
    pub settings: InterfaceSettings,
    /// The VLANs that it carries.
    pub vlans: Vec<GuardedVlan>,
}

/// A VLAN on a guarded interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardedVlan {
    /// Its tags.
    pub vlan: Vlan,
    /// Number of its zone.
    pub zone: u32,
    /// Name of its zone.
    pub zone_name: String,
}

/// What is done with what an interface carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the configuration")]
pub struct InterfaceSettings {
    /// Denials of sessions are answered.
    pub reject: bool,
    /// Nothing is dropped; what would have been is counted and recorded.
    pub observe: bool,
    /// Fragments are tracked instead of dropped.
    pub track_fragments: bool,
    /// Harmless IPv4 options are admitted.
    pub admit_options: bool,
    /// Harmless IPv6 extension headers are admitted.
    pub admit_extensions: bool,
    /// What is permitted is forwarded in XDP, where that is possible.
    pub forward: bool,
}

impl InterfaceSettings {
    /// As the flags of [`Interface`].
    #[must_use]
    pub fn flags(self) -> u32 {
        let Self { reject, observe, track_fragments, admit_options, admit_extensions, forward } = self;
        let flags = [
            (reject, Interface::REJECT),
            (observe, Interface::OBSERVE),
            (track_fragments, Interface::TRACK_FRAGMENTS),
            (admit_options, Interface::ADMIT_OPTIONS),
            (admit_extensions, Interface::ADMIT_EXTENSIONS),
            (forward, Interface::FORWARD),
        ];
        flags.iter().filter(|(is_set, _)| *is_set).fold(0, |sum, (_, flag)| sum | flag)
    }
}

/// Which XDP mode to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum XdpChoice {
    /// Native where the driver has it, generic otherwise.
    #[default]
    Auto,
    /// In the driver, or fail.
    Native,
    /// In the network stack.
    Generic,
}

/// How an interface is guarded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attached {
    /// Its name.
    pub interface: String,
    /// `native` or `generic`.
    pub mode: &'static str,
    /// Whether the link of an earlier daemon was taken over.
    pub adopted: bool,
}

/// Links by their pins. Held, so that a pin that somebody removes takes nothing off, and can be made again.
pub(super) type Held = BTreeMap<PathBuf, FdLink>;

/// Attaches the programs to each interface, or replaces those behind the links that are there; that of the replies to the
/// interfaces that face apps. Returns the links that do so beside how each interface is guarded; all others are still there.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    folder: &Path,
    interfaces: &[GuardedInterface],
    apps: &[AppInterface],
    held: &mut Held,
) -> Result<(Vec<Attached>, BTreeSet<PathBuf>), DataPlaneError> {
    let links = folder.join("links");
    let mut kept = BTreeSet::new();
    let mut attached = Vec::new();
    for guarded in interfaces {
        let [egress_pin, stripped_pin] = ["tc", "tags"].map(|hook| pin(&links, guarded.index, hook));
        // Egress first: while only one of the two is there, the client can ask but gets no answer.
        attach_classifier(ebpf, EGRESS, TcAttachType::Egress, guarded, &egress_pin, held)?;
        if guarded.has_link_layer {
            attach_classifier(ebpf, STRIPPED, TcAttachType::Ingress, guarded, &stripped_pin, held)?;
        }
        let place = Place { name: &guarded.name, index: guarded.index, mode: guarded.mode };
        attached.push(attach_xdp(xdp(ebpf, INGRESS)?, place, &links, held)?);
        kept.extend([egress_pin, stripped_pin].into_iter().chain(place.paths(&links)));
    }
    for AppInterface { name, index, mode } in apps {
        let place = Place { name, index: *index, mode: *mode };
        attach_xdp(xdp(ebpf, REPLIES)?, place, &links, held)?;
        kept.extend(place.paths(&links));
    }
    Ok((attached, kept))
}

/// Removes all links but these, which are those of interfaces that are no longer guarded, and maps of older layouts.
pub(super) fn detach_others(
    folder: &Path,
    pins: &Path,
    kept: &BTreeSet<PathBuf>,
    held: &mut Held,
) -> Result<(), DataPlaneError> {
    let links = folder.join("links");
    held.retain(|path, _| kept.contains(path));
    remove_others(&links, |path| kept.contains(path))?;
    remove_others(folder, |path| path == links || path == pins)
}

/// Takes every program off and removes every pin. From then on nothing is guarded.
///
/// # Errors
/// If a pin cannot be removed.
pub fn unload(folder: &Path) -> Result<(), DataPlaneError> {
    remove_others(&folder.join("links"), |_| false)?;
    remove_others(folder, |_| false)?;
    match std::fs::remove_dir(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(DataPlaneError::Pins { path: folder.into(), source })
        }
        _ => Ok(()),
    }
}

/// By the interface's number: one that is made anew is another one, and its old link is dead, but one that is renamed is the
/// same.
fn pin(links: &Path, index: u32, hook: &str) -> PathBuf {
    links.join(format!("{index}-{hook}"))
}

/// Where an XDP program goes. Whichever it is, it has the same pin: an interface has one, and its link stays when
/// another program takes over.
#[derive(Clone, Copy)]
struct Place<'a> {
    name: &'a str,
    index: u32,
    mode: XdpChoice,
}

impl Place<'_> {
    fn pin(&self, links: &Path) -> PathBuf {
        pin(links, self.index, "xdp")
    }

    /// A folder that remembers in which mode the link was made: the kernel does not tell.
    fn mode_path(&self, links: &Path, mode: &str) -> PathBuf {
        pin(links, self.index, mode)
    }

    /// All that may be there of it.
    fn paths(&self, links: &Path) -> [PathBuf; 3] {
        [self.pin(links), self.mode_path(links, "native"), self.mode_path(links, "generic")]
    }
}

fn attach_xdp(program: &mut Xdp, place: Place<'_>, links: &Path, held: &mut Held) -> Result<Attached, DataPlaneError> {
    let refused = |source| DataPlaneError::Attach { interface: place.name.to_owned(), source: Box::new(source) };
    let interface = place.name.to_owned();
    let pin = &place.pin(links);
    if let Some(link) = existing(pin, held)? {
        let mode = if place.mode_path(links, "generic").exists() { "generic" } else { "native" };
        if place.mode.accepts(mode) {
            let link = XdpLink::try_from(link).map_err(|error| broken(pin, &error))?;
            match program.attach_to_link(link) {
                Ok(link) => {
                    let link = program.take_link(link).map_err(refused)?;
                    held.insert(pin.clone(), descriptor(link, pin)?);
                }
                Err(error) if is_detached(&error) => {
                    remove(pin)?;
                    return attach_xdp(program, place, links, held);
                }
                Err(error) => return Err(refused(error)),
            }
            return Ok(Attached { interface, mode, adopted: true });
        }
        remove(pin)?;
    }
    let (link, mode) = match place.mode {
        XdpChoice::Generic => (program.attach_to_if_index(place.index, XdpMode::Skb), "generic"),
        XdpChoice::Native => (program.attach_to_if_index(place.index, XdpMode::Driver), "native"),
        XdpChoice::Auto => match program.attach_to_if_index(place.index, XdpMode::Driver) {
            Ok(link) => (Ok(link), "native"),
            Err(_) => (program.attach_to_if_index(place.index, XdpMode::Skb), "generic"),
        },
    };
    let link = program.take_link(link.map_err(refused)?).map_err(refused)?;
    keep(descriptor(link, pin)?, pin, held)?;
    for other in ["native", "generic"] {
        let path = place.mode_path(links, other);
        let made = if other == mode { std::fs::create_dir_all(&path) } else { Ok(()) };
        made.map_err(|source| DataPlaneError::Pins { path, source })?;
    }
    Ok(Attached { interface, mode, adopted: false })
}

impl XdpChoice {
    fn accepts(self, mode: &str) -> bool {
        match self {
            Self::Auto => true,
            Self::Native => mode == "native",
            Self::Generic => mode == "generic",
        }
    }
}

fn attach_classifier(
    ebpf: &mut Ebpf,
    name: &'static str,
    hook: TcAttachType,
    guarded: &GuardedInterface,
    pin: &Path,
    held: &mut Held,
) -> Result<(), DataPlaneError> {
    let refused = |source| DataPlaneError::Attach { interface: guarded.name.clone(), source: Box::new(source) };
    let program = classifier(ebpf, name)?;
    if let Some(link) = existing(pin, held)? {
        let link = SchedClassifierLink::try_from(link).map_err(|error| broken(pin, &error))?;
        match program.attach_to_link(link) {
            Ok(link) => {
                let link = program.take_link(link).map_err(refused)?;
                held.insert(pin.to_owned(), descriptor(link, pin)?);
                return Ok(());
            }
            Err(error) if is_detached(&error) => remove(pin)?,
            Err(error) => return Err(refused(error)),
        }
    }
    let link = program.attach(&guarded.name, hook).map_err(refused)?;
    let link = program.take_link(link).map_err(refused)?;
    keep(descriptor(link, pin)?, pin, held)
}

/// The link behind a pin; a pin that cannot be opened is in the way and is removed, and one that is gone is made again if its
/// link is held.
fn existing(pin: &Path, held: &mut Held) -> Result<Option<FdLink>, DataPlaneError> {
    let held = held.remove(pin);
    if !pin.exists() {
        let pinned = held.map(|link| link.pin(pin)).transpose();
        return pinned.map(|link| link.map(FdLink::from)).map_err(|error| broken(pin, &error));
    }
    match PinnedLink::from_pin(pin) {
        Ok(link) => Ok(Some(link.into())),
        Err(error) => {
            tracing::warn!(pin = %pin.display(), %error, "a pinned link is not one; attaching anew");
            remove(pin)?;
            Ok(None)
        }
    }
}

/// Whether somebody has taken the program off: the link is there and leads nowhere.
fn is_detached(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error) if error.io_error.raw_os_error() == Some(nix::libc::ENOLINK))
}

fn remove(pin: &Path) -> Result<(), DataPlaneError> {
    std::fs::remove_file(pin).map_err(|source| DataPlaneError::Pins { path: pin.into(), source })
}

/// Whether the pins of all that guards an interface are there.
pub(super) fn are_pinned(folder: &Path, guarded: &GuardedInterface) -> bool {
    let links = folder.join("links");
    let hooks: &[&str] = if guarded.has_link_layer { &["xdp", "tc", "tags"] } else { &["xdp", "tc"] };
    hooks.iter().all(|hook| pin(&links, guarded.index, hook).exists())
}

/// A link of whatever hook, as the descriptor that it is.
fn descriptor<L>(link: L, pin: &Path) -> Result<FdLink, DataPlaneError>
where
    FdLink: TryFrom<L, Error: std::error::Error>,
{
    FdLink::try_from(link).map_err(|error| broken(pin, &error))
}

fn keep(link: FdLink, pin: &Path, held: &mut Held) -> Result<(), DataPlaneError> {
    let link = link.pin(pin).map_err(|error| broken(pin, &error))?;
    held.insert(pin.to_owned(), link.into());
    Ok(())
}

fn broken(pin: &Path, error: &dyn std::error::Error) -> DataPlaneError {
    DataPlaneError::Link { path: pin.into(), problem: load::chain(error) }
}

fn remove_others(folder: &Path, keep: impl Fn(&Path) -> bool) -> Result<(), DataPlaneError> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| !keep(path)) {
        let removed = if path.is_dir() { remove_folder(&path) } else { std::fs::remove_file(&path) };
        removed.map_err(|source| DataPlaneError::Pins { path, source })?;
    }
    Ok(())
}

/// A BPF file system knows no recursive removal; pins lie at most one folder deep.
fn remove_folder(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        std::fs::remove_file(entry?.path())?;
    }
    std::fs::remove_dir(folder)
}
