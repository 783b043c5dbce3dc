//! A broker that lets only those in whom its authority has signed for: gate and collector speak
//! through it, strangers and whoever is out of date are told why not, and the gate goes on.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use house::{
    Authority, Camera, EMPTY, Gate, Mosquitto, Need, Plan, Scene, Site, alone, cannot_run, program,
    wait_for,
};

/// A running `menshen collect` with its log in a file.
struct Collector {
    config: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Collector {
    fn start(config: &Path) -> Self {
        let log = config.with_extension("log");
        let child = Command::new(program().unwrap())
            .args(["collect", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self {
            config: config.to_owned(),
            log,
            child,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// What `menshen collect --status` says.
    fn status(&self) -> String {
        let out = Command::new(program().unwrap())
            .args(["collect", "--status", "--config"])
            .arg(&self.config)
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A verb that takes no configuration; what it prints.
fn says(args: &[&str]) -> String {
    let out = Command::new(program().unwrap())
        .args(args)
        .output()
        .unwrap();
    assert!(out.status.success(), "{args:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn status_of(site: &Site) -> serde_json::Value {
    let out = site.verb(&["status", "--json"]).unwrap();
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {out:?}"))
}

/// A site whose gate is to speak to `localhost`, with these keys in its `[mqtt]`.
fn site(mosquitto: &Mosquitto, keys: &str) -> Site {
    let site = Site::new(&Plan {
        port: Some(mosquitto.port),
        barrier: "relay = SIMULATED\npulse = \"300ms\"\nrepeat_gap = \"300ms\"",
        lane: "leave_after = \"500ms\"",
        camera: "",
    })
    .unwrap();
    let to = format!("[mqtt]\nhost = \"localhost\"\n{keys}");
    site.configure("[mqtt]\nhost = \"127.0.0.1\"\n", &to)
        .unwrap();
    site
}

#[test]
fn gate_and_collector_meet_through_a_broker_that_asks_for_certificates() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(3);
    let authority = Authority::new("committee").unwrap();
    for name in ["gate", "collector"] {
        authority.sign(name, 2020..4000).unwrap();
    }
    let mut mosquitto = Mosquitto::secured(&authority).unwrap();
    mosquitto.start().unwrap();
    mosquitto.enrol().unwrap();

    let site = site(&mosquitto, &authority.keys("gate"));
    let server_key = site.path("server.key").display().to_string();
    let server = says(&["keys", "new", &server_key]);
    let ring = site.path("keys.toml");
    let entry = format!("[[key]]\nname = \"server\"\npublic = {server:?}\nroles = [\"server\"]\n");
    std::fs::write(&ring, entry).unwrap();
    site.configure("[mqtt]\n", &format!("[mqtt]\nkeys_file = {ring:?}\n"))
        .unwrap();
    site.register(scene.plate(0)).unwrap();
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let gate = Gate::start(&site).unwrap();
    let log = || gate.log().join("\n");
    let connected = || status_of(&site)["broker"] == true;
    assert!(wait_for(Duration::from_secs(15), connected), "{}", log());

    let shown = site.verb(&["keys", "show"]).unwrap();
    let public = String::from_utf8(shown.stdout).unwrap();
    let config = site.path("collector.toml");
    let text = format!(
        "host = \"localhost\"\nport = {}\n{}key_file = {server_key:?}\ndatabase = {:?}\n[[device]]\nname = \"test/gate\"\npublic = {:?}\n",
        mosquitto.port,
        authority.keys("collector"),
        site.path("events.sqlite"),
        public.trim(),
    );
    std::fs::write(&config, &text).unwrap();
    let collector = Collector::start(&config);
    for picture in [1, 2] {
        camera.show(picture);
        std::thread::sleep(Duration::from_millis(1800));
        camera.show(EMPTY);
        std::thread::sleep(Duration::from_millis(1500));
    }
    // With a server's key enrolled nothing but its signed acknowledgement empties the outbox.
    let all_there = || status_of(&site)["outbox"] == 0;
    assert!(
        wait_for(Duration::from_secs(30), all_there),
        "{}\n{}",
        log(),
        collector.log()
    );
    let told = collector.status();
    assert!(told.contains("test/gate"), "{told}");
    assert!(!told.contains("missing"), "{told}");
    let ear = mosquitto.listen().unwrap();
    assert!(wait_for(Duration::from_secs(10), || ear.passages().len() == 2));
    ear.verify().unwrap();
    assert_eq!(
        mosquitto.retained("bridge/state").unwrap().as_deref(),
        Some("online")
    );
    drop(collector);

    // A collector that nobody signed for is told so too.
    let stranger = site.path("stranger.toml");
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("client_"))
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(&stranger, text).unwrap();
    let stranger = Collector::start(&stranger);
    let told = || stranger.log().contains("set client_certificate");
    assert!(
        wait_for(Duration::from_secs(15), told),
        "{}",
        stranger.log()
    );
}

#[test]
fn who_does_not_fit_is_told_why_and_a_renewed_certificate_needs_no_restart() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(3);
    let authority = Authority::new("committee").unwrap();
    let other = Authority::new("committee").unwrap();
    authority.sign("gate", 2020..4000).unwrap();
    authority.sign("old", 2020..2021).unwrap();
    let mut mosquitto = Mosquitto::secured(&authority).unwrap();
    mosquitto.start().unwrap();

    let named = authority.keys("gate");
    let foreign = named.replace(
        authority.path("ca.pem").to_str().unwrap(),
        other.path("ca.pem").to_str().unwrap(),
    );
    let nameless = named.lines().next().unwrap().to_owned() + "\n";
    let site = site(&mosquitto, "# KEYS\n");
    site.register(scene.plate(0)).unwrap();
    let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
    let plain = std::fs::read_to_string(site.path("menshen.toml")).unwrap();
    let keep = |keys: &str| {
        std::fs::write(site.path("menshen.toml"), plain.replace("# KEYS\n", keys)).unwrap();
    };
    let mut openings = 0;
    let mut refused = |says: &str| {
        let gate = Gate::start(&site).unwrap();
        let told = || gate.log().iter().any(|line| line.contains(says));
        assert!(
            wait_for(Duration::from_secs(15), told),
            "{says}:\n{}",
            gate.log().join("\n")
        );
        assert_eq!(status_of(&site)["broker"], false);
        // A resident passes all the same.
        camera.show(1);
        openings += 1;
        assert!(
            wait_for(Duration::from_secs(10), || {
                site.pulses().unwrap().len() == openings
            }),
            "{}",
            gate.log().join("\n")
        );
        camera.show(EMPTY);
        std::thread::sleep(Duration::from_secs(1));
        gate
    };

    keep(&foreign);
    refused("not signed by the authority in ca_file")
        .stop()
        .unwrap();
    keep(&nameless);
    refused("set client_certificate").stop().unwrap();
    let anonymous = site.verb(&["check", "--language", "en"]).unwrap();
    assert!(anonymous.status.success(), "{anonymous:?}");

    // Expired: said before anything is started, and by the broker.
    keep(&authority.keys("old"));
    let check = site.verb(&["check", "--language", "en"]).unwrap();
    let text = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success(), "{text}");
    assert!(text.contains("ended on 2021-01-01"), "{text}");
    let gate = refused("does not accept client_certificate (CertificateExpired)");
    // A new one in the same files, and the gate is let in by itself.
    authority.sign("old", 2020..4000).unwrap();
    let connected = || status_of(&site)["broker"] == true;
    assert!(
        wait_for(Duration::from_secs(90), connected),
        "{}",
        gate.log().join("\n")
    );
    gate.stop().unwrap();

    // The broker's own has expired.
    authority.sign("localhost", 2020..2021).unwrap();
    mosquitto.stop().unwrap();
    mosquitto.start().unwrap();
    let gate = refused("its certificate has expired");
    authority.sign("localhost", 2020..4000).unwrap();
    mosquitto.stop().unwrap();
    mosquitto.start().unwrap();
    assert!(
        wait_for(Duration::from_secs(90), connected),
        "{}",
        gate.log().join("\n")
    );
}
