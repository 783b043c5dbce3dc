//! Vehicles on one lane: where they are, what they want, what the camera reads of them.
//!
//! Places are metres along the lane; the boom is at 0, vehicles come from below.

use domain::reading::{Fusion, LogProb, Matrix, Reading, SLOTS};
use domain::{Alphabet, Monotonic, PlateKind, PlateNumber, Quad, Vehicle};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::report::{Habit, Report};

const LENGTH: f64 = 4.5;
const SPAWN: f64 = -16.0;
const GONE: f64 = 6.0;
const STOP_LINE: f64 = -2.8;
const ARRIVAL_LOOP: (f64, f64) = (-4.5, -1.6);
const SAFETY_LOOP: (f64, f64) = (-0.5, 2.0);
const BEAM: (f64, f64) = (0.2, 0.3);
/// Where the front plate can be read.
const VIEW: (f64, f64) = (-14.0, -0.8);

/// A vehicle.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // independent facts of a simulated world, not a state
pub(super) struct Car {
    pub(super) id: u64,
    pub(super) plate: PlateNumber,
    pub(super) resident: bool,
    pub(super) habit: Habit,
    pub(super) nose: f64,
    speed: f64,
    /// Metres to the one before that it keeps.
    gap: f64,
    /// The boom was opened for it, as far as its driver can tell.
    pub(super) permitted: bool,
    pub(super) arrived: u64,
    /// Since when it stands at the boom.
    pub(super) waits: Option<u64>,
    /// What it does until then: stopping between, standing under the boom.
    pause_until: Option<u64>,
    paused: bool,
    patience: u64,
    leaves: bool,
    /// Nothing disturbed its visit so far.
    pub(super) undisturbed: bool,
    fusion: Option<Fusion>,
    seen: Option<Vehicle>,
    still_since: u64,
    read_again: u64,
}

impl Car {
    fn tail(&self) -> f64 {
        self.nose - LENGTH
    }

    fn covers(&self, (from, to): (f64, f64)) -> bool {
        self.nose >= from && self.tail() <= to
    }
}

/// A vehicle that has left.
#[derive(Debug)]
pub(super) struct Departed {
    pub(super) plate: PlateNumber,
    pub(super) at: u64,
    pub(super) arrived: u64,
    pub(super) undisturbed: bool,
}

/// Plates of the town.
#[derive(Debug, Clone)]
pub(super) struct Town {
    pub(super) alphabet: Alphabet,
    pub(super) residents: Vec<(PlateNumber, Matrix)>,
    pub(super) strangers: Vec<(PlateNumber, Matrix)>,
    smear: Matrix,
}

impl Town {
    /// 24 registered plates and 40 others, any two of which differ in two places or more.
    pub(super) fn new() -> Option<Self> {
        let alphabet = Alphabet::new("苏京ABCDEFGH0123456789").ok()?;
        let plate = |n: u32| {
            // Two check digits keep the numbers apart.
            let (a, b) = (n * 7 % 10, (n * 3 + n / 10) % 10);
            let letter = char::from(b'A' + (n % 8) as u8);
            let province = if n < 24 { '苏' } else { '京' };
            let text = format!("{province}{letter}{:02}{a}{b}{}", n, n % 10);
            PlateNumber::parse(&text).ok()
        };
        let row = |n: u32| {
            let number = plate(n)?;
            let matrix = matrix_of(&alphabet, &number)?;
            Some((number, matrix))
        };
        let residents = (0..24).map(row).collect::<Option<Vec<_>>>()?;
        let strangers = (24..64).map(row).collect::<Option<Vec<_>>>()?;
        let classes = alphabet.classes();
        let smear = Matrix::from_nats(classes, &vec![-3.0; SLOTS * classes]).ok()?;
        Some(Self {
            alphabet,
            residents,
            strangers,
            smear,
        })
    }

    fn matrix(&self, plate: &PlateNumber) -> &Matrix {
        self.residents
            .iter()
            .chain(&self.strangers)
            .find(|(number, _)| number == plate)
            .map_or(&self.smear, |(_, matrix)| matrix)
    }
}

fn matrix_of(alphabet: &Alphabet, number: &PlateNumber) -> Option<Matrix> {
    let classes = alphabet.classes();
    let mut nats = vec![-7.0; SLOTS * classes];
    let mut characters = number.as_str().chars();
    for slot in 0..SLOTS {
        let class = match characters.next() {
            Some(c) => alphabet.class(c)?,
            None => alphabet.blank(),
        };
        nats[slot * classes + class] = -0.03;
    }
    Matrix::from_nats(classes, &nats).ok()
}

/// What ails the camera.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Camera {
    pub(super) dark: bool,
    pub(super) drops: bool,
    pub(super) misreads: bool,
}

/// One lane's vehicles.
#[derive(Debug)]
pub(super) struct Traffic {
    /// First come first.
    pub(super) cars: Vec<Car>,
    next_at: u64,
    next_id: u64,
    next_frame: u64,
    residents: usize,
    strangers: usize,
}

impl Traffic {
    pub(super) fn new(first_id: u64) -> Self {
        Self {
            cars: Vec::new(),
            next_at: 0,
            next_id: first_id,
            next_frame: 0,
            residents: first_id as usize,
            strangers: first_id as usize,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cars.is_empty()
    }

    pub(super) fn on_arrival_loop(&self) -> bool {
        self.cars.iter().any(|car| car.covers(ARRIVAL_LOOP))
    }

    pub(super) fn on_safety_loop(&self) -> bool {
        self.cars.iter().any(|car| car.covers(SAFETY_LOOP))
    }

    pub(super) fn in_beam(&self) -> bool {
        self.cars.iter().any(|car| car.covers(BEAM))
    }

    /// The first vehicle that has not driven under the boom yet.
    pub(super) fn front(&mut self) -> Option<&mut Car> {
        self.cars
            .iter_mut()
            .find(|car| car.nose < SAFETY_LOOP.0 && !car.leaves)
    }

    /// Whether a vehicle stands before the boom and for how long already.
    pub(super) fn longest_wait(&self, now: u64) -> u64 {
        let waits = self.cars.iter().filter_map(|car| car.waits);
        waits.map(|at| now - at).max().unwrap_or(0)
    }

    /// Somebody or something disturbed this lane: what is counted of these vehicles may be off.
    pub(super) fn disturb(&mut self) {
        for car in &mut self.cars {
            car.undisturbed = false;
        }
    }

    pub(super) fn arrive(
        &mut self,
        now: u64,
        town: &Town,
        rng: &mut ChaCha8Rng,
        report: &mut Report,
    ) -> bool {
        let room = self.cars.last().is_none_or(|car| car.tail() > SPAWN + 2.0);
        if now < self.next_at || !room || self.cars.len() >= 4 {
            return false;
        }
        self.next_at = now + rng.random_range(500..7000);
        let resident = rng.random_bool(0.75);
        // Going round the lists in turn keeps two vehicles with one plate far apart.
        let plate = if resident {
            self.residents += 1;
            town.residents[self.residents % town.residents.len()]
                .0
                .clone()
        } else {
            self.strangers += 1;
            town.strangers[self.strangers % town.strangers.len()]
                .0
                .clone()
        };
        if self.cars.iter().any(|car| car.plate == plate) {
            return false;
        }
        let habit = match rng.random_range(0..100) {
            0..6 => Habit::StopsBetween,
            6..13 => Habit::Tailgates,
            13..18 => Habit::Reverses,
            18..24 => Habit::Stalls,
            _ => Habit::Ordinary,
        };
        report.habit(habit);
        report.vehicles += 1;
        self.next_id += 1;
        self.cars.push(Car {
            id: self.next_id,
            plate,
            resident,
            habit,
            nose: SPAWN,
            speed: 4.0,
            gap: if habit == Habit::Tailgates {
                rng.random_range(2.6..5.0)
            } else {
                1.0
            },
            permitted: false,
            arrived: now,
            waits: None,
            pause_until: None,
            paused: false,
            patience: rng.random_range(9_000..14_000),
            leaves: false,
            undisturbed: habit != Habit::Tailgates,
            fusion: None,
            seen: None,
            still_since: now,
            read_again: 0,
        });
        true
    }

    /// Lets vehicles drive for `dt` milliseconds under a boom that is open to this part;
    /// `free` says that it is held open and everybody may drive on.
    pub(super) fn drive(
        &mut self,
        now: u64,
        dt: u64,
        open: f64,
        free: bool,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Departed> {
        let mut before: Option<(f64, bool)> = None;
        let seconds = dt as f64 / 1000.0;
        for car in &mut self.cars {
            let up = open > 0.9;
            let before_boom = car.nose <= STOP_LINE + 0.3;
            let waits = before_boom && car.nose >= STOP_LINE - 0.3;
            car.waits = waits.then(|| car.waits.unwrap_or(now));
            let waited = car.waits.map_or(0, |at| now - at);
            // A stranger gives up, and so does who turns back though it may pass.
            let turns = car.habit == Habit::Reverses && car.permitted && waited > 1500;
            let gives_up = !car.resident && !car.permitted && waited > car.patience;
            car.leaves |= waits && (turns || gives_up || waited > 170_000);
            if car.leaves {
                car.waits = None;
                car.nose -= 4.0 * seconds;
                car.still_since = now;
                continue;
            }
            let tailgates =
                car.habit == Habit::Tailgates && before.is_some_and(|(_, through)| through) && up;
            let may_go = up && (car.permitted || free || tailgates);
            let mut limit = f64::INFINITY;
            if before_boom && !may_go {
                limit = STOP_LINE;
            }
            if let Some((tail, _)) = before {
                limit = limit.min(tail - car.gap);
            }
            match car.habit {
                Habit::StopsBetween if !car.paused && car.nose >= -8.0 => {
                    car.paused = true;
                    car.pause_until = Some(now + rng.random_range(2000..9000));
                }
                Habit::Stalls if !car.paused && car.nose >= 1.0 => {
                    car.paused = true;
                    car.pause_until = Some(now + rng.random_range(2000..12_000));
                }
                _ => {}
            }
            let stands = car.pause_until.is_some_and(|until| now < until);
            let fast = if car.nose > STOP_LINE - 1.0 { 2.8 } else { 4.0 };
            let way = if stands { 0.0 } else { fast * seconds };
            let next = (car.nose + way).min(limit.max(car.nose));
            car.speed = (next - car.nose) / seconds.max(1e-3);
            if car.speed > 0.05 {
                car.still_since = now;
            }
            car.nose = next;
            before = Some((car.tail(), car.nose > STOP_LINE + 0.3));
        }
        let mut departed = Vec::new();
        self.cars.retain(|car| {
            let gone = car.tail() > GONE || car.nose < SPAWN - 0.5;
            if gone {
                departed.push(Departed {
                    plate: car.plate.clone(),
                    at: now,
                    arrived: car.arrived,
                    undisturbed: car.undisturbed,
                });
            }
            !gone
        });
        departed
    }

    /// The vehicles that a frame shows, if one comes now.
    pub(super) fn look(
        &mut self,
        now: u64,
        camera: Camera,
        town: &Town,
        rng: &mut ChaCha8Rng,
    ) -> Option<Vec<Vehicle>> {
        if now < self.next_frame {
            return None;
        }
        self.next_frame = now + 250;
        if camera.dark || (camera.drops && rng.random_bool(0.5)) {
            return None;
        }
        let at = Monotonic::from_millis(now);
        for car in &mut self.cars {
            if car.nose < VIEW.0 || car.nose > VIEW.1 {
                continue;
            }
            // A plate that stands still is read again now and then; the rest is the same.
            let stands = now > car.still_since + 1500;
            if let Some(seen) = car.seen.as_mut().filter(|_| stands && now < car.read_again) {
                seen.last_seen = at;
                seen.still_since = Monotonic::from_millis(car.still_since);
                continue;
            }
            car.read_again = now + 2500;
            let matrix = if camera.misreads {
                let any = rng.random_range(0..town.strangers.len());
                match rng.random_range(0..3) {
                    0 => &town.strangers[any].1,
                    1 => &town.smear,
                    _ => town.matrix(&car.plate),
                }
            } else {
                town.matrix(&car.plate)
            };
            let width = 60.0 + (car.nose - VIEW.0) as f32 * 10.0;
            let quad = Quad([
                (0.0, 0.0),
                (width, 0.0),
                (width, width * 0.3),
                (0.0, width * 0.3),
            ]);
            let reading = Reading {
                matrix: matrix.clone(),
                kinds: vec![(PlateKind::Small, LogProb::CERTAIN)],
                quad,
                detected: 0.9,
                sharpness: 14.0,
            };
            let fusion = match car.fusion.take() {
                Some(mut fusion) => {
                    fusion.add(&reading);
                    fusion
                }
                None => Fusion::new(&reading),
            };
            let first_seen = car.seen.as_ref().map_or(at, |seen| seen.first_seen);
            car.seen = Some(Vehicle {
                id: car.id,
                sighting: fusion.sighting(),
                first_seen,
                last_seen: at,
                still_since: Monotonic::from_millis(car.still_since),
            });
            car.fusion = Some(fusion);
        }
        let recent = |seen: &Vehicle| at.since(seen.last_seen).as_millis() < 2000;
        let seen = self.cars.iter().filter_map(|car| car.seen.as_ref());
        Some(seen.filter(|seen| recent(seen)).cloned().collect())
    }

    /// A daemon that starts anew knows none of them.
    pub(super) fn forget(&mut self) {
        for car in &mut self.cars {
            car.fusion = None;
            car.seen = None;
            self.next_id += 1;
            car.id = self.next_id;
        }
    }
}
