//! TLS with real sockets, and certificates that openssl makes here (OPERATING: "SLIPSTREAM_TLS_CERT" and so on).

#![cfg(test)]

mod over_tls;
mod support;
