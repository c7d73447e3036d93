//! The pages for people with a browser.

use super::world::{Answer, CLIENT, PASSWORD, World};

const HERE: (&str, &str) = ("sec-fetch-site", "same-origin");

async fn sign_in(world: &World, password: &str, from: (&'static str, &str)) -> Answer {
    let form = format!("username=ada&password={}", password.replace(' ', "+"));
    let asked = world.ask("POST", "/sign-in").from(CLIENT).header(from.0, from.1);
    asked.body("application/x-www-form-urlencoded", form).send().await
}

/// The cookie that an answer sets, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let line = answer.headers["set-cookie"].to_str().unwrap();
    line.split_once(';').unwrap().0.to_owned()
}

fn is_page(answer: &Answer, status: u16, heading: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert!(answer.text.contains(&format!("<h1>{heading}</h1>")), "{}", answer.text);
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'; form-action 'self'") && !policy.contains("unsafe")
    );
    for wanted in ["<html lang=\"en\">", "<main>", "<title>", "name=\"viewport\""] {
        assert!(answer.text.contains(wanted), "{wanted}: {}", answer.text);
    }
    assert!(!answer.text.contains("<script") && !answer.text.contains(" style="), "{}", answer.text);
}

#[tokio::test]
async fn a_person_signs_in_sees_what_they_can_reach_and_signs_out() {
    let world = World::new();
    let first = world.ask("GET", "/").from(CLIENT).send().await;
    is_page(&first, 200, "Sign in");
    for field in ["username", "password"] {
        assert!(first.text.contains(&format!("<label for=\"{field}\">")), "every field has a label");
    }
    let app = r#"{"description":"<b>books</b>","prefixes":["203.0.113.0/24"],"services":["443/tcp"]}"#;
    assert_eq!(world.admin("PUT", "/v1/apps/crm").json(app).send().await.status, 200);
    let policy = "permit (principal, action, resource == App::\"crm\");".to_owned();
    assert_eq!(world.admin("PUT", "/v1/policy").body("text/plain", policy).send().await.status, 200);
    let begun = sign_in(&world, PASSWORD, HERE).await;
    assert_eq!((begun.status.as_u16(), &begun.headers["location"]), (303, &"/".parse().unwrap()));
    let cookie = cookie(&begun);
    let page = world.ask("GET", "/").from(CLIENT).header("cookie", &cookie).send().await;
    is_page(&page, 200, "You are signed in");
    assert!(page.text.contains("<strong>ada</strong>") && page.text.contains("<strong>crm</strong>"), "{}", page.text);
    assert!(page.text.contains("books") && !page.text.contains("<b>"), "what others wrote is escaped");
    let elsewhere = world.ask("GET", "/").from("198.51.100.8").header("cookie", &cookie).send().await;
    is_page(&elsewhere, 200, "Sign in");

    let out = world.ask("POST", "/sign-out").from(CLIENT).header(HERE.0, HERE.1).header("cookie", &cookie);
    let out = out.send().await;
    is_page(&out, 200, "You are signed out");
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    let after = world.ask("GET", "/").from(CLIENT).header("cookie", &cookie).send().await;
    is_page(&after, 200, "Sign in");
}

#[tokio::test]
async fn a_wrong_password_is_said_on_the_page_itself() {
    let world = World::new();
    let refused = sign_in(&world, "wrong", HERE).await;
    is_page(&refused, 401, "Sign in");
    assert!(refused.text.contains("role=\"alert\""), "{}", refused.text);
    assert!(!refused.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn forms_of_other_sites_do_nothing() {
    let world = World::new();
    is_page(&sign_in(&world, PASSWORD, ("sec-fetch-site", "cross-site")).await, 403, "You are not signed in");
    let cookie = cookie(&sign_in(&world, PASSWORD, HERE).await);
    let forged = world.ask("POST", "/sign-out").from(CLIENT).header("origin", "https://evil").header("cookie", &cookie);
    is_page(&forged.send().await, 403, "You are not signed in");
    let page = world.ask("GET", "/").from(CLIENT).header("cookie", &cookie).send().await;
    is_page(&page, 200, "You are signed in");
}

#[tokio::test]
async fn a_form_with_a_field_twice_or_of_another_kind_is_no_form() {
    let world = World::new();
    for (kind, body) in [
        ("application/x-www-form-urlencoded", "username=ada&username=bob&password=x"),
        ("application/x-www-form-urlencoded", "username=ada&password=x&admin=1"),
        ("application/json", "{}"),
    ] {
        let answer = world.ask("POST", "/sign-in").from(CLIENT).header(HERE.0, HERE.1).body(kind, body).send().await;
        assert!([400, 415].contains(&answer.status.as_u16()), "{body}: {}", answer.status);
    }
}

#[tokio::test]
async fn the_style_is_a_style_sheet_and_loads_nothing() {
    let answer = World::new().ask("GET", "/style.css").from(CLIENT).send().await;
    assert_eq!(answer.headers["content-type"], "text/css; charset=utf-8");
    assert!(!answer.text.contains("url(") && !answer.text.contains("@import"));
}
