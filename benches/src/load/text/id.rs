//! The ids of a load's messages. Pure.
//!
//! An id says which run a message belongs to, who published it, which of its publisher's messages it is and when it
//! was to be sent: so confirms and deliveries are counted, checked and timed by their ids alone, without a table of
//! what is under way. It is as long as a ULID, the id that a relay assigns, so that it costs a relay as much.

use std::fmt;
use std::time::Duration;

use ulid::Ulid;

/// The length of an id in bytes.
pub(crate) const LEN: usize = RUN + PUBLISHER + NUMBER + TIME;

const RUN: usize = 8;
const PUBLISHER: usize = 2;
const NUMBER: usize = 7;
const TIME: usize = 9;

/// Most publishers that ids can tell apart.
pub(crate) const MAX_PUBLISHERS: u16 = 1 << (5 * PUBLISHER);

/// Most messages of one publisher that ids can tell apart.
pub(crate) const MAX_MESSAGES: u64 = 1 << (5 * NUMBER);

/// The longest that a load can take: ids count its time in nanoseconds.
pub(crate) const MAX_TIME: Duration = Duration::from_nanos(1 << (5 * TIME));

/// Crockford's base 32, as in a ULID.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The value of each digit; 255 for what is none.
const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0_u8;
    while value < 32 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Writes a number into as many digits as there is room for. Higher ones are left out.
fn write(out: &mut [u8], mut number: u64) {
    for digit in out.iter_mut().rev() {
        *digit = DIGITS[(number & 31) as usize];
        number >>= 5;
    }
}

fn read(digits: &[u8]) -> Option<u64> {
    let mut number = 0;
    let mut all = 0;
    for digit in digits {
        let value = VALUES[usize::from(*digit)];
        all |= value;
        number = number << 5 | u64::from(value);
    }
    (all < 32).then_some(number)
}

/// One run of a load. Two runs have different names, but for a chance of one in 10¹².
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run([u8; RUN]);

impl Run {
    /// A run named by the random part of a new ULID.
    #[must_use]
    pub fn new(id: Ulid) -> Self {
        let mut name = [0; RUN];
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are the random ones")]
        write(&mut name, id.0 as u64);
        Self(name)
    }

    /// Its name, of digits and capital letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only digits of base 32 are ever in it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an id says besides the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) publisher: u16,
    /// Which of the publisher's messages it is, from 0.
    pub(crate) number: u64,
    /// When it was to be sent, in nanoseconds since the load's beginning.
    pub(crate) intended: u64,
}

impl Mark {
    /// Writes the id of a message of this run.
    pub(crate) fn write(self, out: &mut [u8; LEN], run: Run) {
        out[..RUN].copy_from_slice(&run.0);
        self.write_rest(out);
    }

    /// The same into an id of the run, which stays.
    pub(crate) fn write_rest(self, out: &mut [u8; LEN]) {
        write(&mut out[RUN..][..PUBLISHER], u64::from(self.publisher));
        write(&mut out[RUN + PUBLISHER..][..NUMBER], self.number);
        write(&mut out[LEN - TIME..], self.intended);
    }

    /// Reads an id of which the run is known already.
    pub(crate) fn read(id: &[u8; LEN]) -> Option<Self> {
        Some(Self {
            publisher: u16::try_from(read(&id[RUN..][..PUBLISHER])?).ok()?,
            number: read(&id[RUN + PUBLISHER..][..NUMBER])?,
            intended: read(&id[LEN - TIME..])?,
        })
    }
}

/// A number as part of a key.
pub(crate) fn write_number(out: &mut [u8], number: u64) {
    write(out, number);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_run_is_named_by_the_random_part_of_a_ulid() {
        assert_eq!(Run::new(Ulid(0)).as_str(), "00000000");
        assert_eq!(Run::new(Ulid(31 << 5 | 10)).as_str(), "000000ZA");
        let ulid = Ulid(0x0123_4567_89AB_CDEF_0011_2233_4455_6677);
        assert_eq!(Run::new(ulid).to_string(), ulid.to_string()[18..]);
    }

    #[test]
    fn what_is_no_digit_is_no_id() {
        let mut id = [b'0'; LEN];
        assert_eq!(Mark::read(&id), Some(Mark { publisher: 0, number: 0, intended: 0 }));
        for wrong in *b"ILOUa-\"\xFF" {
            id[LEN - 1] = wrong;
            assert_eq!(Mark::read(&id), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn an_id_reads_as_what_was_written(
            publisher in 0..MAX_PUBLISHERS, number in 0..MAX_MESSAGES, intended in 0..u64::try_from(MAX_TIME.as_nanos()).unwrap(),
        ) {
            let mark = Mark { publisher, number, intended };
            let mut id = [0; LEN];
            mark.write(&mut id, Run::new(Ulid(1)));
            prop_assert_eq!(&id[..RUN], b"00000001");
            prop_assert_eq!(Mark::read(&id), Some(mark));
        }
    }
}
