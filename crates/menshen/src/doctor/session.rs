//! The conversation with the person at the gate, without a clock and without I/O.
//!
//! [`Session::step`] takes the time and what happened (a typed line, an input's level, what
//! became of a pulse, what a camera shows) and gives what to do: say, ask, order, write down.
//!
//! ```text
//! name ─► nobody below? ─► item ─► item ─► ... ─► over: everything released
//!
//! input:  at rest? ─► make it active ─► let it go ─► finding
//! output: release ─► does it stand still? ─► may it move? ─► pulse ─► did it move? ─► finding
//! camera: watch ─► is that right? ─► finding
//! ```
//!
//! Invariants, checked on random conversations:
//! - An output is energised only in the step that takes the person's yes to the question for
//!   that very movement, once for each yes. A yes that was typed before the question could be
//!   read is none.
//! - A close relay is energised only while a safety input of its barrier is at rest that was
//!   seen to become active and to rest again in this session.
//! - However it ends, the last thing ordered is the release of everything.

mod questions;
mod trials;

use std::time::Duration;

use domain::Words;
use gate::Monotonic;
use gate::barrier::managed::Output;
use gate::barrier::{BarrierEvent, Fault};
use gate::driver::Observation;
use gate::line::{LineFault, LineNotice};

use super::answer::Answer;
use super::finding::{Finding, Outcome};
use super::plan::{Item, Plan};
use super::texts;

/// A yes to a movement that comes sooner than this after its question was typed before it.
const READING: Duration = Duration::from_millis(300);
/// How long a relay guard may take to open its port.
const PORT_WITHIN: Duration = Duration::from_secs(5);
/// How long after "done" an input may take to be seen; above the longest debounce of 1 s.
const SEEN_WITHIN: Duration = Duration::from_millis(1500);
/// How long a release may take to be confirmed.
const RELEASED_WITHIN: Duration = Duration::from_millis(1500);
/// How long a pulse may take from its order to its confirmed end: pulse, margin and dead time
/// at their longest are 11 s.
const PULSE_WITHIN: Duration = Duration::from_secs(12);
/// When a person who waits for an input is told what to look at.
const REMIND_AFTER: Duration = Duration::from_mins(1);
/// How long a camera is waited for before the person is asked about it all the same.
const PICTURES_WITHIN: Duration = Duration::from_secs(10);

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The session begins.
    Begin,
    /// Nothing but time.
    Tick,
    /// The person typed a line.
    Said(String),
    /// Something was seen of a barrier.
    Observed {
        /// The barrier, as an index into the plan's.
        barrier: usize,
        /// What.
        what: Observation,
    },
    /// How the camera that is looked at does.
    Looked(Look),
    /// Ctrl-C, the end of the terminal, or a failure of the program's own.
    Stop,
}

/// What a camera has shown so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Look {
    /// Pictures that arrived.
    pub(crate) frames: u64,
    /// Width and height of the latest, in pixels.
    pub(crate) size: Option<(u32, u32)>,
    /// Pictures a second, in tenths.
    pub(crate) tenths_a_second: u64,
    /// Plates that were read, each once.
    pub(crate) plates: Vec<String>,
    /// Why there is no picture, in the camera's words.
    pub(crate) trouble: Option<String>,
}

/// What the person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Who is there.
    Name,
    /// Whether nobody stands below the booms.
    NobodyBelow,
    /// Whether the input is at rest.
    AtRest,
    /// To make the input active.
    Activate,
    /// To let it rest.
    LetGo,
    /// Whether the boom stands still with its relay released.
    StandsStill,
    /// Whether the boom may move now.
    MayMove {
        /// Which barrier.
        barrier: usize,
        /// By which output.
        output: Output,
    },
    /// Whether it moved.
    Moved,
    /// Whether the camera shows what it should.
    Picture,
    /// Something is wrong: again, or on.
    Further,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Say this.
    Say(Words),
    /// Ask this.
    Ask(Question, Words),
    /// Order the release of a barrier's relays and have it confirmed.
    Release {
        /// Which barrier.
        barrier: usize,
    },
    /// Ask the barrier for one pulse.
    Energise {
        /// Which barrier.
        barrier: usize,
        /// Which output.
        output: Output,
        /// The cause's id.
        cause: String,
    },
    /// Watch the camera of a lane.
    Look {
        /// Which lane.
        lane: usize,
    },
    /// Watch no camera.
    LookAway,
    /// The findings have changed.
    WriteDown,
    /// The session is over: release everything and end every barrier.
    ReleaseAll,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every item was come to.
    Finished,
    /// The person ended it, or something else did.
    Interrupted,
}

/// Whether the relay's port is held.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Port {
    /// Not yet known.
    Opening,
    Held,
    Lost(String),
}

/// One input, as it was seen.
#[derive(Debug, Clone, Default)]
struct Contact {
    closed: Option<bool>,
    level: Option<bool>,
    chatters: bool,
    /// Raw changes, and whether chatter was reported, since this item began.
    changes: u32,
    chattered: bool,
    /// It was seen to become active and to rest again, as it should.
    proven: bool,
}

#[derive(Debug)]
struct Seen {
    port: Port,
    contacts: Vec<Contact>,
}

/// What is waited for.
#[derive(Debug)]
enum Phase {
    Beginning,
    Name,
    NobodyBelow,
    /// The port is to be held.
    Port {
        since: Monotonic,
    },
    AtRest,
    Activate {
        rest: bool,
        since: Monotonic,
        claimed: Option<Monotonic>,
        reminded: bool,
    },
    LetGo {
        rest: bool,
        claimed: Option<Monotonic>,
    },
    Releasing {
        since: Monotonic,
    },
    StandsStill,
    MayMove {
        asked: Monotonic,
    },
    Pulsing {
        cause: String,
        since: Monotonic,
        energised: Option<Monotonic>,
    },
    Moved {
        length: Duration,
    },
    Watching {
        since: Monotonic,
        look: Look,
        asked: bool,
    },
    Further,
    Over(Ending),
}

/// The conversation. See the [module](self).
#[derive(Debug)]
pub(crate) struct Session {
    plan: Plan,
    /// What the causes of this session begin with.
    id: String,
    who: String,
    at: usize,
    phase: Phase,
    barriers: Vec<Seen>,
    findings: Vec<Finding>,
    pulses: u64,
}

impl Session {
    /// A session that has not begun. `id` makes the causes of its pulses its own: letters,
    /// digits and hyphens, at most 60.
    pub(crate) fn new(plan: Plan, id: impl Into<String>) -> Self {
        let seen = |inputs: usize| Seen {
            port: Port::Opening,
            contacts: vec![Contact::default(); inputs],
        };
        Self {
            barriers: plan.barriers.iter().map(|b| seen(b.inputs.len())).collect(),
            findings: vec![Finding::not_reached(); plan.items.len()],
            plan,
            id: id.into(),
            who: String::new(),
            at: 0,
            phase: Phase::Beginning,
            pulses: 0,
        }
    }

    /// What is tried.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Who is there; empty until they said so.
    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    /// What came of each item of the plan.
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How it ended, once it has.
    pub(crate) fn ending(&self) -> Option<Ending> {
        match self.phase {
            Phase::Over(ending) => Some(ending),
            _ => None,
        }
    }

    /// Whether it is over and everything was found good.
    pub(crate) fn all_good(&self) -> bool {
        let good = |finding: &Finding| finding.outcome == Outcome::Good;
        self.ending() == Some(Ending::Finished) && self.findings.iter().all(good)
    }

    /// The input that is being tried, as it is now: raw contact and trusted level.
    pub(crate) fn live(&self) -> Option<Words> {
        if !matches!(
            self.phase,
            Phase::AtRest | Phase::Activate { .. } | Phase::LetGo { .. }
        ) {
            return None;
        }
        let Item::Input { barrier, input } = self.plan.items.get(self.at)? else {
            return None;
        };
        let contact = &self.barriers[*barrier].contacts[*input];
        let (raw_zh, raw_en) = match contact.closed {
            Some(true) => ("闭合", "closed"),
            Some(false) => ("断开", "open"),
            None => ("未读到", "not read"),
        };
        let (level_zh, level_en) = texts::level_words(contact.level);
        Some(Words::new(
            format!("触点 {raw_zh} → {level_zh}（变化 {} 次）", contact.changes),
            format!(
                "contact {raw_en} → {level_en} ({} changes)",
                contact.changes
            ),
        ))
    }

    /// Takes what happened and says what to do.
    pub(crate) fn step(&mut self, now: Monotonic, input: Input) -> Vec<Action> {
        let mut out = Vec::new();
        if self.ending().is_some() {
            return out;
        }
        match input {
            Input::Begin => self.introduce(&mut out),
            Input::Tick => {}
            Input::Said(line) => self.said(now, &line, &mut out),
            Input::Observed { barrier, what } => self.observed(barrier, what, &mut out),
            Input::Looked(new) => {
                if let Phase::Watching { look, .. } = &mut self.phase {
                    *look = new;
                }
            }
            Input::Stop => self.end(Ending::Interrupted, &mut out),
        }
        self.go_on(now, &mut out);
        out
    }

    fn introduce(&mut self, out: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Beginning) {
            return;
        }
        let say = |zh: String, en: String| Action::Say(Words::new(zh, en));
        out.push(say(
            "下面逐项检查接线：程序说一句，您做一步。程序运行期间大门不识别车牌、不自动开闸，\
             消防输入也不会开闸。随时可按 Ctrl-C 结束，继电器会全部断开。"
                .to_owned(),
            "Every wire is tried now, step by step. While this runs the gate reads no plates and \
             opens nothing by itself, not for the fire input either. Ctrl-C ends it at any time and \
             releases every relay."
                .to_owned(),
        ));
        for barrier in &self.plan.barriers {
            out.push(say(
                format!(
                    "会动的闸杆：道闸 {}（{}）",
                    barrier.name, barrier.relay.chinese
                ),
                format!(
                    "This boom will move: barrier {} ({})",
                    barrier.name, barrier.relay.english
                ),
            ));
        }
        out.push(Action::Say(Answer::legend()));
        self.phase = Phase::Name;
        self.ask_again(out);
    }

    fn input(&self) -> Option<(usize, &super::plan::InputPlan)> {
        match self.plan.items.get(self.at)? {
            Item::Input { barrier, input } => {
                Some((*barrier, &self.plan.barriers[*barrier].inputs[*input]))
            }
            _ => None,
        }
    }

    fn contact(&self) -> Option<&Contact> {
        match self.plan.items.get(self.at)? {
            Item::Input { barrier, input } => Some(&self.barriers[*barrier].contacts[*input]),
            _ => None,
        }
    }

    /// The barrier of the current item.
    fn barrier(&self) -> Option<usize> {
        match self.plan.items.get(self.at)? {
            Item::Input { barrier, .. } | Item::Output { barrier, .. } => Some(*barrier),
            Item::Camera { .. } => None,
        }
    }

    fn said(&mut self, now: Monotonic, line: &str, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Name) {
            return self.named(line, out);
        }
        match Answer::read(line) {
            Answer::End => self.end(Ending::Interrupted, out),
            Answer::Skip if self.item_is_open() => {
                self.break_off(out);
                self.write_down(Finding::skipped(), out);
                self.next(now, out);
            }
            Answer::Again if self.item_is_open() => {
                self.break_off(out);
                self.start(now, out);
            }
            answer => self.answered(now, answer, out),
        }
    }

    fn named(&mut self, line: &str, out: &mut Vec<Action>) {
        let name: String = line
            .chars()
            .filter(|c| !c.is_control())
            .take(60)
            .collect::<String>()
            .trim()
            .to_owned();
        if !name.is_empty() {
            self.who = name;
            self.phase = Phase::NobodyBelow;
        }
        self.ask_again(out);
    }

    /// Whether an item is being tried or was found wrong.
    fn item_is_open(&self) -> bool {
        !matches!(
            self.phase,
            Phase::Beginning | Phase::Name | Phase::NobodyBelow | Phase::Over(_)
        )
    }

    /// Leaves an item in the middle: nothing of it goes on.
    fn break_off(&mut self, out: &mut Vec<Action>) {
        match (&self.phase, self.barrier()) {
            (Phase::Pulsing { .. }, Some(barrier)) => out.push(Action::Release { barrier }),
            (Phase::Watching { .. }, _) => out.push(Action::LookAway),
            _ => {}
        }
    }

    fn answered(&mut self, now: Monotonic, answer: Answer, out: &mut Vec<Action>) {
        match (&mut self.phase, answer) {
            (Phase::NobodyBelow, Answer::Yes) => self.start(now, out),
            (Phase::AtRest, Answer::Yes) => self.at_rest(now, out),
            (
                Phase::Activate { claimed, .. } | Phase::LetGo { claimed, .. },
                Answer::Yes | Answer::Nothing,
            ) => {
                claimed.get_or_insert(now);
            }
            (Phase::Activate { .. }, Answer::No) => self.never_changed(out),
            (Phase::LetGo { rest, .. }, Answer::No) => {
                let rest = *rest;
                self.did_not_return(rest, out);
            }
            (Phase::StandsStill, Answer::Yes) => self.ask_to_move(now, out),
            (Phase::StandsStill, Answer::No) => self.moves_by_itself(out),
            (Phase::MayMove { asked }, Answer::Yes) => {
                if now.since(*asked) < READING {
                    out.push(Action::Say(Words::new(
                        "这个 y 在问题出现之前就输入了，不算。请看清问题再回答",
                        "That y was typed before the question; it does not count. Read it, then answer",
                    )));
                    return self.ask_to_move(now, out);
                }
                self.energise(now, out);
            }
            (Phase::MayMove { .. }, Answer::No) => {
                self.write_down(Finding::skipped(), out);
                self.next(now, out);
            }
            (Phase::Moved { length }, Answer::Yes) => {
                let length = *length;
                self.moved(length, out);
                self.next(now, out);
            }
            (Phase::Moved { .. }, Answer::No) => self.did_not_move(out),
            (Phase::Watching { look, .. }, Answer::Yes | Answer::No) => {
                let look = look.clone();
                self.looked(&look, answer == Answer::Yes, out);
                if self.findings[self.at].outcome == Outcome::Good {
                    self.next(now, out);
                }
            }
            (Phase::Further, Answer::Nothing | Answer::Yes | Answer::No) => self.next(now, out),
            (Phase::AtRest | Phase::NobodyBelow, Answer::No) => {
                out.push(Action::Say(Words::new(
                    "好，等您弄好再回答 y",
                    "Take your time; answer y when it is so",
                )));
                self.ask_again(out);
            }
            (Phase::Port { .. } | Phase::Releasing { .. } | Phase::Pulsing { .. }, _) => {
                out.push(Action::Say(Words::new("请稍等", "One moment")));
            }
            _ => {
                out.push(Action::Say(Answer::legend()));
                self.ask_again(out);
            }
        }
    }

    fn next(&mut self, now: Monotonic, out: &mut Vec<Action>) {
        self.at += 1;
        if self.at < self.plan.items.len() {
            self.start(now, out);
        } else {
            self.end(Ending::Finished, out);
        }
    }

    /// Begins the current item.
    fn start(&mut self, now: Monotonic, out: &mut Vec<Action>) {
        let Some(item) = self.plan.items.get(self.at).cloned() else {
            return self.end(Ending::Finished, out);
        };
        let (count, all) = (self.at + 1, self.plan.items.len());
        let name = self.plan.name(&item);
        let place = match &item {
            Item::Input { barrier, input } => {
                self.plan.barriers[*barrier].inputs[*input].place.clone()
            }
            Item::Output { barrier, .. } => self.plan.barriers[*barrier].relay.clone(),
            Item::Camera { .. } => Words::new("最多等 10 秒", "waiting at most 10 s"),
        };
        out.push(Action::Say(Words::new(
            format!("[{count}/{all}] {}（{}）", name.chinese, place.chinese),
            format!("[{count}/{all}] {} ({})", name.english, place.english),
        )));
        if let Item::Input { barrier, input } = item {
            let contact = &mut self.barriers[barrier].contacts[input];
            contact.changes = 0;
            contact.chattered = contact.chatters;
            contact.proven = false;
        }
        if let Item::Camera { lane } = item {
            out.push(Action::Look { lane });
            self.phase = Phase::Watching {
                since: now,
                look: Look::default(),
                asked: false,
            };
        } else {
            self.phase = Phase::Port { since: now };
            self.wait_for_port(now, now, out);
        }
    }

    fn write_down(&mut self, finding: Finding, out: &mut Vec<Action>) {
        let outcome = finding.outcome.words();
        out.push(Action::Say(Words::new(
            format!("{}：{}", outcome.chinese, finding.seen.chinese),
            format!("{}: {}", outcome.english, finding.seen.english),
        )));
        if let Some(cure) = &finding.cure {
            out.push(Action::Say(Words::new(
                format!("怎么办：{}", cure.chinese),
                format!("cure: {}", cure.english),
            )));
        }
        if let Some(place) = self.findings.get_mut(self.at) {
            *place = finding;
        }
        out.push(Action::WriteDown);
    }

    /// Writes down what is wrong and asks whether to try again.
    fn wrong(&mut self, seen: Words, cure: Words, out: &mut Vec<Action>) {
        self.write_down(Finding::wrong(seen, cure), out);
        self.phase = Phase::Further;
        self.ask_again(out);
    }

    fn end(&mut self, ending: Ending, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Watching { .. }) {
            out.push(Action::LookAway);
        }
        self.phase = Phase::Over(ending);
        out.push(Action::ReleaseAll);
    }

    fn observed(&mut self, barrier: usize, what: Observation, out: &mut Vec<Action>) {
        let Some(seen) = self.barriers.get_mut(barrier) else {
            return;
        };
        match what {
            Observation::Contacts { closed, .. } => {
                for (contact, closed) in seen.contacts.iter_mut().zip(closed) {
                    let before = contact.closed.replace(closed);
                    if before.is_some_and(|before| before != closed) {
                        contact.changes = contact.changes.saturating_add(1);
                    }
                }
            }
            Observation::Line { line, notice, .. } => {
                let inputs = self.plan.barriers[barrier].inputs.iter();
                let at = inputs.zip(&mut seen.contacts);
                for (_, contact) in at.filter(|(input, _)| input.line == line) {
                    match notice {
                        LineNotice::Level(active) => contact.level = Some(active),
                        LineNotice::Faulty(LineFault::Chatter) => {
                            contact.chatters = true;
                            contact.chattered = true;
                            contact.proven = false;
                        }
                        LineNotice::Healthy(LineFault::Chatter) => contact.chatters = false,
                        LineNotice::Faulty(LineFault::Stuck | LineFault::Missing) => {
                            contact.proven = false;
                        }
                        LineNotice::Healthy(LineFault::Stuck | LineFault::Missing) => {}
                    }
                }
            }
            Observation::Released { .. } => {
                if matches!(self.phase, Phase::Releasing { .. }) && self.barrier() == Some(barrier)
                {
                    self.phase = Phase::StandsStill;
                    self.ask_again(out);
                }
            }
            Observation::Event(event) => self.event(barrier, event, out),
        }
    }

    fn event(&mut self, barrier: usize, event: BarrierEvent, out: &mut Vec<Action>) {
        let seen = &mut self.barriers[barrier];
        match &event {
            BarrierEvent::RelayGuardReady => seen.port = Port::Held,
            BarrierEvent::RelayGuardLost { reason } | BarrierEvent::ThreadRestarted { reason } => {
                seen.lose(reason.clone());
            }
            _ => {}
        }
        let here = self.barrier() == Some(barrier);
        let Phase::Pulsing {
            cause: mine,
            energised,
            ..
        } = &mut self.phase
        else {
            return;
        };
        match event {
            BarrierEvent::Energised { cause, at } if cause.as_str() == mine => {
                *energised = Some(at);
            }
            BarrierEvent::Released { cause, at } if cause.as_str() == mine => {
                match *energised {
                    Some(since) => {
                        let length = at.since(since);
                        self.phase = Phase::Moved { length };
                        self.ask_again(out);
                    }
                    None => self.not_energised(
                        Words::new(
                            "继电器没有吸合就断开了",
                            "the relay was released without having been energised",
                        ),
                        texts::port_cure(),
                        out,
                    ),
                }
            }
            BarrierEvent::OpeningRefused { cause, reason, .. } if cause.as_str() == mine => {
                let (seen, cure) = texts::refusal_words(reason);
                self.not_energised(seen, cure, out);
            }
            BarrierEvent::OpeningFailed { cause, reason } if cause.as_str() == mine => {
                self.not_energised(
                    Words::new(
                        format!("继电器没有吸合：{reason}"),
                        format!("the relay was not energised: {reason}"),
                    ),
                    texts::port_cure(),
                    out,
                );
            }
            BarrierEvent::FaultLatched {
                fault: Fault::RelayNotReleased,
            } if here => self.not_energised(
                Words::new(
                    "脉冲之后没有确认继电器断开",
                    "the relay's release after the pulse was not confirmed",
                ),
                Words::new(
                    "立即断开继电器板电源，查触点是否粘住、板子和线",
                    "cut the relay board's supply now; check for a welded contact, the board and its wires",
                ),
                out,
            ),
            _ => {}
        }
    }

    /// What time alone, or what was just seen, leads to.
    fn go_on(&mut self, now: Monotonic, out: &mut Vec<Action>) {
        if let Some(reason) = self.lost_port() {
            return self.not_held(&reason, out);
        }
        match &mut self.phase {
            Phase::Port { since } => {
                let since = *since;
                self.wait_for_port(now, since, out);
            }
            Phase::Activate {
                rest,
                since,
                claimed,
                reminded,
            } => {
                let (rest, since, claimed) = (*rest, *since, *claimed);
                let remind = !*reminded && now.since(since) >= REMIND_AFTER;
                *reminded |= remind;
                let level = self.contact().and_then(|contact| contact.level);
                if level.is_some_and(|level| level != rest) {
                    self.phase = Phase::LetGo {
                        rest,
                        claimed: None,
                    };
                    self.ask_again(out);
                } else if claimed.is_some_and(|at| now.since(at) >= SEEN_WITHIN) {
                    self.never_changed(out);
                } else if remind {
                    out.push(Action::Say(Words::new(
                        "一分钟没有看到变化。做好了请输入 y；做不到请输入 n",
                        "No change for a minute. Type y if it is done, n if it cannot be done",
                    )));
                }
            }
            Phase::LetGo { rest, claimed } => {
                let (rest, claimed) = (*rest, *claimed);
                let level = self.contact().and_then(|contact| contact.level);
                if level == Some(rest) {
                    self.judge_input(now, rest, out);
                } else if claimed.is_some_and(|at| now.since(at) >= SEEN_WITHIN) {
                    self.did_not_return(rest, out);
                }
            }
            Phase::Releasing { since } if now.since(*since) >= RELEASED_WITHIN => {
                self.wrong(
                    Words::new(
                        "没有确认继电器断开，所以没有试",
                        "the relay's release was not confirmed, so it was not tried",
                    ),
                    texts::port_cure(),
                    out,
                );
            }
            Phase::Pulsing { since, .. } if now.since(*since) >= PULSE_WITHIN => {
                self.not_energised(
                    Words::new(
                        "没有等到脉冲的结果",
                        "what became of the pulse was not heard",
                    ),
                    texts::port_cure(),
                    out,
                );
            }
            Phase::Watching { since, look, asked }
                if !*asked
                    && (now.since(*since) >= PICTURES_WITHIN
                        || (look.frames > 0 && now.since(*since) >= PICTURES_WITHIN / 2)) =>
            {
                *asked = true;
                self.ask_again(out);
            }
            _ => {}
        }
    }

    /// Why the port of the current item is not held any more, where it must be.
    fn lost_port(&self) -> Option<String> {
        let needed = matches!(
            self.phase,
            Phase::AtRest
                | Phase::Activate { .. }
                | Phase::LetGo { .. }
                | Phase::Releasing { .. }
                | Phase::StandsStill
                | Phase::MayMove { .. }
                | Phase::Pulsing { .. }
        );
        match &self.barriers[self.barrier().filter(|_| needed)?].port {
            Port::Lost(reason) => Some(reason.clone()),
            Port::Opening | Port::Held => None,
        }
    }

    fn not_held(&mut self, reason: &str, out: &mut Vec<Action>) {
        self.wrong(
            Words::new(
                format!("继电器和输入的端口不在手里：{reason}"),
                format!("the port of relay and inputs is not held: {reason}"),
            ),
            texts::port_cure(),
            out,
        );
    }

    fn wait_for_port(&mut self, now: Monotonic, since: Monotonic, out: &mut Vec<Action>) {
        let Some(barrier) = self.barrier() else {
            return;
        };
        let port = self.barriers[barrier].port.clone();
        match port {
            Port::Held => {
                if self.input().is_some() {
                    self.phase = Phase::AtRest;
                    self.ask_again(out);
                } else {
                    out.push(Action::Release { barrier });
                    self.phase = Phase::Releasing { since: now };
                }
            }
            _ if now.since(since) < PORT_WITHIN => {}
            Port::Lost(reason) => self.not_held(&reason, out),
            Port::Opening => self.not_held("it did not open / 没有打开", out),
        }
    }
}

impl Seen {
    /// Nobody knows what happened to its inputs meanwhile.
    fn lose(&mut self, reason: String) {
        self.port = Port::Lost(reason);
        for contact in &mut self.contacts {
            contact.closed = None;
            contact.level = None;
            contact.proven = false;
        }
    }
}
