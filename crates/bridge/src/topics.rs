//! Where things go: the topics below `menshen/<site>/<device>`.
//!
//! | topic | what | retained | `QoS` |
//! |---|---|---|---|
//! | `bridge/state` | `online`, or `offline` (also the last will) | yes | 1 |
//! | `bridge/info` | version, site, device, lanes, barriers | yes | 1 |
//! | `lane/<lane>/passage` | the entry that ends a passage | no | 1 |
//! | `event` | every other entry of the journal | no | 1 |
//! | `lane/<lane>/camera` | the camera's state | yes | 1 |
//! | `barrier/<barrier>` | the barrier's state | yes | 1 |
//! | `lane/<lane>/picture` | one JPEG | no | 0 |
//! | `health` | [`crate::HealthReport`] | no | 1 |
//! | `alarm` | something needs a person now | no | 1 |
//! | `head` | how far the journal goes, signed | no | 1 |
//! | `response/<name>` | the answer to a request, signed | no | 1 |
//! | `registry` | version and digests of the register, signed | yes | 1 |
//!
//! Outside of it, if it is configured: `<prefix>/device/menshen_<site>_<device>/config`, what
//! [`crate::home_assistant`] is told, retained, `QoS` 1.
//!
//! And what is listened to; nothing retained is taken:
//!
//! | topic | what | `QoS` |
//! |---|---|---|
//! | `ack` | the server's acknowledgement, signed | 1 |
//! | `request/challenge` | asks for a challenge | 0 |
//! | `request/<command>` | a signed command | 0 |
//! | `registry/page` | a page of a register whose manifest was commanded | 1 |

use domain::event::Event;
use domain::names::Name;

/// A retained state: whoever subscribes later still learns it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// A lane's camera: `lane/<lane>/camera`.
    Camera {
        /// The lane.
        lane: Name,
    },
    /// A barrier: `barrier/<barrier>`.
    Barrier {
        /// The barrier.
        barrier: Name,
    },
    /// The register: `registry`. Its value, a [`domain::sync::Report`], goes out signed.
    Register,
}

/// The topics of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    root: String,
}

impl Topics {
    /// The topics of a device of a site.
    pub fn new(site: &Name, device: &Name) -> Self {
        Self {
            root: format!("menshen/{site}/{device}"),
        }
    }

    /// `menshen/<site>/<device>`, also the `source` of its events.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Whether the device is there.
    pub fn bridge_state(&self) -> String {
        format!("{}/bridge/state", self.root)
    }

    /// What the device is.
    pub fn bridge_info(&self) -> String {
        format!("{}/bridge/info", self.root)
    }

    /// Where an entry of the journal goes.
    pub fn entry(&self, event: &Event) -> String {
        match event {
            Event::Passage(record) => self.passage(&record.lane),
            _ => self.event(),
        }
    }

    /// Where the entries go that end a lane's passages.
    pub fn passage(&self, lane: &Name) -> String {
        format!("{}/lane/{lane}/passage", self.root)
    }

    /// Where entries go that belong nowhere else.
    pub fn event(&self) -> String {
        format!("{}/event", self.root)
    }

    /// Where a retained state goes.
    pub fn state(&self, state: &State) -> String {
        match state {
            State::Camera { lane } => format!("{}/lane/{lane}/camera", self.root),
            State::Barrier { barrier } => format!("{}/barrier/{barrier}", self.root),
            State::Register => format!("{}/registry", self.root),
        }
    }

    /// Where a lane's pictures go.
    pub fn picture(&self, lane: &Name) -> String {
        format!("{}/lane/{lane}/picture", self.root)
    }

    /// Where health reports go.
    pub fn health(&self) -> String {
        format!("{}/health", self.root)
    }

    /// Where alarms go.
    pub fn alarm(&self) -> String {
        format!("{}/alarm", self.root)
    }

    /// Where the device says how far its journal goes.
    pub fn head(&self) -> String {
        format!("{}/head", self.root)
    }

    /// Where the server's acknowledgements come.
    pub fn ack(&self) -> String {
        format!("{}/ack", self.root)
    }

    /// Where pages of a register come.
    pub fn registry_page(&self) -> String {
        format!("{}/registry/page", self.root)
    }

    /// Where requests come, as a filter.
    pub fn requests(&self) -> String {
        format!("{}/request/+", self.root)
    }

    /// Where the answer to a request goes.
    pub fn response(&self, name: &str) -> String {
        format!("{}/response/{name}", self.root)
    }

    /// What of a topic stands below the device's own.
    pub fn below<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(&self.root)?.strip_prefix('/')
    }
}
