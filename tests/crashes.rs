//! Killing the gate for real, while an outside board records what its relay was told.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use domain::Event;
use house::{
    Board, Camera, EMPTY, Gate, Mosquitto, Need, Plan, Scene, Site, alone, cannot_run, wait_for,
};
use rand::RngExt as _;

/// The longest pulse there may be, and what the reader of a pseudo-terminal may lag.
const BOUND: Duration = Duration::from_millis(1000 + 150);

/// `MENSHEN_KILLS=200` for the long form.
fn kills() -> usize {
    std::env::var("MENSHEN_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(6)
}

#[test]
fn kill_9_at_random_moments_loses_nothing_and_moves_nothing() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(4);
    let board = Board::new().unwrap();
    let mosquitto = Mosquitto::running().unwrap();
    let ear = mosquitto.listen().unwrap();
    let barrier = format!(
        "relay = {{ driver = \"serial\", port = {:?} }}\nrepeat_gap = \"300ms\"",
        board.tty
    );
    let lane = "leave_after = \"500ms\"";
    let site = Site::new(&Plan {
        port: Some(mosquitto.port),
        barrier: &barrier,
        lane,
        camera: "",
    })
    .unwrap();
    site.register(scene.plate(0)).unwrap();
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let mut rng = rand::rng();
    let mut acknowledged = vec![scene.plate(0).to_string()];
    let (mut slowest, mut openings) = (Duration::ZERO, 0);
    for round in 0..kills() {
        camera.show(EMPTY);
        camera.drain().unwrap();
        let gate = Gate::start(&site).unwrap();
        slowest = slowest.max(gate.ready_after);
        std::thread::sleep(Duration::from_millis(300));
        let plate = format!("苏E{:05}", 10_000 + round);
        site.register(&plate.parse().unwrap()).unwrap();
        acknowledged.push(plate);
        let shown = Instant::now();
        camera.show(1);
        std::thread::sleep(Duration::from_millis(rng.random_range(0..1500)));
        let killed_at = Instant::now();
        gate.kill().unwrap();
        // The relay guard sees its pipe close.
        std::thread::sleep(Duration::from_millis(250));
        // Since the last kill nobody came before now: nothing that was going on then moves the boom,
        // neither while the gate is dead nor when it starts.
        for (since, _) in &board.pulses()[openings..] {
            assert!(
                *since >= shown,
                "round {round}: an edge {:?} before its cause",
                shown - *since
            );
        }
        for (since, length) in board.pulses() {
            assert!(length <= BOUND, "a pulse of {length:?}");
            assert!(
                since + length <= killed_at.max(since) + BOUND,
                "still on after the kill"
            );
        }
        openings = board.pulses().len();
    }
    camera.show(EMPTY);
    let gate = Gate::start(&site).unwrap();
    let listed = site.verb(&["registry", "list", "--json"]).unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for plate in &acknowledged {
        assert!(
            listed.contains(plate.as_str()),
            "{plate} was acknowledged and is gone"
        );
    }
    let status = |gate: &Gate| {
        let _ = gate.id();
        String::from_utf8(site.verb(&["status", "--json"]).unwrap().stdout).unwrap()
    };
    assert!(
        wait_for(Duration::from_secs(30), || status(&gate)
            .contains("\"outbox\":0")),
        "{}",
        status(&gate)
    );
    std::thread::sleep(Duration::from_millis(500));
    let entries = ear.verify().unwrap();
    let causes: Vec<String> = ear
        .heard()
        .into_iter()
        .filter_map(|h| match h.entry.event {
            Event::Opened { cause, .. } => Some(cause),
            _ => None,
        })
        .collect();
    let opened = causes.len();
    let different: HashSet<&String> = causes.iter().collect();
    assert_eq!(
        different.len(),
        opened,
        "one cause opened twice: {causes:?}"
    );
    // The boom need not wait for the disk, so a kill can take an opening's entry with it; but
    // nothing is written down that did not happen.
    assert!(opened <= openings, "{opened} written down, {openings} seen");
    assert!(
        openings - opened <= kills(),
        "{opened} written down of {openings}: a kill can take one with it, not more"
    );
    assert_eq!(
        board.pulses().len(),
        openings,
        "an edge after the last restart, with nobody in front"
    );
    println!(
        "BAR kill -9: {} kills, {openings} openings on the board, {opened} written down, {entries} entries with a whole chain, {} register rows kept, ready after {slowest:.2?} at the latest",
        kills(),
        acknowledged.len()
    );
    assert!(openings > 0, "no opening happened; the test showed nothing");
}
