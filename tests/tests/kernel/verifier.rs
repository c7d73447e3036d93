//! What the programs cost the verifier, beside the figures that were last committed: growth shows before a kernel with
//! other habits refuses them.

use crate::scene::Scene;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The verifier refuses a program on which it looks at more instructions.
const MOST: u32 = 1_000_000;

/// Major and minor version of the running kernel: the figures hold for one, as other ones count differently.
fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn committed() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "kernel_programs.json"].iter().collect()
}

#[test]
fn programs_cost_the_verifier_about_as_much_as_when_the_figures_were_committed() {
    let scene = Scene::new();
    let mut now: BTreeMap<String, u32> = scene.programs.verified_instructions().unwrap();
    now.insert("pc_explain".into(), scene.kernel.explainer().unwrap().verified_instructions().unwrap());
    for (program, count) in &now {
        assert!((1..MOST).contains(count), "{program}: {count} instructions, the kernel permits {MOST}");
    }
    if std::env::var_os("UPDATE").is_some() {
        let figures = json!({ "kernel": kernel(), "verified_instructions": now });
        return std::fs::write(committed(), format!("{figures:#}\n")).unwrap();
    }
    let then: Value = serde_json::from_str(&std::fs::read_to_string(committed()).unwrap()).unwrap();
    let is_comparable = then["kernel"] == kernel();
    for (program, count) in &now {
        let figure = then["verified_instructions"][program].as_u64().unwrap_or_default();
        if !is_comparable {
            println!(
                "{program}: {count} instructions on {}, not compared with {figure} on {}",
                kernel(),
                then["kernel"]
            );
            continue;
        }
        println!("{program}: {figure} instructions before, {count} now");
        assert!(
            u64::from(*count) * 4 <= figure * 5,
            "{program}: {count} instructions, more than a quarter above the committed {figure}; if that is meant, run \
             `UPDATE=1 cargo test -p gateway-tests --test kernel verifier` and commit tests/kernel_programs.json"
        );
    }
}
