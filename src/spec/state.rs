//! The state of a container as the specification shows it (runtime.md, "State"): what `state` and `list` print and what
//! hooks and seccomp listeners are told. The order of the keys is runc's.

use super::OCI_VERSION;
use super::word::words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The version of the specification that the runtime implements, whatever the bundle's is.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// The pid of its process as the reader sees it; `state` and `list` print 0 where there is none, hooks nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Where in its life it is.
    pub status: Status,
    /// Absolute path of the bundle.
    pub bundle: String,
    /// Absolute path of the root filesystem; not for hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<String>,
    /// When it was created, in RFC 3339 with nanoseconds; not for hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The annotations of `config.json`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The owner's name, empty since nobody asks; not for hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

words! {
    /// Where in its life a container is; `paused` is the one value that the specification does not have.
    pub enum Status: "status" {
        /// `create` is at work: only hooks see it.
        Creating = "creating",
        /// `create` is done, `start` has not been called.
        Created = "created",
        /// The user's program runs.
        Running = "running",
        /// Its cgroup is frozen.
        Paused = "paused",
        /// Its process is gone.
        Stopped = "stopped",
    }
}

impl State {
    /// The state as hooks are told it, without what only `state` prints.
    pub fn new(
        id: &str,
        status: Status,
        pid: Option<i32>,
        bundle: &str,
        annotations: BTreeMap<String, String>,
    ) -> Self {
        Self {
            oci_version: OCI_VERSION.to_owned(),
            id: id.to_owned(),
            pid,
            status,
            bundle: bundle.to_owned(),
            rootfs: None,
            created: None,
            annotations,
            owner: None,
        }
    }

    /// The document on one line, for hooks. (Strings and numbers alone cannot fail to serialize.)
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The document as `state` prints it: indented by two, no newline at the end.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// What an agent reads that answers system calls (config-linux.md, "The Container Process State"). The order of the keys is
/// the specification's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessState {
    /// The version of the specification that the runtime implements.
    pub oci_version: String,
    /// The names of the descriptors that come along.
    pub fds: Vec<&'static str>,
    /// The pid of the process under the filter, as the runtime sees it.
    pub pid: i32,
    /// `listenerMetadata`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// The container.
    pub state: State,
}

impl ProcessState {
    /// The state of a process of the container that is under a filter with a listener.
    pub fn new(metadata: &str, pid: i32, state: &State) -> Self {
        Self {
            oci_version: OCI_VERSION.to_owned(),
            fds: vec!["seccompFd"],
            pid,
            metadata: metadata.to_owned(),
            state: state.clone(),
        }
    }

    /// The document on one line. (Strings and numbers alone cannot fail to serialize.)
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_state_is_that_of_runc() {
        let annotations = BTreeMap::from([("org.test".to_owned(), "a<b".to_owned())]);
        let state = State {
            rootfs: Some("/b/rootfs".to_owned()),
            created: Some("2026-08-01T12:00:00.123456789Z".to_owned()),
            owner: Some(String::new()),
            ..State::new("web1", Status::Stopped, Some(0), "/b", annotations)
        };
        let expected = r#"{
  "ociVersion": "1.3.0",
  "id": "web1",
  "pid": 0,
  "status": "stopped",
  "bundle": "/b",
  "rootfs": "/b/rootfs",
  "created": "2026-08-01T12:00:00.123456789Z",
  "annotations": {
    "org.test": "a<b"
  },
  "owner": ""
}"#;
        assert_eq!(state.text(), expected);
        assert_eq!(serde_json::from_str::<State>(expected).unwrap(), state);
    }

    #[test]
    fn l22_an_agent_is_told_what_the_specification_asks_for() {
        let state = State::new("web1", Status::Creating, Some(42), "/b", BTreeMap::new());
        let expected = r#"{"ociVersion":"1.3.0","fds":["seccompFd"],"pid":7,"metadata":"m","state":"#;
        assert_eq!(ProcessState::new("m", 7, &state).line(), format!("{expected}{}}}", state.line()));
        assert!(!ProcessState::new("", 7, &state).line().contains("metadata"));
    }

    #[test]
    fn hooks_are_told_what_the_specification_asks_for() {
        let state = State::new("web1", Status::Stopped, None, "/b", BTreeMap::new());
        assert_eq!(state.line(), r#"{"ociVersion":"1.3.0","id":"web1","status":"stopped","bundle":"/b"}"#);
    }
}
