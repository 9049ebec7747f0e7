//! The relay's own time, and what it believes the time of day to be, made of the two clocks of a machine. Pure.
//!
//! Whatever is kept for a while (absent peers, identities, traces, stamps) is kept for as long as this process saw time
//! pass. Only what other programs write as a time of day, such as `expiresAt`, is compared with the machine's clock, and a
//! step of that clock is believed only once it has lasted.

use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use slipstream_store::Timestamp;

/// A change of the machine's clock beyond this, between two looks, is a step.
pub const STEP: Duration = Duration::from_secs(5);

/// How long a step must last before the time of day follows it.
pub const BELIEVED_AFTER: Duration = Duration::from_secs(60);

/// The most that passes between two looks, however far apart they are: a machine that slept, or a process that was
/// stopped, saw nothing of the rest.
pub const MOST_AT_ONCE: Duration = Duration::from_secs(60);

/// While the relay's time differs from the time of day by more than this, it goes an eighth faster or slower.
const NEAR: Duration = Duration::from_secs(1);

/// What the clocks of a machine say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The time of day, as the machine has it. It may be set, forward and back.
    pub wall: Timestamp,
    /// The time since some fixed point, the machine's sleep included. It never jumps.
    pub steady: Duration,
}

/// The machine's clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Forward by so much.
    Forward(Duration),
    /// Back by so much.
    Back(Duration),
}

/// The relay's time. It never goes back, and never jumps forward.
#[derive(Debug)]
pub struct RelayTime {
    mark: ArcSwap<Mark>,
    looks: Mutex<Looks>,
}

/// Times at the last look, from which those since follow.
#[derive(Debug, Clone, Copy)]
struct Mark {
    steady: Duration,
    /// The relay's time, since the Unix epoch.
    time: Duration,
    /// How many eighths of a second the relay's time goes in a second.
    eighths: u32,
    /// The time of day that is believed is so many milliseconds ahead of `steady`.
    ahead: i64,
}

/// What the looks saw of the machine's clock.
#[derive(Debug)]
struct Looks {
    /// By how many milliseconds it was ahead of the steady time.
    ahead: i64,
    stepped_at: Option<Duration>,
}

impl Mark {
    fn time(&self, steady: Duration) -> Duration {
        self.time + steady.saturating_sub(self.steady).min(MOST_AT_ONCE) * self.eighths / 8
    }

    fn wall(&self, steady: Duration) -> Timestamp {
        Timestamp::from_millis(millis(steady).saturating_add_signed(self.ahead))
    }
}

impl RelayTime {
    /// The time that begins as the machine has it.
    #[must_use]
    pub fn new(now: Reading) -> Self {
        let ahead = now.ahead();
        let mark = Mark { steady: now.steady, time: since_epoch(now.wall), eighths: 8, ahead };
        Self { mark: ArcSwap::from_pointee(mark), looks: Mutex::new(Looks { ahead, stepped_at: None }) }
    }

    /// The relay's time.
    #[must_use]
    pub fn time(&self, steady: Duration) -> Timestamp {
        Timestamp::from_millis(millis(self.mark.load().time(steady)))
    }

    /// The time of day, as far as it is believed.
    #[must_use]
    pub fn wall(&self, steady: Duration) -> Timestamp {
        self.mark.load().wall(steady)
    }

    /// Looks at the machine's clocks; to be called every second or so. Tells whether its clock was set since the last look.
    pub fn look(&self, now: Reading) -> Option<Step> {
        let mut looks = self.looks.lock();
        let mark = **self.mark.load();
        let ahead = now.ahead();
        let step = step(ahead.saturating_sub(looks.ahead));
        if step.is_some() {
            looks.stepped_at = Some(now.steady);
        }
        looks.ahead = ahead;
        let has_lasted = looks.stepped_at.is_none_or(|at| now.steady.saturating_sub(at) >= BELIEVED_AFTER);
        let is_believed = has_lasted || self::step(ahead.saturating_sub(mark.ahead)).is_none();
        let ahead = if is_believed { ahead } else { mark.ahead };
        let time = mark.time(now.steady);
        let wall = since_epoch(Mark { ahead, ..mark }.wall(now.steady));
        let eighths = match () {
            () if time + NEAR < wall => 9,
            () if wall + NEAR < time => 7,
            () => 8,
        };
        self.mark.store(Mark { steady: now.steady, time, eighths, ahead }.into());
        step
    }

    /// Goes on from the newest time that is remembered, instead of beginning anew. The time since, of which no process
    /// knows how long it was, counts where the machine's clock says that it was at most `unseen`, and otherwise not at all:
    /// the clock may be wrong, at start after start. Tells by how much the clock differs from the time that goes on, where
    /// it does.
    pub fn resume(&self, remembered: Timestamp, unseen: Duration, now: Reading) -> Option<Step> {
        let _looks = self.looks.lock();
        let (wall, remembered) = (since_epoch(now.wall), since_epoch(remembered));
        let is_likely = (remembered..=remembered.saturating_add(unseen)).contains(&wall);
        let time = if is_likely { wall } else { remembered };
        let mark = Mark { steady: now.steady, time, ..**self.mark.load() };
        self.mark.store(mark.into());
        let difference = i128::from(now.wall.as_millis()) - i128::from(millis(time));
        step(i64::try_from(difference).unwrap_or(i64::MAX))
    }
}

impl Reading {
    fn ahead(&self) -> i64 {
        let difference = i128::from(self.wall.as_millis()) - i128::from(millis(self.steady));
        i64::try_from(difference).unwrap_or(i64::MAX)
    }
}

fn step(by: i64) -> Option<Step> {
    let far = Duration::from_millis(by.unsigned_abs());
    (far > STEP).then_some(if by > 0 { Step::Forward(far) } else { Step::Back(far) })
}

fn since_epoch(time: Timestamp) -> Duration {
    Duration::from_millis(time.as_millis())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000;
    const DAY: u64 = 24 * 60 * 60 * SECOND;
    const BEGINNING: u64 = 20_000 * DAY;

    /// A machine that was just booted, and whose clock can be set.
    struct Machine {
        steady: u64,
        wrong_by: i64,
        time: RelayTime,
    }

    impl Machine {
        fn new() -> Self {
            let now = Reading { wall: Timestamp::from_millis(BEGINNING), steady: Duration::ZERO };
            Self { steady: 0, wrong_by: 0, time: RelayTime::new(now) }
        }

        fn reading(&self) -> Reading {
            let wall = (BEGINNING + self.steady).saturating_add_signed(self.wrong_by);
            Reading { wall: Timestamp::from_millis(wall), steady: Duration::from_millis(self.steady) }
        }

        /// Lets so many seconds pass, with a look at the end of each; what was noticed.
        fn pass(&mut self, seconds: u64) -> Vec<Step> {
            let mut steps = Vec::new();
            for _ in 0..seconds {
                let before = self.now();
                self.steady += SECOND;
                let at_once = self.now();
                steps.extend(self.time.look(self.reading()));
                assert!(before <= at_once && at_once <= self.now(), "time never goes back");
            }
            steps
        }

        /// The relay's time and the time of day, in milliseconds since the beginning.
        fn both(&self) -> (i64, i64) {
            let wall = self.time.wall(Duration::from_millis(self.steady)).as_millis();
            let since = |millis: u64| millis.cast_signed() - BEGINNING.cast_signed();
            (since(self.now()), since(wall))
        }

        fn now(&self) -> u64 {
            self.time.time(Duration::from_millis(self.steady)).as_millis()
        }
    }

    #[test]
    fn a_step_for_six_seconds_changes_nothing_and_is_told_both_ways() {
        for by in [8 * DAY, 20 * 365 * DAY] {
            let (forward, back) = (Step::Forward(Duration::from_millis(by)), Step::Back(Duration::from_millis(by)));
            for (signed, steps) in [(by.cast_signed(), [forward, back]), (-by.cast_signed(), [back, forward])] {
                let mut machine = Machine::new();
                machine.pass(10);
                machine.wrong_by = signed;
                assert_eq!(machine.pass(6), [steps[0]]);
                assert_eq!(machine.both(), (16_000, 16_000));
                machine.wrong_by = 0;
                assert_eq!(machine.pass(1_000), [steps[1]]);
                assert_eq!(machine.both(), (1_016_000, 1_016_000));
            }
        }
    }

    #[test]
    fn a_step_that_lasts_moves_the_time_of_day_and_not_the_time_that_passed() {
        for (by, eighths) in [(8 * DAY.cast_signed(), 9), (-8 * DAY.cast_signed(), 7)] {
            let mut machine = Machine::new();
            machine.wrong_by = by;
            machine.pass(60);
            assert_eq!(machine.both(), (60_000, 60_000));
            machine.pass(1);
            assert_eq!(machine.both(), (61_000, 61_000 + by));
            machine.pass(800);
            let (time, wall) = machine.both();
            assert_eq!((time, wall), (61_000 + 100_000 * eighths, 861_000 + by), "it follows by an eighth");
        }
    }

    #[test]
    fn a_small_correction_is_followed_and_not_told() {
        for by in [4_000, -4_000] {
            let mut machine = Machine::new();
            machine.wrong_by = by;
            assert_eq!(machine.pass(1), []);
            assert_eq!(machine.both().1, 1_000 + by);
            machine.pass(60);
            let (time, wall) = machine.both();
            assert!(time.abs_diff(wall) <= 1_200, "{time} {wall}");
        }
    }

    #[test]
    fn of_a_sleep_the_time_of_day_counts_all_and_the_relays_time_a_minute() {
        let mut machine = Machine::new();
        machine.pass(10);
        machine.steady += DAY;
        assert_eq!(machine.time.look(machine.reading()), None);
        assert_eq!(machine.both(), (70_000, 10_000 + DAY.cast_signed()));
    }

    #[test]
    fn a_run_goes_on_from_what_is_remembered() {
        let hour = Duration::from_secs(3_600);
        let at = |seconds: i64| Timestamp::from_millis(BEGINNING.saturating_add_signed(seconds * 1_000));
        let years: i64 = 10 * 365 * 24 * 60 * 60;
        for (remembered, time, told) in [
            (-60, 0, None),
            (-3_600, 0, None),
            (-3_700, -3_700, Some(Step::Forward(Duration::from_secs(3_700)))),
            (-years, -years, Some(Step::Forward(Duration::from_secs(years.unsigned_abs())))),
            (years, years, Some(Step::Back(Duration::from_secs(years.unsigned_abs())))),
        ] {
            let mut machine = Machine::new();
            assert_eq!(machine.time.resume(at(remembered), hour, machine.reading()), told);
            assert_eq!(machine.both(), (time * 1_000, 0));
            machine.pass(100);
            let (now, wall) = machine.both();
            assert_eq!(wall, 100_000, "the time of day is the machine's");
            assert!((now - time * 1_000 - 100_000).abs() <= 12_500, "it goes on: {now}");
        }
    }
}
