//! The broker away: the gate behaves the same, and everything arrives later.

use std::time::Duration;

use domain::Decision;
use house::{Camera, EMPTY, Gate, Mosquitto, Plan, Scene, Site, alone, wait_for};

#[test]
fn a_run_without_broker_arrives_whole_late_and_in_order_once_it_returns() {
    let _alone = alone();
    let scene = Scene::new(3);
    let mut mosquitto = Mosquitto::new().unwrap();
    mosquitto.start().unwrap();
    mosquitto.enrol().unwrap();
    mosquitto.stop().unwrap();
    let site = Site::new(&Plan {
        port: Some(mosquitto.port),
        barrier: "relay = SIMULATED\npulse = \"300ms\"\nrepeat_gap = \"300ms\"",
        lane: "leave_after = \"1s\"",
        camera: "",
    })
    .unwrap();
    site.register(scene.plate(0)).unwrap();
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let gate = Gate::start(&site).unwrap();
    for picture in [1, 2, 1] {
        camera.show(picture);
        std::thread::sleep(Duration::from_millis(1800));
        camera.show(EMPTY);
        std::thread::sleep(Duration::from_millis(1800));
    }
    assert_eq!(site.pulses().unwrap().len(), 2, "{}", gate.log().join("\n"));
    mosquitto.start().unwrap();
    let ear = mosquitto.listen().unwrap();
    assert!(
        wait_for(Duration::from_secs(30), || ear.passages().len() == 3),
        "{}",
        gate.log().join("\n")
    );
    let decisions: Vec<_> = ear.passages().iter().map(|p| p.decision.unwrap()).collect();
    assert_eq!(
        decisions,
        [Decision::Admit, Decision::Refuse, Decision::Admit]
    );
    let heard = ear.heard();
    assert!(
        heard.iter().all(|h| h.late),
        "everything of this run is late"
    );
    let entries = ear.verify().unwrap();
    println!("BAR broker away: {entries} entries, all late, in order, chain whole");
}
