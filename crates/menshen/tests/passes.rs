//! Passes from issue to paper and back: printed sheets are rasterised by other programs (poppler,
//! librsvg) and their QR codes read by an independent decoder; every one must be the pass that it
//! was printed for, and be accepted at the gate. The page for phones is tried in a real browser
//! (Chromium).
//!
//! ```sh
//! MENSHEN_PASSES=2062 cargo test --release --workspace --test passes -- --nocapture
//! ```
//!
//! without the variable the short form.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use access::pass::Token;
use access::pass::token::PREFIX;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::signing::SecretKey;

struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let example = include_str!("../../../config/examples/minimal.toml");
        let text = format!(
            "{example}\n[store]\nfolder = \"{}\"\n[clock]\ntrusted = \"always\"\n",
            store.display()
        );
        std::fs::write(folder.path().join("menshen.toml"), text).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        let config = self.path("menshen.toml");
        Command::new(env!("CARGO_BIN_EXE_menshen"))
            .arg("pass")
            .args(args)
            .arg("--config")
            .arg(config)
            .output()
            .unwrap()
    }

    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    fn key(&self) -> SecretKey {
        let key = std::fs::read_to_string(self.path("store/pass.key")).unwrap();
        SecretKey::from_hex(key.trim()).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a program that Debian packages bring is missing here, or a font, so that a test cannot
/// run; it says so loudly, and fails where `CI` is set.
fn cannot_run(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    let fonts = ["wqy", "noto"].map(|name| {
        let folders = ["truetype", "opentype"];
        folders
            .iter()
            .any(|kind| Path::new("/usr/share/fonts").join(kind).join(name).is_dir())
    });
    if there && fonts.contains(&true) {
        return false;
    }
    let what =
        "parts are missing; apt-get install poppler-utils librsvg2-bin fonts-wqy-microhei chromium";
    assert!(std::env::var_os("CI").is_none(), "{what}");
    eprintln!("\n*** NOT TESTED: {what} ***\n");
    true
}

/// The QR codes of a page that is cut into so many columns and rows, by an independent decoder.
fn codes(page: &Path, columns: u32, rows: u32) -> Vec<String> {
    let picture = image::open(page).unwrap().into_luma8();
    let (width, height) = (picture.width() / columns, picture.height() / rows);
    let mut codes = Vec::new();
    for cell in 0..columns * rows {
        let (left, top) = (cell % columns * width, cell / columns * height);
        let pixel = |x: usize, y: usize| picture.get_pixel(left + x as u32, top + y as u32).0[0];
        let mut slip =
            rqrr::PreparedImage::prepare_from_greyscale(width as usize, height as usize, pixel);
        let grids = slip.detect_grids();
        codes.extend(grids.iter().filter_map(|grid| Some(grid.decode().ok()?.1)));
    }
    codes
}

/// The pages of a PDF as pictures.
fn rasterised(pdf: &Path, dots: &str) -> Vec<PathBuf> {
    let stem = pdf.with_extension("");
    let done = Command::new("pdftoppm")
        .args(["-r", dots, "-gray"])
        .args([pdf, &stem])
        .status()
        .expect("pdftoppm of poppler-utils is needed");
    assert!(done.success());
    let mut pages: Vec<PathBuf> = std::fs::read_dir(pdf.parent().unwrap())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "pgm"))
        .collect();
    pages.sort();
    pages
}

#[test]
fn every_code_is_read_back_from_the_rendered_sheets() {
    if cannot_run("pdftoppm") {
        return;
    }
    let many: u32 = std::env::var("MENSHEN_PASSES").map_or(23, |t| t.parse().unwrap());
    let gate = Gate::new();
    let cars = many / 2;
    let mut list = "plate,owner,household\n".to_owned();
    for n in 0..cars {
        let kind = if n % 3 == 0 { "苏ED" } else { "苏E" };
        let (number, building) = (n + 10_000, n % 30 + 1);
        writeln!(list, "{kind}{number:05},住户{n},{building}-{n}").unwrap();
    }
    std::fs::write(gate.path("cars.csv"), &list).unwrap();
    let cars_file = gate.path("cars.csv");
    let output = Command::new(env!("CARGO_BIN_EXE_menshen"))
        .args(["registry", "import", "--yes"])
        .arg(&cars_file)
        .arg("--config")
        .arg(gate.path("menshen.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let began = Instant::now();
    let cars_file = cars_file.to_str().unwrap();
    gate.done(&[
        "issue",
        "--numbers",
        "1..",
        "--list",
        cars_file,
        "--until",
        "2099-12-31",
    ]);
    let rest = format!("{}..{many}", cars + 1);
    gate.done(&[
        "issue",
        "--numbers",
        &rest,
        "--until",
        "2099-12-31",
        "--foot",
    ]);
    println!("issued {many} in {:.1} s", began.elapsed().as_secs_f64());

    let pdf = gate.path("passes.pdf");
    let began = Instant::now();
    gate.done(&[
        "print",
        "--title",
        "东方花园",
        "--out",
        pdf.to_str().unwrap(),
    ]);
    println!(
        "printed {many} in {:.1} s, {} bytes",
        began.elapsed().as_secs_f64(),
        std::fs::metadata(&pdf).unwrap().len()
    );
    let listed: serde_json::Value = serde_json::from_str(&gate.done(&["list", "--json"])).unwrap();
    let plates: BTreeMap<u64, Option<String>> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            let pass = &line["pass"];
            let plate = pass["bearer"]["plate"].as_str().map(str::to_owned);
            (pass["number"].as_u64().unwrap(), plate)
        })
        .collect();
    assert_eq!(plates.len() as u32, many);

    let keys = [gate.key().public()];
    let pages = rasterised(&pdf, "300");
    assert_eq!(pages.len(), (many as usize).div_ceil(10));
    let mut read = BTreeMap::new();
    for page in &pages {
        for code in codes(page, 2, 5) {
            assert!(code.starts_with(PREFIX));
            let token = Token::verify(&code, &keys).unwrap();
            let number = u64::from(token.pass.number.get());
            let plate = token.bearer.plate().map(|p| p.as_str().to_owned());
            assert_eq!(plate, plates[&number], "{number}");
            read.insert(number, code);
        }
    }
    let missing: Vec<&u64> = plates.keys().filter(|n| !read.contains_key(n)).collect();
    assert!(missing.is_empty(), "not read back: {missing:?}");

    let first = &read[&1];
    let plate = plates[&1].clone().unwrap();
    let said = gate.done(&["check", first, "--plate", &plate]);
    assert!(said.contains("持有效通行证"), "{said}");
    let wrong = gate.run(&["check", first, "--plate", "京A00001", "--json"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stdout).contains("pass-wrong-plate"));
    let other = SecretKey::from_bytes([9; 32]);
    let forged = Token::verify(first, &keys).unwrap().sign(&other);
    assert!(text(&gate.run(&["check", &forged]).stdout).contains("伪造"));
}

#[test]
fn slips_are_printed_as_svg_and_count_what_is_used() {
    if cannot_run("rsvg-convert") {
        return;
    }
    let gate = Gate::new();
    gate.done(&[
        "issue",
        "--numbers",
        "7",
        "--supplier",
        "--holder",
        "鲜菜 & 水果 <店>",
        "--entries",
        "2",
        "--until",
        "2099-12-31",
    ]);
    let again = gate.run(&["issue", "--numbers", "5..9", "--until", "2099-12-31"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("0007"));

    let svg = gate.path("7.svg");
    gate.done(&["print", "--single", "--out", svg.to_str().unwrap()]);
    let png = gate.path("7.png");
    let drawn = Command::new("rsvg-convert")
        .args(["--dpi-x", "200", "--dpi-y", "200", "-o"])
        .args([&png, &svg])
        .status()
        .expect("rsvg-convert of librsvg2-bin is needed");
    assert!(drawn.success());
    let code = codes(&png, 1, 1).remove(0);

    let used = |expected: &str| {
        let output = gate.run(&["check", &code, "--admit"]);
        let said = text(&output.stdout);
        assert!(said.contains(expected), "{said}");
    };
    used("已计一次");
    used("已计一次");
    used("次数已用完");
    gate.done(&["extend", "7", "--more-entries", "1"]);
    used("已计一次");
    used("次数已用完");
    gate.done(&["extend", "7", "--more-entries", "5"]);
    gate.done(&["revoke", "7", "--reason", "停止供货"]);
    used("通行证已注销");
    let late = gate.run(&["extend", "7", "--more-entries", "5"]);
    assert_eq!(late.status.code(), Some(1), "{}", text(&late.stderr));
    gate.done(&[
        "issue",
        "--numbers",
        "7",
        "--replace",
        "--foot",
        "--until",
        "2099-12-31",
    ]);
    used("旧版通行证");
    let shown = gate.done(&["show", "7"]);
    assert!(shown.contains("人员 on foot"), "{shown}");
}

#[test]
fn without_a_font_or_a_name_for_the_file_it_is_said_what_to_do() {
    let gate = Gate::new();
    gate.done(&["issue", "--numbers", "1..3", "--until", "2099-12-31"]);
    let config = gate.path("menshen.toml");
    let out = gate.path("a.pdf");
    let said = gate.run(&[
        "print",
        "--font",
        config.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(said.status.code(), Some(1));
    assert!(
        text(&said.stderr).contains(".ttf"),
        "{}",
        text(&said.stderr)
    );
    let said = gate.run(&["print", "--out", "a.docx"]);
    assert_eq!(said.status.code(), Some(2));
    assert!(!out.exists());
}

/// The page as a browser shows it after a script of the test, which stands in for a guard's hands, has
/// set the body's `data-done`.
fn browsed(gate: &Gate, page: &Path, script: &str) -> String {
    let with = gate.path("with-hands.html");
    let html = std::fs::read_to_string(page).unwrap();
    std::fs::write(&with, format!("{html}<script>{script}</script>")).unwrap();
    for _ in 0..5 {
        let output = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
            .arg("--virtual-time-budget=20000")
            .arg(format!(
                "--user-data-dir={}",
                gate.path("browser").display()
            ))
            .arg(&with)
            .output()
            .unwrap();
        let dom = text(&output.stdout);
        if dom.contains("data-done") {
            return dom;
        }
    }
    panic!("the browser did not finish");
}

/// A guard's phone has the page, and neither network nor gate: photos of papers and a typed text are
/// judged as the register was when the page was made.
#[test]
fn a_phone_checks_passes_with_the_page_alone() {
    if cannot_run("chromium") || cannot_run("rsvg-convert") {
        return;
    }
    let gate = Gate::new();
    gate.done(&[
        "issue",
        "--numbers",
        "7,8",
        "--plate",
        "苏E12345",
        "--until",
        "2099-12-31",
    ]);
    let photos = ["7", "8"].map(|number| {
        let (svg, png) = (gate.path("slip.svg"), gate.path("slip.png"));
        let out = svg.to_str().unwrap();
        gate.done(&["print", "--single", "--numbers", number, "--out", out]);
        let drawn = Command::new("rsvg-convert")
            .args(["--width", "900", "--background-color", "white", "--output"])
            .args([&png, &svg])
            .status()
            .unwrap();
        assert!(drawn.success());
        BASE64_STANDARD.encode(std::fs::read(png).unwrap())
    });
    gate.done(&["revoke", "8", "--reason", "lost"]);
    let page = gate.path("check.html");
    gate.done(&[
        "page",
        "--title",
        "</script><b>东方花园",
        "--out",
        page.to_str().unwrap(),
    ]);
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(!html.contains(&gate.key().to_hex()));

    let hands = |work: &str| {
        let script = format!(
            "const photo = (base64) => new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]);\n\
             (async () => {{ {work}; document.body.dataset.done = 'yes'; }})();"
        );
        let dom = browsed(&gate, &page, &script);
        // What is said before the answers is the script's own text.
        let answers = dom.find("id=\"answers\"").unwrap();
        dom[answers..dom.find("照片只在本机").unwrap()].to_owned()
    };
    let [good, revoked] = &photos;
    let said = hands(&format!("await answer(() => look(photo('{good}')))"));
    assert!(said.contains("data-reason=\"pass\""), "{said}");
    assert!(
        said.contains("核对车牌 苏E12345") && said.contains("No. 0007"),
        "{said}"
    );
    let said = hands(&format!("await answer(() => look(photo('{revoked}')))"));
    assert!(said.contains("data-reason=\"pass-revoked\""), "{said}");
    let nothing = "await answer(() => look(photo('iVBORw0KGgo')))";
    assert!(hands(nothing).contains("未能识别"));
    let typed = "document.getElementById('text').value = 'MS1:ABC';\
                 document.querySelector('form button').click();\
                 while (!document.querySelector('[data-reason]')) await new Promise((go) => setTimeout(go, 20))";
    let said = hands(typed);
    assert!(said.contains("data-reason=\"pass-altered\""), "{said}");
}
