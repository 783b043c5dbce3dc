//! The snapshot that decisions are made against.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use domain::reading::{Alphabet, Matrix, SLOTS, Score};
use domain::{PlateNumber, Sighting};

use super::book::{Book, Space, Visit};
use super::{Label, Vehicle};
use crate::pass::Pass;

/// The classes of a registered number's characters, and its place in the list.
type Classes = (u32, [u8; SLOTS]);

/// The register as it stood at one version: immutable, cheap to clone, shared by all lanes.
#[derive(Clone)]
pub struct RegistryView(Arc<Snapshot>);

struct Snapshot {
    version: u64,
    /// In order of their plates.
    vehicles: Vec<Vehicle>,
    /// Plates that are only booked as visitors or bound by a pass; their places follow the
    /// vehicles'.
    visitors: Vec<Vehicle>,
    places: HashMap<PlateNumber, u32>,
    book: Book,
    indexes: Indexes,
    /// The numbers in classes of each alphabet that was scored with. A house has one or two.
    classes: Mutex<Vec<(Alphabet, Arc<Vec<Classes>>)>>,
}

/// What leads from one kind of record to others. Built anew with every snapshot from its
/// records, so that it cannot drift from them.
#[derive(Debug, PartialEq, Eq, Default)]
struct Indexes {
    /// A household's vehicles, by their places.
    household_vehicles: HashMap<Label, Vec<u32>>,
    /// A household's spaces that all of its vehicles share.
    household_spaces: HashMap<Label, Vec<Label>>,
    /// Households that have a space.
    with_space: HashSet<Label>,
    /// Spaces that name a plate.
    plate_spaces: HashMap<PlateNumber, Vec<Label>>,
    /// A plate's bookings.
    visits: HashMap<PlateNumber, Vec<Visit>>,
    /// The passes that bind a plate, in order of their numbers.
    passes: HashMap<PlateNumber, Vec<Pass>>,
    spaces: HashMap<Label, Space>,
}

impl Indexes {
    fn of(vehicles: &[Vehicle], book: &Book) -> Self {
        let mut indexes = Self::default();
        for (vehicle, place) in vehicles.iter().zip(0..) {
            if let Some(id) = &vehicle.household {
                let list = indexes.household_vehicles.entry(id.clone()).or_default();
                list.push(place);
            }
        }
        for space in book.spaces() {
            indexes.with_space.insert(space.household.clone());
            if space.shared_by.is_empty() {
                let list = indexes.household_spaces.entry(space.household.clone());
                list.or_default().push(space.id.clone());
            }
            for plate in &space.shared_by {
                let list = indexes.plate_spaces.entry(plate.clone()).or_default();
                list.push(space.id.clone());
            }
            indexes.spaces.insert(space.id.clone(), space.clone());
        }
        for visit in book.visits() {
            let list = indexes.visits.entry(visit.plate.clone()).or_default();
            list.push(visit.clone());
        }
        for pass in book.passes() {
            if let Some(plate) = pass.bearer.plate() {
                let list = indexes.passes.entry(plate.clone()).or_default();
                list.push(pass.clone());
            }
        }
        indexes
    }
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
    /// A snapshot of `vehicles` alone; of two with one plate the later counts.
    pub fn new(version: u64, vehicles: Vec<Vehicle>) -> Self {
        Self::with_book(version, vehicles, Book::default())
    }

    /// A snapshot of `vehicles` and everything else; of two vehicles with one plate the later
    /// counts.
    pub fn with_book(version: u64, mut vehicles: Vec<Vehicle>, book: Book) -> Self {
        if !vehicles.is_sorted_by(|a, b| a.plate < b.plate) {
            vehicles.reverse();
            vehicles.sort_by(|a, b| a.plate.cmp(&b.plate));
            vehicles.dedup_by(|a, b| a.plate == b.plate);
        }
        let mut places: HashMap<PlateNumber, u32> = vehicles
            .iter()
            .zip(0..)
            .map(|(vehicle, place)| (vehicle.plate.clone(), place))
            .collect();
        let mut visitors: Vec<Vehicle> = Vec::new();
        let booked = book.visits().map(|visit| &visit.plate);
        let bound = book.passes().filter_map(|pass| pass.bearer.plate());
        for plate in booked.chain(bound) {
            let next = (vehicles.len() + visitors.len()) as u32;
            if let std::collections::hash_map::Entry::Vacant(free) = places.entry(plate.clone()) {
                free.insert(next);
                visitors.push(Vehicle::new(plate.clone()));
            }
        }
        let indexes = Indexes::of(&vehicles, &book);
        Self(Arc::new(Snapshot {
            version,
            vehicles,
            visitors,
            places,
            book,
            indexes,
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

    /// The registered vehicle with exactly this plate; a visitor's or a pass's is none.
    pub fn get(&self, plate: &PlateNumber) -> Option<&Vehicle> {
        let &index = self.0.places.get(plate)?;
        self.0.vehicles.get(index as usize)
    }

    /// Whether exactly this plate is known here: registered, booked as a visitor's, or bound
    /// by a pass.
    pub fn contains(&self, plate: &PlateNumber) -> bool {
        self.0.places.contains_key(plate)
    }

    /// Everything but the vehicles.
    pub fn book(&self) -> &Book {
        &self.0.book
    }

    /// The bookings of a plate, in order of their beginnings.
    pub fn visits(&self, plate: &PlateNumber) -> &[Visit] {
        let visits = self.0.indexes.visits.get(plate);
        visits.map_or(&[], Vec::as_slice)
    }

    /// The passes that bind a plate, in order of their numbers.
    pub fn passes(&self, plate: &PlateNumber) -> &[Pass] {
        let passes = self.0.indexes.passes.get(plate);
        passes.map_or(&[], Vec::as_slice)
    }

    /// A household's vehicles, in order of their plates.
    pub fn vehicles_of<'a>(
        &'a self,
        household: &Label,
    ) -> impl Iterator<Item = &'a Vehicle> + use<'a> {
        let places = self.0.indexes.household_vehicles.get(household);
        places
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .filter_map(|&place| self.0.vehicles.get(place as usize))
    }

    /// Whether spaces are counted for a plate: its household has one, or one names it.
    pub fn needs_space(&self, plate: &PlateNumber) -> bool {
        let indexes = &self.0.indexes;
        let household = self.get(plate).and_then(|v| v.household.as_ref());
        household.is_some_and(|id| indexes.with_space.contains(id))
            || indexes.plate_spaces.contains_key(plate)
    }

    /// The spaces that a plate's vehicle may stand on.
    pub fn spaces_of(&self, plate: &PlateNumber) -> Vec<&Label> {
        let indexes = &self.0.indexes;
        let household = self.get(plate).and_then(|v| v.household.as_ref());
        let shared = household.and_then(|id| indexes.household_spaces.get(id));
        let named = indexes.plate_spaces.get(plate);
        shared.into_iter().chain(named).flatten().collect()
    }

    /// The vehicles that may stand on a space.
    pub fn vehicles_on(&self, space: &Label) -> Vec<&PlateNumber> {
        match self.0.indexes.spaces.get(space) {
            None => Vec::new(),
            Some(space) if space.shared_by.is_empty() => self
                .vehicles_of(&space.household)
                .map(|v| &v.plate)
                .collect(),
            Some(space) => space.shared_by.iter().collect(),
        }
    }

    /// Whether indexes and places are what the records say.
    pub(crate) fn indexes_agree(&self) -> bool {
        let fresh = Self::with_book(
            self.version(),
            self.vehicles().to_vec(),
            self.book().clone(),
        );
        fresh.0.indexes == self.0.indexes
            && fresh.0.places == self.0.places
            && fresh.0.visitors == self.0.visitors
    }

    /// The vehicle in a place; a visitor's stands behind the registered ones.
    fn at(&self, place: u32) -> Option<&Vehicle> {
        let place = place as usize;
        let registered = self.0.vehicles.get(place);
        registered.or_else(|| {
            self.0
                .visitors
                .get(place.checked_sub(self.0.vehicles.len())?)
        })
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
            let vehicle = self.at(place)?;
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
                .chain(&self.0.visitors)
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
    /// Whether version and records are the same.
    fn eq(&self, other: &Self) -> bool {
        self.version() == other.version()
            && self.vehicles() == other.vehicles()
            && self.book() == other.book()
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
