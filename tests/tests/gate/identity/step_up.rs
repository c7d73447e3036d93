//! What can be reached after a newer or stronger sign-in, and by it.

use anyhow::Result;
use serde_json::json;

use super::corp::{Corp, PORTAL, settings};
use crate::scene::{Apps, V4, is_kept_out, reaches};

const MFA: &str = "urn:example:mfa";
const STEP_UP: &str = "https://10.77.0.1/sign-in/corp?step_up=1";

fn company(policies: &str) -> Result<Corp> {
    let mut settings = settings();
    // bob is always signed in so; it is how the provider comes to know the class.
    settings.accounts[1]["acr"] = json!(MFA);
    let corp = Corp::with(&format!("mfa_acr = [\"{MFA}\"]"), &settings)?;
    corp.gate.put_policy(policies)?.ok()?;
    Ok(corp)
}

#[test]
fn an_app_for_strong_sign_ins_is_offered_and_is_reached_after_one() -> Result<()> {
    for condition in ["context.mfa", "context.acr == \"urn:example:mfa\""] {
        let corp = company(&format!(
            r#"permit (principal in Group::"finance", action, resource == App::"crm");
               permit (principal in Group::"finance", action, resource == App::"vault") when {{ {condition} }};"#
        ))?;
        let client = &corp.gate.world.client;
        let _apps = Apps::start(&corp.gate.world, V4)?;
        let page = corp.sign_in(&corp.browser, "alice")?;
        let (reach, more) = page.body.split_once("With a newer or stronger sign-in").expect("it is offered");
        assert!(reach.contains("crm") && !reach.contains("vault") && more.contains("vault"), "{}", page.body);
        assert!(more.contains("href=\"/sign-in/corp?step_up=1\""), "{more}");
        reaches(client, V4.crm());
        is_kept_out(client, V4.vault());

        // Whoever signs in again as before gets nothing by it, and keeps what they had.
        let before = corp.session()?;
        let refused = corp.sign_in_at(&corp.browser, STEP_UP, "alice")?;
        assert_eq!(refused.status, 401, "{condition}: {}", refused.body);
        is_kept_out(client, V4.vault());
        assert_eq!(corp.session()?["token"], before["token"], "{condition}");
        reaches(client, V4.crm());

        corp.provider.account(&json!({ "sub": "u-1", "acr": MFA }))?;
        let page = corp.sign_in_at(&corp.browser, STEP_UP, "alice")?;
        assert_eq!((page.status, page.url.as_str()), (200, format!("{PORTAL}/").as_str()), "{}", page.body);
        assert!(!page.body.contains("With a newer or stronger sign-in"), "{}", page.body);
        reaches(client, V4.vault());
        assert_eq!(corp.session()?["acr"], MFA);
    }
    Ok(())
}

#[test]
fn an_app_for_recent_sign_ins_is_offered_and_is_reached_after_one() -> Result<()> {
    let corp = company(
        r#"@reauthenticate("1m")
           permit (principal in Group::"finance", action, resource == App::"crm");"#,
    )?;
    let client = &corp.gate.world.client;
    let _apps = Apps::start(&corp.gate.world, V4)?;
    corp.provider.account(&json!({ "sub": "u-1", "authenticated_ago": 120 }))?;
    let page = corp.sign_in(&corp.browser, "alice")?;
    assert!(page.body.contains("With a newer or stronger sign-in"), "{}", page.body);
    let before = corp.gate.drops()?;
    is_kept_out(client, V4.crm());
    assert_eq!(corp.gate.reasons_since(&before)?, ["guard0/reauth_required"]);

    // A provider that says it was long ago after all is not believed to have asked.
    let refused = corp.sign_in_at(&corp.browser, STEP_UP, "alice")?;
    assert_eq!(refused.status, 401, "{}", refused.body);
    corp.provider.account(&json!({ "sub": "u-1", "authenticated_ago": 0, "acr": MFA }))?;
    let page = corp.sign_in_at(&corp.browser, STEP_UP, "alice")?;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(!page.body.contains("With a newer or stronger sign-in"), "{}", page.body);
    let before = corp.gate.drops()?;
    reaches(client, V4.crm());
    assert!(corp.gate.reasons_since(&before)?.is_empty());
    Ok(())
}
