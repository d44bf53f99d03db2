//! The text form: `'text'`, `true`, `5`, `uint64 5`, `[1, 2]`, `@as []`, `('a', 5)`.
//!
//! A number without a type is an `i`; the first element of an array decides for all of them.

use super::Value;

/// How deep arrays may lie in each other.
const DEPTH: usize = 16;

/// Reads a value.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { rest: text };
    let value = parser.value(None, 0)?;
    parser.skip_blanks();
    match parser.rest {
        "" => Ok(value),
        rest => Err(format!("{rest:?} follows the value")),
    }
}

/// Where the parser is.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    /// Reads a value of a type, or, where none is given, of the type that its form has.
    fn value(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, String> {
        if depth > DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        self.skip_blanks();
        let Some(first) = self.rest.chars().next() else { return Err("a value is missing".to_owned()) };
        let value = match first {
            '\'' | '"' => text_of(self.string(first)?, wanted.unwrap_or("s"))?,
            '[' => self.array(wanted, depth)?,
            '(' => self.tuple(wanted, depth)?,
            '@' => {
                self.rest = &self.rest[1..];
                let kind = self.word(|letter| !letter.is_whitespace());
                self.value(Some(kind), depth)?
            }
            letter if letter.is_ascii_alphabetic() => {
                match self.word(|letter| letter.is_ascii_alphanumeric()) {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    keyword => {
                        let kind = type_of(keyword).ok_or_else(|| format!("{keyword:?} is no value"))?;
                        self.value(Some(kind), depth)?
                    }
                }
            }
            _ => number(
                self.word(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.')),
                wanted,
            )?,
        };
        match wanted {
            Some(kind) if value.signature() != kind => Err(format!("{value} is not of the type {kind:?}")),
            _ => Ok(value),
        }
    }

    fn array(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, String> {
        let wanted = match wanted {
            None => None,
            Some(kind) => Some(kind.strip_prefix('a').ok_or_else(|| format!("an array is no {kind:?}"))?),
        };
        let mut kind = wanted.map(str::to_owned);
        let items = self.sequence(']', |parser, _| {
            let item = parser.value(kind.as_deref(), depth + 1)?;
            kind.get_or_insert_with(|| item.signature());
            Ok(item)
        })?;
        match kind {
            Some(kind) => Ok(Value::Array(kind, items)),
            None => Err("an empty array needs its type in front, such as @as".to_owned()),
        }
    }

    fn tuple(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, String> {
        // The types of the fields are not taken apart: each has to name its own.
        let fields = self.sequence(')', |parser, _| parser.value(None, depth + 1))?;
        match (fields.is_empty(), wanted) {
            (true, _) => Err("an empty tuple is no value of D-Bus".to_owned()),
            _ => Ok(Value::Struct(fields)),
        }
    }

    /// Elements between commas, up to a closing bracket; a comma may follow the last.
    fn sequence(
        &mut self,
        close: char,
        mut element: impl FnMut(&mut Self, usize) -> Result<Value, String>,
    ) -> Result<Vec<Value>, String> {
        self.rest = &self.rest[1..];
        let mut items = Vec::new();
        loop {
            self.skip_blanks();
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                return Ok(items);
            }
            let item = element(self, items.len())?;
            items.push(item);
            self.skip_blanks();
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None if self.rest.starts_with(close) => {}
                None => return Err(format!("a comma or {close:?} is missing")),
            }
        }
    }

    /// A string in quotes with the escapes of C.
    fn string(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            if letter == quote {
                self.rest = &self.rest[at + 1..];
                return Ok(text);
            }
            let escaped = match letter {
                '\\' => letters.next().map(|(_, letter)| letter),
                letter => {
                    text.push(letter);
                    continue;
                }
            };
            text.push(match escaped {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('a') => '\x07',
                Some('b') => '\x08',
                Some('f') => '\x0c',
                Some('v') => '\x0b',
                Some(digits @ ('u' | 'U')) => {
                    let count = if digits == 'u' { 4 } else { 8 };
                    let code: String = letters.by_ref().take(count).map(|(_, letter)| letter).collect();
                    let code = u32::from_str_radix(&code, 16).ok().filter(|_| code.len() == count);
                    code.and_then(char::from_u32).ok_or("an escape names no character")?
                }
                Some(other) => other,
                None => break,
            });
        }
        Err("a closing quote is missing".to_owned())
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|letter| !belongs(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

/// The type that a keyword in front of a value stands for.
fn type_of(keyword: &str) -> Option<&'static str> {
    Some(match keyword {
        "boolean" => "b",
        "byte" => "y",
        "int16" => "n",
        "uint16" => "q",
        "int32" => "i",
        "uint32" => "u",
        "int64" => "x",
        "uint64" => "t",
        "string" => "s",
        "objectpath" => "o",
        "signature" => "g",
        _ => return None,
    })
}

fn text_of(text: String, kind: &str) -> Result<Value, String> {
    // D-Bus ends strings with a zero byte.
    if text.contains('\0') {
        return Err("a string holds a NUL byte".to_owned());
    }
    match kind {
        "s" => Ok(Value::Str(text)),
        "o" => Ok(Value::Path(text)),
        "g" => Ok(Value::Signature(text)),
        kind => Err(format!("a string is no {kind:?}")),
    }
}

/// Reads a number of a type: decimal, `0x…` or `0…` (octal).
fn number(text: &str, wanted: Option<&str>) -> Result<Value, String> {
    let wrong = |kind: &str| format!("{text:?} is no number of the type {kind:?}");
    let kind = wanted.unwrap_or("i");
    let digits = text.trim_start_matches(['+', '-']);
    let (digits, radix) = match (digits.strip_prefix("0x"), digits.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (digits, 10),
    };
    let is_signed = text.len() > 1 && text[1..].starts_with(['+', '-']);
    let size = i128::from_str_radix(digits, radix).ok().filter(|size| *size >= 0 && !is_signed);
    let size = size.ok_or_else(|| wrong(kind))?;
    let value = if text.starts_with('-') { -size } else { size };
    let fits = match kind {
        "y" => value.try_into().ok().map(Value::Byte),
        "n" => value.try_into().ok().map(Value::I16),
        "q" => value.try_into().ok().map(Value::U16),
        "i" => value.try_into().ok().map(Value::I32),
        "u" => value.try_into().ok().map(Value::U32),
        "x" => value.try_into().ok().map(Value::I64),
        "t" => value.try_into().ok().map(Value::U64),
        _ => None,
    };
    fits.ok_or_else(|| wrong(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_with_their_types() {
        for (text, signature, shown) in [
            ("true", "b", "true"),
            ("5", "i", "5"),
            ("-5", "i", "-5"),
            ("0x1f", "i", "31"),
            ("017", "i", "15"),
            ("0", "i", "0"),
            ("uint64 18446744073709551615", "t", "infinity"),
            ("byte 0xff", "y", "0xff"),
            ("@t 5", "t", "5"),
            ("'it\\'s'", "s", r#""it's""#),
            (r#" "a\tb\u00e9" "#, "s", r#""a\tbé""#),
            ("objectpath '/a'", "o", r#""/a""#),
            ("['a', 'b',]", "as", r#"["a", "b"]"#),
            ("@as []", "as", "[]"),
            ("@au [1, 2]", "au", "[1, 2]"),
            ("[uint64 1, 2]", "at", "[1, 2]"),
            ("[('/dev/sda', uint64 5)]", "a(st)", r#"[("/dev/sda", 5)]"#),
            ("[[1], [2]]", "aai", "[[1], [2]]"),
        ] {
            let value = parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            assert_eq!(
                (value.signature().as_str(), value.to_string().as_str()),
                (signature, shown),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for (text, problem) in [
            ("", "a value is missing"),
            ("yes", "\"yes\" is no value"),
            ("5 6", "\"6\" follows the value"),
            ("2147483648", "\"2147483648\" is no number of the type \"i\""),
            ("uint64 -1", "\"-1\" is no number of the type \"t\""),
            ("--1", "\"--1\" is no number of the type \"i\""),
            ("'open", "a closing quote is missing"),
            ("[]", "an empty array needs its type in front, such as @as"),
            ("[1, 'a']", "a string is no \"i\""),
            ("[1 2]", "a comma or ']' is missing"),
            ("@s 5", "\"5\" is no number of the type \"s\""),
            ("'\\u00zz'", "an escape names no character"),
            ("'\\u0000'", "a string holds a NUL byte"),
            ("1.5", "\"1.5\" is no number of the type \"i\""),
            ("boolean 1", "\"1\" is no number of the type \"b\""),
        ] {
            assert_eq!(parse(text).expect_err(text), problem, "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
