//! Putting: what is stored, and what a taken name does.

use bytes::Bytes;
use lacre_repo::store::{Healed, PutOutcome};

use crate::Case;
use crate::place::{Place, name, noise};

pub(crate) const CASES: &[Case] = &[
    ("what is put is read", |place| put_and_read(place, b"five bytes and more")),
    ("an empty object is an object", |place| put_and_read(place, b"")),
    ("one byte", |place| put_and_read(place, b"\0")),
    ("every byte there is", |place| put_and_read(place, &(0..=255).collect::<Vec<u8>>())),
    ("line ends and markup stay as they are", |place| put_and_read(place, b"\r\n\r\n<Error>\0</Error>\r\n0\r\n\r\n")),
    ("a megabyte", |place| put_and_read(place, &noise(1 << 20, 1))),
    ("a pack", |place| put_and_read(place, &noise(16 << 20, 2))),
    ("a pack and a little", |place| put_and_read(place, &noise((16 << 20) + 1, 3))),
    ("a put says that it created", |place| assert_eq!(place.put("snap/a", b"one"), PutOutcome::Created)),
    ("the same again already exists", |place| {
        assert_eq!(place.put("snap/a", b"one"), PutOutcome::Created);
        assert_eq!(place.put("snap/a", b"one"), PutOutcome::AlreadyExists);
        assert_eq!(place.get("snap/a"), b"one".as_slice());
    }),
    ("nothing is overwritten", |place| {
        assert_eq!(place.put("snap/a", b"one"), PutOutcome::Created);
        assert_eq!(place.put("snap/a", b"other"), PutOutcome::AlreadyExists);
        assert_eq!(place.get("snap/a"), b"one".as_slice());
    }),
    ("an empty object is not overwritten either", |place| {
        assert_eq!(place.put("snap/a", b""), PutOutcome::Created);
        assert_eq!(place.put("snap/a", b"other"), PutOutcome::AlreadyExists);
        assert!(place.get("snap/a").is_empty());
    }),
    ("another writer sees that a name is taken", |place| {
        if place.forgets {
            return;
        }
        assert_eq!(place.put("snap/a", b"one"), PutOutcome::Created);
        let other = place.again().put_new(&name("snap/a"), Bytes::from_static(b"two")).unwrap();
        assert_eq!(other, PutOutcome::AlreadyExists);
        assert_eq!(place.get("snap/a"), b"one".as_slice());
    }),
    ("a refused put stores nothing beside it", |place| {
        assert_eq!(place.put("snap/a", b"one"), PutOutcome::Created);
        assert_eq!(place.put("snap/a", b"two"), PutOutcome::AlreadyExists);
        assert_eq!(place.names(""), ["snap/a"]);
    }),
    ("bad bytes give way to good ones, and only to them", |place| {
        let good = Bytes::from_static(b"good");
        let heal = || place.store.heal(&name("packs/ab/a"), &good, 1000, &|found| found == b"good").unwrap();
        assert_eq!(heal(), Healed::Added);
        assert_eq!(heal(), Healed::WasGood);
        assert_eq!(place.store.delete(&name("packs/ab/a")).unwrap(), lacre_repo::store::Deletion::Gone);
        assert_eq!(place.put("packs/ab/a", b"bad"), PutOutcome::Created);
        assert_eq!(heal(), Healed::Replaced);
        assert_eq!((place.get("packs/ab/a"), place.names("")), (good.clone(), vec!["packs/ab/a".to_owned()]));
        assert_eq!(heal(), Healed::WasGood);
    }),
    ("what is far too long gives way too", |place| {
        assert_eq!(place.put("packs/ab/a", &noise(5_000, 4)), PutOutcome::Created);
        let good = Bytes::from_static(b"good");
        let healed = place.store.heal(&name("packs/ab/a"), &good, 1000, &|found| found == b"good").unwrap();
        assert_eq!((healed, place.get("packs/ab/a")), (Healed::Replaced, good));
    }),
    ("every kind of name the vault writes", |place| {
        let hex = "0123456789abcdef".repeat(4);
        for path in [
            "lacre.json".to_owned(),
            format!("policy/00000001-{hex}"),
            format!("log/{}/00000001-{hex}", &hex[..32]),
            format!("packs/01/{hex}"),
            format!("index/{hex}"),
            format!("snap/{}", &hex[..32]),
            format!("keyring/in/1-{}/{}-{}", &hex[..16], &hex[..32], &hex[..32]),
            format!("session/{}/open", &hex[..32]),
        ] {
            assert_eq!(place.put(&path, path.as_bytes()), PutOutcome::Created, "{path}");
            assert_eq!(place.get(&path), path.as_bytes());
        }
    }),
    ("a segment far longer than any the vault writes", |place| {
        // Not 255: a server that keeps versions in folders of its own adds a few characters to each name.
        let path = format!("index/{}", "x".repeat(200));
        assert_eq!(place.put(&path, b"long"), PutOutcome::Created);
        assert_eq!(place.get(&path), b"long".as_slice());
    }),
    ("five segments, with every character a name may have", |place| {
        let path = "A-Z/a_z/0.9/-._/end";
        assert_eq!(place.put(path, b"odd"), PutOutcome::Created);
        assert_eq!(place.names(""), [path]);
        assert_eq!(place.get(path), b"odd".as_slice());
    }),
    ("names differ by case", |place| {
        assert_eq!(place.put("index/a", b"small"), PutOutcome::Created);
        assert_eq!(place.put("index/A", b"large"), PutOutcome::Created);
        assert_eq!(
            (place.get("index/a"), place.get("index/A")),
            (b"small".as_slice().into(), b"large".as_slice().into())
        );
    }),
    ("one name may begin with another", |place| {
        assert_eq!(place.put("index/a", b"short"), PutOutcome::Created);
        assert_eq!(place.put("index/ab", b"long"), PutOutcome::Created);
        assert_eq!(place.put("index/a.b", b"dot"), PutOutcome::Created);
        assert_eq!(place.get("index/a"), b"short".as_slice());
    }),
];

fn put_and_read(place: &Place, bytes: &[u8]) {
    assert_eq!(place.put("packs/ab/abcd", bytes), PutOutcome::Created);
    assert!(place.get("packs/ab/abcd") == bytes, "{} bytes came back as others", bytes.len());
    if !place.forgets {
        assert!(place.again().get(&name("packs/ab/abcd"), u64::MAX).unwrap() == bytes, "another reader");
    }
}
