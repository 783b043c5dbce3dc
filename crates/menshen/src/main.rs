//! Menshen (门神): the vehicle gate of a residential compound.
//!
//! This crate is the program: the configuration ([`config`]), the assembly and supervision of
//! lanes ([`run`]) and the verbs of the command line. It has no rules of its own: what may pass
//! is decided in `access`, how a boom moves in `gate`, what a picture shows in `vision`.

mod answer;
mod check;
#[cfg(feature = "collect")]
mod collect;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod eval;
mod journal;
mod keys;
mod outcome;
mod pass;
mod read;
mod registry;
mod relay;
mod replay;
mod run;
#[cfg(feature = "demo")]
mod sim;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "menshen",
    version,
    about = "The vehicle gate of a residential compound / 小区车辆门禁",
    long_about = "Menshen reads the plates of cars at a compound's gate, opens for those that \
                  are registered, asks the guard where it is not sure, and keeps a record of \
                  every passage.\n\n门神：识别车牌，为登记车辆开闸，拿不准时请门卫确认，每次通行都有记录。",
    after_help = "First steps / 第一步:\n  \
                  menshen demo                          see it work, nothing to install / 看演示\n  \
                  menshen check --config menshen.toml   what is wired to what / 检查配置\n  \
                  menshen doctor --config menshen.toml  try every wire, step by step / 逐项调试接线\n  \
                  menshen registry import cars.csv      the register of cars / 导入车辆登记表\n  \
                  menshen run --config menshen.toml     the gate / 运行"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the gate / 运行门禁
    Run(run::RunArgs),
    /// Check a configuration without touching hardware / 检查配置
    Check(check::CheckArgs),
    /// Try every wire of a new gate with a person beside it / 逐项调试现场接线
    Doctor(doctor::DoctorArgs),
    /// Read the plates in pictures / 识别图片中的车牌
    Read(read::ReadArgs),
    /// Measure the recogniser on labelled pictures / 用带标注的图片评测识别
    Eval(eval::EvalArgs),
    /// Fit the decision's margins on labelled pictures / 用标注图片拟合判定界限
    Calibrate(Box<eval::CalibrateArgs>),
    /// The register of vehicles / 车辆登记
    #[command(subcommand)]
    Registry(registry::Verb),
    /// Numbered passes: issue, print, check, revoke / 通行证
    #[command(subcommand)]
    Pass(pass::Verb),
    /// Answer for a vehicle the gate asks about / 门卫答复
    Answer(answer::AnswerArgs),
    /// Decide a recorded verdict again and compare / 按记录重算一次判断
    Replay(replay::ReplayArgs),
    /// How the running gate is / 运行状态
    Status(answer::StatusArgs),
    /// Keys for signing / 密钥
    #[command(subcommand)]
    Keys(keys::Verb),
    /// Sign a command to a gate / 签名一条命令
    Sign(keys::SignArgs),
    /// The committee server's end: store and acknowledge every event / 居委会服务器端
    #[cfg(feature = "collect")]
    Collect(collect::CollectArgs),
    /// A minute of a rendered street, with everything real but the hardware / 演示
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// Print a completion script, for example `menshen completions bash` / 命令行补全
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// A simulated compound with everything that can fail, every invariant checked / 模拟小区，检验安全规则
    #[cfg(feature = "demo")]
    Sim(sim::SimArgs),
    /// Hold a barrier's relay (started by `run`, not by hand)
    #[command(hide = true)]
    RelayGuard,
    /// De-energise every relay of a configuration / 断开所有继电器
    SafeOff(relay::SafeOffArgs),
}

fn main() -> ExitCode {
    let status = match Cli::parse().verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Read(args) => read::run(args),
        Verb::Eval(args) => eval::run(args),
        Verb::Calibrate(args) => eval::calibrate(&args),
        Verb::Registry(verb) => registry::run(verb),
        Verb::Pass(verb) => pass::run(verb),
        Verb::Answer(args) => answer::run(args),
        Verb::Replay(args) => replay::run(&args),
        Verb::Status(args) => answer::status(&args),
        Verb::Keys(verb) => keys::run(verb),
        Verb::Sign(args) => keys::sign(args),
        #[cfg(feature = "collect")]
        Verb::Collect(args) => collect::run(&args),
        #[cfg(feature = "demo")]
        Verb::Demo(args) => demo::run(&args),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "menshen", &mut script);
            match std::io::stdout().write_all(&script) {
                Ok(()) => outcome::DONE,
                Err(e) => outcome::fail(outcome::FOUND_WRONG, e),
            }
        }
        #[cfg(feature = "demo")]
        Verb::Sim(args) => sim::run(&args),
        Verb::RelayGuard => relay::guard(),
        Verb::SafeOff(args) => relay::safe_off(&args),
    };
    ExitCode::from(status)
}
