//! What policy says of somebody, why, and what would help; and who reaches what.

use super::*;

const HOURS: fn(u64) -> Duration = |hours| Duration::from_secs(hours * 3600);

/// ada is in finance and staff; bob in staff; eve in nothing.
const TEXT: &str = r#"
@id("books") @reauthenticate("8h") permit (principal in Group::"finance", action, resource == App::"payroll") when { context.mfa };
@id("read") permit (principal in Group::"staff", action, resource == App::"wiki");
@id("no-bob") forbid (principal == User::"bob", action, resource == App::"wiki") unless { context.device.compliant };
@id("ten") permit (principal, action, resource == App::"mail") when { context.source.isInRange(ip("10.0.0.0/8")) };
"#;

fn world() -> World {
    let mut world = World::new();
    world.take(policy(TEXT));
    world
}

fn office() -> Assumed {
    Assumed { source: "10.9.0.7".parse().unwrap(), zone: "branch".into() }
}

fn logged_in(name: &str, age: Option<Duration>) -> Stance {
    let stance = Stance::assumed(user_name(name), None, &office());
    let (factors, assurance) = (Factors::from([Factor::Password]), Arc::default());
    Stance { factors, assurance, age, ..stance }
}

fn opinion(world: &World, stance: &Stance, app: &str) -> Opinion {
    world.gateway.opinion(stance, &app_name(app)).unwrap()
}

#[test]
fn every_kind_of_denial_is_told_from_the_others_and_what_would_help_is_named() {
    use Missing::{CompliantDevice, FreshLogin, SecondFactor};
    let mut world = world();
    let strong = |name, age| {
        let weak = logged_in(name, age);
        Stance { factors: [Factor::Password, Factor::Totp].into(), ..weak }
    };
    let (fresh, old) = (Some(Duration::ZERO), Some(HOURS(9)));
    for (stance, app, ruling, policies, missing) in [
        (strong("ada", Some(HOURS(8))), "payroll", Ruling::Permitted, &["books"][..], &[][..]),
        (strong("ada", old), "payroll", Ruling::LoginTooOld, &["books"], &[FreshLogin]),
        (strong("ada", None), "payroll", Ruling::LoginUndated, &["books"], &[FreshLogin]),
        (logged_in("ada", fresh), "payroll", Ruling::NoPolicy, &[], &[SecondFactor]),
        (logged_in("bob", fresh), "wiki", Ruling::Forbidden, &["no-bob"], &[CompliantDevice]),
        (logged_in("eve", fresh), "mail", Ruling::Permitted, &["ten"], &[]),
        (
            Stance { source: "192.0.2.1".parse().unwrap(), ..logged_in("eve", fresh) },
            "mail",
            Ruling::NoPolicy,
            &[],
            &[],
        ),
    ] {
        let found = opinion(&world, &stance, app);
        let told = (found.ruling, &found.policies[..], &found.missing[..]);
        assert_eq!(told, (ruling, &policies.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..], missing));
    }
    let eve = opinion(&world, &logged_in("eve", fresh), "wiki");
    assert_eq!((eve.ruling, eve.groups), (Ruling::NoPolicy, vec![group_name("staff")]));

    let fault =
        r#"@id("odd") forbid (principal, action, resource == App::"mail") when { 9223372036854775807 + 1 > 0 };"#;
    world.take(policy(fault));
    let found = opinion(&world, &logged_in("ada", fresh), "mail");
    assert_eq!((found.ruling, &found.policies[..], found.faults.len()), (Ruling::Fault, &["odd".to_owned()][..], 1));
}

#[test]
fn switches_come_before_policies() {
    let mut world = world();
    world.take(Input::PutApp(App { enabled: false, ..app("wiki", "10.2.0.0/16") }));
    world.take(Input::PutApp(App { trip_wire: true, ..app("mail", "10.3.0.0/16") }));
    world.take(Input::PutUser(User { enabled: false, ..user("bob", &["staff"]) }));
    world.take(Input::PutUser(User { suspended: true, ..user("eve", &[]) }));
    let fresh = Some(Duration::ZERO);
    for (name, app, ruling) in [
        ("ada", "wiki", Ruling::AppDisabled),
        ("ada", "mail", Ruling::TripWire),
        ("bob", "mail", Ruling::UserDisabled),
        ("eve", "mail", Ruling::UserSuspended),
    ] {
        assert_eq!(opinion(&world, &logged_in(name, fresh), app).ruling, ruling, "{name} {app}");
    }
}

#[test]
fn the_app_at_an_address_is_the_one_that_the_tables_name() {
    let world = world();
    let at = |address: &str, port| {
        let destination = Destination { address: address.parse().unwrap(), protocol: Protocol::Tcp, port };
        world.gateway.app_at(&destination).map(AppName::as_str)
    };
    assert_eq!((at("10.2.3.4", 443), at("::ffff:10.2.3.4", 443)), (Some("wiki"), Some("wiki")));
    assert_eq!((at("10.2.3.4", 80), at("10.4.0.1", 443), at("2001:db8::1", 443)), (None, None, None));
}

#[test]
fn who_reaches_an_app_and_what_somebody_reaches_are_two_views_of_one_thing() {
    let mut world = world();
    world.take(login(1, "ada", 1));
    let now = NOW.after(HOUR / 2);
    let who = world.gateway.who_reaches(&app_name("wiki"), &office(), now).unwrap();
    let told: Vec<_> = who.iter().map(|way| (way.user.as_str(), way.sessions.len(), way.after_login)).collect();
    assert_eq!(told, [("ada", 1, true)], "bob is forbidden it, eve is in no group");
    let what = world.gateway.what_reaches(&user_name("ada"), &office(), now).unwrap();
    let told: Vec<_> = what.iter().map(|way| (way.app.as_str(), way.sessions.len(), way.after_login)).collect();
    assert_eq!(told, [("mail", 1, true), ("payroll", 0, true), ("wiki", 1, true)]);
    assert_eq!((what[1].most, &what[1].policies[..]), (Some(HOURS(8)), &["books".to_owned()][..]));
    let late = world.gateway.who_reaches(&app_name("wiki"), &office(), NOW.after(2 * HOUR)).unwrap();
    assert!(late[0].sessions.is_empty() && late[0].after_login, "the session is over");
}

fn reached(world: &World, of: &ReachOf) -> Vec<(Vec<String>, Vec<String>)> {
    let map = world.gateway.reach(of, &office(), NOW.after(HOUR / 2), &|| false).unwrap();
    let told = |alike: &Alike| {
        let users = alike.users.iter().map(ToString::to_string).collect();
        let permits = alike.permits.iter().map(|(permit, now)| {
            format!("{} by {} now {now} later {}", permit.app, permit.policies.join("+"), permit.after_login)
        });
        (users, permits.collect())
    };
    map.alike.iter().map(told).collect()
}

#[test]
fn who_reaches_what_is_told_by_people_of_equal_reach_and_agrees_with_each_of_them() {
    let mut world = world();
    world.take(login(1, "ada", 1));
    let all = reached(&world, &ReachOf::default());
    let ada = ["mail by ten now 1 later true", "payroll by books now 0 later true", "wiki by read now 1 later true"];
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mail = ["mail by ten now 0 later true"];
    let expected = [(names(&["bob", "eve"]), names(&mail)), (names(&["ada"]), names(&ada))];
    assert_eq!(all, expected, "bob is forbidden the wiki, and so reaches as little as eve");
    for user in world.gateway.users().map(|user| user.name.clone()).collect::<Vec<_>>() {
        let of = ReachOf { user: Some(user.clone()), ..ReachOf::default() };
        let one = world.gateway.what_reaches(&user, &office(), NOW.after(HOUR / 2)).unwrap();
        let map = world.gateway.reach(&of, &office(), NOW.after(HOUR / 2), &|| false).unwrap();
        let told: Vec<_> = map.alike.iter().flat_map(|alike| &alike.permits).map(|(permit, _)| &permit.app).collect();
        assert_eq!(told, one.iter().map(|way| &way.app).collect::<Vec<_>>(), "{user}");
    }
    let wiki = ReachOf { app: Some(app_name("wiki")), ..ReachOf::default() };
    assert_eq!(reached(&world, &wiki)[1].1, ["wiki by read now 1 later true"]);
    let over = world.gateway.reach(&ReachOf::default(), &office(), NOW, &|| true);
    assert_eq!(over, Err(ReachError::TooLong));
}

#[test]
fn ten_thousand_people_of_equal_reach_are_one() {
    let mut world = world();
    // Not one by one, each of which makes a plan.
    for number in 0..10_000 {
        let name = user_name(&format!("u{number}"));
        let user = User { groups: [group_name("staff")].into(), ..User::new(name.clone()) };
        world.gateway.users.insert(name, user);
    }
    let all = reached(&world, &ReachOf::default());
    assert_eq!((all[0].0.len(), all[0].1.len()), (10_000, 2), "everybody in staff but ada and bob");
}
