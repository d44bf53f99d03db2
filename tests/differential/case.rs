//! One case: a bundle, and in what way it is run.

use super::support::Bundle;

/// Which cgroup file systems the runtimes find: a hybrid machine is neither, and crun refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The hierarchies of v1 alone.
    V1,
    /// A v2 tree alone.
    V2,
}

/// What is looked at: the container's first program, or one of `exec`.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    /// `create`, a look from outside, `start`, a look from inside, `delete`.
    Init,
    /// `run`, for the exit code.
    Run,
    /// `exec` with these options, beside a first program that waits.
    Exec(&'static [&'static str]),
}

/// A bundle under test.
pub struct Case {
    /// Its name in the table of differences.
    pub name: &'static str,
    /// What makes it from the usual bundle.
    pub edit: Box<dyn Fn(&mut Bundle) + Send + Sync>,
    /// A piece of the text of `config.json` and what takes its place: for what no value can say.
    pub text: Option<(&'static str, &'static str)>,
    /// Shell for the host, in the private mount namespace in which `create` is then called.
    pub before: &'static str,
    /// Shell for the container, after what every container is asked.
    pub more: &'static str,
    /// Options of unshare(1) for a process whose namespaces are joined: `HOLDER` in `config.json` is its pid.
    pub holder: Option<&'static [&'static str]>,
    /// Whether an ordinary user calls the runtime.
    pub by_user: bool,
    /// The cgroup file systems.
    pub view: View,
    /// What is looked at.
    pub way: Way,
}

/// A case on v1, by root, whose first program is looked at.
pub fn case(name: &'static str, edit: impl Fn(&mut Bundle) + Send + Sync + 'static) -> Case {
    Case {
        name,
        edit: Box::new(edit),
        text: None,
        before: "",
        more: "",
        holder: None,
        by_user: false,
        view: View::V1,
        way: Way::Init,
    }
}

impl Case {
    /// The same with another text for a piece of `config.json`.
    pub fn text(mut self, from: &'static str, to: &'static str) -> Self {
        self.text = Some((from, to));
        self
    }

    /// The same after some shell on the host.
    pub fn before(mut self, script: &'static str) -> Self {
        self.before = script;
        self
    }

    /// The same with more to look at inside.
    pub fn more(mut self, script: &'static str) -> Self {
        self.more = script;
        self
    }

    /// The same with a process whose namespaces can be joined.
    pub fn holder(mut self, options: &'static [&'static str]) -> Self {
        self.holder = Some(options);
        self
    }

    /// The same by an ordinary user.
    pub fn by_user(mut self) -> Self {
        self.by_user = true;
        self
    }

    /// The same on a v2 tree.
    pub fn on_v2(mut self) -> Self {
        self.view = View::V2;
        self
    }

    /// The same in another way.
    pub fn way(mut self, way: Way) -> Self {
        self.way = way;
        self
    }
}
