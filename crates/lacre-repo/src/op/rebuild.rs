//! Rebuild: the catalog made again from the store alone (law L2).

use crate::{catalog::Catalog, error::Error, monitor::Finding, repository::Repository};

/// What was rebuilt.
#[derive(Clone, Debug)]
pub struct RebuildReport {
    /// Packs now known.
    pub packs: u64,
    /// Snapshots now known.
    pub snapshots: u64,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Repository {
    /// Throws the catalog away and makes it again from index segments, or from pack footers where segments are missing.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] on a host without the structure key; errors of the store.
    pub fn rebuild(&self) -> Result<RebuildReport, Error> {
        drop(self.structure()?);
        *self.catalog()? = Catalog::recreate(&self.home().catalog())?;
        let view = self.view()?;
        let mut findings = view.findings.clone();
        findings.extend(self.refresh(&view)?);
        let packs = self.catalog()?.pack_names()?.len() as u64;
        Ok(RebuildReport { packs, snapshots: view.snapshots.len() as u64, findings })
    }
}
