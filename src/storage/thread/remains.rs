//! Reads what is left of a store that a start refuses.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::limits::STORE_READ_BYTES;

use super::super::recovery::{Fault, Found, Recovered};
use super::super::salvage::{Salvage, SalvagePlan, Salvaged, plan};
use super::directory::{found_segments, found_store};
use super::error::StartError;
use super::view::{LookError, folder, read_around};

/// What is left of a store.
pub struct Remains {
    folder: PathBuf,
    plan: SalvagePlan,
}

impl Remains {
    /// Looks at what there is. Nothing is locked, made or changed. `run` is the run that is wanted, whatever `STORE` says.
    ///
    /// # Errors
    /// There is no store, it is of a newer version, or the directory cannot be read.
    pub fn open(location: &Path, run: Option<u32>) -> Result<Remains, LookError> {
        let folder = folder(location)?;
        let found = Found {
            store: found_store(&folder)?,
            segments: found_segments(&folder)?,
        };
        let plan = plan(&found, run).map_err(|fault| StartError::Fault {
            path: folder.clone(),
            fault,
        })?;
        Ok(Remains { folder, plan })
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is wrong with names, headers and `STORE`.
    pub fn faults(&self) -> &[Fault] {
        &self.plan.faults
    }

    /// The run that is read; 0: none.
    pub fn run(&self) -> u32 {
        self.plan.run
    }

    /// All runs of which there are segments.
    pub fn runs(&self) -> &[u32] {
        &self.plan.runs
    }

    /// Gives what can be read, chunk by chunk; where chunks of a stream are missing, their numbers have a gap. What the disk does not give is as if it was zeros.
    ///
    /// # Errors
    /// A file cannot be opened.
    pub fn read(&self, give: &mut dyn FnMut(Recovered<'_>)) -> Result<Salvaged, LookError> {
        let mut salvage = Salvage::new(self.plan.clone());
        let mut buffer = vec![0; STORE_READ_BYTES];
        let mut file: Option<(usize, File)> = None;
        while let Some(request) = salvage.next_read() {
            let path = self.folder.join(&self.plan.files[request.file].name);
            let open = match file.take() {
                Some((index, open)) if index == request.file => open,
                _ => File::open(&path).map_err(|e| StartError::io(&path, e))?,
            };
            let into = &mut buffer[..request.bytes];
            let count = read_around(&open, request.offset, into);
            let count = count.map_err(|e| StartError::io(&path, e))?;
            salvage.take(&buffer[..count], give);
            file = Some((request.file, open));
        }
        Ok(salvage.finish())
    }
}
