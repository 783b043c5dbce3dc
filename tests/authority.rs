//! A certificate authority of a test: nothing of it outlives the test.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use crate::Failure;

/// A CA with everything that it has signed, in a folder.
pub struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one; `name` goes into its certificate.
    ///
    /// # Errors
    /// If no key can be made or no file written.
    pub fn new(name: &str) -> Result<Self, Failure> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let folder = tempfile::Builder::new().prefix("authority-").tempdir()?;
        std::fs::write(folder.path().join("ca.pem"), issuer.pem())?;
        Ok(Self { folder, issuer })
    }

    /// A file of it: `ca.pem`, and `NAME.pem` and `NAME.key` of whoever it signed for.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate with a new key for a name, valid from the first day of one year to
    /// the first of another. Both files are replaced if they are there.
    ///
    /// # Errors
    /// If no key can be made or no file written.
    pub fn sign(&self, name: &str, years: std::ops::Range<i32>) -> Result<(), Failure> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer)?;
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem())?;
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem())?;
        Ok(())
    }

    /// Three lines for a configuration: whom to believe, and as whom to come.
    pub fn keys(&self, name: &str) -> String {
        let at = |file: String| self.path(&file).display().to_string();
        format!(
            "ca_file = {:?}\nclient_certificate = {:?}\nclient_key = {:?}\n",
            at("ca.pem".to_owned()),
            at(format!("{name}.pem")),
            at(format!("{name}.key")),
        )
    }
}
