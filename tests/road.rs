//! The road: a car comes, its plate is read, the boom opens, the committee knows.

use std::time::Duration;

use domain::{Decision, Outcome, Reason};
use house::{
    Camera, EMPTY, Gate, Lane, Mosquitto, Need, Plan, Scene, Site, alone, cannot_run, wait_for,
};
use sim::street::Role;

const A_WHILE: Duration = Duration::from_secs(15);

/// A resident, a stranger who is then registered, a loop without a plate that the guard answers
/// for; with real models, a real relay guard, and mosquitto.
#[test]
fn residents_go_in_strangers_do_not_and_the_committee_hears_of_each_once() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let lane = Lane::with_loop(1).unwrap();
    let (site, scene) = (&lane.site, &lane.scene);
    let gate = Gate::start(site).unwrap();

    let visit = |picture: usize, count: usize, meanwhile: &dyn Fn()| {
        lane.visit(&gate, (picture, count), meanwhile).unwrap();
    };
    visit(1, 1, &|| {});
    visit(2, 2, &|| {});
    // Registered while the gate runs: the next time it may pass.
    site.register(scene.plate(1)).unwrap();
    visit(2, 3, &|| {});
    visit(EMPTY, 4, &|| {
        let answered = site.verb(&["answer", "admit", "--by", "wang"]).unwrap();
        assert!(answered.status.success(), "{answered:?}");
        std::thread::sleep(Duration::from_millis(800));
    });

    std::thread::sleep(Duration::from_secs(1));
    let passages = lane.ear.passages();
    let got: Vec<_> = passages
        .iter()
        .map(|p| (p.decision.unwrap(), p.reason.unwrap(), p.outcome))
        .collect();
    assert_eq!(
        got,
        [
            (Decision::Admit, Reason::Registered, Outcome::Passed),
            (Decision::Refuse, Reason::NotRegistered, Outcome::TurnedAway),
            (Decision::Admit, Reason::Registered, Outcome::Passed),
            (Decision::Admit, Reason::GuardAdmitted, Outcome::Passed),
        ]
    );
    assert_eq!(passages[0].plate.as_ref(), Some(scene.plate(0)));
    for picture in &passages[0].pictures {
        assert!(
            site.path("store/pictures").join(picture).is_file(),
            "{picture} is missing"
        );
    }
    assert_eq!(passages[0].pictures.len(), 2);
    let pulses = site.pulses().unwrap();
    assert_eq!(pulses.len(), 3, "{pulses:?}");
    assert!(
        pulses.iter().all(|ms| (200.0..1000.0).contains(ms)),
        "{pulses:?}"
    );
    let (took, good) = gate.stop().unwrap();
    println!("BAR shutdown: {took:.2?}");
    assert!(good && took < Duration::from_secs(3), "{took:?}");
    std::thread::sleep(Duration::from_millis(500));
    let entries = lane.ear.verify().unwrap();
    assert!(entries >= 10);
}

#[test]
fn a_shadow_lane_decides_and_never_touches_the_relay_and_the_guards_button_does() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(2);
    let mosquitto = Mosquitto::running().unwrap();
    let ear = mosquitto.listen().unwrap();
    let site = Site::new(&Plan {
        port: Some(mosquitto.port),
        barrier: "relay = SIMULATED\nguard_button = {}",
        lane: "mode = \"shadow\"\nleave_after = \"1s\"",
        camera: "",
    })
    .unwrap();
    site.inputs("guard_button 0\n").unwrap();
    site.register(scene.plate(0)).unwrap();
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let gate = Gate::start(&site).unwrap();
    camera.show(1);
    std::thread::sleep(Duration::from_secs(2));
    camera.show(EMPTY);
    assert!(
        wait_for(A_WHILE, || ear.passages().len() == 1),
        "{}",
        gate.log().join("\n")
    );
    let passage = &ear.passages()[0];
    assert_eq!(
        (passage.decision, passage.shadow),
        (Some(Decision::Admit), true)
    );
    assert!(site.pulses().unwrap().is_empty());
    site.inputs("guard_button 1\n").unwrap();
    assert!(wait_for(A_WHILE, || site.pulses().unwrap().len() == 1));
}

/// The neighbour's plate differs from the resident's in one character; the last one is nobody.
#[test]
fn a_neighbour_stays_out_at_the_entry_and_everybody_gets_out_at_the_exit() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(11);
    let neighbour = scene
        .script
        .vehicles
        .iter()
        .position(|v| v.role == Role::Neighbour)
        .unwrap();
    let mosquitto = Mosquitto::running().unwrap();
    for (direction, decision, reason, openings) in [
        ("entry", Decision::Refuse, Reason::NotRegistered, 0),
        ("exit", Decision::Admit, Reason::ExitOpen, 1),
    ] {
        let ear = mosquitto.listen().unwrap();
        let site = Site::new(&Plan {
            port: Some(mosquitto.port),
            barrier: "relay = SIMULATED\npulse = \"300ms\"",
            lane: &format!("direction = \"{direction}\"\nleave_after = \"1s\""),
            camera: "",
        })
        .unwrap();
        site.register(scene.plate(0)).unwrap();
        let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
        let gate = Gate::start(&site).unwrap();
        camera.show(1 + neighbour);
        std::thread::sleep(Duration::from_millis(2500));
        camera.show(EMPTY);
        assert!(
            wait_for(A_WHILE, || ear.passages().len() == 1),
            "{}",
            gate.log().join("\n")
        );
        let passage = &ear.passages()[0];
        assert_eq!(
            (passage.decision, passage.reason, passage.plate.as_ref()),
            (Some(decision), Some(reason), Some(scene.plate(neighbour)))
        );
        assert_eq!(site.pulses().unwrap().len(), openings);
        for (topic, word) in [
            ("bridge/state", "online"),
            ("lane/entry/camera", "\"online\""),
            ("barrier/main", "\"state\""),
            ("bridge/info", "\"entry\""),
        ] {
            let state = mosquitto.retained(topic).unwrap();
            assert!(
                state.as_ref().is_some_and(|s| s.contains(word)),
                "{topic}: {state:?}"
            );
        }
        assert!(mosquitto.retained("lane/entry/passage").unwrap().is_none());
        assert!(gate.stop().unwrap().1);
        assert_eq!(
            mosquitto.retained("bridge/state").unwrap().as_deref(),
            Some("offline")
        );
        ear.verify().unwrap();
    }
}
