//! Registries: their configuration, who we are to them, and the protocol (distribution-spec, spec.md).
//!
//! A registry and whatever it sends us to are hostile: credentials go to the host they are for and nowhere else, bodies have
//! limits, digests are compared before anything is kept, redirects are followed by us one at a time.

pub mod challenge;
pub mod client;
pub mod config;
pub mod content;
pub mod credentials;
pub mod download;
pub mod guard;
pub mod http;
pub mod pace;
pub mod search;
pub mod tls;
pub mod token;
pub mod upload;

pub use client::{Client, Options};
pub use content::Fetched;
