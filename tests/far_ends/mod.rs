//! What `tests/interoperation.rs` shows, by subject. The scripts beside are run by the software at the far end.
//!
//! | file | subject |
//! | --- | --- |
//! | `software` | the libraries, how each is installed and started |
//! | `clients` | libraries as clients of a relay |
//! | `by_hand` | curl and openssl, which know no WebSockets, as both ends |
//! | `servers` | libraries as servers that a relay dials |
//! | `options`, `cases` | what the options of `URL_CONFIG` mean, to a relay and to `ws` |

mod by_hand;
mod cases;
mod clients;
mod options;
mod servers;
mod software;
