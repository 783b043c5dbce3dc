//! Who comes to the gate, and the registry that goes with it.

use std::collections::HashSet;
use std::fmt::Write as _;

use domain::{PlateKind, PlateNumber};
use jiff::civil::Date;
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::plate::Rows;

/// Serial letters of ordinary plates.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
/// The provinces that cars of the demo come from, besides the compound's own: some whose
/// character in our font the reader knows well at a gate's sizes (皖, for one, it takes for 陕).
const ELSEWHERE: [&str; 4] = ["沪", "浙", "京", "鲁"];

/// What somebody is to the compound. It says how a vehicle got into the script, never what the
/// gate must decide: that follows from the registry file alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Lives here.
    Resident,
    /// Was invited; the pass ends today.
    Visitor,
    /// Was invited; the pass ended yesterday.
    ExpiredVisitor,
    /// Nobody knows them.
    Stranger,
    /// A stranger whose number differs from a resident's in exactly one character.
    Neighbour,
}

impl Role {
    /// The role in plain English.
    pub const fn english(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Visitor => "visitor of today",
            Self::ExpiredVisitor => "visitor of yesterday",
            Self::Stranger => "stranger",
            Self::Neighbour => "one character off",
        }
    }
}

/// The light in which a vehicle comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Light {
    /// Clear midday.
    Day,
    /// Low sun.
    Dusk,
    /// Overcast, rain.
    Rain,
    /// Lamps and headlights.
    Night,
    /// Lamps, headlights, rain.
    NightRain,
}

impl Light {
    /// The light in plain English.
    pub const fn english(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Dusk => "dusk",
            Self::Rain => "rain",
            Self::Night => "night",
            Self::NightRain => "night, rain",
        }
    }

    /// Whether it rains.
    pub fn rains(self) -> bool {
        matches!(self, Self::Rain | Self::NightRain)
    }

    /// Whether cars have their headlights on.
    pub fn headlights(self) -> bool {
        matches!(self, Self::Night | Self::NightRain | Self::Dusk)
    }
}

/// The shape of a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Body {
    /// A saloon.
    Saloon,
    /// Higher, shorter bonnet.
    Suv,
    /// A lorry with its cab over the engine.
    Truck,
}

/// One vehicle of the script.
#[derive(Debug, Clone, PartialEq)]
pub struct Vehicle {
    /// What its plate says.
    pub plate: PlateNumber,
    /// The kind of its plate.
    pub kind: PlateKind,
    /// One or two rows of characters.
    pub rows: Rows,
    /// Its shape.
    pub body: Body,
    /// Red, green, blue of its paint in daylight.
    pub paint: [u8; 3],
    /// What it is to the compound.
    pub role: Role,
    /// The light it comes in.
    pub light: Light,
    /// Seconds between the moment the one before has left the picture and this one's coming.
    pub gap: f32,
}

/// Everything that happens, but for what the gate does.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// The seed it was made from; the painter's noise follows it too.
    pub seed: u64,
    /// The day on which it plays.
    pub today: Date,
    /// Who comes, in order.
    pub vehicles: Vec<Vehicle>,
    /// Registered vehicles that do not come: the rest of the compound.
    others: Vec<PlateNumber>,
}

impl Script {
    /// A script of nine vehicles, different for every seed: four residents (a saloon, a green
    /// plate, a lorry with two rows, one at night), a visitor of today, one of yesterday,
    /// two strangers and a one-character neighbour of the first resident.
    ///
    /// `today` is only written into the registry.
    pub fn generate(seed: u64, today: Date) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut makers = Makers {
            used: HashSet::new(),
        };
        let home = makers.number(&mut rng, Form::Home);
        let neighbour = makers.neighbour(&mut rng, &home);
        let plan = [
            (
                Role::Resident,
                Light::Day,
                Body::Saloon,
                Some(home),
                Form::Home,
            ),
            (Role::Stranger, Light::Day, Body::Suv, None, Form::Elsewhere),
            (Role::Resident, Light::Day, Body::Saloon, None, Form::Green),
            (
                Role::Neighbour,
                Light::Day,
                Body::Saloon,
                Some(neighbour),
                Form::Home,
            ),
            (Role::Resident, Light::Rain, Body::Truck, None, Form::Lorry),
            (
                Role::ExpiredVisitor,
                Light::Dusk,
                Body::Saloon,
                None,
                Form::Home,
            ),
            (Role::Resident, Light::Night, Body::Suv, None, Form::Home),
            (
                Role::Stranger,
                Light::Night,
                Body::Saloon,
                None,
                Form::Green,
            ),
            (
                Role::Visitor,
                Light::NightRain,
                Body::Saloon,
                None,
                Form::Home,
            ),
        ];
        let mut vehicles: Vec<Vehicle> = Vec::new();
        for (role, light, body, plate, form) in plan {
            let plate = plate.unwrap_or_else(|| makers.number(&mut rng, form));
            let last = vehicles.last().map(|v| v.paint);
            let choices: Vec<[u8; 3]> = PAINTS
                .iter()
                .copied()
                .filter(|p| Some(*p) != last)
                .collect();
            vehicles.push(Vehicle {
                plate,
                kind: match form {
                    Form::Green => PlateKind::NewEnergySmall,
                    Form::Lorry => PlateKind::Large,
                    Form::Home | Form::Elsewhere => PlateKind::Small,
                },
                rows: if form == Form::Lorry {
                    Rows::Double
                } else {
                    Rows::Single
                },
                body,
                paint: choices.choose(&mut rng).copied().unwrap_or([200; 3]),
                role,
                light,
                gap: 1.5 + rng.random_range(0.0..0.4),
            });
        }
        let others = (0..40)
            .map(|_| makers.number(&mut rng, Form::Home))
            .collect();
        Self {
            seed,
            today,
            vehicles,
            others,
        }
    }

    /// The registry file of this compound: CSV with the header
    /// `plate,owner,building,unit,phone,valid_until`.
    ///
    /// As it is: residents without an end, visitors until today, the expired one until
    /// yesterday; strangers and the neighbour are not in it. `swapped`: strangers and the
    /// neighbour live here, residents do not, and the two sorts of visitors change dates; so
    /// every vehicle's verdict turns round.
    pub fn registry_csv(&self, swapped: bool) -> String {
        let yesterday = self.today.yesterday().unwrap_or(self.today);
        let mut csv = String::from("plate,owner,building,unit,phone,valid_until\n");
        let mut row = 0_usize;
        let mut add = |plate: &PlateNumber, until: String| {
            let family = ["王", "李", "张", "刘", "陈", "杨", "赵", "黄"][row % 8];
            let given = ["先生", "女士"][row / 8 % 2];
            // Writing to a String cannot fail.
            let _ = writeln!(
                csv,
                "{plate},{family}{given},{},{}-{:02}{:02},1380000{:04},{until}",
                row % 6 + 1,
                row % 3 + 1,
                row % 17 + 1,
                row % 4 + 1,
                1000 + row * 7,
            );
            row += 1;
        };
        for (i, other) in self.others.iter().enumerate() {
            // The vehicles that come stand between the others, as in any real list.
            if let Some(vehicle) = i.checked_sub(3).and_then(|n| self.vehicles.get(n)) {
                let until = match (vehicle.role, swapped) {
                    (Role::Resident, false) | (Role::Stranger | Role::Neighbour, true) => {
                        Some(String::new())
                    }
                    (Role::Visitor, false) | (Role::ExpiredVisitor, true) => {
                        Some(self.today.to_string())
                    }
                    (Role::ExpiredVisitor, false) | (Role::Visitor, true) => {
                        Some(yesterday.to_string())
                    }
                    (Role::Stranger | Role::Neighbour, false) | (Role::Resident, true) => None,
                };
                if let Some(until) = until {
                    add(&vehicle.plate, until);
                }
            }
            add(other, String::new());
        }
        csv
    }
}

/// Paints of cars: white, silver, black, red, blue, champagne, green.
const PAINTS: [[u8; 3]; 7] = [
    [226, 228, 230],
    [166, 172, 178],
    [42, 44, 50],
    [152, 32, 36],
    [44, 78, 132],
    [188, 172, 142],
    [46, 88, 72],
];

/// Where a number is from and what it looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Home,
    Elsewhere,
    Green,
    Lorry,
}

/// Makes numbers, none of them like another.
struct Makers {
    used: HashSet<String>,
}

impl Makers {
    fn number(&mut self, rng: &mut impl Rng, form: Form) -> PlateNumber {
        loop {
            let text = text(rng, form);
            // Only the one neighbour of the script may be near another number.
            if self.used.iter().any(|other| differences(other, &text) < 3) {
                continue;
            }
            if let Ok(number) = PlateNumber::parse(&text) {
                self.used.insert(text);
                return number;
            }
        }
    }

    fn neighbour(&mut self, rng: &mut impl Rng, of: &PlateNumber) -> PlateNumber {
        let characters: Vec<char> = of.as_str().chars().collect();
        loop {
            let place = rng.random_range(2..characters.len());
            let mut text = characters.clone();
            text[place] = char::from(b'0' + rng.random_range(0..10_u8));
            let text: String = text.into_iter().collect();
            if differences(&text, of.as_str()) == 1
                && let Ok(number) = PlateNumber::parse(&text)
            {
                self.used.insert(text);
                return number;
            }
        }
    }
}

fn text(rng: &mut impl Rng, form: Form) -> String {
    let digit = |rng: &mut dyn FnMut(u8) -> u8| char::from(b'0' + rng(10));
    let mut below = |n: u8| rng.random_range(0..n);
    let letter = |below: &mut dyn FnMut(u8) -> u8| char::from(LETTERS[usize::from(below(24))]);
    let (province, office) = match form {
        Form::Elsewhere => (
            ELSEWHERE[usize::from(below(4))],
            ['A', 'B', 'C', 'D', 'F'][usize::from(below(5))],
        ),
        _ => ("苏", 'E'),
    };
    let mut text = format!("{province}{office}");
    if form == Form::Green {
        text.push(['D', 'F'][usize::from(below(2))]);
        for _ in 0..5 {
            text.push(digit(&mut below));
        }
    } else {
        let mut serial: Vec<char> = (0..5).map(|_| digit(&mut below)).collect();
        for _ in 0..below(3) {
            let place = usize::from(below(5));
            serial[place] = letter(&mut below);
        }
        text.extend(serial);
    }
    text
}

/// In how many places two texts differ; texts of different length differ in all.
fn differences(a: &str, b: &str) -> usize {
    if a.chars().count() == b.chars().count() {
        a.chars().zip(b.chars()).filter(|(x, y)| x != y).count()
    } else {
        usize::MAX
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn script(seed: u64) -> Script {
        Script::generate(seed, jiff::civil::date(2026, 3, 1))
    }

    #[test]
    fn every_seed_has_every_part_and_drawable_plates() {
        for seed in 0..300 {
            let script = script(seed);
            assert!(script.vehicles.len() >= 9);
            for role in [
                Role::Resident,
                Role::Visitor,
                Role::ExpiredVisitor,
                Role::Stranger,
                Role::Neighbour,
            ] {
                assert!(
                    script.vehicles.iter().any(|v| v.role == role),
                    "{seed} {role:?}"
                );
            }
            for light in [
                Light::Day,
                Light::Dusk,
                Light::Rain,
                Light::Night,
                Light::NightRain,
            ] {
                assert!(
                    script.vehicles.iter().any(|v| v.light == light),
                    "{seed} {light:?}"
                );
            }
            for v in &script.vehicles {
                assert!(v.plate.kinds().contains(&v.kind), "{seed} {v:?}");
                assert!(crate::plate::drawable(v.plate.as_str()), "{seed} {v:?}");
            }
            assert!(script.vehicles.iter().any(|v| v.rows == Rows::Double));
            assert!(
                script
                    .vehicles
                    .iter()
                    .any(|v| v.kind == PlateKind::NewEnergySmall)
            );
        }
    }

    #[test]
    fn the_neighbour_differs_in_one_place_and_all_others_in_three() {
        for seed in 0..300 {
            let script = script(seed);
            let comers = &script.vehicles;
            let all: Vec<&PlateNumber> = comers
                .iter()
                .map(|v| &v.plate)
                .chain(&script.others)
                .collect();
            let neighbour = comers.iter().find(|v| v.role == Role::Neighbour).unwrap();
            let near: Vec<_> = comers
                .iter()
                .filter(|v| differences(v.plate.as_str(), neighbour.plate.as_str()) == 1)
                .collect();
            assert_eq!(near.len(), 1, "{seed}");
            assert_eq!(near[0].role, Role::Resident);
            for (i, a) in all.iter().enumerate() {
                for b in &all[i + 1..] {
                    let apart = differences(a.as_str(), b.as_str());
                    let pair = [a.as_str(), b.as_str()];
                    // A near twin of a number is a little nearer to all others too.
                    let at_least = match (
                        pair.contains(&neighbour.plate.as_str()),
                        pair.contains(&near[0].plate.as_str()),
                    ) {
                        (true, true) => 1,
                        (true, false) => 2,
                        (false, _) => 3,
                    };
                    assert!(apart >= at_least, "{seed}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn swapping_the_registry_changes_who_is_in_it_today() {
        let admitted = |script: &Script, swapped| -> HashSet<String> {
            script
                .registry_csv(swapped)
                .lines()
                .skip(1)
                .filter_map(|line| {
                    let cells: Vec<&str> = line.split(',').collect();
                    assert_eq!(cells.len(), 6, "{line}");
                    let valid =
                        cells[5].is_empty() || cells[5].parse::<Date>().unwrap() >= script.today;
                    valid.then(|| cells[0].to_owned())
                })
                .collect()
        };
        for seed in 1..=20 {
            let script = script(seed);
            let (plain, swapped) = (admitted(&script, false), admitted(&script, true));
            for v in &script.vehicles {
                let text = v.plate.as_str();
                assert_ne!(plain.contains(text), swapped.contains(text), "{seed} {v:?}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_script_and_another_seed_another() {
        assert_eq!(script(7), script(7));
        assert_ne!(script(7).vehicles[0].plate, script(8).vehicles[0].plate);
    }
}
