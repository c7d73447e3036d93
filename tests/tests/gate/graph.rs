//! The picture of who reaches what: of a real gateway, for a browser and for Graphviz.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, gate::POLICIES, tools};

use crate::cli::admin;
use crate::scene::V4;

#[test]
fn a_picture_shows_who_reaches_what_and_graphviz_draws_it_whatever_policies_are_called() -> Result<()> {
    let gate = Gate::open()?;
    let admin = admin(&gate)?;
    V4.alice(&gate)?;
    let hostile = r#"@id("<b>\"&\\") permit (principal in Group::"ops", action, resource == App::"crm");"#;
    gate.put_policy(&format!("{POLICIES}\n{hostile}"))?.ok()?;
    let [svg, dot] = ["reach.svg", "reach.dot"].map(|name| gate.world.scratch().join(name));
    let told = admin.run(&["graph", "--output", &svg.display().to_string()])?;
    assert!(told.code == 0 && told.stdout.contains("reach.svg"), "{told:?}");
    let picture = fs::read_to_string(&svg)?;
    for text in [
        ">alice<",
        ">bob<",
        ">crm<",
        ">vault<",
        ">finance-crm<",
        "&lt;b&gt;&quot;&amp;\\",
        "class=\"now\"",
        "2 of 2 people",
    ] {
        assert!(picture.contains(text), "{text}: {picture}");
    }
    assert_eq!(admin.run(&["graph", "--format", "dot", "--output", &dot.display().to_string()])?.code, 0);
    let drawn = tools::command("dot")?.arg("-Tsvg").arg(&dot).output()?;
    let (drawn, complaints) = (String::from_utf8(drawn.stdout)?, String::from_utf8_lossy(&drawn.stderr).into_owned());
    ensure!(complaints.is_empty(), "dot: {complaints}");
    for text in [">alice<", ">crm<", "&lt;b&gt;&quot;&amp;\\"] {
        assert!(drawn.contains(text), "{text}: {drawn}");
    }
    let one = admin.run(&["graph", "--user", "alice"])?;
    assert!(one.stdout.contains(">crm<") && !one.stdout.contains(">bob<"), "{one:?}");
    let nobody = admin.run(&["graph", "--group", "nobody"])?;
    assert!(nobody.code == 1 && nobody.stderr.contains("nobody"), "{nobody:?}");
    if let Some(folder) = std::env::var_os("PORTCULLIS_PICTURES") {
        let name = svg.file_name().context("a name")?;
        fs::copy(&svg, std::path::Path::new(&folder).join(name))?;
    }
    Ok(())
}
