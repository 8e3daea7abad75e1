//! GnuPG opens what we wrap, and we open what GnuPG encrypts.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lacre_format::keyring::{InnerWrap, WrapKind};
use lacre_seal::PgpSecretError;
use lacre_seal::identity::{Identity, IdentityError, IdentityFile, OpenPgpDecryptor};
use lacre_seal::pgp::PgpError;
use lacre_seal::recipient::{Recipient, RecipientError};
use lacre_seal::wrap::{UnwrapError, WrapError, unwrap, wrap};
use secrecy::SecretString;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::{PAYLOAD, identity, noon};

const DAY: Duration = Duration::from_secs(86_400);

/// A GnuPG home of its own with its own agent, which ends with it.
struct Gpg {
    home: TempDir,
    passphrase: &'static str,
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let killed = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).status();
        assert!(killed.is_ok(), "gpgconf runs");
    }
}

impl Gpg {
    fn new() -> Self {
        Self::with_passphrase("")
    }

    fn with_passphrase(passphrase: &'static str) -> Self {
        // The socket of the agent lies in the home and its path must be short.
        let home = tempfile::Builder::new().prefix("lg").tempdir_in("/tmp").unwrap();
        Gpg { home, passphrase }
    }

    fn command(home: &Path, passphrase: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("gpg");
        command.env("LC_ALL", "C").env_remove("GNUPGHOME").env_remove("LANGUAGE");
        command.arg("--homedir").arg(home);
        // Keys are made an hour before the fixed moment, so that they are valid at it on any day.
        command.args(["--batch", "--yes", "--quiet", "--no-tty", "--trust-model", "always"]);
        command.args(["--faked-system-time", "20261122T110000", "--pinentry-mode", "loopback"]);
        command.args(["--passphrase", passphrase]);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Self::command(self.home.path(), self.passphrase, arguments).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Makes a key that signs with `primary` and decrypts with `subkey`; gives its fingerprint.
    fn generate(&self, name: &str, primary: &str, subkey: &str, options: &[&str], expire: &str) -> String {
        let user = format!("{name} <{name}@example.org>");
        self.run(&[options, &["--quick-generate-key", &user, primary, "cert", expire]].concat(), b"");
        let listed = String::from_utf8(self.run(&["--with-colons", "--list-keys", &user], b"")).unwrap();
        let fingerprint = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        let fingerprint = fingerprint.trim_matches(|c| c != ':').split(':').nth(9).unwrap().to_owned();
        self.run(&[options, &["--quick-add-key", &fingerprint, subkey, "encr", expire]].concat(), b"");
        fingerprint
    }

    fn export(&self, fingerprint: &str) -> Vec<u8> {
        self.run(&["--armor", "--export", fingerprint], b"")
    }

    fn export_secret(&self, fingerprint: &str) -> Vec<u8> {
        self.run(&["--export-secret-keys", fingerprint], b"")
    }

    fn recipient(&self, fingerprint: &str) -> Recipient {
        let mut found = Recipient::from_openpgp_cert(&self.export(fingerprint)).unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    }
}

/// What the command line does for keys in an agent: spawns `gpg --decrypt`.
struct Agent(std::path::PathBuf);

impl OpenPgpDecryptor for Agent {
    fn decrypt(&self, message: &[u8]) -> Option<Result<Zeroizing<Vec<u8>>, String>> {
        let mut child = Gpg::command(&self.0, "", &["--decrypt"]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(message).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match (output.status.success(), said.contains("No secret key")) {
            (true, _) => Some(Ok(Zeroizing::new(output.stdout))),
            (false, true) => None,
            (false, false) => Some(Err(said)),
        }
    }

    fn label(&self) -> String {
        "gpg".to_owned()
    }
}

#[test]
fn gpg_and_we_open_each_others_messages() {
    let gpg = Gpg::new();
    for (name, primary, subkey) in [("ana", "ed25519", "cv25519"), ("rui", "rsa3072", "rsa3072")] {
        let fingerprint = gpg.generate(name, primary, subkey, &[], "never");
        let recipient = gpg.recipient(&fingerprint);
        assert_eq!(recipient.label(), format!("{fingerprint} {name} <{name}@example.org>"));
        assert_eq!(recipient.to_text(), fingerprint);
        assert_eq!(recipient.check(noon()).unwrap().expires, None);

        // What a policy keeps is enough to encrypt.
        let (kind, record) = recipient.to_record();
        assert!(record.len() < 4096, "{} bytes", record.len());
        let recipient = Recipient::from_record(kind, &record).unwrap();

        let wraps = wrap(&[recipient], PAYLOAD, noon()).unwrap();
        assert_eq!((wraps.len(), wraps[0].kind), (1, WrapKind::OpenPgp));
        assert_eq!(gpg.run(&["--decrypt"], &wraps[0].bytes), PAYLOAD);

        let own = identity(&gpg.export_secret(&fingerprint));
        assert!(own.label().starts_with(&fingerprint));
        assert_eq!(*unwrap(&wraps, &[own]).unwrap().unwrap(), PAYLOAD);

        for options in [&[][..], &["--compress-algo", "none"], &["--compress-algo", "zlib"], &["--throw-keyids"]] {
            let bytes = gpg.run(&[options, &["--recipient", &fingerprint, "--encrypt"]].concat(), PAYLOAD);
            let own = identity(&gpg.export_secret(&fingerprint));
            let opened = unwrap(&[InnerWrap { kind: WrapKind::OpenPgp, bytes }], &[own]);
            assert_eq!(*opened.unwrap().unwrap(), PAYLOAD, "{options:?}");
        }
    }
}

#[test]
fn one_message_serves_several_certificates_and_nobody_else() {
    let gpg = Gpg::new();
    let one = gpg.generate("ana", "ed25519", "cv25519", &[], "never");
    let two = gpg.generate("rui", "ed25519", "cv25519", &[], "never");
    let three = gpg.generate("eva", "ed25519", "cv25519", &[], "never");
    // Several certificates in one file, as one block, as several blocks, and in binary.
    let block = gpg.run(&["--armor", "--export", &one, &two], b"");
    let blocks = [gpg.export(&one), gpg.export(&two)].concat();
    let binary = gpg.run(&["--export", &one, &two], b"");
    let recipients = Recipient::from_openpgp_cert(&block).unwrap();
    assert_eq!(recipients.len(), 2);
    assert_eq!(Recipient::from_openpgp_cert(&blocks).unwrap(), recipients);
    assert_eq!(Recipient::from_openpgp_cert(&binary).unwrap(), recipients);
    // A secret key file is taken as the certificate in it.
    assert_eq!(Recipient::from_openpgp_cert(&gpg.export_secret(&one)).unwrap(), recipients[..1]);

    let wraps = wrap(&recipients, PAYLOAD, noon()).unwrap();
    for fingerprint in [&one, &two] {
        let own = identity(&gpg.export_secret(fingerprint));
        assert_eq!(*unwrap(&wraps, &[own]).unwrap().unwrap(), PAYLOAD);
    }
    let stranger = identity(&gpg.export_secret(&three));
    assert!(unwrap(&wraps, &[stranger]).is_none());

    let mut damaged = wraps[0].clone();
    *damaged.bytes.last_mut().unwrap() ^= 1;
    let own = identity(&gpg.export_secret(&one));
    assert!(matches!(unwrap(&[damaged], &[own]), Some(Err(UnwrapError::OpenPgp { .. }))));
    let mut cut = wraps[0].clone();
    cut.bytes.truncate(cut.bytes.len() - 10);
    let own = identity(&gpg.export_secret(&one));
    assert!(matches!(unwrap(&[cut], &[own]), Some(Err(UnwrapError::OpenPgp { .. }))));
}

#[test]
fn every_flipped_byte_of_a_message_keeps_the_payload_shut() {
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("ana", "ed25519", "cv25519", &[], "never");
    let good = wrap(&[gpg.recipient(&fingerprint)], PAYLOAD, noon()).unwrap().remove(0);
    let own = [identity(&gpg.export_secret(&fingerprint))];
    for at in 0..good.bytes.len() {
        let mut changed = good.clone();
        changed.bytes[at] ^= 0x10;
        // The key id in front of the session key is only a hint, and so is the format of the literal data.
        if let Some(Ok(opened)) = unwrap(&[changed], &own) {
            assert_eq!(*opened, PAYLOAD, "byte {at}");
        }
    }
}

#[test]
fn a_compressed_bomb_is_cut_off() {
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("ana", "ed25519", "cv25519", &[], "never");
    let bytes = gpg.run(&["--recipient", &fingerprint, "--encrypt"], &vec![0u8; 20 * 1024 * 1024]);
    assert!(bytes.len() < 100_000);
    let own = identity(&gpg.export_secret(&fingerprint));
    let refused = unwrap(&[InnerWrap { kind: WrapKind::OpenPgp, bytes }], &[own]).unwrap().unwrap_err();
    assert!(refused.to_string().contains("more than 65536 bytes"), "{refused}");
}

#[test]
fn an_agent_decrypts_where_the_key_lies() {
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("ana", "ed25519", "cv25519", &[], "never");
    let wraps = wrap(&[gpg.recipient(&fingerprint)], PAYLOAD, noon()).unwrap();
    let agent = |gpg: &Gpg| [Identity::External(Box::new(Agent(gpg.home.path().to_owned())))];
    assert_eq!(*unwrap(&wraps, &agent(&gpg)).unwrap().unwrap(), PAYLOAD);
    assert!(unwrap(&wraps, &agent(&Gpg::new())).is_none());
    let mut damaged = wraps[0].clone();
    *damaged.bytes.last_mut().unwrap() ^= 1;
    let refused = unwrap(&[damaged], &agent(&gpg)).unwrap().unwrap_err();
    assert!(matches!(refused, UnwrapError::External { label, .. } if label == "gpg"));
}

#[test]
fn a_locked_secret_key_needs_its_passphrase() {
    let gpg = Gpg::with_passphrase("tres tristes tigres");
    let fingerprint = gpg.generate("ana", "ed25519", "cv25519", &[], "never");
    let wraps = wrap(&[gpg.recipient(&fingerprint)], PAYLOAD, noon()).unwrap();
    let binary = gpg.export_secret(&fingerprint);
    let armored = gpg.run(&["--armor", "--export-secret-keys", &fingerprint], b"");
    for file in [binary, armored] {
        let IdentityFile::Locked(locked) = IdentityFile::parse(&file).unwrap() else {
            panic!("the key is not locked");
        };
        assert!(locked.label().unwrap().starts_with(&fingerprint));
        let wrong = locked.unlock(&SecretString::from("tres tigres")).err().unwrap();
        assert!(matches!(wrong, IdentityError::WrongPassphrase));
        let unlocked = locked.unlock(&SecretString::from("tres tristes tigres")).unwrap();
        assert_eq!(*unwrap(&wraps, &unlocked).unwrap().unwrap(), PAYLOAD);
    }
}

#[test]
fn a_file_without_the_secret_says_where_it_may_be() {
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("ana", "ed25519", "cv25519", &[], "never");
    let public = IdentityFile::parse(&gpg.export(&fingerprint)).err().unwrap();
    assert!(matches!(public, IdentityError::Pgp(PgpSecretError::PublicOnly { .. })), "{public}");
    // The primary key is a stub, but the decryption subkey is there: this is how laptops carry keys.
    let subkeys = gpg.run(&["--export-secret-subkeys", &fingerprint], b"");
    let wraps = wrap(&[gpg.recipient(&fingerprint)], PAYLOAD, noon()).unwrap();
    assert_eq!(*unwrap(&wraps, &[identity(&subkeys)]).unwrap().unwrap(), PAYLOAD);
}

#[test]
fn an_expired_certificate_is_refused_by_name_and_day() {
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("ana", "ed25519", "cv25519", &[], "20d");
    let recipient = gpg.recipient(&fingerprint);
    let expires = recipient.check(noon()).unwrap().expires.unwrap();
    assert!(expires > noon() + 19 * DAY && expires < noon() + 21 * DAY);

    let error = recipient.check(noon() + 30 * DAY).unwrap_err();
    assert_eq!(error.to_string(), format!("recipient {fingerprint} ana <ana@example.org> expired on 2026-12-12"));
    assert!(matches!(error, RecipientError::Pgp(PgpError::Expired { on, .. }) if on == expires));
    let refused = wrap(std::slice::from_ref(&recipient), PAYLOAD, noon() + 30 * DAY);
    assert!(matches!(refused, Err(WrapError::Pgp(PgpError::Expired { .. }))));
    let early = recipient.check(noon() - 30 * DAY).unwrap_err();
    assert!(matches!(early, RecipientError::Pgp(PgpError::NotYetValid { .. })), "{early}");

    // What was wrapped in time opens for ever.
    let wraps = wrap(&[recipient], PAYLOAD, noon()).unwrap();
    let own = identity(&gpg.export_secret(&fingerprint));
    assert_eq!(*unwrap(&wraps, &[own]).unwrap().unwrap(), PAYLOAD);

    // Extending the key makes it a recipient again.
    gpg.run(&["--quick-set-expire", &fingerprint, "2y"], b"");
    gpg.run(&["--quick-set-expire", &fingerprint, "2y", "*"], b"");
    assert!(gpg.recipient(&fingerprint).check(noon() + 30 * DAY).is_ok());
}

#[test]
fn an_expired_subkey_is_refused_although_the_certificate_lives() {
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("ana", "ed25519", "cv25519", &[], "20d");
    gpg.run(&["--quick-set-expire", &fingerprint, "2y"], b"");
    let error = gpg.recipient(&fingerprint).check(noon() + 30 * DAY).unwrap_err();
    assert!(matches!(error, RecipientError::Pgp(PgpError::Expired { .. })), "{error}");
    // A second subkey takes over, and the first is named with the rule that excludes it.
    gpg.run(&["--quick-add-key", &fingerprint, "cv25519", "encr", "1y"], b"");
    let validity = gpg.recipient(&fingerprint).check(noon() + 30 * DAY).unwrap();
    assert_eq!(validity.excluded.len(), 1);
    assert!(validity.excluded[0].contains("not live"), "{:?}", validity.excluded);
}

#[test]
fn a_revoked_certificate_is_refused() {
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("ana", "ed25519", "cv25519", &[], "never");
    let path = gpg.home.path().join("openpgp-revocs.d").join(format!("{fingerprint}.rev"));
    // GnuPG puts a colon before the block, so that nobody imports it by accident.
    let revocation = std::fs::read_to_string(path).unwrap().replace("\n:-----BEGIN", "\n-----BEGIN");
    gpg.run(&["--import"], revocation.as_bytes());
    let recipient = gpg.recipient(&fingerprint);
    let error = recipient.check(noon() + DAY).unwrap_err();
    assert!(matches!(error, RecipientError::Pgp(PgpError::Revoked { .. })), "{error}");
    assert!(error.to_string().contains("was revoked"));
    // The record of a policy keeps the revocation.
    let (kind, record) = recipient.to_record();
    assert_eq!(Recipient::from_record(kind, &record).unwrap().check(noon() + DAY).unwrap_err(), error);
    assert!(matches!(wrap(&[recipient], PAYLOAD, noon() + DAY), Err(WrapError::Pgp(PgpError::Revoked { .. }))));
}

#[test]
fn weak_certificates_are_refused_with_the_rule() {
    let gpg = Gpg::new();
    let short = gpg.generate("curto", "rsa1024", "rsa1024", &["--enable-large-rsa"], "never");
    let error = gpg.recipient(&short).check(noon()).unwrap_err();
    assert!(error.to_string().contains("1024"), "{error}");
    let sha1 = gpg.generate("velho", "ed25519", "cv25519", &["--cert-digest-algo", "SHA1"], "never");
    let error = gpg.recipient(&sha1).check(noon()).unwrap_err();
    assert!(error.to_string().contains("SHA1"), "{error}");
}

#[test]
fn a_certificate_that_cannot_encrypt_is_refused() {
    let gpg = Gpg::new();
    gpg.run(&["--quick-generate-key", "ana <ana@example.org>", "ed25519", "cert,sign", "never"], b"");
    let recipient = gpg.recipient("ana@example.org");
    let error = recipient.check(noon()).unwrap_err();
    assert!(matches!(error, RecipientError::Pgp(PgpError::NoEncryptionKey { .. })), "{error}");
}
