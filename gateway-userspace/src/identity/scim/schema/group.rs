//! Groups (RFC 7643, 4.2). Their members are users: groups within groups are refused.

use super::{Attribute, Schema};

pub(super) const SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:Group",
    name: "Group",
    description: "Users who share what they may reach.",
    attributes: &[
        Attribute {
            is_required: true,
            is_unique: true,
            ..Attribute::text("displayName", "Its name. Policies know it in lower case, with `-` for spaces.")
        },
        Attribute::many("members", MEMBERS, "The users in it."),
    ],
};

const MEMBERS: &[Attribute] = &[
    Attribute::text("value", "The user's identifier.").exact().immutable(),
    // Not answered. But a client that makes its documents from this list could send no member if it did not name it.
    Attribute::text("display", "What the user is called.").read_only(),
    Attribute::reference("$ref", &["User"], "Where the user is.").immutable(),
    Attribute::text("type", "What the member is.").suggesting(&["User"]).immutable(),
];
