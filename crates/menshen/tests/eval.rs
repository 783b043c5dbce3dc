//! `menshen eval` as people and machines use it, on the pictures that come with the program.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/samples")
}

fn eval(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_menshen"))
        .arg("eval")
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The JSON of a run that must end with `status`.
fn json(status: i32, args: &[&str]) -> Value {
    let said = eval(&[args, &["--json", "-"]].concat());
    assert_eq!(said.status.code(), Some(status), "{}", text(&said.stderr));
    serde_json::from_slice(&said.stdout).unwrap()
}

fn count(value: &Value) -> u64 {
    value.as_u64().expect("a count")
}

/// The rows of a label file that begin with `start`; cut-outs have no commas inside of fields.
fn rows(start: &str) -> Vec<String> {
    let labels = std::fs::read_to_string(samples().join("labels.csv")).unwrap();
    let rows = labels.lines().skip(1).filter(|l| l.contains(start));
    rows.map(str::to_owned).collect()
}

#[test]
fn the_pictures_that_come_with_it_are_measured_and_everything_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("eval.html");
    let samples = samples();
    let samples = samples.to_str().unwrap();
    let told = json(
        0,
        &[samples, "--by", "cut", "--html", page.to_str().unwrap()],
    );
    let (all, cut, scenes) = (rows("").len(), rows("-cut-").len(), rows("-scene-").len());
    assert!((40..=60).contains(&all), "{all}");
    assert_eq!(count(&told["rows"]), all as u64);
    assert_eq!(told["faults"], Value::Array(Vec::new()));
    let whole = &told["whole"];
    // One scene is two cameras beside each other.
    let plates = scenes as u64 + 1;
    assert_eq!(count(&whole["with_plates"]["grammar"]["of"]), scenes as u64);
    assert_eq!(
        count(&whole["without_plate"]["grammar"]["of"]),
        (all - cut - scenes) as u64
    );
    assert_eq!(count(&whole["plates"]["grammar"]["of"]), plates);
    assert_eq!(count(&told["finder"]["recall"]["of"]), plates);
    let reader = &told["reader"];
    assert_eq!(
        count(&reader["plates"]["grammar"]["of"]),
        plates + cut as u64
    );
    for section in [whole, reader] {
        let all = &section["plates"]["grammar"];
        let splits = section["splits"].as_array().unwrap();
        let names: Vec<&str> = splits.iter().map(|s| s["by"].as_str().unwrap()).collect();
        assert_eq!(names, ["kind", "province", "width", "light", "road", "cut"]);
        for split in splits {
            let groups = split["groups"].as_array().unwrap();
            for key in ["right", "of"] {
                let sum: u64 = groups.iter().map(|g| count(&g["grammar"][key])).sum();
                assert_eq!(sum, count(&all[key]), "{} {key}", split["by"]);
            }
        }
        let bins = section["reliability"]["bins"].as_array().unwrap();
        let answers: u64 = bins.iter().map(|b| count(&b["exact"]["of"])).sum();
        assert_eq!(answers, count(&section["reliability"]["answers"]));
        let without = count(&section["plates"]["grammar_without_province"]["right"]);
        assert!(without >= count(&all["right"]));
    }
    // A program that cannot read fails here; how well it reads stands in the model cards.
    let share = |value: &Value| value["share"].as_f64().unwrap();
    assert!(
        share(&reader["plates"]["grammar"]) > 0.7,
        "{}",
        reader["plates"]
    );
    assert!(share(&told["finder"]["recall"]) > 0.7, "{}", told["finder"]);
    assert!(share(&whole["without_plate"]["grammar"]) > 0.5);
    let misread = told["misread"].as_array().unwrap();
    let labelled = misread.iter().filter(|m| !m["label"].is_null()).count() as u64;
    let wrong = |section: &Value| {
        let share = &section["plates"]["grammar"];
        count(&share["of"]) - count(&share["right"])
    };
    assert_eq!(labelled, wrong(whole) + wrong(reader));
    let page = std::fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("data:image/jpeg").count(), misread.len());
    assert_eq!(page.matches("<svg").count(), 2);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let samples = samples();
    let samples = samples.to_str().unwrap();
    let one = json(0, &[samples, "--where", "cut=yes", "--threads", "1"]);
    let three = json(0, &[samples, "--where", "cut=yes", "--threads", "3"]);
    assert_eq!(one, three);
    assert_eq!(count(&one["rows"]), rows("-cut-").len() as u64);
    assert_eq!(count(&one["whole"]["with_plates"]["grammar"]["of"]), 0);
    assert_eq!(one["filters"], serde_json::json!(["cut=yes"]));
}

#[test]
fn bad_rows_and_pictures_are_named_and_the_others_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let row = rows("-cut-").remove(0);
    let picture = row.split(',').next().unwrap();
    let bytes = std::fs::read(samples().join(picture)).unwrap();
    std::fs::write(folder.path().join("good.jpg"), &bytes).unwrap();
    std::fs::write(folder.path().join("short.jpg"), &bytes[..bytes.len() / 2]).unwrap();
    let labels = folder.path().join("my.tsv");
    let write = |plate: &str| {
        let text = format!(
            "图片\t车牌\t裁切\n\
             good.jpg\t{plate}\t是\n\
             good.jpg\t苏EI2345\t是\n\
             gone.jpg\t苏E12345\t是\n\
             ../good.jpg\t苏E12345\t是\n\
             short.jpg\t苏E12345\t否\n"
        );
        std::fs::write(&labels, text).unwrap();
    };
    // No plate is like this one, so it is misread; then the text that was read is the label.
    write("琼Z00000");
    let args = ["--labels", labels.to_str().unwrap()];
    let told = json(1, &args);
    assert_eq!(count(&told["rows"]), 1);
    let lines = |list: &Value| -> Vec<u64> {
        let list = list.as_array().unwrap().iter();
        list.map(|one| count(&one["line"])).collect()
    };
    assert_eq!(lines(&told["faults"]), [3, 5]);
    assert_eq!(lines(&told["unusable"]), [4, 6]);
    assert_eq!(count(&told["reader"]["plates"]["grammar"]["right"]), 0);
    let misread = &told["misread"][0];
    assert_eq!(
        (misread["label"].as_str(), misread["fault"].as_str()),
        (Some("琼Z00000"), Some("wrong"))
    );
    write(misread["read"].as_str().unwrap());
    let told = json(1, &args);
    assert_eq!(count(&told["reader"]["plates"]["grammar"]["right"]), 1);
    assert_eq!(told["misread"], Value::Array(Vec::new()));
    let said = eval(&args);
    let (tables, faults) = (text(&said.stdout), text(&said.stderr));
    for word in [
        "line 3",
        "line 4",
        "line 5",
        "line 6",
        "4 rows could not be used",
        "cut short",
    ] {
        assert!(faults.contains(word), "{word} is missing in:\n{faults}");
    }
    assert!(
        tables.contains("1/1") && tables.contains("全对"),
        "{tables}"
    );
}

#[test]
fn wrong_usage_says_what_to_do() {
    let refused = |args: &[&str], words: &[&str]| {
        let said = eval(args);
        assert_eq!(said.status.code(), Some(2), "{args:?}");
        let said = text(&said.stderr);
        for word in words {
            assert!(said.contains(word), "{word} is missing in:\n{said}");
        }
    };
    let samples = samples();
    let samples = samples.to_str().unwrap();
    refused(&[], &["menshen eval models/samples"]);
    refused(&["no/such/folder"], &["labels.csv"]);
    refused(&[samples, "--split", "test"], &["\"split\"", "light"]);
    refused(&[samples, "--by", "weather"], &["\"weather\""]);
    refused(&[samples, "--where", "light"], &["COLUMN=VALUE"]);
    refused(&[samples, "--where", "light=moon"], &["--where"]);
    let help = eval(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let said = text(&help.stdout);
    for word in ["models/samples", "corners", "角点", "Exit status"] {
        assert!(said.contains(word), "{word} is missing in:\n{said}");
    }
}

/// Every rate of every method, with its name.
fn rates(methods: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let roles = ["residents", "strangers", "neighbours", "runner-ups"];
    methods.as_array().unwrap().iter().flat_map(move |method| {
        let name = method["method"].as_str().unwrap();
        roles.map(|role| (name, role, &method[role]))
    })
}

/// Tries of one method and role, over all groups of a split.
fn tries_of(split: &Value, method: &str, role: &str) -> u64 {
    let groups = split["groups"].as_array().unwrap().iter();
    let rates = groups.flat_map(|group| rates(&group["methods"]));
    let same = rates.filter(|(m, r, _)| (*m, *r) == (method, role));
    same.map(|(_, _, rate)| count(&rate["of"])).sum()
}

#[test]
fn the_decision_is_measured_beside_others_and_a_second_run_reads_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (kept, page, plot) = (file("seen.jsonl"), file("d.html"), file("d.svg"));
    let labels = samples().join("labels.csv");
    let first = json(
        0,
        &[
            "decision",
            "--labels",
            labels.to_str().unwrap(),
            "--matrices",
            &kept,
            "--registers",
            "4",
            "--size",
            "40",
            "--by",
            "light",
            "--html",
            &page,
            "--svg",
            &plot,
        ],
    );
    let shown = count(&first["plates"]["shown"]);
    assert!(shown > 30, "{shown}");
    let registers = &first["registers"];
    assert_eq!(
        (count(&registers["count"]), count(&registers["size"])),
        (4, 40)
    );
    assert!(
        count(&registers["invented"]) > 0,
        "the samples have too few numbers"
    );
    let methods = &first["methods"];
    assert_eq!(rates(methods).count(), 5 * 4);
    for (name, role, rate) in rates(methods) {
        let parts = ["own", "another", "asked", "refused"].map(|part| count(&rate[part]));
        assert_eq!(
            parts.iter().sum::<u64>(),
            count(&rate["of"]),
            "{name} {role}"
        );
        let groups_add_up = |split| tries_of(split, name, role) == count(&rate["of"]);
        let splits = first["splits"].as_array().unwrap();
        assert!(splits.iter().all(groups_add_up), "{name} {role}");
    }
    let splits = first["splits"].as_array().unwrap();
    let names: Vec<&str> = splits.iter().map(|s| s["by"].as_str().unwrap()).collect();
    assert_eq!(names, ["kind", "light", "light"], "ours and the column");
    let residents: Vec<u64> = first["curve"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| count(&point["residents"]["own"]))
        .collect();
    assert!(residents.is_sorted_by(|a, b| a >= b), "{residents:?}");
    assert!(residents[0] > 0);
    assert_eq!(
        std::fs::read_to_string(page)
            .unwrap()
            .matches("<svg")
            .count(),
        1
    );
    assert!(std::fs::read_to_string(plot).unwrap().starts_with("<svg"));
    // The pictures are not there, and are not missed.
    let args = [
        "decision",
        "--labels",
        labels.to_str().unwrap(),
        "--matrices",
        &kept,
        "--registers",
        "4",
        "--size",
        "40",
        "--by",
        "light",
        folder.path().to_str().unwrap(),
    ];
    let mut second = json(0, &args);
    second["folder"] = first["folder"].clone();
    assert_eq!(second, first);
    // What was kept of other rows is not taken for these.
    let said = eval(&[
        "decision",
        "--labels",
        labels.to_str().unwrap(),
        "--matrices",
        &kept,
    ]);
    assert_eq!(said.status.code(), Some(2));
    assert!(
        text(&said.stderr).contains("remove it"),
        "{}",
        text(&said.stderr)
    );
}

#[test]
fn a_list_is_the_register_if_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("cars.csv");
    let row = rows("-cut-").remove(0);
    let plate = row.split(',').nth(1).unwrap();
    std::fs::write(&list, format!("plate\n{plate}\n琼Z00000\n")).unwrap();
    let (samples, list) = (samples(), list.to_str().unwrap().to_owned());
    let args = [
        "decision",
        samples.to_str().unwrap(),
        "--where",
        "cut=yes",
        "--registry",
        &list,
    ];
    let told = json(0, &args);
    assert_eq!(count(&told["registers"]["size"]), 2);
    assert_eq!(count(&told["registers"]["count"]), 1);
    let exact = &told["methods"][1];
    let shown = count(&told["plates"]["shown"]);
    let residents = count(&exact["residents"]["of"]);
    assert!(residents >= 1 && residents < shown, "{residents}");
    assert_eq!(residents + count(&exact["strangers"]["of"]), shown);
    std::fs::write(&list, "plate\nnothing\n").unwrap();
    let said = eval(&args);
    assert_eq!(said.status.code(), Some(2));
    assert!(
        text(&said.stderr).contains("cars.csv"),
        "{}",
        text(&said.stderr)
    );
}

fn calibrate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_menshen"))
        .arg("calibrate")
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn margins_are_fitted_written_for_the_configuration_and_never_on_test_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (out, matrices, labels) = (
        path("decision.toml"),
        path("seen.jsonl"),
        path("labels.csv"),
    );
    let samples = samples();
    let samples = samples.to_str().unwrap();
    let few = ["--size", "15", "--registers", "4", "--matrices", &matrices];
    let said = calibrate(&[&[samples, "--out", &out], &few[..]].concat());
    // So few pictures may have no margin that keeps the terms; that is said, and not hidden.
    let section = std::fs::read_to_string(&out).unwrap();
    let kept = !section.contains("No margin");
    let told = text(&said.stdout);
    assert_eq!(
        said.status.code(),
        Some(i32::from(!kept)),
        "{}",
        text(&said.stderr)
    );
    assert_eq!(told.contains("NO MARGIN"), !kept, "{told}");
    assert!(told.contains("Before") && told.contains("After"), "{told}");
    assert!(
        section.contains("[decision]\nover_stranger = "),
        "{section}"
    );
    let minimal = include_str!("../../../config/examples/minimal.toml");
    let config = path("menshen.toml");
    std::fs::write(&config, format!("{minimal}\n{section}")).unwrap();
    // What came out is what the next run compares with.
    let again = calibrate(&[&[samples, "--config", &config], &few[..]].concat());
    let told = text(&again.stdout);
    let margins = |title: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(title));
        line.map_or_else(|| panic!("{told}"), str::to_owned)
    };
    assert_eq!(margins("Before 此前"), margins("After 之后"));

    let rows = std::fs::read_to_string(Path::new(samples).join("labels.csv")).unwrap();
    let split = |(at, row): (usize, &str)| match at {
        0 => format!("{row},split\n"),
        3 => format!("{row},test\n"),
        _ => format!("{row},train\n"),
    };
    let rows: String = rows.lines().enumerate().map(split).collect();
    std::fs::write(&labels, rows).unwrap();
    let refused = calibrate(&[samples, "--labels", &labels]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stdout));
    let said = text(&refused.stderr);
    assert!(
        said.contains("line 4") && said.contains("--split train"),
        "{said}"
    );
}
