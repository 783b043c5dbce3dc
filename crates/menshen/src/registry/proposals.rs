//! `menshen registry proposals`: what the road says about the register, for a person to accept.
//!
//! [`access::registry::proposals`] says what is proposed; this tells it the journal, from its end
//! back to the first day that is looked at, and makes the changes that a person accepts.

use access::registry::RegistryView;
use access::registry::book::Book;
use access::registry::proposals::{Cause, History, Proposal, Proposals, Seen, Terms};
use clap::Args;
use domain::Event;

use super::{Act, Change, Desk, table};
use crate::journal::Reader;
use crate::outcome::{FOUND_WRONG, fail};
use crate::run::clock::WallClock;

/// `menshen registry proposals`.
#[derive(Debug, Args)]
#[command(after_help = "\
Two things in a register show only on the road: a row whose vehicle never comes, and a vehicle that
comes again and again with a number one character away from a row whose own vehicle never does.
Nothing is changed by itself: ask the owner, then accept by the name in the first column.
登记库的错误有两种要在路上才看得出：从不出现的车，和总差一个字符的车。程序只提建议，请先核实，再按第一列接受。

Examples / 例:
  menshen registry proposals                                          show them / 查看
  menshen registry proposals --accept 苏E12345-is-苏E12346 --why 'asked the owner'
  menshen registry proposals --days 30 --sightings 20 --json

Exit status: 0 done, 1 the register cannot be asked, or a name is not proposed (nothing is changed).")]
pub(crate) struct ProposalsArgs {
    /// Accept one, by its name in the first column; several if repeated / 接受建议
    #[arg(long, value_name = "NAME")]
    accept: Vec<String>,
    /// Days back that are looked at, today not counted / 回看天数
    #[arg(long, value_name = "N", default_value_t = Terms::default().days, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// How often a number one character away must have been seen in these days / 出现次数
    #[arg(long, value_name = "N", default_value_t = Terms::default().sightings, value_parser = clap::value_parser!(u32).range(1..))]
    sightings: u32,
    /// Print JSON for machines, a proposal a line
    #[arg(long, conflicts_with = "accept")]
    json: bool,
    #[command(flatten)]
    act: Act,
}

impl ProposalsArgs {
    pub(super) fn run(&self) -> Result<(), u8> {
        let mut desk = self.act.place.desk()?;
        let everything = desk.perform(Change::Everything, self.act.place.by())?;
        let book = Book::of(everything.records);
        let view = RegistryView::with_book(everything.version, everything.vehicles, book);
        let proposals = self.look(&mut desk, &view)?;
        if !self.accept.is_empty() {
            return self.accept(&mut desk, &view, &proposals);
        }
        if self.json {
            return proposals.list.iter().try_for_each(table::json);
        }
        let rows: Vec<Vec<String>> = proposals.list.iter().map(row).collect();
        if rows.is_empty() {
            println!("nothing is proposed / 没有建议");
        } else {
            let heads = [
                "建议 / proposal",
                "车主 / owner",
                "次数 / seen",
                "最近 / last",
                "说明 / why",
            ];
            table::print(&heads, &rows);
        }
        for note in &proposals.notes {
            println!("{note}");
        }
        Ok(())
    }

    /// Tells the journal of the days that are looked at, the latest entry first.
    fn look(&self, desk: &mut Desk, view: &RegistryView) -> Result<Proposals, u8> {
        let clock = WallClock::of(&self.act.place.house()?);
        let terms = Terms {
            days: self.days,
            sightings: self.sightings,
        };
        let mut history = History::new(view, clock.day(), terms);
        let by = self.act.place.by();
        let told = |text: &str| {
            text.contains(r#""type":"passage""#) || text.contains(r#""type":"registry""#)
        };
        Reader { desk, by }.backwards(told, |piece, oldest| {
            for stored in piece.into_iter().rev() {
                let entry = stored.entry;
                let day = entry.clock_trusted.then(|| clock.day_of(entry.time));
                match entry.event {
                    Event::Passage(record) => {
                        if let Some(plate) = &record.plate {
                            history.passage(plate, day);
                        }
                    }
                    Event::Registry {
                        change, version, ..
                    } => history.change(&change, version, day),
                    _ => {}
                }
            }
            let day = oldest.clock_trusted.then(|| clock.day_of(oldest.time));
            if let Some(day) = day {
                history.entry(day);
            }
            day.is_some_and(|day| day < history.first())
        })?;
        Ok(history.propose())
    }

    /// Makes the changes of everything that was named, if all of it is proposed.
    fn accept(
        &self,
        desk: &mut Desk,
        view: &RegistryView,
        proposals: &Proposals,
    ) -> Result<(), u8> {
        let mut accepted = Vec::new();
        for id in &self.accept {
            let one = proposals.list.iter().find(|one| one.id == *id);
            accepted.push(one.ok_or_else(|| {
                fail(
                    FOUND_WRONG,
                    format_args!(
                        "{id} is not proposed (any more); nothing was changed: look at menshen registry proposals again / 没有这条建议，未作修改"
                    ),
                )
            })?);
        }
        // One after the other, each in the register that the one before it left.
        let mut view = view.clone();
        let by = self.act.place.by();
        for one in accepted {
            let edits = one.edits(&view);
            let why = match self.act.why() {
                "" => one.words().english,
                why => format!("{why} ({})", one.words().english),
            };
            desk.perform(Change::Edit { edits, why }, by)?;
            println!("{}: accepted / 已接受", one.id);
            let now = desk.perform(Change::Everything, by)?;
            view = RegistryView::with_book(now.version, now.vehicles, Book::of(now.records));
        }
        Ok(())
    }
}

fn row(one: &Proposal) -> Vec<String> {
    let (times, last) = match &one.cause {
        Cause::Unseen { .. } => ("0".to_owned(), "-".to_owned()),
        Cause::OneAway {
            sightings: Seen { times, last },
            ..
        } => (times.to_string(), last.to_string()),
    };
    vec![
        one.id.clone(),
        one.vehicle.owner.clone(),
        times,
        last,
        one.words().to_string(),
    ]
}
