//! Images, archives, registries and programs that mean harm, each attack played for real: docs/ocictl-security.md has the table of
//! attacks, and each test here is named after its row. What every test asserts at its end: a directory of the host, which the attack
//! was led to, is as it was, `system check` finds nothing, and nothing of a container is left.

#[path = "../../../tests/support/canary.rs"]
mod canary;
#[path = "../engine/mod.rs"]
mod engine;
#[path = "../../../tests/support/racer.rs"]
mod racer;
#[path = "../support/registry.rs"]
mod registry;
mod stage;

mod archives;
mod bombs;
mod copies;
mod credentials;
mod images;
mod names;
mod rebinding;
mod registries;
mod streams;
mod table;
mod transport;

use engine::support;
