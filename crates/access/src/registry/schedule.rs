//! Weekly windows: on which days, from when to when.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{DateTime, Time, Weekday};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A window of the week, such as `mon-sat 05:00-07:30`: it opens on its days at the first time
/// and closes at the second, which belongs to it no more. A window whose second time is not
/// after its first goes on past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Bit 0 is Monday.
    days: u8,
    opens: Time,
    closes: Time,
}

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no window of the week; write it like \"mon-sat 05:00-07:30\", \"daily 22:00-02:00\" or \"周一至周六 05:00-07:30\""
)]
pub struct WindowError {
    text: String,
}

const EVERY_DAY: u8 = 0b0111_1111;
const DAYS: [(&str, &str); 7] = [
    ("mon", "一"),
    ("tue", "二"),
    ("wed", "三"),
    ("thu", "四"),
    ("fri", "五"),
    ("sat", "六"),
    ("sun", "日"),
];

fn day_of(text: &str) -> Option<usize> {
    let text = text.trim();
    let short = text
        .strip_prefix("星期")
        .or_else(|| text.strip_prefix('周'))
        .unwrap_or(text);
    let short = if short == "天" { "日" } else { short };
    DAYS.iter().position(|(english, chinese)| {
        short == *chinese
            || (text.is_ascii() && text.len() >= 3 && text[..3].eq_ignore_ascii_case(english))
    })
}

fn days_of(text: &str) -> Option<u8> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("daily") || matches!(text, "每天" | "每日") {
        return Some(EVERY_DAY);
    }
    let mut days = 0_u8;
    for part in text.split([',', '、', '，']) {
        match part.split_once(['-', '至', '到']) {
            None => days |= 1 << day_of(part)?,
            Some((first, last)) => {
                let (first, last) = (day_of(first)?, day_of(last)?);
                // From Saturday to Monday goes over Sunday.
                let count = (last + 7 - first) % 7;
                for step in 0..=count {
                    days |= 1 << ((first + step) % 7);
                }
            }
        }
    }
    Some(days)
}

fn time_of(text: &str) -> Option<Time> {
    let (hour, minute) = text.trim().split_once([':', '：'])?;
    let number = |t: &str| {
        (t.len() <= 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<i8>().ok())?
    };
    // 24:00 is how people write the end of a day.
    match (number(hour)?, number(minute)?) {
        (24, 0) => Some(Time::midnight()),
        (hour, minute) => Time::new(hour, minute, 0, 0).ok(),
    }
}

impl Window {
    /// Whether the window is open at a moment of the site's own time.
    pub fn is_open(&self, at: DateTime) -> bool {
        let today = at.date().weekday().to_monday_zero_offset();
        let on = |day: i8| self.days & (1 << day) != 0;
        let time = at.time();
        if self.opens < self.closes {
            return on(today) && self.opens <= time && time < self.closes;
        }
        let yesterday = (today + 6) % 7;
        (on(today) && time >= self.opens) || (on(yesterday) && time < self.closes)
    }

    /// The days on which it opens.
    pub fn days(&self) -> impl Iterator<Item = Weekday> + '_ {
        (0..7_i8)
            .filter(|day| self.days & (1 << day) != 0)
            .filter_map(|day| Weekday::from_monday_zero_offset(day).ok())
    }
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let parse = || {
            let text = text.trim();
            let (days, times) = text.rsplit_once(char::is_whitespace)?;
            let (opens, closes) = times.split_once(['-', '~', '至'])?;
            Some(Self {
                days: days_of(days)?,
                opens: time_of(opens)?,
                closes: time_of(closes)?,
            })
        };
        parse().ok_or_else(|| WindowError {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days == EVERY_DAY {
            f.write_str("daily")?;
        } else {
            let names: Vec<&str> = (0..7)
                .filter(|day| self.days & (1 << day) != 0)
                .map(|day| DAYS[day].0)
                .collect();
            f.write_str(&names.join(","))?;
        }
        write!(
            f,
            " {:02}:{:02}-{:02}:{:02}",
            self.opens.hour(),
            self.opens.minute(),
            self.closes.hour(),
            self.closes.minute()
        )
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows_open_and_close_when_they_say() {
        let truck: Window = "mon-sat 05:00-07:30".parse().unwrap();
        // 2026-11-23 is a Monday.
        let at = |day: i8, hour: i8, minute: i8| date(2026, 11, day).at(hour, minute, 0, 0);
        assert!(truck.is_open(at(23, 5, 0)) && truck.is_open(at(28, 7, 29)));
        assert!(!truck.is_open(at(23, 7, 30)) && !truck.is_open(at(29, 6, 0)));
        let night: Window = "周五 22:00-02:00".parse().unwrap();
        assert!(night.is_open(at(27, 23, 0)) && night.is_open(at(28, 1, 59)));
        assert!(!night.is_open(at(27, 1, 0)) && !night.is_open(at(28, 22, 30)));
        for text in [
            "周六至周一 8:00-24:00",
            "sat-mon 08:00-00:00",
            "六,日,一 08：00-0:00",
        ] {
            let window: Window = text.parse().unwrap();
            assert_eq!(window.to_string(), "mon,sat,sun 08:00-00:00", "{text}");
        }
        for text in [
            "",
            "daily",
            "05:00-07:00",
            "mon 25:00-26:00",
            "someday 1:00-2:00",
            "mon 5-7",
        ] {
            text.parse::<Window>().unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn a_window_is_open_as_many_minutes_as_it_is_long(days in 1_u8..128, opens in 0_i32..1440, closes in 0_i32..1440) {
            let time = |minutes: i32| Time::new((minutes / 60) as i8, (minutes % 60) as i8, 0, 0).unwrap();
            let window = Window { days, opens: time(opens), closes: time(closes) };
            let length = (closes - opens + 1440 - 1) % 1440 + 1;
            let start = date(2026, 11, 23);
            let mut open = 0;
            for step in 0..7 * 1440 / 5 {
                let minutes = step * 5;
                let day = start.saturating_add(jiff::Span::new().days(minutes / 1440));
                open += i32::from(window.is_open(day.to_datetime(time(minutes % 1440))));
            }
            // Counted every five minutes: at most one short or over for each edge.
            let expected = days.count_ones() as i32 * length;
            prop_assert!((open * 5 - expected).abs() <= 10 * days.count_ones() as i32);
            prop_assert_eq!(window.to_string().parse::<Window>().unwrap(), window);
        }
    }
}
