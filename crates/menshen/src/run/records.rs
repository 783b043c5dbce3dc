//! The ledger's thread, and the register that lanes read.
//!
//! Lanes hand events over without waiting. The thread appends what has gathered, syncs once,
//! and only then tells the bridge. If the disk fails, events wait here in memory and are tried
//! again; a lane never notices.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use access::journal::Stamp;
use access::ledger::{Arrival, Changed, Ledger, LedgerError, Limits, TransferError};
use access::occupancy::Shared;
use access::pictures::Pictures;
use access::policy::Clock;
use access::registry::RegistryView;
use access::registry::import::{Column, Imported};
use bridge::{BridgeHandle, Declined, Outbox, OutboxError, PageTaken, State, SyncStep};
use domain::command::{DeviceName, Refusal};
use domain::event::RegistryChange;
use domain::signing::PublicKey;
use domain::sync::{Manifest, Page, Report};
use domain::verdict::Inside;
use domain::{Event, Name, Outcome, PassageId, PassageRecord};
use jiff::civil::Date;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::clock::{self, WallClock};
use super::metrics::Metrics;
use crate::config::House;
use crate::pass::ask;
use crate::registry::{Change, Incoming, Outcome as Answer};

/// How often the ledger is kept in order.
const MAINTAIN_EVERY: Duration = Duration::from_mins(1);
/// How long the thread waits before it tries a failed disk again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Events that wait in memory for a failed disk; later ones are lost, and counted.
const BACKLOG: usize = 20_000;
/// Journal entries that are given to a verb at once; the ledger stands still meanwhile.
const ENTRIES_AT_ONCE: usize = 500;
/// Entries at the journal's end among which open passages are looked for at the start.
const LOOK_BACK: usize = 2000;

/// A stamp for an event that happens now.
fn stamp(clock: &WallClock) -> Stamp {
    Stamp {
        id: Uuid::now_v7(),
        time: clock::now().wall,
        clock_trusted: clock.trusted(),
    }
}

enum Message {
    Event(Box<(Stamp, Event)>),
    Flush(Sender<bool>),
}

/// The end that lanes, barriers and cameras hold.
#[derive(Clone)]
pub(crate) struct Records {
    sender: Sender<Message>,
    view: Arc<RwLock<Option<RegistryView>>>,
    clock: WallClock,
    inside: Shared,
    not_before: Option<Date>,
    keys: PassKeys,
    metrics: Metrics,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

impl Records {
    /// Hands an event over; its time is now.
    pub(crate) fn record(&self, event: Event) {
        self.metrics.count(&event);
        let stamped = Box::new((stamp(&self.clock), event));
        if self.sender.send(Message::Event(stamped)).is_err() {
            error!("an event was lost: the ledger's thread has ended");
        }
    }

    /// The register as it stands; none if it could not be read.
    pub(crate) fn registry(&self) -> Option<RegistryView> {
        self.view
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Who is inside, and whose place is held.
    pub(crate) fn inside(&self) -> &Shared {
        &self.inside
    }

    /// What happened, counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The keys whose passes count here.
    pub(crate) fn pass_keys(&self) -> Arc<[PublicKey]> {
        self.keys.get()
    }

    /// What is known of the time, for the rules.
    pub(crate) fn time(&self) -> Clock {
        self.clock.known(self.not_before)
    }

    /// Waits until everything handed over so far is durable; whether it is.
    pub(crate) fn flush(&self, within: Duration) -> bool {
        let (done, wait) = channel();
        let durable = self.sender.send(Message::Flush(done)).is_ok()
            && wait.recv_timeout(within).unwrap_or(false);
        if !durable {
            warn!("the last events may not be durable: the disk did not take them in time");
        }
        durable
    }
}

/// The public half of the key that signs this gate's passes, which lanes look at without waiting
/// for a disk.
#[derive(Clone)]
struct PassKeys(Arc<RwLock<Arc<[PublicKey]>>>);

impl PassKeys {
    /// Reads the key; there is none before the first pass is printed.
    fn read(store: &Path) -> Self {
        let keys = Self(Arc::new(RwLock::new(Arc::new([]))));
        keys.read_again(store);
        keys
    }

    fn read_again(&self, store: &Path) {
        match ask::public_keys(store) {
            Ok(keys) => {
                *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
            }
            Err(e) => warn!("the key of the passes could not be read, no pass counts: {e}"),
        }
    }

    fn get(&self) -> Arc<[PublicKey]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The ledger, shared by its thread, the bridge and the socket.
#[derive(Clone)]
pub(crate) struct Books {
    ledger: Arc<Mutex<Ledger>>,
    view: Arc<RwLock<Option<RegistryView>>>,
    clock: WallClock,
    /// The day of the last time that the journal trusted before this start.
    not_before: Option<Date>,
    /// The store's folder, with the key of the passes.
    folder: PathBuf,
    device: DeviceName,
    keys: PassKeys,
    /// Conflicts of the last synchronisation that nobody was told of yet.
    contested: Arc<AtomicU64>,
}

impl Books {
    /// Opens the ledger of a configuration's store and closes passages that a crash left open.
    ///
    /// # Errors
    /// If another process has it or the disk refuses.
    pub(crate) fn open(
        folder: &Path,
        clock: WallClock,
        house: &House,
    ) -> Result<Self, LedgerError> {
        let opened = Ledger::open(folder, &mut || stamp(&clock))?;
        for report in &opened.reports {
            warn!("{report}");
        }
        let mut ledger = opened.ledger;
        close_interrupted(&mut ledger, &clock, house)?;
        let view = Arc::new(RwLock::new(ledger.registry().cloned()));
        let known = ledger.last_trusted_time(LOOK_BACK)?;
        let not_before = known.map(|time| clock.day_of(time));
        Ok(Self {
            ledger: Arc::new(Mutex::new(ledger)),
            view,
            clock,
            not_before,
            folder: folder.to_owned(),
            keys: PassKeys::read(folder),
            device: DeviceName {
                site: house.site.name.clone(),
                device: house.site.device.clone(),
            },
            contested: Arc::new(AtomicU64::new(0)),
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last durable sequence number.
    pub(crate) fn synced(&self) -> u64 {
        self.ledger().journal().synced()
    }

    /// The register as it stands; none if it could not be read.
    pub(crate) fn registry(&self) -> Option<RegistryView> {
        self.view
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Entries that nobody has acknowledged.
    pub(crate) fn depth(&self) -> u64 {
        self.ledger().journal().depth()
    }

    /// Bytes that the store takes on its disk.
    pub(crate) fn size(&self) -> u64 {
        self.ledger().store_size().unwrap_or(0)
    }

    /// Starts the thread. It ends when every [`Records`] is gone.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(
        &self,
        limits: Limits,
        pictures: Arc<Mutex<Pictures>>,
        bridge: Option<BridgeHandle>,
    ) -> std::io::Result<(Records, JoinHandle<()>)> {
        let (sender, messages) = channel();
        let mut clerk = Clerk {
            books: self.clone(),
            limits,
            pictures,
            bridge,
            backlog: Vec::new(),
            lost: 0,
            durable: true,
            maintained: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || clerk.work(&messages))?;
        let view = Arc::clone(&self.view);
        Ok((
            Records {
                sender,
                view,
                clock: self.clock.clone(),
                inside: self.ledger().inside().clone(),
                not_before: self.not_before,
                keys: self.keys.clone(),
                metrics: Metrics::default(),
            },
            thread,
        ))
    }

    /// Reads or changes the register; a change is durable when this returns, and lanes see it.
    ///
    /// # Errors
    /// In words for the person who asked.
    pub(crate) fn change(
        &self,
        change: Change,
        by: &str,
        bridge: Option<&BridgeHandle>,
    ) -> Result<Answer, String> {
        let mut ledger = self.ledger();
        // Whoever prints the first pass makes the key.
        let passes = matches!(change, Change::Pass { .. });
        let (answer, changed) =
            change_register(&mut ledger, change, by, &self.clock, &self.folder)?;
        if passes {
            self.keys.read_again(&self.folder);
        }
        if let Some(changed) = changed {
            self.tell(&ledger, changed, by, bridge);
        }
        Ok(answer)
    }

    /// Lets lanes and bridge know of a change that is durable.
    fn tell(&self, ledger: &Ledger, changed: Changed, by: &str, bridge: Option<&BridgeHandle>) {
        info!(by, change = ?changed.change, "the register was changed");
        if let Some(why) = changed.export_failed {
            warn!("{why}");
        }
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Some(changed.view);
        if let Some(bridge) = bridge {
            bridge.outbox_grew(ledger.journal().synced());
            self.publish_report(ledger, bridge);
        }
    }

    /// Lets the bridge say how the register stands.
    pub(crate) fn report(&self, bridge: &BridgeHandle) {
        self.publish_report(&self.ledger(), bridge);
    }

    fn publish_report(&self, ledger: &Ledger, bridge: &BridgeHandle) {
        let standing = match ledger.standing() {
            Ok(standing) => standing,
            Err(e) => {
                warn!(error = %e, "the register's digest is not told");
                return;
            }
        };
        let report = Report {
            device: self.device.clone(),
            version: standing.version,
            vehicles: standing.vehicles,
            register: standing.register,
            server: standing.server,
            differing: standing.differing,
            contested: standing.contested,
        };
        match serde_json::to_value(&report) {
            Ok(value) => bridge.set_state(State::Register, &value),
            Err(e) => warn!(error = %e, "the register's digest is not told"),
        }
    }

    /// Takes a manifest of the server's register that `by` has signed.
    ///
    /// # Errors
    /// Why it is not taken, for whoever sent it.
    pub(crate) fn begin_sync(
        &self,
        manifest: &Manifest,
        by: &Name,
        shrink: u8,
        bridge: &BridgeHandle,
    ) -> Result<SyncStep, Declined> {
        let mut ledger = self.ledger();
        match ledger
            .begin_transfer(manifest, by)
            .map_err(|error| declined(&error))?
        {
            Arrival::InForce => Ok(SyncStep::Done(format!(
                "version {} of the register is in force already / 已是该版本",
                manifest.version
            ))),
            Arrival::Whole => match self.take_over(&mut ledger, shrink, bridge) {
                Ok(said) => Ok(SyncStep::Done(said)),
                Err(LedgerError::Transfer(TransferError::Incomplete)) => Ok(missing(&ledger)),
                Err(error) => Err(declined(&error)),
            },
            Arrival::Going => Ok(missing(&ledger)),
        }
    }

    /// Takes a page of it.
    ///
    /// # Errors
    /// Why it does not belong to the open transfer.
    pub(crate) fn take_page(
        &self,
        page: &Page,
        shrink: u8,
        bridge: &BridgeHandle,
    ) -> Result<PageTaken, Refusal> {
        let mut ledger = self.ledger();
        let was_whole = ledger
            .transfer()
            .is_some_and(domain::sync::Transfer::is_whole);
        let arrival = ledger.take_page(page).map_err(|e| e.refusal())?;
        // One that waits for a person is not tried again with every page that comes twice.
        if arrival == Arrival::Whole && !was_whole {
            return Ok(match self.take_over(&mut ledger, shrink, bridge) {
                // Whoever sends hears nothing, and asks what is missing.
                Err(LedgerError::Transfer(TransferError::Incomplete)) => PageTaken::Going,
                ended => PageTaken::Ended(ended.map_err(|error| declined(&error))),
            });
        }
        Ok(PageTaken::Going)
    }

    fn take_over(
        &self,
        ledger: &mut Ledger,
        shrink: u8,
        bridge: &BridgeHandle,
    ) -> Result<String, LedgerError> {
        let by = ledger.transfer().map(|open| format!("key {}", open.by));
        let changed = ledger.take_over(shrink, None, stamp(&self.clock))?;
        let mut said = format!("register version {}", changed.view.version());
        if let RegistryChange::Synced {
            server,
            vehicles,
            before,
            rows,
            contested,
            ..
        } = &changed.change
        {
            said = format!(
                "version {} of the register is in force: {vehicles} vehicles (before: {before}), {} new, {} changed, {} gone, {contested} conflicts, digest {} / 已生效",
                server.version, rows.added, rows.changed, rows.removed, server.digest
            );
            self.contested.store(*contested, Ordering::SeqCst);
        }
        self.tell(ledger, changed, &by.unwrap_or_default(), Some(bridge));
        Ok(said)
    }

    /// Conflicts that the last synchronisation left and this was not asked for yet.
    pub(crate) fn newly_contested(&self) -> u64 {
        self.contested.swap(0, Ordering::SeqCst)
    }
}

/// What is still to come of the open transfer.
fn missing(ledger: &Ledger) -> SyncStep {
    let open = ledger.transfer();
    SyncStep::Taking(open.map_or_else(Vec::new, domain::sync::Transfer::missing))
}

/// A failure as it is answered over the network.
fn declined(error: &LedgerError) -> Declined {
    Declined {
        reason: error.refusal(),
        message: error.to_string(),
    }
}

impl Outbox for Books {
    fn pending(&self, from: u64, limit: usize) -> Result<Vec<(u64, Arc<[u8]>)>, OutboxError> {
        let entries = self
            .ledger()
            .pending(from, limit)
            .map_err(OutboxError::new)?;
        Ok(entries
            .into_iter()
            .map(|(seq, bytes)| (seq, bytes.into()))
            .collect())
    }

    fn acknowledged(&self) -> u64 {
        self.ledger().journal().acknowledged()
    }

    fn acknowledge(&self, upto: u64) -> Result<(), OutboxError> {
        self.ledger().acknowledge(upto).map_err(OutboxError::new)
    }
}

struct Clerk {
    books: Books,
    limits: Limits,
    pictures: Arc<Mutex<Pictures>>,
    bridge: Option<BridgeHandle>,
    /// Events that the disk has not taken yet, in order.
    backlog: Vec<(Stamp, Event)>,
    lost: u64,
    /// Whether the last sync worked.
    durable: bool,
    maintained: Instant,
}

impl Clerk {
    fn work(&mut self, messages: &Receiver<Message>) {
        loop {
            let wait = if self.backlog.is_empty() {
                MAINTAIN_EVERY
            } else {
                RETRY_AFTER
            };
            let mut flushes = Vec::new();
            let ended = match messages.recv_timeout(wait) {
                Ok(message) => {
                    for message in std::iter::once(message).chain(messages.try_iter()) {
                        match message {
                            Message::Event(event) => self.take(*event),
                            Message::Flush(done) => flushes.push(done),
                        }
                    }
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            let durable = self.write();
            for done in flushes {
                // Whoever asked may have given up waiting.
                let _ = done.send(durable);
            }
            if ended {
                return;
            }
            if self.maintained.elapsed() >= MAINTAIN_EVERY {
                self.maintain();
            }
        }
    }

    fn take(&mut self, event: (Stamp, Event)) {
        if self.backlog.len() < BACKLOG {
            self.backlog.push(event);
        } else {
            self.lost += 1;
        }
    }

    /// Writes down what has gathered; whether all of it is durable.
    fn write(&mut self) -> bool {
        if self.backlog.is_empty() {
            return self.durable;
        }
        if self.lost > 0 && self.backlog.len() < BACKLOG {
            let message = format!(
                "{} events were lost: the disk took none for too long",
                self.lost
            );
            let alarm = Event::Alarm {
                code: "events-lost".to_owned(),
                message,
            };
            self.backlog.push((stamp(&self.books.clock), alarm));
            self.lost = 0;
        }
        let mut ledger = self.books.ledger();
        if let Err(e) = ledger.append_batch(self.backlog.clone()) {
            error!(error = %e, waiting = self.backlog.len(), "events could not be written yet");
            return false;
        }
        self.backlog.clear();
        match ledger.sync() {
            Ok(upto) => {
                drop(ledger);
                if let Some(bridge) = &self.bridge {
                    bridge.outbox_grew(upto);
                }
                self.durable = true;
            }
            Err(e) => {
                error!(error = %e, "events are written, but not durable; check the disk");
                self.durable = false;
            }
        }
        self.durable
    }

    fn maintain(&mut self) {
        self.maintained = Instant::now();
        let mut pictures = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(e) = pictures.expire(self.books.clock.today()) {
            warn!(error = %e, "an old picture could not be removed");
        }
        let clock = self.books.clock.clone();
        let mut ledger = self.books.ledger();
        match ledger.maintain(self.limits, Some(&mut pictures), &mut || stamp(&clock)) {
            Ok(removed) if removed.undelivered > 0 => {
                warn!(
                    events = removed.undelivered,
                    "undelivered events were dropped: the disk budget is used up"
                );
            }
            Ok(_) => {}
            Err(e) => error!(error = %e, "the ledger could not be kept in order"),
        }
    }
}

/// Writes a record for every passage that has a verdict and no end: the program was killed in
/// the middle of it.
fn close_interrupted(
    ledger: &mut Ledger,
    clock: &WallClock,
    house: &House,
) -> Result<(), LedgerError> {
    let from = ledger.journal().synced().saturating_sub(LOOK_BACK as u64) + 1;
    let mut open: HashMap<PassageId, PassageRecord> = HashMap::new();
    for (_, bytes) in ledger.journal().entries(from, LOOK_BACK)? {
        let Ok(entry) = serde_json::from_slice::<domain::Entry>(&bytes) else {
            continue;
        };
        match entry.event {
            Event::Verdict {
                passage,
                lane,
                verdict,
                shadow,
            } => {
                let known = house.lanes.iter().find(|l| l.settings.lane == lane);
                let began = open.get(&passage).map_or(entry.time, |record| record.began);
                open.insert(
                    passage,
                    PassageRecord {
                        passage,
                        direction: known.map(|l| l.settings.direction).unwrap_or_default(),
                        lane,
                        began,
                        ended: entry.time,
                        decision: Some(verdict.decision),
                        reason: Some(verdict.reason),
                        kind: verdict.evidence.kind,
                        readings: verdict.evidence.readings,
                        pass: verdict.evidence.pass,
                        plate: verdict.plate,
                        outcome: Outcome::Interrupted,
                        shadow,
                        pictures: Vec::new(),
                    },
                );
            }
            Event::Passage(record) => {
                open.remove(&record.passage);
            }
            _ => {}
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    let mut records: Vec<PassageRecord> = open.into_values().collect();
    records.sort_by_key(|record| record.passage);
    info!(
        passages = records.len(),
        "passages that were interrupted are closed"
    );
    let events = records
        .into_iter()
        .map(|record| (stamp(clock), Event::Passage(Box::new(record))))
        .collect();
    ledger.append_batch(events)?;
    ledger.sync()?;
    Ok(())
}

fn change_register(
    ledger: &mut Ledger,
    change: Change,
    by: &str,
    clock: &WallClock,
    folder: &Path,
) -> Result<(Answer, Option<Changed>), String> {
    let before = ledger.registry().map_or(0, |view| view.len() as u64);
    let mut answer = Answer::default();
    let changed = match change {
        Change::Pass { ask } => {
            let last = if clock.trusted() {
                None
            } else {
                let last = ledger.last_trusted_time(LOOK_BACK);
                last.map_err(|e| e.to_string())?
            };
            let time = clock.known(last.map(|time| clock.day_of(time)));
            let here = (folder, stamp(clock), time);
            let (told, changed) = ask::answer(ledger, ask, by, here)?;
            answer.pass = Some(Box::new(told));
            Ok(changed)
        }
        Change::List
        | Change::Everything
        | Change::Inside
        | Change::Verify
        | Change::Digest
        | Change::Conflicts
        | Change::Incoming => look_up(ledger, &change, &mut answer).map(|()| None),
        Change::Settle { keys, keep, why } => {
            ledger.settle(&keys, keep, by, &why, stamp(clock)).map(Some)
        }
        Change::Journal { from, limit } => {
            let entries = ledger
                .journal()
                .entries(from, (limit as usize).min(ENTRIES_AT_ONCE))
                .map_err(|e| e.to_string())?;
            // The journal writes text; what is none is damaged, and left out as such.
            let texts = entries
                .into_iter()
                .map(|(_, bytes)| String::from_utf8(bytes));
            answer.entries = texts.filter_map(Result::ok).collect();
            answer.last = ledger.journal().end().seq;
            Ok(None)
        }
        Change::Accept => ledger.take_over(100, Some(by), stamp(clock)).map(Some),
        Change::Discard => ledger.discard_transfer().map(|()| None),
        Change::Edit { edits, why } => ledger.transact(&edits, by, &why, stamp(clock)).map(Some),
        Change::MarkOutside { plate, why } => ledger
            .mark_outside(&plate, by, &why, stamp(clock))
            .map(|()| None),
        Change::Add { vehicle } => ledger.add(*vehicle, by, stamp(clock)).map(Some),
        Change::Remove { plate } => ledger.remove(&plate, by, stamp(clock)).map(Some),
        Change::Import { vehicles } => {
            let imported = Imported {
                vehicles,
                skipped: Vec::new(),
                warnings: Vec::new(),
                columns: Column::ALL.to_vec(),
                notes: Vec::new(),
                encoding: "UTF-8",
            };
            ledger.import(imported, by, stamp(clock)).map(Some)
        }
    }
    .map_err(|e| e.to_string())?;
    let Some(view) = ledger.registry() else {
        return Err(LedgerError::NoRegister.to_string());
    };
    answer.version = view.version();
    answer.count = view.len() as u64;
    answer.before = before;
    Ok((answer, changed))
}

/// Answers what changes nothing.
fn look_up(ledger: &Ledger, what: &Change, answer: &mut Answer) -> Result<(), LedgerError> {
    let view = ledger.registry().ok_or(LedgerError::NoRegister)?;
    match what {
        Change::List => answer.vehicles = view.vehicles().to_vec(),
        Change::Everything => {
            answer.vehicles = view.vehicles().to_vec();
            answer.records = view.book().records().cloned().collect();
        }
        Change::Inside => {
            let stays = ledger.inside().stays();
            let inside = stays.iter().map(|(plate, stay)| Inside {
                plate: plate.clone(),
                since: stay.since,
            });
            answer.inside = inside.collect();
        }
        Change::Verify => answer.wrong = ledger.verify_registry()?,
        Change::Digest => answer.standing = Some(ledger.standing()?),
        Change::Conflicts => answer.departures = ledger.departures()?.values().cloned().collect(),
        Change::Incoming => {
            answer.incoming = ledger.transfer().map(|open| Incoming {
                manifest: open.manifest.clone(),
                by: open.by.to_string(),
                missing: open.lacks(),
            });
        }
        _ => {}
    }
    Ok(())
}

/// A store that no gate holds, opened for a verb.
pub(crate) struct Store {
    ledger: Ledger,
    clock: WallClock,
    folder: PathBuf,
}

impl Store {
    /// Opens the store of a configuration.
    ///
    /// # Errors
    /// In words for the person who asked.
    pub(crate) fn open(house: &House) -> Result<Self, String> {
        let clock = WallClock::of(house);
        let folder = house.store.folder.clone();
        let opened = Ledger::open(&folder, &mut || stamp(&clock))
            .map_err(|e| format!("{}: {e}", folder.display()))?;
        for report in &opened.reports {
            eprintln!("menshen: {report}");
        }
        Ok(Self {
            ledger: opened.ledger,
            clock,
            folder,
        })
    }

    /// Reads or changes the register.
    ///
    /// # Errors
    /// In words for the person who asked.
    pub(crate) fn change(&mut self, change: Change, by: &str) -> Result<Answer, String> {
        change_register(&mut self.ledger, change, by, &self.clock, &self.folder)
            .map(|(answer, _)| answer)
    }
}
