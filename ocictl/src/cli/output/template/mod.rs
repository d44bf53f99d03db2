//! Templates of `--format`, as far as docker's and podman's users write them: a part of Go's text/template.
//!
//! Fields (`{{.Config.Env}}`), variables, `range` with `break` and `continue`, `if`/`else if`/`else`, `with`, pipes, comments, trimming
//! (`{{-`), and the functions of [`functions`]. `\t` and `\n` outside of braces are a tab and a newline.
//!
//! The values are JSON, which does not tell Go's structs from its maps: of a struct, a field that is not there is an error, and of a map it is
//! `<no value>`. So a value goes along with its [`Shape`], by the name that led to it.

mod functions;
mod parse;

use crate::error::{Error, Result};
use parse::{Argument, Call, Node, Pipeline};
use serde_json::Value;

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
        parse::parse(text)
            .map(|nodes| Self { nodes })
            .map_err(|error| error.context("--format").exit_code(125))
    }

    /// Fills it in with the fields of `value`.
    ///
    /// # Errors
    /// Names the field that is not there, or the function that cannot be applied.
    pub fn render(&self, value: &Value) -> Result<String> {
        let mut out = String::new();
        let root = Seen::plain(value.clone());
        let mut scope = Scope { dot: root.clone(), root: &root, variables: Vec::new() };
        render(&self.nodes, &mut scope, &mut out)
            .map_err(|error| error.context("--format").exit_code(125))?;
        Ok(out)
    }

    /// The headings for a table of this template, tabs between them: those of `columns` (heading and key), else the last name of each field
    /// in capitals.
    pub fn headings(&self, columns: &[(&str, &str)]) -> Vec<String> {
        let mut line = String::new();
        for node in &self.nodes {
            match node {
                Node::Text(text) => line += text,
                Node::Print(pipeline) => line += &heading(pipeline, columns),
                _ => {}
            }
        }
        line.split('\t').map(str::to_owned).collect()
    }
}

/// `CREATED AT` for `.CreatedAt`.
fn heading(pipeline: &Pipeline, columns: &[(&str, &str)]) -> String {
    let name = pipeline.calls.iter().flat_map(|call| &call.arguments).find_map(|argument| match argument {
        Argument::Field(path) => path.last(),
        _ => None,
    });
    let Some(name) = name else { return String::new() };
    if let Some((heading, _)) = columns.iter().find(|(_, key)| key == name) {
        return (*heading).to_owned();
    }
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

/// What Go takes a value for, where JSON does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A struct, or anything that is not empty.
    Plain,
    /// A map from text: any key may be asked for.
    Map,
    /// A list, which may be null.
    List,
}

/// The names of maps, in what is inspected and listed.
const MAPS: [&str; 12] = [
    "Annotations",
    "Data",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];
/// The names of lists that an image may leave out.
const LISTS: [&str; 5] = ["Cmd", "Entrypoint", "Env", "OnBuild", "Shell"];

impl Shape {
    fn of(name: &str) -> Self {
        match name {
            name if MAPS.contains(&name) => Self::Map,
            name if LISTS.contains(&name) => Self::List,
            _ => Self::Plain,
        }
    }
}

/// A value and its shape.
#[derive(Debug, Clone)]
struct Seen {
    value: Value,
    shape: Shape,
}

impl Seen {
    fn plain(value: Value) -> Self {
        Self { value, shape: Shape::Plain }
    }

    fn text(&self) -> String {
        match (&self.value, self.shape) {
            (Value::Null, Shape::Map) => "map[]".into(),
            (Value::Null, Shape::List) => "[]".into(),
            (value, _) => plain(value),
        }
    }

    /// A field of a field.
    fn at(&self, path: &[String]) -> Result<Self> {
        let (mut value, mut shape) = (&self.value, self.shape);
        for name in path {
            value = match value {
                Value::Object(fields) => match fields.get(name).or_else(|| by_gos_name(fields, name)) {
                    Some(found) => found,
                    None if shape == Shape::Map => &Value::Null,
                    None => {
                        let known: Vec<&str> = fields.keys().map(String::as_str).collect();
                        return Err(Error::new(format!("there is no field \"{name}\""))
                            .hint(format!("there are {}", known.join(", "))));
                    }
                },
                // Of what is not there, nothing is there.
                Value::Null => &Value::Null,
                _ => return Err(Error::new(format!("\"{name}\" of something that has no fields"))),
            };
            shape = Shape::of(name);
        }
        Ok(Self { value: value.clone(), shape })
    }
}

/// In Go a field is `ID`, `GraphRoot` or `OCIRuntime`, and the same in JSON `Id`, `graphRoot` or `ociRuntime`.
fn by_gos_name<'a>(fields: &'a serde_json::Map<String, Value>, name: &str) -> Option<&'a Value> {
    if !name.starts_with(|letter: char| letter.is_ascii_uppercase()) {
        return None;
    }
    fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// What names mean at a place of the template.
struct Scope<'a> {
    dot: Seen,
    root: &'a Seen,
    /// The innermost last.
    variables: Vec<(String, Seen)>,
}

impl Scope<'_> {
    fn variable(&self, name: &str) -> Result<&Seen> {
        let found = self.variables.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value).ok_or_else(|| Error::new(format!("${name} is not set")))
    }

    /// Renders a block with other values: what is declared in it ends with it.
    fn within(
        &mut self,
        dot: Option<Seen>,
        declared: Vec<(String, Seen)>,
        body: &[Node],
        out: &mut String,
    ) -> Result<Flow> {
        let variables = self.variables.len();
        self.variables.extend(declared);
        let before = dot.map(|dot| std::mem::replace(&mut self.dot, dot));
        let flow = render(body, self, out)?;
        if let Some(before) = before {
            self.dot = before;
        }
        self.variables.truncate(variables);
        Ok(flow)
    }
}

/// How a block ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// At its end.
    On,
    /// By `continue`.
    Next,
    /// By `break`.
    Out,
}

fn render(nodes: &[Node], scope: &mut Scope, out: &mut String) -> Result<Flow> {
    for node in nodes {
        let flow = match node {
            Node::Text(text) => {
                out.push_str(text);
                Flow::On
            }
            Node::Print(pipeline) => {
                out.push_str(&evaluate(pipeline, scope)?.text());
                Flow::On
            }
            Node::Set { name, declares, value } => {
                let value = evaluate(value, scope)?;
                if *declares {
                    scope.variables.push((name.clone(), value));
                } else {
                    scope.variable(name)?;
                    if let Some((_, old)) = scope.variables.iter_mut().rev().find(|(known, _)| known == name)
                    {
                        *old = value;
                    }
                }
                Flow::On
            }
            Node::If { branches, otherwise } => {
                let mut chosen = (Vec::new(), otherwise);
                for (condition, body) in branches {
                    let value = evaluate(&condition.value, scope)?;
                    if functions::truth(&value.value) {
                        chosen = (
                            condition.variable.iter().map(|name| (name.clone(), value.clone())).collect(),
                            body,
                        );
                        break;
                    }
                }
                scope.within(None, chosen.0, chosen.1, out)?
            }
            Node::With { condition, body, otherwise } => {
                let value = evaluate(&condition.value, scope)?;
                let declared = condition.variable.iter().map(|name| (name.clone(), value.clone())).collect();
                match functions::truth(&value.value) {
                    true => scope.within(Some(value), declared, body, out)?,
                    false => scope.within(None, declared, otherwise, out)?,
                }
            }
            Node::Range { variables, list, body, otherwise } => {
                range(variables, list, (body, otherwise), scope, out)?
            }
            Node::Continue => Flow::Next,
            Node::Break => Flow::Out,
        };
        if flow != Flow::On {
            return Ok(flow);
        }
    }
    Ok(Flow::On)
}

fn range(
    variables: &[String],
    list: &Pipeline,
    (body, otherwise): (&[Node], &[Node]),
    scope: &mut Scope,
    out: &mut String,
) -> Result<Flow> {
    let list = evaluate(list, scope)?.value;
    let items: Vec<(Value, Value)> = match list {
        Value::Array(items) => {
            items.into_iter().enumerate().map(|(index, item)| (Value::from(index), item)).collect()
        }
        Value::Object(fields) => {
            let mut items: Vec<_> = fields.into_iter().map(|(key, item)| (Value::from(key), item)).collect();
            items.sort_by(|one, other| one.0.as_str().cmp(&other.0.as_str()));
            items
        }
        Value::Null => Vec::new(),
        other => return Err(Error::new(format!("range over {}, which is no list", plain(&other)))),
    };
    if items.is_empty() {
        return scope.within(None, Vec::new(), otherwise, out);
    }
    for (key, item) in items {
        let item = Seen::plain(item);
        let declared = match variables {
            [one] => vec![(one.clone(), item.clone())],
            [first, second, ..] => vec![(first.clone(), Seen::plain(key)), (second.clone(), item.clone())],
            [] => Vec::new(),
        };
        if scope.within(Some(item), declared, body, out)? == Flow::Out {
            break;
        }
    }
    Ok(Flow::On)
}

fn evaluate(pipeline: &Pipeline, scope: &Scope) -> Result<Seen> {
    let mut piped: Option<Seen> = None;
    for call in &pipeline.calls {
        piped = Some(call_one(call, piped, scope)?);
    }
    piped.ok_or_else(|| Error::new("an empty {{}}"))
}

fn call_one(call: &Call, piped: Option<Seen>, scope: &Scope) -> Result<Seen> {
    // Docker's only method: `{{.Label "KEY"}}`.
    if let (None, [Argument::Field(path), key]) = (&call.function, &call.arguments[..])
        && let Some((last, above)) = path.split_last()
        && last == "Label"
    {
        let labels = scope.dot.at(above)?.at(&["Labels".to_owned()])?.value;
        return functions::call("index", vec![labels, argument(key, scope)?.value]).map(Seen::plain);
    }
    let mut arguments =
        call.arguments.iter().map(|found| argument(found, scope)).collect::<Result<Vec<_>>>()?;
    arguments.extend(piped);
    match &call.function {
        Some(function) => {
            let values = arguments.into_iter().map(|seen| seen.value).collect();
            functions::call(function, values).map(Seen::plain)
        }
        None if arguments.len() == 1 => Ok(arguments.remove(0)),
        None => Err(Error::new("a value that is no function has arguments")),
    }
}

fn argument(argument: &Argument, scope: &Scope) -> Result<Seen> {
    match argument {
        Argument::Literal(value) => Ok(Seen::plain(value.clone())),
        Argument::Field(path) => scope.dot.at(path),
        Argument::Root(path) => scope.root.at(path),
        Argument::Variable(name, path) => scope.variable(name)?.at(path),
        Argument::Nested(pipeline, path) => evaluate(pipeline, scope)?.at(path),
    }
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
            "ID": "abc", "Names": ["x", "y"], "Size": 12, "Low": -12, "Labels": {"b": "2", "a": "1"}, "Empty": [], "Nothing": null,
            "State": {"Running": true, "Pid": 7}, "Env": ["A=1", "B=2"], "Cmd": null, "Volumes": null, "Id": "whole",
            "Mounts": [{"Type": "bind", "Destination": "/a"}, {"Type": "volume", "Destination": "/b"}],
            "Ports": {"80/tcp": [{"HostPort": "8080"}]}, "store": {"graphRoot": "/r"},
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
            // Of a map, what is not there is nothing, and by `index` the empty text.
            ("{{.Labels.nope}}|{{index .Labels \"nope\"}}|{{index .Volumes \"nope\"}}|", "<no value>|||"),
            ("{{with .Labels}}{{.a}}{{.nope}}{{end}} {{$l := .Labels}}{{$l.nope}}", "1<no value> <no value>"),
            ("{{if index .Labels \"nope\"}}y{{else}}n{{end}}{{if index .Labels \"a\"}}y{{end}}", "ny"),
            ("{{.Label \"a\"}}|{{.Label \"nope\"}}|", "1||"),
            ("{{.Cmd}} {{.Volumes}} {{json .Cmd}} {{len .Cmd}}", "[] map[] null 0"),
            ("{{.Id}} {{.Store.GraphRoot}}", "whole /r"),
            ("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080"),
            (
                "{{range $i, $m := .Mounts}}{{if $i}},{{end}}{{$m.Type}}:{{.Destination}}{{end}}",
                "bind:/a,volume:/b",
            ),
            ("{{range .Env}}{{if eq . \"B=2\"}}{{break}}{{end}}{{.}};{{end}}", "A=1;"),
            ("{{range .Env}}{{if eq . \"A=1\"}}{{continue}}{{end}}{{.}};{{end}}", "B=2;"),
            ("{{$n := 0}}{{range .Env}}{{$n = len .}}{{end}}{{$n}}", "3"),
            ("{{with $s := .State}}{{$s.Pid}}{{end}}{{if $x := .ID}}{{$x}}{{end}}", "7abc"),
            (
                "{{slice .ID 1 2}} {{slice .ID 1}} {{printf \"%.2s|%5d|%05d|%-4s|\" .ID .Size .Size .ID}}",
                "b bc ab|   12|00012|abc |",
            ),
            (
                "{{printf \"%05d|%5d|%-5d|%-05d|%02d|%07.1f\" .Low .Low .Low .Low .Low .Low}}",
                "-0012|  -12|-12  |-12  |-12|-0012.0",
            ),
            ("{{range .Env}}{{.}}{{range $.Empty}}{{else}}{{break}}{{end}}{{end}}", "A=1"),
            ("{{printf \"%x %X %.1f\" 255 255 1.25}} {{1.5}} {{'a'}}", "ff FF 1.2 1.5 97"),
            (
                "{{print .ID \"x\" 1 2}} {{pad .ID 1 2}}|{{html \"<a>\"}} {{urlquery \"a b&\"}} {{js \"'\"}}",
                "abcx1 2  abc  |&lt;a&gt; a+b%26 \\'",
            ),
            ("{{split .ID \"\"}} {{.ID | printf \"%s-%s\" \"x\"}}", "[a b c] x-abc"),
            ("{{split \"a:b\" \":\"}} {{title \"ab\"}} {{truncate .ID 2}}", "[a b] Ab ab"),
        ] {
            let rendered = Template::parse(template).and_then(|parsed| parsed.render(&value));
            assert_eq!(rendered.as_deref().map_err(ToString::to_string), Ok(wanted), "{template}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let value = json!({"ID": "abc", "List": [], "Nothing": null});
        for (template, wanted) in [
            ("{{.Ids}}", "there is no field \"Ids\""),
            ("{{.id}}", "there is no field \"id\""),
            ("{{index .List 9}}", "beyond the 0 items"),
            ("{{index .Nothing 0}}", "index: of nothing"),
            ("{{$x = 1}}", "$x is not set"),
            ("{{break}}", "{{break}} outside of range"),
            ("{{range .List}}{{.}}{{else}}{{break}}{{end}}tail", "{{break}} outside of range"),
            ("{{range .List}}{{else}}{{if .}}{{continue}}{{end}}{{end}}", "{{continue}} outside of range"),
            ("{{printf \"%+d\" 1}}", "printf: %+d is not supported for 1"),
            ("{{printf \"%+5d\" 1}}", "printf: %+5d is not supported for 1"),
            ("{{printf \"%#x\" 1}}", "printf: %#x is not supported for 1"),
            ("{{printf \"% d\" 1}}", "printf: % d is not supported for 1"),
            ("{{printf \"%.+1f\" 1}}", "printf: %.+1f is not supported for 1"),
            ("{{slice .ID 1 9}}", "slice: "),
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
        assert_eq!(template.headings(&[("IMAGE ID", "ID")]), ["IMAGE ID", "CREATED AT", "NAMES"]);
    }
}
