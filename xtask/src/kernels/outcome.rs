//! What a kernel's console tells: the fields, the tests, and whether it ended as it should.

use std::{collections::BTreeMap, time::Duration};

use super::{
    build::{Kind, Program},
    emulator::{Console, End},
    list::Kernel,
};

pub(super) struct Outcome {
    /// Of the running kernel, as it says itself.
    pub(super) release: String,
    /// The length of `TCP_INFO`.
    pub(super) length: Option<usize>,
    /// Names by what the fields say: `value`, `unset`, `absent`.
    pub(super) fields: BTreeMap<&'static str, Vec<String>>,
    pub(super) congestion_controls: String,
    pub(super) binaries: Vec<Binary>,
    /// What went wrong with the kernel itself, or with a program before it could count.
    pub(super) failures: Vec<String>,
    /// From the kernel's start to its end.
    pub(super) took: Duration,
}

/// What one test binary told.
pub(super) struct Binary {
    pub(super) name: String,
    pub(super) counts: Counts,
    pub(super) ignored: Vec<String>,
    /// Everything it printed, if a test failed.
    pub(super) complaint: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) ignored: usize,
}

impl Outcome {
    pub(super) fn parse(kernel: &Kernel, programs: &[Program], console: &Console) -> Self {
        let mut outcome = Self {
            release: "?".to_owned(),
            length: None,
            fields: BTreeMap::new(),
            congestion_controls: String::new(),
            binaries: Vec::new(),
            failures: Vec::new(),
            took: console.took,
        };
        let sections = Sections::of(&console.text);
        outcome.congestion_controls = sections.congestion_controls.to_owned();
        outcome.read_end(&sections, console);
        let mut never_started = Vec::new();
        for program in programs {
            let name = &program.name;
            let Some(section) = sections.programs.iter().find(|section| section.name == name)
            else {
                never_started.push(name.as_str());
                continue;
            };
            match (section.status, program.kind) {
                (None, _) => {
                    outcome
                        .failures
                        .push(format!("{name} never ended:\n{}", last_lines(&section.text)));
                }
                (Some(status), Kind::Fields) => outcome.read_fields(section, status),
                (Some(status), Kind::Tests) => outcome.read_tests(section, status),
            }
        }
        if !never_started.is_empty() {
            outcome.failures.push(format!("never started: {}", never_started.join(", ")));
        }
        for test in kernel.must_run {
            if outcome.binaries.iter().any(|binary| binary.ignored.iter().any(|name| name == test))
            {
                outcome
                    .failures
                    .push(format!("{test} was ignored, but this kernel has all it needs"));
            }
        }
        outcome
    }

    /// Whether everything ran and nothing failed.
    pub(super) fn is_good(&self) -> bool {
        self.failures.is_empty() && self.counts().failed == 0
    }

    pub(super) fn counts(&self) -> Counts {
        self.binaries.iter().fold(Counts::default(), |sum, binary| Counts {
            passed: sum.passed + binary.counts.passed,
            failed: sum.failed + binary.counts.failed,
            ignored: sum.ignored + binary.counts.ignored,
        })
    }

    /// `280 bytes from linux 6.18.0 on x86_64`, then a table: name, offset, unit, since, reading.
    fn read_fields(&mut self, section: &Section<'_>, status: i32) {
        let mut words = section.text.lines().next().unwrap_or_default().split_whitespace();
        self.length = words.next().and_then(|length| length.parse().ok());
        self.release = words.nth(3).unwrap_or("?").to_owned();
        let rows = section.text.lines().skip_while(|line| !line.starts_with("field ")).skip(1);
        for row in rows.take_while(|line| !line.is_empty()) {
            let mut cells = row.split_whitespace();
            let (Some(name), Some(reading)) = (cells.next(), cells.nth(3)) else { continue };
            let says = match reading {
                "absent" => "absent",
                "unset" => "unset",
                _ => "value",
            };
            self.fields.entry(says).or_default().push(name.to_owned());
        }
        if status != 0 || self.length.is_none() || self.fields.is_empty() {
            let text = last_lines(&section.text);
            self.failures
                .push(format!("the fields could not be listed (exit code {status}):\n{text}"));
        }
    }

    fn read_tests(&mut self, section: &Section<'_>, status: i32) {
        let name = section.name.to_owned();
        let Some(counts) = section.text.lines().rev().find_map(Counts::parse) else {
            let text = last_lines(&section.text);
            let message =
                format!("{name} ended with exit code {status} before it had counted:\n{text}");
            self.failures.push(message);
            return;
        };
        if (status == 0) != (counts.failed == 0) {
            let failed = counts.failed;
            self.failures
                .push(format!("{name} counts {failed} failed but its exit code is {status}"));
        }
        let ignored = section.text.lines().filter_map(ignored_test).map(str::to_owned).collect();
        let complaint = (status != 0).then(|| section.text.clone());
        self.binaries.push(Binary { name, counts, ignored, complaint });
    }

    fn read_end(&mut self, sections: &Sections<'_>, console: &Console) {
        let kept = console.path.display();
        if let Some(panic) = console.text.lines().find(|line| line.contains("Kernel panic")) {
            self.failures.push(format!("{panic} (console: {kept})"));
        }
        match console.end {
            End::TimeLimit(limit) => {
                let limit = limit.as_secs();
                self.failures.push(format!("it was ended after {limit} s (console: {kept})"));
            }
            End::Exited(status) if !sections.done => {
                self.failures.push(format!("it ended too early, {status} (console: {kept})"));
                if sections.programs.is_empty() {
                    self.failures.push(format!("its last words:\n{}", last_lines(&console.text)));
                }
            }
            End::Exited(status) if !status.success() => {
                self.failures.push(format!("it did not end well, {status} (console: {kept})"));
            }
            End::Exited(_) => {}
        }
    }
}

impl Counts {
    /// `test result: ok. 12 passed; 0 failed; 1 ignored; ...`
    fn parse(line: &str) -> Option<Self> {
        let mut words =
            line.strip_prefix("test result: ")?.split([' ', ';', '.']).filter(|w| !w.is_empty());
        words.next()?;
        let mut count = |what: &str| {
            let number = words.next()?.parse().ok()?;
            (words.next()? == what).then_some(number)
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            ignored: count("ignored")?,
        })
    }
}

/// `test NAME ... ignored`, perhaps with a reason.
fn ignored_test(line: &str) -> Option<&str> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    verdict.starts_with("ignored").then(|| name.trim_end())
}

/// The console's text, cut at the marks of `run.sh`.
struct Sections<'a> {
    congestion_controls: &'a str,
    programs: Vec<Section<'a>>,
    done: bool,
}

struct Section<'a> {
    name: &'a str,
    text: String,
    status: Option<i32>,
}

impl<'a> Sections<'a> {
    fn of(text: &'a str) -> Self {
        let mut sections = Self { congestion_controls: "", programs: Vec::new(), done: false };
        for line in text.lines() {
            let open = sections.programs.last_mut().filter(|section| section.status.is_none());
            let Some(mark) = line.strip_prefix("#kernels ") else {
                if let Some(section) = open {
                    section.text.push_str(line);
                    section.text.push('\n');
                }
                continue;
            };
            match (mark.split_once(' ').unwrap_or((mark, "")), open) {
                (("congestion", names), _) => sections.congestion_controls = names,
                (("begin", name), _) => {
                    sections.programs.push(Section { name, text: String::new(), status: None });
                }
                (("end", rest), Some(section)) => {
                    section.status = rest.rsplit(' ').next().and_then(|status| status.parse().ok());
                }
                (("done", _), _) => sections.done = true,
                _ => {}
            }
        }
        sections
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_a_result_line_only() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        let counts = Counts { passed: 12, failed: 3, ignored: 1 };
        assert!(Counts::parse(line) == Some(counts));
        assert!(Counts::parse("running 12 tests").is_none());
        assert!(Counts::parse("test result: ok. many passed").is_none());
    }

    #[test]
    fn ignored_tests_are_named_whatever_the_padding_and_the_reason() {
        assert_eq!(ignored_test("test a_name    ... ignored"), Some("a_name"));
        assert_eq!(ignored_test("test a_name ... ignored, no ss"), Some("a_name"));
        assert_eq!(ignored_test("test ignored ... ok"), None);
    }

    #[test]
    fn a_program_that_never_ended_has_no_status() {
        let text = "noise\n#kernels congestion reno cubic\n#kernels begin a\nx\n#kernels end a 101\n\
                    between\n#kernels begin b\ny\nKernel panic";
        let sections = Sections::of(text);
        assert_eq!(sections.congestion_controls, "reno cubic");
        let seen: Vec<_> =
            sections.programs.iter().map(|s| (s.name, s.text.as_str(), s.status)).collect();
        assert_eq!(seen, [("a", "x\n", Some(101)), ("b", "y\nKernel panic\n", None)]);
        assert!(!sections.done);
    }
}
