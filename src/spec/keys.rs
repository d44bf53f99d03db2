//! Property names as Go reads them: without regard to case, where no property has exactly that name. A caller that has
//! only ever met a Go runtime may have written `Hostname`; he is warned, not ignored.
//!
//! serde has no such setting, so this stands between it and the JSON: every object that becomes a struct passes its keys
//! through [`Fold`]. Everything else is handed on. (A struct is also refused here where the file has an array, which serde
//! would take as its fields in order.)

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::cell::RefCell;
use std::fmt;

/// Names that were not written as the specification has them, a warning each.
#[derive(Debug, Default)]
pub struct Misspelled(RefCell<Vec<String>>);

impl Misspelled {
    /// The warnings.
    pub fn into_warnings(self) -> Vec<String> {
        self.0.into_inner()
    }

    /// The field that a key stands for; an unknown key remains what it is.
    fn resolve<'k>(&self, key: &'k str, fields: &'static [&'static str]) -> &'k str {
        if fields.contains(&key) {
            return key;
        }
        match fields.iter().find(|field| field.eq_ignore_ascii_case(key)) {
            Some(field) => {
                self.0.borrow_mut().push(format!("the property {key:?} is taken as {field:?}"));
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
    misspelled: &'a Misspelled,
}

impl<'a, T> Lenient<'a, T> {
    /// Stands in front of a deserializer.
    pub fn new(inner: T, misspelled: &'a Misspelled) -> Self {
        Self { inner, fields: &[], misspelled }
    }

    /// The same in front of something that `inner` handed out or was handed.
    fn with<U>(&self, inner: U) -> Lenient<'a, U> {
        Lenient::new(inner, self.misspelled)
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
        let visitor = Lenient { inner: visitor, fields, misspelled: self.misspelled };
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
        let array = self.with(array);
        self.inner.visit_seq(array)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<V::Value, A::Error> {
        let object = Lenient { inner: object, fields: self.fields, misspelled: self.misspelled };
        self.inner.visit_map(object)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(variant)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Lenient<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let seed = self.with(seed);
        self.inner.next_element_seed(seed)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Lenient<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        if self.fields.is_empty() {
            return self.inner.next_key_seed(seed);
        }
        self.inner.next_key_seed(Fold { seed, fields: self.fields, misspelled: self.misspelled })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.next_value_seed(seed)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Lenient<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<S::Value, D::Error> {
        let value = self.with(value);
        self.inner.deserialize(value)
    }
}

/// A key of a struct, on its way to serde's own look-up.
struct Fold<'a, S> {
    seed: S,
    fields: &'static [&'static str],
    misspelled: &'a Misspelled,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Fold<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<S::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Fold<'_, S> {
    type Value = S::Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a property")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<S::Value, E> {
        let key = self.misspelled.resolve(key, self.fields);
        self.seed.deserialize(key.into_deserializer())
    }
}
