#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConnection, ServerConfig, ServerConnection};

use super::*;

/// A CA in a folder, and what it has signed.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for a name, valid in these years.
    fn sign(&self, name: &str, years: std::ops::Range<i32>) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let identity = Identity {
            certificate: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        };
        std::fs::write(&identity.certificate, certificate.pem()).unwrap();
        std::fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    fn believed(&self, client: Option<Identity>) -> Files {
        Files {
            ca: self.path("ca.pem"),
            client,
        }
    }
}

/// A broker with this certificate, which asks for one if it believes an authority.
fn broker(own: &Identity, believes: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates("certificate", &own.certificate).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match believes {
        Some(authority) => {
            let roots = Arc::new(authority.believed(None).authority().unwrap());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    Arc::new(
        builder
            .with_single_cert(chain, own.secret().unwrap())
            .unwrap(),
    )
}

/// What the client says of a handshake with `host`; nothing if it succeeds.
fn handshake(files: &Files, host: &'static str, broker: Arc<ServerConfig>) -> Option<String> {
    let config = files.client().unwrap();
    let mut client = ClientConnection::new(config, host.try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(broker).unwrap();
    for _ in 0..5 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut at = wire.as_slice();
        while !at.is_empty() {
            server.read_tls(&mut at).unwrap();
        }
        // What it objects to, it tells.
        let _ = server.process_new_packets();
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut at = wire.as_slice();
        while !at.is_empty() {
            client.read_tls(&mut at).unwrap();
        }
        if let Err(error) = client.process_new_packets() {
            // As it comes through the client's own errors.
            let carried = io::Error::new(io::ErrorKind::InvalidData, error);
            return Some(explain(&carried).unwrap().to_string());
        }
    }
    assert!(!client.is_handshaking());
    None
}

#[test]
fn who_is_signed_for_is_believed_and_nobody_else() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let namesake = Authority::new("ours");
    let gate = ours.sign("gate", 2020..4000);
    let believed = ours.believed(Some(gate));
    let server = ours.sign("localhost", 2020..4000);
    let plain = broker(&server, None);
    assert_eq!(handshake(&believed, "localhost", Arc::clone(&plain)), None);
    let asking = broker(&server, Some(&ours));
    assert_eq!(handshake(&believed, "localhost", Arc::clone(&asking)), None);
    for (files, host, server, says) in [
        (
            ours.believed(None),
            "localhost",
            &asking,
            "set client_certificate",
        ),
        (other.believed(None), "localhost", &plain, "name the CA"),
        (namesake.believed(None), "localhost", &plain, "name the CA"),
        (
            ours.believed(None),
            "elsewhere",
            &plain,
            "another name than host",
        ),
        (
            ours.believed(Some(other.sign("gate", 2020..4000))),
            "localhost",
            &asking,
            "does not accept client_certificate",
        ),
        (
            ours.believed(None),
            "old",
            &broker(&ours.sign("old", 2020..2021), None),
            "has expired",
        ),
        (
            ours.believed(None),
            "new",
            &broker(&ours.sign("new", 3999..4000), None),
            "not valid yet",
        ),
    ] {
        let said = handshake(&files, host, Arc::clone(server)).unwrap();
        assert!(said.contains(says), "{said}");
        assert!(said.contains(" / "), "in both languages: {said}");
    }
}

#[test]
fn what_is_no_tls_and_what_is_no_error_of_tls_is_told_apart() {
    let plain = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
    let said = explain(&plain).unwrap();
    assert!(said.english.contains("8883"), "{said}");
    let broken = rustls::Error::AlertReceived(AlertDescription::HandshakeFailure);
    let said = explain(&broken).unwrap();
    assert!(said.english.contains("client certificate"), "{said}");
    let other = rustls::Error::General("nothing that we know".to_owned());
    let said = explain(&other).unwrap();
    assert!(said.english.contains("nothing that we know"), "{said}");
    assert_eq!(explain(&io::Error::other("no route")), None);
    assert_eq!(explain(&io::Error::from(io::ErrorKind::TimedOut)), None);
}

#[test]
fn a_wrong_file_is_named_with_its_key_and_its_cure() {
    let ours = Authority::new("ours");
    let (gate, other) = (
        ours.sign("gate", 2020..4000),
        ours.sign("other", 2020..4000),
    );
    let with = |certificate: &PathBuf, key: &PathBuf| {
        ours.believed(Some(Identity {
            certificate: certificate.clone(),
            key: key.clone(),
        }))
    };
    let ca = |name: &str| Files {
        ca: ours.path(name),
        client: None,
    };
    let empty = ours.path("empty");
    std::fs::write(&empty, "nothing").unwrap();
    let garbled = ours.path("garbled");
    std::fs::write(
        &garbled,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let torn = ours.path("torn");
    std::fs::write(&torn, "-----BEGIN CERTIFICATE-----\nAAA\n").unwrap();
    for (files, key, says) in [
        (ca("absent"), "ca_file", "absent cannot be read"),
        (ca("empty"), "ca_file", "no certificate"),
        (ca("torn"), "ca_file", "no certificate"),
        (ca("garbled"), "ca_file", "cannot be used"),
        (
            with(&empty, &gate.key),
            "client_certificate",
            "no certificate",
        ),
        (
            with(&gate.certificate, &empty),
            "client_key",
            "no secret key",
        ),
        (
            with(&gate.certificate, &ours.path("absent")),
            "client_key",
            "cannot be read",
        ),
        (
            with(&gate.certificate, &other.key),
            "client_key",
            "is not the key of",
        ),
        (
            with(&garbled, &gate.key),
            "client_certificate",
            "cannot be used",
        ),
    ] {
        let error = files.client().unwrap_err();
        assert_eq!(error.key, key, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.cure.chinese.is_empty());
    }
}

/// Midnight of the first of January, UTC.
fn new_year(year: i16) -> Timestamp {
    let midnight = jiff::civil::date(year, 1, 1).at(0, 0, 0, 0);
    jiff::tz::TimeZone::UTC.to_timestamp(midnight).unwrap()
}

#[test]
fn a_certificate_says_until_when_it_holds() {
    let ours = Authority::new("ours");
    let gate = ours.sign("gate", 2020..2030);
    // Beyond 2049 the times are written another way.
    let far = ours.sign("far", 2049..2050);
    let files = |identity: &Identity| ours.believed(Some(identity.clone()));
    let term = |identity: &Identity| {
        let terms = files(identity).terms().unwrap();
        assert_eq!(terms[0].key, "ca_file");
        assert_eq!(terms[0].warning(new_year(2026)), None);
        assert_eq!(terms[1].key, "client_certificate");
        terms[1].clone()
    };
    let (from, until) = (new_year(2020), new_year(2030));
    assert_eq!(term(&gate).validity, Validity { from, until });
    let (from, until) = (new_year(2049), new_year(2050));
    assert_eq!(term(&far).validity, Validity { from, until });
    let says = |now| term(&gate).warning(now).map(|said| said.wrong.english);
    assert_eq!(says(new_year(2029)), None);
    let eve = new_year(2030) - SignedDuration::from_hours(24);
    for (now, word) in [
        (eve, "ends on 2030-01-01"),
        (new_year(2031), "ended on 2030-01-01"),
        (new_year(2019), "does not hold before 2020-01-01"),
    ] {
        let said = says(now).unwrap();
        assert!(said.contains(word), "{said}");
    }
    let whole = new_year(2030) - SOON;
    assert_eq!(says(whole), None);
    assert!(says(whole + SignedDuration::from_secs(1)).is_some());
}

#[test]
fn of_several_authorities_the_last_counts_and_of_a_chain_the_first() {
    let ours = Authority::new("ours");
    let (short, long) = (
        ours.sign("short", 2020..2021),
        ours.sign("long", 2020..4000),
    );
    let both = ours.path("both.pem");
    let text = |identity: &Identity| std::fs::read_to_string(&identity.certificate).unwrap();
    std::fs::write(&both, text(&long) + &text(&short)).unwrap();
    let files = Files {
        ca: both.clone(),
        client: Some(Identity {
            certificate: both,
            key: long.key,
        }),
    };
    let until: Vec<_> = files
        .terms()
        .unwrap()
        .iter()
        .map(|t| t.validity.until)
        .collect();
    assert_eq!(until, [new_year(4000), new_year(2021)]);
    std::fs::write(
        &files.ca,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    assert_eq!(files.terms().unwrap(), []);
}

proptest! {
    /// Whatever is in a file: no panic, and a cut certificate has no validity or the right one.
    #[test]
    fn no_bytes_bring_the_walk_down(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        Validity::of(&noise);
        let mut der = one_certificate().to_vec();
        let whole = Validity::of(&der).unwrap();
        for (at, byte) in flips {
            let at = at.index(der.len());
            der[at] = byte;
        }
        Validity::of(&der);
        let der = one_certificate();
        let cut = cut.index(der.len());
        prop_assert_eq!(Validity::of(&der[..cut]), None);
        prop_assert_eq!(Validity::of(der), Some(whole));
    }
}

fn one_certificate() -> &'static [u8] {
    static ONE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    ONE.get_or_init(|| {
        let ours = Authority::new("ours");
        let gate = ours.sign("gate", 2020..2030);
        certificates("certificate", &gate.certificate).unwrap()[0].to_vec()
    })
}
