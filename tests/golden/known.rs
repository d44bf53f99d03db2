//! Which properties the types of `spec` know, asked of the types themselves: each is read from a document that is made up on the
//! way, with one member an object.

use serde::de::value::Error;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use std::cell::RefCell;

/// Every property that holds a value and no object: `mounts[].options[]`, `linux.sysctl{}`.
pub fn properties<'de, T: Deserialize<'de>>() -> Vec<String> {
    let mut found = Vec::new();
    descend::<T>(&mut Vec::new(), &mut found);
    found
}

fn descend<'de, T: Deserialize<'de>>(way: &mut Vec<&'static str>, found: &mut Vec<String>) {
    let seen = RefCell::new(Seen::default());
    // It fails in any case: what is seen is seen on the way.
    let _ = T::deserialize(Guide { way, seen: &seen });
    let seen = seen.into_inner();
    match seen.members {
        Some(members) => {
            for member in members {
                way.push(member);
                descend::<T>(way, found);
                way.pop();
            }
        }
        None => found.push(seen.path),
    }
}

/// What a type asks for at the end of the way.
#[derive(Default)]
struct Seen {
    path: String,
    members: Option<&'static [&'static str]>,
}

/// A document in which each object has the one member that the way names.
#[derive(Clone, Copy)]
struct Guide<'a> {
    way: &'a [&'static str],
    seen: &'a RefCell<Seen>,
}

impl Guide<'_> {
    fn note(&self, mark: &str) {
        self.seen.borrow_mut().path += mark;
    }
}

impl<'de> Deserializer<'de> for Guide<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some((member, way)) = self.way.split_first() else {
            self.seen.borrow_mut().members = Some(members);
            return Err(Error::custom("seen"));
        };
        let is_first = self.seen.borrow().path.is_empty();
        self.note(if is_first { "" } else { "." });
        self.note(member);
        visitor.visit_map(One { key: Some(member), value: Guide { way, ..self } })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note("[]");
        visitor.visit_seq(One { key: None, value: self })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note("{}");
        visitor.visit_map(One { key: Some("any"), value: self })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a value"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct enum identifier ignored_any
    }
}

/// One member, or one element.
struct One<'a> {
    key: Option<&'static str>,
    value: Guide<'a>,
}

impl<'de> MapAccess<'de> for One<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        use serde::de::IntoDeserializer;
        self.key.take().map(|key| seed.deserialize(key.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.value)
    }
}

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        seed.deserialize(self.value).map(Some)
    }
}
