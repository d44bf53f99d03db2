//! Puts the commit that is built into the program, for `version`.

#[path = "../build/commit.rs"]
mod commit;

fn main() {
    commit::tell();
    println!("cargo:rerun-if-changed=../build/commit.rs");
}
