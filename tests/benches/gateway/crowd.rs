//! Many sessions, as a daemon would have stored them: of a thousand people, and of leavers who have one each.

pub mod pushed;

use anyhow::Result;
use gateway_common::KernelNanos;
use gateway_tests::gate::POLICIES;
use gateway_userspace::dataplane::{clock, interfaces::zone_number};
use gateway_userspace::identity::SecretHash;
use gateway_userspace::policy::{
    AllowListId, Assurance, Factor, GroupName, Session, SessionToken, Source, User, UserName,
};
use gateway_userspace::store::{FileStore, Store as _, StoredSession, Write};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const EMPLOYEES: u32 = 1_000;
const HOUR: u64 = 3_600_000_000_000;
/// Sessions that are stored at once.
const BATCH: usize = 50_000;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Sessions in all.
    pub sessions: u32,
    /// Of those, the first ones, each the only one of its user.
    pub leavers: u32,
    /// Whether an identity provider has pushed everybody, and vouches for their sessions.
    pub pushed: bool,
}

/// The group that everybody is in.
pub fn group() -> Result<GroupName> {
    Ok(GroupName::new("finance")?)
}

/// What everybody may reach is not the same under the one and under the other.
pub fn policies(other: bool) -> String {
    let more = r#"permit (principal in Group::"finance", action, resource == App::"vault");"#;
    if other { format!("{POLICIES}{more}") } else { POLICIES.to_owned() }
}

/// Names of sessions: spread over all numbers, as random ones are.
pub fn token(number: u32) -> SessionToken {
    SessionToken((u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Where they are.
pub fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(100, 64, 0, 0)) + number)
}

/// Who has only one.
pub fn leaver(number: u32) -> String {
    format!("leaver-{number:04}")
}

impl Crowd {
    /// Without leavers.
    pub fn of(sessions: u32) -> Self {
        Self { sessions, leavers: 0, pushed: false }
    }

    /// Everybody.
    pub fn users(self) -> Result<Vec<User>> {
        let names = (0..self.leavers).map(leaver).chain((0..EMPLOYEES).map(employee));
        let provider = self.pushed.then(pushed::provider).transpose()?;
        let user = |name: String| {
            let (groups, provider) = (BTreeSet::from([group()?]), provider.clone());
            Ok(User { groups, provider, ..User::new(UserName::new(&name)?) })
        };
        names.map(user).collect()
    }

    /// Whose session has a number.
    pub fn user(self, number: u32) -> String {
        if number < self.leavers { leaver(number) } else { employee(number % EMPLOYEES) }
    }

    /// Their sessions, behind an interface.
    pub fn sessions(self, interface: u32, now: KernelNanos) -> Result<Vec<Session>> {
        let permitted = Arc::default();
        let provider = self.pushed.then(pushed::provider).transpose()?;
        let factor = if self.pushed { Factor::Provider } else { Factor::Password };
        let assurance = Arc::new(Assurance { provider, ..Assurance::default() });
        let employees = (0..EMPLOYEES).map(|number| UserName::new(&employee(number))).collect::<Result<Vec<_>, _>>()?;
        let session = |number: u32| {
            let user = if number < self.leavers {
                UserName::new(&leaver(number))?
            } else {
                employees[(number % EMPLOYEES) as usize].clone()
            };
            Ok(Session {
                token: token(number),
                user,
                source: Source {
                    address: address(number).into(),
                    zone: zone_number("guard0"),
                    zone_name: "guard0".into(),
                    interface,
                    interface_name: "guard0".into(),
                    country: Default::default(),
                    mac: Some([2, 0x77, 0, 0, 0, 2]),
                },
                factors: [factor].into(),
                assurance: Arc::clone(&assurance),
                authenticated_at: now,
                deadline: now.after(HOUR + u64::from(number) * 1_000),
                permitted: Arc::clone(&permitted),
                allow_list: AllowListId::default(),
            })
        };
        (0..self.sessions).map(session).collect()
    }

    /// Puts users and sessions into the state of a daemon that is stopped.
    pub fn store(self, state: &Path, interface: u32) -> Result<()> {
        let mut store = FileStore::open(state)?;
        let boot_id: String = clock::boot_id()?;
        let mut people = vec![Write::PutGroup(group()?)];
        let users = self.users()?;
        if self.pushed {
            people.extend(pushed::people(&users)?);
        }
        people.extend(users.into_iter().map(Write::PutUser));
        store.commit(&people)?;
        let wall_deadline = time::OffsetDateTime::now_utc() + Duration::from_secs(3_600);
        for batch in self.sessions(interface, clock::boot())?.chunks(BATCH) {
            let write = |session: &Session| {
                let secret = SecretHash::from_bytes([7; 32]);
                let (session, boot_id) = (session.clone(), boot_id.as_str().into());
                Write::PutSession(StoredSession { session, boot_id, secret, wall_deadline })
            };
            let mut writes: Vec<_> = batch.iter().map(write).collect();
            if self.pushed {
                writes.extend(batch.iter().map(pushed::session).collect::<Result<Vec<_>>>()?);
            }
            store.commit(&writes)?;
        }
        Ok(())
    }
}

fn employee(number: u32) -> String {
    format!("employee-{number:04}")
}
