//! What is printed of each kernel, and the table at the end.

use super::{
    Trouble,
    list::Kernel,
    outcome::{Binary, Counts, Outcome},
};

const WIDTH: usize = 100;

pub(super) fn print(kernel: &Kernel, outcome: &Outcome) {
    let length = outcome.length.map_or("no".to_owned(), |length| length.to_string());
    println!("== {}", kernel.name);
    println!(
        "Linux {} for {}, TCP_INFO has {length} bytes",
        outcome.release,
        kernel.target.architecture(),
    );
    print_names("congestion control", outcome.congestion_controls.split_whitespace());
    for (says, title) in [("absent", "absent"), ("unset", "unset"), ("value", "with a value")] {
        if let Some(names) = outcome.fields.get(says) {
            let title = format!("{} fields {title}", names.len());
            print_names(&title, names.iter().map(String::as_str));
        }
    }
    println!("{:20} {:>7} {:>7} {:>7}", "tests", "passed", "failed", "ignored");
    for Binary { name, counts, .. } in &outcome.binaries {
        println!("{name:20} {:>7} {:>7} {:>7}", counts.passed, counts.failed, counts.ignored);
    }
    let ignored = outcome.binaries.iter().flat_map(|binary| &binary.ignored);
    print_names("ignored", ignored.map(String::as_str));
    for binary in &outcome.binaries {
        if let Some(complaint) = &binary.complaint {
            println!("-- {} printed, but for what went well:", binary.name);
            let went_well = |line: &&str| {
                line.starts_with("test ") && (line.ends_with(" ok") || line.contains("... ignored"))
            };
            for line in complaint.trim_end().lines().filter(|line| !went_well(line)) {
                println!("{line}");
            }
        }
    }
    for failure in &outcome.failures {
        println!("failed: {failure}");
    }
    println!();
}

pub(super) fn print_trouble(kernel: &Kernel, trouble: &Trouble) {
    let (verdict, why) = match trouble {
        Trouble::Skipped(why) => ("skipped", why),
        Trouble::Failed(why) => ("failed", why),
    };
    println!("== {}\n{verdict}: {why}\n", kernel.name);
}

pub(super) fn print_summary(rows: &[(&Kernel, Result<Outcome, Trouble>)]) {
    println!(
        "{:12} {:32} {:8} {:>6} {:>7} {:>7} {:>7} {:>8}",
        "kernel", "release", "for", "bytes", "passed", "failed", "ignored", "seconds"
    );
    for (kernel, result) in rows {
        let architecture = kernel.target.architecture();
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(Trouble::Skipped(why)) => {
                println!("{:12} skipped: {}", kernel.name, first_line(why));
                continue;
            }
            Err(Trouble::Failed(why)) => {
                println!("{:12} FAILED: {}", kernel.name, first_line(why));
                continue;
            }
        };
        let Counts { passed, failed, ignored } = outcome.counts();
        println!(
            "{:12} {:32} {architecture:8} {:>6} {passed:>7} {failed:>7} {ignored:>7} {:>8.1}{}",
            kernel.name,
            outcome.release,
            outcome.length.map_or("-".to_owned(), |length| length.to_string()),
            outcome.took.as_secs_f64(),
            outcome
                .failures
                .first()
                .map_or(String::new(), |why| format!("  FAILED: {}", first_line(why))),
        );
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A title and names, wrapped and indented.
fn print_names<'a>(title: &str, names: impl Iterator<Item = &'a str>) {
    let mut line = format!("{title}:");
    let mut any = false;
    for name in names {
        any = true;
        if line.len() + 1 + name.len() > WIDTH {
            println!("{line}");
            line = "   ".to_owned();
        }
        line.push(' ');
        line.push_str(name);
    }
    if any {
        println!("{line}");
    }
}
