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
        document["meta"] = json!({"resourceType": "Schema", "location": format!("{base}/Schemas/{}", schema.id)});
        (schema.id, document)
    };
    [&schema::USER, &schema::GROUP, &schema::ENTERPRISE_USER].map(document).to_vec()
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
    fn no_schema_knows_a_password() {
        let text = serde_json::to_string(&schemas("")).unwrap();
        assert!(!text.contains("assword"));
        assert_eq!(resource_types("/x")[1].1["meta"]["location"], "/x/ResourceTypes/Group");
    }
}
