//! Records of runs: what a host's nights did, written into its own log and read back by whoever holds the structure key.

use lacre_format::{
    codec,
    ids::{HomeId, Millis, Token},
    log::Event,
    run::{RUN_DETAILS_BYTES_MAX, RUN_JOBS_MAX, RunDetails, RunRecord},
};
use lacre_seal::structure::Structure;

use crate::{error::Error, home::Signer, repository::Repository, view::View};

/// When a run was and how it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunFrame {
    /// The run.
    pub id: Token,
    /// When it began.
    pub started: Millis,
    /// When it ended.
    pub ended: Millis,
    /// The exit code of the program.
    pub exit: u8,
}

/// A recorded run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// The home that recorded it.
    pub home: HomeId,
    /// When it was and how it ended.
    pub frame: RunFrame,
    /// What it did; none on a host without the structure key, and where the sealed part is not what its writer sealed.
    pub details: Option<RunDetails>,
}

impl Repository {
    /// Records a run in this host's log.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] on a host that signs nothing; [`Error::Usage`] for more jobs than a record holds; errors of the store.
    pub fn record_run(&self, frame: RunFrame, details: &RunDetails) -> Result<(), Error> {
        if details.jobs.len() > RUN_JOBS_MAX {
            return Err(Error::Usage { why: format!("a run of more than {RUN_JOBS_MAX} jobs is not recorded") });
        }
        let plaintext = codec::to_cbor(details);
        if plaintext.len() > RUN_DETAILS_BYTES_MAX {
            let why =
                format!("the record of the run is {} bytes long, more than {RUN_DETAILS_BYTES_MAX}", plaintext.len());
            return Err(Error::Bug { why });
        }
        let signer = self.log_signer()?;
        let sealed = self.structure()?.seal(Structure::Run(frame.id), self.id(), &plaintext)?;
        let RunFrame { id, started, ended, exit } = frame;
        let record = RunRecord { id, started, ended, exit, salt: sealed.salt, details: sealed.ciphertext };
        self.append(&signer, &Event::Run(record))
    }

    /// Who signs what this host notes: its writer, else whatever key it has.
    fn log_signer(&self) -> Result<Signer, Error> {
        let home = self.home();
        match home.writer_keys() {
            Ok(keys) => Ok(keys.signer),
            Err(missing @ Error::KeyMissing { .. }) => {
                home.maintenance_keys().map(|keys| keys.signer).or_else(|_| home.admin_key()).map_err(|_| missing)
            }
            Err(error) => Err(error),
        }
    }

    /// The recorded runs, oldest first.
    #[must_use]
    pub fn runs(&self, view: &View) -> Vec<Run> {
        let structure = self.structure().ok();
        let run = |(home, record): &(HomeId, RunRecord)| {
            let open = |key: &lacre_seal::structure::StructureKey| {
                let plaintext = key.open(Structure::Run(record.id), self.id(), record.salt, &record.details).ok()?;
                codec::from_cbor("run details", &plaintext).ok()
            };
            let RunRecord { id, started, ended, exit, .. } = *record;
            Run {
                home: *home,
                frame: RunFrame { id, started, ended, exit },
                details: structure.as_ref().and_then(open),
            }
        };
        view.ledger.runs.iter().map(run).collect()
    }
}
