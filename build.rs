//! Puts the commit that is built into the binary, for `--version`, and leaves out of the static one what nobody reads.

#[path = "build/commit.rs"]
mod commit;

fn main() {
    commit::tell();
    println!("cargo:rerun-if-changed=build/commit.rs");
    println!("cargo:rerun-if-changed=link.ld");
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|environment| environment == "musl") {
        let directory = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{directory}/link.ld");
    }
}
