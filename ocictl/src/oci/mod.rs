//! The documents of the image specification and of Docker's schema 2, as far as an engine reads them. The bytes of a document
//! are kept beside its type wherever its digest counts: unknown fields are never lost on the way.

mod config;
mod manifest;

pub use config::{Config, Healthcheck, History, ImageConfig, Rootfs};
pub use manifest::{Descriptor, Document, Index, Manifest, Platform, blob_path, kind_of_layer, media};

/// The largest manifest or index that is read: what registries themselves accept.
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// The largest image configuration that is read.
pub const MAX_CONFIG_BYTES: u64 = 8 << 20;
/// The most layers of an image: overlayfs takes 500.
pub const MAX_LAYERS: usize = 500;
