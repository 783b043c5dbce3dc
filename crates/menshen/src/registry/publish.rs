//! `menshen registry publish`: a register from the committee's server to its gates.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use access::registry::export::write_in_place;
use access::registry::import::{ImportOptions, parse};
use access::registry::sync::{Roll, RollError};
use bridge::keys::read_secret;
use clap::Args;
use collector::CollectorConfig;
use collector::publish::{Progress, publish};
use domain::command::DeviceName;
use domain::event::Digest;
use domain::signing::SecretKey;
use domain::sync::{RegisterVersion, Report, Scope};
use jiff::Timestamp;

use super::import::read_list;
use crate::outcome::{FOUND_WRONG, WRONG_USAGE, fail};

/// Rolls that are kept to send differences from.
const KEPT: usize = 20;

/// `menshen registry publish`.
#[derive(Debug, Args)]
#[command(after_help = "\
  menshen registry publish --key registrar.key --to east-garden/gate --to east-garden/back cars.xlsx

A table (.xlsx, .csv) holds the vehicles; a file that `menshen registry digest --rows` wrote, named
.rows, holds everything but numbered passes. A gate that took over one that was sent before gets
the difference alone. What was changed on a gate since then stays there and is listed by
`menshen registry conflicts list`. A sending that was cut short goes on when it is repeated.
中断后重新执行即可续传。门禁上的本地修改不会被悄悄覆盖。")]
pub(crate) struct PublishArgs {
    /// The register: .xlsx, .csv or .rows / 登记表
    file: PathBuf,
    /// A gate, as site/device; may be given several times / 设备
    #[arg(long, required = true, value_name = "SITE/DEVICE")]
    to: Vec<DeviceName>,
    /// The file of a registrar's secret key / 密钥文件
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The collector's configuration: the broker, and the gates' own keys / 配置文件
    #[arg(
        long,
        default_value = "/etc/menshen/collector.toml",
        value_name = "FILE"
    )]
    collector: PathBuf,
    /// The register's number, greater than any before; the milliseconds since 1970 if absent / 版本号
    #[arg(long, value_name = "NUMBER")]
    number: Option<u64>,
    /// Send all of it, also where a difference would do / 整表发送
    #[arg(long)]
    whole: bool,
    /// Why, for the gate's record / 原因
    #[arg(long, default_value = "")]
    why: String,
    /// How long a gate may take, in seconds / 时限（秒）
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    wait: u64,
    /// Where registers that were sent are kept; beside the collector's database if absent, or its configuration
    #[arg(long, value_name = "FOLDER")]
    kept: Option<PathBuf>,
}

/// Runs `menshen registry publish`.
pub(super) fn run(args: &PublishArgs) -> Result<(), u8> {
    let config = CollectorConfig::load(&args.collector).map_err(|e| fail(WRONG_USAGE, e))?;
    let key = read_secret(&args.key).map_err(|e| fail(FOUND_WRONG, e))?;
    let roll = read(&args.file)?;
    let digest = roll.digest().map_err(|e| fail(FOUND_WRONG, e))?;
    let kept = args.kept.clone().unwrap_or_else(|| {
        // Without a file of its own, beside the collector's configuration.
        let beside = config.database.as_ref().unwrap_or(&args.collector);
        beside.parent().unwrap_or(Path::new(".")).join("published")
    });
    println!(
        "{}: {} records ({}), digest {digest} / {} 条",
        args.file.display(),
        roll.len(),
        roll.scope().word(),
        roll.len()
    );
    let number = args
        .number
        .unwrap_or_else(|| u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0));
    let (mut arrived, mut failed) = (false, None);
    for device in &args.to {
        let sender = Sender {
            args,
            config: &config,
            key: &key,
            roll: &roll,
            number: RegisterVersion(number),
            kept: &kept,
        };
        match sender.send(device) {
            Ok(message) => {
                arrived = true;
                println!("{device}: {message}");
            }
            Err(status) => failed = Some(status),
        }
    }
    if arrived && let Err(e) = keep(&kept, digest, &roll) {
        eprintln!(
            "menshen: {}: {e}; the next sending is a whole one / 下次将整表发送",
            kept.display()
        );
    }
    failed.map_or(Ok(()), Err)
}

/// Reads a register of any of the forms.
fn read(file: &Path) -> Result<Roll, u8> {
    let bytes = read_list(file)?;
    let wrong =
        |e: &dyn std::fmt::Display| fail(FOUND_WRONG, format_args!("{}: {e}", file.display()));
    if file.extension().is_some_and(|e| e == "rows") {
        let text = String::from_utf8(bytes).map_err(|e| wrong(&e))?;
        return Roll::read(&text, Scope::Register).map_err(|e| wrong(&e));
    }
    let imported = parse(&bytes, ImportOptions::default()).map_err(|e| {
        wrong(&format_args!(
            "{e}; nothing was sent, `menshen registry import --dry-run` shows all / 未发送"
        ))
    })?;
    Ok(Roll::of_vehicles(imported.vehicles))
}

fn path_of(folder: &Path, digest: Digest) -> PathBuf {
    folder.join(format!("{digest}.rows"))
}

/// Keeps a register that was sent, so that the next one can go as a difference from it.
fn keep(folder: &Path, digest: Digest, roll: &Roll) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut text = roll.rows()?.join("\n");
    text.push('\n');
    write_in_place(&path_of(folder, digest), text.as_bytes())?;
    let mut rolls = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|e| e == "rows") {
            rolls.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    rolls.sort();
    for (_, path) in rolls.iter().rev().skip(KEPT) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

struct Sender<'a> {
    args: &'a PublishArgs,
    config: &'a CollectorConfig,
    key: &'a SecretKey,
    roll: &'a Roll,
    /// The same for all gates, so that equal registers have equal numbers.
    number: RegisterVersion,
    kept: &'a Path,
}

impl Sender<'_> {
    fn send(&self, device: &DeviceName) -> Result<String, u8> {
        let mut offer = |report: Option<&Report>| {
            self.offer(report)
                .map_err(|e| Box::new(e) as Box<dyn std::error::Error + Send + Sync>)
        };
        let watched = io::stderr().is_terminal();
        let mut told = |progress: Progress| match progress {
            Progress::Found(None) => {
                eprintln!("{device}: says nothing of its register yet / 未报告");
            }
            Progress::Found(Some(report)) => match report.server {
                Some(server) => eprintln!(
                    "{device}: has version {}, {} records otherwise / 现有版本 {}",
                    server.version, report.differing, server.version
                ),
                None => eprintln!("{device}: took nothing over so far / 尚未同步"),
            },
            Progress::Whole => eprintln!("{device}: needs the whole register / 需整表发送"),
            Progress::Pages(sent, of) if watched || sent == of => {
                eprintln!("{device}: {sent} of {of} pages / {sent}/{of} 页");
            }
            Progress::Pages(..) => {}
        };
        publish(
            self.config,
            device,
            self.key,
            Duration::from_secs(self.args.wait),
            &mut offer,
            &mut told,
        )
        .map_err(|e| fail(FOUND_WRONG, e))
    }

    /// The difference from what the gate has, if that is known here.
    fn offer(
        &self,
        report: Option<&Report>,
    ) -> Result<(domain::sync::Manifest, Vec<domain::sync::Page>), RollError> {
        let held = report.and_then(|report| report.server);
        let before = held
            .filter(|edition| !self.args.whole && edition.scope == self.roll.scope())
            .and_then(|edition| {
                let text = std::fs::read_to_string(path_of(self.kept, edition.digest)).ok()?;
                let roll = Roll::read(&text, edition.scope).ok()?;
                // The file may be anything; only its digest says that it is the one.
                (roll.digest().ok()? == edition.digest).then_some((edition.version, roll))
            });
        let before = before.as_ref().map(|(version, roll)| (*version, roll));
        self.roll.offer(self.number, before, &self.args.why)
    }
}
