//! Reading the corpus.

use super::cast::Act;
use gateway_common::{DropReason, Verdict};
use gateway_userspace::dataplane::attach::InterfaceSettings;
use std::path::PathBuf;

/// A packet, or several in their order, and what is done between them.
#[derive(Debug)]
pub struct Case {
    /// File and line.
    pub place: String,
    /// The file's name: a family.
    pub family: String,
    /// Whether it is an attack.
    pub is_attack: bool,
    /// A sentence.
    pub name: String,
    /// How the interface is configured.
    pub world: World,
    /// What happens.
    pub turns: Vec<Turn>,
}

/// One thing that happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Something is done to the gateway.
    Act(Act),
    /// A packet is judged.
    Packet(Sent),
}

/// A packet, and what becomes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Its direction.
    pub way: Way,
    /// What is expected of it.
    pub expected: Verdict,
    /// The frame.
    pub frame: Vec<u8>,
}

/// Both directions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Way {
    /// From the client.
    In,
    /// To the client.
    Out,
}

/// How the interface is configured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum World {
    /// Nothing is admitted.
    Default,
    /// Fragments are tracked.
    Tracking,
    /// Harmless IPv4 options are admitted.
    Options,
    /// Harmless IPv6 extension headers are admitted.
    Extensions,
    /// All of these.
    Admitting,
    /// VLANs 5 and 7.9 are carried.
    Vlans,
}

impl World {
    /// The interface's settings.
    pub fn settings(self) -> InterfaceSettings {
        InterfaceSettings {
            track_fragments: matches!(self, Self::Tracking | Self::Admitting),
            admit_options: matches!(self, Self::Options | Self::Admitting),
            admit_extensions: matches!(self, Self::Extensions | Self::Admitting),
            ..InterfaceSettings::default()
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "default" => Self::Default,
            "tracking" => Self::Tracking,
            "options" => Self::Options,
            "extensions" => Self::Extensions,
            "admitting" => Self::Admitting,
            "vlans" => Self::Vlans,
            _ => return None,
        })
    }
}

/// All cases, by family. What cannot be read is an error with its place.
pub fn corpus() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
        .iter()
        .flat_map(|path| {
            let family = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            cases(&family, &text).unwrap_or_else(|problem| panic!("{}:{problem}", path.display()))
        })
        .collect()
}

fn cases(family: &str, text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let problem = |what: &str| format!("{number}: {what}: `{line}`");
        let content = line.split('#').next().unwrap_or_default().trim_end();
        if content.is_empty() {
            continue;
        }
        let last = cases.last_mut();
        if content.starts_with(' ') {
            let turn = last.and_then(|case| case.turns.last_mut());
            let Some(Turn::Packet(sent)) = turn else { return Err(problem("bytes of no packet")) };
            sent.frame.extend(bytes(content).ok_or_else(|| problem("not hexadecimal"))?);
            continue;
        }
        let (key, value) = content.split_once(": ").ok_or_else(|| problem("neither `key: value` nor bytes"))?;
        if let "attack" | "honest" = key {
            cases.push(Case {
                place: format!("{family}.txt:{number}"),
                family: family.to_owned(),
                is_attack: key == "attack",
                name: value.to_owned(),
                world: World::Default,
                turns: Vec::new(),
            });
            continue;
        }
        let case = last.ok_or_else(|| problem("before the first case"))?;
        match key {
            "world" => case.world = World::named(value).ok_or_else(|| problem("unknown world"))?,
            "do" => case.turns.push(Turn::Act(Act::named(value).ok_or_else(|| problem("unknown act"))?)),
            "in" | "out" => {
                let way = if key == "in" { Way::In } else { Way::Out };
                let expected = verdict(value).ok_or_else(|| problem("unknown verdict"))?;
                case.turns.push(Turn::Packet(Sent { way, expected, frame: Vec::new() }));
            }
            _ => return Err(problem("unknown key")),
        }
    }
    Ok(cases)
}

fn verdict(text: &str) -> Option<Verdict> {
    match text {
        "forward" => Some(Verdict::Forward),
        "to_host" => Some(Verdict::ToHost),
        _ => {
            let label = text.strip_prefix("drop ")?;
            DropReason::ALL.iter().find(|reason| reason.label() == label).copied().map(Verdict::Drop)
        }
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok())
        .collect()
}
