//! The committee's register on its way to two gates over a real broker.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use house::{
    Camera, Gate, Mosquitto, Need, Plan, Scene, Site, alone, cannot_run, program, wait_for,
};
use serde_json::Value;

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// Runs the program, which must succeed; its standard output.
fn ran(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A gate at the broker that knows the committee's key.
struct Post {
    site: Site,
    gate: Option<Gate>,
    _camera: Camera,
}

impl Post {
    fn new(device: &str, port: u16, scene: &Scene, public: &str) -> Self {
        let site = Site::new(&Plan {
            port: Some(port),
            barrier: "relay = SIMULATED",
            lane: "",
            camera: "",
        })
        .unwrap();
        let keys = site.path("keys.toml");
        let enrolled = format!(
            "[[key]]\nname = \"committee\"\npublic = \"{public}\"\nroles = [\"registrar\"]\n"
        );
        std::fs::write(&keys, enrolled).unwrap();
        let path = site.path("menshen.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let config = config
            .replace(
                "name = \"test\"",
                &format!("name = \"test\"\ndevice = \"{device}\""),
            )
            .replace(
                &format!("port = {port}\n"),
                &format!("port = {port}\nkeys_file = \"{}\"\n", keys.display()),
            );
        std::fs::write(&path, config).unwrap();
        let camera = Camera::start(&site.path("frames"), scene.pictures.clone()).unwrap();
        let gate = Some(Gate::start(&site).unwrap());
        Self {
            site,
            gate,
            _camera: camera,
        }
    }

    fn log(&self) -> String {
        self.gate.as_ref().unwrap().log().join("\n")
    }

    /// Runs `menshen registry …` here, which must succeed.
    fn registry(&self, args: &[&str]) -> String {
        let mut all = vec!["registry"];
        all.extend(args);
        let output = self.site.verb(&all).unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.registry(args)).unwrap()
    }

    fn digest(&self) -> Value {
        self.json(&["digest", "--json"])
    }

    fn device_key(&self) -> String {
        let output = self.site.verb(&["keys", "show"]).unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// The committee's server: its key, its configuration, its lists.
struct Server {
    folder: tempfile::TempDir,
}

impl Server {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self, name: &str) -> String {
        ran(Command::new(program().unwrap())
            .args(["keys", "new"])
            .arg(self.path(name)))
    }

    fn enrol(&self, port: u16, gates: &[(&str, &Post)]) {
        let mut config = format!(
            "host = \"127.0.0.1\"\nport = {port}\nkey_file = \"{}\"\ndatabase = \"{}\"\n",
            self.path("server.key").display(),
            self.path("events.sqlite").display()
        );
        for (name, post) in gates {
            let public = post.device_key();
            writeln!(
                config,
                "[[device]]\nname = \"{name}\"\npublic = \"{public}\""
            )
            .unwrap();
        }
        std::fs::write(self.path("collector.toml"), config).unwrap();
    }

    fn list(&self, rows: &str) -> PathBuf {
        let path = self.path("cars.csv");
        std::fs::write(&path, format!("plate,owner\n{rows}")).unwrap();
        path
    }

    fn publish(&self, key: &str, to: &[&str], list: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(program().unwrap());
        command.args(["registry", "publish", "--wait", "120", "--key"]);
        command.arg(self.path(key));
        command.arg("--collector").arg(self.path("collector.toml"));
        for gate in to {
            command.args(["--to", gate]);
        }
        command.args(more).arg(list);
        command
    }

    /// A sending that is refused; what is said of it.
    fn refused(&self, key: &str, list: &Path, more: &[&str]) -> String {
        let output = self.publish(key, &[FRONT], list, more).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        text(&output)
    }
}

const FRONT: &str = "test/gate";
const BACK: &str = "test/back";

fn rows(count: usize, owner: &str) -> String {
    (0..count).fold(String::new(), |mut rows, n| {
        writeln!(rows, "苏E{n:05},{owner}{n}").unwrap();
        rows
    })
}

#[test]
#[allow(clippy::too_many_lines)] // one story, each step from the one before
fn two_gates_take_the_committees_register_over_and_hold_the_same() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let scene = Scene::new(11);
    let mut mosquitto = Mosquitto::running().unwrap();
    let server = Server {
        folder: tempfile::tempdir().unwrap(),
    };
    let public = server.key("registrar.key");
    server.key("server.key");
    server.key("stranger.key");
    let port = mosquitto.port;
    let mut front = Post::new("gate", port, &scene, &public);
    let back = Post::new("back", port, &scene, &public);
    server.enrol(port, &[(FRONT, &front), (BACK, &back)]);
    let both = [FRONT, BACK];

    // All of it, to a gate with a register of its own and one with none.
    front.registry(&["add", "--by", "test", "苏E·00003", "--owner", "guard"]);
    front.registry(&["add", "--by", "test", "苏E·99999", "--owner", "guard"]);
    let list = server.list(&rows(30, "王"));
    ran(&mut server.publish("registrar.key", &both, &list, &["--why", "first"]));
    let (at_front, at_back) = (front.digest(), back.digest());
    assert_eq!(at_front["server"], at_back["server"], "{}", front.log());
    assert_eq!(at_back["vehicles"], at_back["server"]["digest"]);
    assert_eq!(
        (&at_front["differing"], &at_front["contested"]),
        (&2.into(), &1.into())
    );
    assert_ne!(at_front["vehicles"], at_back["vehicles"]);
    let conflicts = front.json(&["conflicts", "list", "--json"]);
    assert_eq!(conflicts[0]["here"]["owner"], "guard");
    assert_eq!(conflicts[0]["server"]["owner"], "王3");
    assert!(conflicts[1]["server"].is_null());
    front.registry(&["conflicts", "take", "--by", "test", "--all"]);
    assert_eq!(front.digest()["vehicles"], back.digest()["vehicles"]);
    assert_eq!(
        front.registry(&["digest", "--rows"]),
        back.registry(&["digest", "--rows"])
    );

    // What has changed alone, over changes that were made here meanwhile.
    front.registry(&["add", "--by", "test", "苏E·88888", "--owner", "guard"]);
    front.registry(&["add", "--by", "test", "苏E·00004", "--owner", "guard"]);
    let changed = rows(29, "王").replace("王4\n", "李\n");
    let list = server.list(&changed);
    let said = server
        .publish("registrar.key", &both, &list, &[])
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", text(&said));
    let contested = front.json(&["conflicts", "list", "--json"]);
    let states: Vec<_> = contested
        .as_array()
        .unwrap()
        .iter()
        .map(|d| &d["standing"])
        .collect();
    assert_eq!(states, ["contested", "here"], "{contested}");
    let owner = |post: &Post, plate: &str| {
        let rows = post.json(&["list", "--json"]);
        let rows = rows.as_array().unwrap();
        let row = rows.iter().find(|row| row["plate"] == plate);
        row.map(|row| row["owner"].as_str().unwrap_or_default().to_owned())
    };
    // The server's of the two; nobody else's change is lost.
    assert_eq!(owner(&front, "苏E00004").as_deref(), Some("李"));
    assert_eq!(owner(&front, "苏E88888").as_deref(), Some("guard"));
    assert_eq!(owner(&front, "苏E00029"), None);
    front.registry(&["conflicts", "keep", "--by", "test", "苏E00004"]);
    assert_eq!(owner(&front, "苏E00004").as_deref(), Some("guard"));
    assert_eq!(
        back.digest()["vehicles"],
        front.digest()["server"]["digest"]
    );
    let retained = |name: &str| mosquitto.retained(name).unwrap().unwrap_or_default();
    let told: Value = serde_json::from_str(&retained("registry")).unwrap();
    assert_eq!(told["body"]["server"], front.digest()["server"]);
    assert_eq!(told["body"]["vehicles"], front.digest()["vehicles"]);

    // An older number, another's key, pages of nobody's.
    let said = server.refused("registrar.key", &list, &["--number", "1", "--whole"]);
    assert!(said.contains("stale"), "{said}");
    let said = server.refused("stranger.key", &list, &[]);
    assert!(said.contains("unknown-key"), "{said}");
    let page = format!(
        "{{\"root\":\"{0}\",\"index\":0,\"proof\":[],\"edits\":[]}}",
        "0".repeat(64)
    );
    let topic = format!("menshen/{FRONT}/registry/page");
    ran(Command::new("mosquitto_pub").args([
        "-h",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-q",
        "1",
        "-t",
        &topic,
        "-m",
        &page,
    ]));
    assert!(
        wait_for(Duration::from_secs(5), || front
            .log()
            .contains("registry/page")),
        "{}",
        front.log()
    );

    // The broker is killed in the middle, and the gate once more.
    let before = front.digest();
    let comings = || front.log().matches("a register is coming").count();
    let so_far = comings();
    let list = server.list(&rows(20_000, "赵"));
    let mut sending = server
        .publish("registrar.key", &[FRONT], &list, &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = || comings() > so_far;
    assert!(wait_for(Duration::from_secs(30), began), "{}", front.log());
    mosquitto.kill().unwrap();
    let on_its_way = front.registry(&["transfer", "show"]);
    println!("killed: {on_its_way}");
    assert!(on_its_way.contains("pages are missing"), "{on_its_way}");
    assert_eq!(front.digest(), before, "half a register counts");
    front.gate.take().unwrap().kill().unwrap();
    mosquitto.start().unwrap();
    front.gate = Some(Gate::start(&front.site).unwrap());
    assert!(sending.wait().unwrap().success(), "{}", front.log());
    let after = front.digest();
    assert_ne!(after["server"], before["server"]);
    assert_eq!(
        front
            .json(&["conflicts", "list", "--json"])
            .as_array()
            .unwrap()
            .len(),
        2
    );
    front.registry(&["conflicts", "take", "--by", "test", "--all"]);
    ran(&mut server.publish("registrar.key", &[BACK], &list, &[]));
    assert_eq!(front.digest()["vehicles"], back.digest()["vehicles"]);

    // A list that takes most away waits for a person.
    let list = server.list(&rows(40, "赵"));
    let said = server.refused("registrar.key", &list, &[]);
    assert!(said.contains("registry transfer accept"), "{said}");
    assert_eq!(front.digest()["vehicles"], back.digest()["vehicles"]);
    front.registry(&["transfer", "accept", "--by", "test"]);
    assert_eq!(
        front.json(&["list", "--json"]).as_array().unwrap().len(),
        40
    );
    front.registry(&["verify"]);
}
