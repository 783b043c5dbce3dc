//! The configuration as the program uses it: complete, checked, every reference resolved.
//!
//! A [`House`] comes only from [`super::parse`]. Nothing in it is optional that has a default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use access::Margins;
use access::passage::Settings;
use bridge::MqttConfig;
use domain::{Language, Name};
use gate::barrier::PulseProfile;
use gate::wiring::Wiring;
use jiff::tz::TimeZone;
use vision::source::CameraConfig;

pub(crate) use super::file::{Journald, Level, Trusted};
use super::problem::Problems;
use super::size::ByteSize;

/// One gate: everything that stands in its file.
#[derive(Debug, Clone)]
pub(crate) struct House {
    /// Who and where.
    pub(crate) site: Site,
    /// What is kept, and for how long.
    pub(crate) store: Store,
    /// The booms; at least one, names distinct.
    pub(crate) barriers: Vec<Barrier>,
    /// The lanes; at least one, names distinct.
    pub(crate) lanes: Vec<Lane>,
    /// The committee's broker; without it events stay here.
    pub(crate) mqtt: Option<MqttConfig>,
    /// The networks.
    pub(crate) models: Models,
    /// What is logged.
    pub(crate) log: Log,
    /// By how much a registered plate must win.
    pub(crate) margins: Margins,
    /// When the wall clock is believed.
    pub(crate) clock: Trusted,
    /// Where figures for Prometheus can be asked for, if anywhere.
    pub(crate) metrics: Option<SocketAddr>,
    /// Warnings and notes about the file; no errors.
    pub(crate) notices: Problems,
}

impl House {
    /// The barrier that `lane` opens.
    pub(crate) fn barrier_of(&self, lane: &Lane) -> &Barrier {
        &self.barriers[lane.barrier]
    }
}

/// `[site]`.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The compound's name, in topics and file names.
    pub(crate) name: Name,
    /// This device's name within the compound.
    pub(crate) device: Name,
    /// The time zone's IANA name.
    pub(crate) time_zone_name: String,
    /// Days begin and end by it.
    pub(crate) time_zone: TimeZone,
    /// How people are spoken to.
    pub(crate) language: Language,
}

/// `[store]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Store {
    /// Registry, journal, outbox and pictures lie below it.
    pub(crate) folder: PathBuf,
    /// Pictures older than this are deleted.
    pub(crate) pictures_for: Duration,
    /// Events older than this are deleted.
    pub(crate) events_for: Duration,
    /// The oldest pictures are deleted to stay below this.
    pub(crate) pictures_budget: ByteSize,
    /// The journal's share of the disk.
    pub(crate) events_budget: ByteSize,
}

/// A `[[barrier]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Barrier {
    /// Its name.
    pub(crate) name: Name,
    /// Its relay and inputs, with the arrival loops of its lanes.
    pub(crate) wiring: Wiring,
    /// Its times, within their bounds.
    pub(crate) profile: PulseProfile,
}

/// A `[[lane]]`.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    /// Name, direction, trigger, mode and times.
    pub(crate) settings: Settings,
    /// Its barrier, as an index into [`House::barriers`].
    pub(crate) barrier: usize,
    /// Whether an arrival loop is wired (to the barrier, under this lane's name).
    pub(crate) arrival_loop: bool,
    /// Whether its camera reads passes that are held up to it.
    pub(crate) read_passes: bool,
    /// Its camera, validated.
    pub(crate) camera: CameraConfig,
}

/// `[models]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Models {
    /// Their folder; the ones built into the program if `None`.
    pub(crate) folder: Option<PathBuf>,
    /// How many frames are worked on at once, 1 to 16.
    pub(crate) threads: usize,
}

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    /// How much.
    pub(crate) level: Level,
    /// Where.
    pub(crate) journald: Journald,
}
