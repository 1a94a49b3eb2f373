//! `conniver schema`: what each field means, and the JSON Schema of what other commands write.

use std::{fmt::Write as _, process::ExitCode};

use serde_json::Value;
use tcpinfo::{System, fields::Field};

use crate::{
    cli::{SchemaArgs, Written},
    error::Error,
    output,
};

/// The schema of a socket, which defines as well what is made of several, and the lines of life.
const SCHEMA: &str = include_str!("../schema/conniver.schema.json");

pub(crate) fn run(arguments: &SchemaArgs) -> Result<ExitCode, Error> {
    if let Some(written) = arguments.of {
        let text = match written {
            Written::List => SCHEMA.to_owned(),
            Written::Connections => of("What conniver tells of sockets", "sockets")?,
            Written::Summary => of("What conniver counts of sockets", "counts")?,
            Written::Life => of("What conniver life tells in one line", "line")?,
        };
        output::print(text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let fields: Vec<_> = match (arguments.all, System::CURRENT) {
        (true, _) => tcpinfo::schema().collect(),
        (false, Some(system)) => tcpinfo::schema().filter(|field| field.system == system).collect(),
        (false, None) => {
            let all = "the fields of this system are not known; those of others are, with --all";
            return Err(Error::failure(all));
        }
    };
    let text = if arguments.json {
        let mut text = serde_json::to_string_pretty(&fields)
            .map_err(|error| Error::failure(format!("cannot write the fields as JSON: {error}")))?;
        text.push('\n');
        text
    } else {
        text(&fields)
    };
    output::print(text)?;
    Ok(ExitCode::SUCCESS)
}

/// The same definitions, of which another is what is described.
fn of(title: &str, definition: &str) -> Result<String, Error> {
    let mut schema: Value = serde_json::from_str(SCHEMA)
        .map_err(|error| Error::failure(format!("cannot read the schema: {error}")))?;
    schema["title"] = title.into();
    schema["$ref"] = format!("#/$defs/{definition}").into();
    Ok(format!("{schema:#}\n"))
}

/// Each field with a line of what it is and some of what it means.
fn text(fields: &[&Field]) -> String {
    let width = output::width().unwrap_or(DEFAULT_WIDTH).clamp(40, 100);
    let mut text = String::new();
    let mut before = None;
    for field in fields {
        let structure = (field.system, field.structure);
        if before.replace(structure) != Some(structure) {
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}{}, struct {}", field.system, field.structure);
        }
        let unit = match field.unit.to_string() {
            unit if unit.is_empty() => field.ty.to_string(),
            unit => unit,
        };
        let _ = writeln!(
            text,
            "\n{}  ({unit}, {}, since {} {}; {:?} in JSON)",
            field.name, field.kind, field.system, field.since, field.key
        );
        wrap(&mut text, field.doc, width);
    }
    text
}

/// The words, indented, on lines of this width.
fn wrap(text: &mut String, words: &str, width: usize) {
    let mut column = 0;
    for word in words.split_whitespace() {
        let len = word.chars().count();
        if column > 0 && column + 1 + len > width {
            text.push('\n');
            column = 0;
        }
        let gap = if column == 0 { INDENT } else { " " };
        text.push_str(gap);
        text.push_str(word);
        column += gap.len() + len;
    }
    text.push('\n');
}

const DEFAULT_WIDTH: usize = 80;
const INDENT: &str = "    ";
