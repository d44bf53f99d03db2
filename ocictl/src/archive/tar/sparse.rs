//! Files with holes (GNU tar, "Storing Sparse Files"): old headers of type `S`, and the PAX formats 0.1 and 1.0.

use super::header::{BLOCK, Header, number};
use super::pax::decimal;
use crate::error::{Error, Result};

/// The most pieces of one file.
pub const MAX_SEGMENTS: usize = 1 << 16;

/// Where the data of a file belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sparse {
    /// The size with the holes.
    pub real_size: u64,
    /// The pieces in order; what is between them reads as zeros.
    pub segments: Vec<Segment>,
}

/// A piece of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where in the file.
    pub offset: u64,
    /// How many bytes; in the archive the pieces lie behind each other.
    pub length: u64,
}

/// What is said of a map that is too long.
pub fn too_many() -> Error {
    Error::new(format!("a sparse map of more than {MAX_SEGMENTS} pieces"))
}

impl Sparse {
    /// The map in a header of type `S` and its extensions.
    pub fn of_old_header(header: &Header, extensions: &[[u8; BLOCK]]) -> Result<Self> {
        let pairs = header
            .sparse_pairs()
            .chunks_exact(24)
            .chain(extensions.iter().flat_map(|block| block[..504].chunks_exact(24)));
        let mut segments = Vec::new();
        for pair in pairs.take_while(|pair| pair[0] != 0) {
            segments.push(Segment { offset: number(&pair[..12])?, length: number(&pair[12..])? });
        }
        Ok(Self { real_size: header.sparse_real_size()?, segments })
    }

    /// Checks that the pieces are in order, within the file, and as many bytes as there are.
    pub fn check(&self, data: u64) -> Result<()> {
        let mut end = 0;
        let mut sum: u64 = 0;
        for segment in &self.segments {
            let stop = segment
                .offset
                .checked_add(segment.length)
                .filter(|stop| *stop <= self.real_size && segment.offset >= end);
            end = stop.ok_or_else(|| Error::new("a sparse map whose pieces overlap or leave the file"))?;
            sum = sum
                .checked_add(segment.length)
                .ok_or_else(|| Error::new("a sparse map that is too large"))?;
        }
        if sum != data || self.real_size > i64::MAX as u64 {
            return Err(Error::new(format!("a sparse map of {sum} bytes for {data} bytes of data")));
        }
        Ok(())
    }
}

/// The map of format 0.1: decimal numbers with commas.
pub fn parse_record(map: &[u8]) -> Result<Vec<Segment>> {
    let numbers: Vec<&[u8]> = map.split(|byte| *byte == b',').collect();
    if numbers.len() / 2 > MAX_SEGMENTS {
        return Err(too_many());
    }
    if numbers.len() % 2 != 0 {
        return Err(Error::new("a sparse map with half a pair"));
    }
    numbers
        .chunks_exact(2)
        .map(|pair| Ok(Segment { offset: decimal(pair[0])?, length: decimal(pair[1])? }))
        .collect()
}

/// The map of format 1.0: the number of pairs, then the pairs, each number on a line.
#[derive(Debug, Default)]
pub struct MapInData {
    text: Vec<u8>,
    numbers: Vec<u64>,
}

impl MapInData {
    /// Whether the map goes on in the next block.
    pub fn wants_more(&self) -> bool {
        self.numbers.first().is_none_or(|pairs| (self.numbers.len() as u64) < 1 + 2 * pairs)
    }

    /// Takes the next block.
    pub fn feed(&mut self, block: &[u8]) -> Result<()> {
        for byte in block {
            if !self.wants_more() {
                if *byte != 0 {
                    return Err(Error::new("data behind a sparse map"));
                }
            } else if *byte == b'\n' {
                self.numbers.push(decimal(&self.text)?);
                self.text.clear();
                if self.numbers[0] > MAX_SEGMENTS as u64 {
                    return Err(too_many());
                }
            } else if self.text.len() < 20 {
                self.text.push(*byte);
            } else {
                return Err(Error::new("a sparse map that is no list of numbers"));
            }
        }
        Ok(())
    }

    /// The pieces.
    pub fn finish(self) -> Result<Vec<Segment>> {
        Ok(self.numbers[1..]
            .chunks_exact(2)
            .map(|pair| Segment { offset: pair[0], length: pair[1] })
            .collect())
    }
}
