//! Names for containers that nobody named: a quality and somebody who moved computing on.

/// Qualities.
const QUALITIES: [&str; 72] = [
    "able", "agile", "amber", "ample", "apt", "balmy", "bold", "brave", "breezy", "bright", "brisk", "calm",
    "candid", "cheery", "clear", "clever", "cosy", "crisp", "curious", "daring", "deft", "eager", "earnest",
    "easy", "fair", "fond", "frank", "fresh", "gentle", "glad", "golden", "good", "grand", "handy", "hardy",
    "honest", "humble", "jolly", "keen", "kind", "lively", "loyal", "lucid", "lucky", "mellow", "merry",
    "mighty", "modest", "neat", "nimble", "noble", "patient", "plain", "plucky", "polite", "proud", "quick",
    "quiet", "ready", "robust", "serene", "sharp", "smart", "snug", "solid", "spry", "sturdy", "sunny",
    "swift", "tidy", "warm", "wise",
];

/// Surnames.
const PEOPLE: [&str; 72] = [
    "allen",
    "babbage",
    "backus",
    "bartik",
    "berners",
    "blum",
    "boole",
    "brooks",
    "cerf",
    "church",
    "clarke",
    "cocke",
    "codd",
    "conway",
    "cook",
    "cray",
    "dahl",
    "diffie",
    "dijkstra",
    "easley",
    "eckert",
    "engelbart",
    "erdos",
    "estrin",
    "euler",
    "feinler",
    "floyd",
    "gauss",
    "goedel",
    "goldberg",
    "granville",
    "hamming",
    "hellman",
    "hilbert",
    "hoare",
    "holberton",
    "hopper",
    "iverson",
    "jacobson",
    "johnson",
    "karp",
    "kay",
    "kernighan",
    "knuth",
    "lamarr",
    "lamport",
    "liskov",
    "lovelace",
    "mauchly",
    "mcbride",
    "mccarthy",
    "meltzer",
    "milner",
    "minsky",
    "naur",
    "noether",
    "papert",
    "perlman",
    "perlis",
    "postel",
    "rabin",
    "ritchie",
    "rivest",
    "shamir",
    "shannon",
    "spence",
    "sutherland",
    "tarjan",
    "thompson",
    "turing",
    "wilkes",
    "wirth",
];

/// A name from a random number.
pub fn from(random: u64) -> String {
    let (qualities, people) = (QUALITIES.len() as u64, PEOPLE.len() as u64);
    let pick = |list: &[&'static str], index: u64| list[usize::try_from(index).unwrap_or(0) % list.len()];
    format!("{}_{}", pick(&QUALITIES, random % qualities), pick(&PEOPLE, random / qualities % people))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_with_a_line_between() {
        assert_eq!(from(0), "able_allen");
        assert_eq!(from(73), "agile_babbage");
        for name in QUALITIES.iter().chain(&PEOPLE) {
            assert!(name.bytes().all(|letter| letter.is_ascii_lowercase()), "{name}");
        }
    }
}
