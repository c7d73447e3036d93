//! The store, as its users see it.

use super::*;
use crate::identity::{self, Binding, Scope, SessionSecret};
use crate::policy::{AllowListId, Decision, Factor, HealthCheck, Logging, Permitted, Protocol, Service, Source};
use gateway_common::KernelNanos;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

fn user(name: &str) -> User {
    User {
        name: UserName::new(name).unwrap(),
        display_name: "Ada Lovelace \"\u{1f600}\"".into(),
        groups: [GroupName::new("staff").unwrap()].into(),
        provider: Some(ProviderName::new("corp").unwrap()),
        suspended: true,
        suspended_at: 1_795_694_400,
        devices: [("laptop-7".to_owned(), false)].into(),
        enabled: true,
        kind: crate::policy::Kind::Service,
        attributes: [("department".to_owned(), "finance".to_owned())].into(),
        risk: crate::policy::Risk::Medium,
        risk_at: 1_795_694_401,
    }
}

fn app() -> App {
    App {
        name: AppName::new("crm").unwrap(),
        description: "customers".into(),
        prefixes: ["192.0.2.0/24".parse().unwrap(), "2001:db8::1/128".parse().unwrap()].into(),
        names: [DnsName::new("crm.example.net").unwrap()].into(),
        within: ["192.0.2.0/24".parse().unwrap()].into(),
        services: [
            Service { protocol: Protocol::Tcp, ports: Some((80, 443)) },
            Service { protocol: Protocol::Icmp, ports: None },
            Service { protocol: Protocol::Sctp, ports: None },
            Service { protocol: Protocol::Ip(47), ports: None },
        ]
        .into(),
        opens: [Service { protocol: Protocol::Udp, ports: Some((514, 514)) }].into(),
        trip_wire: true,
        outlasts_daemon: false,
        owner: "finance".into(),
        sensitivity: "high".into(),
        budget: Some(1 << 40),
        labels: ["pci".to_owned()].into(),
        health: Some(HealthCheck {
            failures: 1,
            ..HealthCheck::of("https://crm.example/healthz?a=b".parse().unwrap())
        }),
        enabled: true,
    }
}

fn name(text: &str) -> DnsName {
    DnsName::new(text).unwrap()
}

fn session() -> StoredSession {
    let decision = Decision {
        permit: true,
        policies: vec!["staff".into()],
        max_authentication_age: Some(5),
        reject: false,
        log: Logging::On,
    };
    let token = SessionToken(0x8000_0000_0000_0001);
    let permitted = Permitted::from_iter([(AppName::new("crm").unwrap(), decision)]);
    StoredSession {
        session: Session {
            token,
            user: UserName::new("ada").unwrap(),
            source: Source {
                address: "192.0.2.7".parse().unwrap(),
                zone: 1,
                zone_name: "office".into(),
                interface: 3,
                interface_name: "eth1".into(),
                country: crate::policy::Country::of("DE"),
                mac: Some([2, 0, 0, 0, 0, 1]),
            },
            factors: [Factor::Password, Factor::Totp].into(),
            assurance: Arc::default(),
            authenticated_at: KernelNanos(7),
            deadline: KernelNanos::NEVER,
            permitted: permitted.into(),
            allow_list: AllowListId(4),
        },
        boot_id: "b".into(),
        secret: SessionSecret::draw(token).hash,
        wall_deadline: OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap(),
    }
}

fn service() -> identity::Service {
    let client = Some((ProviderName::new("corp").unwrap(), "0oa1 b/c".to_owned()));
    let binding = Some(Binding { address: "2001:db8::9".parse().unwrap(), mac: Some([2, 0, 0, 0, 0, 9]) });
    identity::Service {
        scopes: [Scope::Read, Scope::PolicyWrite].into(),
        certificate: Some("uri:spiffe://example.org/ada".parse().unwrap()),
        client,
        binding,
        held: true,
        ..identity::Service::new(user("ada").name, OffsetDateTime::UNIX_EPOCH)
    }
}

fn reopened(path: &Path) -> Stored {
    FileStore::open(path).unwrap().load().unwrap()
}

#[test]
fn everything_that_is_written_is_read_back_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/portcullis.redb");
    let (hash, session) = (PasswordHash::of_nobody().clone(), session());
    let (token, _) =
        ApiToken::issue("ci".into(), Scope::ALL.into(), session.wall_deadline, Some(session.wall_deadline));
    let counters = Counters { next_app: 2, next_app_set: 3, next_allow_list: 4, next_block: u32::MAX };
    let policy = StoredPolicy {
        generation: Generation(9),
        files: vec![PolicyFile::alone("permit (principal, action, resource);")],
    };
    let batch = [
        Write::PutUser(user("ada")),
        Write::PutPassword(user("ada").name, hash.clone()),
        Write::PutGroup(GroupName::new("staff").unwrap()),
        Write::PutApp { app: app(), id: AppId(1) },
        Write::PutAnswer(name("crm.example.net"), ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse().unwrap()).into()),
        Write::PutAnswer(name("old.example.net"), ["192.0.2.8".parse().unwrap()].into()),
        Write::PutAnswer(name("old.example.net"), BTreeSet::new()),
        Write::PutPolicy(policy.clone()),
        Write::SetGeneration(Generation(9)),
        Write::SetCounters(counters),
        Write::PutSession(session.clone()),
        Write::PutApiToken(token.clone()),
        Write::PutService(service()),
    ];
    FileStore::open(&path).unwrap().commit(&batch).unwrap();
    let Stored { users, passwords, groups, apps, app_ids, policy: read, generation, .. } = reopened(&path);
    assert_eq!((users, passwords), (vec![user("ada")], BTreeMap::from([(user("ada").name, hash)])));
    assert_eq!(groups, BTreeSet::from([GroupName::new("staff").unwrap()]));
    assert_eq!((apps, app_ids), (vec![app()], BTreeMap::from([(app().name, AppId(1))])));
    assert_eq!((read, generation), (Some(policy), Generation(9)));
    let Stored { counters: read, sessions, tokens, services, answers, .. } = reopened(&path);
    let addresses = ["192.0.2.7", "2001:db8::7"].map(|ip| ip.parse().unwrap());
    assert_eq!(answers, Answers::from([(name("crm.example.net"), addresses.into())]));
    assert_eq!(format!("{services:?}"), format!("{:?}", [service()]));
    assert_eq!((read, sessions), (counters, vec![session]));
    assert_eq!((&tokens[0].id, &tokens[0].name, &tokens[0].scopes), (&token.id, &token.name, &token.scopes));
    assert_eq!((tokens[0].secret_hash, tokens[0].expires_at), (token.secret_hash, token.expires_at));
}

#[test]
fn what_is_removed_is_gone_and_an_app_s_number_stays_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut store = FileStore::open(&path).unwrap();
    let ada = user("ada");
    store.commit(&[Write::PutUser(ada.clone()), Write::PutApp { app: app(), id: AppId(1) }]).unwrap();
    store.commit(&[Write::PutPassword(ada.name.clone(), PasswordHash::of_nobody().clone())]).unwrap();
    store.commit(&[Write::PutSession(session()), Write::RemoveSession(session().session.token)]).unwrap();
    store.commit(&[Write::RemoveUser(ada.name), Write::RemoveApp(app().name)]).unwrap();
    let stored = store.load().unwrap();
    assert!(stored.users.is_empty() && stored.passwords.is_empty() && stored.apps.is_empty());
    assert!(stored.sessions.is_empty());
    assert_eq!(stored.app_ids.len(), 1);
}

#[test]
fn former_policies_are_kept_for_a_while_and_the_last_one_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(&folder.path().join("s")).unwrap();
    for generation in (1..=40).map(Generation) {
        store
            .commit(&[Write::PutPolicy(StoredPolicy {
                generation,
                files: vec![PolicyFile::alone(&generation.0.to_string())],
            })])
            .unwrap();
    }
    assert_eq!(store.load().unwrap().policy.unwrap().files, [PolicyFile::alone("40")]);
}

#[test]
fn a_second_opener_and_a_newer_schema_are_refused_with_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = FileStore::open(&path).unwrap();
    let error = FileStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)));
    assert!(error.to_string().contains("is in use by another portcullisd"));
    drop(store);
    file::overwrite_schema(&path, "7");
    let error = FileStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { found: 7, .. }), "{error}");
}

#[test]
fn what_the_first_schema_knew_is_read_and_from_then_on_the_file_has_the_present_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    FileStore::open(&path).unwrap();
    let crm = r#"{"name":"crm","description":"","prefixes":["192.0.2.0/24"],"services":[{"protocol":"tcp","ports":[80,443]}],"labels":[],"enabled":true}"#;
    file::overwrite(&path, "apps", "crm", crm);
    file::overwrite(&path, "policies", "1", r#"{"generation":1,"text":"permit (principal, action, resource);"}"#);
    file::overwrite_schema(&path, "1");
    let files = reopened(&path).policy.unwrap().files;
    assert_eq!(files, [PolicyFile::alone("permit (principal, action, resource);")]);
    let apps = reopened(&path).apps;
    assert_eq!((apps[0].opens.len(), apps[0].trip_wire, apps[0].budget), (0, false, None));
    assert_eq!(file::schema(&path), Some(SCHEMA));
    file::overwrite_schema(&path, "0");
    assert!(matches!(FileStore::open(&path).unwrap_err(), StoreError::Damaged { .. }));
}

#[test]
fn a_file_of_another_kind_and_a_row_that_makes_no_sense_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    std::fs::write(&path, "x".repeat(8192)).unwrap();
    assert!(matches!(FileStore::open(&path).unwrap_err(), StoreError::Damaged { .. }));
    std::fs::remove_file(&path).unwrap();
    drop(FileStore::open(&path).unwrap());
    file::overwrite_schema(&path, "\"one\"");
    assert!(matches!(FileStore::open(&path).unwrap_err(), StoreError::Damaged { .. }));
}

#[test]
fn a_page_that_makes_no_sense_is_damage_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    FileStore::open(&path).unwrap().commit(&[Write::PutUser(user("ada"))]).unwrap();
    let honest = std::fs::read(&path).unwrap();
    let mut damaged = 0;
    for page in 0..16 {
        let mut bytes = honest.clone();
        bytes.iter_mut().skip(page * 4096).take(300).for_each(|byte| *byte = 0);
        std::fs::write(&path, bytes).unwrap();
        match FileStore::open(&path).and_then(|store| store.load()) {
            Ok(stored) => assert!(stored.users.len() <= 1),
            Err(StoreError::Damaged { .. }) => damaged += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(damaged > 0);
}

#[test]
fn an_app_without_a_number_of_its_own_is_damage() {
    for (id, part) in [
        ("0", "key `crm`: 0 is not the number of an app"),
        ("2147483649", "2147483649 is not the number of an app"),
        ("7", "apps `crm` and `wiki` both have the number 7"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(FileStore::open(&path).unwrap());
        file::overwrite(&path, "app_ids", "wiki", "7");
        file::overwrite(&path, "app_ids", "crm", id);
        let error = FileStore::open(&path).unwrap().load().unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }) && error.to_string().contains(part), "{error}");
    }
}

#[test]
fn nobody_else_may_read_the_file_or_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/s");
    let store = Arc::new(FileStore::open(&path).unwrap());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    drop(store);
}
