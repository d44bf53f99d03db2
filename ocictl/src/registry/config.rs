//! Which registries there are and how they are reached: the files of containers-registries.conf(5), version 2, which podman,
//! skopeo and buildah read too. `docs/ocictl.md` says which keys are read.

use crate::error::{Context, Error, Result};
use crate::given;
use crate::reference::{Reference, Short, Typed, check_host};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is searched for short names where no configuration says anything.
const BUILT_IN_SEARCH: &str = "docker.io";
const MAX_BYTES: u64 = 4 << 20;

/// What the files say together.
#[derive(Debug, Clone)]
pub struct Registries {
    /// Registries that are tried for a name without one, in order.
    pub search: Vec<String>,
    /// Where `search` was set; nothing for the built-in list.
    pub search_from: Option<PathBuf>,
    /// Full names of short ones.
    pub aliases: BTreeMap<String, String>,
    /// How single registries, or parts of them, are reached.
    pub registries: Vec<Registry>,
}

/// A `[[registry]]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Registry {
    /// What names it is for: `HOST`, `HOST/PATH` or `*.HOST`; `location` if empty.
    pub prefix: String,
    /// What stands in place of the prefix when the registry is asked.
    pub location: String,
    /// Whether plain HTTP and unverified TLS will do.
    pub insecure: bool,
    /// Whether pulling from it is forbidden.
    pub blocked: bool,
    /// What is asked before it.
    pub mirror: Vec<Mirror>,
}

/// A `[[registry.mirror]]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Mirror {
    /// What stands in place of the prefix.
    pub location: String,
    /// Whether plain HTTP and unverified TLS will do.
    pub insecure: bool,
    /// `all`, `digest-only` or `tag-only`; `all` if empty.
    pub pull_from_mirror: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    registry: Vec<Registry>,
    aliases: BTreeMap<String, String>,
}

/// A place to ask for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The name as it is asked for there.
    pub reference: Reference,
    /// Whether plain HTTP and unverified TLS will do.
    pub insecure: bool,
}

impl Default for Registries {
    fn default() -> Self {
        Self {
            search: vec![BUILT_IN_SEARCH.into()],
            search_from: None,
            aliases: BTreeMap::new(),
            registries: Vec::new(),
        }
    }
}

impl Registries {
    /// Reads `$CONTAINERS_REGISTRIES_CONF` alone if it is set; else the user's file or the system's, and the drop-ins beside both.
    ///
    /// # Errors
    /// Names the file and the place in it that is wrong.
    pub fn load() -> Result<Self> {
        let mut registries = Self::default();
        if let Some(path) = std::env::var_os("CONTAINERS_REGISTRIES_CONF").filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path);
            if !registries.read(&path)? {
                return Err(Error::from_errno(libc::ENOENT)
                    .context(format!("CONTAINERS_REGISTRIES_CONF: {}", path.display())));
            }
            return Ok(registries);
        }
        let system = PathBuf::from("/etc/containers");
        let user = std::env::var_os("XDG_CONFIG_HOME")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .or_else(|| {
                Some(PathBuf::from(std::env::var_os("HOME").filter(|path| !path.is_empty())?).join(".config"))
            })
            .map(|config| config.join("containers"));
        let own = match &user {
            Some(user) => registries.read(&user.join("registries.conf"))?,
            None => false,
        };
        if !own {
            registries.read(&system.join("registries.conf"))?;
        }
        for folder in [Some(system), user].into_iter().flatten() {
            registries.read_drop_ins(&folder.join("registries.conf.d"))?;
        }
        Ok(registries)
    }

    fn read_drop_ins(&mut self, folder: &Path) -> Result<()> {
        let mut files = match std::fs::read_dir(folder) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>(),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error).context(|| format!("list {}", folder.display())),
        };
        files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        files.sort();
        for file in files {
            self.read(&file)?;
        }
        Ok(())
    }

    /// Adds what a file says; `false` if there is no such file.
    fn read(&mut self, path: &Path) -> Result<bool> {
        let place = || format!("{}", path.display());
        let text = match given::text(path, MAX_BYTES) {
            Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(false),
            text => text?,
        };
        self.add(&text, path).context(place)?;
        Ok(true)
    }

    fn add(&mut self, text: &str, path: &Path) -> Result<()> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Error::new(format!("line {line}: {}", error.message()))
        })?;
        if let Some(search) = file.unqualified_search_registries {
            for host in &search {
                check_host(host)
                    .map_err(|why| Error::new(format!("unqualified-search-registries: \"{host}\": {why}")))?;
            }
            self.search = search;
            self.search_from = Some(path.to_owned());
        }
        for mut registry in file.registry {
            if registry.prefix.is_empty() {
                registry.prefix = registry.location.clone();
            }
            if registry.prefix.is_empty() {
                return Err(Error::new("a [[registry]] with neither prefix nor location"));
            }
            if registry.location.is_empty() && !registry.prefix.starts_with("*.") {
                registry.location = registry.prefix.clone();
            }
            for mirror in &registry.mirror {
                if !matches!(mirror.pull_from_mirror.as_str(), "" | "all" | "digest-only" | "tag-only") {
                    return Err(Error::new(format!(
                        "pull-from-mirror: \"{}\" is none of all, digest-only, tag-only",
                        mirror.pull_from_mirror
                    )));
                }
            }
            self.registries.retain(|other| other.prefix != registry.prefix);
            self.registries.push(registry);
        }
        self.aliases.extend(file.aliases);
        Ok(())
    }

    /// The full names that a typed one may mean, in the order to try them.
    ///
    /// # Errors
    /// Fails if the name is malformed, or short and nothing is searched.
    pub fn candidates(&self, text: &str) -> Result<Vec<Reference>> {
        let short = match Typed::parse(text)? {
            Typed::Full(reference) => return Ok(vec![reference]),
            Typed::Short(short) => short,
        };
        if let Some(full) = self.aliases.get(&short.path) {
            let Typed::Full(mut reference) =
                Typed::parse(full).context(|| format!("alias \"{}\"", short.path))?
            else {
                return Err(Error::new(format!("alias \"{}\": \"{full}\" names no registry", short.path)));
            };
            reference.tag = short.tag.clone().or(if short.digest.is_some() { None } else { reference.tag });
            reference.digest = short.digest.clone();
            return Ok(vec![reference]);
        }
        if self.search.is_empty() {
            return Err(Error::new(format!("\"{text}\" names no registry, and none is searched"))
                .hint("name the registry, as in docker.io/library/busybox, or set unqualified-search-registries in registries.conf"));
        }
        Ok(self.search.iter().map(|registry| short.at(registry)).collect())
    }

    /// The names that a short one has locally: those that were made here first, then those of the searched registries.
    pub fn local_candidates(&self, short: &Short) -> Vec<Reference> {
        std::iter::once("localhost")
            .chain(self.search.iter().map(String::as_str))
            .map(|registry| short.at(registry))
            .collect()
    }

    /// Says where a short name was completed, for people who wonder.
    pub fn search_source(&self) -> String {
        match &self.search_from {
            Some(path) => format!("unqualified-search-registries of {}", path.display()),
            None => "built-in; set unqualified-search-registries in registries.conf to change it".into(),
        }
    }

    /// Where to ask for a name, mirrors first, the registry itself last.
    ///
    /// # Errors
    /// Fails if the registry is blocked, or if a location makes no name.
    pub fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>> {
        let name = reference.name();
        let best = self
            .registries
            .iter()
            .filter(|registry| matches_prefix(&registry.prefix, reference))
            .max_by_key(|registry| registry.prefix.len());
        let Some(registry) = best else {
            return Ok(vec![Endpoint { reference: reference.clone(), insecure: false }]);
        };
        if registry.blocked {
            return Err(Error::new(format!(
                "{name}: registry \"{}\" is blocked by registries.conf",
                registry.prefix
            )));
        }
        let at = |location: &str, insecure| -> Result<Endpoint> {
            if location.is_empty() {
                return Ok(Endpoint { reference: reference.clone(), insecure });
            }
            let rest = if registry.prefix.starts_with("*.") {
                &name[reference.registry.len()..]
            } else {
                &name[registry.prefix.len()..]
            };
            let mut other = Reference::parse(&format!("{location}{rest}"))
                .context(|| format!("registries.conf: location \"{location}\""))?;
            (other.tag, other.digest) = (reference.tag.clone(), reference.digest.clone());
            Ok(Endpoint { reference: other, insecure })
        };
        let mut endpoints = Vec::new();
        for mirror in &registry.mirror {
            let wanted = match mirror.pull_from_mirror.as_str() {
                "digest-only" => reference.digest.is_some(),
                "tag-only" => reference.digest.is_none(),
                _ => true,
            };
            if wanted {
                endpoints.push(at(&mirror.location, mirror.insecure)?);
            }
        }
        endpoints.push(at(&registry.location, registry.insecure)?);
        Ok(endpoints)
    }
}

/// A prefix matches whole components: `a.b/data` is not for `a.b/data-evil`.
fn matches_prefix(prefix: &str, reference: &Reference) -> bool {
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = reference.registry.split(':').next().unwrap_or_default();
        return domain.starts_with('.') && host.ends_with(domain);
    }
    reference.name().strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Registries> {
        let mut registries = Registries::default();
        registries.add(text, Path::new("test.conf"))?;
        Ok(registries)
    }

    fn shown(registries: &Registries, name: &str) -> Vec<String> {
        let endpoints = registries.endpoints(&Reference::parse(name).expect(name)).expect(name);
        endpoints
            .iter()
            .map(|endpoint| {
                format!("{}{}", endpoint.reference, if endpoint.insecure { " insecure" } else { "" })
            })
            .collect()
    }

    #[test]
    fn mirrors_come_first_and_prefixes_are_whole_components() {
        let registries = read(
            r#"
            [[registry]]
            location = "a.b/data"
            [[registry.mirror]]
            location = "mirror:5000/x"
            insecure = true
            [[registry.mirror]]
            location = "digests.only"
            pull-from-mirror = "digest-only"
            [[registry]]
            prefix = "*.example.com"
            insecure = true
            [[registry]]
            prefix = "a.b/data/blocked"
            blocked = true
            "#,
        )
        .expect("well-formed");
        assert_eq!(shown(&registries, "a.b/data/img:1"), ["mirror:5000/x/img:1 insecure", "a.b/data/img:1"]);
        assert_eq!(shown(&registries, "a.b/data-evil:1"), ["a.b/data-evil:1"]);
        assert_eq!(shown(&registries, "x.example.com/y"), ["x.example.com/y:latest insecure"]);
        let said = registries
            .endpoints(&Reference::parse("a.b/data/blocked/x").expect("a name"))
            .expect_err("blocked")
            .to_string();
        assert!(said.contains("is blocked"), "{said}");
    }

    #[test]
    fn short_names_are_completed_by_alias_or_search() {
        let registries = read("unqualified-search-registries = [\"q.io\", \"docker.io\"]\n[aliases]\n\"fedora\" = \"r.f.org/fedora\"").expect("well-formed");
        let names = |text: &str| {
            registries.candidates(text).expect(text).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names("fedora:39"), ["r.f.org/fedora:39"]);
        assert_eq!(names("busybox"), ["q.io/busybox:latest", "docker.io/library/busybox:latest"]);
        let none = read("unqualified-search-registries = []").expect("well-formed");
        assert!(none.candidates("busybox").expect_err("none").to_string().contains("none is searched"));
        let said = read("x = [\n").expect_err("malformed").to_string();
        assert!(said.starts_with("line "), "{said}");
    }
}
