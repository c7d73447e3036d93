//! Small things that people and programs write: amounts, services, prefixes, names, tokens. What is written is read
//! back, and what is refused is named in the message.

use gateway_common::abi::Vlan;
use gateway_userspace::config::{parse_duration, vlan_id};
use gateway_userspace::identity::{Accounts, ApiToken, LastUsed, PasswordHash, Scope, SecretHash, TokenId};
use gateway_userspace::policy::{AppName, SessionToken};
use gateway_userspace::record::protocol;
use gateway_userspace::wire::{self, Bytes, parse_bit_rate, parse_prefix, parse_service};
use std::sync::LazyLock;
use std::time::Duration;
use time::OffsetDateTime;

/// The first byte says what the rest is.
type Reader = (u8, fn(&str), &'static [&'static str]);

const READERS: [Reader; 10] = [
    (b'd', duration, &["30s", "15m", "8h", "1d", "99999999999999999999d", "-1h"]),
    (b'b', bytes, &["500 MB", "2GiB", "18446744073709551615 B", "0 kB", "1.5 GB"]),
    (b'r', rate, &["100 Mbit/s", "64kbit/s", "100 Mbps"]),
    (b's', service, &["443/tcp", "8000-8010/udp", "*/sctp", "icmp", "47/ip", "6/ip", "9-8/tcp", "x/dccp"]),
    (b'p', prefix, &["192.0.2.0/24", "2001:db8::/64", "192.0.2.7", "192.0.2.7/24", "::ffff:192.0.2.0/120"]),
    (b'n', name, &["crm", "CRM", "c rm", "a.b_c-d@e", "-a"]),
    (b'k', token, &["pct_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "pct_0123456789ab_"]),
    (b'c', secret, &["pcs_00000000000000ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "pcs_ab_"]),
    (
        b'h',
        hash,
        &["$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ"],
    ),
    (b'o', scope, &["read", "users:write", "root"]),
];

pub fn run(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    if let Some((_, read, _)) = READERS.iter().find(|(byte, ..)| byte == kind) {
        read(text);
    }
}

fn duration(text: &str) {
    let Some(duration) = parse_duration(text) else { return };
    assert_eq!(parse_duration(&format!("{}s", duration.as_secs())), Some(duration));
    assert_eq!(duration, Duration::from_secs(duration.as_secs()));
}

fn bytes(text: &str) {
    match Bytes::Text(text.to_owned()).count() {
        Ok(count) => {
            assert_ne!(count, 0);
            assert_eq!(Bytes::of(count).count(), Ok(count));
        }
        Err(error) => assert!(error.to_string().contains(text)),
    }
}

fn rate(text: &str) {
    let Some(rate) = parse_bit_rate(text) else { return };
    assert_eq!(parse_bit_rate(&format!("{rate} bit/s")), Some(rate));
}

fn service(text: &str) {
    match parse_service(text) {
        Ok(service) => assert_eq!(parse_service(&service.to_string()), Ok(service)),
        Err(error) => assert!(error.to_string().contains(&format!("`{text}`"))),
    }
}

fn prefix(text: &str) {
    match parse_prefix(text) {
        Ok(prefix) => {
            assert_eq!(prefix, prefix.trunc());
            assert_eq!(parse_prefix(&prefix.to_string()), Ok(prefix));
        }
        Err(error) => assert!(error.to_string().contains(&format!("`{text}`"))),
    }
}

fn name(text: &str) {
    match AppName::new(text) {
        Ok(name) => {
            assert_eq!(name.as_str(), text.to_ascii_lowercase());
            assert_eq!(AppName::new(name.as_str()), Ok(name));
        }
        Err(error) => assert!(error.to_string().contains(&format!("`{text}`"))),
    }
    if let Some(number) = text.bytes().next() {
        assert!(!protocol(number).is_empty());
        let vlan = Vlan { outer: number.into(), inner: 1 };
        assert!(vlan_id(vlan).ends_with('1'));
    }
}

const TOKEN: &str = "pct_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SECRET: &str = "pcs_00000000000000ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static ACCOUNTS: LazyLock<Accounts> = LazyLock::new(|| {
    let id = TokenId::new("0123456789ab").unwrap();
    let token = ApiToken {
        id: id.clone(),
        name: "ci".into(),
        scopes: [Scope::Read].into(),
        secret_hash: SecretHash::of(TOKEN),
        created_at: OffsetDateTime::UNIX_EPOCH,
        expires_at: None,
        last_used: LastUsed::default(),
    };
    Accounts {
        tokens: [(id, token)].into(),
        session_secrets: [(SessionToken(0xab), SecretHash::of(SECRET))].into(),
        ..Accounts::default()
    }
});

/// One text proves the token, and no other.
fn token(text: &str) {
    assert_eq!(ACCOUNTS.authenticate_token(text, OffsetDateTime::UNIX_EPOCH).is_ok(), text == TOKEN);
    if let Ok(id) = TokenId::new(text) {
        assert_eq!(id.as_str(), text);
    }
}

fn secret(text: &str) {
    let proved = ACCOUNTS.authenticate_session(text);
    assert_eq!(proved, (text == SECRET).then_some(SessionToken(0xab)));
}

fn hash(text: &str) {
    if let Ok(hash) = PasswordHash::from_phc(text) {
        assert_eq!(hash.expose_phc(), text);
        assert!(!format!("{hash:?}").contains(text));
    }
}

fn scope(text: &str) {
    match text.parse::<Scope>() {
        Ok(scope) => assert_eq!(scope.label(), text),
        Err(error) => assert!(error.to_string().contains(&format!("`{text}`"))),
    }
    let _ = serde_json::from_str::<wire::Bytes>(text).map(|bytes| bytes.count());
}

pub fn seeds() -> Vec<Vec<u8>> {
    let texts = READERS.iter().flat_map(|(kind, _, texts)| texts.iter().map(move |text| (kind, text)));
    texts.map(|(kind, text)| [&[*kind][..], text.as_bytes()].concat()).collect()
}
