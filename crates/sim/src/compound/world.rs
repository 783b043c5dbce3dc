//! One compound under a virtual clock: three gates, the books, and what befalls them.

use std::collections::HashMap;

use access::registry::Vehicle;
use domain::{Direction, PassageId};
use jiff::{SignedDuration, Timestamp};
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::blow::{Blow, Blows};
use super::books::{Books, Sabotage};
use super::daemon::Input;
use super::report::Report;
use super::sensor::Ailment;
use super::site::{LATELY, Site, Surroundings};
use super::traffic::Town;
use super::watch::Violation;
use gate::barrier::managed::Output;
use gate::line::Line;

/// A blow that lasts.
#[derive(Debug)]
struct Falling {
    blow: Blow,
    /// The gate it falls on; all of them without.
    site: Option<usize>,
    sensor: Option<usize>,
    until: u64,
}

/// How the daemon dies next.
#[derive(Debug, Clone, Copy)]
struct Kill {
    blow: Blow,
    /// If nothing is on its way to the disk by then, it dies all the same.
    by: u64,
}

/// A world.
pub(super) struct World {
    now: u64,
    pub(super) steps: u64,
    rng: ChaCha8Rng,
    town: Town,
    sites: Vec<Site>,
    books: Books,
    blows: Vec<Blow>,
    falling: Vec<Falling>,
    kill: Option<Kill>,
    restart_at: Option<u64>,
    safe_off_at: Option<u64>,
    hung_until: u64,
    wall: Timestamp,
    disturbed_until: Vec<u64>,
    calm_until: u64,
    storm_until: u64,
    arrivals: bool,
    sabotage: Sabotage,
    ids: u128,
    began: HashMap<PassageId, u64>,
    pub(super) report: Report,
}

/// The longest that a compound may take to come to rest once all is well.
const REST_WITHIN: u64 = 300_000;
/// Nobody may wait longer than this at a gate that nothing ails.
const STARVED: u64 = 150_000;

macro_rules! around {
    ($world:ident, $dt:expr) => {
        Surroundings {
            now: $world.now,
            dt: $dt,
            wall: $world.wall,
            town: &$world.town,
            registry: $world.readable_registry(),
            hung: $world.now < $world.hung_until,
            arrivals: $world.arrivals,
            troubled: $world.troubled(),
            sabotage: $world.sabotage,
            ids: &mut $world.ids,
            began: &mut $world.began,
            rng: &mut $world.rng,
            report: &mut $world.report,
        }
    };
}

impl World {
    pub(super) fn new(seed: u64, blows: &Blows, sabotage: Sabotage) -> Result<Self, Violation> {
        let broken = |what: &str| Violation {
            invariant: 13,
            what: what.to_owned(),
            trail: Vec::new(),
        };
        let town = Town::new().ok_or_else(|| broken("the town has impossible plates"))?;
        let wall = Timestamp::from_second(1_800_000_000).map_err(|_| broken("no such time"))?;
        let residents = town.residents.iter();
        let residents = residents.map(|(plate, _)| Vehicle::new(plate.clone()));
        let mut books = Books::new(residents.collect(), wall)?;
        books.sabotage = sabotage;
        let lane = |name: &str| name.parse().map_err(|_| broken("no such lane"));
        let mut sites = vec![
            Site::new("north", lane("north-in")?, Direction::Entry, false, 1),
            Site::new("south", lane("south-in")?, Direction::Entry, true, 2),
            Site::new("east", lane("east-out")?, Direction::Exit, true, 3),
        ];
        for site in &mut sites {
            site.start(0)?;
        }
        Ok(Self {
            now: 1000,
            steps: 0,
            rng: ChaCha8Rng::seed_from_u64(seed),
            town,
            disturbed_until: vec![0; sites.len()],
            sites,
            books,
            blows: blows.kinds().to_vec(),
            falling: Vec::new(),
            kill: None,
            restart_at: None,
            safe_off_at: None,
            hung_until: 0,
            wall,
            calm_until: 8000,
            storm_until: 0,
            arrivals: true,
            sabotage,
            ids: 1,
            began: HashMap::new(),
            report: Report::default(),
        })
    }

    /// Plays until so many passages have arrived at the committee, and then until all rests.
    pub(super) fn play(&mut self, passages: u64, told: &dyn Fn(u64)) -> Result<(), Violation> {
        let mut said = 0;
        while self.books.committee.count < passages {
            self.step()?;
            if self.books.committee.count != said {
                told(self.books.committee.count - said);
                said = self.books.committee.count;
            }
            if self.now > 400_000 + passages * 60_000 {
                return Err(self.broken(13, "the compound has come to a standstill"));
            }
        }
        self.heal();
        let healed = self.now;
        while !self.rests() {
            self.step()?;
            if self.now > healed + REST_WITHIN {
                let who = self.restless();
                return Err(self.broken(13, &format!("after all is well again {who}")));
            }
        }
        self.settle()?;
        self.report.passages += self.books.committee.count;
        told(self.books.committee.count - said);
        self.report.steps += self.steps;
        self.report.simulated_ms += self.now;
        Ok(())
    }

    fn broken(&self, invariant: u8, what: &str) -> Violation {
        Violation {
            invariant,
            what: format!("at {} ms: {what}", self.now),
            trail: Vec::new(),
        }
    }

    fn readable_registry(&self) -> Option<access::registry::RegistryView> {
        if self.is_falling(Blow::RegisterLost) {
            return None;
        }
        self.books.registry().cloned()
    }

    fn is_falling(&self, blow: Blow) -> bool {
        self.falling.iter().any(|falling| falling.blow == blow)
    }

    /// Whether camera, broker or disk fail.
    fn troubled(&self) -> bool {
        let troubles = [
            Blow::CameraDark,
            Blow::BrokerAway,
            Blow::DiskFull,
            Blow::BudgetUsedUp,
        ];
        self.falling.iter().any(|f| troubles.contains(&f.blow))
    }

    fn step(&mut self) -> Result<(), Violation> {
        let dt = self.rng.random_range(10..=50);
        self.now += dt;
        self.steps += 1;
        let passed = SignedDuration::from_millis(dt as i64);
        self.wall = self.wall.checked_add(passed).unwrap_or(self.wall);
        self.weather();
        self.lives_and_deaths()?;
        for which in 0..self.sites.len() {
            let mut around = around!(self, dt);
            if let Some(site) = self.sites.get_mut(which) {
                site.step(&mut around);
                if around.now < self.disturbed_until[which] {
                    site.traffic.disturb();
                }
                if let Some(daemon) = &mut site.daemon {
                    for event in daemon.records.drain(..) {
                        self.books.record(event, self.wall);
                    }
                }
                if let Some(violation) = site.watch.violation.take() {
                    return Err(violation);
                }
                let wait = site.traffic.longest_wait(self.now);
                if wait > STARVED && self.now > self.disturbed_until[which] + STARVED {
                    let what = format!("a vehicle starves at barrier {}", site.name);
                    return Err(self.broken(13, &what));
                }
            }
        }
        if self.restart_at.is_none() && self.now >= self.hung_until {
            let (rng, report) = (&mut self.rng, &mut self.report);
            self.books.step(self.now, self.wall, rng, report);
        }
        if std::mem::take(&mut self.books.gap_seen) {
            // What made room is declared, and counts as lost.
            for site in &mut self.sites {
                site.departed.clear();
            }
        }
        match self.books.violation.take() {
            Some(violation) => Err(self.broken(violation.invariant, &violation.what)),
            None => Ok(()),
        }
    }

    /// Storms and calms take turns.
    fn weather(&mut self) {
        let now = self.now;
        let over: Vec<Falling> = self.falling.extract_if(.., |f| now >= f.until).collect();
        for falling in over {
            self.ends(&falling);
        }
        for falling in &self.falling {
            if disturbs(falling.blow) {
                for which in 0..self.sites.len() {
                    if falling.site.is_none_or(|site| site == which) {
                        self.disturbed_until[which] = now + 6000;
                    }
                }
            }
        }
        if self.blows.is_empty() || !self.arrivals || now < self.calm_until {
            return;
        }
        if now >= self.storm_until {
            self.storm_until = now + self.rng.random_range(15_000..40_000);
            self.calm_until = now;
            return;
        }
        if now + 200 >= self.storm_until {
            self.calm_until = now + self.rng.random_range(10_000..40_000);
            return;
        }
        if self.falling.len() < 3 && self.rng.random_bool(0.01) {
            let blow = self.blows.choose(&mut self.rng).copied();
            if let Some(blow) = blow {
                self.falls(blow);
            }
        }
    }

    fn lasts(&mut self, blow: Blow, site: Option<usize>, sensor: Option<usize>, span: (u64, u64)) {
        let until = self.now + self.rng.random_range(span.0..span.1);
        self.report.blow(blow);
        self.falling.push(Falling {
            blow,
            site,
            sensor,
            until,
        });
    }

    /// A sensor of a gate that is well and fits.
    fn well_sensor(&mut self, which: usize, fits: impl Fn(&Line) -> bool) -> Option<usize> {
        let sensors = &self.sites.get(which)?.sensors;
        let well: Vec<usize> = (0..sensors.len())
            .filter(|&i| sensors[i].ailment.is_none() && fits(&sensors[i].line))
            .collect();
        well.choose(&mut self.rng).copied()
    }

    fn ail(&mut self, which: usize, sensor: Option<usize>, ailment: Option<Ailment>) -> bool {
        let site = self.sites.get_mut(which);
        let sensor = site.zip(sensor).and_then(|(s, i)| s.sensors.get_mut(i));
        sensor.map(|sensor| sensor.ailment = ailment).is_some()
    }

    fn ail_for(
        &mut self,
        blow: Blow,
        which: usize,
        fits: impl Fn(&Line) -> bool,
        ailment: Ailment,
        span: (u64, u64),
    ) {
        let sensor = self.well_sensor(which, fits);
        if self.ail(which, sensor, Some(ailment)) {
            self.lasts(blow, Some(which), sensor, span);
        }
    }

    #[allow(clippy::too_many_lines)] // one arm a blow
    fn falls(&mut self, blow: Blow) {
        let which = self.rng.random_range(0..self.sites.len());
        let managed = self.sites.get(which).is_some_and(|site| site.managed);
        let site = Some(which);
        let already = self
            .falling
            .iter()
            .any(|f| f.blow == blow && (f.site.is_none() || f.site == site));
        if already || self.restart_at.is_some() || self.kill.is_some() {
            return;
        }
        // Orders and the port's errors reach the barrier through the daemon; while it hangs they
        // do not.
        let hung = self.now < self.hung_until;
        if hung && matches!(blow, Blow::Hold | Blow::Flood | Blow::Replay) {
            return;
        }
        let presence = |line: &Line| matches!(line, Line::SafetyLoop | Line::LightBeam);
        let looped = |line: &Line| presence(line) || matches!(line, Line::ArrivalLoop(_));
        let limit = |line: &Line| matches!(line, Line::OpenedLimit | Line::ClosedLimit);
        match blow {
            Blow::LoopChatters => {
                self.ail_for(blow, which, looped, Ailment::Chatters, (3000, 8000));
            }
            Blow::LoopSticks => {
                let span = if self.rng.random_bool(0.3) {
                    (32_000, 40_000)
                } else {
                    (2000, 8000)
                };
                self.ail_for(blow, which, looped, Ailment::Stuck(true), span);
            }
            Blow::LoopDead => {
                self.ail_for(blow, which, looped, Ailment::Stuck(false), (8000, 20_000));
            }
            Blow::InputMissing if managed => {
                self.ail_for(blow, which, |_| true, Ailment::Missing, (1200, 4000));
            }
            Blow::LimitSticks => {
                self.ail_for(blow, which, limit, Ailment::Stuck(true), (6000, 15_000));
            }
            Blow::InputsSilent if managed => {
                self.set(which, |site| site.inputs_silent = true);
                self.lasts(blow, site, None, (520, 1600));
            }
            Blow::RelaySticks if managed && !hung && self.rng.random_bool(0.3) => {
                // The board does not take a write.
                let mut around = around!(self, 0);
                if let Some(site) = self.sites.get_mut(which) {
                    site.feed(around.now, Input::PortFailed, &mut around);
                }
                self.lasts(blow, site, None, (1, 2));
            }
            Blow::RelaySticks if managed => {
                let output = if self.rng.random() {
                    Output::Open
                } else {
                    Output::Close
                };
                self.set(which, |site| site.welded = Some(output));
                self.lasts(blow, site, None, (4000, 12_000));
            }
            Blow::RelaySticks => {
                self.set(which, |site| site.port_sticks = true);
                self.lasts(blow, site, None, (3000, 9000));
            }
            Blow::MotorJams if managed => {
                self.set(which, |site| site.jam(true));
                self.lasts(blow, site, None, (11_000, 16_000));
            }
            Blow::BoomLifted if managed => {
                self.set(which, |site| site.lift(true));
                self.lasts(blow, site, None, (2000, 4000));
            }
            Blow::Fire => {
                self.set(which, |site| site.fire = true);
                self.lasts(blow, site, None, (1000, 15_000));
            }
            Blow::Stop => {
                self.set(which, |site| site.stop = true);
                self.lasts(blow, site, None, (400, 5000));
            }
            Blow::Hold if managed => {
                let mut around = around!(self, 0);
                if let Some(site) = self.sites.get_mut(which) {
                    site.hold(around.now, &mut around);
                }
                self.lasts(blow, site, None, (5000, 80_000));
            }
            Blow::Flood | Blow::Replay => {
                let mut around = around!(self, 0);
                if let Some(site) = self.sites.get_mut(which) {
                    let now = around.now;
                    match blow {
                        Blow::Flood => site.flood(now, &mut around),
                        _ => site.replay(now, &mut around),
                    }
                }
                self.lasts(blow, site, None, (1, 2));
            }
            Blow::CameraDrops => {
                self.set(which, |site| site.camera.drops = true);
                self.lasts(blow, site, None, (3000, 10_000));
            }
            Blow::CameraDark => {
                self.set(which, |site| site.camera.dark = true);
                self.lasts(blow, site, None, (3000, 12_000));
            }
            Blow::Misreads => {
                self.set(which, |site| site.camera.misreads = true);
                self.lasts(blow, site, None, (3000, 10_000));
            }
            Blow::RegisterLost => self.lasts(blow, None, None, (3000, 8000)),
            Blow::BrokerAway | Blow::BudgetUsedUp => {
                self.books.broker_away = true;
                self.books.budget_used_up |= blow == Blow::BudgetUsedUp;
                let long = if blow == Blow::BudgetUsedUp {
                    60_000
                } else {
                    20_000
                };
                self.lasts(blow, None, None, (long / 4, long));
            }
            Blow::DiskFull => {
                self.books.disk_full(true);
                self.lasts(blow, None, None, (2000, 6000));
            }
            Blow::SyncFails => {
                self.books.sync_fails();
                // Somebody reads the alarm and restarts it.
                let by = self.now + self.rng.random_range(4000..8000);
                self.kill = Some(Kill { blow, by });
            }
            Blow::KillDaemon | Blow::KillBoth | Blow::Restart | Blow::PowerCut => {
                self.kill = Some(Kill { blow, by: self.now });
            }
            Blow::WritesLost | Blow::WritesTorn => {
                let by = self.now + 4000;
                self.kill = Some(Kill { blow, by });
            }
            Blow::KillGuard if self.now >= self.hung_until => {
                let mut around = around!(self, 0);
                if let Some(site) = self.sites.get_mut(which) {
                    site.kill_guard(around.now, &mut around);
                }
                self.lasts(blow, site, None, (1, 2));
                self.disturbed_until[which] = self.now + 6000;
            }
            // Where the relay guard has just been killed, only the daemon's next one releases.
            // If the daemon hangs as well, nobody does before the service's watchdog: that is
            // more than invariant 7 promises, which knows one or the other.
            Blow::Hang if self.sites.iter().all(Site::has_relay_guard) => {
                self.hung_until = self.now + self.rng.random_range(200..2500);
                self.lasts(blow, None, None, (2500, 2600));
            }
            Blow::ClockJumps => {
                let seconds = self.rng.random_range(-200_000..200_000);
                let jump = SignedDuration::from_secs(seconds);
                self.wall = self.wall.checked_add(jump).unwrap_or(self.wall);
                self.lasts(blow, None, None, (1, 2));
            }
            Blow::KillGuard
            | Blow::Hang
            | Blow::InputMissing
            | Blow::InputsSilent
            | Blow::MotorJams
            | Blow::BoomLifted
            | Blow::Hold => {}
        }
    }

    fn set(&mut self, which: usize, change: impl Fn(&mut Site)) {
        if let Some(site) = self.sites.get_mut(which) {
            change(site);
        }
    }

    fn ends(&mut self, falling: &Falling) {
        let which = falling.site.unwrap_or(0);
        match falling.blow {
            Blow::LoopChatters
            | Blow::LoopSticks
            | Blow::LoopDead
            | Blow::InputMissing
            | Blow::LimitSticks => {
                self.ail(which, falling.sensor, None);
            }
            Blow::InputsSilent => self.set(which, |site| site.inputs_silent = false),
            Blow::RelaySticks => self.set(which, |site| {
                site.port_sticks = false;
                site.welded = None;
            }),
            Blow::MotorJams => self.set(which, |site| site.jam(false)),
            Blow::BoomLifted => self.set(which, |site| site.lift(false)),
            Blow::Fire => self.set(which, |site| site.fire = false),
            Blow::Stop => self.set(which, |site| site.stop = false),
            // A hung daemon misses the order to end the hold, which then lasts to its cap.
            Blow::Hold if self.now < self.hung_until => {}
            Blow::Hold => {
                let mut around = around!(self, 0);
                if let Some(site) = self.sites.get_mut(which) {
                    site.feed(around.now, Input::EndHold, &mut around);
                }
            }
            Blow::CameraDrops => self.set(which, |site| site.camera.drops = false),
            Blow::CameraDark => self.set(which, |site| site.camera.dark = false),
            Blow::Misreads => self.set(which, |site| site.camera.misreads = false),
            Blow::BrokerAway | Blow::BudgetUsedUp => {
                self.books.broker_away =
                    self.is_falling(Blow::BrokerAway) || self.is_falling(Blow::BudgetUsedUp);
                self.books.budget_used_up = self.is_falling(Blow::BudgetUsedUp);
            }
            Blow::DiskFull => self.books.disk_full(false),
            _ => {}
        }
    }

    /// The daemon dies and comes back.
    fn lives_and_deaths(&mut self) -> Result<(), Violation> {
        let now = self.now;
        if self.safe_off_at.is_some_and(|at| now >= at) {
            self.safe_off_at = None;
            for site in &mut self.sites {
                site.safe_off(now, &mut self.report);
            }
        }
        if self.restart_at.is_some_and(|at| now >= at) {
            self.restart_at = None;
            self.books.open(now, self.wall, &mut self.report);
            if self.is_falling(Blow::DiskFull) {
                self.books.disk_full(true);
            }
            for site in &mut self.sites {
                site.start(now)?;
            }
            self.disturb_all();
        }
        let Some(kill) = self.kill else {
            return Ok(());
        };
        let waits = matches!(kill.blow, Blow::WritesLost | Blow::WritesTorn);
        let due = now >= kill.by || (waits && self.books.has_backlog());
        if due && self.restart_at.is_none() {
            self.kill = None;
            self.die(kill.blow);
        }
        Ok(())
    }

    fn disturb_all(&mut self) {
        for until in &mut self.disturbed_until {
            *until = self.now + 6000;
        }
        for site in &mut self.sites {
            site.traffic.disturb();
            // Their passages may have gone on until now, and their records died with the daemon:
            // the small journal here may have let go of the verdict that would tell of them.
            let now = self.now;
            site.departed.retain(|car| now > car.at + LATELY);
        }
    }

    fn die(&mut self, blow: Blow) {
        let now = self.now;
        self.hung_until = 0;
        self.disturb_all();
        self.report.blow(blow);
        let mut records = Vec::new();
        for which in 0..self.sites.len() {
            let mut around = around!(self, 0);
            let Some(site) = self.sites.get_mut(which) else {
                continue;
            };
            match blow {
                Blow::PowerCut => site.power_cut(now, around.report),
                Blow::KillBoth => site.abandon(now),
                _ => records.extend(site.stop_daemon(now, blow == Blow::Restart, &mut around)),
            }
        }
        for event in records {
            self.books.record(event, self.wall);
        }
        if blow == Blow::Restart {
            let (rng, report) = (&mut self.rng, &mut self.report);
            self.books.step(now, self.wall, rng, report);
        }
        if !matches!(blow, Blow::Restart | Blow::PowerCut) {
            // The service's safe-off runs whenever the daemon has died.
            self.safe_off_at = Some(now + self.rng.random_range(100..900));
        }
        let lose = matches!(blow, Blow::WritesLost | Blow::PowerCut);
        self.books
            .crash(lose, blow == Blow::WritesTorn, &mut self.rng);
        let pause = if blow == Blow::PowerCut { 3500 } else { 1000 };
        // A start takes longer than the dead time: the models are loaded first.
        let off = self.safe_off_at.unwrap_or(now) + 500;
        self.restart_at = Some(off.max(now + self.rng.random_range(pause / 2..pause * 2)));
    }

    /// All is well from now on, and nobody comes any more.
    fn heal(&mut self) {
        self.arrivals = false;
        self.hung_until = 0;
        for falling in std::mem::take(&mut self.falling) {
            self.ends(&falling);
        }
        self.books.broker_away = false;
        self.books.budget_used_up = false;
        // A store whose sync has failed trusts nothing any more until the daemon begins anew:
        // that restart is its cure, and happens.
        self.kill = self.kill.filter(|kill| kill.blow == Blow::SyncFails);
    }

    fn rests(&self) -> bool {
        self.restart_at.is_none()
            && self.books.is_quiet()
            && self
                .sites
                .iter()
                .all(|site| site.traffic.is_empty() && site.is_idle(self.now))
    }

    fn restless(&self) -> String {
        for site in &self.sites {
            if !site.traffic.is_empty() {
                return format!("a vehicle is still at barrier {}", site.name);
            }
            if !site.is_idle(self.now) {
                return format!(
                    "barrier {} does not come to rest: {}",
                    site.name,
                    site.state(self.now)
                );
            }
        }
        "events are still not acknowledged".to_owned()
    }

    /// Nothing may be missing, doubled or invented.
    fn settle(&mut self) -> Result<(), Violation> {
        self.books.settle();
        if let Some(violation) = self.books.violation.take() {
            return Err(self.broken(violation.invariant, &violation.what));
        }
        for site in &self.sites {
            let lane = site.lane_name();
            for car in site.departed.iter().filter(|car| car.undisturbed) {
                let records = self.books.committee.passages.values().filter(|record| {
                    let began = self.began.get(&record.passage).copied().unwrap_or(0);
                    record.lane == *lane
                        && record.plate.as_ref() == Some(&car.plate)
                        && (car.arrived..=car.at).contains(&began)
                });
                let count = records.count();
                if count != 1 {
                    let what = format!(
                        "{} has {count} records for its visit of lane {lane} from {} to {} ms",
                        car.plate, car.arrived, car.at
                    );
                    return Err(self.broken(14, &what));
                }
            }
        }
        Ok(())
    }
}

/// Whether a blow may change what is recorded of the vehicles that are there.
fn disturbs(blow: Blow) -> bool {
    !matches!(
        blow,
        Blow::BrokerAway | Blow::DiskFull | Blow::BudgetUsedUp | Blow::Replay | Blow::ClockJumps
    )
}
