//! Every property, held against its seeds and what becomes of them when they are changed at random. The fuzz targets do
//! the same for hours; an input that they find becomes a seed.

#![cfg(test)]

mod seeds;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use slipstream_properties::{ALL, Property};

use seeds::{Change, Seeds};

/// How many changed seeds a property is held against, unless `SLIPSTREAM_PROPERTY_CASES` says otherwise.
const CASES: u32 = 256;

/// Most changes of one seed.
const MOST_CHANGES: usize = 8;

fn property(name: &str) -> Property {
    *ALL.iter().find(|property| property.name == name).expect("a property of this name")
}

fn holds(name: &str) {
    let (Property { holds, .. }, seeds) = (property(name), Seeds::of(name));
    for (path, seed) in seeds.all() {
        eprintln!("{}", path.display());
        holds(seed);
    }
    let cases = std::env::var("SLIPSTREAM_PROPERTY_CASES").ok();
    let cases = cases.map_or(CASES, |cases| cases.parse().expect("a number"));
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let changed = (any::<prop::sample::Index>(), prop::collection::vec(Change::any(), 0..MOST_CHANGES));
    let held = runner.run(&changed, |(seed, changes)| {
        holds(&seeds.changed(seed, &changes));
        Ok(())
    });
    held.unwrap_or_else(|failed| panic!("{failed}\nthe input, in bytes: {}", seeds.told(&failed)));
}

macro_rules! held {
    ($($name:ident),+) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })+

        const HELD: &[&str] = &[$(stringify!($name)),+];
    };
}

held!(answer, auth_file, envelope, frames, handshake, ledger, pem, proxy_header, rows, url_config);

#[test]
fn every_property_is_held_and_has_a_target_that_drives_it() {
    assert_eq!(ALL.map(|property| property.name), *HELD);
    for Property { name, .. } in ALL {
        let path = seeds::folder().join(format!("fuzz_targets/{name}.rs"));
        let target = std::fs::read_to_string(&path).expect("a target");
        assert!(target.contains(&format!("slipstream_properties::{name}(input)")), "{}", path.display());
    }
    let targets = std::fs::read_dir(seeds::folder().join("fuzz_targets")).expect("targets");
    assert_eq!(targets.count(), ALL.len());
}
