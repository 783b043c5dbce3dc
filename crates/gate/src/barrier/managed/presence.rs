//! What the barrier knows of one presence input, and the test of all of them.

use std::time::Duration;

use crate::line::{Line, LineFault};
use crate::mutation::guard;
use crate::time::Monotonic;

/// One presence input: the loop or the light beam under the boom.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Presence {
    pub(super) line: Line,
    level: Option<bool>,
    clear_since: Option<Monotonic>,
    /// When it was last read.
    read: Option<Monotonic>,
    /// What is wrong with it now.
    faults: Vec<LineFault>,
    /// It was seen active outside a test.
    seen_active: bool,
    /// It was seen to change outside a test.
    proven: bool,
    /// It has reacted to the test that is going on.
    reacted: bool,
    /// It has reacted to a test in this cycle.
    tested: bool,
}

impl Presence {
    fn new(line: Line) -> Self {
        Self {
            line,
            level: None,
            clear_since: None,
            read: None,
            faults: Vec::new(),
            seen_active: false,
            proven: false,
            reacted: false,
            tested: false,
        }
    }

    fn is_clear(&self) -> bool {
        self.level == Some(false)
    }

    fn changed(&mut self, now: Monotonic, active: bool, testing: bool) {
        self.level = Some(active);
        self.clear_since = (!active).then_some(now);
        if testing {
            return;
        }
        if active {
            self.seen_active = true;
        } else {
            self.proven |= self.seen_active;
        }
    }

    fn forget(&mut self) {
        self.level = None;
        self.clear_since = None;
    }
}

/// How far the test of the presence inputs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    /// None is going on.
    Idle,
    /// The test output is energised.
    Applied { since: Monotonic },
    /// It is released; the inputs are to become clear again.
    Released { since: Monotonic },
}

/// What the test wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TestStep {
    Nothing,
    /// Energise the test output.
    Apply,
    /// Release it; these inputs did not react.
    Release(Vec<Line>),
}

/// All presence inputs of a barrier.
#[derive(Debug)]
pub(super) struct Presences {
    inputs: Vec<Presence>,
    test: Test,
}

impl Presences {
    pub(super) fn new(lines: impl Iterator<Item = Line>) -> Self {
        Self {
            inputs: lines.map(Presence::new).collect(),
            test: Test::Idle,
        }
    }

    pub(super) fn has(&self, line: &Line) -> bool {
        self.inputs.iter().any(|input| input.line == *line)
    }

    /// A change that was seen `at` this time and is heard of now.
    pub(super) fn changed(&mut self, now: Monotonic, line: &Line, active: bool, at: Monotonic) {
        let testing = self.test != Test::Idle;
        // What was there before the test is no answer to it.
        let answers = matches!(self.test, Test::Applied { since } if at >= since);
        for input in self.inputs.iter_mut().filter(|input| input.line == *line) {
            input.changed(now, active, testing);
            input.reacted |= active && answers;
        }
    }

    pub(super) fn health(&mut self, line: &Line, fault: LineFault, faulty: bool) {
        for input in self.inputs.iter_mut().filter(|input| input.line == *line) {
            input.faults.retain(|known| *known != fault);
            if faulty {
                input.faults.push(fault);
            }
            if faulty && fault == LineFault::Missing {
                input.forget();
            }
        }
    }

    /// Who came and left while an input was not read for longer than `within` was not seen: it has
    /// been clear only since it is read again.
    pub(super) fn were_read(&mut self, now: Monotonic, within: Duration, silent: &[Line]) {
        let read = |input: &&mut Presence| !silent.contains(&input.line);
        for input in self.inputs.iter_mut().filter(read) {
            let before = input.read.replace(now);
            if before.is_some_and(|at| now.since(at) > within) {
                input.clear_since = input.clear_since.map(|_| now);
            }
        }
    }

    /// What happened meanwhile is unknown, and so is whether the detectors kept their supply.
    pub(super) fn distrust(&mut self) {
        self.test = Test::Idle;
        for input in &mut self.inputs {
            input.forget();
            input.read = None;
            input.seen_active = false;
            input.proven = false;
            input.tested = false;
        }
    }

    pub(super) fn begin_cycle(&mut self) {
        for input in &mut self.inputs {
            input.tested = false;
        }
    }

    /// Whether somebody is under the boom, or nobody knows.
    pub(super) fn occupied(&self) -> bool {
        !self.inputs.iter().all(Presence::is_clear)
    }

    /// Whether an input is active that is not being tested.
    pub(super) fn active(&self) -> bool {
        self.test == Test::Idle && self.inputs.iter().any(|input| input.level == Some(true))
    }

    pub(super) fn healthy(&self) -> bool {
        guard!(Healthy => self.inputs.iter().all(|input| input.faults.is_empty()))
    }

    pub(super) fn fresh(&self, now: Monotonic, within: Duration) -> bool {
        let fresh = |input: &Presence| input.read.is_some_and(|at| now.since(at) <= within);
        guard!(Fresh => self.inputs.iter().all(fresh))
    }

    pub(super) fn clear_for(&self, now: Monotonic, time: Duration) -> bool {
        let clear = |input: &Presence| input.clear_since.is_some_and(|at| now.since(at) >= time);
        guard!(Clearance => self.inputs.iter().all(clear))
    }

    pub(super) fn proven(&self) -> bool {
        guard!(Proven => self.inputs.iter().all(|input| input.proven))
    }

    pub(super) fn tested(&self) -> bool {
        guard!(SelfTest => self.test == Test::Idle && self.inputs.iter().all(|input| input.tested))
    }

    /// Begins a test where one is `due` (never while an input is faulty), and sees the one through that is going on. It begins, and
    /// its time is over, only when somebody `looks`: what was seen may be heard of late.
    pub(super) fn test(
        &mut self,
        now: Monotonic,
        within: Duration,
        due: bool,
        looks: bool,
    ) -> TestStep {
        let over = |since| looks && now.since(since) >= within;
        // An input that is not read tells neither that it failed nor that somebody is there.
        let known = |input: &Presence, since| input.read.is_some_and(|at| at >= since + within);
        match self.test {
            Test::Idle => {
                let untested = self.inputs.iter().any(|input| !input.tested);
                if !due || !looks || !untested || self.occupied() {
                    return TestStep::Nothing;
                }
                for input in &mut self.inputs {
                    input.reacted = false;
                }
                self.test = Test::Applied { since: now };
                TestStep::Apply
            }
            Test::Applied { since } => {
                let all = self.inputs.iter().all(|input| input.reacted);
                if !all && !over(since) {
                    return TestStep::Nothing;
                }
                self.test = Test::Released { since: now };
                // What reacts later is a vehicle, not an answer.
                for input in &mut self.inputs {
                    input.tested = input.reacted;
                }
                let fails = |input: &&Presence| !input.reacted && known(input, since);
                let silent = self.inputs.iter().filter(fails);
                TestStep::Release(silent.map(|input| input.line.clone()).collect())
            }
            Test::Released { since } => {
                if !self.occupied() || over(since) {
                    self.test = Test::Idle;
                    for input in &mut self.inputs {
                        // Still active: that is no test any more.
                        input.seen_active |= input.level == Some(true) && known(input, since);
                    }
                }
                TestStep::Nothing
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_is_not_read_while_a_test_ends_is_neither_faulty_nor_proven() {
        let mut presences = Presences::new([Line::SafetyLoop].into_iter());
        let within = Duration::from_millis(300);
        let at = Monotonic::from_millis;
        presences.were_read(at(1000), within, &[]);
        presences.changed(at(1000), &Line::SafetyLoop, false, at(1000));
        assert_eq!(
            presences.test(at(1000), within, true, true),
            TestStep::Apply
        );
        let silent = presences.test(at(1400), within, true, true);
        assert_eq!(silent, TestStep::Release(Vec::new()));
        assert!(!presences.tested());

        presences.test(at(1410), within, true, true);
        presences.test(at(1500), within, true, true);
        presences.changed(at(1510), &Line::SafetyLoop, true, at(1510));
        assert_eq!(
            presences.test(at(1510), within, true, true),
            TestStep::Release(Vec::new())
        );
        presences.test(at(1900), within, true, true);
        presences.changed(at(1910), &Line::SafetyLoop, false, at(1910));
        assert!(!presences.proven());
    }
}
