//! The bridge against a real mosquitto, which is killed, restarted and cut off.
//!
//! The bridge always speaks through a [`gate::Gate`], which reads along: the journal compares
//! every acknowledgement that it is told of with those that really passed on the wire.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod gate;
mod house;

use std::time::{Duration, Instant};

use bridge::State;
use domain::event::Event;
use domain::passage::{Direction, Outcome, PassageId, PassageRecord};
use gate::Gate;
use house::{Journal, Journaled, Listener, Mosquitto, start, until};
use serde_json::json;
use uuid::Uuid;

fn alarm(size: usize) -> Event {
    Event::Alarm {
        code: "test".to_owned(),
        message: "京".repeat(size / 3),
    }
}

fn passage() -> Event {
    let now = jiff::Timestamp::now();
    Event::Passage(Box::new(PassageRecord {
        passage: PassageId(Uuid::now_v7()),
        lane: "in".parse().unwrap(),
        direction: Direction::Entry,
        began: now,
        ended: now,
        decision: None,
        reason: None,
        pass: None,
        plate: None,
        kind: None,
        outcome: Outcome::TurnedAway,
        readings: 0,
        shadow: false,
        pictures: Vec::new(),
    }))
}

#[test]
fn entries_of_all_sizes_arrive_in_order_on_time_and_verbatim() {
    let mut broker = Mosquitto::new(true);
    broker.start();
    let gate = Gate::to(broker.port);
    gate.open();
    let listener = Listener::new(broker.port, false).ready();
    let journal = Journal::new(&gate);
    let bridge = start(&journal, gate.port, 0);
    until("no connection", || bridge.status().connected);
    for size in [0, 300, 5_000, 8_192, 60_000, 150_000] {
        bridge.outbox_grew(journal.append(alarm(size)));
        bridge.outbox_grew(journal.append(passage()));
    }
    until("not all acknowledged", || journal.is_empty());
    until("not all heard", || listener.check_journal().entries == 12);
    let expected = Journaled {
        entries: 12,
        duplicates: 0,
        late: 0,
    };
    assert_eq!(listener.check_journal(), expected);
    assert_eq!(journal.unheard(), [0; 0]);
    let heard = listener.heard();
    let of = |topic: &str| heard.iter().filter(|m| m.topic.ends_with(topic)).count();
    assert_eq!((of("/east/event"), of("/east/lane/in/passage")), (6, 6));
    let status = bridge.status();
    assert_eq!((status.acked, status.outbox_depth), (12, 0));
    assert_eq!((status.published, status.repeated), (12, 0));
}

/// The bar: the broker loses everything, sessions and queues, at random moments.
#[test]
fn a_broker_killed_twenty_times_loses_nothing() {
    const EVENTS: u64 = 2_000;
    const KILLS: u32 = 20;
    let mut broker = Mosquitto::new(false);
    broker.start();
    let gate = Gate::to(broker.port);
    gate.open();
    let listener = Listener::new(broker.port, false).ready();
    let journal = Journal::new(&gate);
    let bridge = start(&journal, gate.port, 0);
    let (writer, teller) = (journal.clone(), bridge.clone());
    let writing = std::thread::spawn(move || {
        for i in 0..EVENTS {
            let event = if i % 3 == 0 { passage() } else { alarm(900) };
            teller.outbox_grew(writer.append(event));
            if i % 4 == 0 {
                std::thread::sleep(Duration::from_millis(25));
            }
        }
    });
    for kill in 0..KILLS {
        until("no connection", || {
            let status = bridge.status();
            status.connected && status.connections == u64::from(kill) + 1
        });
        // Right after the reconnection, when much is on its way, or a while later.
        std::thread::sleep(Duration::from_millis(u64::from(kill * 37 % 160)));
        if kill % 4 == 0 {
            // Entries arrive, and their acknowledgements do not.
            gate.mute();
            std::thread::sleep(Duration::from_millis(50));
        }
        broker.kill();
        gate.close();
        listener.wait(false);
        broker.start();
        // Nobody could promise that a listener hears what was acknowledged while it was away
        // from a broker that remembers nothing: it is back before the bridge.
        listener.wait(true);
        gate.open();
    }
    writing.join().unwrap();
    until("no connection", || bridge.status().connected);
    until("not all acknowledged", || journal.is_empty());
    until("not all heard", || {
        listener.check_journal().entries == EVENTS
    });
    let journaled = listener.check_journal();
    let status = bridge.status();
    println!("{KILLS} kills: {journaled:?}, {status:?}");
    assert_eq!(journal.unheard(), [0; 0]);
    assert_eq!(status.connections, u64::from(KILLS) + 1);
    assert!(journaled.duplicates > 0);
    assert!(journaled.late > 0 && journaled.late < EVENTS);
}

/// A broker that keeps its sessions on disk, and a listener that may be away longer than the
/// bridge.
#[test]
fn a_broker_restarted_in_good_order_serves_a_listener_that_is_away() {
    let mut broker = Mosquitto::new(true);
    broker.start();
    let gate = Gate::to(broker.port);
    gate.open();
    let listener = Listener::new(broker.port, true).ready();
    let journal = Journal::new(&gate);
    let bridge = start(&journal, gate.port, 0);
    for _ in 0..5 {
        for _ in 0..40 {
            bridge.outbox_grew(journal.append(alarm(300)));
        }
        broker.terminate();
        broker.start();
    }
    until("not all acknowledged", || journal.is_empty());
    until("not all heard", || listener.check_journal().entries == 200);
    assert_eq!(journal.unheard(), [0; 0]);
}

/// The bar: the broker is away for the whole run and then comes.
#[test]
fn what_happened_without_a_broker_arrives_late_and_in_order() {
    let mut broker = Mosquitto::new(true);
    let gate = Gate::to(broker.port);
    let journal = Journal::new(&gate);
    // These two are from an earlier run of the program.
    journal.append(alarm(10));
    let upto = journal.append(alarm(10));
    let bridge = start(&journal, gate.port, upto);
    until("no attempt to connect", || {
        bridge.status().trouble.is_some()
    });
    for _ in 0..100 {
        bridge.outbox_grew(journal.append(passage()));
    }
    until("the depth is not told", || {
        bridge.status().outbox_depth == 102
    });
    assert!(!bridge.status().connected);
    broker.start();
    let listener = Listener::new(broker.port, false).ready();
    gate.open();
    until("not all acknowledged", || journal.is_empty());
    until("not all heard", || listener.check_journal().entries == 102);
    let expected = Journaled {
        entries: 102,
        duplicates: 0,
        late: 102,
    };
    assert_eq!(listener.check_journal(), expected);
    // And the next one is on time again.
    bridge.outbox_grew(journal.append(passage()));
    until("not heard", || listener.check_journal().entries == 103);
    assert_eq!(listener.check_journal().late, 102);
}

/// rumqttc tells acknowledgements by packet identifier only, states and alarms share their
/// space with entries, and brokers need not acknowledge in order.
#[test]
fn acknowledgements_in_disorder_are_never_mistaken_for_each_other() {
    let mut broker = Mosquitto::new(true);
    broker.start();
    let gate = Gate::to(broker.port);
    gate.shuffle();
    gate.open();
    let listener = Listener::new(broker.port, false).ready();
    let journal = Journal::new(&gate);
    let bridge = start(&journal, gate.port, 0);
    let barrier = State::Barrier {
        barrier: "boom".parse().unwrap(),
    };
    let camera = State::Camera {
        lane: "in".parse().unwrap(),
    };
    for i in 0..1_000_u32 {
        bridge.outbox_grew(journal.append(alarm(300)));
        bridge.set_state(barrier.clone(), &json!({ "count": i }));
        bridge.set_state(camera.clone(), &json!({ "count": i }));
        bridge.publish_alarm(&json!({ "count": i }));
        bridge.publish_health(&json!({ "count": i }));
        bridge.publish_picture(&"in".parse().unwrap(), vec![0xff; 30_000]);
        if i % 8 == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        if i % 300 == 299 {
            gate.close();
            gate.open();
        }
    }
    until("not all acknowledged", || journal.is_empty());
    until("not all heard", || {
        listener.check_journal().entries == 1_000
    });
    listener.check_journal();
    assert_eq!(journal.unheard(), [0; 0]);
    let last = json!({ "count": 999 }).to_string();
    for topic in ["barrier/boom", "lane/in/camera", "alarm", "health"] {
        until(topic, || {
            listener.latest(topic).is_some_and(|m| m.text() == last)
        });
    }
    let picture = listener.latest("lane/in/picture").unwrap();
    assert_eq!(picture.payload.len(), 30_000);
}

#[test]
fn the_last_will_and_retained_states_are_right_through_cut_and_crash() {
    let mut broker = Mosquitto::new(false);
    broker.start();
    let gate = Gate::to(broker.port);
    gate.open();
    let listener = Listener::new(broker.port, false).ready();
    let journal = Journal::new(&gate);
    let bridge = start(&journal, gate.port, 0);
    let barrier = State::Barrier {
        barrier: "boom".parse().unwrap(),
    };
    let camera = State::Camera {
        lane: "in".parse().unwrap(),
    };
    bridge.set_state(barrier.clone(), &json!({ "state": "closed" }));
    bridge.set_state(camera, &json!({ "state": "online" }));
    let says = |listener: &Listener, topic: &str, text: &str| {
        until(&format!("{topic} is not {text}"), || {
            listener.latest(topic).is_some_and(|m| m.text() == text)
        });
    };
    says(&listener, "bridge/state", "online");
    says(&listener, "barrier/boom", r#"{"state":"closed"}"#);

    gate.close();
    says(&listener, "bridge/state", "offline");
    // The broker and the bridge notice the cut each for itself.
    until("the cut is not noticed", || !bridge.status().connected);
    assert!(!bridge.publish_picture(&"in".parse().unwrap(), vec![0xff; 10]));
    assert_eq!(bridge.status().pictures_dropped, 1);
    bridge.set_state(barrier, &json!({ "state": "open" }));
    gate.open();
    says(&listener, "bridge/state", "online");
    says(&listener, "barrier/boom", r#"{"state":"open"}"#);

    // The broker forgets what it retained.
    broker.kill();
    until("the loss is not noticed", || !bridge.status().connected);
    broker.start();
    until("no connection", || bridge.status().connected);
    until("the states do not come back", || {
        let late_comer = Listener::new(broker.port, false).ready();
        std::thread::sleep(Duration::from_millis(100));
        ["bridge/state", "barrier/boom", "lane/in/camera"]
            .into_iter()
            .zip(["online", r#"{"state":"open"}"#, r#"{"state":"online"}"#])
            .all(|(topic, text)| {
                late_comer
                    .latest(topic)
                    .is_some_and(|m| m.retained && m.text() == text)
            })
    });
    let late_comer = Listener::new(broker.port, false).ready();
    until("no info", || late_comer.latest("bridge/info").is_some());
    let info = late_comer.latest("bridge/info").unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
    assert_eq!(
        info,
        json!({ "site": "garden", "device": "east", "version": "0.0.0",
                "lanes": ["in"], "barriers": ["boom"] })
    );
    let topic = "homeassistant/device/menshen_garden_east/config";
    until("Home Assistant is told nothing", || {
        late_comer.latest_at(topic).is_some()
    });
    let told = late_comer.latest_at(topic).unwrap();
    assert!(told.retained);
    let told: serde_json::Value = serde_json::from_slice(&told.payload).unwrap();
    assert_eq!(
        told["availability_topic"],
        "menshen/garden/east/bridge/state"
    );
}

#[test]
fn it_leaves_within_a_second_and_what_was_said_last_still_arrives() {
    let mut broker = Mosquitto::new(false);
    broker.start();
    let gate = Gate::to(broker.port);
    gate.open();
    let listener = Listener::new(broker.port, false).ready();
    let journal = Journal::new(&gate);
    let bridge = start(&journal, gate.port, 0);
    until("no connection", || bridge.status().connected);
    bridge.outbox_grew(journal.append(Event::Stopped));
    let began = Instant::now();
    assert!(bridge.shutdown(Duration::from_secs(1)));
    println!("left after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(journal.is_empty());
    until("not heard", || {
        listener.check_journal().entries == 1
            && listener
                .latest("bridge/state")
                .is_some_and(|m| m.text() == "offline")
    });
    // A farewell in good order takes the last will along: `offline` is said once.
    std::thread::sleep(Duration::from_millis(200));
    let heard = listener.heard();
    let farewells = heard.iter().filter(|m| m.payload == b"offline").count();
    assert_eq!(farewells, 1);
    assert!(!bridge.status().connected);
}

#[test]
fn it_leaves_within_a_second_without_a_broker_or_with_a_silent_one() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = Gate::to(1);
    for port in [silent.local_addr().unwrap().port(), nobody.port] {
        let journal = Journal::new(&nobody);
        let bridge = start(&journal, port, 0);
        bridge.outbox_grew(journal.append(Event::Stopped));
        std::thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        assert!(bridge.shutdown(Duration::from_secs(1)));
        assert!(began.elapsed() < Duration::from_secs(1));
        assert!(!journal.is_empty());
    }
}

#[test]
fn what_keeps_the_broker_away_is_said_with_its_cure() {
    let mut broker = Mosquitto::unwelcoming();
    let nobody = Gate::to(1);
    let journal = Journal::new(&nobody);
    let bridge = start(&journal, broker.port, 0);
    let address = format!("127.0.0.1:{}", broker.port);
    let says = |word: &str| {
        until(word, || {
            let trouble = bridge.status().trouble;
            trouble.is_some_and(|why| why.starts_with(&address) && why.contains(word))
        });
    };
    says("check that the broker runs");
    broker.start();
    says("check mqtt.user");
}
