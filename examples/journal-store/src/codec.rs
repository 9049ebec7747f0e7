//! How values become bytes and bytes become values.
//!
//! Numbers are little-endian, texts and lists stand behind their length, and the parts of a value follow each other in
//! the order that stands here. Whoever changes any of it raises `frame::FORMAT`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use slipstream_store::{
    Batch, ClusterGroup, DeadLetterReason, Fingerprint, Identity, Key, MessageId, MessageType, Operation, Peer, PeerId,
    Record, Result, Route, Sequence, Stamp, StoreError, Tag, Timestamp,
};
use ulid::Ulid;

/// A value that can stand in the journal.
pub(crate) trait Encode: Sized {
    /// Appends the value; `Unsupported` for one of a later version of the contract.
    fn encode(&self, out: &mut Vec<u8>) -> Result<()>;

    /// Takes the value from the front; `Corrupted` where it does not stand there.
    fn decode(input: &mut &[u8]) -> Result<Self>;
}

/// What is wrong where the bytes are no value of this kind.
pub(crate) fn not_a(what: &str) -> StoreError {
    StoreError::Corrupted(format!("expected a {what} in a frame, found something else"))
}

fn take<'a>(input: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    input.split_off(..length).ok_or_else(|| not_a("longer value"))
}

macro_rules! numbers {
    ($($number:ty)+) => {
        $(impl Encode for $number {
            fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
                out.extend_from_slice(&self.to_le_bytes());
                Ok(())
            }

            fn decode(input: &mut &[u8]) -> Result<Self> {
                let bytes = take(input, size_of::<Self>())?;
                bytes.try_into().map(Self::from_le_bytes).map_err(|_| not_a("number"))
            }
        })+
    };
}

numbers! { u8 u32 u64 u128 }

/// Values that stand in the journal as a number: as which, and the way back.
macro_rules! as_numbers {
    ($($type:ty = |$value:ident| $to:expr, |$number:ident: $kind:ty| $from:expr;)+) => {
        $(impl Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
                let $value = *self;
                <$kind>::encode(&$to, out)
            }

            fn decode(input: &mut &[u8]) -> Result<Self> {
                let $number = <$kind>::decode(input)?;
                $from.ok_or_else(|| not_a(stringify!($type)))
            }
        })+
    };
}

as_numbers! {
    bool = |flag| flag.into(), |byte: u8| (byte < 2).then_some(byte == 1);
    usize = |length| length as u64, |length: u64| Self::try_from(length).ok();
    Ulid = |ulid| ulid.0, |number: u128| Some(Self(number));
    Sequence = |sequence| sequence.get(), |number: u64| Self::new(number);
    Timestamp = |time| time.as_millis(), |millis: u64| Some(Self::from_millis(millis));
    Fingerprint = |print| print.as_u64(), |number: u64| Some(Self::from_u64(number));
    NonZeroU32 = |number| number.get(), |number: u32| Self::new(number);
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    bytes.len().encode(out)?;
    out.extend_from_slice(bytes);
    Ok(())
}

fn decode_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8]> {
    let length = usize::decode(input)?;
    take(input, length)
}

impl Encode for Bytes {
    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        encode_bytes(self, out)
    }

    fn decode(input: &mut &[u8]) -> Result<Self> {
        decode_bytes(input).map(Self::copy_from_slice)
    }
}

macro_rules! texts {
    ($($type:ty)+) => {
        $(impl Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
                encode_bytes(self.as_str().as_bytes(), out)
            }

            fn decode(input: &mut &[u8]) -> Result<Self> {
                let text = std::str::from_utf8(decode_bytes(input)?).ok();
                text.and_then(|text| text.parse().ok()).ok_or_else(|| not_a(stringify!($type)))
            }
        })+
    };
}

texts! { String PeerId ClusterGroup Tag MessageId MessageType Key }

impl Encode for DeadLetterReason {
    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        self.to_string().encode(out)
    }

    fn decode(input: &mut &[u8]) -> Result<Self> {
        String::decode(input).map(|text| Self::from(text.as_str()))
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        self.is_some().encode(out)?;
        self.iter().try_for_each(|value| value.encode(out))
    }

    fn decode(input: &mut &[u8]) -> Result<Self> {
        bool::decode(input)?.then(|| T::decode(input)).transpose()
    }
}

macro_rules! pointers {
    ($($pointer:ident)+) => {
        $(impl<T: Encode> Encode for $pointer<T> {
            fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
                T::encode(self, out)
            }

            fn decode(input: &mut &[u8]) -> Result<Self> {
                T::decode(input).map(Self::new)
            }
        })+
    };
}

pointers! { Box Arc }

macro_rules! lists {
    ($($list:ty)+) => {
        $(impl<T: Encode> Encode for $list {
            fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
                self.len().encode(out)?;
                self.iter().try_for_each(|item| item.encode(out))
            }

            fn decode(input: &mut &[u8]) -> Result<Self> {
                let length = usize::decode(input)?;
                (0..length).map(|_| T::decode(input)).collect()
            }
        })+
    };
}

lists! { Vec<T> Box<[T]> Arc<[T]> }

impl<const N: usize> Encode for [u64; N] {
    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        self.iter().try_for_each(|number| number.encode(out))
    }

    fn decode(input: &mut &[u8]) -> Result<Self> {
        let mut numbers = [0; N];
        numbers.iter_mut().try_for_each(|number| u64::decode(input).map(|read| *number = read))?;
        Ok(numbers)
    }
}

impl<K: Encode + Ord, V: Encode> Encode for BTreeMap<K, V> {
    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        self.len().encode(out)?;
        self.iter().try_for_each(|(key, value)| {
            key.encode(out)?;
            value.encode(out)
        })
    }

    fn decode(input: &mut &[u8]) -> Result<Self> {
        let length = usize::decode(input)?;
        (0..length).map(|_| Ok((K::decode(input)?, V::decode(input)?))).collect()
    }
}

/// Structures: their fields in this order.
macro_rules! fields {
    ($($type:ident { $($field:ident),+ })+) => {
        $(impl $crate::codec::Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) -> slipstream_store::Result<()> {
                $(self.$field.encode(out)?;)+
                Ok(())
            }

            fn decode(input: &mut &[u8]) -> slipstream_store::Result<Self> {
                Ok(Self { $($field: $crate::codec::Encode::decode(input)?),+ })
            }
        })+
    };
}
pub(crate) use fields;

/// Enumerations: a number for each variant, then its fields. (The field of `Variant(x)` is called `0`.) What is not in
/// the list is of a later version of the contract.
macro_rules! variants {
    ($($type:ident { $($number:literal $variant:ident { $($field:tt: $name:ident),* },)+ })+) => {
        $(impl $crate::codec::Encode for $type {
            fn encode(&self, out: &mut Vec<u8>) -> slipstream_store::Result<()> {
                #[allow(unreachable_patterns, reason = "only the enumerations of another crate may have more")]
                match self {
                    $(Self::$variant { $($field: $name),* } => {
                        out.push($number);
                        $($name.encode(out)?;)*
                    })+
                    other => {
                        let what = format!("this store does not know {other:?}");
                        return Err(slipstream_store::StoreError::Unsupported(what));
                    }
                }
                Ok(())
            }

            fn decode(input: &mut &[u8]) -> slipstream_store::Result<Self> {
                match u8::decode(input)? {
                    $($number => Ok(Self::$variant { $($field: $crate::codec::Encode::decode(input)?),* }),)+
                    _ => Err($crate::codec::not_a(stringify!($type))),
                }
            }
        })+
    };
}
pub(crate) use variants;

/// An exclusive store has nothing to do with the roster that a batch was routed by.
impl Encode for Batch {
    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        self.operations.encode(out)
    }

    fn decode(input: &mut &[u8]) -> Result<Self> {
        Vec::<Operation>::decode(input).map(Self::from)
    }
}

fields! {
    Record { identity, fingerprint, message_type, key, expires_at, received_at, stamp, epoch, route, text }
    Route { received_from, path, recipients }
    Identity { group, id }
    Stamp { epoch, number }
    Peer { id, kind, group, tags, durable, last_seen, alias, paused }
}
