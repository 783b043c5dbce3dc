//! What is tried, and in which order: presence inputs first, then all other inputs, then what
//! moves, then the cameras.

use std::time::Duration;

use domain::{Language, Words};
use gate::barrier::managed::Output;
use gate::line::Line;
use gate::wiring::RelayWiring;

use crate::check::{input_name, input_words, relay_words};
use crate::config::House;

/// One thing that is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// An input of a barrier.
    Input {
        /// The barrier, as an index into [`Plan::barriers`].
        barrier: usize,
        /// The input, as an index into its inputs.
        input: usize,
    },
    /// An output of a barrier.
    Output {
        /// The barrier, as an index into [`Plan::barriers`].
        barrier: usize,
        /// Which output.
        output: Output,
    },
    /// A lane's camera.
    Camera {
        /// The lane, as an index into [`Plan::lanes`].
        lane: usize,
    },
}

/// An input, as the session knows it.
#[derive(Debug, Clone)]
pub(crate) struct InputPlan {
    /// Which input.
    pub(crate) line: Line,
    /// Whether its contact is closed at rest, as configured.
    pub(crate) normally_closed: bool,
    /// Where it is wired to.
    pub(crate) place: Words,
}

impl InputPlan {
    /// Whether it sees somebody under the boom.
    pub(crate) fn is_safety(&self) -> bool {
        matches!(self.line, Line::SafetyLoop | Line::LightBeam)
    }
}

/// A barrier, as the session knows it.
#[derive(Debug, Clone)]
pub(crate) struct BarrierPlan {
    /// Its name.
    pub(crate) name: String,
    /// Its inputs, in the order of the wiring.
    pub(crate) inputs: Vec<InputPlan>,
    /// Where its relay is.
    pub(crate) relay: Words,
    /// How long its pulse is.
    pub(crate) pulse: Duration,
    /// Whether a low level energises the relay; `None` where the port has no such choice.
    pub(crate) active_low: Option<bool>,
}

/// Everything that is tried.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The barriers.
    pub(crate) barriers: Vec<BarrierPlan>,
    /// The lanes' names.
    pub(crate) lanes: Vec<String>,
    /// What is tried, in this order.
    pub(crate) items: Vec<Item>,
}

impl Plan {
    /// The plan for a house, with its cameras or without.
    pub(crate) fn of(house: &House, cameras: bool) -> Self {
        let barriers: Vec<_> = house
            .barriers
            .iter()
            .map(|barrier| BarrierPlan {
                name: barrier.name.to_string(),
                inputs: barrier
                    .wiring
                    .inputs()
                    .iter()
                    .map(|input| InputPlan {
                        line: input.line.clone(),
                        normally_closed: input.normally_closed,
                        place: both(|language| input_words(barrier, input, language)),
                    })
                    .collect(),
                relay: both(|language| relay_words(barrier, language)),
                pulse: barrier.profile.pulse,
                active_low: match barrier.wiring.relay() {
                    RelayWiring::Rppal { active_low, .. }
                    | RelayWiring::Gpiochip { active_low, .. } => Some(*active_low),
                    RelayWiring::Simulated { .. }
                    | RelayWiring::Serial { .. }
                    | RelayWiring::Modbus { .. }
                    | RelayWiring::Isapi { .. } => None,
                },
            })
            .collect();
        let lanes = house.lanes.iter().map(|l| l.settings.lane.to_string());
        let mut plan = Self {
            items: Vec::new(),
            barriers,
            lanes: lanes.collect(),
        };
        for barrier in 0..plan.barriers.len() {
            plan.items.extend(plan.inputs_of(barrier));
            // The pulse profile has this one output; see `gate::barrier`.
            let output = Output::Open;
            plan.items.push(Item::Output { barrier, output });
        }
        if cameras {
            let lanes = 0..plan.lanes.len();
            plan.items.extend(lanes.map(|lane| Item::Camera { lane }));
        }
        plan
    }

    /// The inputs of a barrier, presence first.
    pub(crate) fn inputs_of(&self, barrier: usize) -> Vec<Item> {
        let inputs = &self.barriers[barrier].inputs;
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        order.sort_by_key(|at| !inputs[*at].is_safety());
        let item = |input| Item::Input { barrier, input };
        order.into_iter().map(item).collect()
    }

    /// What an item is called.
    pub(crate) fn name(&self, item: &Item) -> Words {
        match item {
            Item::Input { barrier, input } => {
                let barrier = &self.barriers[*barrier];
                let name = input_name(&barrier.inputs[*input].line);
                Words::new(
                    format!("道闸 {} · {}", barrier.name, name.chinese),
                    format!("barrier {}: {}", barrier.name, name.english),
                )
            }
            Item::Output { barrier, output } => {
                let name = &self.barriers[*barrier].name;
                let (chinese, english) = output_name(*output);
                Words::new(
                    format!("道闸 {name} · {chinese}"),
                    format!("barrier {name}: {english}"),
                )
            }
            Item::Camera { lane } => {
                let name = &self.lanes[*lane];
                Words::new(
                    format!("车道 {name} · 摄像机"),
                    format!("lane {name}: camera"),
                )
            }
        }
    }
}

fn output_name(output: Output) -> (&'static str, &'static str) {
    match output {
        Output::Open => ("开闸继电器", "OPEN relay"),
        Output::Close => ("关闸继电器", "CLOSE relay"),
        Output::Stop => ("停止继电器", "STOP relay"),
        Output::Test => ("检测输出", "test output"),
    }
}

fn both(say: impl Fn(Language) -> String) -> Words {
    Words::new(say(Language::Zh), say(Language::En))
}
