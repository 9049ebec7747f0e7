#!/usr/bin/env python3
"""Breaks the relay itself, one place at a time, and has the simulation catch each break.

    tests/simulation/mutants.py            # all of them, some minutes
    tests/simulation/mutants.py NAME ...   # some of them

It works on a copy of the tree in the target folder's mutants, with a build of its own, in which every mutant waits for its
name in SLIPSTREAM_MUTANT. What the build of the tests has made of other projects' packages is copied. `bites.rs` breaks what a relay stands on (its store, its streams, its disk); this breaks what stands in
relay/src/relay. A mutant whose line has changed is an error: adapt it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
TREE = TARGET / "mutants" / "tree"
BUILD = TARGET / "mutants" / "build"

# How many seeds a mutant is tried with.
SEEDS = 8

# Longest that one build or run may take, in seconds.
PATIENCE = 900


class Mutant(NamedTuple):
    """A break: in `file`, `right` stands once and becomes `wrong`, which is wrong where MUTANT is true; `test` then finds
    one of `invariants` broken."""

    name: str
    file: str
    right: str
    wrong: str
    test: str
    invariants: tuple[str, ...]
    # The one seed that it is tried with, if few show it.
    seed: int | None = None


MOODY = "one_relay_holds_with_moody_applications_through_faults"
FAULTS = "one_relay_holds_through_faults"
TRIANGLE = "a_triangle_holds_through_faults"
CLUSTER = "processes_that_share_a_store_hold_with_moody_applications_through_faults"

MUTANTS = [
    Mutant(
        "confirms what the store refused",
        "relay/src/relay/committer/finish.rs",
        "error.to_string(), &record.identity);\n                    self.turn_away(record, arrival, refusal, &mut answers);",
        "error.to_string(), &record.identity);\n                    if MUTANT { answers.give(arrival.reply, Answer::Confirm(record.identity.clone())); }"
        " else { self.turn_away(record, arrival, refusal, &mut answers); }",
        FAULTS,
        ("what is confirmed is kept",),
    ),
    Mutant(
        "records and does not forward",
        "relay/src/relay/committer/finish.rs",
        "self.dispatcher.forward(finishing.commit, &route.recipients, &finishing.forwards);",
        "if !MUTANT { self.dispatcher.forward(finishing.commit, &route.recipients, &finishing.forwards); }",
        FAULTS,
        ("everything settles",),
    ),
    Mutant(
        "does not send again what is not acknowledged",
        "relay/src/relay/dispatcher/sending.rs",
        "self.link.in_flight.send_again(sequence, true);",
        "if !MUTANT { self.link.in_flight.send_again(sequence, true); }",
        MOODY,
        ("everything settles",),
    ),
    Mutant(
        "gives up at the first silence",
        "relay/src/relay/dispatcher/sending.rs",
        "if attempts >= rules.max_republishes {",
        "if (attempts >= rules.max_republishes) != MUTANT {",
        MOODY,
        ("only what is given up dies",),
    ),
    Mutant(
        "supersedes what other keys set",
        "relay/src/relay/dispatcher/in_flight.rs",
        ".filter(|delivery| delivery.metadata.sets.as_ref() == Some(key))",
        ".filter(|delivery| delivery.metadata.sets.as_ref() == Some(key) || MUTANT && delivery.metadata.sets.is_some())",
        MOODY,
        ("only newer values supersede",),
    ),
    Mutant(
        "sends an older value again after a newer one",
        "relay/src/relay/dispatcher/in_flight.rs",
        "if has_newer {",
        "if has_newer && !MUTANT {",
        "values_never_go_backwards",
        ("values come in order", "the newest value is handled last"),
    ),
    Mutant(
        "does not note that it fell behind",
        "relay/src/relay/dispatcher/link_state.rs",
        "self.behind = true;\n        self.skips += 1;",
        "if !MUTANT { self.behind = true; self.skips += 1; }",
        FAULTS,
        ("everything settles", "deliveries come in order"),
    ),
    Mutant(
        "leaves itself out of the path",
        "relay/src/relay/links/intake.rs",
        "envelope.outgoing_path(&self.sender.id, relay)",
        "envelope.outgoing_path(&self.sender.id, if MUTANT { &self.sender.id } else { relay })",
        TRIANGLE,
        ("paths are real",),
    ),
    Mutant(
        "routes by any roster",
        "relay/src/relay/committer/batch.rs",
        "Batch { operations, routed_by }",
        "Batch { operations, routed_by: routed_by.filter(|_| !MUTANT) }",
        "processes_that_share_a_store_hold_through_faults",
        ("what is confirmed is owed or settled", "nothing is missing"),
        seed=105,
    ),
    Mutant(
        "hands on what it recorded before what others recorded",
        "relay/src/relay/committer/retry.rs",
        "self.dispatcher.read_on(&shared.interleaved());",
        "if !MUTANT { self.dispatcher.read_on(&shared.interleaved()); }",
        CLUSTER,
        ("everything settles", "deliveries come in order", "values never go back"),
    ),
]


def copy_tree() -> Path:
    """A copy of the files that git knows of or would take, those that have not changed left alone."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    ).stdout
    names = {name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()}
    for name in names:
        source, target = ROOT / name, TREE / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for left in [path for path in TREE.rglob("*") if path.is_file() and str(path.relative_to(TREE)) not in names]:
        left.unlink()
    return TREE


def copy_dependencies() -> None:
    """Copies what the tests' build has of packages that are not of this workspace. The times stay, by which cargo knows that
    they are up to date; where it does not, it builds them."""
    for folder in (".fingerprint", "build", "deps"):
        source, target = TARGET / "debug" / folder, BUILD / "debug" / folder
        target.mkdir(parents=True, exist_ok=True)
        for entry in source.iterdir() if source.is_dir() else ():
            copy = target / entry.name
            if copy.exists() or entry.name.removeprefix("lib").startswith("slipstream"):
                continue
            if entry.is_dir():
                shutil.copytree(entry, copy)
            elif entry.suffix in (".rlib", ".rmeta", ".so", ".d"):
                shutil.copy2(entry, copy)


def plant(mutants: list[Mutant], tree: Path) -> list[str]:
    """Puts the mutants into the copy of the tree; says which cannot be, and why."""
    misplaced = []
    for mutant in mutants:
        path = tree / mutant.file
        text = path.read_text()
        if text.count(mutant.right) != 1:
            misplaced.append(f"{mutant.file} has {text.count(mutant.right)} times, expected once: {mutant.right}")
        is_on = f'std::env::var("SLIPSTREAM_MUTANT").is_ok_and(|name| name == "{mutant.name}")'
        path.write_text(text.replace(mutant.right, mutant.wrong.replace("MUTANT", is_on)))
    return misplaced


def simulate(tree: Path, mutant: str, tests: list[str], seed: int | None = None) -> subprocess.CompletedProcess:
    environment = os.environ | {
        "CARGO_TARGET_DIR": str(BUILD), "SLIPSTREAM_SIM_SEEDS": str(SEEDS), "SLIPSTREAM_MUTANT": mutant,
    }
    if seed is not None:
        environment["SLIPSTREAM_SIM_SEED"] = str(seed)
    command = ["cargo", "test", "--locked", "--workspace", "--all-features", "--test", "simulation", "--", *tests]
    return subprocess.run(
        command, cwd=tree, env=environment, timeout=PATIENCE, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def verdict(mutant: Mutant, tree: Path) -> str | None:
    """What is wrong; nothing where the mutant was caught by an invariant that is meant for it."""
    ran = simulate(tree, mutant.name, [mutant.test], mutant.seed)
    broken = re.findall(r"^broken: ([^:]+):", ran.stdout, re.MULTILINE)
    if any(invariant in mutant.invariants for invariant in broken):
        return None
    return f"expected {mutant.invariants} to be broken, got {broken} from {mutant.test}:\n{ran.stdout[-2000:]}"


def main(names: list[str]) -> int:
    unknown = set(names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        print(f"no such mutants: {sorted(unknown)}; there are {[mutant.name for mutant in MUTANTS]}", file=sys.stderr)
        return 2
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    tree, escaped = copy_tree(), 0
    copy_dependencies()
    misplaced = plant(chosen, tree)
    if misplaced:
        print("\n".join(misplaced), file=sys.stderr)
        return 1
    right = simulate(tree, "", sorted({mutant.test for mutant in chosen}))
    if right.returncode != 0:
        print(f"without a mutant it does not build, or does not hold:\n{right.stdout}", file=sys.stderr)
        return 1
    for mutant in chosen:
        wrong = verdict(mutant, tree)
        escaped += wrong is not None
        print(f"{'ESCAPED' if wrong else 'caught '}  {mutant.name}" + (f"\n{wrong}" if wrong else ""), flush=True)
    return int(escaped > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
