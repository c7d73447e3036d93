//! What providers send, and what becomes of it.

mod attacks;
mod entra;
mod okta;
mod properties;
mod size;

use super::*;
use crate::policy::{GroupName, ProviderName, UserName};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// A directory with a provider, and a clock that goes on by a second with each operation.
pub(super) struct World {
    pub directory: Directory,
    pub provider: ProviderName,
    taken: Names,
    drawn: u128,
    now: OffsetDateTime,
}

/// Names that belong to somebody else.
#[derive(Default)]
pub(super) struct Names(BTreeSet<&'static str>);

impl Taken for Names {
    fn user(&self, name: &UserName) -> bool {
        self.0.contains(name.as_str())
    }

    fn group(&self, name: &GroupName) -> bool {
        self.0.contains(name.as_str())
    }
}

impl World {
    pub fn new() -> Self {
        let now = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
        Self { directory: Directory::default(), provider: named("entra"), taken: Names::default(), drawn: 0, now }
    }

    fn draw(&mut self) -> ResourceId {
        self.drawn += 1;
        ResourceId::from_random(self.drawn)
    }

    pub fn operate(&mut self, operation: &Operation) -> Result<Decided, ScimError> {
        self.now += time::Duration::SECOND;
        let decided = decide(&self.directory, &self.taken, operation, self.now)?;
        decided.change.iter().for_each(|change| self.directory.adopt(change));
        self.directory.check();
        Ok(decided)
    }

    fn act(&mut self, kind: ResourceKind, id: ResourceId, action: Action) -> Result<Decided, ScimError> {
        let provider = self.provider.clone();
        self.operate(&Operation { provider, kind, id, action, precondition: Precondition::None })
    }

    pub fn create(&mut self, kind: ResourceKind, body: Value) -> Result<ResourceId, ScimError> {
        let id = self.draw();
        self.act(kind, id, Action::Create(members(body))).map(|decided| decided.resource.id)
    }

    pub fn user(&mut self, name: &str) -> ResourceId {
        self.create(ResourceKind::User, json!({"userName": name})).unwrap()
    }

    pub fn group(&mut self, name: &str, users: &[ResourceId]) -> ResourceId {
        let users: Vec<_> = users.iter().map(|user| json!({"value": user.to_string()})).collect();
        self.create(ResourceKind::Group, json!({"displayName": name, "members": users})).unwrap()
    }

    pub fn replace(&mut self, kind: ResourceKind, id: ResourceId, body: Value) -> Result<Decided, ScimError> {
        self.act(kind, id, Action::Replace(members(body)))
    }

    pub fn patch(&mut self, kind: ResourceKind, id: ResourceId, operations: Value) -> Result<Decided, ScimError> {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        self.patch_body(kind, id, body)
    }

    pub fn patch_body(&mut self, kind: ResourceKind, id: ResourceId, body: Value) -> Result<Decided, ScimError> {
        let operations = PatchOperation::read_all(&members(body))?;
        self.act(kind, id, Action::Patch(operations))
    }

    pub fn remove(&mut self, kind: ResourceKind, id: ResourceId) -> Result<Decided, ScimError> {
        self.act(kind, id, Action::Remove)
    }

    pub fn shown(&self, kind: ResourceKind, id: ResourceId) -> Value {
        let resource = self.directory.resource(&self.provider, kind, id).unwrap();
        self.directory.show(resource, &Projection::Whole).document(&Projection::Whole, "https://gw/scim/v2").into()
    }

    pub fn is_active(&self, user: ResourceId) -> bool {
        let resource = self.directory.resource(&self.provider, ResourceKind::User, user).unwrap();
        matches!(resource.facts, Facts::User { active: true, .. })
    }

    pub fn members_of(&self, group: ResourceId) -> Vec<ResourceId> {
        self.directory.members_of(&self.provider, group).map(|user| user.id).collect()
    }

    pub fn search(&self, kind: ResourceKind, parameters: &Parameters) -> Result<Page, ScimError> {
        let query = Query::of(kind, parameters)?;
        let all = query.select(&query.slice(&self.directory, &self.provider, None, usize::MAX));
        if let Some(hinted) = query.hinted(&self.directory, &self.provider) {
            assert_eq!(query.select(&hinted), all, "{parameters:?}");
        }
        if query.is_plain() {
            assert_eq!(query.list(&self.directory, &self.provider), all);
        }
        Ok(all)
    }

    pub fn find(&self, kind: ResourceKind, filter: &str) -> Vec<ResourceId> {
        self.search(kind, &Parameters { filter: Some(filter.to_owned()), ..Parameters::default() }).unwrap().ids
    }
}

pub(super) fn named(provider: &str) -> ProviderName {
    ProviderName::new(provider).unwrap()
}

fn members(body: Value) -> serde_json::Map<String, Value> {
    body.as_object().unwrap().clone()
}

#[test]
fn a_resource_is_answered_with_what_is_the_servers() {
    let mut world = World::new();
    let ada = world.user("Ada");
    let ops = world.group("Ops", &[ada]);
    let shown = world.shown(ResourceKind::User, ada);
    assert_eq!(shown["schemas"], json!([schema::USER.id]));
    assert_eq!((&shown["id"], &shown["userName"]), (&ada.to_string().into(), &"Ada".into()));
    assert_eq!(shown["meta"]["location"], format!("https://gw/scim/v2/Users/{ada}"));
    assert_eq!((&shown["meta"]["version"], &shown["meta"]["resourceType"]), (&"W/\"1\"".into(), &"User".into()));
    assert_eq!(shown["meta"]["created"], "2026-09-21T14:13:21.000Z");
    let group = &shown["groups"][0];
    assert_eq!((&group["value"], &group["display"]), (&ops.to_string().into(), &"Ops".into()));
    let member = &world.shown(ResourceKind::Group, ops)["members"][0];
    let place = format!("https://gw/scim/v2/Users/{ada}");
    assert_eq!(member, &json!({"value": ada.to_string(), "$ref": place, "type": "User"}));
}

#[test]
fn a_change_says_what_the_gateway_must_do() {
    let mut world = World::new();
    let (ada, eve) = (world.user("ada"), world.user("eve"));
    let name = |name: &str| UserName::new(name).unwrap();
    let decided = world.replace(ResourceKind::User, ada, json!({"userName": "ada.l", "active": false})).unwrap();
    let Some(Change::PutUser { name: now, former, active, .. }) = decided.change else { panic!() };
    assert_eq!((now, former, active), (name("ada.l"), Some(name("ada")), false));

    let ops = world.group("ops", &[ada]);
    let body = json!({"displayName": "Operations", "members": [{"value": eve.to_string()}]});
    let decided = world.replace(ResourceKind::Group, ops, body.clone()).unwrap();
    let Some(Change::PutGroup { group, former, joined, left, .. }) = decided.change else { panic!() };
    assert_eq!((group.as_str(), former.unwrap().as_str()), ("operations", "ops"));
    assert_eq!(
        (joined, left),
        (vec![Member { id: eve, name: name("eve") }], vec![Member { id: ada, name: name("ada.l") }])
    );
    assert_eq!(world.replace(ResourceKind::Group, ops, body).unwrap().change, None);

    let decided = world.remove(ResourceKind::User, eve).unwrap();
    let Some(Change::RemoveUser { groups, .. }) = decided.change else { panic!() };
    assert_eq!(groups.iter().map(|group| (group.id, group.version)).collect::<Vec<_>>(), [(ops, 3)]);
    let Some(Change::RemoveGroup { members, .. }) = world.remove(ResourceKind::Group, ops).unwrap().change else {
        panic!()
    };
    assert_eq!(members, []);
}

#[test]
fn who_is_removed_and_created_again_is_somebody_else_and_in_no_group() {
    let mut world = World::new();
    let ada = world.user("ada");
    let ops = world.group("ops", &[ada]);
    world.remove(ResourceKind::User, ada).unwrap();
    let again = world.user("ada");
    assert_ne!(again, ada);
    assert_eq!(world.members_of(ops), []);
    assert_eq!(world.shown(ResourceKind::User, again).get("groups"), None);
    assert_eq!(
        world
            .patch(ResourceKind::User, ada, json!([{"op": "replace", "path": "active", "value": false}]))
            .unwrap_err()
            .status,
        404
    );
}

#[test]
fn names_belong_to_one_whatever_their_case_and_whoever_manages_them() {
    let mut world = World::new();
    world.taken = Names(BTreeSet::from(["root", "admins"]));
    let ada = world.user("ada");
    world.group("Finance Team", &[]);
    for (kind, body, said) in [
        (ResourceKind::User, json!({"userName": "ADA"}), "exists"),
        (ResourceKind::User, json!({"userName": "Root"}), "at the gateway"),
        (ResourceKind::Group, json!({"displayName": "finance-team"}), "exists"),
        (ResourceKind::Group, json!({"displayName": "Admins!"}), "at the gateway"),
    ] {
        let error = world.create(kind, body).unwrap_err();
        assert_eq!((error.status, error.scim_type), (409, Some(ScimType::Uniqueness)));
        assert!(error.detail.contains(said), "{error}");
    }
    let eve = world.user("eve");
    let rename = json!([{"op": "replace", "path": "userName", "value": "Ada"}]);
    assert_eq!(world.patch(ResourceKind::User, eve, rename).unwrap_err().status, 409);
    world.replace(ResourceKind::User, ada, json!({"userName": "ada2"})).unwrap();
    world.replace(ResourceKind::User, eve, json!({"userName": "ada"})).unwrap();
    assert_eq!(world.directory.user_named(&named("entra"), &UserName::new("ada").unwrap()).unwrap().id, eve);
}

#[test]
fn a_provider_sees_and_changes_only_what_is_its_own() {
    let mut world = World::new();
    let ada = world.user("ada");
    let ops = world.group("ops", &[ada]);
    world.provider = named("okta");
    assert_eq!(world.find(ResourceKind::User, "userName pr"), []);
    for (kind, id) in [(ResourceKind::User, ada), (ResourceKind::Group, ops)] {
        assert_eq!(world.remove(kind, id).unwrap_err().status, 404);
        assert_eq!(world.replace(kind, id, json!({"userName": "x", "displayName": "x"})).unwrap_err().status, 404);
    }
    let body = json!({"displayName": "theirs", "members": [{"value": ada.to_string()}]});
    assert!(world.create(ResourceKind::Group, body).unwrap_err().detail.contains("not a user of this provider"));
    world.provider = named("entra");
    assert_eq!(world.members_of(ops), [ada]);
}

#[test]
fn a_stale_version_changes_nothing() {
    let mut world = World::new();
    let ada = world.user("ada");
    let operation = |tag: &str, action: Action| Operation {
        provider: named("entra"),
        kind: ResourceKind::User,
        id: ada,
        action,
        precondition: Precondition::parse(tag).unwrap(),
    };
    let replace = Action::Replace(members(json!({"userName": "ada", "title": "Countess"})));
    assert_eq!(world.operate(&operation("W/\"2\"", replace.clone())).unwrap_err(), ScimError::stale());
    assert_eq!(world.operate(&operation("W/\"2\"", Action::Remove)).unwrap_err().status, 412);
    assert_eq!(world.operate(&operation("W/\"1\"", replace)).unwrap().resource.version, 2);
    world.operate(&operation("*", Action::Remove)).unwrap();
}

#[test]
fn what_was_stored_comes_back() {
    let mut world = World::new();
    let ada = world.user("Ada");
    let ops = world.group("Ops", &[ada]);
    let mut restored = Directory::default();
    for kind in ResourceKind::ALL {
        for resource in world.directory.slice(&named("entra"), kind, None, 10) {
            let Resource { id, provider, version, created, last_modified, .. } = resource.as_ref().clone();
            let identity = Identity { id, provider, version, created, last_modified };
            let again = Resource::restore(kind, identity, resource.document()).unwrap();
            assert_eq!(again, **resource);
            restored.restore(again);
        }
    }
    restored.restore_member(&named("entra"), ops, ada);
    restored.check();
    let resource = restored.resource(&named("entra"), ResourceKind::Group, ops).unwrap();
    assert_eq!(
        Value::Object(restored.show(resource, &Projection::Whole).document(&Projection::Whole, "https://gw/scim/v2")),
        world.shown(ResourceKind::Group, ops)
    );
}

#[test]
fn a_user_is_known_by_the_providers_own_identifier() {
    let mut world = World::new();
    let ada = world.create(ResourceKind::User, json!({"userName": "ada", "externalId": "Oid-1"})).unwrap();
    let known = |id: &str| {
        world.directory.known_as(&named("entra"), ResourceKind::User, id).map(|user| user.id).collect::<Vec<_>>()
    };
    assert_eq!((known("Oid-1"), known("oid-1")), (vec![ada], vec![]));
}

#[test]
fn who_is_not_said_to_be_disabled_has_access_and_is_found_so() {
    let mut world = World::new();
    let ada = world.user("ada");
    let off = json!([{"op": "replace", "path": "active", "value": false}]);
    for on in [json!([{"op": "remove", "path": "active"}]), json!([{"op": "add", "path": "active", "value": true}])] {
        world.patch(ResourceKind::User, ada, off.clone()).unwrap();
        assert!(!world.is_active(ada) && world.find(ResourceKind::User, "active eq true").is_empty());
        world.patch(ResourceKind::User, ada, on).unwrap();
        assert!(world.is_active(ada));
        assert_eq!(world.find(ResourceKind::User, "active eq true"), [ada]);
    }
    world.patch(ResourceKind::User, ada, off).unwrap();
    world.replace(ResourceKind::User, ada, json!({"userName": "ada"})).unwrap();
    assert!(world.is_active(ada));
}
