//! `menshen doctor`: a new gate's wires, tried one by one with a person beside them.
//!
//! ```text
//! terminal, signals ──┐                 ┌──► terminal
//! barriers' threads ──┼──► [`session`] ─┼──► barriers: release, one pulse
//! camera's thread  ───┘     (pure)      ├──► camera: look, look away
//!                                       └──► [`record`]: JSON and a page
//! ```
//!
//! Everything is decided in [`session`]; this module carries it out. Relays and inputs are
//! reached only through [`gate::driver::Commissioning`]: the barrier's own thread and its relay
//! guard, which bound every pulse. When this process ends, however it ends, the relay guard's
//! pipe closes and it releases.

mod answer;
mod camera;
mod finding;
mod plan;
mod record;
mod session;
mod terminal;
#[cfg(test)]
mod tests;
mod texts;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use access::store::{KeepOut, StoreError};
use clap::Args;
use domain::{Language, Words};
use gate::barrier::managed::Output;
use gate::driver::{BarrierConfig, Commissioning, GuardProgram, Observation};
use gate::{CauseId, Monotonic};
use uuid::Uuid;

use crate::check;
use crate::config::{House, Severity};
use crate::outcome::{DONE, FOUND_WRONG, WRONG_USAGE, fail};
use crate::run::socket::{self, Request};
use camera::Watch;
use plan::Plan;
use record::Record;
use session::{Action, Input, Session};
use terminal::Terminal;

/// `menshen doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
What it does / 做什么:
  It says which boom will move, asks who you are and whether the lane is clear, and then
  goes through everything that is wired, one question each.
    input   make it active, let it rest again; its contact is shown as it is
    relay   released; does the boom stand still? may it move? one pulse; did it rise?
    camera  size, rate, and the plates that were read
  逐项调试：先说哪根闸杆会动；每个输入请您让它动作、再复位，同时显示触点；继电器先断开，问过您才给
  一个脉冲，再问闸杆抬起没有；摄像机显示画面大小、每秒张数和读到的车牌。

Answers / 回答:  y yes 是   n no 否   s skip 跳过   r repeat 重来   q end 结束
  Ctrl-C ends it at any time; every relay is released. Answers may come from a pipe, but
  a yes that was written before its question moves nothing.

First / 之前:  sudo systemctl stop menshen     the gate must not run / 先停门禁
  sudo -u menshen menshen doctor --record /tmp/gate.html
After / 之后:  sudo systemctl start menshen

The record is a page to print and sign, and the same as JSON beside it.
记录是可打印签字的网页，旁边有同样内容的 JSON。
Exit status: 0 everything was tried and is good, 1 something is wrong or was left out,
2 wrong usage or configuration.")]
pub(crate) struct DoctorArgs {
    /// The configuration / 配置文件
    #[arg(long, value_name = "FILE", default_value = "/etc/menshen/menshen.toml")]
    config: PathBuf,
    /// zh or en; what the file says if left out / 语言
    #[arg(long, value_name = "LANGUAGE", value_parser = check::language)]
    language: Option<Language>,
    /// The commissioning record, a page (.html); its JSON comes beside it. If left out:
    /// commissioning-SITE-TIME.html here / 调试记录
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Leave the cameras out / 不试摄像机
    #[arg(long)]
    skip_camera: bool,
}

/// How often time alone is looked at.
const TICK: Duration = Duration::from_millis(100);

/// What comes to the session's thread.
enum News {
    Said(String),
    Stop,
    Observed { barrier: usize, what: Observation },
    Looked(session::Look),
}

/// Goes through a gate with a person; the exit status.
pub(crate) fn run(args: &DoctorArgs) -> u8 {
    let (house, problems) = match check::examine(&args.config) {
        Ok(examined) => examined,
        Err(problems) => return fail(WRONG_USAGE, problems),
    };
    let language = args.language.unwrap_or(house.site.language);
    let terminal = Terminal::new(language, std::io::stdout().is_terminal());
    print!("{}", problems.in_language(language));
    let matters = |key: &str| !(args.skip_camera && key.contains(".camera"));
    let mut errors = problems.list.iter();
    if errors.any(|p| p.severity == Severity::Error && matters(&p.key)) {
        print!("{}", check::verdict(&problems, language));
        return WRONG_USAGE;
    }
    let _alone = match alone(&house) {
        Ok(alone) => alone,
        Err(words) => return fail(FOUND_WRONG, words),
    };
    let record = Record::begin(&house, &args.config, args.record.as_deref());
    let mut record = match record {
        Ok(record) => record,
        Err(words) => return fail(WRONG_USAGE, words),
    };
    let plan = Plan::of(&house, !args.skip_camera);
    let session = Session::new(plan, Uuid::now_v7().to_string());
    let (inbox, news) = channel();
    let bench = match Bench::start(&house, &inbox) {
        Ok(bench) => bench,
        Err(why) => return fail(FOUND_WRONG, why),
    };
    if let Err(why) = listen(&inbox) {
        return fail(FOUND_WRONG, why);
    }
    converse(session, bench, &news, &terminal, &mut record)
}

/// Makes sure that no gate has these lines, and keeps one from starting.
fn alone(house: &House) -> Result<Option<KeepOut>, Words> {
    let running = || {
        Words::new(
            "menshen run 正在运行，继电器和输入在它手里。先运行 sudo systemctl stop menshen，再调试",
            "menshen run is running and has the relays and inputs; run `sudo systemctl stop menshen` \
             first, then this again",
        )
    };
    let refused = |why: &dyn std::fmt::Display| {
        Words::new(
            format!(
                "不知道门禁是否在运行（{why}）。用门禁自己的用户运行：sudo -u menshen menshen doctor"
            ),
            format!(
                "whether the gate runs cannot be found out: {why}; run it as the gate's own user: \
                 sudo -u menshen menshen doctor"
            ),
        )
    };
    let path = socket::path_for(&house.store.folder);
    match socket::ask(&path, &Request::Status) {
        Ok(None) => {}
        Ok(Some(_)) => return Err(running()),
        Err(why) => return Err(refused(&why)),
    }
    match KeepOut::of(&house.store.folder) {
        Ok(kept) => Ok(kept),
        Err(StoreError::InUse { .. }) => Err(running()),
        Err(why) => Err(refused(&why)),
    }
}

/// Lets lines that are typed, and signals, come to the session.
fn listen(inbox: &Sender<News>) -> std::io::Result<()> {
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let typed = inbox.clone();
    thread("answers").spawn(move || {
        terminal::lines(std::io::stdin().lock(), |line| {
            typed.send(News::Said(line)).is_ok()
        });
        let _ = typed.send(News::Stop);
    })?;
    let told = inbox.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread("signals").spawn(move || {
        use tokio::signal::unix::{SignalKind, signal};
        runtime.block_on(async {
            let signals = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
                signal(SignalKind::hangup()),
            );
            if let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
            }
        });
        let _ = told.send(News::Stop);
    })?;
    Ok(())
}

/// The barriers and the camera, as the session's actions reach them.
struct Bench<'a> {
    house: &'a House,
    inbox: Sender<News>,
    barriers: Vec<Commissioning>,
    watch: Option<Watch>,
}

impl<'a> Bench<'a> {
    fn start(house: &'a House, inbox: &Sender<News>) -> Result<Self, String> {
        let exe = std::env::current_exe().map_err(|e| format!("this program's own path: {e}"))?;
        let mut barriers = Vec::new();
        for (at, barrier) in house.barriers.iter().enumerate() {
            let config = BarrierConfig {
                name: barrier.name.to_string(),
                profile: barrier.profile,
                wiring: barrier.wiring.clone(),
                guard: GuardProgram {
                    exe: exe.clone(),
                    args: vec![OsString::from("relay-guard")],
                },
            };
            let (sender, observations) = channel();
            let commissioning = Commissioning::start(config, sender).map_err(|e| e.to_string())?;
            let inbox = inbox.clone();
            std::thread::Builder::new()
                .name(format!("seen-{}", barrier.name))
                .spawn(move || {
                    for what in observations {
                        let news = News::Observed { barrier: at, what };
                        if inbox.send(news).is_err() {
                            return;
                        }
                    }
                })
                .map_err(|e| e.to_string())?;
            barriers.push(commissioning);
        }
        Ok(Self {
            house,
            inbox: inbox.clone(),
            barriers,
            watch: None,
        })
    }

    /// Orders one pulse; what the session hears instead where there is none to be had.
    fn energise(&self, barrier: usize, output: Output, cause: String) -> Result<(), Words> {
        if output != Output::Open {
            return Err(Words::new(
                "这个道闸的接线没有这一路输出",
                "this barrier's wiring has no such output",
            ));
        }
        let as_it_is = |why: &dyn std::fmt::Display| Words::as_it_is(why.to_string());
        let cause = CauseId::new(cause).map_err(|e| as_it_is(&e))?;
        let ordered = self.barriers.get(barrier).map(|b| b.open(cause));
        ordered.unwrap_or(Ok(())).map_err(|e| as_it_is(&e))
    }

    fn release(&self, barrier: usize) {
        if let Some(barrier) = self.barriers.get(barrier) {
            // A thread that has ended has released; the session hears of no confirmation.
            let _ = barrier.release();
        }
    }

    fn look(&mut self, lane: usize) -> Result<(), Words> {
        let inbox = self.inbox.clone();
        let tell = move |look| inbox.send(News::Looked(look)).is_ok();
        self.watch = Some(Watch::start(self.house, lane, tell)?);
        Ok(())
    }

    /// Releases everything and ends the barriers' threads; whether every release was confirmed.
    fn end(self, news: &Receiver<News>) -> bool {
        drop(self.watch);
        while news.try_recv().is_ok() {}
        let mut released = vec![false; self.barriers.len()];
        for barrier in self.barriers {
            barrier.shutdown();
        }
        while let Ok(one) = news.recv_timeout(TICK) {
            if let News::Observed {
                barrier,
                what: Observation::Released { .. },
            } = one
                && let Some(released) = released.get_mut(barrier)
            {
                *released = true;
            }
        }
        released.into_iter().all(|released| released)
    }
}

/// Carries the conversation on until it is over; the exit status.
fn converse(
    mut session: Session,
    mut bench: Bench<'_>,
    news: &Receiver<News>,
    terminal: &Terminal,
    record: &mut Record,
) -> u8 {
    let mut input = Input::Begin;
    loop {
        for action in session.step(Monotonic::read(), input) {
            match action {
                Action::Say(words) => terminal.say(&words),
                Action::Ask(question, words) => terminal.ask(question, &words),
                Action::Release { barrier } => bench.release(barrier),
                Action::Energise {
                    barrier,
                    output,
                    cause,
                } => {
                    if let Err(words) = bench.energise(barrier, output, cause) {
                        terminal.say(&words);
                    }
                }
                Action::Look { lane } => {
                    if let Err(words) = bench.look(lane) {
                        terminal.say(&words);
                    }
                }
                Action::LookAway => bench.watch = None,
                Action::WriteDown => {
                    if let Err(words) = record.write(&session, None) {
                        terminal.say(&words);
                    }
                }
                // The loop ends below, and the bench with it.
                Action::ReleaseAll => {}
            }
        }
        if session.ending().is_some() {
            break;
        }
        terminal.live(session.live());
        input = match news.recv_timeout(TICK) {
            Ok(News::Said(line)) => Input::Said(line),
            Ok(News::Stop) | Err(RecvTimeoutError::Disconnected) => Input::Stop,
            Ok(News::Observed { barrier, what }) => Input::Observed { barrier, what },
            Ok(News::Looked(look)) => Input::Looked(look),
            Err(RecvTimeoutError::Timeout) => Input::Tick,
        };
    }
    let released = bench.end(news);
    terminal.say(&released_words(released));
    let written = record.write(&session, Some(released));
    terminal.say(&record.summary(&session));
    match written {
        Ok(()) if session.all_good() && released => DONE,
        Ok(()) => FOUND_WRONG,
        Err(words) => fail(FOUND_WRONG, words),
    }
}

fn released_words(released: bool) -> Words {
    if released {
        Words::new(
            "继电器已全部断开，已确认",
            "every relay is released, confirmed",
        )
    } else {
        Words::new(
            "没有确认全部继电器已断开。运行 menshen safe-off，看继电器的灯；灯还亮就断开它的电源",
            "not every release was confirmed: run `menshen safe-off` and look at the relays' lamps; cut \
             the supply of one that is still lit",
        )
    }
}
