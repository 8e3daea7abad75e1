//! Round trips of inner wraps and of the outer seal.

use lacre_format::keyring::{InnerWrap, WrapKind};
use lacre_seal::AgeFileError;
use lacre_seal::identity::Identity;
use lacre_seal::outer::{SealError, SealPublic, SealSeed};
use lacre_seal::recipient::{RECIPIENTS_MAX, Recipient};
use lacre_seal::wrap::{PAYLOAD_BYTES_MAX, UnwrapError, WRAP_BYTES_MAX, WRAPS_MAX, WrapError, unwrap, wrap};
use zeroize::Zeroizing;

use crate::{PAYLOAD, noon};

fn kinds(wraps: &[InnerWrap]) -> Vec<WrapKind> {
    wraps.iter().map(|wrap| wrap.kind).collect()
}

#[test]
fn each_recipient_of_every_age_kind_opens_the_wraps() {
    let mut recipients = Vec::new();
    let mut identities = Vec::new();
    for _ in 0..3 {
        for (secret, recipient) in [Identity::generate_x25519().unwrap(), Identity::generate_pq().unwrap()] {
            recipients.push(recipient);
            identities.push(secret.identity());
        }
    }
    let wraps = wrap(&recipients, PAYLOAD, noon()).unwrap();
    assert_eq!(kinds(&wraps), [WrapKind::AgeX25519, WrapKind::AgePq]);
    for identity in identities {
        let opened = unwrap(&wraps, &[identity]).unwrap().unwrap();
        assert_eq!(*opened, PAYLOAD);
    }
}

#[test]
fn a_stranger_gets_nothing_and_no_error() {
    let (_, classic) = Identity::generate_x25519().unwrap();
    let (_, hybrid) = Identity::generate_pq().unwrap();
    let wraps = wrap(&[classic, hybrid], PAYLOAD, noon()).unwrap();
    let strangers = [Identity::generate_x25519().unwrap().0.identity(), Identity::generate_pq().unwrap().0.identity()];
    assert!(unwrap(&wraps, &strangers).is_none());
    assert!(unwrap(&wraps, &[]).is_none());
    assert!(unwrap(&[], &strangers).is_none());
}

#[test]
fn a_recipient_listed_twice_is_wrapped_once() {
    let (_, recipient) = Identity::generate_pq().unwrap();
    let once = wrap(std::slice::from_ref(&recipient), PAYLOAD, noon()).unwrap();
    let twice = wrap(&[recipient.clone(), recipient], PAYLOAD, noon()).unwrap();
    // A hybrid stanza has more than 1 500 bytes; the random grease stanza has less than 300.
    assert!(twice[0].bytes.len() < once[0].bytes.len() + 1000);
}

#[test]
fn the_limits_of_wrapping_hold() {
    let (secret, recipient) = Identity::generate_x25519().unwrap();
    assert!(matches!(wrap(&[], PAYLOAD, noon()), Err(WrapError::NoRecipients)));

    let many: Vec<Recipient> = (0..=RECIPIENTS_MAX).map(|_| Identity::generate_x25519().unwrap().1).collect();
    assert!(matches!(wrap(&many, PAYLOAD, noon()), Err(WrapError::TooManyRecipients { count: 65 })));
    let wraps = wrap(&many[1..], PAYLOAD, noon()).unwrap();
    assert!(wraps[0].bytes.len() < 16 * 1024);

    let long = vec![7u8; PAYLOAD_BYTES_MAX + 1];
    let refused = wrap(std::slice::from_ref(&recipient), &long, noon());
    assert!(matches!(refused, Err(WrapError::PayloadTooLong { length }) if length == PAYLOAD_BYTES_MAX + 1));
    let wraps = wrap(std::slice::from_ref(&recipient), &long[1..], noon()).unwrap();
    let identity = [secret.identity()];
    assert_eq!(unwrap(&wraps, &identity).unwrap().unwrap().len(), PAYLOAD_BYTES_MAX);

    let crowd = vec![wraps[0].clone(); WRAPS_MAX + 1];
    assert_eq!(unwrap(&crowd, &identity).unwrap().unwrap_err(), UnwrapError::TooMany { count: WRAPS_MAX + 1 });
    let huge = InnerWrap { kind: WrapKind::AgeX25519, bytes: vec![0; WRAP_BYTES_MAX + 1] };
    assert!(matches!(unwrap(&[huge], &identity), Some(Err(UnwrapError::TooLong { .. }))));
}

#[test]
fn sixty_four_hybrid_recipients_fit() {
    let keys: Vec<_> = (0..RECIPIENTS_MAX).map(|_| Identity::generate_pq().unwrap()).collect();
    let recipients: Vec<Recipient> = keys.iter().map(|(_, recipient)| recipient.clone()).collect();
    let wraps = wrap(&recipients, PAYLOAD, noon()).unwrap();
    let last = [keys.last().unwrap().0.identity()];
    assert_eq!(*unwrap(&wraps, &last).unwrap().unwrap(), PAYLOAD);
}

#[test]
fn a_damaged_wrap_is_an_error_and_a_good_one_beside_it_wins() {
    for (secret, recipient) in [Identity::generate_x25519().unwrap(), Identity::generate_pq().unwrap()] {
        let identity = [secret.identity()];
        let good = wrap(&[recipient], PAYLOAD, noon()).unwrap().remove(0);
        let kind = good.kind;

        let mut payload = good.clone();
        *payload.bytes.last_mut().unwrap() ^= 1;
        let damaged = unwrap(std::slice::from_ref(&payload), &identity).unwrap().unwrap_err();
        assert_eq!(damaged, UnwrapError::Age { kind, source: AgeFileError::Payload });

        let mut cut = good.clone();
        cut.bytes.pop();
        let damaged = unwrap(&[cut], &identity).unwrap().unwrap_err();
        assert_eq!(damaged, UnwrapError::Age { kind, source: AgeFileError::Payload });

        let mut longer = good.clone();
        longer.bytes.push(0);
        let damaged = unwrap(&[longer], &identity).unwrap().unwrap_err();
        assert_eq!(damaged, UnwrapError::Age { kind, source: AgeFileError::Payload });

        let mut mac = good.clone();
        let at = mac.bytes.windows(4).position(|window| window == b"--- ").unwrap() + 4;
        mac.bytes[at] = if mac.bytes[at] == b'A' { b'B' } else { b'A' };
        let damaged = unwrap(&[mac], &identity).unwrap().unwrap_err();
        assert_eq!(damaged, UnwrapError::Age { kind, source: AgeFileError::HeaderMac });

        let mut version = good.clone();
        version.bytes[20] = b'9';
        let damaged = unwrap(&[version], &identity).unwrap().unwrap_err();
        assert_eq!(damaged, UnwrapError::Age { kind, source: AgeFileError::Version });

        let empty = InnerWrap { kind, bytes: Vec::new() };
        let damaged = unwrap(&[empty], &identity).unwrap().unwrap_err();
        assert_eq!(damaged, UnwrapError::Age { kind, source: AgeFileError::Header });

        assert_eq!(*unwrap(&[payload, good], &identity).unwrap().unwrap(), PAYLOAD);
    }
}

#[test]
fn every_flipped_byte_of_a_wrap_keeps_the_payload_shut() {
    for (secret, recipient) in [Identity::generate_x25519().unwrap(), Identity::generate_pq().unwrap()] {
        let identity = [secret.identity()];
        let good = wrap(&[recipient], PAYLOAD, noon()).unwrap().remove(0);
        for at in 0..good.bytes.len() {
            let mut changed = good.clone();
            changed.bytes[at] ^= 0x01;
            assert!(!matches!(unwrap(&[changed], &identity), Some(Ok(_))), "byte {at}");
        }
    }
}

#[test]
fn the_seal_opens_only_its_own_generation() {
    let seed = SealSeed::generate().unwrap();
    let public = seed.public();
    for payload in [&b""[..], PAYLOAD, &vec![0x5a; 200_000]] {
        let sealed = public.seal(payload).unwrap();
        assert_eq!(*seed.open(&sealed, 200_000).unwrap(), payload);
        let other = SealSeed::generate().unwrap();
        let hash8 = other.public().hash8();
        assert!(matches!(other.open(&sealed, 200_000), Err(SealError::OtherGeneration { hash8: h }) if h == hash8));
    }
}

#[test]
fn the_seal_refuses_what_is_damaged_too_long_or_shared() {
    let seed = SealSeed::generate().unwrap();
    let sealed = seed.public().seal(&[1; 1000]).unwrap();
    assert_eq!(seed.open(&sealed, 1000).unwrap().len(), 1000);
    let too_long = AgeFileError::TooLong { limit_bytes: 999 };
    assert!(matches!(seed.open(&sealed, 999), Err(SealError::Damaged(error)) if error == too_long));
    let huge = vec![0u8; 1_000_000];
    let too_long = AgeFileError::TooLong { limit_bytes: 10 };
    assert!(matches!(seed.open(&huge, 10), Err(SealError::Damaged(error)) if error == too_long));

    let mut cut = sealed.clone();
    cut.truncate(sealed.len() - 1);
    assert!(matches!(seed.open(&cut, 1000), Err(SealError::Damaged(AgeFileError::Payload))));
    assert!(matches!(seed.open(b"", 1000), Err(SealError::Damaged(AgeFileError::Header))));

    // A file that somebody sealed to this generation and to a key of his own as well.
    let own = Recipient::parse(&seed.public().to_text()).unwrap();
    let (_, stranger) = Identity::generate_pq().unwrap();
    let shared = wrap(&[own, stranger], PAYLOAD, noon()).unwrap().remove(0);
    assert!(matches!(seed.open(&shared.bytes, 1000), Err(SealError::Damaged(AgeFileError::Header))));

    // A file to a classic key only is not a sealed object at all.
    let (_, classic) = Identity::generate_x25519().unwrap();
    let classic = wrap(&[classic], PAYLOAD, noon()).unwrap().remove(0);
    assert!(matches!(seed.open(&classic.bytes, 1000), Err(SealError::Damaged(AgeFileError::Header))));
}

#[test]
fn both_halves_of_a_seal_survive_their_encodings() {
    let seed = SealSeed::generate().unwrap();
    let again = SealSeed::from_bytes(Zeroizing::new(*seed.to_cell_bytes()));
    assert_eq!(again.public(), seed.public());
    let public = seed.public();
    assert_eq!(SealPublic::from_bytes(public.as_bytes()).unwrap(), public);
    assert_eq!(SealPublic::parse(&public.to_text()).unwrap(), public);
    assert_eq!(public.hash8(), blake3::hash(public.as_bytes()).as_bytes()[..8]);
    assert!(SealPublic::from_bytes(&public.as_bytes()[1..]).is_err());
}
