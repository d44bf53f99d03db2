//! The specification's JSON schemas: those of 1.3.0 are built in (`schema/`, third-party data), others come from a
//! directory.

use jsonschema::{Draft, Registry, Validator};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

/// The three documents that a runtime writes.
#[derive(Debug)]
pub struct Schemas {
    files: BTreeMap<String, Value>,
}

/// Where the files are said to stand, so that they find each other.
const BASE: &str = "json-schema:///";

macro_rules! files {
    ($($name:literal),* $(,)?) => { [$(($name, include_str!(concat!("../schema/", $name)))),*] };
}

impl Schemas {
    /// Those of 1.3.0.
    ///
    /// # Errors
    /// One of them is not JSON.
    pub fn built_in() -> Result<Self, String> {
        let files = files![
            "config-freebsd.json",
            "config-linux.json",
            "config-schema.json",
            "config-solaris.json",
            "config-vm.json",
            "config-windows.json",
            "config-zos.json",
            "defs-freebsd.json",
            "defs-linux.json",
            "defs-vm.json",
            "defs-windows.json",
            "defs-zos.json",
            "defs.json",
            "features-linux.json",
            "features-schema.json",
            "state-schema.json",
        ];
        let parsed = files.into_iter().map(|(name, text)| parsed(name, text));
        Ok(Self { files: parsed.collect::<Result<_, _>>()? })
    }

    /// Those of a directory.
    ///
    /// # Errors
    /// It cannot be read, or one of its files is not JSON.
    pub fn read(dir: &Path) -> Result<Self, String> {
        let told = |error: std::io::Error| format!("--schema {}: {error}", dir.display());
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(dir).map_err(told)? {
            let path = entry.map_err(told)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let name =
                    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let (name, value) = parsed(&name, &std::fs::read_to_string(&path).map_err(told)?)?;
                files.insert(name, value);
            }
        }
        Ok(Self { files })
    }

    /// What a schema (`state-schema.json`) finds wrong with a document.
    ///
    /// # Errors
    /// The schema itself is broken or missing.
    pub fn complaints(&self, schema: &str, document: &Value) -> Result<Vec<String>, String> {
        let validator = self.validator(schema)?;
        let found =
            validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path()));
        Ok(found.collect())
    }

    fn validator(&self, schema: &str) -> Result<Validator, String> {
        let root = self.files.get(schema).ok_or_else(|| format!("no {schema} among the schemas"))?;
        let mut registry = Registry::new().draft(Draft::Draft4);
        for (name, value) in &self.files {
            registry =
                registry.add(format!("{BASE}{name}"), value).map_err(|error| format!("{name}: {error}"))?;
        }
        let registry = registry.prepare().map_err(|error| format!("{schema}: {error}"))?;
        jsonschema::options()
            .with_draft(Draft::Draft4)
            .with_registry(&registry)
            .with_base_uri(format!("{BASE}{schema}"))
            .build(root)
            .map_err(|error| format!("{schema}: {error}"))
    }
}

/// The files of 1.3.0 hold one reference without its slash, which draft 4 does not know: it is read as it was meant.
fn parsed(name: &str, text: &str) -> Result<(String, Value), String> {
    let text = &text.replace("\"#definitions/", "\"#/definitions/");
    let value = serde_json::from_str(text).map_err(|error| format!("{name}: {error}"))?;
    Ok((name.to_owned(), value))
}

static INSTALLED: OnceLock<Schemas> = OnceLock::new();

/// Makes the schemas those of all tests.
pub fn install(schemas: Schemas) {
    let _ = INSTALLED.set(schemas);
}

/// Asserts that a document satisfies a schema.
#[track_caller]
pub fn assert_valid(schema: &str, document: &Value) {
    let schemas = INSTALLED.get().expect("main installs the schemas");
    let complaints = schemas.complaints(schema, document).unwrap_or_else(|error| panic!("{error}"));
    assert!(complaints.is_empty(), "{schema}: {complaints:#?}\n{document:#}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn good_documents_pass_and_bad_ones_are_told_with_their_place() {
        let schemas = Schemas::built_in().unwrap();
        let good = json!({ "ociVersion": "1.3.0", "id": "a", "status": "running", "pid": 7, "bundle": "/b" });
        assert_eq!(schemas.complaints("state-schema.json", &good).unwrap(), [""; 0]);
        let bad = json!({ "ociVersion": "1.3.0", "id": 7, "status": "asleep" });
        let complaints = schemas.complaints("state-schema.json", &bad).unwrap();
        assert!(complaints.iter().any(|line| line.starts_with("/id: ")), "{complaints:?}");
        assert!(complaints.iter().any(|line| line.contains("asleep")), "{complaints:?}");
        assert!(complaints.iter().any(|line| line.contains("bundle")), "{complaints:?}");
    }

    #[test]
    fn references_between_the_files_are_followed() {
        let schemas = Schemas::built_in().unwrap();
        let bad = json!({ "ociVersion": "1.3.0", "linux": { "namespaces": [{ "type": "moon" }] } });
        let complaints = schemas.complaints("config-schema.json", &bad).unwrap();
        assert!(complaints.iter().any(|line| line.contains("moon")), "{complaints:?}");
        let bad = json!({ "ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0", "linux": { "namespaces": ["moon"] } });
        assert!(!schemas.complaints("features-schema.json", &bad).unwrap().is_empty());
    }
}
