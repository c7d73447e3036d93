//! People of identity providers, as the core knows them.

use super::*;
use crate::core::{Renewed, Who};
use crate::identity::scim::{Action, Operation, Precondition, ResourceId, ResourceKind, object};
use crate::identity::{Arrival, KnownAs, ProviderSession};
use crate::policy::{ProviderName, User};
use secrecy::ExposeSecret as _;

pub(super) fn corp() -> ProviderName {
    ProviderName::new("corp").unwrap()
}

pub(super) fn name(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn id(number: u128) -> ResourceId {
    ResourceId::from_random(number)
}

pub(super) fn scim(kind: ResourceKind, number: u128, action: Action) -> Request {
    let (provider, id, precondition) = (corp(), id(number), Precondition::default());
    Request::Scim(Box::new(Operation { provider, kind, id, action, precondition }))
}

fn user(number: u128, name: &str, active: bool) -> Request {
    scim(ResourceKind::User, number, Action::Create(person(name, active)))
}

pub(super) fn person(name: &str, active: bool) -> serde_json::Map<String, serde_json::Value> {
    let text = format!(
        r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"{name}","active":{active}}}"#
    );
    object(text.as_bytes()).unwrap()
}

fn group(number: u128, name: &str, members: &[u128]) -> Request {
    let members: Vec<_> = members.iter().map(|member| format!(r#"{{"value":"{}"}}"#, id(*member))).collect();
    let text = format!(
        r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"{name}","members":[{}]}}"#,
        members.join(",")
    );
    scim(ResourceKind::Group, number, Action::Create(object(text.as_bytes()).unwrap()))
}

pub(super) fn arrival(subject: &str, called: &str, groups: &[&str]) -> Arrival {
    Arrival {
        attributes: Default::default(),
        provider: corp(),
        subject: subject.into(),
        name: name(called),
        display_name: String::new(),
        groups: Some(groups.iter().map(|name| GroupName::new(name).unwrap()).collect()),
        known_as: None,
        may_be_new: true,
    }
}

fn kept(subject: &str) -> ProviderSession {
    ProviderSession {
        provider: corp(),
        subject: subject.into(),
        sid: Some("s".into()),
        refresh_token: None,
        id_token: None,
    }
}

pub(super) fn arrives(token: u64, arrival: Arrival) -> Request {
    let Request::Login(known) = login(token) else { unreachable!() };
    let kept = kept(&arrival.subject);
    Request::Login(Box::new(Login { who: Who::Arrived(Box::new((arrival, kept))), ..*known }))
}

pub(super) async fn user_of(core: &Core, called: &str) -> Option<User> {
    let called = name(called);
    core.read(move |state| state.gateway.user(&called).cloned()).await.unwrap()
}

#[tokio::test]
async fn whoever_arrives_becomes_a_user_and_stays_that_user() {
    let disk = Disk::default();
    let core = core(&disk);
    ask(&core, Request::Policy(Input::PutGroup(GroupName::new("finance").unwrap()))).await.unwrap();
    ask(&core, arrives(1, arrival("1", "ada", &["finance", "unheard-of"]))).await.unwrap();
    let ada = user_of(&core, "ada").await.unwrap();
    assert_eq!((ada.provider, ada.groups.len()), (Some(corp()), 1));
    let done = ask(&core, arrives(2, arrival("1", "countess", &[]))).await.unwrap();
    assert_eq!(done.opened.unwrap().user, name("ada"), "the subject says who it is");
    assert!(user_of(&core, "ada").await.unwrap().groups.is_empty() && user_of(&core, "countess").await.is_none());
    let stranger = ask(&core, arrives(3, arrival("2", "ada", &[]))).await;
    assert!(matches!(stranger, Err(CoreError::Arrival(_))), "{stranger:?}");
    assert!(disk.holds(|write| matches!(write, Write::PutIdentity(_, subject, _) if subject == "1")));
    assert!(disk.holds(|write| matches!(write, Write::PutProviderSession(SessionToken(2), _))));
}

#[tokio::test]
async fn a_group_that_policies_name_comes_into_being_with_its_first_member() {
    let core = core(&Disk::default());
    let text = "permit (principal in Group::\"books\", action, resource);".to_owned();
    ask(&core, Request::Policy(Input::put_policy(&text, None).unwrap())).await.unwrap();
    ask(&core, arrives(1, arrival("1", "ada", &["books", "other"]))).await.unwrap();
    let groups: Vec<_> = user_of(&core, "ada").await.unwrap().groups.into_iter().collect();
    assert_eq!(groups, [GroupName::new("books").unwrap()]);
}

#[tokio::test]
async fn who_is_removed_and_comes_again_is_bound_anew() {
    let core = core(&Disk::default());
    ask(&core, arrives(1, arrival("1", "ada", &[]))).await.unwrap();
    let done = ask(&core, Request::Policy(Input::RemoveUser(name("ada")))).await.unwrap();
    assert_eq!(done.receipts[0].cause, EndCause::UserRemoved);
    ask(&core, arrives(2, arrival("2", "ada", &[]))).await.unwrap();
    assert!(matches!(ask(&core, arrives(3, arrival("1", "ada", &[]))).await, Err(CoreError::Arrival(_))));
}

#[tokio::test]
async fn suspension_removal_and_lost_membership_take_effect_in_the_same_request() {
    let disk = Disk::default();
    let core = core(&disk);
    ask(&core, user(1, "ada", true)).await.unwrap();
    ask(&core, group(9, "Finance Team", &[1])).await.unwrap();
    let finance = GroupName::new("finance-team").unwrap();
    assert!(user_of(&core, "ada").await.unwrap().groups.contains(&finance));
    let known_as = || Arrival { known_as: Some(KnownAs::Name), groups: None, ..arrival("1", "ada", &[]) };
    ask(&core, arrives(1, known_as())).await.unwrap();

    let done = ask(&core, scim(ResourceKind::User, 1, Action::Replace(person("ada", false)))).await.unwrap();
    assert_eq!(done.receipts[0].cause, EndCause::UserSuspended);
    assert_eq!(done.decided.unwrap().resource.version, 2);
    let refused = ask(&core, arrives(2, known_as())).await.unwrap_err();
    assert!(matches!(refused, CoreError::Refused(crate::policy::Refusal::UserSuspended(_))), "{refused}");

    ask(&core, scim(ResourceKind::User, 1, Action::Replace(person("ada", true)))).await.unwrap();
    ask(&core, arrives(3, known_as())).await.unwrap();
    assert!(
        user_of(&core, "ada").await.unwrap().groups.contains(&finance),
        "a PUT of a user is not one of their groups"
    );
    ask(&core, scim(ResourceKind::Group, 9, Action::Remove)).await.unwrap();
    assert!(user_of(&core, "ada").await.unwrap().groups.is_empty());
    let done = ask(&core, scim(ResourceKind::User, 1, Action::Remove)).await.unwrap();
    assert_eq!((done.receipts.len(), user_of(&core, "ada").await), (1, None));
    assert!(
        disk.holds(|write| matches!(write, Write::RemoveResource(_, ResourceKind::User, removed) if *removed == id(1)))
    );
}

#[tokio::test]
async fn a_renamed_user_keeps_groups_and_identity_and_logs_in_again() {
    let core = core(&Disk::default());
    ask(&core, user(1, "ada", true)).await.unwrap();
    ask(&core, group(9, "books", &[1])).await.unwrap();
    let ada = Arrival { known_as: Some(KnownAs::Name), groups: None, ..arrival("1", "ada", &[]) };
    ask(&core, arrives(1, ada.clone())).await.unwrap();
    let done = ask(&core, scim(ResourceKind::User, 1, Action::Replace(person("countess", true)))).await.unwrap();
    assert_eq!(done.receipts.len(), 1);
    assert_eq!((user_of(&core, "ada").await, user_of(&core, "countess").await.unwrap().groups.len()), (None, 1));
    assert_eq!(ask(&core, arrives(2, ada)).await.unwrap().opened.unwrap().user, name("countess"));
}

#[tokio::test]
async fn the_administrator_s_switch_and_removal_stand_beside_the_provider_s() {
    let core = core(&Disk::default());
    ask(&core, user(1, "ada", true)).await.unwrap();
    let off = User { enabled: false, ..user_of(&core, "ada").await.unwrap() };
    ask(&core, Request::Policy(Input::PutUser(off))).await.unwrap();
    ask(&core, scim(ResourceKind::User, 1, Action::Replace(person("ada", true)))).await.unwrap();
    assert!(!user_of(&core, "ada").await.unwrap().enabled, "a provider gives back only what it has taken");
    ask(&core, Request::Policy(Input::RemoveUser(name("ada")))).await.unwrap();
    let count = core.read(|state| state.directory.count(&corp(), ResourceKind::User)).await.unwrap();
    assert_eq!(count, 0, "removed here, gone for the provider");
    let local = Request::Policy(Input::PutUser(User::new(name("root"))));
    ask(&core, local).await.unwrap();
    assert!(matches!(ask(&core, user(2, "Root", true)).await, Err(CoreError::Scim(error)) if error.status == 409));
}

#[tokio::test]
async fn suspension_is_in_force_while_the_disk_is_full_and_the_document_follows() {
    let disk = Disk::default();
    let core = core(&disk);
    ask(&core, user(1, "ada", true)).await.unwrap();
    ask(&core, arrives(1, Arrival { known_as: Some(KnownAs::Name), ..arrival("1", "ada", &[]) })).await.unwrap();
    disk.fill(true);
    let outcome = ask(&core, scim(ResourceKind::User, 1, Action::Replace(person("ada", false)))).await;
    assert!(matches!(outcome, Err(CoreError::Store(_))));
    assert_eq!((sessions(&core).await, user_of(&core, "ada").await.unwrap().suspended), (0, true));
    let version = |state: &State| state.directory.resource(&corp(), ResourceKind::User, id(1)).unwrap().version;
    assert_eq!(core.read(version).await.unwrap(), 2);
    disk.fill(false);
}

#[tokio::test]
async fn a_new_refresh_token_is_kept_while_the_disk_is_full_and_nobody_comes_back_by_one() {
    let disk = Disk::default();
    let core = core(&disk);
    ask(&core, arrives(1, arrival("1", "ada", &[]))).await.unwrap();
    let session = ProviderSession { refresh_token: Some("new".into()), ..kept("1") };
    let renewed = || {
        let arrival = Some(Arrival { may_be_new: true, ..arrival("1", "ada", &[]) });
        Request::Renewed(Renewed { token: SessionToken(1), arrival, session: session.clone() })
    };
    disk.fill(true);
    assert!(matches!(ask(&core, renewed()).await, Err(CoreError::Store(_))));
    let token = |state: &State| {
        let kept = &state.accounts.provider_sessions[&SessionToken(1)];
        kept.refresh_token.as_ref().map(|token| token.expose_secret().to_owned())
    };
    assert_eq!(core.read(token).await.unwrap().as_deref(), Some("new"));
    disk.fill(false);
    ask(&core, renewed()).await.unwrap();
    assert!(disk.holds(|write| matches!(write, Write::PutProviderSession(_, kept) if kept.refresh_token.is_some())));

    ask(&core, Request::Policy(Input::RemoveUser(name("ada")))).await.unwrap();
    ask(&core, renewed()).await.unwrap();
    assert_eq!(user_of(&core, "ada").await, None, "what was asked before brings nobody back");
}

#[tokio::test]
async fn a_session_that_goes_on_is_as_the_provider_says_now() {
    let core = core(&Disk::default());
    ask(&core, Request::Policy(Input::PutGroup(GroupName::new("finance").unwrap()))).await.unwrap();
    ask(&core, arrives(1, arrival("1", "ada", &["finance"]))).await.unwrap();
    let session = ProviderSession { refresh_token: Some("new".into()), ..kept("1") };
    let renewed = Renewed { token: SessionToken(1), arrival: Some(arrival("1", "ada", &[])), session };
    ask(&core, Request::Renewed(renewed)).await.unwrap();
    assert!(user_of(&core, "ada").await.unwrap().groups.is_empty());
    let begun = |state: &State| state.begun_at(&corp(), Some("1"), Some("s")).into_iter().collect::<Vec<_>>();
    assert_eq!(core.read(begun).await.unwrap(), [SessionToken(1)]);
    ask(&core, end(1)).await.unwrap();
    assert!(core.read(begun).await.unwrap().is_empty());
}
