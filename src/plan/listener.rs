//! Who answers the system calls of `SCMP_ACT_NOTIFY`: an agent at a unix socket (config-linux.md, "Seccomp").

use crate::error::{Error, Result};
use crate::seccomp::Program;
use crate::spec::Seccomp;
use crate::spec::seccomp::Action;
use serde::{Deserialize, Serialize};

/// The agent that the filter's notification descriptor goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// `listenerPath`: the agent's socket on the host.
    pub path: String,
    /// `listenerMetadata`: what the agent is told beside the state; empty is nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub metadata: String,
}

impl Listener {
    /// Decides whether there is one. A path that no rule needs is ignored, as runc does.
    ///
    /// # Errors
    /// A rule notifies and there is no path.
    pub fn decide(profile: &Seccomp, program: &Program) -> Result<Option<Self>> {
        if !program.notifies {
            return Ok(None);
        }
        if profile.listener_path.is_empty() {
            let rule = profile.syscalls.iter().position(|rule| rule.action == Action::Notify);
            let rule = rule.unwrap_or_default();
            return Err(Error::new(format!(
                "linux.seccomp.listenerPath: missing, but syscalls[{rule}] is {}",
                Action::Notify
            )));
        }
        Ok(Some(Self { path: profile.listener_path.clone(), metadata: profile.listener_metadata.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::{Arch, compile};

    fn decided(rest: &str) -> Result<Option<Listener>> {
        let json = format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", {rest}}}"#);
        let profile: Seccomp = serde_json::from_str(&json).unwrap();
        Listener::decide(&profile, &compile(&profile, Arch::X86_64).unwrap().unwrap())
    }

    #[test]
    fn l22_a_rule_that_notifies_needs_a_path_and_a_path_needs_no_rule() {
        let rules = r#""syscalls": [{"names": ["dup"], "action": "SCMP_ACT_LOG"},
            {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]"#;
        let missing = "linux.seccomp.listenerPath: missing, but syscalls[1] is SCMP_ACT_NOTIFY";
        assert_eq!(decided(rules).unwrap_err().to_string(), missing);
        let path = r#""listenerPath": "/run/agent.sock", "listenerMetadata": "m""#;
        let listener = decided(&format!("{path}, {rules}")).unwrap().unwrap();
        assert_eq!((listener.path.as_str(), listener.metadata.as_str()), ("/run/agent.sock", "m"));
        assert_eq!(decided(path), Ok(None));
    }
}
