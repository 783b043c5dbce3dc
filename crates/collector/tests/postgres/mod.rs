//! A `PostgreSQL` server of the test's own, reached by a Unix socket alone.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ends with the test.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

/// Debian keeps the server's programs out of everybody's PATH.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let found = versions
        .flatten()
        .map(|version| version.path().join("bin").join(name))
        .find(|path| path.exists());
    found.unwrap_or_else(|| name.into())
}

/// The server refuses to be root.
fn as_nobody_special(program: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command
        .env("LC_ALL", "C")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl Server {
    /// Makes a database cluster and starts the server on it.
    pub(crate) fn new(more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("pg-").tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(folder.path())
                .status();
            assert!(
                owned.is_ok_and(|status| status.success()),
                "no user postgres"
            );
        }
        let made = as_nobody_special(&program("initdb"))
            .args(["-A", "trust", "-U", "menshen", "-E", "UTF8", "-D"])
            .arg(folder.path().join("data"))
            .status()
            .expect("these tests need PostgreSQL: install the package postgresql");
        assert!(made.success());
        let config = folder.path().join("data/postgresql.conf");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(config, format!("{text}\nlisten_addresses = ''\n{more}\n")).unwrap();
        let mut server = Self {
            folder,
            child: None,
        };
        server.start();
        server
    }

    /// Starts it again.
    pub(crate) fn start(&mut self) {
        let child = as_nobody_special(&program("postgres"))
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .arg("-k")
            .arg(self.folder.path())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let began = Instant::now();
        while self.query("SELECT 1").is_none() {
            assert!(began.elapsed() < Duration::from_mins(1), "no PostgreSQL");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once, as a power cut would: it has to recover at its next start.
    pub(crate) fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            let id = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(id, rustix::process::Signal::QUIT).unwrap();
            child.wait().unwrap();
        }
    }

    /// What its own client prints.
    pub(crate) fn query(&self, text: &str) -> Option<String> {
        let out = Command::new("psql")
            .args(["-XAt", "-U", "menshen", "-d", "postgres", "-c", text, "-h"])
            .arg(self.folder.path())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        out.status
            .success()
            .then(|| String::from_utf8(out.stdout).unwrap().trim().to_owned())
    }

    /// The `[postgres]` section that leads here.
    pub(crate) fn section(&self) -> String {
        format!(
            "[postgres]\nhost = \"{}\"\nuser = \"menshen\"\nname = \"postgres\"\n",
            self.folder.path().display()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let id = rustix::process::Pid::from_child(child);
            // Already gone is as good.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::QUIT);
            let _ = child.wait();
        }
    }
}
