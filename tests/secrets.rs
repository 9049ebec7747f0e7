//! Everything that the program prints or answers while secrets are all around it, right and wrong: none of them stands in
//! any of it, nor its base64, nor a part of it.

#![cfg(test)]

mod hush;
mod support;
