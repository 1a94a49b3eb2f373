//! A result as JUnit XML, which every CI system reads.

use std::fmt::Write as _;

use crate::escape;

/// One `testsuite`.
#[derive(Debug)]
pub(crate) struct Suite {
    pub(crate) name: String,
    /// Seconds.
    pub(crate) time: f64,
    pub(crate) cases: Vec<Case>,
}

/// One `testcase`.
#[derive(Debug)]
pub(crate) struct Case {
    /// What follows `httpstat.` in the name of the class.
    pub(crate) class: &'static str,
    pub(crate) name: String,
    /// Seconds.
    pub(crate) time: f64,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// What was measured is not as it should be.
    Failed {
        kind: &'static str,
        message: String,
    },
    /// It could not be measured.
    Error {
        kind: &'static str,
        message: String,
    },
    Skipped {
        message: String,
    },
}

impl Suite {
    /// The whole file.
    pub(crate) fn xml(&self) -> String {
        let count = |wanted: fn(&Verdict) -> bool| {
            self.cases.iter().filter(|case| wanted(&case.verdict)).count()
        };
        let counts = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"{}\"",
            self.cases.len(),
            count(|verdict| matches!(verdict, Verdict::Failed { .. })),
            count(|verdict| matches!(verdict, Verdict::Error { .. })),
        );
        let skipped = count(|verdict| matches!(verdict, Verdict::Skipped { .. }));
        let (name, time) = (attribute(&self.name), self.time);
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites name=\"httpstat\" {counts} time=\"{time:.6}\">\n  \
             <testsuite name=\"{name}\" {counts} skipped=\"{skipped}\" time=\"{time:.6}\">\n"
        );
        for case in &self.cases {
            case.write(&mut xml);
        }
        xml.push_str("  </testsuite>\n</testsuites>\n");
        xml
    }
}

impl Case {
    fn write(&self, xml: &mut String) {
        let Self { class, time, verdict, .. } = self;
        let name = attribute(&self.name);
        let _ = write!(
            xml,
            "    <testcase classname=\"httpstat.{class}\" name=\"{name}\" time=\"{time:.6}\""
        );
        let _ = match verdict {
            Verdict::Passed => writeln!(xml, "/>"),
            Verdict::Failed { kind, message } => {
                let message = attribute(message);
                let element = format!("<failure type=\"{kind}\" message=\"{message}\"/>");
                writeln!(xml, ">{element}</testcase>")
            }
            Verdict::Error { kind, message } => {
                let message = attribute(message);
                let element = format!("<error type=\"{kind}\" message=\"{message}\"/>");
                writeln!(xml, ">{element}</testcase>")
            }
            Verdict::Skipped { message } => {
                let message = attribute(message);
                writeln!(xml, "><skipped message=\"{message}\"/></testcase>")
            }
        };
    }
}

/// Text between double quotes.
///
/// XML 1.0 has no way at all to write most control characters, so they become visible escapes, as in
/// all other output.
fn attribute(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in escape::text(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            // The last two of the Basic Multilingual Plane are no characters of XML.
            '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, verdict: Verdict) -> Case {
        Case { class: "slo", name: name.to_owned(), time: 0.25, verdict }
    }

    #[test]
    fn verdicts_are_counted_and_written() {
        let message = "why".to_owned();
        let suite = Suite {
            name: "http://h/?a&b".to_owned(),
            time: 1.5,
            cases: vec![
                case("a", Verdict::Passed),
                case("b < 1", Verdict::Failed { kind: "slo", message: message.clone() }),
                case("c", Verdict::Error { kind: "timeout", message: message.clone() }),
                case("d", Verdict::Skipped { message }),
            ],
        };
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="httpstat" tests="4" failures="1" errors="1" time="1.500000">
  <testsuite name="http://h/?a&amp;b" tests="4" failures="1" errors="1" skipped="1" time="1.500000">
    <testcase classname="httpstat.slo" name="a" time="0.250000"/>
    <testcase classname="httpstat.slo" name="b &lt; 1" time="0.250000"><failure type="slo" message="why"/></testcase>
    <testcase classname="httpstat.slo" name="c" time="0.250000"><error type="timeout" message="why"/></testcase>
    <testcase classname="httpstat.slo" name="d" time="0.250000"><skipped message="why"/></testcase>
  </testsuite>
</testsuites>
"#;
        assert_eq!(suite.xml(), expected);
    }

    /// XML 1.0, section 2.2: Char.
    #[test]
    fn every_character_becomes_one_that_xml_allows() {
        let allowed = |c: char| {
            matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}'
                | '\u{10000}'..)
        };
        for c in (0..=0x2_ffff).filter_map(char::from_u32) {
            let safe = attribute(&c.to_string());
            assert!(safe.chars().all(allowed) && !safe.contains(['<', '"', '>']), "{c:?}");
            assert!(!safe.is_empty());
        }
        assert_eq!(attribute("]]>\u{1b}\0\u{ffff}&'"), "]]&gt;\\x1b\\x00\\u{ffff}&amp;&apos;");
    }
}
