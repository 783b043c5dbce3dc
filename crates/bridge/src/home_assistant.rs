//! What Home Assistant is told, so that it finds the gate by itself: one retained message that
//! names the gate's topics and how to read them.
//!
//! Nothing in it can be pressed. A gate takes signed orders alone, each over a challenge of its
//! own, and Home Assistant signs nothing: an open command that it could send is one that anybody
//! on the broker could. So a boom is shown as a cover without commands, which Home Assistant
//! allows (its MQTT cover needs no `command_topic`, and one without has no buttons).
//!
//! The form is Home Assistant's device discovery (its documentation of the MQTT integration,
//! from version 2024.11 on). Retained, so that it is found again after a restart of either side;
//! an empty retained message on the same topic takes the device out of Home Assistant.

use serde_json::{Map, Value, json};

use crate::connection::Identity;
use crate::topics::{State, Topics};

/// Seconds after which a figure of a health report, which comes every 30 s, counts as unknown.
const HEALTH_FOR: u64 = 120;

/// Reads a passage as an event of Home Assistant: its type, then what else is worth seeing. A late one
/// is none: nobody wants to be told at night who came in at noon.
const PASSAGE: &str = "{% if not value_json.late %}\
{{ {'event_type': value_json.data.event.decision | default('undecided', true), \
'plate': value_json.data.event.plate | default('', true), \
'reason': value_json.data.event.reason | default('', true), \
'outcome': value_json.data.event.outcome, \
'ended': value_json.data.event.ended} | tojson }}{% endif %}";

/// Everything that [`PASSAGE`] can say: [`domain::Decision`]'s codes, and a vehicle that left
/// before there was one.
const PASSAGES: [&str; 4] = ["admit", "refuse", "ask-guard", "undecided"];

/// Reads an alarm as an event of Home Assistant, which wants all types told beforehand; codes of
/// alarms are too many, so the code is an attribute.
const ALARM: &str = "{{ {'event_type': 'alarm', 'code': value_json.code, \
'message': value_json.message} | tojson }}";

/// A boom's position where limit inputs tell; Home Assistant takes `None` for unknown.
const POSITION: &str = "{{ value_json.state if value_json.state in \
['open', 'opening', 'closed', 'closing'] else 'None' }}";

/// Whether a person should look at a barrier.
const PROBLEM: &str = "{{ 'ON' if value_json.state in ['fault', 'unavailable'] else 'OFF' }}";

/// Topic and payload of the message for one gate, to be retained.
pub fn discovery(prefix: &str, identity: &Identity, topics: &Topics) -> (String, Vec<u8>) {
    // Names have no underscore, so that no two gates have one id.
    let id = format!("menshen_{}_{}", identity.site, identity.device);
    let parts = Parts {
        id: &id,
        topics,
        entities: Map::new(),
    };
    let message = json!({
        "device": {
            "identifiers": [id],
            "name": format!("门神 Menshen {} {}", identity.site, identity.device),
            "manufacturer": "Menshen",
            "model": "道闸 vehicle gate",
            "sw_version": identity.version,
        },
        "origin": { "name": "menshen", "sw_version": identity.version },
        "availability_topic": topics.bridge_state(),
        "payload_available": "online",
        "payload_not_available": "offline",
        "qos": 1,
        "components": parts.of(identity),
    });
    let topic = format!("{prefix}/device/{id}/config");
    (topic, message.to_string().into_bytes())
}

/// The entities of one gate, by their names within it.
struct Parts<'a> {
    id: &'a str,
    topics: &'a Topics,
    entities: Map<String, Value>,
}

impl Parts<'_> {
    fn of(mut self, identity: &Identity) -> Map<String, Value> {
        for barrier in &identity.barriers {
            let topic = self.topics.state(&State::Barrier {
                barrier: barrier.clone(),
            });
            self.add(
                format!("barrier_{barrier}"),
                json!({
                    "platform": "cover",
                    "name": format!("栏杆 boom {barrier}"),
                    "device_class": "gate",
                    "state_topic": topic,
                    "value_template": POSITION,
                }),
            );
            self.add(
                format!("barrier_{barrier}_state"),
                json!({
                    "platform": "sensor",
                    "name": format!("道闸状态 barrier {barrier}"),
                    "entity_category": "diagnostic",
                    "state_topic": topic,
                    "value_template": "{{ value_json.state }}",
                }),
            );
            self.add(
                format!("barrier_{barrier}_problem"),
                json!({
                    "platform": "binary_sensor",
                    "name": format!("道闸故障 barrier fault {barrier}"),
                    "device_class": "problem",
                    "state_topic": topic,
                    "value_template": PROBLEM,
                }),
            );
        }
        for lane in &identity.lanes {
            self.lane(lane);
        }
        self.add(
            "alarm".to_owned(),
            json!({
                "platform": "event",
                "name": "告警 alarm",
                "event_types": ["alarm"],
                "state_topic": self.topics.alarm(),
                "value_template": ALARM,
            }),
        );
        self.health();
        self.entities
    }

    fn lane(&mut self, lane: &domain::Name) {
        self.add(
            format!("lane_{lane}_passage"),
            json!({
                "platform": "event",
                "name": format!("通行 passage {lane}"),
                "event_types": PASSAGES,
                "state_topic": self.topics.passage(lane),
                "value_template": PASSAGE,
            }),
        );
        self.add(
            format!("lane_{lane}_picture"),
            json!({
                "platform": "image",
                "name": format!("图片 picture {lane}"),
                "image_topic": self.topics.picture(lane),
                "content_type": "image/jpeg",
            }),
        );
        self.add(
            format!("lane_{lane}_camera"),
            json!({
                "platform": "binary_sensor",
                "name": format!("摄像机 camera {lane}"),
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": self.topics.state(&State::Camera { lane: lane.clone() }),
                "value_template": "{{ 'ON' if value_json.state == 'online' else 'OFF' }}",
            }),
        );
        self.figure(
            &format!("lane_{lane}_frames"),
            &format!("帧率 frames {lane}"),
            &format!("frames_per_second['{lane}'] | default('None')"),
            &json!({ "unit_of_measurement": "fps", "suggested_display_precision": 1 }),
        );
    }

    /// Figures of the health report.
    fn health(&mut self) {
        let bytes = json!({ "device_class": "data_size", "unit_of_measurement": "B" });
        self.figure(
            "temperature",
            "温度 temperature",
            "cpu_temperature_c | default('None')",
            &json!({ "device_class": "temperature", "unit_of_measurement": "°C" }),
        );
        self.figure("memory", "内存 memory", "memory_bytes", &bytes);
        self.figure("store", "存储 store", "store_bytes", &bytes);
        self.figure("outbox", "待送记录 outbox", "outbox_depth", &json!({}));
        self.figure(
            "pictures_dropped",
            "未送图片 pictures not sent",
            "pictures_dropped",
            &json!({ "state_class": "total_increasing" }),
        );
        // Absent while no vehicle was let in since the last report.
        self.figure(
            "frame_to_relay",
            "画面到继电器 frame to relay",
            "latency.relay.p99 if value_json.latency.relay is defined else 'None'",
            &json!({ "device_class": "duration", "unit_of_measurement": "ms" }),
        );
        self.add(
            "clock".to_owned(),
            json!({
                "platform": "binary_sensor",
                "name": "时钟不可信 clock",
                "device_class": "problem",
                "entity_category": "diagnostic",
                "expire_after": HEALTH_FOR,
                "state_topic": self.topics.health(),
                "value_template": "{{ 'OFF' if value_json.clock_trusted else 'ON' }}",
            }),
        );
    }

    fn figure(&mut self, part: &str, name: &str, value: &str, more: &Value) {
        let mut entity = json!({
            "platform": "sensor",
            "name": name,
            "entity_category": "diagnostic",
            "expire_after": HEALTH_FOR,
            "state_topic": self.topics.health(),
            "value_template": format!("{{{{ value_json.{value} }}}}"),
        });
        if let (Some(entity), Some(more)) = (entity.as_object_mut(), more.as_object()) {
            entity.extend(more.clone());
        }
        self.add(part.to_owned(), entity);
    }

    fn add(&mut self, part: String, mut entity: Value) {
        entity["unique_id"] = format!("{}_{part}", self.id).into();
        self.entities.insert(part, entity);
    }
}
