//! Joining, on the new machine: it asks with a key that was born there, and takes the admin's answer.
//!
//! ```text
//! new machine   request   a signing key and a one-time key are made and stay; their public halves go to the admin
//! admin         enrol     the policy names the machine; the answer carries the structure key, sealed to the one-time key
//! new machine   join      pins admin key and policy, finds itself in the policy, keeps its keys, destroys the one-time key
//! ```
//! Neither text is a secret. What matters is that each arrives unchanged, so both sides see the same eight words of it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lacre_format::{
    codec,
    ids::{HomeId, RepositoryId},
    join::{JOIN_TEXT_BYTES_MAX, Join, JoinGrant, JoinRequest, LABEL_BYTES_MAX},
    object::Kind,
    policy::{HomeEntry, Role},
    signed::Signed,
};
use lacre_seal::{
    entropy,
    join::{fingerprint, open_structure},
    outer::SealSeed,
    sign::{self, SigningKey},
};

use crate::{
    error::Error,
    home::{Home, Pin, Signer, WriterKeys},
    monitor::SharedClock,
    repository::{Repository, read_manifest},
    store::Store,
    view::View,
};

const REQUEST: &str = "lacre-request-";
const GRANT: &str = "lacre-join-";
/// A request is made before its machine knows any repository.
const NO_REPOSITORY: RepositoryId = RepositoryId::new([0; RepositoryId::LEN]);

/// A request as it goes to the admin.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The id the machine will have.
    pub home: HomeId,
    /// The text to carry over.
    pub text: String,
    /// Eight words that the admin sees too.
    pub fingerprint: String,
}

/// A request as the admin reads it.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// What it says; whoever made it holds the key it names.
    pub request: JoinRequest,
    /// Eight words that the new machine showed.
    pub fingerprint: String,
}

/// An answer as the new machine reads it; its signature is verified when the repository is at hand.
#[derive(Clone, Debug)]
pub struct Token {
    /// What it says.
    pub grant: JoinGrant,
    /// Eight words that the admin saw.
    pub fingerprint: String,
    signed: Signed,
}

/// What a machine has become.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Its id.
    pub home: HomeId,
    /// What it may sign.
    pub role: Role,
    /// How the policy calls it.
    pub label: String,
    /// The policy it has pinned.
    pub policy: u32,
}

/// Makes a machine's keys and asks. Every call asks anew; keys that nobody answers wait in the home and open nothing.
///
/// # Errors
/// [`Error::Usage`] for a label that cannot be shown; [`Error::File`] or [`Error::Entropy`].
pub fn ask(home: &Home, label: &str) -> Result<Asked, Error> {
    let label = checked_label(label)?;
    let signer = Signer { home: entropy::home_id()?, key: SigningKey::generate()? };
    let seed = SealSeed::generate().map_err(|error| Error::Bug { why: format!("no random bytes: {error}") })?;
    let request = JoinRequest {
        home: signer.home,
        key: signer.key.public(),
        sealed_to: seed.public().as_bytes().to_vec(),
        label: label.to_owned(),
    };
    home.keep_asked(&signer, &seed)?;
    let payload = codec::to_cbor(&Join::Request(request));
    let object = signer.key.sign(Kind::Join, NO_REPOSITORY, signer.home, payload).encode(Kind::Join);
    Ok(Asked { home: signer.home, text: to_text(REQUEST, &object), fingerprint: fingerprint(&object) })
}

/// Reads a request: signed by the key it names.
///
/// # Errors
/// [`Error::Usage`] when it is none, or was changed on the way.
pub fn read_request(text: &str) -> Result<ReadRequest, Error> {
    let object = of_text(REQUEST, text)?;
    let wrong = |why: &str| Error::Usage { why: format!("the request is not whole: {why}") };
    let signed = Signed::decode(Kind::Join, &object).map_err(|error| wrong(&error.to_string()))?;
    let join: Join = codec::from_cbor("request", &signed.payload).map_err(|error| wrong(&error.to_string()))?;
    let Join::Request(request) = join else { return Err(wrong("it is an answer")) };
    sign::verify(&request.key, Kind::Join, NO_REPOSITORY, &signed).map_err(|error| wrong(&error.to_string()))?;
    if signed.home != request.home {
        return Err(wrong("it names another machine than the one that signed it"));
    }
    checked_label(&request.label)?;
    Ok(ReadRequest { request, fingerprint: fingerprint(&object) })
}

/// The answer as text, and its eight words.
pub(crate) fn answer(admin: &Signer, grant: JoinGrant) -> (String, String) {
    let repository = grant.repository;
    let payload = codec::to_cbor(&Join::Grant(Box::new(grant)));
    let object = admin.key.sign(Kind::Join, repository, admin.home, payload).encode(Kind::Join);
    (to_text(GRANT, &object), fingerprint(&object))
}

/// Reads an answer.
///
/// # Errors
/// [`Error::Usage`] when it is none.
pub fn read_token(text: &str) -> Result<Token, Error> {
    let object = of_text(GRANT, text)?;
    let wrong = |why: &str| Error::Usage { why: format!("the join token is not whole: {why}") };
    let signed = Signed::decode(Kind::Join, &object).map_err(|error| wrong(&error.to_string()))?;
    let join: Join = codec::from_cbor("join token", &signed.payload).map_err(|error| wrong(&error.to_string()))?;
    let Join::Grant(grant) = join else { return Err(wrong("it is a request")) };
    Ok(Token { grant: *grant, fingerprint: fingerprint(&object), signed })
}

/// Takes the answer: pins what it names, proves it against the repository, and keeps the machine's keys.
///
/// # Errors
/// [`Error::Refused`] when this machine never asked, or has keys for the repository already; [`Error::Damaged`] when the repository
/// is not the one of the token or its policy does not name this machine.
pub fn join(store: Store, home: &Home, token: &Token, clock: SharedClock) -> Result<(Repository, Joined), Error> {
    let grant = &token.grant;
    let (signer, seed) = home.asked(grant.home)?;
    if signer.key.public() != grant.key {
        return Err(Error::Refused { why: "the token answers another key than the one this machine made".to_owned() });
    }
    let manifest = read_manifest(&store)?;
    if manifest.repository != grant.repository || manifest.admin != grant.admin {
        let why = "it is another repository than the one the token is for, or another admin's";
        return Err(Error::damaged("lacre.json", why));
    }
    let repository = Repository::with_manifest(store, home, clock, manifest)?;
    repository.home().refuse_keys_of(grant.role)?;
    // Nothing of the token is kept before an admin's signature on it holds: the repository's first admin's by itself, another's as the
    // policies say.
    if sign::verify(&grant.admin, Kind::Join, grant.repository, &token.signed).is_err() {
        prove_admin(&repository.view()?, token)?;
    }
    // From here on no policy older than the one that enrols this machine is accepted, whatever the store shows.
    if repository.home().pin()?.is_none_or(|pin| pin.policy < grant.policy) {
        let pin = Pin { admin: grant.admin, policy: grant.policy, digest: grant.policy_digest };
        repository.home().keep_pin(&pin)?;
    }
    let view = repository.view()?;
    prove_admin(&view, token)?;
    let entry = view.home(grant.home).filter(|entry| entry.key == grant.key && entry.role == grant.role);
    let Some(entry) = entry.filter(|_| view.may_sign(grant.home)) else {
        let why = "the repository's policy does not enrol this machine, or has revoked it".to_owned();
        return Err(Error::Refused { why });
    };
    let structure = open_structure(&seed, grant.repository, grant.home, &grant.sealed)
        .map_err(|error| Error::damaged("join token", error.to_string()))?;
    let joined = Joined { home: grant.home, role: grant.role, label: entry.label.clone(), policy: view.policy.number };
    repository.home().keep_keys_of(grant.role, &WriterKeys { signer, structure })?;
    home.forget_asked(grant.home)?;
    Ok((repository, joined))
}

fn prove_admin(view: &View, token: &Token) -> Result<(), Error> {
    let admin = view.home(token.signed.home).filter(|entry| entry.role == Role::Admin && !entry.is_revoked());
    let signed = |admin: &HomeEntry| sign::verify(&admin.key, Kind::Join, view.repository, &token.signed).is_ok();
    if admin.is_some_and(signed) {
        Ok(())
    } else {
        Err(Error::damaged("join token", "no admin of the repository signed it"))
    }
}

/// A label that a list can show.
pub(crate) fn checked_label(label: &str) -> Result<&str, Error> {
    let label = label.trim();
    if label.is_empty() || label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
        let why = format!("a machine's label has 1 to {LABEL_BYTES_MAX} bytes and no control characters");
        return Err(Error::Usage { why });
    }
    Ok(label)
}

fn to_text(prefix: &str, object: &[u8]) -> String {
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(object))
}

fn of_text(prefix: &str, text: &str) -> Result<Vec<u8>, Error> {
    let what = if prefix == REQUEST { "request (from `lacre key request`)" } else { "join token" };
    if text.len() > JOIN_TEXT_BYTES_MAX {
        return Err(Error::Usage { why: format!("that is no {what}: it has {} bytes", text.len()) });
    }
    // Mail and terminals break long lines.
    let whole: String = text.split_whitespace().collect();
    let encoded = whole
        .strip_prefix(prefix)
        .ok_or_else(|| Error::Usage { why: format!("that is no {what}: it should begin with {prefix}") })?;
    URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| Error::Usage { why: format!("the {what} is not whole: a character is missing or was changed") })
}
