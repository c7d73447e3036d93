//! Lies in the key set.

use super::super::liar::{Lie, Raw};
use super::{Fault, With, fault};
use crate::identity::jose::forge::Signer;
use serde_json::json;

pub(super) const FAULTS: &[Fault] = &[
    fault("keys that are a page", "keys_malformed", Lie::Raw("/keys", Raw::Text("<html>")), With::Nothing),
    fault("keys with a member twice", "keys_duplicate_member", Lie::Raw("/keys", Raw::Twice), With::Nothing),
    fault("no keys", "keys_unusable", Lie::Keys(|k| k["keys"] = json!([])), With::Nothing),
    fault("keys that are no list", "keys_malformed", Lie::Keys(|k| k["keys"] = json!({})), With::Nothing),
    fault(
        "sixty-five keys",
        "keys_too_many",
        Lie::Keys(|k| k["keys"] = vec![k["keys"][0].clone(); 65].into()),
        With::Nothing,
    ),
    fault(
        "a key twice",
        "keys_duplicate",
        Lie::Keys(|k| k["keys"] = vec![k["keys"][0].clone(); 2].into()),
        With::Nothing,
    ),
    fault(
        "a weak key",
        "keys_unusable",
        Lie::Keys(|k| k["keys"] = json!([{ "kty": "RSA", "kid": "k1", "n": "-_8", "e": "AQAB" }])),
        With::Nothing,
    ),
    fault(
        "a secret as a key",
        "keys_unusable",
        Lie::Keys(|k| k["keys"] = json!([{ "kty": "oct", "kid": "k1", "k": "AAAA" }])),
        With::Nothing,
    ),
    fault("a key for encryption", "keys_unusable", Lie::Keys(|k| k["keys"][0]["use"] = json!("enc")), With::Nothing),
    fault(
        "a key with its private part",
        "keys_unusable",
        Lie::Keys(|k| k["keys"][0]["d"] = json!("AAAA")),
        With::Nothing,
    ),
    fault(
        "a key of another algorithm",
        "keys_unusable",
        Lie::Keys(|k| k["keys"][0]["alg"] = json!("RS256")),
        With::Nothing,
    ),
    fault(
        "a point that is on no curve",
        "signature_wrong",
        Lie::Keys(|k| k["keys"][0]["x"] = k["keys"][0]["y"].clone()),
        With::Nothing,
    ),
    fault(
        "another key of the same name",
        "signature_wrong",
        Lie::Keys(|k| k["keys"][0] = Signer::es256("k1").jwk()),
        With::Nothing,
    ),
    fault("a key of another name", "key_unknown", Lie::Keys(|k| k["keys"][0]["kid"] = json!("k9")), With::Nothing),
];
