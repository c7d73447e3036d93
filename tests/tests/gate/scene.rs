//! What the tests share: both families of addresses, the apps' servers, streams that go on or do not.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{
    Gate, HttpServer, Login, Namespace, Outcome, Stream, World, http_get, tcp_connect, wait_until, world::at,
};

pub const SOON: Duration = Duration::from_secs(10);
/// For what is expected not to happen.
pub const BRIEFLY: Duration = Duration::from_millis(100);
/// Longer than the pause between two pieces of a stream, and than a first retransmission.
const SILENCE: Duration = Duration::from_millis(300);
pub const PORT: u16 = 8080;

/// The addresses of the world in one family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub client: IpAddr,
    pub guard0: IpAddr,
    pub guard1: IpAddr,
    pub crm: IpAddr,
    pub vault: IpAddr,
}

pub const V4: Family =
    Family { client: at::CLIENT, guard0: at::GUARD0, guard1: at::GUARD1, crm: at::APP, vault: at::OTHER_APP };

pub const V6: Family =
    Family { client: at::CLIENT6, guard0: at::GUARD0_6, guard1: at::GUARD1_6, crm: at::APP6, vault: at::OTHER_APP6 };

pub const FAMILIES: [Family; 2] = [V4, V6];

impl Family {
    /// Where crm answers.
    pub fn crm(self) -> SocketAddr {
        SocketAddr::new(self.crm, PORT)
    }

    /// Where vault answers.
    pub fn vault(self) -> SocketAddr {
        SocketAddr::new(self.vault, PORT)
    }

    /// The second client, on `guard1`.
    pub fn client2(self) -> IpAddr {
        if self.client.is_ipv4() { at::CLIENT2 } else { at::CLIENT2_6 }
    }

    /// alice logs in, on `guard0`.
    pub fn alice(self, gate: &Gate) -> Result<Login> {
        gate.login(&gate.world.client, self.guard0, "alice")
    }

    /// bob logs in, on `guard1`.
    pub fn bob(self, gate: &Gate) -> Result<Login> {
        gate.login(&gate.world.client2, self.guard1, "bob")
    }
}

/// The servers of both apps.
pub struct Apps {
    pub crm: HttpServer,
    _vault: HttpServer,
}

impl Apps {
    pub fn start(world: &World, family: Family) -> Result<Self> {
        Ok(Self {
            crm: HttpServer::start(&world.app, family.crm(), "crm")?,
            _vault: HttpServer::start(&world.app, family.vault(), "vault")?,
        })
    }
}

/// The demonstration with these lines for an interface.
pub fn on(interface: &str, lines: &str) -> impl FnOnce(String) -> String {
    let name = format!("name = \"{interface}\"");
    let more = format!("{name}\n{lines}");
    move |config| config.replace(&name, &more)
}

/// A download that has begun.
pub fn stream(host: &Namespace, to: SocketAddr) -> Result<Stream> {
    let stream = Stream::open(host, to, "/stream/400000", SOON)?;
    goes_on(&stream)?;
    Ok(stream)
}

/// More comes.
#[track_caller]
pub fn goes_on(stream: &Stream) -> Result<()> {
    let before = stream.bytes();
    let more = wait_until("the stream to go on", SOON, || (stream.bytes() > before + 20_000).then_some(()));
    more.with_context(|| format!("after {before} bytes; ended: {:?}", stream.ended()))?;
    ensure!(stream.ended().is_none(), "the stream has ended");
    Ok(())
}

/// Nothing comes any more.
pub fn falls_silent(stream: &Stream) -> Result<()> {
    wait_until("the stream to fall silent", SOON, || (stream.silence() > SILENCE).then_some(()))
}

/// The page is served.
#[track_caller]
pub fn reaches(host: &Namespace, to: SocketAddr) {
    let (status, _) = http_get(host, to, "/", SOON).expect("it is reachable");
    assert_eq!(status, 200, "{to}");
}

/// A connection is met with silence.
#[track_caller]
pub fn is_kept_out(host: &Namespace, to: SocketAddr) {
    assert_eq!(tcp_connect(host, to, BRIEFLY).expect("the host exists"), Outcome::TimedOut, "{to}");
}
