//! Signed commands, from `menshen sign` over a real broker to the relay board's edges.

use std::process::Command;
use std::time::Duration;

use domain::Event;
use domain::command::CommandKind;
use house::{
    Board, Camera, Gate, Mosquitto, Need, Plan, Scene, Site, alone, cannot_run, program, wait_for,
};
use serde_json::Value;

/// Runs a verb that takes no configuration; what it prints.
fn says(args: &[&str]) -> String {
    let out = Command::new(program().unwrap())
        .args(args)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{args:?}: {errors}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// A guard with a key, who may send commands to the gate of a site.
struct Guard<'a> {
    key: String,
    broker: &'a Mosquitto,
}

impl<'a> Guard<'a> {
    /// Makes the key and enrols it with the site.
    fn enrolled(site: &Site, broker: &'a Mosquitto) -> Self {
        let key = site.path("guard.key").display().to_string();
        let public = says(&["keys", "new", &key]);
        let ring = site.path("keys.toml");
        let entry =
            format!("[[key]]\nname = \"tablet\"\npublic = {public:?}\nroles = [\"guard\"]\n");
        std::fs::write(&ring, entry).unwrap();
        site.configure(
            "[mqtt]\n",
            &format!("[mqtt]\nkeys_file = \"{}\"\n", ring.display()),
        )
        .unwrap();
        Self { key, broker }
    }

    /// Asks for a challenge and signs a command over it.
    fn sign(&self, command: &str) -> String {
        let asked = self
            .broker
            .ask("challenge", r#"{"transaction":"c","lane":"entry"}"#)
            .unwrap();
        let challenge = asked["challenge"].as_str().unwrap();
        says(&[
            "sign",
            "--key",
            &self.key,
            "--device",
            "test/gate",
            "--challenge",
            challenge,
            command,
            "entry",
        ])
    }

    fn send(&self, command: &str, envelope: &str) -> Value {
        self.broker.ask(command, envelope).unwrap()
    }
}

#[test]
fn a_signed_open_hold_and_release_move_the_relay_and_each_envelope_is_good_once() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(11);
    let board = Board::new().unwrap();
    let broker = Mosquitto::running().unwrap();
    let ear = broker.listen().unwrap();
    let site = Site::new(&Plan {
        port: Some(broker.port),
        barrier: &format!(
            "relay = {{ driver = \"serial\", port = {:?} }}\npulse = \"300ms\"\nrepeat_gap = \"300ms\"\nfire_repeat = \"1s\"\nhold_cap = \"1m\"",
            board.tty
        ),
        lane: "leave_after = \"500ms\"",
        camera: "",
    })
    .unwrap();
    let guard = Guard::enrolled(&site, &broker);
    let _camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let gate = Gate::start(&site).unwrap();
    let log = || gate.log().join("\n");
    let pulses = || board.pulses().len();
    assert!(wait_for(Duration::from_secs(10), || {
        broker.retained("bridge/state").unwrap().as_deref() == Some("online")
    }));

    let open = guard.sign("open");
    assert_eq!(guard.send("open", &open)["answer"], "done", "{}", log());
    assert!(wait_for(Duration::from_secs(2), || pulses() == 1));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(pulses(), 1, "an opening is one pulse");

    let hold = guard.sign("hold");
    assert_eq!(guard.send("hold", &hold)["answer"], "done", "{}", log());
    assert!(
        wait_for(Duration::from_secs(10), || pulses() >= 4),
        "{}",
        log()
    );

    let release = guard.sign("release");
    let done = guard.send("release", &release);
    assert_eq!(done["answer"], "done", "{}", log());
    std::thread::sleep(Duration::from_millis(700));
    assert!(board.is_off());
    let so_far = pulses();
    for (command, envelope) in [("open", &open), ("hold", &hold), ("release", &release)] {
        let answer = guard.send(command, envelope);
        assert_eq!(answer["reason"], "replayed", "{command}: {answer}");
    }
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(pulses(), so_far, "nothing after the release: {}", log());
    for (_, length) in board.pulses() {
        assert!(length < Duration::from_secs(1), "{length:?}");
    }

    let of = |wanted: CommandKind| {
        ear.heard().into_iter().any(|heard| {
            matches!(heard.entry.event, Event::Command { command, done: true, .. } if command == wanted)
        })
    };
    assert!(wait_for(Duration::from_secs(10), || {
        [CommandKind::Open, CommandKind::Hold, CommandKind::Release]
            .into_iter()
            .all(of)
    }));
    let events: Vec<_> = ear.heard().into_iter().map(|h| h.entry.event).collect();
    let began = events.iter().find_map(|event| match event {
        Event::HoldStarted { cause, .. } => Some(cause.clone()),
        _ => None,
    });
    let began = began.expect("the hold was not written down");
    assert!(began.starts_with("command-"), "{began}");
    let openings: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Opened { cause, .. } => Some(cause),
            _ => None,
        })
        .collect();
    assert_eq!(
        openings.len(),
        so_far,
        "every edge is written down: {openings:?}"
    );
    assert_eq!(openings[1], &began);
    assert!(openings[2..].iter().all(|cause| cause.starts_with("hold")));
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::HoldEnded { capped: false, .. }))
    );
    ear.verify().unwrap();
}
