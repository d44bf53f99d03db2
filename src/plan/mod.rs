//! The plan: every decision of `create`, and nothing done. Pure: from data to data.

pub mod place;

pub use place::Place;
