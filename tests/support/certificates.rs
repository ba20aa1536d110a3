//! Certificates for tests: a CA, servers, clients of every kind, in files.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::support::Folder;

/// A folder with `ca.crt`, `server.crt`, `other.crt` (for bus.example.org), `good.crt` (a client, infra), `expired.crt`,
/// `revoked.crt`, `stranger.crt` (of another CA), the key of each as `.key`, and `revoked.crl`.
pub struct Certificates {
    folder: Folder,
}

struct Authority(Issuer<'static, KeyPair>);

impl Certificates {
    pub fn new() -> Certificates {
        let files = Certificates {
            folder: Folder::new("certificates"),
        };
        let ca = files.authority("ca");
        let stranger = files.authority("stranger-ca");
        let years = |params: &mut CertificateParams, last: i32| {
            params.not_after = date_time_ymd(last, 1, 1);
        };
        files.sign(&ca, "server", &["localhost", "127.0.0.1", "::1"], 1, |_| {});
        files.sign(&ca, "other", &["bus.example.org"], 2, |_| {});
        files.sign(&ca, "good", &[], 3, |_| {});
        files.sign(&ca, "expired", &[], 4, |params| years(params, 2020));
        files.sign(&ca, "revoked", &[], 5, |_| {});
        files.sign(&stranger, "stranger", &[], 6, |_| {});
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2125, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(5),
                revocation_time: date_time_ymd(2025, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&ca.0).unwrap().pem().unwrap();
        files.folder.write("revoked.crl", &list);
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// The path as a word of a configuration file or a command line.
    pub fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn authority(&self, name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self.folder
            .write(&format!("{name}.crt"), &certificate.pem());
        Authority(Issuer::new(params, key))
    }

    fn sign(
        &self,
        by: &Authority,
        name: &str,
        names: &[&str],
        serial: u64,
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "infra");
        params.serial_number = Some(SerialNumber::from(serial));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &by.0).unwrap();
        self.folder
            .write(&format!("{name}.crt"), &certificate.pem());
        self.folder
            .write(&format!("{name}.key"), &key.serialize_pem());
    }
}
