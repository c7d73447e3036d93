//! What came out of test cases, in the form of JUnit's reports, which CI systems read.

use super::markup::escaped;
use crate::wire::{CaseResult, PolicyTest};
use std::fmt::Write as _;

/// A report about the cases of the bundle of this name.
pub(super) fn report(name: &str, done: &PolicyTest) -> String {
    let PolicyTest { passed: _, failed, cases } = done;
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (name, all) = (escaped(name), cases.len());
    let _ = writeln!(text, "<testsuites tests=\"{all}\" failures=\"{failed}\">");
    let _ = writeln!(text, "  <testsuite name=\"{name}\" tests=\"{all}\" failures=\"{failed}\">");
    cases.iter().for_each(|case| add(&mut text, case));
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn add(text: &mut String, case: &CaseResult) {
    let (name, file) = (escaped(&case.name), escaped(&case.file));
    let _ = write!(text, "    <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{}\"", case.line);
    if case.passed {
        text.push_str("/>\n");
        return;
    }
    let expected = escaped(&case.mismatches.join("; "));
    let _ =
        writeln!(text, ">\n      <failure message=\"{expected}\">{}</failure>\n    </testcase>", escaped(&case.why));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_each_case_and_why_it_failed() {
        let case = |name: &str, passed| CaseResult {
            name: name.into(),
            file: "tests.toml".into(),
            line: 7,
            passed,
            to: "crm".into(),
            app: None,
            expected: true,
            permitted: passed,
            policies: Vec::new(),
            why: "denied: no policy permits it".into(),
            mismatches: vec!["expected a permit".into()],
        };
        let done = PolicyTest { passed: 1, failed: 1, cases: vec![case("a & <b>\u{1b}", true), case("c", false)] };
        assert_eq!(
            report("office \"1\"", &done),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites tests=\"2\" failures=\"1\">\n  \
               <testsuite name=\"office &quot;1&quot;\" tests=\"2\" failures=\"1\">\n    \
                 <testcase classname=\"tests.toml\" name=\"a &amp; &lt;b&gt;\u{fffd}\" file=\"tests.toml\" line=\"7\"/>\n    \
                 <testcase classname=\"tests.toml\" name=\"c\" file=\"tests.toml\" line=\"7\">\n      \
                   <failure message=\"expected a permit\">denied: no policy permits it</failure>\n    \
                 </testcase>\n  \
               </testsuite>\n\
             </testsuites>\n"
        );
    }
}
