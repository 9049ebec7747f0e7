//! The list of cases and the documentation of each case cite the same clauses.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::fs;

use slipstream_conformance::{Case, ModelHarness, cases, shared_cases};

/// Every case of the suite; those for every store twice.
fn all() -> impl Iterator<Item = Case<ModelHarness>> {
    cases().into_iter().chain(shared_cases())
}

/// The documentation of a case begins with its clauses, as in `/// C4, C9: stamps outlive …`.
fn cited(source: &str, case: &str) -> String {
    let (before, _) = source.split_once(&format!("pub async fn {case}<")).unwrap();
    let (_, block) = before.trim_end().rsplit_once("\n\n").unwrap();
    let first = block.lines().next().unwrap();
    first.trim_start_matches("/// ").split_once(':').unwrap().0.to_owned()
}

#[test]
fn each_case_cites_in_its_documentation_what_the_list_says() {
    for case in all() {
        let (topic, name) = case.name.split_once("::").unwrap();
        let path = format!("{}/src/cases/{topic}.rs", env!("CARGO_MANIFEST_DIR"));
        let listed: Vec<String> = case.clauses.iter().map(|clause| format!("{clause:?}")).collect();
        assert_eq!(cited(&fs::read_to_string(path).unwrap(), name), listed.join(", "), "{}", case.name);
    }
}

#[test]
fn every_case_in_the_sources_is_in_the_list() {
    let listed: Vec<&str> = all().map(|case| case.name).collect();
    for file in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/cases")).unwrap() {
        let path = file.unwrap().path();
        if !path.is_file() || path.ends_with("mod.rs") {
            continue;
        }
        let topic = path.file_stem().unwrap().to_str().unwrap();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let Some((name, _)) = line.strip_prefix("pub async fn ").and_then(|rest| rest.split_once('<')) else {
                continue;
            };
            assert!(listed.contains(&format!("{topic}::{name}").as_str()), "{topic}::{name} is not in the list");
        }
    }
}
