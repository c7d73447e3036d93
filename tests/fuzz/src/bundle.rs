//! Bundles: files of every kind at any path are one bundle, or errors with places that there are. Each file begins with a line
//! `==> path <==`, as `portcullis policy new` prints them.

use crate::place;
use gateway_userspace::bundle::{Files, Finding, Loaded, load, template};
use std::collections::BTreeSet;

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let files = files(text);
    match load(&files) {
        Ok(loaded) => accepted(&files, loaded),
        Err(found) => {
            assert!(!found.errors.is_empty(), "refused for no reason");
            assert!(found.errors.is_sorted() && found.warnings.is_sorted(), "{found:?}");
            found.errors.iter().chain(&found.warnings).for_each(|finding| named(&files, finding));
        }
    }
}

fn files(text: &str) -> Files {
    let mut files = Files::new();
    for part in text.split("==> ").skip(1) {
        let Some((path, text)) = part.split_once(" <==\n") else { continue };
        files.insert(path.to_owned(), text.to_owned());
    }
    files
}

fn accepted(files: &Files, loaded: Loaded) {
    loaded.warnings.iter().for_each(|finding| named(files, finding));
    let names: BTreeSet<&str> = loaded.cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), loaded.cases.len(), "two cases have one name");
    for trial in loaded.trials() {
        place::exists(&files[&trial.case.file], trial.case.place.line, trial.case.place.column);
        let is_as_expected = trial.permit == trial.case.permit;
        assert!(is_as_expected || !trial.passed(), "{trial} and passed");
        assert!(!trial.permit || trial.decision.permit && trial.app.is_some(), "{trial}");
        assert!(!trial.to_string().is_empty());
    }
    // The document means what was read, also after it has been sent.
    let sent = serde_json::to_string(&loaded.document).unwrap();
    let document: gateway_userspace::wire::Bundle = serde_json::from_str(&sent).unwrap();
    assert_eq!(document.into_model(|_| true).as_ref(), Ok(&loaded.bundle));
}

fn named(files: &Files, finding: &Finding) {
    assert!(!finding.message.is_empty(), "{finding:?}");
    assert!(finding.file == Finding::WHOLE || files.contains_key(&finding.file), "{finding:?} is about no file");
    if let (Some(place), Some(text)) = (finding.place, files.get(&finding.file)) {
        place::exists(text, place.line, place.column);
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let written =
        |files: &Files| files.iter().map(|(path, text)| format!("==> {path} <==\n{text}")).collect::<String>();
    let mut seeds: Vec<String> = template::ALL.iter().map(|template| written(&template.files())).collect();
    let example = [
        ("bundle.toml", include_str!("../../../configs/bundle/bundle.toml")),
        ("groups.toml", include_str!("../../../configs/bundle/groups.toml")),
        ("apps.toml", include_str!("../../../configs/bundle/apps.toml")),
        ("finance.cedar", include_str!("../../../configs/bundle/policies/finance.cedar")),
        ("staff.cedar", include_str!("../../../configs/bundle/policies/staff.cedar")),
        ("administration.cedar", include_str!("../../../configs/bundle/policies/administration.cedar")),
        ("tests.toml", include_str!("../../../configs/bundle/tests.toml")),
    ];
    seeds.push(written(&example.map(|(path, text)| (path.to_owned(), text.to_owned())).into()));
    seeds.push(include_str!("bundle/wrong.txt").to_owned());
    seeds.into_iter().map(String::into_bytes).collect()
}
