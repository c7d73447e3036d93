//! What enterprises know about users in addition (RFC 7643, 4.3).

use super::{Attribute, Schema};

pub(super) const SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    name: "EnterpriseUser",
    description: "What enterprises know about a person.",
    attributes: &[
        Attribute::text("employeeNumber", "Their number."),
        Attribute::text("costCenter", "The cost center."),
        Attribute::text("organization", "The organization."),
        Attribute::text("division", "The division."),
        Attribute::text("department", "The department."),
        Attribute::complex("manager", MANAGER, "Whom they report to."),
    ],
};

const MANAGER: &[Attribute] = &[
    Attribute::text("value", "The manager's identifier.").exact(),
    Attribute::reference("$ref", &["User"], "Where the manager is."),
    Attribute::text("displayName", "What the manager is called.").read_only(),
];
