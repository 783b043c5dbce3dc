//! Numbered passes at a running gate: issued through its socket, used on the road, counted once.

use domain::{Outcome, Reason};
use house::{Gate, Lane, Need, alone, cannot_run};

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A stranger gets a pass for one entry while the gate runs, comes in by it, and not a second
/// time, also after the gate was killed.
#[test]
fn a_pass_for_one_entry_lets_its_plate_in_once_over_a_kill() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let lane = Lane::with_loop(1).unwrap();
    let (site, scene) = (&lane.site, &lane.scene);
    let gate = Gate::start(site).unwrap();

    let verb = |args: &[&str]| {
        let output = site.verb(args).unwrap();
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        said(&output)
    };
    let plate = scene.plate(1).as_str();
    verb(&[
        "pass",
        "issue",
        "--numbers",
        "637",
        "--plate",
        plate,
        "--entries",
        "1",
        "--from",
        "2026-01-01",
        "--until",
        "2099-12-31",
        "--by",
        "test",
    ]);
    let visit = |gate: &Gate, count: usize| {
        lane.visit(gate, (2, count), || {}).unwrap();
        lane.ear.passages().pop().unwrap()
    };
    let first = visit(&gate, 1);
    assert_eq!(
        (first.reason, first.outcome),
        (Some(Reason::Pass), Outcome::Passed)
    );
    assert_eq!(first.pass.unwrap().number.get(), 637);
    let shown = verb(&["pass", "list", "--json"]);
    assert!(shown.contains("\"entries\":1,\"last\""), "{shown}");

    gate.kill().unwrap();
    let gate = Gate::start(site).unwrap();
    let second = visit(&gate, 2);
    assert_eq!(
        (second.reason, second.outcome),
        (Some(Reason::PassUsedUp), Outcome::TurnedAway)
    );
    assert_eq!(second.pass, None);
    verb(&[
        "pass",
        "extend",
        "637",
        "--more-entries",
        "1",
        "--by",
        "test",
    ]);
    assert_eq!(visit(&gate, 3).reason, Some(Reason::Pass));
    assert_eq!(site.pulses().unwrap().len(), 2);
    verb(&["registry", "verify"]);
    gate.stop().unwrap();
}
