//! Arbitrary bytes never panic, open nothing and allocate little.

use lacre_format::keyring::{InnerWrap, WrapKind};
use lacre_seal::identity::{Identity, IdentityFile};
use lacre_seal::outer::SealSeed;
use lacre_seal::recipient::Recipient;
use lacre_seal::wrap::unwrap;
use proptest::prelude::*;

const HEADS: [&[u8]; 6] = [
    b"",
    b"age-encryption.org/v1\n",
    b"age-encryption.org/v1\n-> mlkem768x25519 AAAA\nAAAA\n--- ",
    b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n",
    b"-----BEGIN AGE ENCRYPTED FILE-----\n",
    b"\xc5\x58\x04",
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    (0..HEADS.len(), prop::collection::vec(any::<u8>(), 0..400)).prop_map(|(head, tail)| [HEADS[head], &tail].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_as_identity_or_recipient_are_refused(bytes in bytes()) {
        prop_assert!(IdentityFile::parse(&bytes).is_err());
        prop_assert!(Recipient::from_openpgp_cert(&bytes).is_err());
        prop_assert!(Recipient::parse(&String::from_utf8_lossy(&bytes)).is_err());
    }

    #[test]
    fn any_record_is_read_or_refused(kind in 0u8..8, bytes in bytes()) {
        if let Ok(recipient) = Recipient::from_record(kind, &bytes) {
            prop_assert_eq!(recipient.to_record(), (kind, bytes));
        }
    }

    #[test]
    fn any_bytes_as_a_wrap_or_sealed_object_open_nothing(bytes in bytes()) {
        let identities =
            [Identity::generate_x25519().unwrap().0.identity(), Identity::generate_pq().unwrap().0.identity()];
        let wraps = [WrapKind::AgeX25519, WrapKind::AgePq, WrapKind::OpenPgp]
            .map(|kind| InnerWrap { kind, bytes: bytes.clone() });
        prop_assert!(!matches!(unwrap(&wraps, &identities), Some(Ok(_))));
        prop_assert!(SealSeed::generate().unwrap().open(&bytes, 1000).is_err());
    }
}
