//! `menshen registry`: the register of vehicles, with or without a running gate.
//!
//! A list is read and checked here, in the caller's process and with the caller's rights; what
//! goes to a running gate through its socket, or else into the store, is rows.

mod import;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use access::registry::Vehicle;
use access::registry::export::{Header, to_csv, to_xlsx, write_in_place};
use access::registry::import::parse_date;
use clap::{Args, Subcommand};
use domain::PlateNumber;
use serde::{Deserialize, Serialize};

use crate::config;
use crate::outcome::{DONE, FOUND_WRONG, WRONG_USAGE, fail};
use crate::run::records;
use crate::run::socket::{self, Reply, Request};

/// What is asked of the register.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(crate) enum Change {
    /// All rows.
    List,
    /// Put one row in, in the place of any with the same plate.
    Add {
        /// The row.
        vehicle: Box<Vehicle>,
    },
    /// Take one row out.
    Remove {
        /// Its plate.
        plate: PlateNumber,
    },
    /// Put these rows in the place of all.
    Import {
        /// The rows.
        vehicles: Vec<Vehicle>,
    },
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The register's version.
    pub(crate) version: u64,
    /// Vehicles it holds.
    pub(crate) count: u64,
    /// Vehicles it held before.
    pub(crate) before: u64,
    /// The rows, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) vehicles: Vec<Vehicle>,
}

/// `menshen registry …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Put a list in the place of the register, after looking at every row / 导入登记表（替换原有）
    Import(Box<import::ImportArgs>),
    /// Write the register as .csv or .xlsx / 导出
    ///
    /// No cell can become a formula, whatever somebody wrote into the register; `import` reads
    /// the file back as it was.
    Export {
        /// Where to: .csv or .xlsx; standard output (CSV) if absent / 文件
        file: Option<PathBuf>,
        /// Chinese column names / 中文列名
        #[arg(long)]
        chinese: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Show the register / 查看
    List {
        /// Print JSON for machines
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Register one vehicle, or replace its row / 登记一辆车
    Add {
        /// For example 苏E12345
        plate: String,
        /// 车主
        #[arg(long, default_value = "")]
        owner: String,
        /// 楼栋
        #[arg(long, default_value = "")]
        building: String,
        /// 单元
        #[arg(long, default_value = "")]
        unit: String,
        /// 电话
        #[arg(long, default_value = "")]
        phone: String,
        /// The last day it may enter, for example 2026-12-31 / 有效期至
        #[arg(long)]
        valid_until: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Take one vehicle out / 删除一辆车
    Remove {
        /// For example 苏E12345
        plate: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the register is and who changes it.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The gate's configuration / 配置文件
    #[arg(long, default_value = "/etc/menshen/menshen.toml", value_name = "FILE")]
    config: PathBuf,
    /// Who does this, for the record / 操作人
    #[arg(long, env = "USER", default_value = "unknown")]
    by: String,
}

impl Place {
    /// Asks the running gate, or opens the store if none is running.
    fn perform(&self, change: Change) -> Result<Outcome, u8> {
        let house = config::load(&self.config).map_err(|e| fail(WRONG_USAGE, e))?;
        let path = socket::path_for(&house.store.folder);
        let request = Request::Registry {
            change,
            by: self.by.clone(),
        };
        match socket::ask(&path, &request) {
            Ok(Some(Reply::Registry(outcome))) => Ok(outcome),
            Ok(Some(Reply::Refused { message })) => Err(fail(FOUND_WRONG, message)),
            Ok(Some(_)) => Err(fail(
                FOUND_WRONG,
                "the gate gave an answer that does not belong to the question",
            )),
            Ok(None) => {
                let Request::Registry { change, by } = request else {
                    return Err(fail(FOUND_WRONG, "the request was lost"));
                };
                records::change_store(&house, change, &by).map_err(|e| fail(FOUND_WRONG, e))
            }
            Err(e) => Err(fail(
                FOUND_WRONG,
                format_args!("{}: {e}; are you in the group menshen?", path.display()),
            )),
        }
    }
}

/// Runs `menshen registry …`.
pub(crate) fn run(verb: Verb) -> u8 {
    let done = match verb {
        Verb::Import(args) => import::run(&args),
        Verb::Export {
            file,
            chinese,
            place,
        } => export(file.as_deref(), chinese, &place),
        Verb::List { json, place } => list(json, &place),
        Verb::Add {
            plate,
            owner,
            building,
            unit,
            phone,
            valid_until,
            place,
        } => add(&plate, valid_until.as_deref(), &place, |row| Vehicle {
            owner,
            building,
            unit,
            phone,
            ..row
        }),
        Verb::Remove { plate, place } => remove(&plate, &place),
    };
    match done {
        Ok(()) => DONE,
        Err(status) => status,
    }
}

fn export(file: Option<&Path>, chinese: bool, place: &Place) -> Result<(), u8> {
    let outcome = place.perform(Change::List)?;
    let header = if chinese {
        Header::Chinese
    } else {
        Header::English
    };
    let Some(file) = file else {
        let csv = to_csv(&outcome.vehicles, header);
        return std::io::stdout()
            .write_all(&csv)
            .map_err(|e| fail(FOUND_WRONG, e));
    };
    let failed =
        |e: &dyn std::fmt::Display| fail(FOUND_WRONG, format_args!("{}: {e}", file.display()));
    let bytes = match file.extension().and_then(|e| e.to_str()) {
        Some("xlsx") => to_xlsx(&outcome.vehicles, header).map_err(|e| failed(&e))?,
        _ => to_csv(&outcome.vehicles, header),
    };
    write_in_place(file, &bytes).map_err(|e| failed(&e))
}

fn list(json: bool, place: &Place) -> Result<(), u8> {
    let outcome = place.perform(Change::List)?;
    if json {
        let text = serde_json::to_string(&outcome.vehicles).map_err(|e| fail(FOUND_WRONG, e))?;
        println!("{text}");
        return Ok(());
    }
    for v in &outcome.vehicles {
        let until = v
            .valid_until
            .map_or_else(|| "-".to_owned(), |d| d.to_string());
        println!(
            "{}\t{}\t{}\t{}\t{}\t{until}",
            v.plate.dotted(),
            v.owner,
            v.building,
            v.unit,
            v.phone
        );
    }
    eprintln!("{} vehicles / 共 {} 辆", outcome.count, outcome.count);
    Ok(())
}

fn plate(text: &str) -> Result<PlateNumber, u8> {
    PlateNumber::parse(text).map_err(|e| fail(WRONG_USAGE, e))
}

fn add(
    text: &str,
    valid_until: Option<&str>,
    place: &Place,
    fill: impl FnOnce(Vehicle) -> Vehicle,
) -> Result<(), u8> {
    let valid_until = match valid_until {
        None => None,
        Some(text) => Some(parse_date(text).ok_or_else(|| {
            fail(
                WRONG_USAGE,
                format_args!("{text:?} is no date; write it as 2026-12-31"),
            )
        })?),
    };
    let vehicle = fill(Vehicle {
        valid_until,
        ..Vehicle::new(plate(text)?)
    });
    let number = vehicle.plate.clone();
    let outcome = place.perform(Change::Add {
        vehicle: Box::new(vehicle),
    })?;
    let done = if outcome.count == outcome.before {
        "replaced / 已更新"
    } else {
        "registered / 已登记"
    };
    println!(
        "{}: {done}, {} vehicles / 共 {} 辆",
        number.dotted(),
        outcome.count,
        outcome.count
    );
    Ok(())
}

fn remove(text: &str, place: &Place) -> Result<(), u8> {
    let number = plate(text)?;
    let outcome = place.perform(Change::Remove {
        plate: number.clone(),
    })?;
    if outcome.count == outcome.before {
        return Err(fail(
            FOUND_WRONG,
            format_args!("{} is not registered / 未登记", number.dotted()),
        ));
    }
    println!(
        "{}: removed / 已删除, {} vehicles / 共 {} 辆",
        number.dotted(),
        outcome.count,
        outcome.count
    );
    Ok(())
}
