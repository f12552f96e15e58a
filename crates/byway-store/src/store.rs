//! SQLite behind the verbs.

use std::path::Path;
use std::time::Duration;

use byway_core::detour::{Order, Said};
use byway_core::fact::Fact;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row, params, params_from_iter};

use crate::row::{FactQuery, StoredFact, fields_json};

/// Why the store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine says so.
    #[error("the store failed")]
    Engine(#[from] rusqlite::Error),
    /// The file was written by a later version.
    #[error("the store has version {found}, this program knows {known} and older")]
    TooNew {
        /// What the file says.
        found: i64,
        /// What we know.
        known: i64,
    },
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Older facts are deleted.
    pub age_max: Duration,
    /// Beyond this size, the oldest are.
    pub bytes_max: u64,
}

/// Migrations in their order; one that was released is never changed.
const MIGRATIONS: [&str; 1] = [include_str!("../migrations/0001-facts.sql")];
/// Readers and the writer of another process are waited for this long.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Deleted in one go when the file is too large.
const N_DELETED_MAX: u32 = 10_000;
/// No answer is longer than this.
const N_FACTS_MAX: u32 = 100_000;

/// An open store.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    instance: String,
}

impl Store {
    /// Opens or creates the store in this file.
    ///
    /// # Errors
    /// [`StoreError`]; a file that is no database is an error and is not touched.
    pub fn open(file: &Path, instance: &str) -> Result<Self, StoreError> {
        private(file);
        let connection = Connection::open(file)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A commit survives the death of the process; the last ones may not survive the machine's.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let mut store = Self { connection, instance: instance.to_owned() };
        store.migrate()?;
        Ok(store)
    }

    /// Opens an existing store to look at it.
    ///
    /// # Errors
    /// [`StoreError`], also if there is none.
    pub fn look(file: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(Self { connection, instance: String::new() })
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let version: i64 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        if version > known {
            return Err(StoreError::TooNew { found: version, known });
        }
        for (number, migration) in (1_i64..).zip(MIGRATIONS) {
            if number > version {
                transaction.execute_batch(migration)?;
                transaction.pragma_update(None, "user_version", number)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Appends facts, all or none.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was appended then.
    pub fn append_facts(&mut self, facts: &[Fact], now: Timestamp) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO fact (instance, occurred_at, recorded_at, kind, provider, path, fields)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for fact in facts {
                insert.execute(params![
                    self.instance,
                    fact.at.as_millisecond(),
                    now.as_millisecond(),
                    fact.kind,
                    fact.provider,
                    fact.path,
                    fields_json(fact),
                ])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Facts in the order in which they happened.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn facts(&self, query: &FactQuery) -> Result<Vec<StoredFact>, StoreError> {
        let mut sql = "SELECT id, instance, occurred_at, recorded_at, kind, provider, path, fields
                       FROM fact WHERE 1"
            .to_owned();
        let mut values: Vec<rusqlite::types::Value> = Vec::new();
        let mut and = |condition: &str, value: Option<rusqlite::types::Value>| {
            if let Some(value) = value {
                values.push(value);
                sql.push_str(" AND ");
                sql.push_str(condition);
                sql.push_str(&format!(" ?{}", values.len()));
            }
        };
        let ms = |at: Option<Timestamp>| at.map(|at| at.as_millisecond().into());
        and("occurred_at >=", ms(query.since));
        and("occurred_at <", ms(query.until));
        and("provider =", query.provider.clone().map(Into::into));
        and("kind =", query.kind.clone().map(Into::into));
        and("id >", query.after.map(Into::into));
        let n_max = query.n_max.unwrap_or(N_FACTS_MAX).min(N_FACTS_MAX);
        sql.push_str(&format!(" ORDER BY occurred_at DESC, id DESC LIMIT {n_max}"));
        let mut select = self.connection.prepare(&sql)?;
        let rows = select.query_map(params_from_iter(values), stored)?;
        let mut facts = rows.collect::<Result<Vec<_>, _>>()?;
        facts.reverse();
        Ok(facts)
    }

    /// Deletes what is too old or too much; how many facts went.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn retain(&mut self, limits: Limits, now: Timestamp) -> Result<usize, StoreError> {
        let oldest = byway_core::time::before(now, limits.age_max).as_millisecond();
        let mut n = self.connection.execute("DELETE FROM fact WHERE occurred_at < ?1", [oldest])?;
        while self.bytes()? > limits.bytes_max {
            let went = self.connection.execute(
                "DELETE FROM fact WHERE id IN (SELECT id FROM fact ORDER BY occurred_at LIMIT ?1)",
                [N_DELETED_MAX],
            )?;
            if went == 0 {
                break;
            }
            n += went;
        }
        if n > 0 {
            self.connection.execute_batch("PRAGMA incremental_vacuum")?;
        }
        Ok(n)
    }

    /// What facts take, without free pages.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn bytes(&self) -> Result<u64, StoreError> {
        used_bytes(&self.connection)
    }

    /// Keeps a person's order, on disk before it returns.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put_order(&mut self, provider: &str, order: &Order) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let done = match order.said() {
            None => self
                .connection
                .execute("DELETE FROM standing_order WHERE provider = ?1", [provider]),
            Some(said) => self.connection.execute(
                "INSERT OR REPLACE INTO standing_order (provider, kind, by, reason, at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![provider, order.as_str(), said.by, said.reason, said.at.as_millisecond()],
            ),
        };
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        done?;
        Ok(())
    }

    /// The orders that stand, by provider.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn orders(&self) -> Result<Vec<(String, Order)>, StoreError> {
        let sql = "SELECT provider, kind, by, reason, at FROM standing_order ORDER BY provider";
        let mut select = self.connection.prepare(sql)?;
        let rows = select.query_map([], |row| {
            let said = Said { by: row.get(2)?, reason: row.get(3)?, at: instant(row, 4)? };
            let kind: String = row.get(1)?;
            // What we do not know is at least a stop: an order is never lost to a version.
            let order = if kind == "locked" { Order::Locked(said) } else { Order::Stopped(said) };
            Ok((row.get(0)?, order))
        })?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    }
}

/// What a file holds, without free pages.
pub(crate) fn used_bytes(connection: &Connection) -> Result<u64, StoreError> {
    let number = |name: &str| -> Result<u64, rusqlite::Error> {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map(|n| u64::try_from(n).unwrap_or(0))
    };
    let used = number("page_count")?.saturating_sub(number("freelist_count")?);
    Ok(used * number("page_size")?)
}

/// Lets nobody else read a new file; SQLite gives the files beside it the same mode. One that is
/// there already keeps the mode that its owner gave it, and what cannot be made is the engine's to
/// complain about.
pub(crate) fn private(file: &Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let _there_already =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
}

fn stored(row: &Row<'_>) -> Result<StoredFact, rusqlite::Error> {
    let fields: String = row.get(7)?;
    Ok(StoredFact {
        id: row.get(0)?,
        instance: row.get(1)?,
        occurred_at: instant(row, 2)?,
        recorded_at: instant(row, 3)?,
        kind: row.get(4)?,
        provider: row.get(5)?,
        path: row.get(6)?,
        fields: serde_json::from_str(&fields).unwrap_or_default(),
    })
}

fn instant(row: &Row<'_>, column: usize) -> Result<Timestamp, rusqlite::Error> {
    let ms = row.get(column)?;
    Timestamp::from_millisecond(ms)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, ms))
}

#[cfg(test)]
mod tests;
