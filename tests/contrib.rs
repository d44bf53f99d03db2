//! The configurations of clients in `contrib/`, which users copy and README shows.

use std::fs;
use std::path::Path;

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn readme_shows_each_configuration_word_for_word() {
    let readme = read("README.md");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let indent = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") };
        let block: String = read(&file).lines().map(indent).collect();
        assert!(readme.contains(&block), "{name} is not in README.md as it is:\n{block}");
        assert!(readme.contains(name), "README.md does not say where {name} goes");
    }
}
