//! Figures for Prometheus: `GET /metrics`, in its text format 0.0.4.
//!
//! ```text
//! events ─► tally ──────────────┐
//! health report, every 30 s ────┴─► text ─► board ─► one connection at a time
//! ```
//!
//! The server only hands out a text that lies ready: whoever asks slowly, much or wrongly keeps nobody
//! waiting but the next who asks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bridge::health::HealthReport;
use domain::{Event, Name};
use serde_json::Value;
use tracing::{debug, info};

/// How long somebody may take to ask, and to listen.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest request that is read to its end.
const LONGEST: usize = 4096;

/// How often what happened, since the start.
#[derive(Debug, Default)]
struct Tally {
    verdicts: BTreeMap<(Name, &'static str), u64>,
    passages: BTreeMap<(Name, String), u64>,
    alarms: u64,
}

/// What lies ready for whoever asks.
#[derive(Debug, Default)]
struct Board {
    tally: Tally,
    health: String,
}

/// The figures, shared by those who write and the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics(Arc<Mutex<Board>>);

impl Metrics {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an event.
    pub(crate) fn count(&self, event: &Event) {
        let tally = &mut self.board().tally;
        match event {
            Event::Verdict { lane, verdict, .. } => {
                let key = (lane.clone(), verdict.reason.code());
                *tally.verdicts.entry(key).or_default() += 1;
            }
            Event::Passage(record) => {
                // The words of the journal.
                let outcome = serde_json::to_value(record.outcome).ok();
                let outcome = outcome.as_ref().and_then(Value::as_str).unwrap_or_default();
                let key = (record.lane.clone(), outcome.to_owned());
                *tally.passages.entry(key).or_default() += 1;
            }
            Event::Alarm { .. } => tally.alarms += 1,
            _ => {}
        }
    }

    /// Takes a health report over; `connected` says whether the broker is there, if there is to be one.
    pub(crate) fn set_health(&self, report: &HealthReport, connected: Option<bool>) {
        let text = health(report, connected);
        self.board().health = text;
    }

    fn text(&self) -> String {
        let board = self.board();
        let mut text = board.health.clone();
        counters(&mut text, &board.tally);
        text
    }

    /// Serves the figures from a thread of its own.
    ///
    /// # Errors
    /// If nothing can listen there, or there is no thread for it.
    pub(crate) fn serve(&self, at: SocketAddr) -> std::io::Result<()> {
        let listener = TcpListener::bind(at)?;
        let metrics = self.clone();
        std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    let answered = stream.and_then(|stream| answer(stream, &metrics));
                    if let Err(error) = answered {
                        debug!(%error, "somebody who asked for metrics was not answered");
                    }
                }
            })?;
        info!("metrics for Prometheus: http://{at}/metrics");
        Ok(())
    }
}

/// Answers one request and closes the connection.
fn answer(mut stream: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let until = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    // To the end of the head; a drop at a time is no way to stay longer.
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => break,
            n => request.extend_from_slice(&piece[..n]),
        }
    }
    let (status, body) = respond(&request, || metrics.text());
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// Status and body for a request.
fn respond(request: &[u8], text: impl FnOnce() -> String) -> (&'static str, String) {
    let line = request.split(|&byte| byte == b'\r').next();
    let mut words = line.unwrap_or_default().split(|&byte| byte == b' ');
    let (method, path) = (words.next(), words.next());
    let plain = path.map(|path| path.split(|&byte| byte == b'?').next().unwrap_or(path));
    match (method, plain) {
        (Some(b"GET"), Some(b"/metrics")) => ("200 OK", text()),
        (Some(b"GET"), Some(_)) => ("404 Not Found", "see /metrics\n".to_owned()),
        _ => ("400 Bad Request", "GET /metrics\n".to_owned()),
    }
}

/// One family: what it is, its type, and its samples with their labels.
fn family<'a>(
    out: &mut String,
    name: &str,
    (kind, help): (&str, &str),
    samples: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, f64)>,
) {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = write!(out, "{name}");
        for (at, (label, text)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = write!(out, "{open}{label}=\"{}\"", text.replace('\n', "\\n"));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(out, "{end} {value}");
    }
}

#[allow(clippy::cast_precision_loss)] // Prometheus knows no other number
fn health(report: &HealthReport, connected: Option<bool>) -> String {
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, value: f64| {
        family(&mut out, name, ("gauge", help), [(Vec::new(), value)]);
    };
    gauge(
        "menshen_uptime_seconds",
        "Time since the gate started.",
        report.uptime_s as f64,
    );
    gauge(
        "menshen_clock_trusted",
        "Whether the wall clock is believed.",
        f64::from(u8::from(report.clock_trusted)),
    );
    if let Some(connected) = connected {
        gauge(
            "menshen_broker_connected",
            "Whether the MQTT broker is there.",
            f64::from(u8::from(connected)),
        );
    }
    if let Some(celsius) = report.cpu_temperature_c {
        gauge(
            "menshen_cpu_temperature_celsius",
            "The processor's temperature.",
            f64::from(celsius),
        );
    }
    gauge(
        "menshen_memory_bytes",
        "Resident memory, children included.",
        report.memory_bytes as f64,
    );
    gauge(
        "menshen_store_bytes",
        "The store's size on disk.",
        report.store_bytes as f64,
    );
    gauge(
        "menshen_outbox_events",
        "Events that are not acknowledged yet.",
        report.outbox_depth as f64,
    );
    let dropped = (Vec::new(), report.pictures_dropped as f64);
    family(
        &mut out,
        "menshen_pictures_dropped_total",
        ("counter", "Pictures that were not sent."),
        [dropped],
    );
    let frames = report.frames_per_second.iter();
    family(
        &mut out,
        "menshen_frames_per_second",
        ("gauge", "Frames that a lane looked at."),
        frames.map(|(lane, &rate)| (vec![("lane", lane.as_str())], f64::from(rate))),
    );
    let stages: Vec<(String, [(&str, f64); 4])> = report
        .latency
        .iter()
        .filter_map(|(stage, took)| {
            let name = serde_json::to_value(stage).ok()?.as_str()?.to_owned();
            let parts = [
                ("0.5", took.p50),
                ("0.9", took.p90),
                ("0.99", took.p99),
                ("1", took.max),
            ];
            Some((name, parts))
        })
        .collect();
    let samples = stages.iter().flat_map(|(stage, parts)| {
        let labels = |part| vec![("stage", stage.as_str()), ("quantile", part)];
        parts.map(move |(part, ms)| (labels(part), ms / 1000.0))
    });
    family(
        &mut out,
        "menshen_stage_seconds",
        ("gauge", "How long a stage took within the last report."),
        samples,
    );
    out
}

#[allow(clippy::cast_precision_loss)] // Prometheus knows no other number
fn counters(out: &mut String, tally: &Tally) {
    let verdicts = tally.verdicts.iter().map(|((lane, reason), &n)| {
        let labels = vec![("lane", lane.as_str()), ("reason", *reason)];
        (labels, n as f64)
    });
    family(
        out,
        "menshen_verdicts_total",
        ("counter", "Verdicts by their reason (docs/reasons.md)."),
        verdicts,
    );
    let passages = tally.passages.iter().map(|((lane, outcome), &n)| {
        let labels = vec![("lane", lane.as_str()), ("outcome", outcome.as_str())];
        (labels, n as f64)
    });
    family(
        out,
        "menshen_passages_total",
        ("counter", "Passages by their outcome."),
        passages,
    );
    let alarms = (Vec::new(), tally.alarms as f64);
    family(
        out,
        "menshen_alarms_total",
        ("counter", "Alarms."),
        [alarms],
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bridge::health::{Latencies, Stage};
    use domain::verdict::Evidence;
    use domain::{PassageId, Reason, Verdict};
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn ask(at: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.write_all(request).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }

    fn served(metrics: &Metrics) -> SocketAddr {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = port.local_addr().unwrap();
        drop(port);
        metrics.serve(at).unwrap();
        at
    }

    #[test]
    fn what_happened_is_counted_and_served() {
        let metrics = Metrics::default();
        let verdict = |reason| Event::Verdict {
            passage: PassageId(uuid::Uuid::from_u128(1)),
            lane: name("entry"),
            verdict: Box::new(Verdict::new(reason, None, Evidence::default())),
            shadow: false,
        };
        metrics.count(&verdict(Reason::Registered));
        metrics.count(&verdict(Reason::Registered));
        metrics.count(&verdict(Reason::NotRegistered));
        metrics.count(&Event::Stopped);
        let mut latencies = Latencies::new();
        latencies.record(Stage::Detect, Duration::from_millis(250));
        let report = HealthReport {
            outbox_depth: 7,
            frames_per_second: [(name("entry"), 9.5)].into(),
            latency: latencies.take(),
            ..HealthReport::default()
        };
        metrics.set_health(&report, Some(true));
        let said = ask(
            served(&metrics),
            b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
        for line in [
            "menshen_verdicts_total{lane=\"entry\",reason=\"registered\"} 2",
            "menshen_verdicts_total{lane=\"entry\",reason=\"not-registered\"} 1",
            "# TYPE menshen_verdicts_total counter",
            "menshen_outbox_events 7",
            "menshen_broker_connected 1",
            "menshen_frames_per_second{lane=\"entry\"} 9.5",
            "menshen_stage_seconds{stage=\"detect\",quantile=\"1\"} 0.25",
            "menshen_alarms_total 0",
        ] {
            assert!(said.lines().any(|l| l == line), "{line} is not in\n{said}");
        }
    }

    #[test]
    fn wrong_slow_and_endless_requests_keep_nobody_out() {
        let metrics = Metrics::default();
        let at = served(&metrics);
        assert!(ask(at, b"GET / HTTP/1.0\r\n\r\n").contains("404"));
        assert!(ask(at, b"POST /metrics HTTP/1.0\r\n\r\n").contains("400"));
        // Somebody who says nothing, and does not hang up.
        let _silent = TcpStream::connect(at).unwrap();
        assert!(ask(at, b"GET /metrics HTTP/1.0\r\n\r\n").contains("200"));
    }

    proptest! {
        #[test]
        fn no_request_brings_it_down(request in prop::collection::vec(any::<u8>(), 0..200)) {
            let (status, _) = respond(&request, String::new);
            prop_assert_ne!(status, "200 OK");
        }
    }
}
