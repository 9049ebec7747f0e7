//! What the guide for authors quotes stands in the example.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The lines of a text without their indentation, as one text.
fn unindented<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(str::trim).filter(|line| !line.is_empty()).fold(String::new(), |text, line| text + line + "\n")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() && !path.ends_with("target") => rust_files(&path),
            Some(ending) if ending == "rs" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

#[test]
fn what_the_guide_quotes_stands_in_the_example() {
    let guide = fs::read_to_string(format!("{ROOT}/docs/writing-a-store.md")).unwrap();
    let example = rust_files(Path::new(&format!("{ROOT}/examples/journal-store")));
    let example: Vec<String> =
        example.iter().map(|path| unindented(fs::read_to_string(path).unwrap().lines())).collect();
    let quotes: Vec<&str> =
        guide.split("```rust,ignore\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(quotes.len() >= 5, "the guide quotes the example {} times", quotes.len());
    for quote in quotes {
        let wanted = unindented(quote.lines());
        assert!(example.iter().any(|file| file.contains(&wanted)), "no file of the example has this:\n{quote}");
    }
}
