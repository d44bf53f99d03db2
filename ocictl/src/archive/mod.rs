//! Archives in and out: compression by its magic bytes, a strict reader of tar, the tree that a layer holds, and the two ways
//! to keep one (an EROFS index over its data, or a directory).
//!
//! Nothing here resolves a path of an archive on the host: [`tree`] works out in memory what the archive means (symlinks,
//! hard links, replaced entries, whiteouts), and only what came out is written.

pub mod attributes;
pub mod compression;
pub mod erofs;
pub mod tar;
pub mod tree;
pub mod without;
pub mod write;
