//! `menshen eval strangers`: how many of very many rendered strangers in poor pictures are let in.
//!
//! ```text
//! seed ─► batches: numbers, a register, pictures ─► reader ─► trial ─► a line in the file ─► sums
//! ```
//!
//! A batch depends on the seed and its number alone, so a run that was stopped goes on where it
//! was, and several threads give what one gives.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use access::Margins;
use domain::reading::Fusion;
use domain::{Alphabet, Monotonic, PlateKind, PlateNumber, Quad};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use sim::plate::Rows;
use sim::plate::poor::{self, Shot};
use vision::Frame;
use vision::models::Models;
use vision::recognise::{Options, Recogniser};

use super::figures::percent;
use super::matrices::Sample;
use super::method::Method;
use super::register::{Dice, Register, draw, invent};
use super::trial::{Outcomes, Role, Trial};
use crate::eval::exact::exact_interval;
use crate::eval::report::{Model, Table, print};
use crate::eval::{EvalError, write_json};
use crate::read;

/// Heights of a character in pixels, one after the other.
const HEIGHTS: [u32; 6] = [24, 20, 16, 12, 10, 8];
/// Strangers of one batch, as many of each height.
const STRANGERS: usize = 240;
/// Residents of one batch, in the same pictures: a gate that lets nobody in is no proof.
const RESIDENTS: usize = 24;
/// How often a plate is looked at, at the most; once, twice and so on by turns.
const MOST_LOOKS: u32 = 3;
/// What numbers look like: most are of one office, as at a real gate, so that strangers and
/// residents share their first two characters.
const MODELS: [&str; 20] = [
    "苏E12345",
    "苏E1234A",
    "苏E123A5",
    "苏E12A45",
    "苏E1A345",
    "苏EA1234",
    "苏EA12B4",
    "苏EA123B",
    "苏E12AB4",
    "苏E1A23B",
    "苏E12A3B",
    "苏EAB123",
    "苏ED12345",
    "苏EF12345",
    "苏U12A34",
    "沪A12B45",
    "沪CAB123",
    "浙F1A234",
    "皖A12345",
    "沪AD12345",
];
/// The form of the file that this program writes and reads.
const FORM: u32 = 1;

/// Arguments of `menshen eval strangers`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Plates of strangers are rendered as a poor camera shows them (24 to 8 pixels a character, turned,
blurred, smeared, dark, infrared, dirty, glaring, noisy, packed hard), read by the reader, one to three
looks each, and shown to registers of random numbers, most of one office. Beside them come residents
in pictures as poor. Corners are marked with a little error; the finder does not run.
渲染陌生车的差画面（字高 24 至 8 像素，倾斜、模糊、昏暗、红外、污损、反光、噪声、强压缩），真实识别后与随机登记库比对。

Example / 例:
  menshen eval strangers --count 100000 --keep strangers.jsonl   goes on where it was stopped / 可中断续跑

Exit status: 0 done, 2 wrong usage.")]
pub(in crate::eval) struct StrangersArgs {
    /// How many strangers, rounded up to whole batches / 陌生车数量
    #[arg(long, value_name = "N", default_value = "100000")]
    count: NonZeroUsize,
    /// Numbers in each register / 每库号码数
    #[arg(long, value_name = "N", default_value = "637")]
    size: NonZeroUsize,
    /// Everything that is drawn depends on this number alone / 随机种子
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// Keep what was counted in this file, and go on from it if it exists / 进度文件
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// The margins of this configuration, instead of the defaults / 用此配置中的界限
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Models of another folder instead of the built-in ones / 使用其他模型目录
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Plates looked at at a time; without it as many as there are processors / 并行线程数
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Write everything as JSON; - for standard output, instead of the table / 输出 JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a file of batches was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    form: u32,
    version: String,
    models: Vec<Model>,
    margins: Margins,
    seed: u64,
    size: usize,
}

/// For each role what became of those who tried.
type ByRole = [Outcomes; Role::ALL.len()];

/// What one batch gave: a line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Batch {
    number: u64,
    /// For each height and, last, for all together: for each method.
    counts: Vec<Vec<ByRole>>,
    let_in: Vec<LetIn>,
}

/// A stranger who was let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LetIn {
    number: PlateNumber,
    taken_for: PlateNumber,
    role: String,
    height: u32,
}

/// Everything that one run has to tell.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    header: Header,
    /// Batches that were counted.
    batches: usize,
    methods: Vec<&'static str>,
    heights: [u32; HEIGHTS.len()],
    /// For each height and, last, for all together: for each method, for each role.
    counts: Vec<Vec<ByRole>>,
    let_in: Vec<LetIn>,
}

/// Measures and writes it.
pub(in crate::eval) fn eval(args: &StrangersArgs) -> Result<(), EvalError> {
    let margins = super::margins_of(args.config.as_deref())?;
    let models = match &args.models {
        Some(folder) => Models::load(folder),
        None => Models::embedded(),
    }?;
    let header = Header {
        form: FORM,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        models: Model::all(&models),
        margins,
        seed: args.seed,
        size: args.size.get(),
    };
    let wanted = args.count.get().div_ceil(STRANGERS) as u64;
    let (mut batches, keep) = kept(args.keep.as_deref(), &header)?;
    batches.retain(|batch| batch.number < wanted);
    let done: HashSet<u64> = batches.iter().map(|batch| batch.number).collect();
    let left: Vec<u64> = (0..wanted).filter(|batch| !done.contains(batch)).collect();
    batches.extend(all(args, &models, margins, &left, keep)?);
    batches.sort_by_key(|batch| batch.number);
    let report = sum(header, batches);
    let mut out = io::stdout().lock();
    if write_json(&mut out, args.json.as_deref(), &report)? {
        return Ok(());
    }
    for table in tables(&report) {
        print(&mut out, &table)?;
    }
    out.flush()?;
    Ok(())
}

/// The batches of an earlier run, and the file to go on in.
fn kept(path: Option<&Path>, header: &Header) -> Result<(Vec<Batch>, Option<File>), EvalError> {
    let Some(path) = path else {
        return Ok((Vec::new(), None));
    };
    let unusable = |why: String| EvalError::Kept {
        path: path.to_owned(),
        why,
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unusable(error.to_string())),
    };
    let batches = parse(&text, header).map_err(unusable)?;
    let file = OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.map_err(|e| unusable(e.to_string()))?;
    if text.is_empty() {
        writeln!(
            file,
            "{}",
            serde_json::to_string(header).map_err(io::Error::from)?
        )?;
    } else if !text.ends_with('\n') {
        // What a kill cut off is a line of its own, and left out.
        writeln!(file)?;
    }
    Ok((batches, Some(file)))
}

/// The batches in a file's text. A line that was cut off is left out: its batch is made again.
fn parse(text: &str, header: &Header) -> Result<Vec<Batch>, String> {
    let mut lines = text.lines();
    let Some(first) = lines.next() else {
        return Ok(Vec::new());
    };
    match serde_json::from_str::<Header>(first) {
        Ok(found) if found == *header => {}
        Ok(_) => {
            return Err(
                "it was made with other networks, margins, --seed or --size, or by another version of Menshen; name another file / 与本次设置不同，请换一个文件".to_owned(),
            );
        }
        Err(_) => {
            return Err("it does not begin like a file of batches; name another file".to_owned());
        }
    }
    let mut seen = HashSet::new();
    Ok(lines
        .filter_map(|line| serde_json::from_str::<Batch>(line).ok())
        .filter(|batch| seen.insert(batch.number))
        .collect())
}

/// Makes batches on several threads, writing each down as it is done.
fn all(
    args: &StrangersArgs,
    models: &Models,
    margins: Margins,
    numbers: &[u64],
    keep: Option<File>,
) -> Result<Vec<Batch>, EvalError> {
    let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = args.threads.map_or_else(processors, NonZeroUsize::get);
    let next = AtomicU64::new(0);
    let keep = Mutex::new(keep);
    let progress = read::progress(numbers.len() * (STRANGERS + RESIDENTS));
    let work = || some(args, models, margins, numbers, (&next, &keep, &progress));
    let mut batches = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(numbers.len()))
            .map(|_| scope.spawn(work))
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(some) => batches.extend(some?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<(), EvalError>(())
    })?;
    progress.finish_and_clear();
    Ok(batches)
}

/// Takes one batch after the other until none is left.
fn some(
    args: &StrangersArgs,
    models: &Models,
    margins: Margins,
    numbers: &[u64],
    (next, keep, progress): (&AtomicU64, &Mutex<Option<File>>, &ProgressBar),
) -> Result<Vec<Batch>, EvalError> {
    let mut recogniser = Recogniser::new(models, Options::for_a_lane())?;
    let mut batches = Vec::new();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(&number) = numbers.get(at as usize) else {
            return Ok(batches);
        };
        let cast = Cast::draw(args.seed, number, args.size.get());
        let mut samples = Vec::with_capacity(cast.plates.len());
        for (place, plate) in cast.plates.iter().enumerate() {
            samples.push(see(&mut recogniser, plate, cast.picture_seed(place))?);
            progress.inc(1);
        }
        let batch = cast.tried(&samples, models.alphabet(), margins);
        let mut line = serde_json::to_vec(&batch).map_err(io::Error::from)?;
        line.push(b'\n');
        if let Some(file) = keep.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            file.write_all(&line)?;
        }
        batches.push(batch);
    }
}

/// One vehicle that drives up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plate {
    number: PlateNumber,
    kind: PlateKind,
    height: u32,
    looks: u32,
}

/// Who drives up in one batch, and who is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cast {
    seed: u64,
    batch: u64,
    plates: Vec<Plate>,
    register: Register,
}

impl Cast {
    /// The cast of a batch: strangers, then residents.
    fn draw(seed: u64, batch: u64, size: usize) -> Self {
        let mut dice = Dice::new(seed, batch);
        let models: Vec<PlateNumber> = MODELS
            .iter()
            .filter_map(|text| PlateNumber::parse(text).ok())
            .collect();
        let mut random = |count: usize| {
            let mut numbers = HashSet::new();
            let mut list = Vec::with_capacity(count);
            while list.len() < count {
                let number = invent(&models, &mut dice);
                list.extend(number.filter(|n| numbers.insert(n.clone())));
            }
            list
        };
        let numbers = random(STRANGERS + RESIDENTS);
        let residents: HashSet<PlateNumber> = numbers[STRANGERS..].iter().cloned().collect();
        let pool = random(2 * size);
        // A half of the pool, and in the place of as many of them those who drive up.
        let mut register = draw(&pool, size.saturating_sub(RESIDENTS), &mut dice);
        register.numbers.extend(residents);
        register
            .numbers
            .retain(|n| !numbers[..STRANGERS].contains(n));
        let plates = numbers
            .into_iter()
            .enumerate()
            .map(|(place, number)| Plate {
                kind: match number.kinds() {
                    kinds if kinds.contains(&PlateKind::Small) && dice.below(8) > 0 => {
                        PlateKind::Small
                    }
                    kinds if kinds.contains(&PlateKind::Large) => PlateKind::Large,
                    kinds => kinds.first().copied().unwrap_or(PlateKind::Small),
                },
                number,
                height: HEIGHTS[place % HEIGHTS.len()],
                looks: 1 + (place / HEIGHTS.len()) as u32 % MOST_LOOKS,
            });
        Self {
            seed,
            batch,
            plates: plates.collect(),
            register,
        }
    }

    /// What the pictures of a plate depend on.
    fn picture_seed(&self, place: usize) -> u64 {
        let mut dice = Dice::new(self.seed, !self.batch);
        dice.below(usize::MAX) as u64 ^ place as u64
    }

    /// Shows everybody to the register and counts.
    fn tried(&self, samples: &[Sample], alphabet: &Alphabet, margins: Margins) -> Batch {
        let height = |plate: &Plate| HEIGHTS.iter().position(|h| *h == plate.height);
        let groups: Vec<Vec<usize>> = self
            .plates
            .iter()
            .map(|plate| height(plate).into_iter().chain([HEIGHTS.len()]).collect())
            .collect();
        let tried = Trial {
            samples,
            groups: &groups,
            group_count: HEIGHTS.len() + 1,
            alphabet,
            registers: std::slice::from_ref(&self.register),
            methods: &methods(margins),
            seed: self.seed ^ self.batch.rotate_left(32),
        }
        .run(|| {});
        let let_in = tried.admissions.keys().map(|admission| LetIn {
            number: self.plates[admission.sample].number.clone(),
            taken_for: admission.taken_for.clone(),
            role: admission.role.name().to_owned(),
            height: self.plates[admission.sample].height,
        });
        Batch {
            number: self.batch,
            let_in: let_in.collect(),
            counts: tried.counts.into_iter().map(|c| c.outcomes).collect(),
        }
    }
}

/// Ours first.
fn methods(margins: Margins) -> Vec<Method> {
    std::iter::once(Method::Margins(margins))
        .chain(Method::OTHERS)
        .collect()
}

/// Renders a plate and reads it.
fn see(recogniser: &mut Recogniser, plate: &Plate, seed: u64) -> Result<Sample, EvalError> {
    let looks = (plate.height as f32, plate.looks);
    let shots = poor::shots(&plate.number, plate.kind, Rows::Single, looks, seed);
    let shots = shots.map_err(|e| EvalError::Render(e.to_string()))?;
    let mut fusion: Option<Fusion> = None;
    for Shot {
        picture, marked, ..
    } in shots
    {
        let (width, height) = (picture.width(), picture.height());
        let (at, wall) = (Monotonic::default(), jiff::Timestamp::UNIX_EPOCH);
        let frame = Frame::new(picture.into_rgb(), width, height, at, wall, 0)
            .map_err(|_| EvalError::Render("an empty picture".to_owned()))?;
        let quad = Quad(marked.map(|[x, y]| (x, y)));
        if let Some(reading) = recogniser.read_quad(&frame, quad, 1.0)? {
            match &mut fusion {
                Some(fusion) => fusion.add(&reading),
                None => fusion = Some(Fusion::new(&reading)),
            }
        }
    }
    Ok(Sample {
        line: 0,
        path: String::new(),
        number: plate.number.clone(),
        kind: Some(plate.kind),
        luminance: 0.0,
        fields: std::collections::BTreeMap::new(),
        matrix: fusion.map(|f| f.sighting().matrix.to_bytes()),
    })
}

fn sum(header: Header, batches: Vec<Batch>) -> Report {
    let methods = methods(header.margins);
    let none = ByRole::default();
    let mut counts = vec![vec![none; methods.len()]; HEIGHTS.len() + 1];
    for batch in &batches {
        for (sums, ours) in counts.iter_mut().zip(&batch.counts) {
            for (sums, ours) in sums.iter_mut().zip(ours) {
                for (sum, our) in sums.iter_mut().zip(ours) {
                    sum.take_in(*our);
                }
            }
        }
    }
    Report {
        header,
        batches: batches.len(),
        methods: methods.iter().map(|m| m.name()).collect(),
        heights: HEIGHTS,
        counts,
        let_in: batches.into_iter().flat_map(|b| b.let_in).collect(),
    }
}

/// How many were let in: of residents under their own number, of others under any.
fn admitted(role: Role, outcomes: Outcomes) -> u64 {
    match role {
        Role::Resident => outcomes.own,
        Role::Stranger | Role::Neighbour | Role::RunnerUp => outcomes.own + outcomes.another,
    }
}

/// A share with its exact interval.
fn share(role: Role, outcomes: Outcomes) -> String {
    let (hits, of) = (admitted(role, outcomes), outcomes.tries());
    if of == 0 {
        return String::new();
    }
    let (low, high) = exact_interval(hits, of);
    format!(
        "{} ({} to {})",
        percent(hits as f64 / of as f64),
        percent(low),
        percent(high)
    )
}

fn tables(report: &Report) -> Vec<Table> {
    let titles = [
        "Strangers 陌生车",
        "One away 差一字",
        "Runner-up 最易混",
        "Residents 住户",
    ];
    let roles = [
        Role::Stranger,
        Role::Neighbour,
        Role::RunnerUp,
        Role::Resident,
    ];
    let everybody = report.counts.last().map_or(&[][..], Vec::as_slice);
    let named = methods(report.header.margins);
    let by_method = named.iter().zip(everybody).map(|(method, outcomes)| {
        let mut row = vec![method.title().to_owned()];
        row.extend(roles.map(|role| {
            let outcomes = outcomes[role as usize];
            format!("{}: {}", admitted(role, outcomes), share(role, outcomes))
        }));
        row
    });
    let heights = HEIGHTS.iter().map(|h| format!("{h} px"));
    let by_height = heights.zip(&report.counts).filter_map(|(title, methods)| {
        let outcomes = methods.first()?;
        let mut row = vec![title];
        row.extend(roles.map(|role| {
            let outcomes = outcomes[role as usize];
            format!("{} of {}", admitted(role, outcomes), outcomes.tries())
        }));
        let stranger = outcomes[Role::Stranger as usize];
        row.push(format!("{} / {}", stranger.asked, stranger.refused));
        Some(row)
    });
    let tries = everybody
        .first()
        .map_or(0, |o| o[Role::Stranger as usize].tries());
    let headings = |last: Option<&'static str>| {
        let mut headings = vec![""];
        headings.extend(titles);
        headings.extend(last);
        headings
    };
    let mut tables = vec![
        Table {
            title: format!(
                "Let in of {tries} rendered strangers in poor pictures, and of residents in pictures as poor 渲染的差画面：谁被放行"
            ),
            headings: headings(None),
            rows: by_method.collect(),
            notes: vec![format!(
                "{} registers of {} numbers, seed {}. In brackets Clopper and Pearson's exact 95 % interval. 括号内为精确 95 % 区间。",
                report.batches, report.header.size, report.header.seed
            )],
        },
        Table {
            title: "Menshen, by the height of a character 门神，按字高".to_owned(),
            headings: headings(Some("Strangers asked / refused 陌生车询问/不放行")),
            rows: by_height.collect(),
            notes: Vec::new(),
        },
    ];
    if !report.let_in.is_empty() {
        tables.push(Table {
            title: "Let in 被误放的".to_owned(),
            headings: vec!["Plate 车牌", "Taken for 认作", "How 情形", "Height 字高"],
            rows: report
                .let_in
                .iter()
                .map(|one| {
                    vec![
                        one.number.to_string(),
                        one.taken_for.to_string(),
                        one.role.clone(),
                        one.height.to_string(),
                    ]
                })
                .collect(),
            notes: Vec::new(),
        });
    }
    tables
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn header(seed: u64) -> Header {
        Header {
            form: FORM,
            version: "1".to_owned(),
            models: Vec::new(),
            margins: Margins::default(),
            seed,
            size: 637,
        }
    }

    fn batch(number: u64) -> Batch {
        let outcomes = Outcomes {
            own: 0,
            another: 1,
            asked: 2,
            refused: 3,
        };
        Batch {
            number,
            counts: vec![vec![[outcomes; 4]; 5]; HEIGHTS.len() + 1],
            let_in: Vec::new(),
        }
    }

    #[test]
    fn a_cast_is_the_same_again_and_strangers_are_no_residents() {
        let cast = Cast::draw(1, 5, 637);
        assert_eq!(cast, Cast::draw(1, 5, 637));
        assert_ne!(cast.plates, Cast::draw(1, 6, 637).plates);
        assert_ne!(cast.plates, Cast::draw(2, 5, 637).plates);
        let registered = |p: &Plate| cast.register.numbers.contains(&p.number);
        assert!(!cast.plates[..STRANGERS].iter().any(registered));
        assert!(cast.plates[STRANGERS..].iter().all(registered));
        // Hardly ever is one of the pool's numbers a stranger's.
        assert!((630..=637).contains(&cast.register.numbers.len()));
        for (height, looks) in HEIGHTS
            .iter()
            .flat_map(|h| (1..=MOST_LOOKS).map(move |l| (*h, l)))
        {
            let alike = |p: &&Plate| p.height == height && p.looks == looks;
            assert!(cast.plates[..STRANGERS].iter().filter(alike).count() >= STRANGERS / 18);
        }
        let seeds: HashSet<u64> = (0..STRANGERS).map(|at| cast.picture_seed(at)).collect();
        assert_eq!(seeds.len(), STRANGERS);
    }

    #[test]
    fn a_file_that_was_cut_off_is_gone_on_from() {
        let mut text = serde_json::to_string(&header(1)).unwrap() + "\n";
        for number in [0, 2, 2] {
            text += &(serde_json::to_string(&batch(number)).unwrap() + "\n");
        }
        let cut = format!("{text}{}", &serde_json::to_string(&batch(3)).unwrap()[..40]);
        let batches = parse(&cut, &header(1)).unwrap();
        assert_eq!(batches, [batch(0), batch(2)]);
        assert!(parse(&cut, &header(2)).unwrap_err().contains("--seed"));
        assert!(parse("{}", &header(1)).unwrap_err().contains("begin"));
        assert_eq!(parse("", &header(1)), Ok(Vec::new()));
        let report = sum(header(1), batches);
        assert_eq!(
            report.counts[HEIGHTS.len()][0][Role::Stranger as usize].tries(),
            12
        );
        assert_eq!(tables(&report).len(), 2);
    }
}
