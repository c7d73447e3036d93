//! What happens to the daemon, to its machine, and to people; and what must be so after each of it.

use crate::outside::STRANGER;
use crate::report::Tally;
use crate::scene::{self, FAMILIES, SOON, V4, goes_on, reaches, stream};
use anyhow::{Context as _, Result, ensure};
use gateway_tests::flood::{Flood, Target};
use gateway_tests::gate::{self, BEACON_POLICY, Gate, POLICIES};
use gateway_tests::{Disk, Launch, Medium, Stream, World, wait_until, wall, world::at};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Room for the records of a flood of several minutes: a disk that they have filled is another test's.
const DISK: u64 = 256 << 20;
/// How long what was on its way when a receipt was written may take to arrive.
const ON_ITS_WAY: Duration = Duration::from_millis(100);
/// How long then nothing may come.
const NOTHING: Duration = Duration::from_millis(200);
/// Packets a second, none of which is permitted.
const FLOOD: u32 = 300_000;
/// What the wall clock says, in years from now; before 1970, too.
const JUMPS: [&str; 5] = ["+30y", "-30y", "-60y", "-120y", wall::HONEST];

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Event {
    Kill,
    KillWhileStarting,
    Restart,
    OtherBuild,
    OtherTables,
    Pause,
    ClockJump,
    DiskFull,
    PolicySwap,
    Revocation,
    RevocationAndKill,
    PinRemoved,
    InterfaceRemade,
    InterfaceRemadeAlone,
}

impl Event {
    /// As often as each is here.
    pub const ALL: [Self; 24] = [
        Self::Kill,
        Self::Kill,
        Self::Kill,
        Self::Kill,
        Self::Kill,
        Self::Kill,
        Self::Kill,
        Self::KillWhileStarting,
        Self::Restart,
        Self::Restart,
        Self::Restart,
        Self::OtherBuild,
        Self::OtherBuild,
        Self::OtherBuild,
        Self::OtherTables,
        Self::Pause,
        Self::ClockJump,
        Self::DiskFull,
        Self::PolicySwap,
        Self::Revocation,
        Self::RevocationAndKill,
        Self::PinRemoved,
        Self::InterfaceRemade,
        Self::InterfaceRemadeAlone,
    ];

    /// As the report calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::KillWhileStarting => "killed_while_starting",
            Self::Restart => "stopped_and_started",
            Self::OtherBuild => "replaced_by_another_abi",
            Self::OtherTables => "started_with_other_tables",
            Self::Pause => "paused",
            Self::ClockJump => "clock_jumped",
            Self::DiskFull => "disk_full",
            Self::PolicySwap => "policy_swapped",
            Self::Revocation => "revoked",
            Self::RevocationAndKill => "revoked_then_killed",
            Self::PinRemoved => "pin_removed",
            Self::InterfaceRemade => "interface_remade",
            Self::InterfaceRemadeAlone => "interface_remade_alone",
        }
    }
}

/// The gateway in the middle of it.
pub struct Storm {
    /// The gateway.
    pub gate: Gate,
    /// What was counted.
    pub tally: Tally,
    dice: SmallRng,
    /// Of alice, who is permitted all the time.
    permitted: Vec<Stream>,
    /// Of bob, who is revoked now and then.
    bob: Option<(String, Stream)>,
    flood: Option<Flood>,
    /// The daemon, and that of another ABI.
    builds: [PathBuf; 2],
    is_other_build: bool,
    is_large: bool,
    is_other_policy: bool,
    /// Where the state is; last, because it goes last.
    disk: Disk,
}

impl Storm {
    /// The calm before it, with a flood already.
    pub fn begin(seed: u64) -> Result<Self> {
        let builds = [gate::binary("portcullisd")?, gate::next_daemon()?];
        let world = World::new()?;
        let disk = Disk::of(&world, Medium::Btrfs, DISK)?;
        let mut launch = Launch::new(builds[0].clone(), gate::READY);
        launch.env.extend(wall::settings(&world)?);
        let gate = Gate::launch_inside(world, launch, |config| config)?;
        gate.introduce("alice", "finance")?;
        gate.introduce("bob", "ops")?;
        gate.api.put("/v1/apps/beacon", &gate::beacon())?.ok()?;
        gate.put_policy(&policies(false))?.ok()?;
        gate.world.client2.ip(&[format!("address add {STRANGER}/24 dev eth0")])?;
        let mut storm = Self {
            gate,
            tally: Tally::default(),
            dice: SmallRng::seed_from_u64(seed),
            permitted: Vec::new(),
            bob: None,
            flood: None,
            builds,
            is_other_build: false,
            is_large: false,
            is_other_policy: false,
            disk,
        };
        storm.flood()?;
        Ok(storm)
    }

    /// Somebody is at work, over both families.
    pub fn permit(&mut self) -> Result<()> {
        for family in FAMILIES {
            family.alice(&self.gate)?;
            self.permitted.push(stream(&self.gate.world.client, family.crm())?);
        }
        Ok(())
    }

    /// The next event, by lot.
    pub fn draw(&mut self) -> Event {
        Event::ALL[self.dice.random_range(0..Event::ALL.len())]
    }

    /// It happens, and is looked at.
    pub fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Kill => {
                self.kill()?;
                self.rest();
                self.start()?;
            }
            Event::KillWhileStarting => {
                self.kill()?;
                self.gate.daemon.launch()?;
                std::thread::sleep(Duration::from_millis(self.dice.random_range(0..900)));
                self.kill()?;
                self.start()?;
            }
            Event::Restart => self.start()?,
            Event::OtherBuild => {
                self.is_other_build = !self.is_other_build;
                self.gate.daemon.becomes(self.builds[usize::from(self.is_other_build)].clone());
                if self.dice.random_bool(0.5) {
                    self.kill()?;
                }
                self.start()?;
            }
            Event::OtherTables => {
                self.is_large = !self.is_large;
                let (before, after) = if self.is_large { ("= 1024", "= 2048") } else { ("= 2048", "= 1024") };
                let path = self.gate.daemon.config().to_owned();
                let text = fs::read_to_string(&path)?;
                fs::write(&path, text.replace(&format!("flows {before}"), &format!("flows {after}")))?;
                self.start()?;
            }
            Event::Pause => {
                self.gate.daemon.pause()?;
                self.rest();
                self.gate.daemon.resume()?;
            }
            Event::ClockJump => wall::jump(&self.gate.world, JUMPS[self.dice.random_range(0..JUMPS.len())])?,
            Event::DiskFull => self.fill_the_disk()?,
            Event::PolicySwap => {
                self.is_other_policy = !self.is_other_policy;
                self.gate.put_policy(&policies(self.is_other_policy))?.ok()?;
            }
            Event::Revocation => self.revoke()?,
            Event::RevocationAndKill => self.revoke_and_kill()?,
            Event::PinRemoved => self.remove_a_pin()?,
            Event::InterfaceRemade => self.remake_interface()?,
            Event::InterfaceRemadeAlone => {
                self.kill()?;
                self.remake_interface()?;
                self.rest();
                self.start()?;
            }
        }
        *self.tally.events.entry(event).or_default() += 1;
        self.look(event)
    }

    /// The packets of the flood so far.
    pub fn flooded(&self) -> u64 {
        self.tally.flooded + self.flood.as_ref().map_or(0, Flood::sent)
    }

    fn flood(&mut self) -> Result<()> {
        let IpAddr::V4(destination) = at::APP else { anyhow::bail!("an IPv4 address was wanted") };
        let target = Target { mac: at::GUARD1_MAC, source: STRANGER, destination };
        self.flood = Some(Flood::start(&self.gate.world.client2, "eth0", target, FLOOD)?);
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        self.tally.kills += 1;
        self.gate.daemon.kill9()
    }

    /// The daemon starts, after it was stopped if it runs, and takes over what the one before has left.
    fn start(&mut self) -> Result<()> {
        let before = self.program()?;
        self.gate.daemon.restart()?;
        self.tally.restarts += 1;
        ensure!(self.program()? != before, "the program was not replaced");
        self.tally.replacements += 1;
        Ok(())
    }

    /// The number of the program on the interface that stays.
    fn program(&self) -> Result<u64> {
        let links = self.gate.world.gateway.run(&["ip", "-json", "link", "show", "dev", "guard0"])?;
        let links: Value = serde_json::from_str(&links)?;
        links[0]["xdp"]["prog"]["id"].as_u64().with_context(|| format!("guard0 is open: {links}"))
    }

    /// A moment in which nothing is done: up to a fifth of a second.
    fn rest(&mut self) {
        std::thread::sleep(Duration::from_millis(self.dice.random_range(0..200)));
    }

    /// Those who are permitted go on, and get new connections.
    fn look(&mut self, event: Event) -> Result<()> {
        let Self { permitted, gate, tally, .. } = self;
        let client = &gate.world.client;
        for (stream, family) in permitted.iter_mut().zip(FAMILIES) {
            if let Err(error) = goes_on(stream) {
                println!("after {event:?}: a permitted connection is lost: {error:#}");
                tally.lost_connections += 1;
                *stream = scene::stream(client, family.crm())?;
            }
        }
        reaches(client, V4.crm());
        Ok(())
    }

    /// bob, in the middle of a download.
    fn bob(&mut self) -> Result<(String, Stream)> {
        if let Some(bob) = self.bob.take() {
            return Ok(bob);
        }
        let login = V4.bob(&self.gate)?;
        Ok((login.token, stream(&self.gate.world.client2, V4.vault())?))
    }

    fn revoke(&mut self) -> Result<()> {
        let (token, download) = self.bob()?;
        self.gate.api.delete(&format!("/v1/sessions/{token}"))?.ok()?;
        self.is_silent(&token, &download);
        self.is_gone(&token)
    }

    fn revoke_and_kill(&mut self) -> Result<()> {
        let (token, download) = self.bob()?;
        self.gate.api.delete(&format!("/v1/sessions/{token}"))?.ok()?;
        self.kill()?;
        self.is_silent(&token, &download);
        self.start()?;
        self.is_gone(&token)
    }

    /// Nothing can be stored. bob is thrown out all the same, and does not come back when there is room again, nor when the
    /// daemon has died meanwhile.
    fn fill_the_disk(&mut self) -> Result<()> {
        let (token, download) = self.bob()?;
        self.disk.fill()?;
        self.gate.api.delete(&format!("/v1/sessions/{token}"))?.problem(503)?;
        let is_fatal = self.dice.random_bool(0.5);
        if is_fatal {
            self.kill()?;
        }
        self.is_silent(&token, &download);
        self.disk.free()?;
        if is_fatal {
            self.start()?;
        } else {
            let is_saved = || {
                let text = self.gate.api.get("/metrics").ok()?.text;
                text.contains("portcullis_store_unsaved 0\n").then_some(())
            };
            wait_until("everything to be saved", SOON, is_saved)?;
        }
        self.is_gone(&token)
    }

    /// Since the receipt, or the answer that stands for it.
    fn is_silent(&mut self, token: &str, download: &Stream) {
        std::thread::sleep(ON_ITS_WAY);
        let before = download.bytes();
        std::thread::sleep(NOTHING);
        let came = download.bytes() - before;
        if came > 0 {
            println!("{came} bytes came after the receipt of {token}");
            self.tally.forwarded_after_receipt += 1;
        }
    }

    fn is_gone(&mut self, token: &str) -> Result<()> {
        let answer = self.gate.api.get(&format!("/v1/sessions/{token}"))?;
        if answer.status != 404 {
            println!("the session {token} is there although it was ended: {}", answer.text);
            self.tally.lost_revocations += 1;
        }
        Ok(())
    }

    /// The stranger's interface is another one, and bob's session is over.
    fn remake_interface(&mut self) -> Result<()> {
        self.tally.flooded += self.flood.take().map_or(Ok(0), Flood::end)?;
        let world = &self.gate.world;
        world.gateway.ip(&["link del guard1"])?;
        world.remake_guard1()?;
        world.client2.ip(&[format!("address add {STRANGER}/24 dev eth0")])?;
        self.bob = None;
        self.flood()
    }

    /// A link loses its pin, and gets another one.
    fn remove_a_pin(&mut self) -> Result<()> {
        let folder = self.gate.world.bpffs().join("portcullis/links");
        let mut pins: Vec<PathBuf> = fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).collect();
        pins.retain(|path| path.is_file());
        pins.sort();
        let pin = pins.get(self.dice.random_range(0..pins.len().max(1))).context("no link is pinned")?;
        fs::remove_file(pin)?;
        wait_until("the link to be pinned again", SOON, || pin.exists().then_some(()))
    }
}

/// alice is permitted the beacon by both.
fn policies(is_other: bool) -> String {
    let other = r#"@id("other") permit (principal in Group::"ops", action, resource == App::"beacon");"#;
    format!("{POLICIES}\n{BEACON_POLICY}\n{}", if is_other { other } else { "" })
}
