//! The way to seal cells that are not files of this host: buckets with keys of their own, and commands.
//!
//! In: settings, and what pointer kits carry. Out: opened buckets and answers of commands, bounded in time and bytes. It must not know what
//! a cell holds.

use std::{
    collections::BTreeMap,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use lacre_repo::{
    cell::{CellAnswer, CellError, CellPlace, CellReach, CellVerb},
    op::init::CellSetup,
    store::{Credentials, Store},
};
use lacre_seal::pointer::{PointerCell, PointerKeys, PointerKit};

use super::bucket;
use crate::{
    cli::value::StoreUrl,
    config::Settings,
    error::{CliError, Kind},
    process::Interrupt,
    safe_url::SafeUrl,
    wait::converse,
};

/// The exit status that says that there is no value of a name.
const NO_VALUE: i32 = 3;

/// The way to cells of this run.
pub struct CellWay {
    settings: Settings,
    interrupt: Interrupt,
    /// Keys that pointer kits carry, by the place of their cell.
    carried: Mutex<BTreeMap<String, Credentials>>,
}

impl CellWay {
    /// The way that settings know.
    pub fn new(settings: &Settings, interrupt: &Interrupt) -> Arc<CellWay> {
        Arc::new(CellWay { settings: settings.clone(), interrupt: interrupt.clone(), carried: Mutex::default() })
    }

    /// Takes the keys that a pointer kit carries, and gives the places it leads to.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a place that is no cell.
    pub fn learn(&self, kit: PointerKit) -> Result<Vec<CellPlace>, CliError> {
        let mut places = Vec::new();
        for PointerCell { place, keys } in kit.cells {
            let parsed = CellPlace::parse(&place).map_err(|error| super::explain(error, None))?;
            if let Some(PointerKeys { access_key_id, secret_access_key, session_token }) = keys {
                let keys = Credentials::new(access_key_id.to_string(), secret_access_key.to_string());
                let keys = match session_token {
                    Some(token) => keys.with_session_token(token.to_string()),
                    None => keys,
                };
                self.carried.lock().unwrap_or_else(PoisonError::into_inner).insert(place, keys);
            }
            places.push(parsed);
        }
        Ok(places)
    }

    fn keys_of(&self, url: &str) -> Result<Credentials, CliError> {
        let carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned();
        carried.map_or_else(|| bucket::cell_keys(&parsed(url)?, &self.settings), Ok)
    }

    /// A cell's place with everything in it that another machine needs to find it: region and endpoint, and the name of its keys.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a place that is no cell.
    pub fn place(&self, spec: &str) -> Result<CellPlace, CliError> {
        let place = CellPlace::parse(spec).map_err(|error| super::explain(error, None))?;
        match &place {
            CellPlace::Bucket(url) => {
                let whole = bucket::whole_cell(&parsed(url)?, &self.settings)?;
                CellPlace::parse(&whole).map_err(|error| super::explain(error, None))
            }
            _ => Ok(place),
        }
    }

    /// What a cell is lost together with, where that is not this host: two buckets at one provider with one key count once.
    ///
    /// # Errors
    /// [`Kind::Configuration`] when its keys are missing.
    pub fn holder(&self, place: &CellPlace) -> Result<Option<String>, CliError> {
        let CellPlace::Bucket(url) = place else { return Ok(None) };
        let keys = self.keys_of(url)?;
        let where_to = bucket::provider(&parsed(url)?)?;
        let hash = blake3::hash(format!("lacre cell holder\n{where_to}\n{}", keys.access_key_id()).as_bytes());
        Ok(Some(format!("bucket:{}", &hash.to_hex().as_str()[..16])))
    }

    /// A cell in the repository's own bucket, or behind the keys that write backups, would be a seal that a writer can read.
    ///
    /// # Errors
    /// [`Kind::Refused`].
    pub fn refuse_shared(&self, place: &CellPlace, repository: &StoreUrl) -> Result<(), CliError> {
        let (CellPlace::Bucket(url), StoreUrl::Remote(store)) = (place, repository) else { return Ok(()) };
        let refuse = |why: &str| {
            Err(CliError::new(Kind::Refused, format!("the seal cell {url} {why}"))
                .hint("give it a bucket and keys of its own: [credential.NAME] in lacre.toml and ?credentials=NAME in the cell"))
        };
        if bucket::is_same(&parsed(url)?, store)? {
            return refuse("would lie in the repository's own bucket, so that every copy of it would carry the seal");
        }
        let of_store = bucket::keys_of_store(store, &self.settings)?;
        if of_store.access_key_id() == self.keys_of(url)?.access_key_id() {
            return refuse("would be reached with the repository's own keys, so that every writer could read the seal");
        }
        Ok(())
    }

    /// Everything that cells which are to be used at `init` need.
    ///
    /// # Errors
    /// Those of [`CellWay::refuse_shared`] and [`CellWay::holder`].
    pub fn setup(self: &Arc<Self>, places: &[CellPlace], repository: &StoreUrl) -> Result<CellSetup, CliError> {
        let mut holders = BTreeMap::new();
        for place in places {
            self.refuse_shared(place, repository)?;
            if let Some(holder) = self.holder(place)? {
                holders.insert(place.clone(), holder);
            }
        }
        Ok(CellSetup { reach: Arc::clone(self) as Arc<dyn CellReach>, holders })
    }

    /// A cell as a pointer kit carries it; nothing for a file, which a bare machine does not have.
    ///
    /// # Errors
    /// [`Kind::Configuration`] when its keys are missing.
    pub fn pointer(&self, name: &str) -> Result<Option<PointerCell>, CliError> {
        match CellPlace::parse(name).map_err(|error| super::explain(error, None))? {
            CellPlace::Bucket(url) => {
                let (id, secret, token) = self.keys_of(&url)?.into_parts();
                let keys = PointerKeys { access_key_id: id, secret_access_key: secret, session_token: token };
                Ok(Some(PointerCell { place: name.to_owned(), keys: Some(keys) }))
            }
            CellPlace::Command(_) => Ok(Some(PointerCell { place: name.to_owned(), keys: None })),
            _ => Ok(None),
        }
    }
}

fn parsed(url: &str) -> Result<SafeUrl, CliError> {
    url.parse().map_err(|error: String| CliError::new(Kind::Usage, format!("{url:?} is no bucket: {error}")))
}

impl CellReach for CellWay {
    fn bucket(&self, url: &str) -> Result<Store, CellError> {
        let open = || bucket::open_cell(&parsed(url)?, self.keys_of(url)?, &self.settings);
        open().map_err(|error| CellError::NoWay(error.message()))
    }

    fn command(
        &self,
        words: &[String],
        verb: CellVerb,
        name: Option<&str>,
        input: &[u8],
    ) -> Result<CellAnswer, CellError> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(CellError::Command("it names no program".to_owned()));
        };
        let spawned = Command::new(program)
            .env_remove("LACRE_PASSPHRASE")
            .args(arguments)
            .arg(verb.word())
            .args(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn();
        let child = spawned.map_err(|error| CellError::Command(format!("{program} cannot be started: {error}")))?;
        let said = |what: String| CellError::Command(format!("{program} {} {what}", verb.word()));
        let ended = converse(child, input, self.settings.cell_patience, &self.interrupt).map_err(said)?;
        match ended {
            (status, output) if status.success() => Ok(CellAnswer::Done(output)),
            (status, _) if status.code() == Some(NO_VALUE) => Ok(CellAnswer::NoValue),
            (status, _) => Err(said(format!("failed: {status}"))),
        }
    }
}
