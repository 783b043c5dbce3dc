//! 637 rows with 60 planted faults, made from a seed.

use std::sync::Arc;

use access::Ledger;
use access::journal::Stamp;
use access::registry::import::{Draft, ImportError, ImportOptions, Topic, examine};
use access::registry::report;
use access::store::MemoryStore;
use domain::PlateNumber;
use jiff::Timestamp;
use jiff::civil::date;
use uuid::Uuid;

const ROWS: usize = 637;
const SEEDS: [u64; 4] = [1, 20, 300, 4000];
/// What each kind of fault is found as, and how many are planted.
const FAULTS: [(Slip, Topic, usize); 18] = [
    (Slip::LetterO, Topic::ImpossiblePlate, 5),
    (Slip::LetterI, Topic::ImpossiblePlate, 5),
    (Slip::NoProvince, Topic::ImpossiblePlate, 4),
    (Slip::NoProvinceMilitary, Topic::NoProvince, 1),
    (Slip::LikeLetter, Topic::ImpossiblePlate, 4),
    (Slip::WrongProvince, Topic::ImpossiblePlate, 4),
    (Slip::OneShort, Topic::ImpossiblePlate, 2),
    (Slip::NoPlate, Topic::MissingPlate, 1),
    (Slip::Twice, Topic::Duplicate, 4),
    (Slip::TwoOwners, Topic::TwoOwners, 4),
    (Slip::Neighbour, Topic::Neighbour, 5),
    (Slip::Phone, Topic::PhoneShape, 5),
    (Slip::RoundedPhone, Topic::Rounded, 2),
    (Slip::Unit, Topic::UnitShape, 5),
    (Slip::NoOwner, Topic::MissingOwner, 3),
    (Slip::Date, Topic::BadDate, 4),
    (Slip::Tab, Topic::BadText, 1),
    (Slip::Past, Topic::PastDate, 1),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slip {
    LetterO,
    LetterI,
    NoProvince,
    NoProvinceMilitary,
    LikeLetter,
    WrongProvince,
    OneShort,
    NoPlate,
    Twice,
    TwoOwners,
    Neighbour,
    Phone,
    RoundedPhone,
    Unit,
    NoOwner,
    Date,
    Tab,
    Past,
}

/// Numbers from a seed, the same on every machine (`SplitMix64`).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }
}

const SERIAL: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ0123456789012345678901234567890123456789";

/// Columns: plate, owner, building, unit, phone, last day.
pub(crate) type Cells = [String; 6];

fn any_plate(dice: &mut Dice) -> String {
    let heads = [
        "苏E", "苏E", "苏E", "苏E", "苏E", "苏U", "苏B", "沪A", "沪C", "浙F", "皖B", "豫N",
    ];
    let mut plate = dice.pick(&heads).to_owned();
    if dice.roll(5) == 0 {
        plate.push(dice.pick(&['D', 'F', 'D', 'A']));
        plate.push(char::from(dice.pick(SERIAL)));
        for _ in 0..4 {
            plate.push(char::from(b'0' + dice.roll(10) as u8));
        }
    } else {
        for _ in 0..5 {
            plate.push(char::from(dice.pick(SERIAL)));
        }
    }
    plate
}

/// As committees write them, with all the variety that is no fault.
fn any_row(dice: &mut Dice, plate: String) -> Cells {
    let family = ["王", "李", "张", "刘", "陈", "杨", "赵", "黄", "欧阳", "吴"];
    let given = [
        "伟", "芳", "秀英", "敏", "静", "丽", "强", "磊", "洋", "艳", "建国",
    ];
    let owner = format!("{}{}", dice.pick(&family), dice.pick(&given));
    let n = 1 + dice.roll(18);
    let building = match dice.roll(5) {
        0 => format!("{n}栋"),
        1 => format!("{n}号楼"),
        2 => format!("{n}幢"),
        _ => n.to_string(),
    };
    let (stair, room) = (
        1 + dice.roll(4),
        (1 + dice.roll(18)) * 100 + 1 + dice.roll(4),
    );
    let unit = match dice.roll(4) {
        0 => format!("{stair}-{room}"),
        1 => format!("{stair}单元{room}"),
        2 => stair.to_string(),
        _ => format!("{stair}单元"),
    };
    let mobile = format!(
        "1{}{:09}",
        dice.pick(&[3, 5, 7, 8, 9]),
        dice.roll(1_000_000_000)
    );
    let phone = match dice.roll(8) {
        0 => format!("{} {} {}", &mobile[..3], &mobile[3..7], &mobile[7..]),
        1 => format!("0512-6{:07}", dice.roll(10_000_000)),
        2 => String::new(),
        _ => mobile,
    };
    let (month, day) = (1 + dice.roll(12), 1 + dice.roll(28));
    let until = match dice.roll(5) {
        0 => format!("2027-{month:02}-{day:02}"),
        1 => format!("2028/{month}/{day}"),
        2 => format!("2027年{month}月{day}日"),
        _ => String::new(),
    };
    [plate, owner, building, unit, phone, until]
}

/// A fault that was planted.
struct Planted {
    slip: Slip,
    topic: Topic,
    /// Its line in the file.
    line: u64,
    /// The plate that was meant, where the program can know it.
    meant: Option<String>,
}

struct Fixture {
    rows: Vec<Cells>,
    planted: Vec<Planted>,
}

fn fixture(seed: u64) -> Fixture {
    let mut dice = Dice(seed);
    let faults: usize = FAULTS.iter().map(|f| f.2).sum();
    assert_eq!(faults, 60);
    // Rows that the slips add are not among the first ones.
    let added = 4 + 4 + 5;
    let mut rows: Vec<Cells> = Vec::new();
    while rows.len() < ROWS - added {
        let plate = any_plate(&mut dice);
        let near = |row: &Cells| strsim::levenshtein(&row[0], &plate) < 2;
        if !rows.iter().any(near) {
            rows.push(any_row(&mut dice, plate));
        }
    }
    let mut planted = Vec::new();
    let mut used = vec![false; rows.len()];
    for (slip, topic, count) in FAULTS {
        for n in 0..count {
            let at = loop {
                let at = dice.roll(used.len());
                if !used[at] && can_carry(slip, &rows[at]) {
                    break at;
                }
            };
            used[at] = true;
            let (at, meant) = plant(slip, n, at, &mut rows, &mut dice);
            planted.push(Planted {
                slip,
                topic,
                line: at as u64 + 2,
                meant,
            });
        }
    }
    assert_eq!(rows.len(), ROWS);
    Fixture { rows, planted }
}

fn tail(row: &Cells) -> String {
    row[0].chars().skip(2).collect()
}

fn can_carry(slip: Slip, row: &Cells) -> bool {
    let long = row[0].chars().count() == 8;
    let military =
        long && row[0].starts_with("苏E") && tail(row)[1..].bytes().all(|b| b.is_ascii_digit());
    match slip {
        Slip::LetterO => tail(row).contains('0'),
        Slip::LetterI => tail(row).contains('1'),
        Slip::NoProvince | Slip::OneShort | Slip::Neighbour => !long,
        Slip::NoProvinceMilitary => military && tail(row).starts_with('D'),
        Slip::LikeLetter => long && tail(row)[2..].contains(['2', '5', '8']),
        Slip::WrongProvince => row[0].starts_with(['苏', '沪', '浙']),
        Slip::Phone => row[4].len() == 11,
        _ => true,
    }
}

/// Plants one fault; says where, and which plate was meant.
fn plant(
    slip: Slip,
    n: usize,
    at: usize,
    rows: &mut Vec<Cells>,
    dice: &mut Dice,
) -> (usize, Option<String>) {
    let whole = rows[at][0].clone();
    let mut meant = None;
    let mut exchange = |from: &[(char, char)]| {
        let mut done = false;
        let text: String = whole
            .chars()
            .enumerate()
            .map(|(i, c)| match from.iter().find(|f| f.0 == c) {
                Some(f) if i > 1 && !done => {
                    done = true;
                    f.1
                }
                _ => c,
            })
            .collect();
        meant = Some(whole.clone());
        text
    };
    match slip {
        Slip::LetterO => rows[at][0] = exchange(&[('0', 'O')]),
        Slip::LetterI => rows[at][0] = exchange(&[('1', 'I')]),
        Slip::LikeLetter => {
            let head: String = whole.chars().take(4).collect();
            let end: String = whole.chars().skip(4).collect();
            let digit = end.find(['2', '5', '8']).unwrap();
            let letter = match &end[digit..=digit] {
                "2" => "Z",
                "5" => "S",
                _ => "B",
            };
            rows[at][0] = format!("{head}{}{letter}{}", &end[..digit], &end[digit + 1..]);
            meant = Some(whole);
        }
        Slip::NoProvince | Slip::NoProvinceMilitary => {
            rows[at][0] = whole.chars().skip(1).collect();
            meant = Some(whole);
        }
        Slip::WrongProvince => {
            let rest: String = whole.chars().skip(1).collect();
            let wrong = match whole.chars().next() {
                Some('苏') => ["蘇", "办"][n % 2],
                Some('沪') => ["滬", "户"][n % 2],
                _ => "淅",
            };
            rows[at][0] = format!("{wrong}{rest}");
            meant = Some(whole);
        }
        Slip::OneShort => rows[at][0] = whole.chars().take(6).collect(),
        Slip::NoPlate => rows[at][0].clear(),
        Slip::Twice => {
            let copy = rows[at].clone();
            rows.push(copy);
            return (rows.len() - 1, None);
        }
        Slip::TwoOwners => {
            let mut copy = any_row(dice, whole);
            copy[1] = format!("{}某", copy[1]);
            rows.push(copy);
            return (rows.len() - 1, None);
        }
        Slip::Neighbour => {
            let mut near: Vec<char> = whole.chars().collect();
            near[6] = if near[6] == '7' { '9' } else { '7' };
            let row = any_row(dice, near.into_iter().collect());
            rows.push(row);
            return (rows.len() - 1, None);
        }
        Slip::Phone => {
            let phone = rows[at][4].clone();
            rows[at][4] = match n % 4 {
                0 => phone[..10].to_owned(),
                1 => phone + "0",
                2 => phone.replacen('1', "l", 1),
                _ => "1".to_owned() + &phone[..10].replacen('1', "2", 1),
            };
        }
        Slip::RoundedPhone => rows[at][4] = String::from(["1.38123E+10", "1.59E+10"][n % 2]),
        Slip::Unit => {
            let (column, text) = [
                (2, "3月2日"),
                (3, "2026-02-05"),
                (3, "不详"),
                (2, "13812345678"),
                (3, "2@%501"),
            ][n % 5];
            rows[at][column] = String::from(text);
        }
        Slip::NoOwner => rows[at][1].clear(),
        Slip::Date => {
            rows[at][5] = String::from(["2027-02-30", "31/12/2027", "长期", "46387"][n % 4]);
        }
        Slip::Tab => rows[at][1].push_str("\t(备用)"),
        Slip::Past => rows[at][5] = String::from("2026-01-31"),
    }
    (at, meant)
}

const TODAY: jiff::civil::Date = date(2026, 11, 25);

pub(crate) fn as_csv(rows: &[Cells]) -> String {
    let mut text = String::from("车牌,车主,楼栋,单元,电话,有效期至\n");
    for row in rows {
        text.push_str(&row.join(","));
        text.push('\n');
    }
    text
}

pub(crate) fn as_xlsx(rows: &[Cells]) -> Vec<u8> {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    let heads = ["车牌", "车主", "楼栋", "单元", "电话", "有效期至"];
    for (row, cells) in (0_u32..).zip(std::iter::once(&heads.map(str::to_owned)).chain(rows)) {
        for (column, cell) in (0_u16..).zip(cells) {
            sheet.write_string(row, column, cell).unwrap();
        }
    }
    book.save_to_buffer().unwrap()
}

fn check(draft: &Draft, planted: &[Planted], context: &str) {
    let mut expected = vec![false; draft.findings.len()];
    for fault in planted {
        let found: Vec<usize> = (0..draft.findings.len())
            .filter(|&i| {
                let f = &draft.findings[i];
                let here = f.line == fault.line || f.other_line == Some(fault.line);
                here && f.topic == fault.topic
            })
            .collect();
        assert!(
            !found.is_empty(),
            "{context}: {:?} on line {} was not found",
            fault.slip,
            fault.line
        );
        if let Some(meant) = &fault.meant {
            let f = &draft.findings[found[0]];
            assert!(
                f.suggestions.contains(meant),
                "{context}: {meant} was meant by {}, {:?} were suggested",
                f.text,
                f.suggestions
            );
        }
        for i in found {
            expected[i] = true;
        }
    }
    let alarms: Vec<String> = draft
        .findings
        .iter()
        .zip(&expected)
        .filter(|(_, expected)| !**expected)
        .map(|(f, _)| f.to_string())
        .collect();
    println!("{context}: 60 of 60 found, {} false alarms", alarms.len());
    assert!(alarms.len() <= 5, "{context}: {}", alarms.join("\n"));
}

#[test]
fn every_planted_fault_is_found_in_every_format() {
    for seed in SEEDS {
        let Fixture { rows, planted } = fixture(seed);
        let text = as_csv(&rows);
        let (gb18030, _, lossy) = encoding_rs::GB18030.encode(&text);
        assert!(!lossy);
        let mut marked = vec![0xef, 0xbb, 0xbf];
        marked.extend(text.bytes());
        let files = [
            ("UTF-8", text.as_bytes().to_vec()),
            ("UTF-8", marked),
            ("GB18030", gb18030.into_owned()),
            ("XLSX", as_xlsx(&rows)),
        ];
        for (format, bytes) in files {
            let draft = examine(&bytes, Some(TODAY), &mut |_| {}).unwrap();
            assert_eq!(draft.table.format.name(), format);
            assert_eq!(draft.table.rows.len(), ROWS);
            check(&draft, &planted, &format!("seed {seed}, {format}"));
        }
    }
}

#[test]
fn nothing_is_stored_until_the_list_is_right_and_accepted() {
    let Fixture { rows, planted } = fixture(7);
    let mut n = 0;
    let mut stamps = || {
        n += 1;
        Stamp {
            id: Uuid::from_u128(n),
            time: Timestamp::UNIX_EPOCH,
            clock_trusted: true,
        }
    };
    let store = Arc::new(MemoryStore::new());
    let mut ledger = Ledger::on_store(store.clone(), &mut stamps).unwrap().ledger;
    let written = store.unsynced();
    let draft = examine(as_csv(&rows).as_bytes(), Some(TODAY), &mut |_| {}).unwrap();
    let page = report::html("登记表.csv", &draft);
    let book = report::xlsx(&draft).unwrap();
    let errors = draft.errors().count();
    assert!(errors > 30);
    let Err(ImportError::BadRows(faults)) = draft.clone().accept(ImportOptions::default()) else {
        panic!("a list with errors was accepted");
    };
    assert_eq!(faults.len(), errors);
    assert_eq!(store.unsynced(), written);
    assert_eq!(ledger.registry().unwrap().len(), 0);

    // Every finding stands in the page; the marked workbook is the list again, to be mended.
    for finding in &draft.findings {
        assert!(page.contains(&format!("<td>{}<td", finding.line)));
    }
    let again = examine(&book, Some(TODAY), &mut |_| {}).unwrap();
    assert_eq!(again.table.rows.len(), ROWS);
    check(&again, &planted, "the marked workbook");
    let mended: Vec<Cells> = rows
        .iter()
        .zip(2..)
        .filter(|(_, line)| !draft.errors().any(|f| f.line == *line))
        .map(|(row, _)| row.clone())
        .collect();
    let draft = examine(&as_xlsx(&mended), Some(TODAY), &mut |_| {}).unwrap();
    let imported = draft.accept(ImportOptions::default()).unwrap();
    ledger.import(imported, "test", stamps()).unwrap();
    assert_eq!(ledger.registry().unwrap().len(), mended.len());
    let first: PlateNumber = mended[0][0].parse().unwrap();
    assert!(ledger.registry().unwrap().contains(&first));
}
