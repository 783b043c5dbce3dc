//! `menshen keys` and `menshen sign`: keys, and commands made with them at a terminal.

use std::path::PathBuf;

use bridge::keys::{make_secret, read_secret};
use clap::{Args, Subcommand};
use domain::command::{Challenge, Command, DeviceName, Order, Row, RowChange, Transaction};
use domain::signing::{Purpose, Signed};
use domain::{Name, PassageId, PlateNumber};

use crate::config;
use crate::outcome::{DONE, FOUND_WRONG, WRONG_USAGE, fail};
use crate::run;

/// `menshen keys …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a secret key in a new file and print its public half / 生成密钥
    ///
    /// Whoever has the file can sign with it: it is readable by its owner alone and belongs on
    /// one machine. The public half is what is enrolled elsewhere.
    New {
        /// The file to make; it must not be there yet
        file: PathBuf,
    },
    /// Print the public half of a key / 显示公钥
    ///
    /// Without a file: of this gate's own key, for the collector's configuration.
    Show {
        /// The file of a secret key
        file: Option<PathBuf>,
        /// The gate's configuration / 配置文件
        #[arg(long, default_value = "/etc/menshen/menshen.toml", value_name = "FILE")]
        config: PathBuf,
    },
}

/// Runs `menshen keys …`.
pub(crate) fn run(verb: Verb) -> u8 {
    let key = match verb {
        Verb::New { file } => make_secret(&file),
        Verb::Show {
            file: Some(file), ..
        } => read_secret(&file),
        Verb::Show { file: None, config } => {
            let house = match config::load(&config) {
                Ok(house) => house,
                Err(problems) => return fail(WRONG_USAGE, problems),
            };
            let path = run::own_key(&house.store.folder);
            if !path.exists() {
                return fail(
                    FOUND_WRONG,
                    format_args!(
                        "this gate has no key yet: it makes {} at its first start with [mqtt]; start it once / 首次启动后才有密钥",
                        path.display()
                    ),
                );
            }
            read_secret(&path)
        }
    };
    match key {
        Ok(key) => {
            println!("{}", key.public());
            DONE
        }
        Err(error) => fail(FOUND_WRONG, error),
    }
}

/// `menshen sign`.
#[derive(Debug, Args)]
#[command(
    after_help = "A command is good for one gate, one lane, 30 seconds and once. First ask the gate for a challenge,\n\
                  then sign it, then publish what this prints on the topic that it names:\n\n  \
                  mosquitto_rr -q 1 -t menshen/SITE/DEVICE/request/challenge -e menshen/SITE/DEVICE/response/challenge \\\n      \
                  -m '{\"transaction\":\"1\",\"lane\":\"entry\"}'\n  \
                  menshen sign --key guard.key --device SITE/DEVICE --challenge … open entry |\n      \
                  mosquitto_pub -s -t menshen/SITE/DEVICE/request/open\n\n\
                  There is no command that closes a boom. 没有落杆命令。"
)]
pub(crate) struct SignArgs {
    /// The file of the secret key to sign with / 密钥文件
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The gate, as site/device / 设备
    #[arg(long, value_name = "SITE/DEVICE")]
    device: DeviceName,
    /// The challenge that the gate gave out, 64 digits / 挑战码
    #[arg(long, value_parser = challenge, value_name = "DIGITS")]
    challenge: Challenge,
    /// Names the answer; chosen freely / 交易号
    #[arg(long)]
    transaction: Option<Transaction>,
    #[command(subcommand)]
    command: Wanted,
}

fn challenge(text: &str) -> Result<Challenge, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| "a challenge is 64 lower-case hexadecimal digits".to_owned())
}

/// What the gate is to do.
#[derive(Debug, Subcommand)]
enum Wanted {
    /// Open a lane's boom once / 开闸一次
    Open {
        /// The lane
        lane: Name,
    },
    /// Keep a lane's boom open / 常开
    Hold {
        /// The lane
        lane: Name,
    },
    /// End a hold / 取消常开
    Release {
        /// The lane
        lane: Name,
    },
    /// Refuse the vehicle that waits / 拒绝待确认车辆
    Refuse {
        /// The lane
        lane: Name,
        /// The passage
        #[arg(long)]
        passage: Option<PassageId>,
    },
    /// Read the enrolled keys again / 重新读取密钥
    Reload,
    /// Register one vehicle, or replace its row / 登记一辆车
    Register {
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
    },
    /// Take one vehicle out of the register / 删除一辆车
    Unregister {
        /// For example 苏E12345
        plate: String,
    },
}

impl Wanted {
    fn command(self) -> Result<Command, String> {
        let plate = |text: &str| PlateNumber::parse(text).map_err(|e| e.to_string());
        Ok(match self {
            Self::Open { lane } => Command::Open { lane },
            Self::Hold { lane } => Command::Hold { lane },
            Self::Release { lane } => Command::Release { lane },
            Self::Refuse { lane, passage } => Command::Refuse { lane, passage },
            Self::Reload => Command::Reload,
            Self::Register {
                plate: text,
                owner,
                building,
                unit,
                phone,
                valid_until,
            } => {
                let valid_until = valid_until
                    .map(|text| {
                        access::registry::import::parse_date(&text)
                            .ok_or_else(|| format!("{text:?} is no date; write it as 2026-12-31"))
                    })
                    .transpose()?;
                let row = Row {
                    plate: plate(&text)?,
                    owner,
                    building,
                    unit,
                    phone,
                    valid_until,
                };
                Command::RegistryChange {
                    change: RowChange::Add { row: Box::new(row) },
                }
            }
            Self::Unregister { plate: text } => Command::RegistryChange {
                change: RowChange::Remove {
                    plate: plate(&text)?,
                },
            },
        })
    }
}

/// Makes an envelope: the payload on standard output, the topic on standard error.
pub(crate) fn sign(args: SignArgs) -> u8 {
    let SignArgs {
        key,
        device,
        challenge,
        transaction,
        command,
    } = args;
    let command = match command.command() {
        Ok(command) => command,
        Err(why) => return fail(WRONG_USAGE, why),
    };
    let transaction = match transaction {
        Some(transaction) => transaction,
        None => match uuid::Uuid::now_v7().to_string().parse() {
            Ok(transaction) => transaction,
            Err(e) => return fail(FOUND_WRONG, e),
        },
    };
    let key = match read_secret(&key) {
        Ok(key) => key,
        Err(error) => return fail(FOUND_WRONG, error),
    };
    let topic = format!("menshen/{device}/request/{}", command.kind());
    let order = Order {
        device,
        challenge,
        transaction,
        command,
    };
    let signed = Signed::new(&key, Purpose::Command, &order)
        .and_then(|signed| serde_json::to_string(&signed));
    match signed {
        Ok(payload) => {
            eprintln!("{topic}");
            println!("{payload}");
            DONE
        }
        Err(e) => fail(FOUND_WRONG, e),
    }
}
