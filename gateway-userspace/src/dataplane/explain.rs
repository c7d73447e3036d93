//! What the loaded law says of a packet that nobody sent, with nothing changed by it.
//!
//! The kernel's answer is [`Explainer`]'s; the in-memory twin gives its own, from the same dry run
//! ([`gateway_common::rehearsal`]). Who may ask, and what users, apps and policies are called, is not known here.

mod frame;
mod kernel;
mod twin;

use super::DataPlaneError;
use crate::policy::SessionToken;
use gateway_common::abi::{Explained, Interface, Vlan};
use gateway_common::{Answering, DropReason, Verdict};
use std::net::IpAddr;

pub use kernel::Explainer;

/// Who can be asked. Not by the core's thread: the first question takes the kernel as long as a start of the daemon does.
pub trait Explain: Send + Sync {
    /// What would become of the first packet, or of another one, of a connection from a client.
    ///
    /// # Errors
    /// If there is no such packet, or nobody to ask.
    fn explain(&self, question: &Question) -> Result<Explanation, ExplainError>;
}

/// A packet from a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// The number of the interface that it arrives on.
    pub interface: u32,
    /// Its tags; none, where both are 0.
    pub vlan: Vlan,
    /// The hardware address of its sender; `None` on an interface without a link layer, where frames begin with the IP
    /// header.
    pub mac: Option<[u8; 6]>,
    /// Its sender.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// The number of its IP protocol.
    pub protocol: u8,
    /// The port that it comes from; of an echo request the identifier. Of no meaning for protocols without ports.
    pub source_port: u16,
    /// The port that it goes to, likewise; of no meaning for an echo request.
    pub destination_port: u16,
    /// What it is to its connection.
    pub connection: Connection,
}

/// What a packet is to its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connection {
    /// It begins one: a SYN, an INIT. Whatever flows are open, it is judged as if its ports were those of none of them, so
    /// that nobody has to find ports of which that is true, and protocols that have none can be asked about.
    New,
    /// It is from the middle of this one: an open flow answers for it, if there is one that counts.
    Open,
}

/// What would become of the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The verdict of the law. Where the interface only observes, a drop goes on all the same.
    pub verdict: Verdict,
    /// What decided.
    pub basis: Basis,
    /// The session of its source, if one was found.
    pub token: Option<SessionToken>,
    /// The number of the app at its destination, if it came to that.
    pub app: Option<u32>,
    /// The zone in which its session was looked for.
    pub zone: u32,
    /// Whether there is a flow that it belongs to, even if that does not count.
    pub flow: bool,
    /// Whether it would open a flow.
    pub opens: bool,
    /// Whether the interface only observes.
    pub observed: bool,
    /// Whether its sender would be told that it was dropped, as far as the budget of answers goes.
    pub answered: bool,
}

/// What decided about a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Basis {
    /// An open flow, on the short way: neither session nor policy was looked at, because nothing about them has changed.
    ShortWay,
    /// An open flow, that the live session and its policy in force speak for.
    Flow,
    /// The policy of the session: app and grant.
    Policy,
    /// Something that comes before: the packet, the gateway's own services, the session, its limits.
    Before,
}

impl Basis {
    /// The word in answers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ShortWay => "short_way",
            Self::Flow => "flow",
            Self::Policy => "policy",
            Self::Before => "before",
        }
    }

    const fn of(answer: &Explained, verdict: Verdict) -> Self {
        use DropReason::{BandwidthExceeded, BudgetExceeded, BudgetTableFull, LeaseExpired};
        let is_flows = matches!(
            verdict,
            Verdict::Forward | Verdict::Drop(LeaseExpired | BandwidthExceeded | BudgetExceeded | BudgetTableFull)
        );
        match answer {
            _ if answer.has(Explained::SHORT_WAY) => Self::ShortWay,
            _ if answer.has(Explained::JUDGED) => Self::Policy,
            _ if answer.has(Explained::FLOW) && is_flows => Self::Flow,
            _ => Self::Before,
        }
    }
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// No packet has both addresses.
    #[error("`{from}` and `{to}` are not of one family: there is no such packet")]
    Families {
        /// The source.
        from: IpAddr,
        /// The destination.
        to: IpAddr,
    },
    /// An interface that is not there, in the network namespace of the daemon.
    #[error("there is no interface with the number {0}")]
    Interface(u32),
    /// The maps are not those of this daemon any more: to look into others would say nothing about its packets.
    #[error("the pin of table `{0}` is gone or another one's; restart the daemon")]
    Table(&'static str),
    /// The kernel does not load or run the program; packets are judged all the same.
    #[error("the kernel cannot be asked: {0}")]
    Kernel(#[from] DataPlaneError),
    /// The program gave no answer.
    #[error("the program gave no answer; the installation is incomplete, install it again")]
    Silent,
}

impl Explanation {
    fn of(answer: &Explained) -> Result<Self, ExplainError> {
        let verdict = match answer.mark {
            Explained::ANSWERED => Verdict::from_code(answer.verdict).ok_or(ExplainError::Silent)?,
            _ => return Err(ExplainError::Silent),
        };
        let guard = Interface { flags: answer.guard, ..Interface::default() };
        let told = if answer.has(Explained::REFUSED) { Answering::Always } else { Answering::WhereRejecting };
        Ok(Self {
            verdict,
            basis: Basis::of(answer, verdict),
            token: Some(SessionToken(answer.token)).filter(|token| token.0 != 0),
            app: Some(answer.app).filter(|app| *app != 0),
            zone: answer.zone,
            flow: answer.has(Explained::FLOW),
            opens: answer.has(Explained::OPENS),
            observed: guard.has(Interface::OBSERVE),
            answered: answer.has(Explained::ANSWERABLE) && told.is_due_on(&guard) && !guard.has(Interface::OBSERVE),
        })
    }
}

impl Connection {
    const fn asked(self) -> u32 {
        match self {
            Self::New => Explained::WITHOUT_FLOWS,
            Self::Open => 0,
        }
    }
}
