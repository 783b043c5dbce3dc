//! The bar on real pictures: `menshen run` on the test scenes, half of their plates registered.
//!
//! `cargo run --release -p house --bin real_input -- ../shared/data [SEED [FIRST]]` shows all scenes, or the
//! first so many, and prints the share of
//! registered plates that were admitted, and of unregistered ones that were (which must be
//! none), as mosquitto received them.

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use domain::{Decision, PlateNumber, Reason};
use house::{Camera, EMPTY, Failure, Gate, Mosquitto, Plan, Site, share, wait_for};
use jiff::Timestamp;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// A test scene: its picture as PPM and the plates that are labelled in it.
struct Shown {
    file: String,
    ppm: Vec<u8>,
    plates: Vec<PlateNumber>,
}

fn scenes(data: &Path) -> Result<Vec<Shown>, Failure> {
    let index = data.join("index.tsv");
    let text = std::fs::read_to_string(&index).map_err(|e| {
        format!(
            "{}: {e}; name the folder of real pictures, they do not come with the project",
            index.display()
        )
    })?;
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let column = |name: &str| {
        head.iter()
            .position(|h| *h == name)
            .ok_or(format!("no column {name}"))
    };
    let (path, kind, label, split) = (
        column("path")?,
        column("kind")?,
        column("label")?,
        column("split")?,
    );
    let mut shown = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        if cell(split) != "test" || cell(kind) != "scene" {
            continue;
        }
        let plates: Vec<PlateNumber> = cell(label)
            .split(';')
            .filter_map(|l| PlateNumber::parse(l).ok())
            .collect();
        // One vehicle a picture, so that a passage has one true plate.
        if plates.len() != 1 {
            continue;
        }
        let picture = image::open(data.join(cell(path)))?.to_rgb8();
        let mut ppm = format!("P6\n{} {}\n255\n", picture.width(), picture.height()).into_bytes();
        ppm.extend_from_slice(picture.as_raw());
        shown.push(Shown {
            file: cell(path).to_owned(),
            ppm,
            plates,
        });
    }
    Ok(shown)
}

/// A gate whose register holds these plates.
fn site_of(registered: &HashSet<PlateNumber>, port: u16) -> Result<Site, Failure> {
    let site = Site::new(&Plan {
        port: Some(port),
        barrier: "relay = SIMULATED\npulse = \"200ms\"\nrepeat_gap = \"300ms\"",
        lane: "leave_after = \"500ms\"\ndecide_within = \"1s\"\nask_for = \"5s\"",
        camera: "",
    })?;
    let list = site.path("cars.csv");
    let rows: Vec<&str> = registered.iter().map(PlateNumber::as_str).collect();
    std::fs::write(&list, format!("plate\n{}\n", rows.join("\n")))?;
    let list = list.display().to_string();
    let done = site.verb(&["registry", "import", "--by", "test", &list])?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
    }
    Ok(site)
}

fn run(data: &Path, seed: u64, first: usize) -> Result<bool, Failure> {
    let mut shown = scenes(data)?;
    shown.truncate(first);
    let mut plates: Vec<PlateNumber> = shown.iter().flat_map(|s| s.plates.clone()).collect();
    plates.sort();
    plates.dedup();
    plates.shuffle(&mut StdRng::seed_from_u64(seed));
    let registered: HashSet<PlateNumber> = plates[..plates.len() / 2].iter().cloned().collect();
    let mosquitto = Mosquitto::running()?;
    let ear = mosquitto.listen()?;
    let site = site_of(&registered, mosquitto.port)?;
    let grey = [b"P6\n1280 720\n255\n".to_vec(), vec![90; 1280 * 720 * 3]].concat();
    let pictures = std::iter::once(grey)
        .chain(shown.iter().map(|s| s.ppm.clone()))
        .collect();
    let camera = Camera::start(&site.path("frames"), pictures)?;
    let gate = Gate::start(&site)?;
    let mut shown_at = Vec::new();
    for at in 0..shown.len() {
        let before = ear.passages().len();
        shown_at.push(Timestamp::now());
        camera.show(at + 1);
        std::thread::sleep(Duration::from_millis(1700));
        camera.show(EMPTY);
        // On a busy machine frames of this picture are still on their way: what they begin must not
        // count as the next one's.
        std::thread::sleep(Duration::from_millis(1500));
        // Where no plate is found there is no passage, and nothing to wait for.
        wait_for(Duration::from_millis(1500), || {
            ear.passages().len() > before
        });
    }
    let outbox_is_empty = || {
        site.verb(&["status", "--json"])
            .is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("\"outbox\":0"))
    };
    if !wait_for(Duration::from_secs(30), outbox_is_empty) {
        return Err("the broker did not get everything".into());
    }
    std::thread::sleep(Duration::from_millis(500));
    let ended = |line: &&String| line.contains("the passage ended");
    let ended = gate.log().iter().filter(ended).count();
    drop(gate);
    let passages = ear.passages();
    let (mut residents, mut let_in, mut strangers, mut wrongly) = (0, 0, 0, 0);
    let (mut unseen, mut extra) = (0, 0);
    for (at, scene) in shown.iter().enumerate() {
        let until = shown_at.get(at + 1).copied().unwrap_or(Timestamp::MAX);
        let from = shown_at[at];
        let of_scene: Vec<_> = passages
            .iter()
            .filter(|p| from <= p.began && p.began < until)
            .collect();
        let admitted: Vec<_> = of_scene
            .iter()
            .filter(|p| p.decision == Some(Decision::Admit) && p.reason == Some(Reason::Registered))
            .collect();
        unseen += usize::from(of_scene.is_empty());
        extra += of_scene.len().saturating_sub(1);
        if registered.contains(&scene.plates[0]) {
            residents += 1;
            let_in += usize::from(!admitted.is_empty());
        } else {
            strangers += 1;
            wrongly += usize::from(!admitted.is_empty());
        }
        for p in admitted
            .iter()
            .filter(|p| p.plate.as_ref() != Some(&scene.plates[0]))
        {
            println!(
                "{}: {} was admitted as {:?}",
                scene.file, scene.plates[0], p.plate
            );
        }
    }
    println!(
        "BAR real input: registered admitted {}",
        share(let_in, residents)
    );
    println!(
        "BAR real input: unregistered admitted {}",
        share(wrongly, strangers)
    );
    println!(
        "pictures without a passage (no plate found): {unseen}; further passages (further plates in a picture): {extra}"
    );
    println!(
        "BAR real input: {ended} passages ended at the gate, {} reached mosquitto, chain whole up to entry {}",
        passages.len(),
        ear.verify()?
    );
    Ok(wrongly == 0 && passages.len() == ended)
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let data = args.next().unwrap_or_else(|| "../shared/data".to_owned());
    let seed = args.next().and_then(|s| s.parse().ok()).unwrap_or(1);
    let first = args.next().and_then(|n| n.parse().ok());
    match run(Path::new(&data), seed, first.unwrap_or(usize::MAX)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("real_input: {e}");
            ExitCode::FAILURE
        }
    }
}
