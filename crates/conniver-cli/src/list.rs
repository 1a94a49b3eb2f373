//! `conniver list`: every socket that is meant, in the form that is asked for.

mod csv;
mod form;
mod long;
mod sheet;
mod summary;
mod table;

use std::process::ExitCode;

use anstream::ColorChoice;
use sockdiag::Tell;

use crate::{
    cli::{Color, Format, ListArgs, SelectArgs},
    column::{self, Column},
    error::Error,
    output,
    process::Processes,
    run::complain,
    source::{NOT_RECORDED, Source},
};
use csv::Csv;
use form::Form;
pub(crate) use long::Long;
use sheet::{Sheet, Sort};
use table::Table;

pub(crate) fn run(arguments: &ListArgs) -> Result<ExitCode, Error> {
    if arguments.columns.iter().any(|name| name == "help") {
        output::print(column::help())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(path) = &arguments.save {
        Source::new(&of_all(arguments.select()), Tell::ALL)?.save(path)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.summary {
        return summarize(arguments);
    }
    let form = form(arguments)?;
    let sort = arguments.sort.as_deref().map(Sort::parse).transpose()?;
    let mut tell = form.tell();
    if let Some(sort) = &sort {
        tell |= sort.column.tell;
    }
    let needs_holders = arguments.process
        || form.needs_holders()
        || sort.is_some_and(|sort| sort.column.needs_holders);
    let select = arguments.select();
    if needs_holders && select.from.is_some() {
        return Err(Error::usage(NOT_RECORDED));
    }
    let source = Source::new(&select, tell)?;
    let processes = needs_holders.then(Processes::scan).transpose()?;
    let sheet = Sheet::new(form, sort, arguments.limit, processes);
    sheet.write(&source)?;
    if let Some(why) = sheet.missed() {
        complain(&why);
    }
    Ok(ExitCode::SUCCESS)
}

/// The same of sockets in all states, unless some are asked for.
fn of_all(mut select: SelectArgs) -> SelectArgs {
    select.all = select.states.is_empty() && !select.listening;
    select
}

fn summarize(arguments: &ListArgs) -> Result<ExitCode, Error> {
    let select = of_all(arguments.select());
    let counts = summary::count(&Source::new(&select, summary::TELL)?)?;
    match arguments.format() {
        Format::Table => output::print(counts.text())?,
        Format::Json => output::print(format!("{:#}\n", counts.json()))?,
        Format::Jsonl => output::print(format!("{}\n", counts.json()))?,
        Format::Long | Format::Csv => {
            return Err(Error::usage("a summary is a table, json or jsonl"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The form that is asked for.
fn form(arguments: &ListArgs) -> Result<Form, Error> {
    let format = arguments.format();
    let has_header = !arguments.no_header;
    let has_columns = matches!(format, Format::Table | Format::Csv);
    let is_about_columns = !arguments.columns.is_empty() || !has_header;
    if is_about_columns && !has_columns {
        let option = if has_header { "--columns" } else { "--no-header" };
        return Err(Error::usage(format!(
            "{option} is for the table and for csv; what is shown otherwise has all fields, by name"
        )));
    }
    let shown = || columns(arguments);
    Ok(match format {
        Format::Table => Form::Table(Table {
            columns: shown()?,
            may_omit: arguments.columns.is_empty(),
            width: output::width(),
            has_header,
            has_color: output::has_color(match arguments.color {
                Color::Auto => ColorChoice::Auto,
                Color::Always => ColorChoice::AlwaysAnsi,
                Color::Never => ColorChoice::Never,
            }),
        }),
        Format::Csv => Form::Csv(Csv { columns: shown()?, has_header }),
        Format::Long => Form::Long(Long { width: output::width() }),
        Format::Json => Form::Json,
        Format::Jsonl => Form::Jsonl,
    })
}

/// The columns that are asked for, else the usual ones.
fn columns(arguments: &ListArgs) -> Result<Vec<Column>, Error> {
    let usual = column::usual().filter(|column| arguments.process || !column.needs_holders);
    let all = column::all().iter();
    let mut columns = column::named(&arguments.columns, usual, all, column::find)?;
    if arguments.process && !columns.iter().any(|column| column.needs_holders) {
        columns.push(column::find("process")?);
    }
    Ok(columns.into_iter().copied().collect())
}

/// What the kernel is asked for, for these columns.
fn told(columns: &[Column]) -> Tell {
    columns.iter().fold(Tell::NOTHING, |told, column| told | column.tell)
}
