//! Moving a boom safely.
//!
//! This is the only crate that touches hardware. It knows nothing of plates, registers or
//! networks: it is asked to open, for a cause that is an opaque id, and tells what became of
//! it. The profile `pulse` gives one volt-free OPEN pulse into the barrier's own controller,
//! which moves, holds and closes the boom by its own rules. The experimental profile `managed`
//! drives the motor's open, close and stop relays itself; so far it is a state machine and its
//! relay guard's judgement, which no thread drives yet. Menshen is no safety device; what
//! protects against closing on somebody must work without it.
//!
//! ```text
//!            daemon                                  │ child process, a pipe between
//!                                                    │
//! Opener ──► driver ──► barrier ──► pulse, release ──┼─► relay_guard ──► relay ──► line
//!               ▲  ◄─── events       beat            │    pulse_timer      │
//!               │                                    │        ▲            │
//!             line ◄──── contacts, edges, beat ──────┼────────┴────────────┘ contacts
//! ```
//!
//! | module | what it is | pure |
//! |---|---|---|
//! | [`barrier`] | the state machines: inputs and time in, actions out | yes |
//! | [`line`](mod@line) | raw contacts to trusted levels | yes |
//! | [`pulse_timer`] | the relay guard's judgement of pulses | yes |
//! | [`motor_timer`] | the relay guard's judgement of motor relays | yes |
//! | [`protocol`] | what the daemon and its relay guard say to each other | yes |
//! | [`wiring`] | the configuration of relays and inputs | yes |
//! | [`relay`] | the ports: simulated, pins, GPIO chip, serial and Modbus boards, a camera | no |
//! | [`relay_guard`] | the process that holds the port | no |
//! | [`driver`] | the daemon's thread for each barrier | no |
//! | [`safe_off`] | releases everything from outside | no |
//!
//! # Invariants
//!
//! In the [`barrier`], checked on random traces:
//! - Every opening has exactly one cause id, and no cause is pulsed twice (within the last
//!   [`cause::REMEMBERED_CAUSES`]). Every request is answered exactly once: started or
//!   refused.
//! - At most three openings wait. None that waited for a lost relay guard longer than the
//!   freshness, or was asked for longer ago than that, is carried out. Nothing survives a
//!   restart.
//! - STOP orders the release in the step that reports it, and nothing is pulsed while it is
//!   pressed, or wired but not yet known. Its end alone moves nothing.
//! - Fire pulses in the step that reports it (or when the pulse in progress and the dead time
//!   are over), and again every `fire_repeat`. No input closes.
//! - Two pulses never overlap, and the dead time lies between them.
//! - A pulse whose release is not confirmed within its bound and margin is a latched fault
//!   that stops all openings but fire's. Only the guard's button, held 5 s, or a restart
//!   clears it.
//! - A level found at the start, or after the relay guard was lost, is no press of a button.
//!
//! In the [managed](barrier::managed) profile, on random traces too:
//! - At most one of open, close and stop is ordered energised at any moment, and the dead time
//!   lies between two directions. The motor's run is bounded.
//! - No input closes. The boom comes down by the barrier's own judgement, only while every
//!   presence input is clear for the clearance time, healthy, read within the freshness, has
//!   reacted to a test in this cycle and was seen to change since the start.
//! - Presence, or not knowing, breaks the closing off in the step that reports it; the boom
//!   opens after the dead time.
//! - Fire opens from every state but STOP and never closes. STOP releases in its step, and only
//!   a fresh cause moves the boom afterwards.
//! - What is latched names its cure and is cleared by the guard's button, held 5 s.
//!
//! In the relay guard ([`pulse_timer`], [`relay_guard`]), whatever the daemon does:
//! - The line is opened inactive. A pulse lasts 200 to 1000 ms whatever was asked.
//! - The relay is released when the daemon's pipe closes, when no message has come for 500 ms,
//!   on SIGTERM, SIGINT and SIGHUP, and when nobody reads the guard's reports.
//! - A pulse is refused while one runs, and for a cause that was pulsed before.
//! - It never waits for the daemon while a relay is energised. Unreadable lines change
//!   nothing.
//!
//! In the [`driver`]:
//! - The thread that decides is the one that sends the beats: when it stalls, the relay falls.
//! - A guard that ends or hangs is killed, reaped and replaced; its successor's first write
//!   is a release.
//! - Only monotonic time decides. No lagging reader of events can hold the thread up.
//! - While a gate is commissioned ([`driver::Commissioning`]) the guard's button and the fire
//!   alarm are watched and open nothing; a pulse is the same one, through the same barrier and
//!   relay guard, one for each request.
//!
//! What a port cannot promise: a Modbus board that is cut off from its guard keeps its relay as
//! it is, unless it bounds the pulse itself (`flash`); a camera ends its own pulse, and nobody
//! can break that off.
//!
//! What no process can promise: SIGKILL of the guard alone leaves the line as it is until its
//! successor opens it (milliseconds), and SIGKILL of both until `safe-off` or the next start.

pub mod barrier;
pub mod cause;
pub mod driver;
pub mod line;
pub mod motor_timer;
#[cfg_attr(not(feature = "mutations"), doc(hidden))]
pub mod mutation;
pub mod protocol;
pub mod pulse_timer;
pub mod relay;
pub mod relay_guard;
mod safe_off;
mod time;
pub mod wiring;

pub use cause::CauseId;
pub use safe_off::safe_off;
pub use time::Monotonic;
