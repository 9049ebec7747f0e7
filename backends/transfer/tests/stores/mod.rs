//! Stores of which what they hold is moved.
#![allow(dead_code, unused_imports, reason = "each test program uses its part")]

pub(crate) mod postgres;
pub(crate) mod sqlite;
pub(crate) mod view;
