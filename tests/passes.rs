//! Numbered passes at a running gate: issued through its socket, used on the road, counted once.

use std::process::Command;

use domain::{Event, Outcome, Reason};
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

/// The printed slip of a pass, as a picture so many pixels wide.
fn slip(lane: &Lane, number: &str, width: u32) -> image::RgbImage {
    let (svg, png) = (lane.site.path("slip.svg"), lane.site.path("slip.png"));
    let out = svg.to_str().unwrap();
    let args = [
        "pass",
        "print",
        "--single",
        "--numbers",
        number,
        "--out",
        out,
    ];
    let output = lane.site.verb(&args).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let drawn = Command::new("rsvg-convert")
        .args(["--width", &width.to_string(), "--background-color", "white"])
        .arg("--output")
        .args([&png, &svg])
        .status()
        .unwrap();
    assert!(drawn.success());
    image::open(png).unwrap().into_rgb8()
}

/// A picture of the lane (binary PPM) with a paper held into its upper left corner, beside the plate.
fn held_into(ppm: &[u8], paper: &image::RgbImage) -> Vec<u8> {
    let mut picture = image::load_from_memory(ppm).unwrap().into_rgb8();
    image::imageops::replace(&mut picture, paper, 10, 10);
    let head = ppm.len() - picture.as_raw().len();
    [&ppm[..head], picture.as_raw()].concat()
}

/// A supplier comes with a vehicle that nobody knows, and holds up the paper that the gate printed:
/// it lets him in once and takes one entry. The next stranger, with whom the same paper is still to
/// be seen, stays out, and a revoked paper opens nothing.
#[test]
fn a_suppliers_paper_held_up_to_the_camera_lets_an_unknown_vehicle_in() {
    if cannot_run(&[Need::Mosquitto, Need::Paper]) {
        return;
    }
    let _alone = alone();
    let lane = Lane::with_loop(1).unwrap();
    let verb = |line: &str| {
        let args: Vec<_> = line.split_whitespace().collect();
        let output = lane.site.verb(&args).unwrap();
        assert!(output.status.success(), "{line}: {}", said(&output));
        said(&output)
    };
    verb(
        "pass issue --numbers 700,701 --supplier --holder 菜车 --entries 5 \
         --from 2026-01-01 --until 2099-12-31 --by test",
    );
    let with = |vehicle: usize, number: &str| {
        let picture = &lane.scene.pictures[vehicle];
        lane.camera
            .add(held_into(picture, &slip(&lane, number, 520)))
    };
    let (first, behind, revoked) = (with(2, "700"), with(3, "700"), with(3, "701"));
    let gate = Gate::start(&lane.site).unwrap();
    let visit = |picture: usize, count: usize| {
        lane.visit(&gate, (picture, count), || {}).unwrap();
        let record = lane.ear.passages().pop().unwrap();
        (record.reason.unwrap(), record.outcome, record.pass)
    };

    let (reason, outcome, pass) = visit(first, 1);
    assert_eq!((reason, outcome), (Reason::PassShown, Outcome::Passed));
    assert_eq!(pass.unwrap().number.get(), 700);
    let listed = verb("pass list --json");
    assert_eq!(
        listed.matches("\"entries\":1,\"last\"").count(),
        1,
        "{listed}"
    );
    let passage = lane.ear.passages().pop().unwrap().passage.to_string();
    let again = verb(&format!("replay {passage}"));
    assert_eq!(again.matches("byte for byte").count(), 2, "{again}");
    let out = (Reason::NotRegistered, Outcome::TurnedAway, None);
    assert_eq!(visit(behind, 2), out);
    verb("pass revoke 701 --reason lost --by test");
    assert_eq!(visit(revoked, 3), out);

    let shown = |number: u32| {
        let heard = lane
            .ear
            .heard()
            .into_iter()
            .find_map(|h| match h.entry.event {
                Event::PassShown { pass, reason, .. } if pass?.number.get() == number => {
                    Some(reason)
                }
                _ => None,
            });
        heard.unwrap()
    };
    assert_eq!(shown(700), Reason::Pass);
    assert_eq!(shown(701), Reason::PassRevoked);
    assert_eq!(lane.site.pulses().unwrap().len(), 1);
    gate.stop().unwrap();
}
