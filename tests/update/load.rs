//! A thousand updates of a container that works all the while, a third of them refused.
//!
//! What is asked for is rolled: `SEED=N` rolls the same again, and the seed of a run is in its output.

use crate::limits::{self, NONE, Shown, shown};
use crate::support::{Bundle, skip_on_peer};
use crate::{MIB, update, update_from_stdin};
use serde_json::{Value, json};

const ROUNDS: u32 = 1000;

/// Numbers that look random and follow from the first one.
struct Dice(u64);

impl Dice {
    /// From 0 to one below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// An update in both its forms: options, and a document.
#[derive(Debug, Default)]
struct Asked {
    options: Vec<String>,
    document: Value,
}

impl Asked {
    /// Adds a limit, by its option and by its place in the document.
    fn add(&mut self, option: &str, pointer: [&str; 2], value: u64) {
        let value = if value == NONE { json!(-1) } else { json!(value) };
        self.options.push(format!("--{option}={value}"));
        self.document[pointer[0]][pointer[1]] = value;
    }

    fn add_text(&mut self, option: &str, pointer: [&str; 2], value: &str) {
        self.options.push(format!("--{option}={value}"));
        self.document[pointer[0]][pointer[1]] = json!(value);
    }
}

/// Rolls an update that is valid, and changes what is then to be seen.
fn valid(dice: &mut Dice, limits: &mut Shown, processors: usize) -> Asked {
    let mut asked = Asked { document: json!({}), ..Asked::default() };
    if dice.roll(2) == 0 {
        (limits.memory, limits.swap) = match dice.roll(8) {
            0 => (NONE, NONE),
            _ => {
                let memory = (32 + dice.roll(200)) * MIB;
                (memory, memory + dice.roll(100) * MIB)
            }
        };
        asked.add("memory", ["memory", "limit"], limits.memory);
        asked.add("memory-swap", ["memory", "swap"], limits.swap);
    }
    if dice.roll(4) == 0 {
        let reservation = (1 + dice.roll(30)) * MIB;
        limits.reservation = limits::reservation(reservation);
        asked.add("memory-reservation", ["memory", "reservation"], reservation);
    }
    if dice.roll(2) == 0 {
        let shares = 2 + dice.roll(1000);
        limits.shares = limits::shares(shares);
        asked.add("cpu-share", ["cpu", "shares"], shares);
    }
    if dice.roll(2) == 0 {
        limits.period = 10_000 + dice.roll(400_000);
        limits.quota = if dice.roll(8) == 0 { NONE } else { 5000 + dice.roll(200_000) };
        limits.burst = if limits.quota == NONE { 0 } else { dice.roll(limits.quota) };
        asked.add("cpu-quota", ["cpu", "quota"], limits.quota);
        asked.add("cpu-period", ["cpu", "period"], limits.period);
        asked.add("cpu-burst", ["cpu", "burst"], limits.burst);
    }
    if dice.roll(2) == 0 {
        limits.pids = if dice.roll(8) == 0 { NONE } else { 20 + dice.roll(500) };
        asked.add("pids-limit", ["pids", "limit"], limits.pids);
    }
    if dice.roll(4) == 0 {
        limits.cpus = dice.roll(processors as u64).to_string();
        asked.add_text("cpuset-cpus", ["cpu", "cpus"], &limits.cpus);
    }
    asked
}

/// Makes it one that must be refused: by the command line, by the specification or by the kernel.
fn spoil(dice: &mut Dice, asked: &mut Asked) {
    let wrongs = [
        ("cpuset-cpus", ["cpu", "cpus"], json!("4000")),
        ("cpuset-cpus", ["cpu", "cpus"], json!("one")),
        ("cpuset-mems", ["cpu", "mems"], json!("99")),
        ("cpu-quota", ["cpu", "quota"], json!(1)),
        ("cpu-period", ["cpu", "period"], json!(5_000_000)),
        ("cpu-idle", ["cpu", "idle"], json!(7)),
        ("blkio-weight", ["blockIO", "weight"], json!(5)),
        ("pids-limit", ["pids", "limit"], json!("many")),
        ("memory", ["memory", "limit"], json!("much")),
        ("memory-reservation", ["memory", "reservation"], json!(-7)),
    ];
    let (option, [key, member], value) = &wrongs[dice.roll(wrongs.len() as u64) as usize];
    let flag = format!("--{option}=");
    asked.options.retain(|option| !option.starts_with(&flag));
    asked.options.push(flag + value.to_string().trim_matches('"'));
    asked.document[*key][*member] = value.clone();
}

fn seed() -> u64 {
    std::env::var("SEED").map_or_else(|_| u64::from(std::process::id()), |seed| seed.parse().unwrap())
}

#[test]
fn under_load_the_files_always_show_the_last_valid_update() {
    if skip_on_peer("runc 1.1 leaves a mixture") {
        return;
    }
    let seed = seed();
    println!("SEED={seed}");
    let mut bundle =
        Bundle::sh("while :; do dd if=/dev/zero of=/dev/shm/f bs=64k count=16 2>/dev/null; done");
    bundle.set("/linux/resources/memory", json!({ "limit": 64 * MIB, "swap": 128 * MIB }));
    bundle.set("/linux/resources/cpu", json!({ "shares": 512, "quota": 50_000, "period": 100_000 }));
    bundle.set("/linux/resources/pids", json!({ "limit": 100 }));
    bundle.run_with(&["--detach"]).ok();
    let processors = std::thread::available_parallelism().unwrap().get();
    let (mut dice, mut expected, mut refused, mut documents) = (Dice(seed), shown(&bundle), 0, 0);
    for round in 0..ROUNDS {
        let mut next = expected.clone();
        let mut asked = valid(&mut dice, &mut next, processors);
        let is_invalid = dice.roll(3) == 0;
        if is_invalid {
            spoil(&mut dice, &mut asked);
        }
        let outcome = if dice.roll(3) == 0 {
            documents += 1;
            update_from_stdin(&bundle, &["--resources", "-"], &asked.document.to_string())
        } else {
            update(&bundle, &asked.options.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let about = || format!("round {round} of SEED={seed}: {asked:?}");
        assert_eq!(outcome.code, Some(i32::from(is_invalid)), "{}: {outcome:#?}", about());
        if is_invalid {
            refused += 1;
        } else {
            expected = next;
        }
        assert_eq!(shown(&bundle), expected, "{}", about());
    }
    // A third of each, give or take: the dice have not been idle.
    assert!((200..500).contains(&refused) && (200..500).contains(&documents), "{refused} {documents}");
    assert_eq!(bundle.status(), "running", "it has lived through all of it");
    bundle.kill_and_delete();
}
