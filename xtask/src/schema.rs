//! `cargo xtask schema`: every field of every system, as a table, as JSON, and in the documents.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use tcpinfo::{
    System,
    fields::{Fact, Field},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this system: linux, apple, windows, freebsd, netbsd or openbsd
    #[arg(value_parser = system)]
    system: Option<System>,

    /// Print one array of objects
    #[arg(long)]
    json: bool,

    /// Bring the tables in README.md and docs/facts.md up to date instead
    #[arg(long, conflicts_with_all = ["system", "json"])]
    write: bool,
}

fn system(name: &str) -> Result<System, String> {
    System::ALL
        .into_iter()
        .find(|system| system.name().eq_ignore_ascii_case(name))
        .ok_or_else(|| format!("known are {}", System::ALL.map(System::name).join(", ")))
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let done = if args.write { write_documents() } else { print(args) };
    match done {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask schema: {error}");
            ExitCode::FAILURE
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn print(args: &Args) -> io::Result<()> {
    let wanted = |field: &&Field| args.system.is_none_or(|system| field.system == system);
    let fields: Vec<_> = tcpinfo::schema().filter(wanted).collect();
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &fields)?;
        return writeln!(out);
    }
    out.write_all(table(&fields).as_bytes())
}

fn table(fields: &[&Field]) -> String {
    const HEAD: [&str; 8] =
        ["structure", "field", "offset", "unit", "kind", "since", "facts", "meaning"];
    let rows = fields.iter().map(|field| {
        let facts = field.facts().collect::<Vec<_>>().join(" ");
        [
            format!("{} {}", field.system, field.structure),
            field.name.to_owned(),
            format!("{}+{}", field.offset, field.width),
            field.unit.to_string(),
            field.kind.to_string(),
            field.since.to_owned(),
            if facts.is_empty() { "-".to_owned() } else { facts },
            field.doc.to_owned(),
        ]
    });
    let rows: Vec<[String; 8]> = [HEAD.map(str::to_owned)].into_iter().chain(rows).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

/// A document that holds a table made here, between two marks.
struct Document {
    path: &'static str,
    table: fn() -> String,
}

const DOCUMENTS: [Document; 2] = [
    Document { path: "README.md", table: systems },
    Document { path: "docs/facts.md", table: facts },
];

const BEGIN: &str = "<!-- made by `cargo xtask schema --write` -->\n";
const END: &str = "<!-- end -->";

fn write_documents() -> io::Result<()> {
    for document in &DOCUMENTS {
        let path = document.location();
        let about =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let text = fs::read_to_string(&path).map_err(about)?;
        let fresh = document.refresh(&text).map_err(about)?;
        if fresh != text {
            fs::write(&path, fresh).map_err(about)?;
            println!("{}: brought up to date", document.path);
        }
    }
    Ok(())
}

impl Document {
    fn location(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(self.path)
    }

    fn refresh(&self, text: &str) -> io::Result<String> {
        let parts = text
            .split_once(BEGIN)
            .and_then(|(before, rest)| rest.split_once(END).map(|(_, after)| (before, after)));
        let Some((before, after)) = parts else {
            return Err(io::Error::other("the marks around its table are missing"));
        };
        Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", (self.table)()))
    }
}

/// What each system tells, in one line each.
fn systems() -> String {
    let mut text = format!(
        "| system | asked with | bytes | fields | of the {} portable facts |\n|---|---|---|---|---|\n",
        Fact::all().count()
    );
    for system in System::ALL {
        let (who, question) = match system {
            System::Linux => ("Linux, Android", "`TCP_INFO`, `TCP_CONGESTION`"),
            System::Apple => ("macOS, iOS, tvOS, watchOS", "`TCP_CONNECTION_INFO`"),
            System::Windows => ("Windows 10 1703 and later", "`SIO_TCP_INFO` v2, v1, v0"),
            System::FreeBsd => ("FreeBSD", "`TCP_INFO`, `TCP_CONGESTION`"),
            System::NetBsd => ("NetBSD", "`TCP_INFO`"),
            System::OpenBsd => ("OpenBSD", "`TCP_INFO`"),
            other => (other.name(), ""),
        };
        let fields = || {
            tcpinfo::schema()
                .filter(|field| field.system == system && field.structure == system.structure())
        };
        let fed = Fact::all().filter(|fact| fact.fields().any(|field| field.system == system));
        let _ = writeln!(
            text,
            "| {who} | {question} | {} | {} | {} |",
            bytes(system),
            fields().count(),
            fed.count(),
        );
    }
    text.push_str("| others | everything compiles, asking answers `Unsupported` | | | |\n");
    text
}

/// The lengths of the structure, shortest and longest.
const fn bytes(system: System) -> &'static str {
    match system {
        System::Linux => "104 to 280",
        System::Apple => "104, 112",
        System::Windows => "88, 136, 152",
        System::FreeBsd => "236, 240, 256",
        System::NetBsd => "236",
        System::OpenBsd => "212",
        _ => "",
    }
}

/// Each portable fact with its meaning and the fields that it is made of.
fn facts() -> String {
    let mut text = String::new();
    let head: Vec<_> = System::ALL.iter().map(|system| format!(" {system} |")).collect();
    let _ = writeln!(text, "| fact |{}", head.concat());
    let _ = writeln!(text, "|---|{}", "---|".repeat(head.len()));
    for fact in Fact::all() {
        let _ = write!(text, "| `{}` |", fact.name);
        for system in System::ALL {
            let names: Vec<_> = fact
                .fields()
                .filter(|field| field.system == system)
                .map(|field| format!("`{}`", field.name))
                .collect();
            let _ = write!(text, " {} |", names.join(", "));
        }
        text.push('\n');
    }
    text.push_str("\n## Meaning\n\n");
    for fact in Fact::all() {
        let key = fact.key.unwrap_or("txOptions`, `rxOptions");
        let doc = fact.doc.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "- `{}` (`{key}` in JSON): {}", fact.name, plain(&doc));
    }
    text
}

/// Without the links, which lead nowhere outside the documentation of the crate.
fn plain(doc: &str) -> String {
    doc.replace("[`Queues`](crate::Queues)", "`Queues`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_are_up_to_date() {
        for document in &DOCUMENTS {
            let text = fs::read_to_string(document.location()).unwrap();
            let fresh = document.refresh(&text).unwrap();
            assert!(
                fresh == text,
                "{} is out of date: run `cargo xtask schema --write`",
                document.path
            );
        }
    }

    #[test]
    fn the_table_holds_every_field() {
        let fields: Vec<_> = tcpinfo::schema().collect();
        let table = table(&fields);
        assert_eq!(table.lines().count(), fields.len() + 1);
        assert!(fields.iter().all(|field| table.contains(field.doc)));
    }

    #[test]
    fn the_lengths_end_where_the_fields_do() {
        for system in System::ALL {
            let end = tcpinfo::schema()
                .filter(|field| field.system == system && field.structure == system.structure())
                .map(|field| field.min_len)
                .max()
                .unwrap();
            let longest: usize = bytes(system).rsplit([' ', ',']).next().unwrap().parse().unwrap();
            assert!(end <= longest, "{system}: {end} > {longest}");
        }
    }
}
