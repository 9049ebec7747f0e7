//! The fields of a text frame: one JSON object, its fields, and what stands in them.
//!
//! | file | subject |
//! | --- | --- |
//! | `object` | one pass over the JSON object: which field stands where in the text |
//! | `field` | the names of the fields |
//! | `read` | from the JSON text of one field to its value, or to a [`Fault`] |
//! | `fault` | why a text is not taken, in words |
//! | `json`, `depth` | pieces of JSON text, and how deep they are nested |

mod depth;
mod fault;
mod field;
pub(super) mod json;
mod object;
pub(super) mod read;

pub use depth::DEFAULT_MAX_DEPTH;
pub(super) use fault::Fault;
pub(super) use field::Field;
pub(super) use object::Fields;
