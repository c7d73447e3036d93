//! Login, logout, and what they give away.

use super::World;
use super::world::{CLIENT, PASSWORD};

#[tokio::test]
async fn a_login_begins_a_session_that_its_secret_proves_from_its_address_only() {
    let world = World::new();
    let login = world.log_in("ADA", PASSWORD, CLIENT).await;
    assert_eq!(login.status, 200, "{}", login.text);
    let (session, secret) = (login.json()["session"].clone(), login.json()["secret"].as_str().unwrap().to_owned());
    assert_eq!((&session["user"], &session["address"]), (&"ada".into(), &CLIENT.into()));
    assert_eq!(session["mac"], "02:00:00:00:00:07");
    let own = world.ask("GET", "/v1/session").from(CLIENT).bearer(&secret).send().await;
    assert_eq!(own.json()["token"], session["token"]);
    world.ask("GET", "/v1/session").from("198.51.100.8").bearer(&secret).send().await.problem(401);
    world.ask("POST", "/v1/logout").from("192.0.2.10").bearer(&secret).send().await.problem(401);
    world.ask("GET", "/v1/users").bearer(&secret).send().await.problem(401);
    let receipt = world.ask("POST", "/v1/logout").from(CLIENT).bearer(&secret).send().await;
    assert_eq!((receipt.status.as_u16(), &receipt.json()["cause"]), (200, &"logout".into()));
    world.ask("GET", "/v1/session").from(CLIENT).bearer(&secret).send().await.problem(401);
}

#[tokio::test]
async fn unknown_users_wrong_passwords_and_users_without_one_get_the_same_answer() {
    let world = World::new();
    let mut answers = Vec::new();
    for (user, password) in [("ada", "wrong"), ("nobody", PASSWORD), ("eve", PASSWORD), ("a b", PASSWORD)] {
        let answer = world.log_in(user, password, CLIENT).await;
        answers.push((answer.problem(401), answer.text));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn a_disabled_user_hears_so_only_with_the_right_password() {
    let world = World::new();
    assert_eq!(world.admin("POST", "/v1/users/ada/disable").send().await.status, 200);
    assert_eq!(world.log_in("ada", PASSWORD, CLIENT).await.problem(403), "user-disabled");
    assert_eq!(world.log_in("ada", "wrong", CLIENT).await.problem(401), "unauthorized");
}

#[tokio::test]
async fn a_second_person_at_an_address_is_refused_and_told_why() {
    let world = World::new();
    assert_eq!(world.log_in("ada", PASSWORD, CLIENT).await.status, 200);
    let second = world.log_in("bob", PASSWORD, CLIENT).await;
    assert_eq!(second.problem(409), "source-taken");
    assert!(second.json()["detail"].as_str().unwrap().contains("already belongs to a session of another user"));
}

#[tokio::test]
async fn whoever_is_behind_no_guarded_interface_cannot_log_in() {
    let world = World::new();
    assert_eq!(world.log_in("ada", PASSWORD, "203.0.113.9").await.problem(403), "not-guarded");
}

#[tokio::test]
async fn guessing_is_throttled_and_told_when_to_come_back() {
    let world = World::new();
    for _ in 0..5 {
        world.log_in("ada", "wrong", CLIENT).await.problem(401);
    }
    let refused = world.log_in("ada", PASSWORD, CLIENT).await;
    assert_eq!(refused.problem(429), "too-many-attempts");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=4).contains(&wait), "{wait}");
    assert_eq!(world.log_in("ada", PASSWORD, "198.51.100.8").await.status, 200);
}
