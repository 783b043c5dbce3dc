//! The grammar of plate numbers: one table of patterns.
//!
//! A [`Pattern`] is a row of [`Place`]s, one for each character. Kinds that look alike as text
//! (small, large, motorcycle) share patterns; a number alone then has several possible kinds.
//! Source: GA 36-2018; military and armed police after their 2012 reform.

use super::PlateKind;

/// The provinces' one-character names, as they stand first on a civil plate.
pub const PROVINCES: &str = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼";
/// Letters of issuing offices and serials: no I, no O.
pub const LETTERS: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Letters that mark a new-energy vehicle: D and after it A B C E for pure electric ones,
/// F and after it G H J K for the others.
pub const NEW_ENERGY: &str = "DFABCEGHJK";
/// First letters of military numbers (the service or theatre).
pub const MILITARY_FIRST: &str = "VKHBSLJNGCEZ";
/// Second letters of military numbers.
pub const MILITARY_SECOND: &str = "ABCDEFGHJKLMNOPRSTVYXW";
/// Letters that may end an armed police number.
pub const ARMED_POLICE_LAST: &str = "TXBSHJD";

/// What may stand in one place of a plate number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A province.
    Province,
    /// The issuing office: a letter without I; O stands on some official plates.
    Office,
    /// A letter without I and O.
    Letter,
    /// A digit.
    Digit,
    /// A digit or a letter without I and O.
    Serial,
    /// One of the listed characters.
    OneOf(&'static str),
}

impl Place {
    /// Whether `c` may stand here.
    pub fn allows(self, c: char) -> bool {
        match self {
            Self::Province => PROVINCES.contains(c),
            Self::Office => c == 'O' || LETTERS.contains(c),
            Self::Letter => LETTERS.contains(c),
            Self::Digit => c.is_ascii_digit(),
            Self::Serial => c.is_ascii_digit() || LETTERS.contains(c),
            Self::OneOf(list) => list.contains(c),
        }
    }

    /// What is expected here, for messages.
    pub fn expected(self) -> String {
        match self {
            Self::Province => "a province such as 京, 沪 or 苏".into(),
            Self::Office => "a letter (not I)".into(),
            Self::Letter => "a letter (not I or O)".into(),
            Self::Digit => "a digit".into(),
            Self::Serial => "a digit or a letter (not I or O)".into(),
            Self::OneOf(list) if list.chars().count() == 1 => list.into(),
            Self::OneOf(list) => format!("one of {list}"),
        }
    }
}

/// The characters of one way to write a plate, in order: seven or eight places.
pub type Pattern = &'static [Place];

use Place::{Digit as N, Letter as L, Office as O, OneOf, Province as P, Serial as A};

const CIVIL: Pattern = &[P, O, A, A, A, A, A];
const NEW_ENERGY_SMALL: Pattern = &[P, L, OneOf(NEW_ENERGY), A, N, N, N, N];
const NEW_ENERGY_LARGE: Pattern = &[P, L, N, N, N, N, N, OneOf(NEW_ENERGY)];
const COACH: Pattern = &[P, L, A, A, A, A, OneOf("学")];
const TRAILER: Pattern = &[P, L, A, A, A, A, OneOf("挂")];
const POLICE: Pattern = &[P, O, A, A, A, A, OneOf("警")];
const EMERGENCY: Pattern = &[P, OneOf("XS"), N, N, N, N, OneOf("应"), OneOf("急")];
const EMBASSY_FRONT: Pattern = &[OneOf("使"), N, N, N, N, N, N];
const EMBASSY_BACK: Pattern = &[N, N, N, N, N, N, OneOf("使")];
const CONSULATE_OLD: Pattern = &[P, L, N, N, N, N, OneOf("领")];
const CONSULATE_NEW: Pattern = &[N, N, N, N, N, N, OneOf("领")];
const HONG_KONG: Pattern = &[OneOf("粤"), OneOf("Z"), A, A, A, A, OneOf("港")];
const MACAU: Pattern = &[OneOf("粤"), OneOf("Z"), A, A, A, A, OneOf("澳")];
const MILITARY: Pattern = &[OneOf(MILITARY_FIRST), OneOf(MILITARY_SECOND), N, N, N, N, N];
const ARMED_POLICE_HQ: Pattern = &[OneOf("W"), OneOf("J"), N, N, N, N, N];
const ARMED_POLICE_HQ_UNIT: Pattern =
    &[OneOf("W"), OneOf("J"), N, N, N, N, OneOf(ARMED_POLICE_LAST)];
const ARMED_POLICE: Pattern = &[OneOf("W"), OneOf("J"), P, N, N, N, N, N];
const ARMED_POLICE_UNIT: Pattern = &[
    OneOf("W"),
    OneOf("J"),
    P,
    N,
    N,
    N,
    N,
    OneOf(ARMED_POLICE_LAST),
];
const CIVIL_AVIATION: Pattern = &[OneOf("民"), OneOf("航"), L, N, N, N, N];
const TRACTOR: Pattern = &[P, N, N, N, N, N, N, N];

/// Every pattern once, each with the kinds it may belong to, likeliest first.
pub const TABLE: &[(Pattern, &[PlateKind])] = &[
    (
        CIVIL,
        &[
            PlateKind::Small,
            PlateKind::Large,
            PlateKind::Motorcycle,
            PlateKind::LowSpeed,
            PlateKind::Temporary,
        ],
    ),
    (NEW_ENERGY_SMALL, &[PlateKind::NewEnergySmall]),
    (NEW_ENERGY_LARGE, &[PlateKind::NewEnergyLarge]),
    (COACH, &[PlateKind::Coach]),
    (TRAILER, &[PlateKind::Trailer]),
    (POLICE, &[PlateKind::Police]),
    (EMERGENCY, &[PlateKind::Emergency]),
    (EMBASSY_FRONT, &[PlateKind::Embassy]),
    (EMBASSY_BACK, &[PlateKind::Embassy]),
    (CONSULATE_OLD, &[PlateKind::Consulate]),
    (CONSULATE_NEW, &[PlateKind::Consulate]),
    (HONG_KONG, &[PlateKind::HongKong]),
    (MACAU, &[PlateKind::Macau]),
    (MILITARY, &[PlateKind::Military]),
    (ARMED_POLICE_HQ, &[PlateKind::ArmedPolice]),
    (ARMED_POLICE_HQ_UNIT, &[PlateKind::ArmedPolice]),
    (ARMED_POLICE, &[PlateKind::ArmedPolice]),
    (ARMED_POLICE_UNIT, &[PlateKind::ArmedPolice]),
    (CIVIL_AVIATION, &[PlateKind::CivilAviation]),
    (TRACTOR, &[PlateKind::Tractor]),
];
