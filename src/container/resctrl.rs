//! The container's class of service below resctrl: made, written, joined, removed.
//!
//! Documentation/filesystems/resctrl.rst. Whatever the kernel refuses it explains in `info/last_cmd_status`.

mod change;
mod stats;

pub use change::Change;
pub use stats::Stats;

use crate::error::{Context, Error, Result};
use crate::plan::Place;
use crate::plan::resctrl::{PLACE, Presence, Resctrl, agrees};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use std::path::{Path, PathBuf};

/// The class on this machine. Dropped, what was made of it is removed again, unless it was committed.
#[derive(Debug)]
pub struct Group {
    plan: Resctrl,
    root: PathBuf,
    class: PathBuf,
    monitoring: Option<PathBuf>,
    /// Whether the class was there before us.
    found: bool,
    made: Vec<PathBuf>,
}

impl Group {
    /// Finds resctrl, and the class if it is there; nothing is made yet.
    ///
    /// # Errors
    /// No resctrl is mounted; a class that must be there is not, or does not say what is asked for.
    pub fn find(plan: &Resctrl) -> Result<Self> {
        let table = std::fs::read_to_string("/proc/self/mountinfo").context(|| "/proc/self/mountinfo")?;
        let Some(root) = mount_point(&table) else {
            let error = Error::new("no resctrl is mounted").context(PLACE.to_string());
            return Err(error.hint("mount -t resctrl resctrl /sys/fs/resctrl, if this processor has it"));
        };
        Self::below(Path::new(root), plan)
    }

    fn below(root: &Path, plan: &Resctrl) -> Result<Self> {
        let class = root.join(&plan.class);
        let monitoring = plan.monitoring.as_ref().map(|name| class.join("mon_groups").join(name));
        let found = match rustix::fs::stat(&class) {
            Ok(_) => true,
            Err(Errno::NOENT) => false,
            Err(errno) => return Err(Error::from(errno).context(format!("{PLACE}: {}", class.display()))),
        };
        if !found && plan.presence == Presence::Required {
            let what = format!("{} does not exist, and no schema is given to make it by", class.display());
            return Err(Error::new(what).context("linux.intelRdt.closID"));
        }
        let group =
            Self { plan: plan.clone(), root: root.to_owned(), class, monitoring, found, made: Vec::new() };
        if found {
            group.compare()?;
        }
        Ok(group)
    }

    /// The directories that the container's deletion removes, inner ones first: for the record, before they are made. A
    /// class that is named stays, as the specification asks.
    pub fn removed_with_container(&self) -> Vec<String> {
        let own = (self.plan.presence == Presence::Own && !self.found).then_some(&self.class);
        self.monitoring.iter().chain(own).map(|path| path.to_string_lossy().into_owned()).collect()
    }

    /// The directories that the container's processes are in.
    pub fn directories(&self) -> Vec<String> {
        let all = std::iter::once(&self.class).chain(&self.monitoring);
        all.map(|path| path.to_string_lossy().into_owned()).collect()
    }

    /// Makes the directories.
    ///
    /// # Errors
    /// No class or monitoring group is left; a monitoring group of that name exists.
    pub fn make(&mut self) -> Result<()> {
        if !self.found {
            make(&self.class, &PLACE).map_err(|error| self.explained(error))?;
            self.made.push(self.class.clone());
        }
        if let Some(monitoring) = self.monitoring.clone() {
            let place = Place::property("linux.intelRdt.enableMonitoring");
            make(&monitoring, &place).map_err(|error| self.explained(error))?;
            self.made.push(monitoring);
        }
        Ok(())
    }

    /// Writes the schemata, line by line in the order of the plan.
    ///
    /// # Errors
    /// A line that the processor cannot do, with the kernel's words.
    pub fn write_schemata(&self) -> Result<()> {
        if self.plan.schemata.is_empty() {
            return Ok(());
        }
        let path = self.class.join("schemata");
        let file = open(&path).context(|| format!("{PLACE}: {}", path.display()))?;
        for (place, line) in &self.plan.schemata {
            rustix::io::retry_on_intr(|| rustix::io::write(&file, format!("{line}\n").as_bytes()))
                .context(|| format!("{place}: write {line:?} to {}", path.display()))
                .map_err(|error| self.explained(error))?;
        }
        Ok(())
    }

    /// The same at the directories that a container is in already.
    fn at(mut self, class: &str, monitoring: Option<&String>) -> Self {
        (self.class, self.monitoring, self.found) = (class.into(), monitoring.map(PathBuf::from), true);
        self
    }

    /// The lines that the class has now for what the plan's lines are about.
    fn current(&self) -> Result<Vec<String>> {
        let path = self.class.join("schemata");
        let text = std::fs::read_to_string(&path).context(|| format!("{PLACE}: {}", path.display()))?;
        let resource = |line: &str| line.trim().split(':').next().unwrap_or_default().to_owned();
        let asked: Vec<String> = self.plan.schemata.iter().map(|(_, line)| resource(line)).collect();
        let lines = text.lines().filter(|line| asked.contains(&resource(line)));
        Ok(lines.map(|line| line.trim().to_owned()).collect())
    }

    /// Writes lines that were there before.
    fn put_back(&self, lines: &[String]) -> Result<()> {
        let file = open(&self.class.join("schemata")).context(|| PLACE.to_string())?;
        for line in lines {
            rustix::io::retry_on_intr(|| rustix::io::write(&file, format!("{line}\n").as_bytes()))
                .context(|| PLACE.to_string())?;
        }
        Ok(())
    }

    /// Puts init into the class and into its monitoring group.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn attach(&self, init: Pid) -> Result<()> {
        attach(&self.directories(), init).map_err(|error| self.explained(error))
    }

    /// Keeps what was made.
    pub fn commit(mut self) {
        self.made.clear();
    }

    /// Whether the class that was found says what is asked for.
    fn compare(&self) -> Result<()> {
        let step = std::fs::read_to_string(self.root.join("info/MB/bandwidth_gran"));
        let step = step.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1);
        let path = self.class.join("schemata");
        let mut text = None;
        for (place, line) in self.plan.agreed() {
            let text = match &mut text {
                Some(text) => text,
                none => none.insert(
                    std::fs::read_to_string(&path).context(|| format!("{place}: {}", path.display()))?,
                ),
            };
            if !agrees(line, text, step) {
                let what = format!("{line:?} is not what {} says", path.display());
                return Err(Error::new(what).context(place.to_string()));
            }
        }
        Ok(())
    }

    /// The kernel's own words for what it has just refused.
    fn explained(&self, error: Error) -> Error {
        let words = std::fs::read_to_string(self.root.join("info/last_cmd_status")).unwrap_or_default();
        match words.trim() {
            "" | "ok" => error,
            words => error.hint(format!("resctrl: {words}")),
        }
    }
}

/// Puts a process into a class and its monitoring group, by their directories.
///
/// # Errors
/// What the kernel refuses.
pub fn attach(directories: &[String], pid: Pid) -> Result<()> {
    for directory in directories {
        let path = Path::new(directory).join("tasks");
        let write = || -> rustix::io::Result<()> {
            let file = open(&path)?;
            let pid = pid.as_raw_nonzero().to_string();
            rustix::io::retry_on_intr(|| rustix::io::write(&file, pid.as_bytes())).map(drop)
        };
        write().context(|| format!("{PLACE}: put the process into {}", path.display()))?;
    }
    Ok(())
}

impl Drop for Group {
    /// Best effort: the error that led here is the one to report, and `delete` can try again.
    fn drop(&mut self) {
        for path in self.made.iter().rev() {
            let _can_be_deleted = rustix::fs::rmdir(path);
        }
    }
}

/// Removes the directories on record; one that is gone is fine. The kernel moves what runs in them to the default class.
///
/// # Errors
/// One that cannot be removed.
pub fn remove(directories: &[String]) -> Result<()> {
    for path in directories {
        match rustix::fs::rmdir(path.as_str()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::from(errno).context(format!("remove {path}"))),
        }
    }
    Ok(())
}

/// Where resctrl is mounted: the fifth field of proc_pid_mountinfo(5). A path with escapes is nobody's resctrl.
fn mount_point(table: &str) -> Option<&str> {
    table.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        (right.split(' ').next()? == "resctrl").then(|| left.split(' ').nth(4))?
    })
}

fn make(path: &Path, place: &Place) -> Result<()> {
    rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)).map_err(|errno| {
        let error = Error::from(errno).context(format!("{place}: make {}", path.display()));
        if errno == Errno::NOSPC { error.hint("the processor has no more of them") } else { error }
    })
}

fn open(path: &Path) -> rustix::io::Result<rustix::fd::OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
}

/// There is no such processor where these tests run: the tree is a fake one, in which a test does the kernel's part and
/// fills new directories.
#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    pub(super) struct Fake(PathBuf);

    impl Fake {
        pub(super) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("cortentest-rdt-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("info/MB")).unwrap();
            fs::write(path.join("info/MB/bandwidth_gran"), "10\n").unwrap();
            fs::write(path.join("info/last_cmd_status"), "ok\n").unwrap();
            let fake = Self(path);
            fake.fill("");
            fake
        }

        /// What the kernel puts into a new class.
        pub(super) fn fill(&self, class: &str) {
            fs::create_dir_all(self.0.join(class).join("mon_groups")).unwrap();
            fs::write(self.0.join(class).join("tasks"), "").unwrap();
            fs::write(self.0.join(class).join("schemata"), "").unwrap();
        }

        /// What it takes away when that is removed.
        fn empty(&self, class: &str) {
            fs::remove_dir(self.0.join(class).join("mon_groups")).unwrap();
            fs::remove_file(self.0.join(class).join("tasks")).unwrap();
            fs::remove_file(self.0.join(class).join("schemata")).unwrap();
        }

        pub(super) fn root(&self) -> &Path {
            &self.0
        }

        pub(super) fn write(&self, file: &str, text: &str) {
            fs::write(self.0.join(file), text).unwrap();
        }

        pub(super) fn read(&self, file: &str) -> String {
            fs::read_to_string(self.0.join(file)).unwrap()
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    pub(super) fn plan(json: &str) -> Resctrl {
        Resctrl::decide(&serde_json::from_str(json).unwrap(), "web1")
    }

    fn init() -> Pid {
        Pid::from_raw(4242).unwrap()
    }

    #[test]
    fn l18_own_class_is_made_written_joined_and_removed() {
        let fake = Fake::new("own");
        let plan = plan(r#"{"schemata": ["L2:0=f"], "memBwSchema": "MB:0=20", "l3CacheSchema": "L3:0=7f0"}"#);
        let mut group = Group::below(&fake.0, &plan).unwrap();
        let record = group.removed_with_container();
        assert_eq!(record, [fake.0.join("web1").to_str().unwrap()]);
        group.make().unwrap();
        fake.fill("web1");
        group.write_schemata().unwrap();
        group.attach(init()).unwrap();
        group.commit();
        assert_eq!(fake.read("web1/schemata"), "L3:0=7f0\nMB:0=20\nL2:0=f\n");
        assert_eq!((fake.read("web1/tasks"), fake.read("tasks")), ("4242".into(), String::new()));
        fake.empty("web1");
        remove(&record).unwrap();
        assert!(!fake.0.join("web1").exists());
        remove(&record).unwrap();
    }

    #[test]
    fn l18_class_that_was_there_is_joined_and_stays() {
        let fake = Fake::new("found");
        fs::create_dir(fake.0.join("gold")).unwrap();
        fake.fill("gold");
        let plan = plan(r#"{"closID": "gold", "enableMonitoring": true}"#);
        let mut group = Group::below(&fake.0, &plan).unwrap();
        assert_eq!(
            group.removed_with_container(),
            [fake.0.join("gold/mon_groups/web1").to_str().unwrap()],
            "the monitoring group alone"
        );
        group.make().unwrap();
        fs::write(fake.0.join("gold/mon_groups/web1/tasks"), "").unwrap();
        group.attach(init()).unwrap();
        assert_eq!(
            (fake.read("gold/tasks"), fake.read("gold/mon_groups/web1/tasks"), fake.read("gold/schemata")),
            ("4242".into(), "4242".into(), String::new())
        );
        fs::remove_file(fake.0.join("gold/mon_groups/web1/tasks")).unwrap();
        drop(group);
        assert!(!fake.0.join("gold/mon_groups/web1").exists(), "undone");
        assert!(fake.0.join("gold").exists(), "not ours");
    }

    #[test]
    fn l18_named_class_is_made_by_its_schema_and_undone_but_never_deleted() {
        let fake = Fake::new("named");
        let plan = plan(r#"{"closID": "gold", "l3CacheSchema": "L3:0=f"}"#);
        let mut group = Group::below(&fake.0, &plan).unwrap();
        group.make().unwrap();
        assert_eq!(group.removed_with_container(), [""; 0]);
        assert!(fake.0.join("gold").exists());
        drop(group);
        assert!(!fake.0.join("gold").exists(), "a failed create leaves nothing");
    }

    #[test]
    fn l18_default_class_is_resctrl_itself() {
        let fake = Fake::new("default");
        let plan = plan(r#"{"closID": "/"}"#);
        let mut group = Group::below(&fake.0, &plan).unwrap();
        group.make().unwrap();
        group.attach(init()).unwrap();
        assert_eq!((group.removed_with_container(), fake.read("tasks")), (Vec::new(), "4242".into()));
    }

    #[test]
    fn l18_errors_name_the_place() {
        let fake = Fake::new("errors");
        let root = fake.0.display();
        fs::create_dir(fake.0.join("gold")).unwrap();
        fake.fill("gold");
        fs::write(fake.0.join("gold/schemata"), "    L3:0=ff\n    MB:0=20\n").unwrap();
        let error = |json: &str| Group::below(&fake.0, &plan(json)).unwrap_err().to_string();
        assert_eq!(
            error(r#"{"closID": "lead"}"#),
            format!(
                "linux.intelRdt.closID: {root}/lead does not exist, and no schema is given to make it by"
            )
        );
        assert_eq!(
            error(r#"{"closID": "gold", "l3CacheSchema": "L3:0=f"}"#),
            format!("linux.intelRdt.l3CacheSchema: \"L3:0=f\" is not what {root}/gold/schemata says")
        );
        assert_eq!(
            error(r#"{"closID": "gold", "l3CacheSchema": "L3:0=ff", "memBwSchema": "MB:0=30"}"#),
            format!("linux.intelRdt.memBwSchema: \"MB:0=30\" is not what {root}/gold/schemata says")
        );
        // What the kernel rounds up to 20 agrees.
        let plan = plan(r#"{"closID": "gold", "memBwSchema": "MB:0=15", "enableMonitoring": true}"#);
        let mut group = Group::below(&fake.0, &plan).unwrap();
        fs::create_dir(fake.0.join("gold/mon_groups/web1")).unwrap();
        fs::write(fake.0.join("info/last_cmd_status"), "the kernel's words\n").unwrap();
        let error = group.make().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("linux.intelRdt.enableMonitoring: make {root}/gold/mon_groups/web1: file exists")
        );
        assert_eq!(error.hint_text(), Some("resctrl: the kernel's words"));
        fs::remove_file(fake.0.join("gold/schemata")).unwrap();
        let error = group.write_schemata().unwrap_err().to_string();
        assert_eq!(error, format!("linux.intelRdt: {root}/gold/schemata: missing"));
    }

    #[test]
    fn l18_resctrl_is_where_the_mount_table_says() {
        let table =
            "22 1 0:20 / / rw - ext4 /dev/vda rw\n40 22 0:35 / /mnt/rdt rw shared:9 - resctrl none rw\n";
        assert_eq!(mount_point(table), Some("/mnt/rdt"));
        assert_eq!(mount_point("22 1 0:20 / /resctrl rw - ext4 resctrl rw\n"), None);
    }
}
