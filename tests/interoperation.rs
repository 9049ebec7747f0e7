//! Other software at the far end of a link with mutual TLS: libraries and tools as clients of a relay, and as servers that
//! a relay dials. The tables stand in `docs/client-libraries.md`, and the tests go by them.
//!
//! They want node with npm, python3 with venv, Java, openssl and curl; the libraries are installed under the target
//! folder at the first run.

#![cfg(test)]

mod far_ends;
mod support;
