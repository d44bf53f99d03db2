//! Registries: their configuration, who we are to them, and the protocol (distribution-spec).

pub mod config;
