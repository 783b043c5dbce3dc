//! The machine's clocks, and whether the wall clock can be believed.
//!
//! The only place of the program that reads a clock for decisions; everything below gets its
//! time as an argument.

use std::path::Path;

use access::passage::Now;
use access::policy::Clock;
use domain::Monotonic;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use vision::source::{Clock as _, SystemClock};

use crate::config::{House, Trusted};

/// The monotonic clock, which relay guards and cameras read too.
pub(crate) fn monotonic() -> Monotonic {
    SystemClock.now()
}

/// Both clocks at this instant.
pub(crate) fn now() -> Now {
    Now {
        monotonic: monotonic(),
        wall: SystemClock.wall(),
    }
}

/// Whether and how the wall clock is believed.
#[derive(Debug, Clone)]
pub(crate) struct WallClock {
    zone: TimeZone,
    always: bool,
}

/// No build of this program is older, so a clock that shows less is wrong.
const EARLIEST: i64 = 1_790_000_000;

impl WallClock {
    fn new(zone: TimeZone, always: bool) -> Self {
        Self { zone, always }
    }

    /// The wall clock as a configuration wants it.
    pub(crate) fn of(house: &House) -> Self {
        Self::new(house.site.time_zone.clone(), house.clock == Trusted::Always)
    }

    /// A Raspberry Pi 4 has no battery clock: until the network has set its time, dates mean
    /// nothing. The clock is believed once a time service says that it is synchronised, or
    /// where the machine has a battery clock, and never if it stands before this program was
    /// written.
    pub(crate) fn trusted(&self) -> bool {
        if self.always {
            return true;
        }
        let synchronised = Path::new("/run/systemd/timesync/synchronized").exists();
        let battery = Path::new("/sys/class/rtc/rtc0").exists();
        (synchronised || battery) && Timestamp::now().as_second() >= EARLIEST
    }

    /// The date at the site, right or wrong; for names of folders.
    pub(crate) fn day(&self) -> Date {
        Timestamp::now().to_zoned_datetime(self.zone.clone()).date()
    }

    /// The date at the site at a moment.
    pub(crate) fn day_of(&self, time: Timestamp) -> Date {
        time.to_zoned_datetime(self.zone.clone()).date()
    }

    /// What is known of the time; `not_before` is the day of the last time that was believed.
    pub(crate) fn known(&self, not_before: Option<Date>) -> Clock {
        if !self.trusted() {
            return Clock::Untrusted { not_before };
        }
        let now = Timestamp::now();
        let local = now.to_zoned_datetime(self.zone.clone()).datetime();
        Clock::Trusted { local, now }
    }

    /// The date at the site, if the clock is believed.
    pub(crate) fn today(&self) -> Option<Date> {
        self.trusted().then(|| self.day())
    }
}
