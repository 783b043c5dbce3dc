//! The snapshot that decisions are made against.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use domain::reading::{Alphabet, Matrix, SLOTS, Score};
use domain::{PlateNumber, Sighting};

use super::Vehicle;

/// The classes of a registered number's characters, and its place in the list.
type Classes = (u32, [u8; SLOTS]);

/// The register as it stood at one version: immutable, cheap to clone, shared by all lanes.
#[derive(Clone)]
pub struct RegistryView(Arc<Snapshot>);

struct Snapshot {
    version: u64,
    /// In order of their plates.
    vehicles: Vec<Vehicle>,
    places: HashMap<PlateNumber, u32>,
    /// The numbers in classes of each alphabet that was scored with. A house has one or two.
    classes: Mutex<Vec<(Alphabet, Arc<Vec<Classes>>)>>,
}

/// A registered vehicle and how well its plate explains a sighting.
#[derive(Debug, Clone, Copy)]
pub struct Ranked<'a> {
    /// The vehicle.
    pub vehicle: &'a Vehicle,
    /// Its plate's score.
    pub score: Score,
}

impl RegistryView {
    /// A snapshot of `vehicles`; of two with one plate the later counts.
    pub fn new(version: u64, mut vehicles: Vec<Vehicle>) -> Self {
        vehicles.reverse();
        vehicles.sort_by(|a, b| a.plate.cmp(&b.plate));
        vehicles.dedup_by(|a, b| a.plate == b.plate);
        let places = vehicles
            .iter()
            .zip(0..)
            .map(|(vehicle, place)| (vehicle.plate.clone(), place))
            .collect();
        Self(Arc::new(Snapshot {
            version,
            vehicles,
            places,
            classes: Mutex::new(Vec::new()),
        }))
    }

    /// Counts the changes of the register.
    pub fn version(&self) -> u64 {
        self.0.version
    }

    /// How many vehicles are registered.
    pub fn len(&self) -> usize {
        self.0.vehicles.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.vehicles.is_empty()
    }

    /// All vehicles in order of their plates.
    pub fn vehicles(&self) -> &[Vehicle] {
        &self.0.vehicles
    }

    /// The vehicle with exactly this plate.
    pub fn get(&self, plate: &PlateNumber) -> Option<&Vehicle> {
        let &index = self.0.places.get(plate)?;
        self.0.vehicles.get(index as usize)
    }

    /// Whether exactly this plate is registered.
    pub fn contains(&self, plate: &PlateNumber) -> bool {
        self.0.places.contains_key(plate)
    }

    /// The two registered plates that explain the sighting best, best first; of equal ones the
    /// first by plate. Plates with a character that the alphabet lacks do not take part.
    /// Nothing, if the sighting is not over this alphabet.
    pub fn best_two(&self, sighting: &Sighting, alphabet: &Alphabet) -> [Option<Ranked<'_>>; 2] {
        let matrix: &Matrix = &sighting.matrix;
        if matrix.classes() != alphabet.classes() {
            return [None, None];
        }
        let mut best: [Option<(u32, Score)>; 2] = [None, None];
        for (place, classes) in self.classes(alphabet).iter() {
            let score = matrix.score_classes(&classes.map(usize::from));
            if best[0].is_none_or(|(_, top)| score > top) {
                best = [Some((*place, score)), best[0]];
            } else if best[1].is_none_or(|(_, second)| score > second) {
                best[1] = Some((*place, score));
            }
        }
        best.map(|entry| {
            let (place, score) = entry?;
            let vehicle = self.0.vehicles.get(place as usize)?;
            Some(Ranked { vehicle, score })
        })
    }

    /// Prepares scoring over an alphabet, so that the first car does not wait for it.
    pub fn warm(&self, alphabet: &Alphabet) {
        self.classes(alphabet);
    }

    fn classes(&self, alphabet: &Alphabet) -> Arc<Vec<Classes>> {
        let mut known = self
            .0
            .classes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, classes)) = known.iter().find(|(of, _)| of == alphabet) {
            return Arc::clone(classes);
        }
        let class_of: HashMap<char, u8> = alphabet
            .characters()
            .iter()
            .copied()
            .zip(0..=u8::MAX)
            .collect();
        let blank = alphabet.blank() as u8;
        let classes: Arc<Vec<Classes>> = Arc::new(
            self.0
                .vehicles
                .iter()
                .zip(0..)
                .filter_map(|(vehicle, place)| {
                    let mut classes = [blank; SLOTS];
                    for (slot, c) in vehicle.plate.as_str().chars().enumerate() {
                        *classes.get_mut(slot)? = *class_of.get(&c)?;
                    }
                    Some((place, classes))
                })
                .collect(),
        );
        known.push((alphabet.clone(), Arc::clone(&classes)));
        classes
    }
}

impl fmt::Debug for RegistryView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RegistryView {{ version: {}, vehicles: {} }}",
            self.version(),
            self.len()
        )
    }
}

impl PartialEq for RegistryView {
    /// Whether version and vehicles are the same.
    fn eq(&self, other: &Self) -> bool {
        self.version() == other.version() && self.vehicles() == other.vehicles()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_later_row_of_one_plate_counts_and_order_is_by_plate() {
        let plate = |t: &str| PlateNumber::parse(t).unwrap();
        let mut second = Vehicle::new(plate("苏E12345"));
        second.owner = "later".into();
        let view = RegistryView::new(
            7,
            vec![
                Vehicle::new(plate("苏E12345")),
                Vehicle::new(plate("京A00001")),
                second,
            ],
        );
        assert_eq!((view.version(), view.len()), (7, 2));
        assert_eq!(view.get(&plate("苏E12345")).unwrap().owner, "later");
        assert!(!view.contains(&plate("苏E12346")));
        assert!(view.vehicles().is_sorted_by_key(|v| &v.plate));
    }
}
