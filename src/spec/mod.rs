//! What `config.json` says: types with the specification's names, read leniently and validated strictly.

pub mod lenient;
