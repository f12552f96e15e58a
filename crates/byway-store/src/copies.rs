//! Stored answers on disk: found by a keyed digest of what they answer, bounded by size.
//!
//! A file of its own: answers may be lost, facts may not. What an answer's bytes mean only the
//! gateway knows.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use crate::store::{BUSY_TIMEOUT, StoreError, private, used_bytes};

/// What an answer is found by.
pub type Digest = [u8; 32];

/// The shape of the file; a file of another shape is begun anew.
const VERSION: i64 = 1;
const SCHEMA: &str = "
CREATE TABLE copy (
    target  BLOB NOT NULL,
    variant BLOB NOT NULL,
    at      INTEGER NOT NULL,
    bytes   BLOB NOT NULL,
    PRIMARY KEY (target, variant)
) WITHOUT ROWID;
CREATE INDEX copy_at ON copy (at);
";
/// Deleted in one go when the file is too large.
const N_DELETED_MAX: u32 = 200;

/// An open file of stored answers.
#[derive(Debug)]
pub struct CopyStore {
    connection: Connection,
}

impl CopyStore {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// [`StoreError`]; a file that is no database is an error and is not touched.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        private(file);
        let connection = Connection::open(file)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != VERSION {
            connection.execute_batch("DROP TABLE IF EXISTS copy")?;
            connection.execute_batch(SCHEMA)?;
            connection.pragma_update(None, "user_version", VERSION)?;
        }
        Ok(Self { connection })
    }

    /// Keeps an answer, instead of the one with the same digests.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_copy(
        &mut self,
        target: &Digest,
        variant: &Digest,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO copy (target, variant, at, bytes) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![target, variant, now.as_millisecond(), bytes])?;
        Ok(())
    }

    /// Forgets every answer to a target.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_copies(&mut self, target: &Digest) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM copy WHERE target = ?1", [target])?;
        Ok(())
    }

    /// Every answer to a target, with what distinguishes them, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn copies(&self, target: &Digest) -> Result<Vec<(Digest, Vec<u8>)>, StoreError> {
        let sql = "SELECT variant, bytes FROM copy WHERE target = ?1 ORDER BY at";
        let mut select = self.connection.prepare_cached(sql)?;
        let rows = select.query_map([target], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every target that there is an answer to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn targets(&self) -> Result<Vec<Digest>, StoreError> {
        let mut select = self.connection.prepare("SELECT DISTINCT target FROM copy")?;
        let rows = select.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Deletes the oldest beyond this size; the targets that may have lost an answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn retain_copies(&mut self, bytes_max: u64) -> Result<bool, StoreError> {
        let mut did = false;
        while used_bytes(&self.connection)? > bytes_max {
            let went = self.connection.execute(
                "DELETE FROM copy WHERE (target, variant) IN
                     (SELECT target, variant FROM copy ORDER BY at LIMIT ?1)",
                [N_DELETED_MAX],
            )?;
            if went == 0 {
                break;
            }
            did = true;
        }
        if did {
            self.connection.execute_batch("PRAGMA incremental_vacuum")?;
        }
        Ok(did)
    }
}

#[cfg(test)]
mod tests;
