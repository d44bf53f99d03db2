//! What stands between the JSON and serde, which has settings for neither of its two purposes.
//!
//! Property names are read as Go reads them: without regard to case, where no property has exactly that name. A caller
//! that has only ever met a Go runtime may have written `Hostname`; he is warned, not ignored. And an error that passes
//! outwards leaves the key or index that it passes through, so that the place of what is wrong is known without a second
//! look, at no cost for a sound document.
//!
//! (A struct is also refused here where the file has an array, which serde would take as its fields in order.)

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

/// What came up while a document was read.
#[derive(Debug, Default)]
pub struct Findings {
    /// Names that were not written as the specification has them, a warning each.
    misspelled: RefCell<Vec<String>>,
    /// The way to the error, the innermost segment first.
    way: RefCell<Vec<Segment>>,
}

/// One step on the way to a value.
#[derive(Debug)]
pub enum Segment {
    /// To a property of an object.
    Key(String),
    /// To an element of an array.
    Index(usize),
}

impl Findings {
    /// The warnings.
    pub fn into_warnings(self) -> Vec<String> {
        self.misspelled.into_inner()
    }

    /// The place of the error that ended the reading, from the outside in; empty for the document itself.
    pub fn into_place(self) -> Vec<Segment> {
        let mut place = self.way.into_inner();
        place.reverse();
        place
    }

    /// Notes that an error comes out of a property or an element.
    fn passes(&self, segment: Segment) {
        self.way.borrow_mut().push(segment);
    }

    /// The field that a key stands for; an unknown key remains what it is.
    fn resolve<'k>(&self, key: &'k str, fields: &'static [&'static str]) -> &'k str {
        if fields.contains(&key) {
            return key;
        }
        match fields.iter().find(|field| field.eq_ignore_ascii_case(key)) {
            Some(field) => {
                self.misspelled.borrow_mut().push(format!("the property {key:?} is taken as {field:?}"));
                field
            }
            None => key,
        }
    }
}

/// Anything on its way from the JSON to serde: a deserializer, or what it hands out. `fields` are those of the struct that
/// is being read, if it is one.
#[derive(Debug)]
pub struct Lenient<'a, T> {
    inner: T,
    fields: &'static [&'static str],
    findings: &'a Findings,
}

impl<'a, T> Lenient<'a, T> {
    /// Stands in front of a deserializer.
    pub fn new(inner: T, findings: &'a Findings) -> Self {
        Self { inner, fields: &[], findings }
    }

    /// The same in front of something that `inner` handed out or was handed.
    fn with<U>(&self, inner: U) -> Lenient<'a, U> {
        Lenient::new(inner, self.findings)
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Lenient<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Lenient { inner: visitor, fields, findings: self.findings };
        self.inner.deserialize_map(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_option(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_ignored_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Lenient<'_, V> {
    type Value = V::Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(out)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        self.inner.visit_bool(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        self.inner.visit_i64(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        self.inner.visit_u64(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        self.inner.visit_f64(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.inner.visit_str(value)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.inner.visit_borrowed_str(value)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let value = self.with(value);
        self.inner.visit_some(value)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let value = self.with(value);
        self.inner.visit_newtype_struct(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Array { inner: array, index: 0, findings: self.findings })
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<V::Value, A::Error> {
        let object = Object { inner: object, fields: self.fields, key: None, findings: self.findings };
        self.inner.visit_map(object)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(variant)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Lenient<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<S::Value, D::Error> {
        let value = self.with(value);
        self.inner.deserialize(value)
    }
}

/// The elements of an array; `index` is that of the next one.
struct Array<'a, A> {
    inner: A,
    index: usize,
    findings: &'a Findings,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Array<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let element = self.inner.next_element_seed(Lenient::new(seed, self.findings));
        let element = element.inspect_err(|_| self.findings.passes(Segment::Index(self.index)));
        self.index += 1;
        element
    }
}

/// The properties of an object; `key` is the one that was read last, borrowed from the document where it can be.
struct Object<'a, 'de, A> {
    inner: A,
    fields: &'static [&'static str],
    key: Option<Cow<'de, str>>,
    findings: &'a Findings,
}

impl<A> Object<'_, '_, A> {
    /// An error comes out of the property that was read last.
    fn passes(&mut self) {
        if let Some(key) = self.key.take() {
            self.findings.passes(Segment::Key(key.into_owned()));
        }
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Object<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let key = Key { seed, fields: self.fields, name: &mut self.key, findings: self.findings };
        self.inner.next_key_seed(key).inspect_err(|_| self.passes())
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Lenient::new(seed, self.findings)).inspect_err(|_| self.passes())
    }
}

/// A key on its way to serde's own look-up; `name` keeps what it was resolved to.
struct Key<'a, 'de, S> {
    seed: S,
    fields: &'static [&'static str],
    name: &'a mut Option<Cow<'de, str>>,
    findings: &'a Findings,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<'_, 'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<S::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Key<'_, 'de, S> {
    type Value = S::Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a property")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<S::Value, E> {
        let key = self.findings.resolve(key, self.fields);
        *self.name = Some(Cow::Borrowed(key));
        self.seed.deserialize(key.into_deserializer())
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<S::Value, E> {
        let key = self.findings.resolve(key, self.fields);
        *self.name = Some(Cow::Owned(key.to_owned()));
        self.seed.deserialize(key.into_deserializer())
    }
}
