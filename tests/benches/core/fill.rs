//! Many sessions of a thousand users, as a daemon would have stored them.

use anyhow::Result;
use gateway_common::KernelNanos;
use gateway_tests::gate::POLICIES;
use gateway_userspace::dataplane::{clock, interfaces::zone_number};
use gateway_userspace::identity::SecretHash;
use gateway_userspace::policy::{AllowListId, Factor, GroupName, Session, SessionToken, Source, User, UserName};
use gateway_userspace::store::{FileStore, Store as _, StoredSession, Write};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const USERS: u32 = 1_000;
const HOUR: u64 = 3_600_000_000_000;
/// Sessions that are stored at once.
const BATCH: usize = 50_000;

pub fn group() -> Result<GroupName> {
    Ok(GroupName::new("finance")?)
}

fn user_name(number: u32) -> Result<UserName> {
    Ok(UserName::new(&format!("employee-{number:04}"))?)
}

pub fn users() -> Result<Vec<User>> {
    let user = |number| {
        let groups = BTreeSet::from([group()?]);
        Ok(User { name: user_name(number)?, display_name: String::new(), groups, enabled: true })
    };
    (0..USERS).map(user).collect()
}

/// What everybody may reach is not the same under the one and under the other.
pub fn policies(other: bool) -> String {
    let more = r#"permit (principal in Group::"finance", action, resource == App::"vault");"#;
    if other { format!("{POLICIES}{more}") } else { POLICIES.to_owned() }
}

/// Spread over all numbers, as random ones are.
pub fn token(number: u32) -> SessionToken {
    SessionToken((u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

pub fn sessions(count: u32, interface: u32, now: KernelNanos) -> Result<Vec<Session>> {
    let permitted = Arc::default();
    let users = (0..USERS).map(user_name).collect::<Result<Vec<_>>>()?;
    let session = |number: u32| Session {
        token: token(number),
        user: users[(number % USERS) as usize].clone(),
        source: Source {
            address: IpAddr::from(Ipv4Addr::from(u32::from(Ipv4Addr::new(100, 64, 0, 0)) + number)),
            zone: zone_number("guard0"),
            zone_name: "guard0".into(),
            interface,
            interface_name: "guard0".into(),
            mac: Some([2, 0x77, 0, 0, 0, 2]),
        },
        factors: [Factor::Password].into(),
        authenticated_at: now,
        deadline: now.after(HOUR + u64::from(number) * 1_000),
        permitted: Arc::clone(&permitted),
        allow_list: AllowListId::default(),
    };
    Ok((0..count).map(session).collect())
}

/// Puts users and sessions into the state of a daemon that is stopped.
pub fn fill(state: &Path, count: u32, interface: u32) -> Result<()> {
    let mut store = FileStore::open(state)?;
    let boot_id: String = clock::boot_id()?;
    let mut people = vec![Write::PutGroup(group()?)];
    people.extend(users()?.into_iter().map(Write::PutUser));
    store.commit(&people)?;
    let wall_deadline = time::OffsetDateTime::now_utc() + Duration::from_secs(3_600);
    for batch in sessions(count, interface, clock::boot())?.chunks(BATCH) {
        let write = |session: &Session| {
            let secret = SecretHash::from_bytes([7; 32]);
            let (session, boot_id) = (session.clone(), boot_id.as_str().into());
            Write::PutSession(StoredSession { session, boot_id, secret, wall_deadline })
        };
        store.commit(&batch.iter().map(write).collect::<Vec<_>>())?;
    }
    Ok(())
}
