//! Notes what a database has had before us, once.

use crate::engine::FieldChange;

use super::super::adoption::Past;
use super::super::error::Error;
use super::super::lock::Holder;
use super::Migrations;
use super::error::MigrationError;
use super::file::File;
use super::pending::Observed;

impl Migrations {
    /// The files that the database has had.
    pub(super) fn adopted(&self, past: &Past) -> Result<Vec<File>, Error> {
        let Some(adoption) = &self.adoption else {
            return Ok(Vec::new());
        };
        let mut files: Vec<&File> = self.files.iter().collect();
        files.sort_by(|one, other| one.compare(other));
        let had = adoption.had(&self.database, &files, past)?;
        Ok(had.into_iter().cloned().collect())
    }

    /// One transaction: the look, which must show what the plan was made from, and all rows.
    pub(super) async fn adopt(&self, files: &[File], holder: &mut Holder) -> Result<(), Error> {
        let moved = || {
            Error::from(MigrationError::Moved {
                database: self.database.clone(),
            })
        };
        let Some(adoption) = self.adoption.as_ref().filter(|_| holder.applied.is_empty()) else {
            return Err(moved());
        };
        holder.session.begin("BEGIN").await?;
        let past = adoption.look(&mut holder.session).await?;
        let found = self.adopted(&past)?;
        if !found
            .iter()
            .map(File::name)
            .eq(files.iter().map(File::name))
        {
            return Err(moved());
        }
        let sql = adoption.note(files, self.trace_id.as_deref());
        let noted = holder
            .session
            .batch("INSERT firstlight.schema_history", &sql);
        noted.await?;
        holder.session.end("COMMIT").await?;
        holder.applied = Observed::default().with(files).applied;
        Ok(())
    }
}

/// What a plan says of a file that is noted.
pub(super) fn noted(file: File) -> FieldChange {
    FieldChange {
        path: file.path,
        before: None,
        after: Some("noted, not run".to_owned()),
        sensitive: false,
    }
}
