//! How long one decision takes against registers of several sizes.

use std::error::Error;
use std::time::Instant;

use access::policy::{Margins, PolicyInput, decide};
use access::registry::{RegistryView, Vehicle};
use domain::reading::{Alphabet, LogProb, Matrix, Quad, SLOTS};
use domain::{Direction, PlateNumber, Sighting};

fn main() -> Result<(), Box<dyn Error>> {
    let alphabet = Alphabet::new("京津沪苏浙皖ABCDEFGHJKLMNPQRSTUVWXYZ0123456789")?;
    let shown: Vec<char> = "苏E12345".chars().collect();
    let mut values = Vec::new();
    for slot in 0..SLOTS {
        for class in 0..alphabet.classes() {
            let right = alphabet.character(class) == shown.get(slot).copied();
            values.push(LogProb::from_nats(if right { -0.01 } else { -8.0 }));
        }
    }
    let sighting = Sighting {
        matrix: Matrix::new(alphabet.classes(), values)?,
        kind: None,
        readings: 3,
        quad: Quad([(0.0, 0.0); 4]),
    };
    let margins = Margins::default();
    for size in [100_u32, 1000, 10_000, 100_000] {
        let rows = (0..size)
            .map(|n| PlateNumber::parse(&format!("苏E{n:05}")).map(Vehicle::new))
            .collect::<Result<Vec<_>, _>>()?;
        let view = RegistryView::new(1, rows);
        let began = Instant::now();
        view.warm(&alphabet);
        let warm = began.elapsed();
        let mut times = Vec::new();
        for _ in 0..50 {
            let began = Instant::now();
            let verdict = decide(&PolicyInput {
                sighting: Some(&sighting),
                registry: Some(&view),
                alphabet: &alphabet,
                direction: Direction::Entry,
                today: None,
                final_look: true,
                margins: &margins,
            });
            times.push(began.elapsed());
            if verdict.is_none() {
                return Err("no verdict on the final look".into());
            }
        }
        times.sort();
        println!(
            "{size:7} registered: median {:?}, slowest {:?} (prepared in {warm:?})",
            times[25], times[49]
        );
    }
    Ok(())
}
