//! Recipients and identities as text, records and files.

use std::fmt::{Debug, Display};
use std::marker::PhantomData;

use lacre_seal::identity::{
    AgeSecretKey, Identity, IdentityError, IdentityFile, LineProblem, LockedIdentity, X25519Identity,
};
use lacre_seal::kit::{IdentitySheet, Kit, SealKit};
use lacre_seal::outer::SealSeed;
use lacre_seal::passphrase::{PassphraseError, new_passphrase_recipient, open_passphrase_identity};
use lacre_seal::pq::{PqIdentity, PqKeyError};
use lacre_seal::recipient::{Recipient, RecipientError, RecipientKind};
use lacre_seal::wrap::{unwrap, wrap};
use lacre_seal::{BechError, PgpIdentity};
use secrecy::SecretString;

use crate::{PAYLOAD, identities, noon};

#[test]
fn recipients_survive_text_and_records() {
    for ((_, recipient), kind) in [
        (Identity::generate_x25519().unwrap(), RecipientKind::AgeX25519),
        (Identity::generate_pq().unwrap(), RecipientKind::AgePq),
    ] {
        assert_eq!(recipient.kind(), kind);
        assert_eq!(Recipient::parse(&recipient.to_text()).unwrap(), recipient);
        assert_eq!(Recipient::parse(&format!("  {}\n", recipient.to_text())).unwrap(), recipient);
        let (code, bytes) = recipient.to_record();
        assert_eq!(Recipient::from_record(code, &bytes).unwrap(), recipient);
        assert_eq!(recipient.check(noon()).unwrap().expires, None);
        assert!(recipient.label().len() <= 62 && recipient.label().starts_with("age1"));
    }
}

#[test]
fn what_is_not_a_recipient_says_why() {
    let (secret, recipient) = Identity::generate_x25519().unwrap();
    let (secret_pq, recipient_pq) = Identity::generate_pq().unwrap();
    assert_eq!(Recipient::parse(secret.expose()).unwrap_err(), RecipientError::SecretKey);
    assert_eq!(Recipient::parse(secret_pq.expose()).unwrap_err(), RecipientError::SecretKey);
    assert_eq!(Recipient::parse("ssh-ed25519 AAAAC3Nz").unwrap_err(), RecipientError::Ssh);
    assert_eq!(Recipient::parse("age1yubikey1qwerty").unwrap_err(), RecipientError::Plugin);
    assert_eq!(Recipient::parse("").unwrap_err(), RecipientError::Unknown);
    assert_eq!(Recipient::parse("ana@example.org").unwrap_err(), RecipientError::Unknown);

    let text = recipient.to_text();
    let cut = &text[..text.len() - 2];
    assert_eq!(Recipient::parse(cut).unwrap_err(), RecipientError::Text(BechError::Checksum));
    let text = recipient_pq.to_text();
    let cut = &text[..text.len() - 2];
    assert_eq!(Recipient::parse(cut).unwrap_err(), RecipientError::Pq(PqKeyError::Text(BechError::Checksum)));
}

#[test]
fn keys_that_give_no_secrecy_are_refused() {
    // The u-coordinates of the points of order 1, 2 and 4 (RFC 7748) and one of order 8.
    let mut one = [0u8; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    let eight: [u8; 32] = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ];
    for point in [[0u8; 32], one, minus_one, eight] {
        assert_eq!(Recipient::from_record(1, &point).unwrap_err(), RecipientError::Weak);
    }
    let (_, hybrid) = Identity::generate_pq().unwrap();
    let (kind, mut bytes) = hybrid.to_record();
    bytes[1216 - 32..].copy_from_slice(&eight);
    assert_eq!(Recipient::from_record(kind, &bytes).unwrap_err(), RecipientError::Pq(PqKeyError::Invalid));
    // Coefficients above the modulus make an ML-KEM key invalid (FIPS 203, section 7.2).
    let (_, mut bytes) = hybrid.to_record();
    bytes[..3].copy_from_slice(&[0xff, 0xff, 0xff]);
    assert_eq!(Recipient::from_record(kind, &bytes).unwrap_err(), RecipientError::Pq(PqKeyError::Invalid));
}

#[test]
fn malformed_records_say_why() {
    assert_eq!(Recipient::from_record(0, &[]).unwrap_err(), RecipientError::RecordKind { kind: 0 });
    assert_eq!(Recipient::from_record(9, &[0; 32]).unwrap_err(), RecipientError::RecordKind { kind: 9 });
    assert_eq!(Recipient::from_record(1, &[9; 31]).unwrap_err(), RecipientError::RecordLength { kind: 1, length: 31 });
    assert_eq!(
        Recipient::from_record(2, &[9; 1217]).unwrap_err(),
        RecipientError::RecordLength { kind: 2, length: 1217 }
    );
    assert!(matches!(Recipient::from_record(3, &[9; 100]), Err(RecipientError::Pgp(_))));
}

#[test]
fn an_identity_file_holds_several_keys_of_both_kinds_among_comments() {
    let (classic, classic_recipient) = Identity::generate_x25519().unwrap();
    let (hybrid, hybrid_recipient) = Identity::generate_pq().unwrap();
    let file = format!(
        "# created: 2026-11-22\n# public key: {}\n{}\r\n\n  {}  \n",
        classic_recipient.to_text(),
        classic.expose(),
        hybrid.expose()
    );
    let found = identities(file.as_bytes());
    let recipients: Vec<Recipient> = found.iter().filter_map(Identity::recipient).collect();
    assert_eq!(recipients, [classic_recipient, hybrid_recipient]);
    assert_eq!(found[0].kind(), RecipientKind::AgeX25519);
    assert_eq!(found[1].label(), recipients[1].label());
}

#[test]
fn a_bad_line_of_an_identity_file_is_named_without_its_content() {
    let (secret, recipient) = Identity::generate_x25519().unwrap();
    let (secret_pq, _) = Identity::generate_pq().unwrap();
    let cut = &secret.expose()[..70];
    let cut_pq = &secret_pq.expose()[..70];
    for (line, expected) in [
        (cut, LineProblem::Damaged),
        (cut_pq, LineProblem::Damaged),
        (&*recipient.to_text(), LineProblem::Recipient),
        ("AGE-PLUGIN-YUBIKEY-1QQQQ", LineProblem::Plugin),
        ("ssh-rsa AAAA", LineProblem::Ssh),
        ("hello", LineProblem::Other),
    ] {
        let file = format!("# a comment\n\n{line}\n");
        let error = IdentityFile::parse(file.as_bytes()).err().unwrap();
        assert!(matches!(error, IdentityError::Line { line: 3, problem } if problem == expected), "{error}");
        assert!(!error.to_string().contains(line));
    }
}

#[test]
fn files_without_a_key_say_so() {
    let parse = |bytes: &[u8]| IdentityFile::parse(bytes).err().unwrap();
    assert!(matches!(parse(b""), IdentityError::Empty));
    assert!(matches!(parse(b"\n# only a comment\n"), IdentityError::Empty));
    assert!(matches!(parse(b"\xff\xfe\x00binary"), IdentityError::Pgp(_)));
    assert!(matches!(parse(b"abc\xff\xfe"), IdentityError::Unknown));
    assert!(matches!(parse(&vec![b'#'; 1024 * 1024 + 1]), IdentityError::TooLong { .. }));
    let (secret, recipient) = Identity::generate_x25519().unwrap();
    let many = format!("{}\n", secret.expose()).repeat(257);
    assert!(matches!(parse(many.as_bytes()), IdentityError::TooMany));
    let to_key = wrap(&[recipient], secret.expose().as_bytes(), noon()).unwrap().remove(0).bytes;
    assert!(matches!(parse(&to_key), IdentityError::NotPassphrase));
    assert!(matches!(parse(&to_key[..100]), IdentityError::Age(_)));
}

#[test]
fn a_passphrase_is_a_recipient_whose_identity_is_locked() {
    let right = SecretString::from("correct horse battery staple");
    let wrong = SecretString::from("correct horse battery stable");
    let (recipient, locked) = new_passphrase_recipient(&right).unwrap();
    assert_eq!(recipient.kind(), RecipientKind::AgeX25519);
    assert!(locked.len() < 1024);

    let identity = open_passphrase_identity(&locked, &right).unwrap();
    assert_eq!(identity.recipient().unwrap(), recipient);
    let wraps = wrap(&[recipient], PAYLOAD, noon()).unwrap();
    assert_eq!(*unwrap(&wraps, &[identity]).unwrap().unwrap(), PAYLOAD);

    assert!(matches!(open_passphrase_identity(&locked, &wrong), Err(PassphraseError::Wrong)));
    assert!(matches!(new_passphrase_recipient(&SecretString::from("")), Err(PassphraseError::Empty)));

    // The same bytes are an ordinary passphrase-protected identity file.
    let IdentityFile::Locked(file) = IdentityFile::parse(&locked).unwrap() else {
        panic!("the file is not locked");
    };
    assert!(file.label().is_none());
    assert_eq!(file.unlock(&right).unwrap().len(), 1);
    assert!(matches!(file.unlock(&wrong), Err(IdentityError::WrongPassphrase)));
}

#[test]
fn a_damaged_passphrase_identity_is_told_from_a_wrong_passphrase() {
    let right = SecretString::from("correct horse battery staple");
    let (_, locked) = new_passphrase_recipient(&right).unwrap();
    let mut payload = locked.clone();
    *payload.last_mut().unwrap() ^= 1;
    assert!(matches!(open_passphrase_identity(&payload, &right), Err(PassphraseError::File(_))));
    let text = String::from_utf8_lossy(&locked).into_owned();
    assert!(text.contains(" 15\n"), "the work factor is part of the header");
    let at = locked.windows(4).position(|window| window == b" 15\n").unwrap();
    let mut greedy = locked.clone();
    greedy[at + 1..at + 3].copy_from_slice(b"30");
    let refused = open_passphrase_identity(&greedy, &right).err().unwrap();
    assert_eq!(refused.to_string().matches("2^30").count(), 1, "{refused}");
    let long = vec![0; 5000];
    assert!(matches!(open_passphrase_identity(&long, &right), Err(PassphraseError::TooLong { length: 5000 })));
    let (secret, _) = Identity::generate_x25519().unwrap();
    let open = secret.expose().as_bytes();
    assert!(matches!(open_passphrase_identity(open, &right), Err(PassphraseError::Content)));
}

#[test]
fn a_secret_key_can_be_typed_in_lower_case() {
    for (secret, recipient) in [Identity::generate_x25519().unwrap(), Identity::generate_pq().unwrap()] {
        let typed = AgeSecretKey::parse(&format!(" {} ", secret.expose().to_lowercase())).unwrap();
        assert_eq!(typed.expose(), secret.expose());
        assert_eq!(typed.recipient(), recipient);
        assert!(AgeSecretKey::parse(&secret.expose()[1..]).is_err());
    }
}

/// Answers whether a type implements a trait: an inherent method with a bound wins over the one of a trait without.
struct Probe<T>(PhantomData<T>);

trait Lacks {
    fn is_debug(&self) -> bool {
        false
    }

    fn is_display(&self) -> bool {
        false
    }

    fn is_clone(&self) -> bool {
        false
    }
}

impl<T> Lacks for Probe<T> {}

impl<T: Debug> Probe<T> {
    fn is_debug(&self) -> bool {
        true
    }
}

impl<T: Display> Probe<T> {
    fn is_display(&self) -> bool {
        true
    }
}

impl<T: Clone> Probe<T> {
    fn is_clone(&self) -> bool {
        true
    }
}

macro_rules! leaks {
    ($($secret:ty),+) => {
        [$({
            let probe = Probe::<$secret>(PhantomData);
            (stringify!($secret), probe.is_debug() || probe.is_display() || probe.is_clone())
        }),+]
    };
}

#[test]
fn secrets_can_be_neither_shown_nor_copied() {
    for (name, leaks) in leaks![
        SealSeed,
        AgeSecretKey,
        Identity,
        IdentityFile,
        LockedIdentity,
        PqIdentity,
        X25519Identity,
        PgpIdentity,
        Kit,
        SealKit,
        IdentitySheet
    ] {
        assert!(!leaks, "{name}");
    }
    // The probe itself can tell.
    assert!(leaks![String].iter().all(|(_, leaks)| *leaks));
}
