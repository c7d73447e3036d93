//! Users (RFC 7643, 4.1), without the password: people who come from a provider have none here.

use super::{Attribute, Schema, Type};

pub(super) const SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:User",
    name: "User",
    description: "A person.",
    attributes: ATTRIBUTES,
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute {
        is_required: true,
        is_unique: true,
        ..Attribute::text("userName", "What they log in with: a-z, 0-9, `.`, `_`, `-` and `@`.")
    },
    Attribute::complex("name", NAME, "What they are called, in parts."),
    Attribute::text("displayName", "What they are called."),
    Attribute::text("nickName", "What their friends call them."),
    Attribute::reference("profileUrl", &["external"], "A page about them."),
    Attribute::text("title", "Their title."),
    Attribute::text("userType", "How they relate to the organization."),
    Attribute::text("preferredLanguage", "Their languages."),
    Attribute::text("locale", "Where they are, for formats."),
    Attribute::text("timezone", "Their time zone."),
    Attribute::of(Type::Boolean, "active", "Whether they have access. Without it nothing is reachable."),
    Attribute::many("emails", MAIL, "Addresses of mail."),
    Attribute::many("phoneNumbers", PHONE, "Telephone numbers."),
    Attribute::many("ims", MESSENGER, "Addresses of messengers."),
    Attribute::many("photos", PHOTO, "Pictures."),
    Attribute::many("addresses", ADDRESS, "Where they can be found."),
    Attribute::many("groups", GROUPS, "The groups that have them as a member.").read_only(),
    Attribute::many("entitlements", PLAIN, "What they are entitled to."),
    Attribute::many("roles", PLAIN, "Their roles."),
    Attribute::many("x509Certificates", CERTIFICATE, "Their certificates."),
];

const NAME: &[Attribute] = &[
    Attribute::text("formatted", "The whole name."),
    Attribute::text("familyName", "The family name."),
    Attribute::text("givenName", "The given name."),
    Attribute::text("middleName", "Names between."),
    Attribute::text("honorificPrefix", "What goes before."),
    Attribute::text("honorificSuffix", "What comes after."),
];

const VALUE: Attribute = Attribute::text("value", "The value.");
const DISPLAY: Attribute = Attribute::text("display", "For people.");
const KIND: Attribute = Attribute::text("type", "What it is for.");
const PRIMARY: Attribute =
    Attribute::of(Type::Boolean, "primary", "Whether it is the preferred one, of which there is one.");

const PLAIN: &[Attribute] = &[VALUE, DISPLAY, KIND, PRIMARY];
const MAIL: &[Attribute] = &[VALUE, DISPLAY, KIND.suggesting(&["work", "home", "other"]), PRIMARY];
const PHONE: &[Attribute] =
    &[VALUE, DISPLAY, KIND.suggesting(&["work", "home", "mobile", "fax", "pager", "other"]), PRIMARY];
const MESSENGER: &[Attribute] = PLAIN;
const PHOTO: &[Attribute] = &[
    Attribute::reference("value", &["external"], "Where the picture is."),
    DISPLAY,
    KIND.suggesting(&["photo", "thumbnail"]),
    PRIMARY,
];
const CERTIFICATE: &[Attribute] =
    &[Attribute::of(Type::Binary, "value", "The certificate, DER in Base64.").exact(), DISPLAY, KIND, PRIMARY];

const ADDRESS: &[Attribute] = &[
    Attribute::text("formatted", "The whole address."),
    Attribute::text("streetAddress", "Street and number."),
    Attribute::text("locality", "The town."),
    Attribute::text("region", "The region."),
    Attribute::text("postalCode", "The postal code."),
    Attribute::text("country", "The country."),
    KIND.suggesting(&["work", "home", "other"]),
    PRIMARY,
];

const GROUPS: &[Attribute] = &[
    Attribute::text("value", "The group's identifier.").exact().read_only(),
    Attribute::reference("$ref", &["Group"], "Where the group is.").read_only(),
    Attribute::text("display", "The group's name.").read_only(),
    Attribute::text("type", "How they belong to it.").suggesting(&["direct"]).read_only(),
];
