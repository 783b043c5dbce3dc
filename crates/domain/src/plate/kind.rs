//! Plate kinds and their codes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a number plate (号牌种类), after GA 36-2018 with GA/T 16.7 codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlateKind {
    /// Small vehicles: white on blue.
    Small,
    /// Large vehicles: black on yellow, the rear plate in two rows.
    Large,
    /// New-energy small vehicles: black on white fading to green.
    NewEnergySmall,
    /// New-energy large vehicles: black on yellow and green.
    NewEnergyLarge,
    /// Driving-school vehicles, ending in 学.
    Coach,
    /// Trailers, ending in 挂, two rows.
    Trailer,
    /// Police, ending in a red 警.
    Police,
    /// Emergency vehicles (fire, rescue), ending in 应急.
    Emergency,
    /// Embassies: 使 and six digits.
    Embassy,
    /// Consulates, ending in 领.
    Consulate,
    /// Hong Kong vehicles that may enter the mainland: 粤Z … 港.
    HongKong,
    /// Macau vehicles that may enter the mainland: 粤Z … 澳.
    Macau,
    /// Military: two red letters and five digits.
    Military,
    /// Armed police: WJ.
    ArmedPolice,
    /// Civil aviation (airport apron vehicles): 民航.
    CivilAviation,
    /// Low-speed goods vehicles and tricycles.
    LowSpeed,
    /// Temporary paper plates.
    Temporary,
    /// Tractors.
    Tractor,
    /// Motorcycles.
    Motorcycle,
}

impl PlateKind {
    /// Every kind, in the order of the grammar table.
    pub const ALL: [Self; 19] = [
        Self::Small,
        Self::Large,
        Self::NewEnergySmall,
        Self::NewEnergyLarge,
        Self::Coach,
        Self::Trailer,
        Self::Police,
        Self::Emergency,
        Self::Embassy,
        Self::Consulate,
        Self::HongKong,
        Self::Macau,
        Self::Military,
        Self::ArmedPolice,
        Self::CivilAviation,
        Self::LowSpeed,
        Self::Temporary,
        Self::Tractor,
        Self::Motorcycle,
    ];

    /// The GA/T 16.7 code, where the standard has one.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Large => Some("01"),
            Self::Small => Some("02"),
            Self::Embassy => Some("03"),
            Self::Consulate => Some("04"),
            Self::Motorcycle => Some("07"),
            Self::LowSpeed => Some("13"),
            Self::Trailer => Some("15"),
            Self::Coach => Some("16"),
            Self::Temporary => Some("22"),
            Self::Police => Some("23"),
            Self::Tractor => Some("25"),
            Self::HongKong => Some("26"),
            Self::Macau => Some("27"),
            Self::NewEnergyLarge => Some("51"),
            Self::NewEnergySmall => Some("52"),
            Self::Emergency | Self::Military | Self::ArmedPolice | Self::CivilAviation => None,
        }
    }

    /// The kind's name in Chinese.
    pub const fn chinese(self) -> &'static str {
        match self {
            Self::Small => "小型汽车",
            Self::Large => "大型汽车",
            Self::NewEnergySmall => "小型新能源汽车",
            Self::NewEnergyLarge => "大型新能源汽车",
            Self::Coach => "教练汽车",
            Self::Trailer => "挂车",
            Self::Police => "警用汽车",
            Self::Emergency => "应急救援车",
            Self::Embassy => "使馆汽车",
            Self::Consulate => "领馆汽车",
            Self::HongKong => "香港入出境车",
            Self::Macau => "澳门入出境车",
            Self::Military => "军车",
            Self::ArmedPolice => "武警车",
            Self::CivilAviation => "民航车",
            Self::LowSpeed => "低速车",
            Self::Temporary => "临时号牌",
            Self::Tractor => "拖拉机",
            Self::Motorcycle => "摩托车",
        }
    }

    /// The kind's name in English.
    pub const fn english(self) -> &'static str {
        match self {
            Self::Small => "small vehicle",
            Self::Large => "large vehicle",
            Self::NewEnergySmall => "new-energy small vehicle",
            Self::NewEnergyLarge => "new-energy large vehicle",
            Self::Coach => "driving school",
            Self::Trailer => "trailer",
            Self::Police => "police",
            Self::Emergency => "emergency",
            Self::Embassy => "embassy",
            Self::Consulate => "consulate",
            Self::HongKong => "Hong Kong",
            Self::Macau => "Macau",
            Self::Military => "military",
            Self::ArmedPolice => "armed police",
            Self::CivilAviation => "civil aviation",
            Self::LowSpeed => "low-speed vehicle",
            Self::Temporary => "temporary",
            Self::Tractor => "tractor",
            Self::Motorcycle => "motorcycle",
        }
    }
}

impl fmt::Display for PlateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.english())
    }
}
