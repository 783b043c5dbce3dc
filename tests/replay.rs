//! Recorded verdicts decided again, at a running gate and in the store it leaves behind.

use domain::{Decision, Event};
use house::{Gate, Heard, Lane, Need, Site, alone, cannot_run};

/// The exit status of `menshen replay` and what it says.
fn replay(site: &Site, event: &str) -> (Option<i32>, String) {
    let output = site.verb(&["replay", event]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complains = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said + &complains)
}

fn is_the_same(site: &Site, event: &str) -> String {
    let (status, said) = replay(site, event);
    assert_eq!(status, Some(0), "{event}: {said}");
    assert!(said.contains("byte for byte"), "{said}");
    said
}

/// A resident and a stranger come. Their verdicts are reached again, also after the resident was
/// taken out of the register and the stranger put in; verdicts that somebody wrote otherwise are not.
#[test]
fn verdicts_are_reached_again_over_changes_of_the_register_and_forged_ones_are_not() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let lane = Lane::with_loop(1).unwrap();
    let (site, scene) = (&lane.site, &lane.scene);
    let gate = Gate::start(site).unwrap();
    lane.visit(&gate, (1, 1), || {}).unwrap();
    lane.visit(&gate, (2, 2), || {}).unwrap();
    let verdict = |of: usize| -> (Heard, Decision) {
        let heard = lane.ear.heard().into_iter();
        let mut verdicts = heard.filter_map(|heard| match &heard.entry.event {
            Event::Verdict { verdict, .. } if verdict.plate.as_ref() == Some(scene.plate(of)) => {
                let decision = verdict.decision;
                Some((heard, decision))
            }
            _ => None,
        });
        verdicts.next().unwrap()
    };
    let (resident, stranger) = (verdict(0), verdict(1));
    assert_eq!(
        (resident.1, stranger.1),
        (Decision::Admit, Decision::Refuse)
    );
    let ids = [&resident, &stranger].map(|(heard, _)| heard.entry.id.to_string());
    for id in &ids {
        is_the_same(site, id);
    }

    site.register(scene.plate(1)).unwrap();
    let remove = [
        "registry",
        "remove",
        "--by",
        "test",
        scene.plate(0).as_str(),
    ];
    assert!(site.verb(&remove).unwrap().status.success());
    for id in &ids {
        assert!(is_the_same(site, id).contains("from version 3 to 1"));
    }
    let passages = lane.ear.passages();
    is_the_same(site, &passages[0].passage.to_string());
    is_the_same(site, &stranger.0.entry.seq.to_string());
    gate.stop().unwrap();
    for id in &ids {
        is_the_same(site, id);
    }

    let written = String::from_utf8(stranger.0.bytes.clone()).unwrap();
    let file = site.path("event.json");
    let file_name = file.to_str().unwrap();
    std::fs::write(&file, &written).unwrap();
    is_the_same(site, file_name);
    let forged = [
        (
            r#""decision":"refuse""#,
            r#""decision":"admit""#,
            "/decision: ",
        ),
        (r#""score":-"#, r#""score":-1"#, "/score: "),
    ];
    for (was, is, differs) in forged {
        assert!(written.contains(was), "{written}");
        std::fs::write(&file, written.replacen(was, is, 1)).unwrap();
        let (status, said) = replay(site, file_name);
        assert_eq!(status, Some(1), "{said}");
        assert!(
            said.contains("DIFFERENT") && said.contains(differs),
            "{said}"
        );
    }
    let (status, said) = replay(site, "999999");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("does not have it"), "{said}");
}
