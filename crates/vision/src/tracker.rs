//! Readings of one vehicle over frames.
//!
//! A pure state machine: [`Tracker::observe`] takes the readings of one frame with its time and
//! answers with every vehicle it knows. Readings join the vehicle whose plate they agree with
//! ([`domain::reading::Matrix::agreement`]) and whose place they could have come from:
//!
//! - Near the place where the vehicle was last seen, a reading belongs to it unless the
//!   characters clearly differ in most places; then it is another vehicle's if it is sure of itself,
//!   and is left out otherwise. So hard frames do not split a vehicle, and a second car nose to
//!   tail, in the very place of the first, does not join it.
//! - Elsewhere, or after a gap, it belongs to it only if the characters clearly agree. So a car
//!   that backs away and returns within [`Settings::rejoin`] is still the same one.
//!
//! A vehicle that stays in the frame stays one vehicle, however long: what a lane makes of a
//! parked car is the lane's business.

use std::time::Duration;

use domain::Monotonic;
use domain::reading::{Alphabet, Fusion, Quad, Reading, Vehicle};

/// What a tracker may assume.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a vehicle that is out of sight can return as the same one.
    pub rejoin: Duration,
    /// A reading whose best valid number is less probable than this starts no vehicle; it may
    /// still add to one.
    pub least_confidence: f32,
    /// A plate narrower than this, in pixels, starts no vehicle; it may still add to one. Its
    /// characters are under six pixels wide: they are often misread with confidence, and the car
    /// is still far from the boom, or already leaving.
    pub least_width: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rejoin: Duration::from_secs(8),
            least_confidence: 0.3,
            least_width: 48.0,
        }
    }
}

/// Nats of disagreement at which a reading near a vehicle's last place is another vehicle's:
/// nearly every character differs, at least five of them clearly (see
/// [`Matrix::PLACE_DIFFERS`](domain::reading::Matrix::PLACE_DIFFERS)). Hardly another vehicle can
/// have got there meanwhile, and a plate that is far away or turns is now and then misread in up to
/// four places with confidence; that must not make a second vehicle of it.
const NEAR_LIMIT: f32 = -33.0;
/// The same for a reading that is unsure of itself and not in the very place where the vehicle was
/// a moment ago: what is taken for a plate there is often none, and must not keep a vehicle in sight
/// that has left.
const UNSURE_LIMIT: f32 = -7.0;
/// How long a moment is, and how far the same place reaches, in plate widths.
const MOMENT: Duration = Duration::from_secs(1);
const SAME_PLACE: f32 = 0.7;
/// Nats of disagreement at which a reading elsewhere or after a gap is another vehicle's.
const FAR_LIMIT: f32 = -3.0;
/// The probability of its likeliest number that a reading needs to start a vehicle while another
/// is there or just was.
const SURE: f32 = 0.8;
/// Movement, in plate widths, that ends standing still.
const MOVED: f32 = 0.35;
/// Plate widths a second by which a plate moves in the picture: a car that drives up at 25 km/h
/// does sixteen on the road, about half as many as a gate's camera looks down on it.
const SPEED: f32 = 8.0;
/// The farthest that it is expected from its last place, in plate widths.
const REACH: f32 = 4.0;
/// By what factor a plate in its place may look larger or smaller, and how much more that is after
/// each second. A sign that is taken for a plate has another size.
const GROWN: f32 = 2.0;
const GROWS: f32 = 1.5;
/// How far two plates in one frame are apart at least, in plate widths.
const APART: f32 = 1.2;
/// A vehicle is expected near its last place for this long.
const NEAR_FOR: Duration = Duration::from_millis(1500);
/// More vehicles than a frame can show; a guard against a flood of false finds.
const AT_MOST_VEHICLES: usize = 32;

struct Track {
    id: u64,
    fusion: Fusion,
    quad: Quad,
    first_seen: Monotonic,
    last_seen: Monotonic,
    still_since: Monotonic,
    /// Where it was when it last moved.
    anchor: Quad,
}

impl Track {
    fn new(id: u64, reading: &Reading, now: Monotonic) -> Self {
        Self {
            id,
            fusion: Fusion::new(reading),
            quad: reading.quad,
            first_seen: now,
            last_seen: now,
            still_since: now,
            anchor: reading.quad,
        }
    }

    fn add(&mut self, reading: &Reading, now: Monotonic) {
        self.fusion.add(reading);
        self.quad = reading.quad;
        self.last_seen = now;
        if distance(&self.anchor, &reading.quad) > MOVED {
            self.anchor = reading.quad;
            self.still_since = now;
        }
    }

    /// Whether the vehicle can be there now: near its last place, and not for long.
    fn may_be_at(&self, quad: &Quad, now: Monotonic) -> bool {
        let gone = now.since(self.last_seen);
        let reach = (0.7 + SPEED * gone.as_secs_f32()).min(REACH);
        let (before, after) = (self.quad.width().max(1.0), quad.width().max(1.0));
        let grown = (after / before).max(before / after);
        gone <= NEAR_FOR
            && distance(&self.quad, quad) <= reach
            && grown <= GROWN + GROWS * gone.as_secs_f32()
    }

    fn vehicle(&self) -> Vehicle {
        Vehicle {
            id: self.id,
            sighting: self.fusion.sighting(),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            still_since: self.still_since,
        }
    }
}

/// Distance of two plates' centres in widths of the larger one.
fn distance(a: &Quad, b: &Quad) -> f32 {
    let ((ax, ay), (bx, by)) = (a.centre(), b.centre());
    (ax - bx).hypot(ay - by) / a.width().max(b.width()).max(1.0)
}

/// The vehicles of one lane.
pub struct Tracker {
    settings: Settings,
    alphabet: Alphabet,
    tracks: Vec<Track>,
    next_id: u64,
}

impl Tracker {
    /// A tracker that has seen nothing yet.
    pub fn new(settings: Settings, alphabet: Alphabet) -> Self {
        Self {
            settings,
            alphabet,
            tracks: Vec::new(),
            next_id: 1,
        }
    }

    /// Takes the readings of one frame, and gives every vehicle in sight or lost for no longer
    /// than [`Settings::rejoin`], in the order in which they were first seen.
    pub fn observe(&mut self, now: Monotonic, readings: &[Reading]) -> Vec<Vehicle> {
        self.tracks
            .retain(|t| now.since(t.last_seen) <= self.settings.rejoin);
        let mut pairs = self.possible_pairs(now, readings);
        // The best agreement joins first; each reading and each vehicle once a frame.
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut reading_used = vec![false; readings.len()];
        let mut track_used = vec![false; self.tracks.len()];
        for (_, track, reading) in pairs {
            if !track_used[track] && !reading_used[reading] {
                track_used[track] = true;
                reading_used[reading] = true;
                self.tracks[track].add(&readings[reading], now);
            }
        }
        for (reading, _) in readings
            .iter()
            .zip(&reading_used)
            .filter(|(_, used)| !**used)
        {
            self.begin(reading, now);
        }
        self.tracks.iter().map(Track::vehicle).collect()
    }

    /// Every (agreement, track, reading) that could be one vehicle.
    fn possible_pairs(&self, now: Monotonic, readings: &[Reading]) -> Vec<(f32, usize, usize)> {
        let mut pairs = Vec::new();
        for (t, track) in self.tracks.iter().enumerate() {
            let sighting = track.fusion.sighting();
            for (r, reading) in readings.iter().enumerate() {
                let apart = distance(&track.quad, &reading.quad);
                let gone = now.since(track.last_seen);
                let same_place = gone <= MOMENT && apart <= SAME_PLACE;
                let near = track.may_be_at(&reading.quad, now);
                let sure = || self.likely(reading) >= self.settings.least_confidence;
                let limit = if same_place || (near && sure()) {
                    NEAR_LIMIT
                } else if near {
                    UNSURE_LIMIT
                } else {
                    FAR_LIMIT
                };
                let agreement = sighting.matrix.agreement(&reading.matrix);
                if agreement > limit {
                    pairs.push((agreement - apart.min(4.0) * 0.25, t, r));
                }
            }
        }
        pairs
    }

    /// The probability of a reading's likeliest valid number.
    fn likely(&self, reading: &Reading) -> f32 {
        let mut numbers = reading.matrix.valid_numbers(&self.alphabet);
        numbers.next().map_or(0.0, |best| best.score.probability())
    }

    fn begin(&mut self, reading: &Reading, now: Monotonic) {
        let likely = self.likely(reading);
        // While a vehicle is there or just was, an unsure reading is rather a bad look at it.
        let lately = |track: &Track| now.since(track.last_seen) <= NEAR_FOR;
        let least = if self.tracks.iter().any(lately) {
            SURE
        } else {
            self.settings.least_confidence
        };
        // Two plates are never so close: it is the same one, found twice in this frame.
        let double = self
            .tracks
            .iter()
            .any(|track| track.last_seen == now && distance(&track.quad, &reading.quad) < APART);
        let legible = reading.quad.width() >= self.settings.least_width;
        if legible && likely >= least && !double && self.tracks.len() < AT_MOST_VEHICLES {
            self.tracks.push(Track::new(self.next_id, reading, now));
            self.next_id += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use domain::PlateKind;
    use domain::reading::{LogProb, Matrix};
    use proptest::prelude::*;

    const CHARACTERS: &str = "苏沪京ABCDEFGHJKLMNPQRSTUVWXYZ0123456789";

    fn alphabet() -> Alphabet {
        Alphabet::new(CHARACTERS).unwrap()
    }

    /// A reading of `text` whose every place has probability `sure`.
    fn reading(text: &str, sure: f32, x: f32, y: f32, width: f32) -> Reading {
        let alphabet = alphabet();
        let classes = alphabet.classes();
        let rest = ((1.0 - sure) / (classes - 1) as f32).ln();
        let mut nats = vec![rest; 8 * classes];
        for slot in 0..8 {
            let class = text
                .chars()
                .nth(slot)
                .map_or(alphabet.blank(), |c| alphabet.class(c).unwrap());
            nats[slot * classes + class] = sure.ln();
        }
        let quad = Quad([
            (x, y),
            (x + width, y),
            (x + width, y + width * 0.3),
            (x, y + width * 0.3),
        ]);
        Reading {
            matrix: Matrix::from_nats(classes, &nats).unwrap(),
            kinds: vec![(PlateKind::Small, LogProb::CERTAIN)],
            quad,
            detected: 0.9,
            sharpness: 15.0,
        }
    }

    fn tracker() -> Tracker {
        Tracker::new(Settings::default(), alphabet())
    }

    fn text(vehicle: &Vehicle) -> String {
        vehicle
            .sighting
            .matrix
            .valid_numbers(&alphabet())
            .next()
            .unwrap()
            .number
            .to_string()
    }

    /// 10 frames a second.
    fn at(frame: u64) -> Monotonic {
        Monotonic::from_millis(1000 + frame * 100)
    }

    #[test]
    fn an_approaching_car_is_one_vehicle_even_with_misread_frames() {
        let mut tracker = tracker();
        let mut last = Vec::new();
        for f in 0..30 {
            let shown = if f % 5 == 3 { "苏E12346" } else { "苏E12345" };
            let (x, y) = (600.0 - f as f32 * 6.0, 200.0 + f as f32 * 8.0);
            last = tracker.observe(at(f), &[reading(shown, 0.9, x, y, 80.0 + f as f32 * 3.0)]);
        }
        assert_eq!(last.len(), 1);
        assert_eq!(text(&last[0]), "苏E12345");
        assert_eq!(last[0].sighting.readings, 30);
    }

    #[test]
    fn two_cars_nose_to_tail_in_the_same_place_are_two() {
        let mut tracker = tracker();
        for f in 0..10 {
            tracker.observe(at(f), &[reading("苏E12345", 0.95, 500.0, 400.0, 160.0)]);
        }
        let mut last = Vec::new();
        for f in 12..20 {
            last = tracker.observe(at(f), &[reading("沪AK7788", 0.99, 505.0, 395.0, 160.0)]);
        }
        assert_eq!(
            last.iter().map(text).collect::<Vec<_>>(),
            ["苏E12345", "沪AK7788"]
        );
    }

    #[test]
    fn a_car_that_backs_away_and_is_misread_from_afar_stays_one_vehicle() {
        let mut tracker = tracker();
        let mut last = Vec::new();
        for f in 0..40 {
            let shown = if f >= 30 && f % 3 > 0 {
                "苏E1UK45"
            } else {
                "苏E12345"
            };
            let width = 160.0 - f as f32 * 2.5;
            let (x, y) = (500.0 + f as f32 * 3.0, 400.0 - f as f32 * 6.0);
            last = tracker.observe(at(f), &[reading(shown, 0.95, x, y, width)]);
        }
        assert_eq!(last.iter().map(text).collect::<Vec<_>>(), ["苏E12345"]);
    }

    #[test]
    fn an_unsure_reading_next_to_a_vehicle_is_that_vehicle_seen_badly() {
        // As in the demo's scenes 8 and 16: the plate of a car that backs into a turn.
        let beside = |shown, sure, after: u64| {
            let mut tracker = tracker();
            for f in 0..10 {
                tracker.observe(at(f), &[reading("苏EPP178", 0.95, 500.0, 400.0, 160.0)]);
            }
            let later =
                tracker.observe(at(9 + after), &[reading(shown, sure, 640.0, 300.0, 110.0)]);
            later.len()
        };
        assert_eq!(beside("苏E78178", 0.9, 10), 1);
        assert_eq!(beside("沪AK7766", 0.9, 10), 1);
        assert_eq!(beside("沪AK7766", 0.99, 10), 2);
        // Once the first has not been seen for a while, anything likely may be another.
        assert_eq!(beside("沪AK7766", 0.9, 20), 2);
    }

    #[test]
    fn a_fast_car_whose_first_reading_is_wrong_is_one_vehicle() {
        // As in the demo's scene 7: a province misread from afar.
        let mut tracker = tracker();
        tracker.observe(at(0), &[reading("沪E54287", 0.99, 560.0, 330.0, 50.0)]);
        let later = tracker.observe(at(3), &[reading("苏E54287", 0.99, 590.0, 380.0, 70.0)]);
        assert_eq!(later.len(), 1);
    }

    #[test]
    fn a_plate_that_is_found_twice_in_a_frame_is_one_vehicle() {
        let mut tracker = tracker();
        let twice = [
            reading("苏E12345", 0.99, 500.0, 400.0, 160.0),
            reading("苏EZZ999", 0.99, 590.0, 460.0, 150.0),
        ];
        assert_eq!(tracker.observe(at(0), &twice).len(), 1);
    }

    #[test]
    fn a_sign_that_is_taken_for_a_plate_neither_draws_a_vehicle_to_it_nor_keeps_it() {
        // As in the demo: a plate drives up from afar, stands as wide as the sign, and leaves.
        let sign = || reading("苏LE11L1", 0.3, 600.0, 80.0, 219.0);
        let car = |x, y, width| reading("苏E12345", 0.99, x, y, width);
        let mut tracker = tracker();
        tracker.observe(at(0), &[car(560.0, 330.0, 50.0), sign()]);
        tracker.observe(at(2), &[sign()]);
        tracker.observe(at(4), &[car(580.0, 350.0, 60.0), sign()]);
        tracker.observe(at(14), &[car(500.0, 560.0, 159.0), sign()]);
        for f in 16..40 {
            let last = tracker.observe(at(f), &[sign()]);
            assert_eq!((last.len(), last[0].last_seen), (1, at(14)), "frame {f}");
        }
    }

    #[test]
    fn two_plates_in_one_frame_stay_apart_while_crossing() {
        let mut tracker = tracker();
        let mut last = Vec::new();
        for f in 0..20 {
            let shift = f as f32 * 20.0;
            last = tracker.observe(
                at(f),
                &[
                    reading("苏E12345", 0.95, 200.0 + shift, 300.0, 120.0),
                    reading("沪AK7788", 0.99, 600.0 - shift, 330.0, 120.0),
                ],
            );
        }
        assert_eq!(last.len(), 2);
        assert!(last.iter().all(|v| v.sighting.readings == 20));
    }

    #[test]
    fn a_car_that_backs_away_and_returns_is_the_same_one_for_a_while() {
        let mut tracker = tracker();
        let first = tracker.observe(at(0), &[reading("苏E12345", 0.95, 500.0, 400.0, 160.0)]);
        let back = tracker.observe(at(50), &[reading("苏E12345", 0.95, 300.0, 100.0, 80.0)]);
        assert_eq!(back[0].id, first[0].id);
        let later = tracker.observe(at(150), &[reading("苏E12345", 0.95, 300.0, 100.0, 80.0)]);
        assert_ne!(later[0].id, first[0].id);
    }

    #[test]
    fn a_parked_car_stays_one_vehicle_and_is_known_to_be_still() {
        let mut tracker = tracker();
        let mut last = Vec::new();
        for f in 0..600 {
            let jitter = (f % 3) as f32;
            last = tracker.observe(
                at(f),
                &[reading("苏E12345", 0.9, 500.0 + jitter, 400.0, 120.0)],
            );
        }
        assert_eq!((last.len(), last[0].still_since), (1, at(0)));
        let moved = tracker.observe(at(601), &[reading("苏E12345", 0.9, 560.0, 420.0, 130.0)]);
        assert_eq!((moved[0].id, moved[0].still_since), (last[0].id, at(601)));
    }

    #[test]
    fn a_plate_far_away_starts_no_vehicle_before_it_is_near_enough_to_read() {
        let mut tracker = tracker();
        let mut begun = None;
        for f in 0..20 {
            let width = 30.0 + f as f32 * 2.0;
            let seen = tracker.observe(at(f), &[reading("苏E12345", 0.99, 300.0, 300.0, width)]);
            begun = begun.or_else(|| (!seen.is_empty()).then_some(width));
        }
        assert_eq!(begun, Some(48.0));
    }

    #[test]
    fn noise_starts_no_vehicle() {
        assert!(
            tracker()
                .observe(at(0), &[reading("苏E12345", 0.5, 1.0, 1.0, 90.0)])
                .is_empty()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_reading_is_counted_once(
            frames in prop::collection::vec(prop::collection::vec((0_usize..4, 0.0_f32..1100.0, 0.0_f32..600.0), 0..4), 1..30)
        ) {
            let plates = ["苏E12345", "沪AK7788", "京B00001", "苏EZZ999"];
            let mut tracker = tracker();
            let mut seen = std::collections::HashMap::new();
            let mut given = 0_u32;
            for (f, frame) in frames.iter().enumerate() {
                let readings: Vec<_> = frame.iter().map(|&(p, x, y)| reading(plates[p], 0.97, x, y, 120.0)).collect();
                given += readings.len() as u32;
                let mut ids = std::collections::HashSet::new();
                for v in tracker.observe(at(f as u64), &readings) {
                    prop_assert!(ids.insert(v.id));
                    prop_assert!(v.first_seen <= v.still_since && v.still_since <= v.last_seen);
                    seen.insert(v.id, v.sighting.readings);
                }
            }
            prop_assert!(seen.values().sum::<u32>() <= given);
        }
    }
}
