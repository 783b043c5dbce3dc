//! The program as a person meets it: help that teaches, exit statuses, clear errors.
//! (That there is an integration test here also makes Cargo build the program with the same
//! features as the tests of the workspace, which drive it.)
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn menshen(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_menshen"))
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_teaches_the_first_steps_in_both_languages() {
    let help = menshen(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let said = text(&help.stdout);
    for word in [
        "menshen demo",
        "check --config",
        "registry import",
        "门禁",
        "看演示",
    ] {
        assert!(said.contains(word), "{word} is missing in:\n{said}");
    }
    assert!(
        !said.contains("relay-guard"),
        "the relay guard is not for people"
    );
}

#[test]
fn wrong_usage_and_wrong_configuration_exit_with_2() {
    assert_eq!(menshen(&["no-such-verb"]).status.code(), Some(2));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("menshen.toml");
    std::fs::write(&path, "[site]\nname = \"test\"\n[[barier]]\n").unwrap();
    let path = path.to_str().unwrap();
    for verb in ["run", "check", "safe-off"] {
        let said = menshen(&[verb, "--config", path]);
        assert_eq!(said.status.code(), Some(2), "{verb}");
        let said = text(&said.stderr) + &text(&said.stdout);
        assert!(
            said.contains(":3:") && said.contains("barrier"),
            "{verb} says:\n{said}"
        );
    }
}

#[test]
fn a_list_with_wrong_rows_is_refused_whole_and_each_fault_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("menshen.toml");
    let store = folder.path().join("store");
    let example = include_str!("../../../config/examples/minimal.toml");
    std::fs::write(&config, format!("{example}\n[store]\nfolder = {store:?}\n")).unwrap();
    let list = folder.path().join("cars.csv");
    std::fs::write(&list, "车牌,车主\n苏E12345,王\n苏EI2345,李\n苏E12345,张\n").unwrap();
    let (config, list) = (config.to_str().unwrap(), list.to_str().unwrap());
    let refused = menshen(&["registry", "import", "--config", config, list]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("line 3") && said.contains("line 4"), "{said}");
    let empty = menshen(&["registry", "list", "--json", "--config", config]);
    assert_eq!(text(&empty.stdout).trim(), "[]");
    std::fs::write(list, "车牌,车主\n苏E·12345,王\n").unwrap();
    let taken = menshen(&[
        "registry", "import", "--by", "test", "--config", config, list,
    ]);
    assert_eq!(taken.status.code(), Some(0), "{}", text(&taken.stderr));
    let one = menshen(&["registry", "list", "--json", "--config", config]);
    assert!(text(&one.stdout).contains("苏E12345"));
    let gone = menshen(&["registry", "remove", "--config", config, "沪A00000"]);
    assert_eq!(gone.status.code(), Some(1));
}

/// As the README writes it: reports beside the list, by their bare names.
#[test]
fn reports_are_written_into_the_folder_where_one_stands() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("cars.csv"),
        "车牌,车主\n苏E12345,王芳\n苏E1234O,李伟\n",
    )
    .unwrap();
    let looked = Command::new(env!("CARGO_BIN_EXE_menshen"))
        .args(["registry", "import", "cars.csv", "--dry-run"])
        .args(["--report", "found.html", "--report", "marked.xlsx"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = text(&looked.stderr);
    assert_eq!(looked.status.code(), Some(1), "{said}");
    assert!(
        said.contains("苏E12340") || said.contains("苏E1234O"),
        "{said}"
    );
    for report in ["found.html", "marked.xlsx"] {
        let size = std::fs::metadata(folder.path().join(report)).map(|m| m.len());
        assert!(size.is_ok_and(|bytes| bytes > 500), "{report}: {said}");
    }
}

#[test]
fn nobody_answers_where_no_gate_runs() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("menshen.toml");
    let store = folder.path().join("store");
    let example = include_str!("../../../config/examples/minimal.toml");
    std::fs::write(&config, format!("{example}\n[store]\nfolder = {store:?}\n")).unwrap();
    let said = menshen(&["answer", "admit", "--config", config.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(1));
    assert!(text(&said.stderr).contains("no gate is running"));
}

#[test]
fn a_key_is_made_once_and_signs_a_command_but_none_that_closes() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("guard.key");
    let key = key.to_str().unwrap();
    let made = menshen(&["keys", "new", key]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let public = text(&made.stdout).trim().to_owned();
    assert_eq!(public.len(), 64);
    assert_eq!(text(&menshen(&["keys", "show", key]).stdout).trim(), public);
    assert_eq!(menshen(&["keys", "new", key]).status.code(), Some(1));
    let challenge = "ab".repeat(32);
    let sign = |command: &[&str]| {
        let mut args = vec!["sign", "--key", key, "--device", "garden/east"];
        args.extend(["--challenge", challenge.as_str()]);
        args.extend(command);
        menshen(&args)
    };
    let signed = sign(&["open", "entry"]);
    assert_eq!(signed.status.code(), Some(0), "{}", text(&signed.stderr));
    let said = text(&signed.stdout);
    assert!(
        said.contains(&public) && said.contains(r#""do":"open""#),
        "{said}"
    );
    assert!(text(&signed.stderr).contains("menshen/garden/east/request/open"));
    assert_eq!(sign(&["close", "entry"]).status.code(), Some(2));
    assert_eq!(sign(&["register", "苏EI2345"]).status.code(), Some(2));
}
