//! Templates of `--format`, as far as docker's and podman's users write them: a part of Go's text/template.
//!
//! Fields (`{{.Config.Env}}`), `range` with or without variables, `if`/`else if`/`else`, `with`, pipes, comments, trimming
//! (`{{-`), and the functions of [`functions`]. `\t` and `\n` outside of braces are a tab and a newline.

mod functions;
mod parse;

use crate::error::{Error, Result};
use parse::{Argument, Call, Node, Pipeline};
use serde_json::Value;
use std::collections::BTreeMap;

/// A template that was understood.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<Node>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Says what is not understood.
    pub fn parse(text: &str) -> Result<Self> {
        parse::parse(text).map(|nodes| Self { nodes }).map_err(|error| error.context("--format"))
    }

    /// Fills it in with the fields of `value`.
    ///
    /// # Errors
    /// Names the field that is not there, or the function that cannot be applied.
    pub fn render(&self, value: &Value) -> Result<String> {
        let mut out = String::new();
        let scope = Scope { dot: value, root: value, variables: BTreeMap::new() };
        render(&self.nodes, &scope, &mut out).map_err(|error| error.context("--format"))?;
        Ok(out)
    }

    /// The headings for a table of this template: the last name of each field, in capitals, tabs between them.
    pub fn headings(&self) -> Vec<String> {
        let mut line = String::new();
        for node in &self.nodes {
            match node {
                Node::Text(text) => line += text,
                Node::Print(pipeline) => line += &heading(pipeline),
                _ => {}
            }
        }
        line.split('\t').map(str::to_owned).collect()
    }
}

/// `CREATED AT` for `.CreatedAt`.
fn heading(pipeline: &Pipeline) -> String {
    let name = pipeline.calls.iter().flat_map(|call| &call.arguments).find_map(|argument| match argument {
        Argument::Field(path) => path.last(),
        _ => None,
    });
    let Some(name) = name else { return String::new() };
    if name == "ID" {
        return "ID".into();
    }
    let mut heading = String::new();
    let mut before = None::<char>;
    for letter in name.chars() {
        if letter.is_uppercase() && before.is_some_and(char::is_lowercase) {
            heading.push(' ');
        }
        heading.extend(letter.to_uppercase());
        before = Some(letter);
    }
    heading
}

/// What names mean at a place of the template.
struct Scope<'a> {
    dot: &'a Value,
    root: &'a Value,
    variables: BTreeMap<String, Value>,
}

fn render(nodes: &[Node], scope: &Scope, out: &mut String) -> Result<()> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Print(pipeline) => out.push_str(&plain(&evaluate(pipeline, scope)?)),
            Node::If { branches, otherwise } => {
                let mut chosen = otherwise;
                for (condition, body) in branches {
                    if functions::truth(&evaluate(condition, scope)?) {
                        chosen = body;
                        break;
                    }
                }
                render(chosen, scope, out)?;
            }
            Node::With { value, body, otherwise } => {
                let value = evaluate(value, scope)?;
                if functions::truth(&value) {
                    let inner = Scope { dot: &value, root: scope.root, variables: scope.variables.clone() };
                    render(body, &inner, out)?;
                } else {
                    render(otherwise, scope, out)?;
                }
            }
            Node::Range { variables, list, body, otherwise } => {
                let list = evaluate(list, scope)?;
                let items: Vec<(Value, &Value)> = match &list {
                    Value::Array(items) => {
                        items.iter().enumerate().map(|(index, item)| (Value::from(index), item)).collect()
                    }
                    Value::Object(fields) => {
                        let mut items: Vec<_> =
                            fields.iter().map(|(key, item)| (Value::from(key.as_str()), item)).collect();
                        items.sort_by(|one, other| one.0.as_str().cmp(&other.0.as_str()));
                        items
                    }
                    Value::Null => Vec::new(),
                    other => {
                        return Err(Error::new(format!("range over {}, which is no list", plain(other))));
                    }
                };
                if items.is_empty() {
                    render(otherwise, scope, out)?;
                }
                for (key, item) in items {
                    let mut names = scope.variables.clone();
                    match &variables[..] {
                        [one] => drop(names.insert(one.clone(), item.clone())),
                        [first, second] => {
                            names.insert(first.clone(), key);
                            names.insert(second.clone(), item.clone());
                        }
                        _ => {}
                    }
                    render(body, &Scope { dot: item, root: scope.root, variables: names }, out)?;
                }
            }
        }
    }
    Ok(())
}

fn evaluate(pipeline: &Pipeline, scope: &Scope) -> Result<Value> {
    let mut piped: Option<Value> = None;
    for call in &pipeline.calls {
        piped = Some(call_one(call, piped, scope)?);
    }
    piped.ok_or_else(|| Error::new("an empty {{}}"))
}

fn call_one(call: &Call, piped: Option<Value>, scope: &Scope) -> Result<Value> {
    let mut arguments =
        call.arguments.iter().map(|argument| argument_value(argument, scope)).collect::<Result<Vec<_>>>()?;
    arguments.extend(piped);
    match &call.function {
        Some(function) => functions::call(function, arguments),
        None if arguments.len() == 1 => Ok(arguments.remove(0)),
        None => Err(Error::new("a value that is no function has arguments")),
    }
}

fn argument_value(argument: &Argument, scope: &Scope) -> Result<Value> {
    match argument {
        Argument::Literal(value) => Ok(value.clone()),
        Argument::Field(path) => field(scope.dot, path).cloned(),
        Argument::Root(path) => field(scope.root, path).cloned(),
        Argument::Variable(name, path) => {
            let value = scope.variables.get(name).ok_or_else(|| Error::new(format!("${name} is not set")))?;
            field(value, path).cloned()
        }
        Argument::Nested(pipeline) => evaluate(pipeline, scope),
    }
}

fn field<'a>(mut value: &'a Value, path: &[String]) -> Result<&'a Value> {
    for name in path {
        value = match value {
            Value::Object(fields) => fields.get(name).ok_or_else(|| {
                let known: Vec<&str> =
                    fields.keys().map(String::as_str).filter(|key| !key.starts_with('_')).collect();
                Error::new(format!("there is no field \"{name}\""))
                    .hint(format!("there are {}", known.join(", ")))
            })?,
            // Of what is not there, nothing is there.
            Value::Null => &Value::Null,
            _ => return Err(Error::new(format!("\"{name}\" of something that has no fields"))),
        };
    }
    Ok(value)
}

/// A value as Go prints it: `[a b]`, `map[k:v]`, `<no value>`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut pairs: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_print_what_gos_would() {
        let value = json!({
            "ID": "abc", "Names": ["x", "y"], "Size": 12, "Labels": {"b": "2", "a": "1"}, "Empty": [], "Nothing": null,
            "State": {"Running": true, "Pid": 7}, "Env": ["A=1", "B=2"],
        });
        for (template, wanted) in [
            ("{{.ID}}", "abc"),
            ("{{ .ID }}\\t{{.Size}}", "abc\t12"),
            ("{{json .Names}} {{.Names}}", "[\"x\",\"y\"] [x y]"),
            ("{{.Labels}} {{.Labels.a}} {{index .Labels \"b\"}} {{index .Names 1}}", "map[a:1 b:2] 1 2 y"),
            ("{{range .Env}}{{println .}}{{end}}", "A=1\nB=2\n"),
            ("{{range $i, $e := .Env}}{{$i}}={{$e}};{{end}}", "0=A=1;1=B=2;"),
            ("{{range $k, $v := .Labels}}{{$k}}{{$v}}{{end}}", "a1b2"),
            ("{{range .Empty}}x{{else}}none{{end}}", "none"),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{if eq .ID \"x\"}}1{{else if gt .Size 10}}2{{else}}3{{end}}", "2"),
            ("{{if and .ID (not .Nothing)}}y{{end}}", "y"),
            ("{{with .State}}{{.Pid}}{{$.ID}}{{end}}", "7abc"),
            ("{{.ID | upper}} {{join .Names \",\"}} {{len .Names}}", "ABC x,y 2"),
            ("{{printf \"%s-%d %q %v\" .ID .Size .ID .Names}}", "abc-12 \"abc\" [x y]"),
            ("a {{- .ID -}} b", "aabcb"),
            ("{{/* a comment */}}{{.ID}}", "abc"),
            ("{{json .}}", &value.to_string()),
            ("{{.Nothing}} {{.Nothing.Deeper}}", "<no value> <no value>"),
            ("{{split \"a:b\" \":\"}} {{title \"ab\"}} {{truncate .ID 2}}", "[a b] Ab ab"),
        ] {
            let rendered = Template::parse(template).and_then(|parsed| parsed.render(&value));
            assert_eq!(rendered.as_deref().map_err(ToString::to_string), Ok(wanted), "{template}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let value = json!({"ID": "abc"});
        for (template, wanted) in [
            ("{{.Id}}", "there is no field \"Id\""),
            ("{{.ID", "without }}"),
            ("{{foo .ID}}", "\"foo\" is no function"),
            ("{{range .ID}}{{end}}", "no list"),
            ("{{if .ID}}", "without {{end}}"),
            ("{{end}}", "{{end}} without"),
            ("{{}}", "empty"),
            ("{{.ID \"x}}", "without its end"),
            ("{{$x}}", "$x is not set"),
        ] {
            let said = Template::parse(template)
                .and_then(|parsed| parsed.render(&value))
                .expect_err(template)
                .to_string();
            assert!(said.contains(wanted) && said.starts_with("--format: "), "{template}: {said}");
        }
    }

    #[test]
    fn headings_come_from_fields() {
        let template = Template::parse("{{.ID}}\\t{{.CreatedAt}}\\t{{json .Names}}").expect("well-formed");
        assert_eq!(template.headings(), ["ID", "CREATED AT", "NAMES"]);
    }
}
