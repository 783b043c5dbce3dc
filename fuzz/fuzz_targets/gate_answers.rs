//! Whatever a broker may bring to the server that sends a gate its register: any bytes, and any
//! answer behind the gate's own signature.
#![no_main]

use std::time::Duration;

use collector::message::Enrolment;
use collector::sending::{Input, Sending, report};
use domain::command::DeviceName;
use domain::signing::{Purpose, SecretKey, Signed};
use domain::sync::{Manifest, Page};
use domain::time::Monotonic;
use libfuzzer_sys::fuzz_target;
use menshen_fuzz::messages;
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    let (gate, server) = (SecretKey::from_bytes([4; 32]), SecretKey::from_bytes([5; 32]));
    let device: DeviceName = "garden/east".parse().expect("a name");
    let mut gates = Enrolment::default();
    gates.enrol(device.clone(), gate.public());
    let (manifest, pages): (Manifest, Vec<Page>) = menshen_fuzz::register();
    let count = pages.len();
    let mut sending = Sending::new(&device, &gates, &server, "s", (manifest, pages));
    let mut now = Monotonic::default();
    sending.step(now, Input::Connected);
    for (head, payload) in messages(data) {
        now = now + Duration::from_millis(u64::from(head[2]) * 40);
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let body = RawValue::from_string(text.to_owned()).ok();
        let purpose = if head[1] & 1 == 1 {
            Purpose::Response
        } else {
            Purpose::Register
        };
        let wrapped = body
            .and_then(|body| Signed::new(&gate, purpose, &body).ok())
            .and_then(|signed| serde_json::to_vec(&signed).ok());
        let payload = match (head[1] & 2, &wrapped) {
            (2, Some(wrapped)) => wrapped,
            _ => payload,
        };
        let topic = ["response/challenge", "response/registry-sync", "registry"]
            [usize::from(head[0]) % 3];
        sending.step(now, Input::Heard { topic, payload });
        let _ = report(payload, &device, &gates);
        match head[0] >> 6 {
            0 => sending.step(now, Input::Tick),
            1 => {
                sending.step(now, Input::Lost);
                sending.step(now, Input::Connected);
            }
            _ => {}
        }
        let mut letters = 0;
        while let Some(letter) = sending.next(now) {
            assert!(!letter.payload.is_empty());
            sending.took(now);
            letters += 1;
            assert!(letters <= count + 2, "one message makes it send for ever");
        }
    }
});
