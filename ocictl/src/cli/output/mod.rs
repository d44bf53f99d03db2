//! How results are printed: tables, JSON, and templates of `--format` like those of docker and podman.
//!
//! A verb makes a list of [`serde_json::Value`] objects whose keys are what templates name (`.ID`, `.Repository`) and has a default
//! table; [`print`] does the rest.

mod filter;
pub mod progress;
pub mod table;
pub mod template;
pub mod units;

pub use filter::{Filters, Key, Kind, moment};

use crate::error::Result;
use serde_json::Value;
use table::Table;
use template::Template;

/// What a list verb is asked to print.
#[derive(Debug, Default, Clone)]
pub struct Style<'a> {
    /// `--format`: a template, `json`, or `table TEMPLATE`.
    pub format: Option<&'a str>,
    /// `--quiet`: the column that is printed alone.
    pub quiet: Option<&'a str>,
    /// `--noheading`: the table without its first line.
    pub no_heading: bool,
}

impl Style<'_> {
    /// Whether the whole list is asked for as JSON.
    pub fn is_json(&self) -> bool {
        self.format.is_some_and(|format| format.trim() == "json")
    }
}

/// Prints rows: as the template says, as JSON, or as a table of `columns` (heading and key).
///
/// # Errors
/// Fails if the template is malformed, or names what a row has not.
pub fn print(rows: &[Value], columns: &[(&str, &str)], style: &Style) -> Result<()> {
    let format = style.format.filter(|format| !matches!(format.trim(), "" | "table"));
    let text = match (style.quiet, format) {
        (Some(key), None) => rows.iter().map(|row| format!("{}\n", template::plain(&row[key]))).collect(),
        _ if style.is_json() => format!("{}\n", json(&Value::Array(rows.to_vec()))?),
        (_, Some(format)) => render(rows, format, columns, style.no_heading)?,
        (None, None) => {
            let mut table = Table::new(
                if style.no_heading { &[] } else { columns }.iter().map(|(heading, _)| (*heading).to_owned()),
            );
            for row in rows {
                table.row(columns.iter().map(|(_, key)| template::plain(&row[*key])));
            }
            table.text()
        }
    };
    super::print_text(&text)
}

/// A line for each row, or a table where the format begins with `table`; its headings are those of `columns` where they have the field.
fn render(rows: &[Value], format: &str, columns: &[(&str, &str)], no_heading: bool) -> Result<String> {
    let Some(format) = format
        .strip_prefix("table")
        .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\\', '\t', '{']))
    else {
        let template = Template::parse(format)?;
        return rows.iter().map(|row| Ok(template.render(row)? + "\n")).collect();
    };
    let template = Template::parse(format.trim_start())?;
    let mut table = Table::new(if no_heading { Vec::new() } else { template.headings(columns) });
    for row in rows {
        let cells = template.render(row)?;
        table.row(cells.split('\t').map(str::to_owned));
    }
    Ok(table.text())
}

/// Prints objects that were inspected: an indented JSON array, or a line each as the template says.
///
/// # Errors
/// As [`print`].
pub fn print_objects(objects: &[Value], format: Option<&str>) -> Result<()> {
    match format {
        Some(format) if format.trim() != "json" => super::print_text(&render(objects, format, &[], false)?),
        _ => super::print_text(&format!("{}\n", json(&Value::Array(objects.to_vec()))?)),
    }
}

/// JSON for people: indented by four, as docker and podman do.
///
/// # Errors
/// Never for what comes from us.
pub fn json(value: &Value) -> Result<String> {
    use serde::Serialize;
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(
        &mut bytes,
        serde_json::ser::PrettyFormatter::with_indent(b"    "),
    );
    value.serialize(&mut serializer).map_err(|error| crate::error::Error::new(error.to_string()))?;
    Ok(escaped(&String::from_utf8_lossy(&bytes)))
}

/// The control characters that JSON lets pass, DEL and those of C1, as JSON's escapes: some terminals obey them.
pub fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match u32::from(letter) {
            code @ 0x7f..=0x9f => text += &format!("\\u{code:04x}"),
            _ => text.push(letter),
        }
    }
    text
}
