//! What the interface says about itself (RFC 7643, 5 to 7).

use super::schema::{self, Schema};
use super::{LARGEST_BODY, LARGEST_PAGE, MOST_BULK_OPERATIONS, ResourceKind};
use serde_json::{Value, json};

/// `/ServiceProviderConfig`.
#[must_use]
pub fn service_provider_config(base: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": true, "maxOperations": MOST_BULK_OPERATIONS, "maxPayloadSize": LARGEST_BODY},
        "filter": {"supported": true, "maxResults": LARGEST_PAGE},
        "changePassword": {"supported": false},
        "sort": {"supported": true},
        "etag": {"supported": true},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The token that the gateway's administrator has made for this provider.",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig")},
    })
}

/// `/ResourceTypes`, each by its name.
#[must_use]
pub fn resource_types(base: &str) -> Vec<(&'static str, Value)> {
    ResourceKind::ALL.into_iter().map(|kind| (kind.label(), resource_type(kind, base))).collect()
}

fn resource_type(kind: ResourceKind, base: &str) -> Value {
    let extensions: Vec<_> =
        kind.extension().map(|extension| json!({"schema": extension.id, "required": false})).into_iter().collect();
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": kind.label(),
        "name": kind.label(),
        "endpoint": kind.endpoint(),
        "description": kind.schema().description,
        "schema": kind.schema().id,
        "schemaExtensions": extensions,
        "meta": {"resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/{}", kind.label())},
    })
}

/// `/Schemas`, each by its URN.
#[must_use]
pub fn schemas(base: &str) -> Vec<(&'static str, Value)> {
    let document = |schema: &Schema| {
        let mut document = schema.document();
        if let (true, Some(attributes)) = (schema.id == schema::USER.id, document["attributes"].as_array_mut()) {
            attributes.push(password());
        }
        document["meta"] = json!({"resourceType": "Schema", "location": format!("{base}/Schemas/{}", schema.id)});
        (schema.id, document)
    };
    [&schema::USER, &schema::GROUP, &schema::ENTERPRISE_USER].map(document).to_vec()
}

/// Nothing here knows passwords: what is sent is left out. But a client that makes its documents from this list, as
/// canaille does, could send nobody whose password the list does not name.
fn password() -> Value {
    json!({
        "name": "password", "type": "string", "multiValued": false, "required": false, "caseExact": true,
        "description": "Taken and not kept: people who come from a provider have no password here.",
        "mutability": "writeOnly", "returned": "never", "uniqueness": "none",
    })
}

/// A list that is a single page.
#[must_use]
pub fn list(resources: Vec<Value>) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": resources.len(),
        "startIndex": 1,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_says_what_rfc_7643_wants_to_know_of_it() {
        fn check(attribute: &Value) {
            for name in ["name", "type", "multiValued", "description", "required", "mutability", "returned"] {
                assert!(attribute.get(name).is_some(), "{attribute}");
            }
            let parts = attribute.get("subAttributes").and_then(Value::as_array);
            assert_eq!(parts.is_some(), attribute["type"] == "complex", "{attribute}");
            parts.into_iter().flatten().for_each(check);
        }
        for (id, document) in schemas("https://gateway.example.org/scim/v2") {
            assert_eq!(document["id"], id);
            document["attributes"].as_array().unwrap().iter().for_each(check);
        }
    }

    #[test]
    fn a_password_may_be_sent_and_is_known_to_no_filter_and_no_document() {
        let user = &schemas("")[0].1;
        let found = user["attributes"].as_array().unwrap().iter().find(|attribute| attribute["name"] == "password");
        let found = found.unwrap();
        assert_eq!((&found["mutability"], &found["returned"]), (&json!("writeOnly"), &json!("never")));
        assert!(ResourceKind::ALL.into_iter().all(|kind| kind.attribute("password").is_none()));
        assert_eq!(resource_types("/x")[1].1["meta"]["location"], "/x/ResourceTypes/Group");
    }
}
