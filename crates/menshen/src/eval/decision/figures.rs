//! From counts to what is told: for machines as it is, for people as tables. Pure.

use access::Margins;
use serde::Serialize;

use super::matrices::Sample;
use super::method::{FOLDED, Method};
use super::trial::{Admission, Counts, Outcomes, Role, Tried};
use crate::eval::labels::RowFault;
use crate::eval::report::{Model, Table, Unusable};
use crate::eval::statistics::wilson;

/// Strangers let in that are listed for people.
const LISTED: usize = 20;
/// Every so manieth point of the curve is listed for people.
const LISTED_EVERY: usize = 4;

/// Everything that one run has to tell; as JSON it is the answer for machines.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// This program's version.
    pub(super) version: &'static str,
    /// The networks that read the pictures.
    pub(super) models: Vec<Model>,
    /// The label file.
    pub(super) labels: String,
    /// The folder of pictures.
    pub(super) folder: String,
    /// Which of its rows were wanted; all if empty.
    pub(super) filters: Vec<String>,
    /// The plates that were shown.
    pub(super) plates: Plates,
    /// What they were shown to.
    pub(super) registers: Registers,
    /// The margins in use, in 1/1024 nat.
    pub(super) margins: Margins,
    /// Pictures whose mean brightness (0 to 255) is below this are dark.
    pub(super) dark_below: f32,
    /// What `low` and `high` are.
    pub(super) interval: &'static str,
    /// Characters that folding takes for one.
    pub(super) folded: [&'static str; FOLDED.len()],
    /// The methods beside each other, ours at the margins in use first.
    pub(super) methods: Vec<MethodFigures>,
    /// Ours at other margins over the stranger.
    pub(super) curve: Vec<CurvePoint>,
    /// The methods in groups.
    pub(super) splits: Vec<Split>,
    /// Strangers that ours let in at the margins in use.
    pub(super) let_in: Vec<LetIn>,
    /// Bad rows of the label file.
    pub(super) faults: Vec<RowFault>,
    /// Pictures that could not be used.
    pub(super) unusable: Vec<Unusable>,
}

/// The plates that were shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Plates {
    /// Labelled numbers in pictures.
    pub(super) shown: usize,
    /// How many different ones.
    pub(super) distinct: usize,
    /// Those that were not found in their pictures.
    pub(super) not_found: usize,
}

/// What the plates were shown to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Registers {
    /// The list, if it is one.
    pub(super) file: Option<String>,
    /// How many registers.
    pub(super) count: usize,
    /// Numbers in each.
    pub(super) size: usize,
    /// How many of those were made up, because the pictures have too few.
    pub(super) invented: usize,
    /// What they were drawn from.
    pub(super) seed: u64,
}

/// What became of those who tried in one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Rate {
    /// Admitted under their own number.
    pub(super) own: u64,
    /// Admitted under another.
    pub(super) another: u64,
    /// The guard was asked.
    pub(super) asked: u64,
    /// Refused.
    pub(super) refused: u64,
    /// All tries.
    pub(super) of: u64,
    /// The distinct plates among them.
    pub(super) plates: usize,
    /// Admitted of all: of residents under their own number, of others under any.
    pub(super) share: Option<f64>,
    /// The interval's lower end.
    pub(super) low: Option<f64>,
    /// Its upper end.
    pub(super) high: Option<f64>,
}

impl Rate {
    /// The rate of outcomes for `plates` distinct plates.
    ///
    /// A plate that is tried twenty times tells little more than one tried once, so the interval
    /// is as wide as if each plate had been tried once.
    fn new(role: Role, outcomes: Outcomes, plates: usize) -> Self {
        let of = outcomes.tries();
        let admitted = match role {
            Role::Resident => outcomes.own,
            Role::Stranger | Role::Neighbour | Role::RunnerUp => outcomes.own + outcomes.another,
        };
        let share = (of > 0).then(|| admitted as f64 / of as f64);
        let interval = share.map(|p| wilson(p, plates as f64));
        Self {
            own: outcomes.own,
            another: outcomes.another,
            asked: outcomes.asked,
            refused: outcomes.refused,
            of,
            plates,
            share,
            low: interval.map(|i| i.0),
            high: interval.map(|i| i.1),
        }
    }

    /// Those that count as admitted.
    fn admitted(&self, role: Role) -> u64 {
        match role {
            Role::Resident => self.own,
            Role::Stranger | Role::Neighbour | Role::RunnerUp => self.own + self.another,
        }
    }

    fn brief(&self) -> String {
        let (Some(share), Some(interval)) = (self.share, self.interval()) else {
            return String::new();
        };
        format!("{} ({interval})", percent(share))
    }

    fn interval(&self) -> Option<String> {
        let (low, high) = (self.low?, self.high?);
        let [low, high] = [low, high].map(|p| percent(p).replace(" %", ""));
        Some(format!("{low} to {high}"))
    }
}

/// Per cent, with more places the nearer to none.
pub(super) fn percent(share: f64) -> String {
    let places = match share {
        // A bound that is 0 but for rounding.
        p if p < 1e-9 => 0,
        p if p < 0.000_1 => 4,
        p if p < 0.001 => 3,
        _ => 2,
    };
    format!("{:.places$} %", share * 100.0)
}

/// What became of everybody under one method.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Rates {
    /// Residents.
    pub(super) residents: Rate,
    /// Strangers.
    pub(super) strangers: Rate,
    /// Strangers with a registered neighbour.
    pub(super) neighbours: Rate,
    /// Strangers whose runner-up is registered.
    pub(super) runner_ups: Rate,
}

impl Rates {
    /// The rates of one method in one group.
    fn new(counts: &Counts, method: usize) -> Self {
        let rate = |role: Role| {
            let outcomes = counts.outcomes[method][role as usize];
            Rate::new(role, outcomes, counts.plates[role as usize].len())
        };
        Self {
            residents: rate(Role::Resident),
            strangers: rate(Role::Stranger),
            neighbours: rate(Role::Neighbour),
            runner_ups: rate(Role::RunnerUp),
        }
    }

    /// Those of one role.
    pub(super) fn of(&self, role: Role) -> &Rate {
        match role {
            Role::Resident => &self.residents,
            Role::Stranger => &self.strangers,
            Role::Neighbour => &self.neighbours,
            Role::RunnerUp => &self.runner_ups,
        }
    }
}

/// One method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct MethodFigures {
    /// Its name for machines.
    pub(super) method: &'static str,
    /// For people.
    #[serde(skip)]
    pub(super) title: &'static str,
    /// What became of everybody.
    #[serde(flatten)]
    pub(super) rates: Rates,
}

/// One point of the curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct CurvePoint {
    /// The margin over the best stranger, in nats.
    pub(super) margin: f32,
    /// What became of everybody.
    #[serde(flatten)]
    pub(super) rates: Rates,
}

/// The plates in groups by one quality.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Split {
    /// The quality's name for machines: `kind`, `light`, or a column.
    pub(super) by: String,
    /// For people.
    pub(super) title: String,
    /// The groups.
    pub(super) groups: Vec<Group>,
}

/// The plates of one group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Group {
    /// The group's name for machines.
    pub(super) name: String,
    /// For people.
    pub(super) title: String,
    /// The methods.
    pub(super) methods: Vec<MethodFigures>,
}

/// A stranger who was let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LetIn {
    /// The line of the label file.
    pub(super) line: u64,
    /// The picture.
    pub(super) path: String,
    /// The number on the plate.
    pub(super) number: String,
    /// The registered number it was taken for.
    pub(super) taken_for: String,
    /// How it was tried: `strangers`, `neighbours` or `runner-ups`.
    pub(super) role: &'static str,
    /// In how many registers.
    pub(super) times: u64,
}

impl LetIn {
    /// Everybody who was let in, strangers first.
    pub(super) fn all(tried: &Tried, samples: &[Sample]) -> Vec<Self> {
        let one = |(admission, &times): (&Admission, &u64)| {
            let sample = samples.get(admission.sample)?;
            Some(Self {
                line: sample.line,
                path: sample.path.clone(),
                number: sample.number.to_string(),
                taken_for: admission.taken_for.to_string(),
                role: admission.role.name(),
                times,
            })
        };
        tried.admissions.iter().filter_map(one).collect()
    }
}

/// The figures of the methods in one group.
pub(super) fn methods(counts: &Counts, methods: &[Method]) -> Vec<MethodFigures> {
    let figures = |(place, method): (usize, &Method)| MethodFigures {
        method: method.name(),
        title: method.title(),
        rates: Rates::new(counts, place),
    };
    methods.iter().enumerate().map(figures).collect()
}

/// The curve; its margins are the methods from `from` on.
pub(super) fn curve(counts: &Counts, margins: &[f32], from: usize) -> Vec<CurvePoint> {
    let point = |(place, &margin): (usize, &f32)| CurvePoint {
        margin,
        rates: Rates::new(counts, from + place),
    };
    margins.iter().enumerate().map(point).collect()
}

const fn title(role: Role) -> &'static str {
    match role {
        Role::Resident => "Residents 住户",
        Role::Stranger => "Strangers 陌生车",
        Role::Neighbour => {
            "Strangers, a number one random character away is registered 陌生车，登记库中有随机差一字的号码"
        }
        Role::RunnerUp => {
            "Strangers, the number that the reader takes most easily for theirs is registered 陌生车，登记库中有识别最易混的号码"
        }
    }
}

/// The report as tables.
pub(super) fn tables(report: &Report) -> Vec<Table> {
    let mut tables = vec![overview(report), curve_table(report)];
    tables.extend(report.splits.iter().map(split_table));
    if !report.let_in.is_empty() {
        tables.push(let_in(&report.let_in));
    }
    tables
}

fn overview(report: &Report) -> Table {
    let mut rows = Vec::new();
    for role in Role::ALL {
        let tried = report.methods.first().map(|m| m.rates.of(role));
        let (of, plates) = tried.map_or((0, 0), |t| (t.of, t.plates));
        rows.push(vec![format!(
            "{}: {of} tries, {plates} plates / {of} 次，{plates} 个号码",
            title(role)
        )]);
        rows.extend(report.methods.iter().map(|method| {
            let rate = method.rates.of(role);
            vec![
                format!("  {}", method.title),
                rate.share.map(percent).unwrap_or_default(),
                rate.interval().unwrap_or_default(),
                rate.admitted(role).to_string(),
                (rate.own + rate.another - rate.admitted(role)).to_string(),
                rate.asked.to_string(),
                rate.refused.to_string(),
            ]
        }));
    }
    let margins = report.margins;
    Table {
        title: "Who is let in 谁被放行".to_owned(),
        headings: vec![
            "",
            "Admitted 放行",
            "95 %",
            "Times 次数",
            "As another 认作他人",
            "Asked 请门卫",
            "Refused 不放行",
        ],
        rows,
        notes: vec![
            format!(
                "Menshen at the margins in use: {:.2} nats over the stranger, {:.2} over the next resident, {:.2} to be called a stranger, no less than {:.2}. 门神所用的界限（奈特）。",
                margins.over_stranger.nats(),
                margins.over_runner_up.nats(),
                margins.over_registered.nats(),
                margins.least_score.nats(),
            ),
            format!(
                "Folded together 视为相同: {}.",
                report.folded.map(|g| format!("[{g}]")).join(" ")
            ),
            "The likeliest valid number is the text of the other methods, however unsure; they never ask. Among numbers equally near, the first of the list is taken. 其他方法用最可能的合法号码作文字，从不询问门卫。".to_owned(),
            "95 %: Wilson's interval over distinct plates, as if each had been tried once. 95 % 区间按不同号码计算。".to_owned(),
        ],
    }
}

fn curve_table(report: &Report) -> Table {
    let row = |point: &CurvePoint| {
        let mut row = vec![format!("{:.2}", point.margin)];
        row.extend(Role::ALL.map(|role| point.rates.of(role).brief()));
        row
    };
    Table {
        title: "Menshen at other margins over the best stranger, in nats 门神在其他界限（奈特）下".to_owned(),
        headings: vec!["Margin 界限", "Residents 住户", "Strangers 陌生车", "One away 差一字", "Runner-up 最易混"],
        rows: report.curve.iter().step_by(LISTED_EVERY).map(row).collect(),
        notes: vec!["The other margins are those in use. Below 0 a resident is admitted although a stranger explains the picture better. JSON and plot have every quarter of a nat. 其余界限不变；负数表示陌生车更像时仍放行住户；JSON 和图中更细。".to_owned()],
    }
}

fn split_table(split: &Split) -> Table {
    let mut rows = Vec::new();
    for group in &split.groups {
        let plates = |role| {
            let rate = group.methods.first().map(|m| m.rates.of(role));
            rate.map_or((0, 0), |r| (r.of, r.plates))
        };
        let (residents, strangers) = (plates(Role::Resident), plates(Role::Stranger));
        rows.push(vec![format!(
            "{}: residents 住户 {} tries, {} plates; strangers 陌生车 {}, {}",
            group.title, residents.0, residents.1, strangers.0, strangers.1
        )]);
        rows.extend(group.methods.iter().map(|method| {
            let mut row = vec![format!("  {}", method.title)];
            row.extend(Role::ALL.map(|role| method.rates.of(role).brief()));
            row
        }));
    }
    Table {
        title: format!("Admitted, by 放行，按 {}", split.title),
        headings: vec![
            "",
            "Residents 住户",
            "Strangers 陌生车",
            "One away 差一字",
            "Runner-up 最易混",
        ],
        rows,
        notes: Vec::new(),
    }
}

fn let_in(list: &[LetIn]) -> Table {
    let row = |one: &LetIn| {
        vec![
            one.number.clone(),
            one.taken_for.clone(),
            one.role.to_owned(),
            one.times.to_string(),
            one.path.clone(),
        ]
    };
    let mut notes = Vec::new();
    if list.len() > LISTED {
        let more = list.len() - LISTED;
        notes.push(format!(
            "{more} more stand in the JSON. 其余 {more} 条见 JSON。"
        ));
    }
    Table {
        title: "Strangers that Menshen let in 门神误放的陌生车".to_owned(),
        headings: vec![
            "Plate 车牌",
            "Taken for 认作",
            "Tried as 试法",
            "Times 次数",
            "Picture 图片",
        ],
        rows: list.iter().take(LISTED).map(row).collect(),
        notes,
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeSet;

    use super::super::register::tests::plates;
    use super::*;
    use crate::eval::report::print;

    /// Ten residents, one refused; ten strangers, none admitted but as the runner-up.
    pub(in crate::eval::decision) fn report() -> Report {
        let methods_tried = [Method::Margins(Margins::default()), Method::Exact];
        let outcomes = |own, another, refused| Outcomes {
            own,
            another,
            asked: 0,
            refused,
        };
        let roles = [
            outcomes(9, 0, 1),
            outcomes(0, 0, 10),
            outcomes(0, 0, 10),
            outcomes(0, 1, 9),
        ];
        let ten: BTreeSet<_> = plates(10).into_iter().collect();
        let counts = Counts {
            outcomes: vec![roles; 4],
            plates: std::array::from_fn(|_| ten.clone()),
        };
        let methods = methods(&counts, &methods_tried);
        Report {
            version: "0",
            models: Vec::new(),
            labels: "labels.csv".into(),
            folder: "pictures".into(),
            filters: Vec::new(),
            plates: Plates {
                shown: 20,
                distinct: 20,
                not_found: 1,
            },
            registers: Registers {
                file: None,
                count: 1,
                size: 12,
                invented: 2,
                seed: 1,
            },
            margins: Margins::default(),
            dark_below: 80.0,
            interval: "wilson",
            folded: FOLDED,
            curve: curve(&counts, &[0.0, 1.0], 2),
            splits: vec![Split {
                by: "light".into(),
                title: "Light 光线".into(),
                groups: vec![Group {
                    name: "dark".into(),
                    title: "dark 暗".into(),
                    methods: methods.clone(),
                }],
            }],
            methods,
            let_in: vec![LetIn {
                line: 3,
                path: "a.jpg".into(),
                number: "苏E12345".into(),
                taken_for: "苏E12346".into(),
                role: Role::RunnerUp.name(),
                times: 1,
            }],
            faults: Vec::new(),
            unusable: Vec::new(),
        }
    }

    #[test]
    fn shares_and_intervals_are_of_the_right_people() {
        let report = report();
        let rates = &report.methods[0].rates;
        assert_eq!(rates.residents.share, Some(0.9));
        assert_eq!(rates.strangers.share, Some(0.0));
        // Nobody of ten: Wilson's bound is z squared by n and z squared.
        let bound = 3.8415 / 13.8415;
        assert!((rates.strangers.high.unwrap() - bound).abs() < 1e-4);
        assert_eq!(rates.runner_ups.share, Some(0.1));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["methods"][1]["method"], "exact");
        assert_eq!(json["methods"][0]["runner-ups"]["another"], 1);
        assert_eq!(json["curve"][1]["margin"], 1.0);
        assert_eq!(json["let_in"][0]["taken_for"], "苏E12346");
    }

    #[test]
    fn tables_say_how_often_and_how_sure() {
        let mut out = Vec::new();
        for table in tables(&report()) {
            assert!(
                table
                    .rows
                    .iter()
                    .all(|r| r.len() == 1 || r.len() == table.headings.len())
            );
            print(&mut out, &table).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        for said in [
            "90.00 %",
            "0 to 27.75",
            "Residents 住户: 10 tries, 10 plates",
            "[8B]",
            "苏E12346",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }

    #[test]
    fn small_shares_keep_their_digits() {
        let shares = [0.0, 0.000_012, 0.000_5, 0.014, 1.0].map(percent);
        assert_eq!(shares, ["0 %", "0.0012 %", "0.050 %", "1.40 %", "100.00 %"]);
    }
}
