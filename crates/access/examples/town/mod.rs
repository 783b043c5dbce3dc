//! A town's worth of registered vehicles, for the measurements.

use std::error::Error;

use access::journal::Stamp;
use access::registry::Vehicle;
use domain::PlateNumber;
use jiff::Timestamp;
use jiff::civil::date;
use uuid::Uuid;

/// Now, under a fresh id.
pub(crate) fn stamp() -> Stamp {
    Stamp {
        id: Uuid::now_v7(),
        time: Timestamp::now(),
        clock_trusted: true,
    }
}

/// Vehicles with plates spread over the letters and numbers of a few offices, as in a town.
///
/// # Errors
/// If a plate is none, which would be a mistake here.
pub(crate) fn vehicles(count: u32) -> Result<Vec<Vehicle>, Box<dyn Error>> {
    let letters: Vec<char> = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789".chars().collect();
    let offices = ["苏E", "苏U", "苏B", "沪A", "浙F"];
    let mut list = Vec::new();
    for n in 0..count {
        // A multiplier coprime to 34^5 visits every serial once.
        let mut serial = (u64::from(n) * 15_485_863) % 45_435_424;
        let mut plate = offices[n as usize % offices.len()].to_owned();
        for _ in 0..5 {
            plate.push(letters[(serial % 34) as usize]);
            serial /= 34;
        }
        let mut vehicle = Vehicle::new(PlateNumber::parse(&plate)?);
        vehicle.owner = format!("王{}", n % 977);
        vehicle.building = format!("{}栋", n % 60 + 1);
        vehicle.unit = format!("{}-{:04}", n % 4 + 1, n % 3000 + 101);
        vehicle.phone = format!("139{n:08}");
        vehicle.valid_until = (n % 3 == 0).then_some(date(2027, 12, 31));
        list.push(vehicle);
    }
    Ok(list)
}
