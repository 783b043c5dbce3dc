//! The conversation, played without a gate: what each wiring mistake is found to be, and on
//! random conversations what must never happen.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use domain::Words;
use gate::barrier::managed::Output;
use gate::barrier::{BarrierEvent, Fault, Origin, Refusal};
use gate::driver::Observation;
use gate::line::{Line, LineFault, LineNotice};
use gate::{CauseId, Monotonic};
use proptest::prelude::*;

use super::finding::Outcome;
use super::plan::{BarrierPlan, InputPlan, Item, Plan};
use super::session::{Action, Ending, Input, Look, Question, Session};

fn input(line: Line, normally_closed: bool) -> InputPlan {
    InputPlan {
        line,
        normally_closed,
        place: Words::as_it_is("pin 1"),
    }
}

/// Two barriers; the first has inputs and, as a managed one would, a close relay.
fn plan() -> Plan {
    let barrier = |name: &str, inputs| BarrierPlan {
        name: name.to_owned(),
        inputs,
        relay: Words::as_it_is("relay"),
        pulse: Duration::from_millis(500),
        active_low: Some(false),
    };
    let mut plan = Plan {
        barriers: vec![
            barrier(
                "main",
                vec![
                    input(Line::Stop, true),
                    input(Line::LightBeam, true),
                    input(Line::GuardButton, false),
                ],
            ),
            barrier("back", Vec::new()),
        ],
        lanes: vec!["entry".to_owned()],
        items: Vec::new(),
    };
    plan.items = plan.inputs_of(0);
    let output = |barrier, output| Item::Output { barrier, output };
    plan.items.extend([
        output(0, Output::Open),
        output(0, Output::Close),
        output(1, Output::Open),
        Item::Camera { lane: 0 },
    ]);
    plan
}

/// A gate that does what it is told, and a person who is asked.
struct Play {
    session: Session,
    now: u64,
    asked: Option<Question>,
    said: Vec<Words>,
    energised: Vec<(usize, Output, String)>,
    releases: usize,
    released_all: bool,
    last: Option<Action>,
}

impl Play {
    fn new() -> Self {
        let mut play = Self {
            session: Session::new(plan(), "test"),
            now: 0,
            asked: None,
            said: Vec::new(),
            energised: Vec::new(),
            releases: 0,
            released_all: false,
            last: None,
        };
        play.take(Input::Begin);
        play
    }

    fn take(&mut self, input: Input) {
        let actions = self.session.step(Monotonic::from_millis(self.now), input);
        for action in actions {
            self.last = Some(action.clone());
            match action {
                Action::Say(words) => self.said.push(words),
                Action::Ask(question, _) => self.asked = Some(question),
                Action::Release { .. } => self.releases += 1,
                Action::Energise {
                    barrier,
                    output,
                    cause,
                } => self.energised.push((barrier, output, cause)),
                Action::ReleaseAll => self.released_all = true,
                Action::Look { .. } | Action::LookAway | Action::WriteDown => {}
            }
        }
    }

    fn say(&mut self, line: &str) {
        self.now += 1000;
        self.take(Input::Said(line.to_owned()));
    }

    fn see(&mut self, barrier: usize, what: Observation) {
        self.now += 50;
        self.take(Input::Observed { barrier, what });
    }

    fn event(&mut self, barrier: usize, event: BarrierEvent) {
        self.see(barrier, Observation::Event(event));
    }

    fn level(&mut self, line: Line, active: bool) {
        let at = Monotonic::from_millis(self.now);
        let notice = LineNotice::Level(active);
        self.see(0, Observation::Line { line, notice, at });
    }

    fn contacts(&mut self, closed: [bool; 3]) {
        let at = Monotonic::from_millis(self.now);
        let closed = closed.to_vec();
        self.see(0, Observation::Contacts { at, closed });
    }

    fn wait(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(100) {
            self.now += 100;
            self.take(Input::Tick);
        }
    }

    /// Name, nobody below, both ports held with everything at rest.
    fn begun() -> Self {
        let mut play = Self::new();
        for barrier in 0..2 {
            play.event(barrier, BarrierEvent::RelayGuardReady);
        }
        play.contacts([true, true, false]);
        for line in [Line::Stop, Line::LightBeam, Line::GuardButton] {
            play.level(line, false);
        }
        assert_eq!(play.asked, Some(Question::Name));
        play.say("  ");
        assert_eq!(play.asked, Some(Question::Name), "nobody is no name");
        play.say("王芳");
        assert_eq!(play.asked, Some(Question::NobodyBelow));
        play.say("y");
        assert_eq!(play.asked, Some(Question::AtRest));
        play
    }

    fn tried(&mut self, line: &Line) {
        self.say("y");
        assert_eq!(self.asked, Some(Question::Activate));
        self.level(line.clone(), true);
        assert_eq!(self.asked, Some(Question::LetGo));
        self.level(line.clone(), false);
    }

    fn stamp(&self) -> Monotonic {
        Monotonic::from_millis(self.now)
    }

    /// The pulse that was last ordered, carried out.
    fn pulsed(&mut self, millis: u64) {
        let (barrier, _, cause) = self.energised.last().unwrap().clone();
        let cause = CauseId::new(cause).unwrap();
        let at = self.stamp();
        self.event(
            barrier,
            BarrierEvent::Energised {
                cause: cause.clone(),
                at,
            },
        );
        let at = at + Duration::from_millis(millis);
        self.event(barrier, BarrierEvent::Released { cause, at });
    }

    fn output(&mut self, barrier: usize) {
        let at = self.stamp();
        self.see(barrier, Observation::Released { at });
        assert_eq!(self.asked, Some(Question::StandsStill));
        self.say("y");
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.session.findings().iter().map(|f| f.outcome).collect()
    }

    fn cure(&self, at: usize) -> String {
        self.session.findings()[at].cure.clone().unwrap().english
    }
}

#[test]
fn a_gate_that_is_right_passes_from_the_first_item_to_the_last() {
    let mut play = Play::begun();
    for line in [Line::LightBeam, Line::Stop, Line::GuardButton] {
        play.tried(&line);
    }
    for (barrier, output) in [(0, Output::Open), (0, Output::Close), (1, Output::Open)] {
        play.output(barrier);
        assert_eq!(play.asked, Some(Question::MayMove { barrier, output }));
        play.say("y");
        assert_eq!(play.energised.last().unwrap().1, output);
        play.pulsed(500);
        assert_eq!(play.asked, Some(Question::Moved));
        play.say("y");
    }
    play.take(Input::Looked(Look {
        frames: 50,
        size: Some((1280, 720)),
        tenths_a_second: 100,
        plates: vec!["苏E12345".to_owned()],
        trouble: None,
    }));
    play.wait(6_000);
    assert_eq!(play.asked, Some(Question::Picture));
    assert!(!play.released_all);
    play.say("是");
    assert_eq!(play.session.ending(), Some(Ending::Finished));
    assert!(play.session.all_good(), "{:?}", play.session.findings());
    assert_eq!(play.last, Some(Action::ReleaseAll));
    assert_eq!(play.session.who(), "王芳");
    let seen = &play.session.findings()[6].seen.english;
    assert!(
        seen.contains("1280 x 720") && seen.contains("10.0 a second"),
        "{seen}"
    );
}

#[test]
fn each_mistake_at_an_input_is_told_from_the_others() {
    // Open and closed swapped: active at rest.
    let mut play = Play::begun();
    play.level(Line::LightBeam, true);
    play.say("y");
    play.level(Line::LightBeam, false);
    play.level(Line::LightBeam, true);
    assert_eq!(play.asked, Some(Question::Further));
    assert!(
        play.cure(0)
            .contains("light_beam = { ..., normally_closed = false }"),
        "{}",
        play.cure(0)
    );

    // Nothing on the wire.
    let mut play = Play::begun();
    play.say("y");
    play.say("y");
    play.wait(1_000);
    assert_eq!(play.asked, Some(Question::Activate), "not before its time");
    play.wait(600);
    assert_eq!(play.asked, Some(Question::Further));
    assert!(
        play.session.findings()[0]
            .seen
            .english
            .contains("never changed")
    );

    // A loose terminal.
    let mut play = Play::begun();
    play.say("y");
    for n in 0..30 {
        play.contacts([true, n % 2 == 0, false]);
    }
    let at = play.stamp();
    play.see(
        0,
        Observation::Line {
            line: Line::LightBeam,
            notice: LineNotice::Faulty(LineFault::Chatter),
            at,
        },
    );
    play.level(Line::LightBeam, true);
    play.level(Line::LightBeam, false);
    assert!(play.session.findings()[0].seen.english.contains("chatters"));

    // It sticks.
    let mut play = Play::begun();
    play.say("y");
    play.level(Line::LightBeam, true);
    play.say("y");
    play.wait(1_600);
    assert!(
        play.session.findings()[0]
            .seen
            .english
            .contains("stayed active")
    );
    // Put right, tried again: what counts is what it is now.
    play.level(Line::LightBeam, false);
    play.say("r");
    play.tried(&Line::LightBeam);
    assert_eq!(play.outcomes()[0], Outcome::Good);
}

#[test]
fn a_close_relay_is_not_even_asked_about_without_a_safety_input_that_was_seen_live() {
    let mut play = Play::begun();
    for _ in 0..3 {
        play.say("s");
    }
    play.output(0);
    play.say("n");
    play.output(0);
    assert_eq!(play.asked, Some(Question::Further));
    assert_eq!(play.outcomes()[4], Outcome::Wrong);
    assert!(play.energised.is_empty());

    // Seen live, but somebody is under the boom now.
    let mut play = Play::begun();
    play.tried(&Line::LightBeam);
    play.say("s");
    play.say("s");
    play.output(0);
    play.say("n");
    play.output(0);
    assert_eq!(
        play.asked,
        Some(Question::MayMove {
            barrier: 0,
            output: Output::Close
        })
    );
    play.level(Line::LightBeam, true);
    play.say("y");
    assert!(play.energised.is_empty());
    assert_eq!(play.asked, Some(Question::Further));
}

#[test]
fn what_becomes_of_a_pulse_is_told() {
    let at_output = || {
        let mut play = Play::begun();
        for _ in 0..3 {
            play.say("s");
        }
        play.output(0);
        play.say("y");
        play
    };
    let refused = |play: &mut Play, reason| {
        let cause = CauseId::new(play.energised[0].2.clone()).unwrap();
        let origin = Origin::Guard;
        play.event(
            0,
            BarrierEvent::OpeningRefused {
                cause,
                origin,
                reason,
            },
        );
    };
    let mut play = at_output();
    refused(&mut play, Refusal::StopActive);
    assert!(play.cure(3).contains("unlock STOP"));

    let mut play = at_output();
    let fault = Fault::RelayNotReleased;
    play.event(0, BarrierEvent::FaultLatched { fault });
    assert!(play.cure(3).contains("supply"));

    let mut play = at_output();
    play.wait(13_000);
    assert_eq!(play.asked, Some(Question::Further));

    let mut play = at_output();
    let reason = "pulled out".to_owned();
    play.event(0, BarrierEvent::RelayGuardLost { reason });
    assert_eq!(play.asked, Some(Question::Further));
    assert!(
        play.session.findings()[3]
            .seen
            .english
            .contains("pulled out")
    );

    let mut play = at_output();
    play.pulsed(500);
    play.say("n");
    assert!(play.cure(3).contains("COM and NO"));
    // Again needs another yes.
    play.say("r");
    play.output(0);
    assert_eq!(play.energised.len(), 1);
    play.say("y");
    assert_eq!(play.energised.len(), 2);
    assert_ne!(play.energised[0].2, play.energised[1].2);

    let mut play = Play::begun();
    for _ in 0..3 {
        play.say("s");
    }
    let at = play.stamp();
    play.see(0, Observation::Released { at });
    play.say("n");
    assert!(play.cure(3).contains("active_low = true"));
    assert!(play.energised.is_empty());
}

#[test]
fn a_yes_that_was_typed_ahead_moves_nothing() {
    let mut play = Play::begun();
    for _ in 0..3 {
        play.say("s");
    }
    let at = play.stamp();
    play.see(0, Observation::Released { at });
    for _ in 0..10 {
        play.take(Input::Said("y".to_owned()));
    }
    assert!(play.energised.is_empty());
    play.say("y");
    assert_eq!(play.energised.len(), 1);
}

#[test]
fn a_release_that_is_not_confirmed_and_a_port_that_does_not_open_try_nothing() {
    let mut play = Play::begun();
    for _ in 0..3 {
        play.say("s");
    }
    play.wait(1_600);
    assert!(
        play.session.findings()[3]
            .seen
            .english
            .contains("not confirmed")
    );

    let mut play = Play::new();
    let reason = "no such device".to_owned();
    play.event(0, BarrierEvent::RelayGuardLost { reason });
    play.say("李");
    play.say("y");
    play.wait(5_000);
    assert!(
        play.session.findings()[0]
            .seen
            .english
            .contains("no such device")
    );
    assert!(play.energised.is_empty());
}

#[test]
fn the_end_leaves_nothing_on_and_says_what_was_not_reached() {
    let mut play = Play::begun();
    play.tried(&Line::LightBeam);
    play.take(Input::Stop);
    assert_eq!(play.session.ending(), Some(Ending::Interrupted));
    assert_eq!(play.last, Some(Action::ReleaseAll));
    assert!(!play.session.all_good());
    assert_eq!(play.outcomes()[0], Outcome::Good);
    assert!(
        play.outcomes()[1..]
            .iter()
            .all(|o| *o == Outcome::NotReached)
    );
}

#[derive(Debug, Clone)]
enum Happening {
    Say(&'static str),
    Quickly(&'static str),
    Wait(u64),
    Level(usize, bool),
    Chatter(usize, bool),
    Ready(usize),
    Lost(usize),
    Restarted(usize),
    Released(usize),
    Pulse,
    Refuse,
    Look(u64),
    /// Does what leads on, whatever is asked.
    Help,
    Stop,
}

const LINES: [Line; 3] = [Line::Stop, Line::LightBeam, Line::GuardButton];

fn happening() -> impl Strategy<Value = Happening> {
    let word = || prop::sample::select(vec!["y", "y", "y", "n", "s", "r", "", "?", "是"]);
    prop_oneof![
        30 => Just(Happening::Help),
        8 => word().prop_map(Happening::Say),
        3 => word().prop_map(Happening::Quickly),
        2 => (0u64..15_000).prop_map(Happening::Wait),
        6 => (0usize..3, any::<bool>()).prop_map(|(l, a)| Happening::Level(l, a)),
        1 => (0usize..3, any::<bool>()).prop_map(|(l, a)| Happening::Chatter(l, a)),
        3 => (0usize..2).prop_map(Happening::Ready),
        1 => (0usize..2).prop_map(Happening::Lost),
        1 => (0usize..2).prop_map(Happening::Restarted),
        4 => (0usize..2).prop_map(Happening::Released),
        4 => Just(Happening::Pulse),
        1 => Just(Happening::Refuse),
        2 => (0u64..100).prop_map(Happening::Look),
        1 => Just(Happening::Stop),
    ]
}

/// What the test knows by itself of the light beam: its level, and how far it was seen to work
/// (0 nothing, 1 at rest, 2 active after that, 3 at rest again).
#[derive(Default)]
struct Beam {
    level: Option<bool>,
    stage: u8,
    chatters: bool,
}

impl Beam {
    fn level(&mut self, active: bool) {
        self.level = Some(active);
        self.stage = match (self.stage, active) {
            (0, false) => 1,
            (1, true) => 2,
            (2, false) => 3,
            (stage, _) => stage,
        };
    }

    fn live(&self) -> bool {
        self.stage == 3 && self.level == Some(false) && !self.chatters
    }
}

impl Play {
    /// What a person and a gate that are willing would do now.
    fn help(&mut self, beam: &mut Beam) {
        match self.asked {
            None => {}
            Some(Question::Name) => self.say("王"),
            Some(Question::Activate | Question::LetGo) => {
                let up = self.asked == Some(Question::Activate);
                for line in LINES {
                    if line == Line::LightBeam {
                        beam.level(up);
                    }
                    self.level(line, up);
                }
            }
            Some(_) => self.say("y"),
        }
        for barrier in 0..2 {
            let at = self.stamp();
            self.see(barrier, Observation::Released { at });
        }
        if !self.energised.is_empty() {
            self.pulsed(500);
        }
        self.take(Input::Looked(Look {
            frames: 1,
            ..Look::default()
        }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is said and whatever happens: an output is energised only by a yes to that very
    /// movement, once for each; a close relay only under the eyes of an input that was seen
    /// to work; and at the end everything is released.
    #[test]
    fn nothing_moves_without_a_yes_and_nothing_stays_on(
        happenings in prop::collection::vec(happening(), 1..150),
    ) {
        let mut play = Play::new();
        let mut beam = Beam::default();
        let mut ready = [true; 2];
        for barrier in 0..2 {
            play.event(barrier, BarrierEvent::RelayGuardReady);
        }
        for happening in happenings {
            let asked = play.asked;
            let (before, over) = (play.energised.len(), play.released_all);
            let mut yes = false;
            match happening {
                Happening::Say(word) => {
                    yes = word == "y" || word == "是";
                    play.say(word);
                }
                Happening::Quickly(word) => {
                    play.take(Input::Said(word.to_owned()));
                    yes = word == "y" || word == "是";
                }
                Happening::Wait(millis) => play.wait(millis),
                Happening::Level(line, active) => {
                    if LINES[line] == Line::LightBeam {
                        beam.level(active);
                    }
                    play.level(LINES[line].clone(), active);
                }
                Happening::Chatter(line, begins) => {
                    let line = LINES[line].clone();
                    if line == Line::LightBeam {
                        beam.chatters = begins;
                        if begins {
                            beam.stage = 0;
                        }
                    }
                    let fault = LineFault::Chatter;
                    let notice = if begins {
                        LineNotice::Faulty(fault)
                    } else {
                        LineNotice::Healthy(fault)
                    };
                    let at = play.stamp();
                    play.see(0, Observation::Line { line, notice, at });
                }
                Happening::Ready(barrier) => {
                    ready[barrier] = true;
                    play.event(barrier, BarrierEvent::RelayGuardReady);
                }
                Happening::Lost(barrier) | Happening::Restarted(barrier) => {
                    ready[barrier] = false;
                    if barrier == 0 {
                        beam = Beam { chatters: beam.chatters, ..Beam::default() };
                    }
                    let reason = "gone".to_owned();
                    let event = if matches!(happening, Happening::Lost(_)) {
                        BarrierEvent::RelayGuardLost { reason }
                    } else {
                        BarrierEvent::ThreadRestarted { reason }
                    };
                    play.event(barrier, event);
                }
                Happening::Released(barrier) => {
                    let at = play.stamp();
                    play.see(barrier, Observation::Released { at });
                }
                Happening::Pulse if !play.energised.is_empty() => play.pulsed(500),
                Happening::Refuse if !play.energised.is_empty() => {
                    let (barrier, _, cause) = play.energised.last().unwrap().clone();
                    play.event(barrier, BarrierEvent::OpeningFailed {
                        cause: CauseId::new(cause).unwrap(),
                        reason: "no".to_owned(),
                    });
                }
                Happening::Pulse | Happening::Refuse => {}
                Happening::Look(frames) => play.take(Input::Looked(Look {
                    frames,
                    ..Look::default()
                })),
                Happening::Help => {
                    yes = matches!(asked, Some(Question::MayMove { .. }));
                    play.help(&mut beam);
                }
                Happening::Stop => play.take(Input::Stop),
            }
            prop_assert!(play.energised.len() <= before + 1);
            if play.energised.len() > before {
                let (barrier, output, _) = play.energised.last().unwrap().clone();
                prop_assert!(yes && !over);
                prop_assert_eq!(asked, Some(Question::MayMove { barrier, output }));
                prop_assert!(ready[barrier]);
                if output == Output::Close {
                    prop_assert!(beam.live());
                }
            }
            if over {
                prop_assert_eq!(&play.last, &Some(Action::ReleaseAll));
            }
        }
        play.take(Input::Stop);
        prop_assert!(play.released_all);
        prop_assert_eq!(play.last, Some(Action::ReleaseAll));
        let causes: std::collections::BTreeSet<_> = play.energised.iter().map(|e| &e.2).collect();
        prop_assert_eq!(causes.len(), play.energised.len());
    }
}
