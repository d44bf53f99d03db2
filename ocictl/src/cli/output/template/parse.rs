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
    /// `{{if}}…{{else if}}…{{else}}…{{end}}`.
    If {
        /// Conditions and what each guards.
        branches: Vec<(Pipeline, Vec<Node>)>,
        /// What is left.
        otherwise: Vec<Node>,
    },
    /// `{{with}}…{{else}}…{{end}}`.
    With {
        /// What becomes the dot.
        value: Pipeline,
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
    /// `(…)`
    Nested(Pipeline),
}

/// Reads a template.
pub fn parse(text: &str) -> Result<Vec<Node>> {
    let pieces = pieces(text)?;
    let mut reader = Reader { pieces: pieces.into_iter(), depth: 0 };
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
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '|' => (Token::Pipe, 1),
            ',' => (Token::Comma, 1),
            ':' if rest.starts_with(":=") => (Token::Assign, 2),
            '"' | '`' => string(rest, first)?,
            _ => {
                let length = rest
                    .find(|letter: char| letter.is_whitespace() || "()|,\"`".contains(letter))
                    .unwrap_or(rest.len());
                let length = rest[..length].find(":=").unwrap_or(length);
                (Token::Word(rest[..length.max(1)].to_owned()), length.max(1))
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
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
                    let value = pipeline(&action[1..])?;
                    let (body, otherwise) = self.body("with")?;
                    nodes.push(Node::With { value, body, otherwise });
                }
                ("range", _) => {
                    let (variables, list) = range_head(&action[1..])?;
                    let (body, otherwise) = self.body("range")?;
                    nodes.push(Node::Range { variables, list, body, otherwise });
                }
                _ => nodes.push(Node::Print(pipeline(&action)?)),
            }
        }
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn conditional(&mut self, mut condition: Vec<Token>) -> Result<Node> {
        let mut branches = Vec::new();
        loop {
            let (body, end) = self.block()?;
            branches.push((pipeline(&condition)?, body));
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
        match self.block()? {
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
                call.arguments.push(Argument::Nested(inner));
            }
            Token::Text(text) => call.arguments.push(Argument::Literal(Value::from(text.as_str()))),
            Token::Word(word) => match value(word) {
                Some(value) => call.arguments.push(value),
                None if call.function.is_none() && call.arguments.is_empty() => {
                    call.function = Some(word.clone())
                }
                None => return Err(Error::new(format!("\"{word}\" is no value"))),
            },
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
    let path =
        |text: &str| text.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
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
            None => Argument::Literal(Value::from(word.parse::<i64>().ok()?)),
        },
    })
}
