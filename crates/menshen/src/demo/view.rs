//! What the demo shows in the terminal.

use std::io::IsTerminal as _;
use std::time::Instant;

use domain::reading::{Alphabet, Matrix};
use domain::{Decision, Entry, Event, PassageRecord, Verdict};
use sim::street::Vehicle;
use vision::models::Models;

use super::stage::Played;

/// How full a place's certainty is drawn.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The terminal.
pub(crate) struct View {
    quiet: bool,
    colour: bool,
    seed: u64,
    begin: Instant,
    alphabet: Option<Alphabet>,
    boom_up: bool,
}

impl View {
    pub(crate) fn new(quiet: bool, seed: u64) -> Self {
        Self {
            quiet,
            colour: std::io::stdout().is_terminal(),
            seed,
            begin: Instant::now(),
            alphabet: Models::embedded().ok().map(|m| m.alphabet().clone()),
            boom_up: false,
        }
    }

    pub(crate) fn starting(&mut self) {
        println!(
            "Menshen 门神 demo, scene {} / 演示场景 {}: nine vehicles, a good minute / 九辆车，一分多钟",
            self.seed, self.seed
        );
        println!("loading the models, starting the gate and a broker … / 正在启动 …");
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            println!("{:6.1} s  {text}", self.begin.elapsed().as_secs_f32());
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn appeared(&mut self, number: usize, vehicle: &Vehicle) {
        if number == 0 {
            self.begin = Instant::now();
        }
        self.say(&format!(
            "{} {}  ({}, {})",
            self.paint("1", &format!("vehicle {} comes / 来车", number + 1)),
            vehicle.plate.dotted(),
            vehicle.role.english(),
            vehicle.light.english(),
        ));
    }

    pub(crate) fn relay(&mut self) {
        self.say("          relay / 继电器  pulse");
    }

    pub(crate) fn boom(&mut self, open: f32) {
        let up = open > 0.5;
        if up != self.boom_up {
            self.boom_up = up;
            self.say(if up {
                "          boom / 道闸  up ／"
            } else {
                "          boom / 道闸  down ―"
            });
        }
    }

    pub(crate) fn event(&mut self, topic: &str, late: bool, entry: &Entry) {
        let late = if late { ", late / 迟到" } else { "" };
        match &entry.event {
            Event::Verdict { verdict, .. } => self.verdict(verdict),
            Event::Passage(record) => {
                self.say(&format!(
                    "          broker ◄ {topic}  seq {}: {} {}{late}",
                    entry.seq,
                    record.outcome.english(),
                    record.outcome.chinese(),
                ));
            }
            other => {
                self.say(&format!(
                    "          broker ◄ {topic}  seq {}: {}{late}",
                    entry.seq,
                    other.kind()
                ));
            }
        }
    }

    fn verdict(&self, verdict: &Verdict) {
        if let Some(lines) = self.reading(verdict) {
            for line in lines {
                self.say(&format!("          {line}"));
            }
        }
        let colour = match verdict.decision {
            Decision::Admit => "32;1",
            Decision::Refuse => "31;1",
            Decision::AskGuard => "33;1",
        };
        let word = format!(
            "{} {}",
            verdict.decision.english(),
            verdict.decision.chinese()
        );
        self.say(&format!(
            "          {}: {} / {}",
            self.paint(colour, &word),
            verdict.reason.english(),
            verdict.reason.chinese()
        ));
    }

    /// The sighting character by character, as the reader saw it: the likeliest of each place,
    /// how sure it is, and what else it might be.
    fn reading(&self, verdict: &Verdict) -> Option<[String; 2]> {
        let alphabet = self.alphabet.as_ref()?;
        let hex = verdict.evidence.matrix.as_bytes();
        let bytes: Option<Vec<u8>> = hex
            .chunks_exact(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let matrix = Matrix::from_bytes(alphabet.classes(), &bytes?).ok()?;
        let (mut text, mut doubts) = (String::new(), Vec::new());
        for (slot, best) in matrix.best_classes().into_iter().enumerate() {
            let Some(c) = alphabet.character(best) else {
                continue;
            };
            let row = matrix.slot(slot);
            let sure = row[best].probability();
            let bar = BARS[(sure * 8.0).round().clamp(0.0, 8.0) as usize];
            text.extend([c, bar, ' ']);
            let second = (0..row.len())
                .filter(|&i| i != best)
                .max_by_key(|&i| row[i]);
            if let Some(second) = second
                && row[second].probability() > 0.01
            {
                let other = alphabet.character(second).unwrap_or('∅');
                let percent = row[second].probability() * 100.0;
                doubts.push(format!("{c}→{other} {percent:.0} %"));
            }
        }
        let readings = verdict.evidence.readings;
        let doubts = if doubts.is_empty() {
            "no doubt / 无疑".to_owned()
        } else {
            doubts.join(", ")
        };
        Some([
            format!("reading / 识别  {text}"),
            format!("frames / 帧数 {readings}, doubts / 存疑: {doubts}"),
        ])
    }
}

/// Prints the table; says whether everything is as the registry file says.
pub(crate) fn summary(played: &Played) -> bool {
    println!();
    println!("scene / 场景 {}", played.seed);
    println!(
        "{:<11} {:<18} {:<14} {:<14} {:<20} passages  result",
        "plate", "who", "by rule", "verdict", "reason"
    );
    let mut good = played.stray.is_empty();
    for visit in &played.visits {
        let last = visit.passages.last();
        let fault = fault_of(visit.expected, visit.went_in, &visit.passages);
        good &= fault.is_none();
        println!(
            "{} {:<18} {:<14} {:<14} {:<20} {:<9} {}",
            wide(&visit.plate.dotted(), 11),
            visit.role,
            visit.expected.english(),
            last.and_then(|p| p.decision).map_or("-", Decision::english),
            last.and_then(|p| p.reason).map_or("-", |r| r.code()),
            visit.passages.len(),
            fault.unwrap_or("as it should be / 正确"),
        );
    }
    for stray in &played.stray {
        println!(
            "a passage that belongs to no vehicle / 多余记录: {} {:?}",
            stray.began, stray.plate
        );
    }
    println!(
        "{}",
        if good {
            "every vehicle has one passage and the verdict of the registry file / 全部正确"
        } else {
            "there are differences / 存在差异"
        }
    );
    good
}

fn fault_of(expected: Decision, went_in: bool, passages: &[PassageRecord]) -> Option<&'static str> {
    match passages {
        [] => Some("NO PASSAGE / 无记录"),
        [one] if one.decision != Some(expected) => Some("OTHER VERDICT / 判定不符"),
        [_] if went_in != (expected == Decision::Admit) => Some("BOOM DIFFERS / 道闸不符"),
        [_] => None,
        _ => Some("SEVERAL PASSAGES / 多条记录"),
    }
}

/// Pads to a width in terminal cells, in which a Chinese character takes two.
fn wide(text: &str, cells: usize) -> String {
    let taken: usize = text
        .chars()
        .map(|c| if c.is_ascii() || c == '·' { 1 } else { 2 })
        .sum();
    format!("{text}{}", " ".repeat(cells.saturating_sub(taken)))
}
