//! Bits as PostgreSQL has them: `bit varying`, the first bit first.

use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// A string of bits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bits {
    len: usize,
    bytes: Vec<u8>,
}

impl Bits {
    /// So many bits, none of them set.
    pub(crate) fn zeros(len: usize) -> Self {
        Self { len, bytes: vec![0; len.div_ceil(8)] }
    }

    /// Sets a bit, and makes room for it.
    pub(crate) fn set(&mut self, index: usize) {
        if index >= self.len {
            self.len = index + 1;
            self.bytes.resize(self.len.div_ceil(8), 0);
        }
        if let Some(byte) = self.bytes.get_mut(index / 8) {
            *byte |= 0x80 >> (index % 8);
        }
    }

    /// Whether a bit is set; beyond the end none is.
    pub(crate) fn is_set(&self, index: usize) -> bool {
        index < self.len && self.bytes.get(index / 8).is_some_and(|byte| byte & (0x80 >> (index % 8)) != 0)
    }

    /// The bits that are set, in order.
    pub(crate) fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len).filter(|&index| self.is_set(index))
    }
}

impl ToSql for Bits {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i32(i32::try_from(self.len)?);
        out.put_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::VARBIT | Type::BIT)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Bits {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let (len, bytes) = raw.split_first_chunk::<4>().ok_or("bits without a length")?;
        let len = usize::try_from(i32::from_be_bytes(*len))?;
        if bytes.len() != len.div_ceil(8) {
            return Err("bits of another length than they say".into());
        }
        Ok(Self { len, bytes: bytes.to_vec() })
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::VARBIT | Type::BIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_and_read_in_order_and_come_back() {
        let mut bits = Bits::default();
        for index in [9, 0, 16] {
            bits.set(index);
        }
        assert_eq!((bits.len, bits.ones().collect::<Vec<_>>()), (17, vec![0, 9, 16]));
        assert!(!bits.is_set(17) && !bits.is_set(1));
        let mut out = BytesMut::new();
        assert!(bits.to_sql(&Type::VARBIT, &mut out).is_ok());
        assert_eq!(&out[..], [0, 0, 0, 17, 0x80, 0x40, 0x80]);
        assert_eq!(Bits::from_sql(&Type::VARBIT, &out).ok(), Some(bits));
        for broken in [&out[..3], &out[..6], &[0, 0, 0, 1, 0, 0], &[255, 0, 0, 0]] {
            assert!(Bits::from_sql(&Type::VARBIT, broken).is_err(), "{broken:?}");
        }
    }
}
