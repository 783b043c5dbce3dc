//! The figures for Prometheus of a running gate.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use house::{Gate, Lane, Need, alone, cannot_run, free_port, wait_for};

fn figures(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn verdicts_and_passages_are_counted_where_prometheus_asks() {
    if cannot_run(&[Need::Mosquitto]) {
        return;
    }
    let _alone = alone();
    let lane = Lane::with_loop(1).unwrap();
    let port = free_port().unwrap();
    let metrics = format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n[store]\n");
    lane.site.configure("[store]\n", &metrics).unwrap();
    let gate = Gate::start(&lane.site).unwrap();
    lane.visit(&gate, (1, 1), || {}).unwrap();
    lane.visit(&gate, (2, 2), || {}).unwrap();
    let said = figures(port);
    for line in [
        "menshen_verdicts_total{lane=\"entry\",reason=\"registered\"} 1",
        "menshen_verdicts_total{lane=\"entry\",reason=\"not-registered\"} 1",
        "menshen_passages_total{lane=\"entry\",outcome=\"passed\"} 1",
        "menshen_passages_total{lane=\"entry\",outcome=\"turned-away\"} 1",
    ] {
        assert!(said.lines().any(|l| l == line), "{line} is not in\n{said}");
    }
    // With the first health report, half a minute after the start.
    let healthy = || figures(port).contains("\nmenshen_broker_connected 1\n");
    assert!(wait_for(Duration::from_secs(45), healthy));
    let said = figures(port);
    assert!(
        said.contains("menshen_stage_seconds{stage=\"decide\""),
        "{said}"
    );
    gate.stop().unwrap();
}
