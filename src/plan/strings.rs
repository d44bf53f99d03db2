//! Lists of strings for execve(2) in one buffer: a thousand environment entries are one allocation, not a thousand.

/// Strings one after the other in one buffer. None holds a NUL byte: validation has refused those.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StringList {
    bytes: Vec<u8>,
    /// Where each string ends.
    ends: Vec<usize>,
}

impl StringList {
    /// Copies the strings in order.
    pub fn new<'a>(strings: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list = Self::default();
        for string in strings {
            list.bytes.extend_from_slice(string.as_bytes());
            list.ends.push(list.bytes.len());
        }
        list
    }

    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_in_order() {
        let list = StringList::new(["a", "", "bc"]);
        assert_eq!(list.iter().collect::<Vec<_>>(), [b"a".as_slice(), b"", b"bc"]);
        assert_eq!(list.len(), 3);
    }
}
