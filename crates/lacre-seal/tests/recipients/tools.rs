//! Other implementations of age: rage's library through its Python wheel, and the author's own in TypeScript.
//!
//! The packages are installed once into `~/.cache/lacre`. A machine without a package registry sets
//! `LACRE_SKIP_PYRAGE=1` or `LACRE_SKIP_TYPAGE=1`; without these a missing package fails the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use lacre_format::keyring::{InnerWrap, WrapKind};
use lacre_seal::identity::{AgeSecretKey, Identity};
use lacre_seal::kit::{IdentitySheet, Kit};
use lacre_seal::outer::SealSeed;
use lacre_seal::passphrase::new_passphrase_recipient;
use lacre_seal::recipient::Recipient;
use lacre_seal::wrap::{unwrap, wrap};
use secrecy::SecretString;

use crate::{PAYLOAD, noon};

const PYRAGE: &str = "pyrage==1.4.0";
const TYPAGE: &str = "age-encryption@0.3.1";

fn cache(name: &str) -> PathBuf {
    let home = std::env::var("HOME").expect("HOME names where packages are kept");
    Path::new(&home).join(".cache/lacre").join(name)
}

fn skipped(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| value == "1")
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The Python interpreter of an environment that has pyrage, made if it is missing.
fn python() -> PathBuf {
    let folder = cache("venv-age");
    let python = folder.join("bin/python");
    let present = Command::new(&python).args(["-c", "import pyrage"]).output();
    if !present.is_ok_and(|output| output.status.success()) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYRAGE]));
    }
    python
}

#[test]
fn pyrage_and_we_open_each_others_classic_files() {
    if skipped("LACRE_SKIP_PYRAGE") {
        return;
    }
    let python = python();
    let (secret, recipient) = Identity::generate_x25519().unwrap();
    let (_, second) = Identity::generate_x25519().unwrap();
    let ours = wrap(&[second, recipient.clone()], PAYLOAD, noon()).unwrap().remove(0).bytes;
    let decrypt = "import sys, pyrage\n\
        identity = pyrage.x25519.Identity.from_str(sys.argv[1])\n\
        print(pyrage.decrypt(bytes.fromhex(sys.argv[2]), [identity]).hex())";
    let opened = run(Command::new(&python).args(["-c", decrypt, secret.expose(), &hex(&ours)]));
    assert_eq!(unhex(&opened), PAYLOAD);

    let encrypt = "import sys, pyrage\n\
        recipient = pyrage.x25519.Recipient.from_str(sys.argv[1])\n\
        print(pyrage.encrypt(bytes.fromhex(sys.argv[2]), [recipient]).hex())";
    let theirs = run(Command::new(&python).args(["-c", encrypt, &recipient.to_text(), &hex(PAYLOAD)]));
    let wraps = [InnerWrap { kind: WrapKind::AgeX25519, bytes: unhex(&theirs) }];
    assert_eq!(*unwrap(&wraps, &[secret.identity()]).unwrap().unwrap(), PAYLOAD);

    let generate = "import pyrage\nkey = pyrage.x25519.Identity.generate()\nprint(key, key.to_public())";
    let pair = run(Command::new(&python).args(["-c", generate]));
    let (key, public) = pair.split_once(' ').unwrap();
    assert_eq!(AgeSecretKey::parse(key).unwrap().recipient(), Recipient::parse(public).unwrap());

    let (recipient, locked) = new_passphrase_recipient(&SecretString::from("tres tristes tigres")).unwrap();
    let passphrase = "import sys, pyrage\n\
        print(pyrage.passphrase.decrypt(bytes.fromhex(sys.argv[1]), sys.argv[2]).decode())";
    let text = run(Command::new(&python).args(["-c", passphrase, &hex(&locked), "tres tristes tigres"]));
    assert_eq!(AgeSecretKey::parse(&text).unwrap().recipient(), recipient);
}

/// The folder in which node finds the package, installed if it is missing.
fn node_folder() -> PathBuf {
    let folder = cache("node-age");
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = folder.join("node_modules/age-encryption/package.json");
    let wanted = format!("\"version\": \"{}\"", TYPAGE.rsplit_once('@').unwrap().1);
    if !std::fs::read_to_string(manifest).is_ok_and(|text| text.contains(&wanted)) {
        run(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--no-save", TYPAGE]).current_dir(&folder));
    }
    folder
}

fn node(folder: &Path, script: &str, arguments: &[&str]) -> String {
    let head = "import * as age from 'age-encryption';\n\
        const [, ...args] = process.argv;\n\
        const hex = (bytes) => Buffer.from(bytes).toString('hex');\n\
        const unhex = (text) => new Uint8Array(Buffer.from(text, 'hex'));\n";
    let source = format!("{head}{script}");
    run(Command::new("node").args(["--input-type=module", "-e", &source, "--"]).args(arguments).current_dir(folder))
}

#[test]
fn typage_and_we_open_each_others_hybrid_files() {
    if skipped("LACRE_SKIP_TYPAGE") {
        return;
    }
    let folder = node_folder();
    let decrypt = "const d = new age.Decrypter(); d.addIdentity(args[0]);\n\
        console.log(hex(await d.decrypt(unhex(args[1]))));";
    let encrypt = "const e = new age.Encrypter(); e.addRecipient(args[0]);\n\
        console.log(hex(await e.encrypt(unhex(args[1]))));";

    // The outer seal: the seed is an identity for any age tool.
    let seed = SealSeed::generate().unwrap();
    let sealed = seed.public().seal(PAYLOAD).unwrap();
    let key = Kit::Identity(IdentitySheet { secret: AgeSecretKey::from_seed(&seed) }).encode_qr();
    assert_eq!(unhex(&node(&folder, decrypt, &[&key, &hex(&sealed)])), PAYLOAD);
    let theirs = node(&folder, encrypt, &[&seed.public().to_text(), &hex(PAYLOAD)]);
    assert_eq!(*seed.open(&unhex(&theirs), 1000).unwrap(), PAYLOAD);

    // Inner wraps of both kinds, to two recipients each.
    for [(secret, recipient), (_, second)] in [
        [Identity::generate_pq().unwrap(), Identity::generate_pq().unwrap()],
        [Identity::generate_x25519().unwrap(), Identity::generate_x25519().unwrap()],
    ] {
        let ours = wrap(&[second, recipient.clone()], PAYLOAD, noon()).unwrap().remove(0);
        assert_eq!(unhex(&node(&folder, decrypt, &[secret.expose(), &hex(&ours.bytes)])), PAYLOAD);
        let theirs = node(&folder, encrypt, &[&recipient.to_text(), &hex(PAYLOAD)]);
        let wraps = [InnerWrap { kind: ours.kind, bytes: unhex(&theirs) }];
        assert_eq!(*unwrap(&wraps, &[secret.identity()]).unwrap().unwrap(), PAYLOAD);
    }

    // A key that the other implementation makes.
    let generate = "const key = await age.generateHybridIdentity();\n\
        console.log(key, await age.identityToRecipient(key));";
    let pair = node(&folder, generate, &[]);
    let (key, public) = pair.split_once(' ').unwrap();
    assert_eq!(AgeSecretKey::parse(key).unwrap().recipient(), Recipient::parse(public).unwrap());
}
