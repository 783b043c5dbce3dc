//! A boom that is driven by relays: it has inertia, limits and a hand that may lift it.

/// From standing to full speed, and back without a brake, in seconds.
const RAMP: f64 = 0.25;
/// From closed to open at full speed, in seconds.
const TRAVEL: f64 = 1.4;

/// A driven boom.
#[derive(Debug, Clone)]
pub(super) struct MotorBoom {
    /// 0 closed, 1 open.
    pub(super) place: f64,
    speed: f64,
    pub(super) jammed: bool,
    pub(super) lifted: bool,
}

impl MotorBoom {
    pub(super) fn new() -> Self {
        Self {
            place: 0.0,
            speed: 0.0,
            jammed: false,
            lifted: false,
        }
    }

    /// Lets `dt_ms` pass with these contacts closed. Both directions at once move nothing: that
    /// is the interlock of the contactors.
    pub(super) fn step(&mut self, dt_ms: u64, up: bool, down: bool, brake: bool) {
        let dt = dt_ms as f64 / 1000.0;
        let target = match (up, down) {
            _ if brake => 0.0,
            (true, false) => 1.0 / TRAVEL,
            (false, true) => -1.0 / TRAVEL,
            _ if self.lifted && self.place < 0.5 => 0.25,
            _ => 0.0,
        };
        let ramp = if brake { RAMP / 3.0 } else { RAMP };
        let most = dt / ramp / TRAVEL;
        self.speed += (target - self.speed).clamp(-most, most);
        if self.jammed {
            self.speed = 0.0;
        }
        self.place += self.speed * dt;
        if !(0.0..=1.0).contains(&self.place) {
            self.place = self.place.clamp(0.0, 1.0);
            self.speed = 0.0;
        }
    }

    pub(super) fn opened(&self) -> bool {
        self.place >= 0.985
    }

    pub(super) fn closed(&self) -> bool {
        self.place <= 0.015
    }
}
