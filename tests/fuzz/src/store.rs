//! Rows of the state file, which may be damaged: each is taken or refused; what was taken is written and read as the
//! same; and a gateway can be made of it that holds what every gateway holds.

use gateway_common::KernelNanos;
use gateway_common::abi::{AppEntry, GrantKey};
use gateway_userspace::policy::{Capacities, Gateway, NextIds, Restored, SessionLimits};
use gateway_userspace::store::record::{Reader, TABLES, Table, rows};
use gateway_userspace::store::{Stored, Write};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Lines of a table's name, a key and a value, with blanks between them.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut reader = Reader::default();
    for line in text.split('\n').take(64) {
        let mut parts = line.splitn(3, ' ');
        let (Some(table), Some(key), Some(value)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let Some(table) = TABLES.into_iter().find(|known| known.0 == table) else { continue };
        if let Err(problem) = reader.take(table, key, value.as_bytes()) {
            assert!(!problem.is_empty(), "refused for no reason: {line}");
        }
    }
    let written = write(reader.so_far());
    let mut again = Reader::default();
    for (table, key, value) in &written {
        again.take(*table, key, value.as_bytes()).unwrap_or_else(|problem| panic!("{problem}: {key} {value}"));
    }
    assert_eq!(write(again.so_far()), written, "written, read, and not the same");
    if let Ok(stored) = reader.finish() {
        restored(stored);
    }
}

/// All rows of it. A later one takes the place of an earlier one with its key, so they are read in their order.
fn write(stored: &Stored) -> Vec<(Table, String, String)> {
    let Stored {
        users,
        passwords,
        groups,
        apps,
        app_ids,
        settings,
        answers,
        policy,
        generation,
        counters,
        sessions,
        tokens,
        services,
        identities,
        resources,
        provider_sessions,
        history,
    } = stored;
    let mut writes: Vec<Write> = users.iter().cloned().map(Write::PutUser).collect();
    writes.extend(passwords.iter().map(|(name, hash)| Write::PutPassword(name.clone(), hash.clone())));
    writes.extend(groups.iter().cloned().map(Write::PutGroup));
    for app in apps {
        let id = app_ids.get(&app.name).copied().unwrap_or_default();
        writes.push(Write::PutApp { app: app.clone(), id });
    }
    writes.extend(history.iter().cloned().map(Box::new).map(Write::PutHistory));
    writes.push(Write::PutSettings(settings.clone()));
    writes.extend(answers.iter().map(|(name, addresses)| Write::PutAnswer(name.clone(), addresses.clone())));
    writes.extend(policy.iter().cloned().map(Write::PutPolicy));
    writes.extend([Write::SetGeneration(*generation), Write::SetCounters(*counters)]);
    writes.extend(sessions.iter().cloned().map(Write::PutSession));
    writes.extend(tokens.iter().cloned().map(Write::PutApiToken));
    writes.extend(services.iter().cloned().map(Write::PutService));
    writes.extend(
        identities
            .iter()
            .map(|(provider, subject, user)| Write::PutIdentity(provider.clone(), subject.to_owned(), user.clone())),
    );
    writes.extend(resources.iter().cloned().map(Arc::new).map(Write::PutResource));
    writes.extend(provider_sessions.iter().map(|(token, kept)| Write::PutProviderSession(*token, kept.clone())));
    let rows = writes.iter().flat_map(|write| rows(write).expect("what was read can be written"));
    // An app without a number has none to be written.
    let rows = rows.filter(|row| row.table.0 != "app_ids");
    rows.map(|row| (row.table, row.key, String::from_utf8(row.value.unwrap()).unwrap())).collect()
}

fn restored(stored: Stored) {
    let Stored { users, groups, apps, app_ids, settings, answers, policy, generation, counters, sessions, .. } = stored;
    let next_ids =
        NextIds { app_set: counters.next_app_set, block: counters.next_block, allow_list: counters.next_allow_list };
    let restored = Restored {
        users,
        groups,
        apps,
        app_ids,
        settings,
        answers,
        policy: policy.map(|policy| policy.files).unwrap_or_default(),
        generation,
        sessions: sessions.into_iter().map(|stored| stored.session).collect(),
        next_ids,
        ..Restored::default()
    };
    let capacities = Capacities { app_ports: 20_000, ..Capacities::default() };
    let Ok((gateway, _)) = Gateway::restore(restored, capacities, SessionLimits::default(), KernelNanos(1)) else {
        return;
    };
    let numbers: BTreeSet<u32> = gateway.apps().map(|(id, _)| id.0).collect();
    assert_eq!(numbers.len(), gateway.apps().count(), "two apps with one number have each other's grants");
    let is_number = |id: &u32| *id != 0 && AppEntry::new(*id, false).app() == *id;
    assert!(numbers.iter().all(is_number), "{numbers:?} are no numbers of apps");
    let tables = gateway.tables();
    for session in gateway.sessions() {
        assert!(session.token.0 != 0 && !session.deadline.has_passed(KernelNanos(1)), "{session:?}");
        let user = gateway.user(&session.user).expect("the session is somebody's");
        assert!(user.is_active());
        let entry = tables.sessions.get(&session.token).expect("the session is in the tables");
        for (GrantKey { app, .. }, grant) in tables.grants_of(entry.allow_list) {
            let (_, app) = gateway.apps().find(|(id, _)| id.0 == *app).expect("a grant of an app that there is");
            assert!(app.enabled && !app.trip_wire, "{app:?}");
            assert_eq!(session.permitted.contains_key(&app.name), !grant.is_refusal(), "{app:?}");
        }
    }
    assert_eq!(tables.sessions.len(), gateway.sessions().len());
}

const SESSION: &str = r#"sessions 00000000000000ab {"token":171,"user":"ada","source":{"address":"192.0.2.7","zone":1,"zone_name":"office","interface":3,"interface_name":"eth1","mac":[2,0,0,0,0,7]},"factors":["password","totp"],"authenticated_at":1,"deadline":99999999999999,"permitted":{"crm":{"permit":true,"policies":["a"],"max_authentication_age":null}},"allow_list":1,"boot_id":"b","secret":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32],"wall_deadline":"2030-01-01T00:00:00Z"}"#;

pub fn seeds() -> Vec<Vec<u8>> {
    let user = r#"users ada {"name":"ada","display_name":"Ada","groups":["staff"],"enabled":true}"#;
    let crm = r#"apps crm {"name":"crm","description":"","prefixes":["192.0.2.0/24"],"services":[{"protocol":"tcp","ports":[80,443]},{"protocol":"47","ports":null}],"opens":[{"protocol":"udp","ports":[514,514]}],"trip_wire":false,"budget":1000,"labels":["pci"],"enabled":true}"#;
    let old = r#"apps old {"name":"old","description":"","prefixes":["2001:db8::1/128"],"services":[{"protocol":"icmp","ports":null}],"labels":[],"health":{"check":"https://old.example/healthz","every_ms":30000,"timeout_ms":5000,"failures":3},"enabled":true}"#;
    let policy = r#"policies 00000000000000000003 {"generation":3,"text":"@id(\"a\") permit (principal in Group::\"staff\", action, resource);"}"#;
    let counters = r#"meta counters {"next_app":3,"next_app_set":4,"next_allow_list":5,"next_block":6}"#;
    let token = r#"api_tokens 0123456789ab {"id":"0123456789ab","name":"ci","scopes":["read"],"secret_hash":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32],"created_at":"2030-01-01T00:00:00Z","expires_at":null}"#;
    let service = r#"services ci {"name":"ci","scopes":["read"],"certificate":"uri:spiffe://example.org/ci","client":{"provider":"corp","id":"ci"},"binding":{"address":"192.0.2.9","mac":[2,0,0,0,0,9]},"held":false,"created_at":"2030-01-01T00:00:00Z"}"#;
    let password = r#"passwords ada "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA""#;
    let whole = [
        user,
        "groups staff null",
        crm,
        old,
        "app_ids crm 1",
        "app_ids old 2",
        policy,
        "meta generation 3",
        counters,
        token,
        service,
        password,
        SESSION,
    ];
    let mut seeds = vec![whole.join("\n"), whole[..8].join("\n")];
    seeds.extend(whole.map(str::to_owned));
    seeds.into_iter().map(String::into_bytes).collect()
}
