//! From the text of a template to its parts.

use crate::error::{Error, Result};
use serde_json::Value;

/// A part of a template.
#[derive(Debug)]
pub enum Node {
    /// Text between braces.
    Text(String),
    /// `{{…}}`.
    Print(Pipeline),
    /// `{{$x := …}}`, or `{{$x = …}}` for one that is declared.
    Set {
        /// Without the dollar.
        name: String,
        /// Whether it is a new one.
        declares: bool,
        /// What it is set to.
        value: Pipeline,
    },
    /// `{{if}}…{{else if}}…{{else}}…{{end}}`.
    If {
        /// Conditions and what each guards.
        branches: Vec<(Condition, Vec<Node>)>,
        /// What is left.
        otherwise: Vec<Node>,
    },
    /// `{{with}}…{{else}}…{{end}}`.
    With {
        /// What becomes the dot.
        condition: Condition,
        /// With it.
        body: Vec<Node>,
        /// Where there is nothing.
        otherwise: Vec<Node>,
    },
    /// `{{range}}…{{else}}…{{end}}`.
    Range {
        /// One name for the item, or two for key and item.
        variables: Vec<String>,
        /// What is gone through.
        list: Pipeline,
        /// For each item.
        body: Vec<Node>,
        /// Where there is none.
        otherwise: Vec<Node>,
    },
    /// `{{continue}}`.
    Continue,
    /// `{{break}}`.
    Break,
}

/// A value that decides, and the variable that it is called in what it guards.
#[derive(Debug)]
pub struct Condition {
    /// Without the dollar.
    pub variable: Option<String>,
    /// The value.
    pub value: Pipeline,
}

/// Calls, each of which gets the result of the one before it as its last argument.
#[derive(Debug)]
pub struct Pipeline {
    /// The calls.
    pub calls: Vec<Call>,
}

/// A function with arguments, or a value.
#[derive(Debug)]
pub struct Call {
    /// The function; nothing for a value.
    pub function: Option<String>,
    /// Its arguments, or the value.
    pub arguments: Vec<Argument>,
}

/// An argument.
#[derive(Debug)]
pub enum Argument {
    /// A string, a number, a truth value.
    Literal(Value),
    /// `.A.B`
    Field(Vec<String>),
    /// `$.A.B`
    Root(Vec<String>),
    /// `$x.A.B`
    Variable(String, Vec<String>),
    /// `(…)`, `(…).A.B`
    Nested(Pipeline, Vec<String>),
}

/// Reads a template.
pub fn parse(text: &str) -> Result<Vec<Node>> {
    let pieces = pieces(text)?;
    let mut reader = Reader { pieces: pieces.into_iter(), depth: 0, loops: 0 };
    match reader.block()? {
        (nodes, Stop::Text) => Ok(nodes),
        (_, Stop::End) => Err(Error::new("{{end}} without its beginning")),
        (_, Stop::Else | Stop::ElseIf(_)) => Err(Error::new("{{else}} without its beginning")),
    }
}

enum Piece {
    Text(String),
    Action(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    /// Fields of what was closed just before.
    Access(Vec<String>),
    Pipe,
    Comma,
    Assign,
}

/// Parts text from actions; trims where a dash says so.
fn pieces(mut text: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut trim = false;
    loop {
        let (before, rest) = match text.split_once("{{") {
            Some((before, rest)) => (before, Some(rest)),
            None => (text, None),
        };
        let mut before = unescape(before);
        if trim {
            before = before.trim_start().to_owned();
        }
        let Some(rest) = rest else {
            pieces.push(Piece::Text(before));
            return Ok(pieces);
        };
        let end = end_of_action(rest).ok_or_else(|| Error::new("{{ without }}"))?;
        let mut action = &rest[..end];
        text = &rest[end + 2..];
        if let Some(trimmed) = action.strip_prefix("- ") {
            before = before.trim_end().to_owned();
            action = trimmed;
        }
        trim = action.ends_with(" -");
        let action = action.strip_suffix(" -").unwrap_or(action).trim();
        pieces.push(Piece::Text(before));
        if !(action.starts_with("/*") && action.ends_with("*/")) {
            pieces.push(Piece::Action(tokens(action)?));
        }
    }
}

/// Where an action's braces close, outside of strings.
fn end_of_action(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            None if matches!(letter, '"' | '`') => quote = Some(letter),
            None if text[at..].starts_with("}}") => return Some(at),
            _ => {}
        }
    }
    // A string that does not end is told of by its own words.
    quote.and_then(|_| text.rfind("}}"))
}

fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

fn tokens(action: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = action.trim_start();
    let mut is_attached = false;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '|' => (Token::Pipe, 1),
            ',' => (Token::Comma, 1),
            ':' if rest.starts_with(":=") => (Token::Assign, 2),
            '"' | '`' => string(rest, first)?,
            '\'' => letter(rest)?,
            '.' if matches!(tokens.last(), Some(Token::Close)) && is_attached => {
                let length = rest.find(ends_word).unwrap_or(rest.len());
                (Token::Access(path(&rest[..length])), length)
            }
            _ => {
                let length = rest.find(ends_word).unwrap_or(rest.len());
                let length = rest[..length].find(":=").unwrap_or(length);
                (Token::Word(rest[..length.max(1)].to_owned()), length.max(1))
            }
        };
        tokens.push(token);
        rest = &rest[length..];
        is_attached = !rest.starts_with(char::is_whitespace);
        rest = rest.trim_start();
    }
    Ok(tokens)
}

fn ends_word(letter: char) -> bool {
    letter.is_whitespace() || "()|,\"`".contains(letter)
}

/// `.A.B` as names.
fn path(text: &str) -> Vec<String> {
    text.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// `'a'`: a letter's number.
fn letter(text: &str) -> Result<(Token, usize)> {
    let mut letters = text.chars().skip(1);
    match (letters.next(), letters.next()) {
        (Some(letter), Some('\'')) => Ok((Token::Word(u32::from(letter).to_string()), letter.len_utf8() + 2)),
        _ => Err(Error::new(format!("a letter without its end: {text}"))),
    }
}

fn string(text: &str, quote: char) -> Result<(Token, usize)> {
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            letter if letter == quote => return Ok((Token::Text(value), at + 1)),
            '\\' if quote == '"' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            letter => value.push(letter),
        }
    }
    Err(Error::new(format!("a string without its end: {text}")))
}

/// What ended a block.
enum Stop {
    Text,
    End,
    Else,
    ElseIf(Vec<Token>),
}

struct Reader {
    pieces: std::vec::IntoIter<Piece>,
    depth: usize,
    /// How many of the blocks are loops.
    loops: usize,
}

/// How deep blocks and parentheses go.
const MAX_DEPTH: usize = 64;

impl Reader {
    /// Nodes up to what ends this block.
    fn block(&mut self) -> Result<(Vec<Node>, Stop)> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::new(format!("blocks within blocks, more than {MAX_DEPTH} deep")));
        }
        let mut nodes = Vec::new();
        let mut end = Stop::Text;
        while let Some(piece) = self.pieces.next() {
            let action = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(action) => action,
            };
            let word = |index: usize| match action.get(index) {
                Some(Token::Word(word)) => word.as_str(),
                _ => "",
            };
            match (word(0), word(1)) {
                ("end", _) => {
                    end = Stop::End;
                    break;
                }
                ("else", "if") => {
                    end = Stop::ElseIf(action[2..].to_vec());
                    break;
                }
                ("else", _) => {
                    end = Stop::Else;
                    break;
                }
                ("if", _) => nodes.push(self.conditional(action[1..].to_vec())?),
                ("with", _) => {
                    let condition = condition(&action[1..])?;
                    let (body, otherwise) = self.body("with")?;
                    nodes.push(Node::With { condition, body, otherwise });
                }
                ("range", _) => {
                    let (variables, list) = range_head(&action[1..])?;
                    self.loops += 1;
                    let body = self.block();
                    // What stands behind its else is no part of the loop.
                    self.loops -= 1;
                    let (body, otherwise) = self.otherwise("range", body?)?;
                    nodes.push(Node::Range { variables, list, body, otherwise });
                }
                ("break", "") => nodes.push(self.leaves("break", Node::Break)?),
                ("continue", "") => nodes.push(self.leaves("continue", Node::Continue)?),
                (name, equals)
                    if name.len() > 1 && name.starts_with('$') && is_assignment(&action, equals) =>
                {
                    let (name, value) = (name[1..].to_owned(), pipeline(&action[2..])?);
                    nodes.push(Node::Set { name, declares: action[1] == Token::Assign, value });
                }
                _ => nodes.push(Node::Print(pipeline(&action)?)),
            }
        }
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn leaves(&self, word: &str, node: Node) -> Result<Node> {
        match self.loops {
            0 => Err(Error::new(format!("{{{{{word}}}}} outside of range"))),
            _ => Ok(node),
        }
    }

    fn conditional(&mut self, mut condition: Vec<Token>) -> Result<Node> {
        let mut branches = Vec::new();
        loop {
            let (body, end) = self.block()?;
            branches.push((self::condition(&condition)?, body));
            match end {
                Stop::End => return Ok(Node::If { branches, otherwise: Vec::new() }),
                Stop::ElseIf(next) => condition = next,
                Stop::Else => return Ok(Node::If { branches, otherwise: self.last("if")? }),
                Stop::Text => return Err(unended("if")),
            }
        }
    }

    /// The body of a block, and what stands behind its `else`.
    fn body(&mut self, word: &str) -> Result<(Vec<Node>, Vec<Node>)> {
        let body = self.block()?;
        self.otherwise(word, body)
    }

    /// A body, and what stands behind its `else`, if it ended there.
    fn otherwise(&mut self, word: &str, body: (Vec<Node>, Stop)) -> Result<(Vec<Node>, Vec<Node>)> {
        match body {
            (body, Stop::End) => Ok((body, Vec::new())),
            (body, Stop::Else) => Ok((body, self.last(word)?)),
            _ => Err(unended(word)),
        }
    }

    fn last(&mut self, word: &str) -> Result<Vec<Node>> {
        match self.block()? {
            (nodes, Stop::End) => Ok(nodes),
            _ => Err(unended(word)),
        }
    }
}

/// Whether an action that begins with a variable sets it.
fn is_assignment(action: &[Token], second: &str) -> bool {
    second == "=" || action.get(1) == Some(&Token::Assign)
}

/// `VALUE` or `$name := VALUE`.
fn condition(tokens: &[Token]) -> Result<Condition> {
    match tokens {
        [Token::Word(word), Token::Assign, rest @ ..] if word.len() > 1 && word.starts_with('$') => {
            Ok(Condition { variable: Some(word[1..].to_owned()), value: pipeline(rest)? })
        }
        _ => Ok(Condition { variable: None, value: pipeline(tokens)? }),
    }
}

fn unended(word: &str) -> Error {
    Error::new(format!("{{{{{word}}}}} without {{{{end}}}}"))
}

/// `LIST`, `$item := LIST` or `$key, $item := LIST`.
fn range_head(tokens: &[Token]) -> Result<(Vec<String>, Pipeline)> {
    let Some(at) = tokens.iter().position(|token| *token == Token::Assign) else {
        return Ok((Vec::new(), pipeline(tokens)?));
    };
    let mut names = Vec::new();
    for token in tokens[..at].iter().filter(|token| **token != Token::Comma) {
        match token {
            Token::Word(word) if word.len() > 1 && word.starts_with('$') => names.push(word[1..].to_owned()),
            _ => return Err(Error::new("range: names begin with $")),
        }
    }
    if names.is_empty() || names.len() > 2 {
        return Err(Error::new("range: one name or two"));
    }
    Ok((names, pipeline(&tokens[at + 1..])?))
}

fn pipeline(tokens: &[Token]) -> Result<Pipeline> {
    let mut at = 0;
    let pipeline = pipeline_at(tokens, &mut at, 0)?;
    if at < tokens.len() {
        return Err(Error::new("more than one value in one {{}}"));
    }
    Ok(pipeline)
}

fn pipeline_at(tokens: &[Token], at: &mut usize, depth: usize) -> Result<Pipeline> {
    if depth > MAX_DEPTH {
        return Err(Error::new(format!("parentheses within parentheses, more than {MAX_DEPTH} deep")));
    }
    let mut calls = vec![Call { function: None, arguments: Vec::new() }];
    while let Some(token) = tokens.get(*at) {
        let last = calls.len() - 1;
        let call = &mut calls[last];
        match token {
            Token::Close => break,
            Token::Pipe => calls.push(Call { function: None, arguments: Vec::new() }),
            Token::Open => {
                *at += 1;
                let inner = pipeline_at(tokens, at, depth + 1)?;
                if tokens.get(*at) != Some(&Token::Close) {
                    return Err(Error::new("( without )"));
                }
                let path = match tokens.get(*at + 1) {
                    Some(Token::Access(path)) => path.clone(),
                    _ => Vec::new(),
                };
                *at += usize::from(!path.is_empty());
                call.arguments.push(Argument::Nested(inner, path));
            }
            Token::Text(text) => call.arguments.push(Argument::Literal(Value::from(text.as_str()))),
            Token::Word(word) => match value(word) {
                Some(value) => call.arguments.push(value),
                None if call.function.is_none() && call.arguments.is_empty() => {
                    call.function = Some(word.clone())
                }
                None => return Err(Error::new(format!("\"{word}\" is no value"))),
            },
            Token::Access(_) => return Err(Error::new("a field of nothing")),
            Token::Comma | Token::Assign => return Err(Error::new("a comma or := outside of range")),
        }
        *at += 1;
    }
    if calls.iter().any(|call| call.function.is_none() && call.arguments.is_empty()) {
        return Err(Error::new("an empty {{}}"));
    }
    Ok(Pipeline { calls })
}

/// A word that is a value; nothing for the name of a function.
fn value(word: &str) -> Option<Argument> {
    Some(match word {
        "true" => Argument::Literal(Value::from(true)),
        "false" => Argument::Literal(Value::from(false)),
        "nil" => Argument::Literal(Value::Null),
        _ if word.starts_with('.') => Argument::Field(path(word)),
        _ => match word.strip_prefix('$') {
            Some(rest) => match rest.split_once('.') {
                Some(("", fields)) => Argument::Root(path(fields)),
                Some((name, fields)) => Argument::Variable(name.to_owned(), path(fields)),
                None if rest.is_empty() => Argument::Root(Vec::new()),
                None => Argument::Variable(rest.to_owned(), Vec::new()),
            },
            None => Argument::Literal(number(word)?),
        },
    })
}

fn number(word: &str) -> Option<Value> {
    if !word.starts_with(|letter: char| letter.is_ascii_digit() || "+-".contains(letter)) {
        return None;
    }
    word.parse::<i64>().map(Value::from).or_else(|_| word.parse::<f64>().map(Value::from)).ok()
}
