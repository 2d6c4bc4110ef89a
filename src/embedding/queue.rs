//! What waits: rows that triggers have queued, and rows that were there before.

use std::time::Duration;

use harca_core::embedding::retry;
use pgrx::datum::DatumWithOid;
use pgrx::spi::Spi;

use super::tables::Table;
use super::transaction::{acting_as, or_raise};

/// Keys of rows that can be tried now, the oldest first, each once.
const WAITING: &str = "
    SELECT pg_catalog.convert_to(q.key::pg_catalog.text, pg_catalog.getdatabaseencoding())
    FROM (
        SELECT q.key, q.seq FROM harca.embedding_queue AS q
        WHERE q.target OPERATOR(pg_catalog.=) $1
          AND (q.attempts OPERATOR(pg_catalog.=) 0 OR q.not_before OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp())
        ORDER BY q.seq LIMIT $2
    ) AS q
    GROUP BY q.key ORDER BY pg_catalog.min(q.seq)";

/// Everything that is queued for keys: the place of the key, and the numbers of its entries.
const ENTRIES: &str = "
    SELECT k.n, pg_catalog.array_agg(q.seq)
    FROM pg_catalog.jsonb_array_elements(pg_catalog.convert_from($2, pg_catalog.getdatabaseencoding())::pg_catalog.jsonb)
        WITH ORDINALITY AS k (key, n)
    JOIN harca.embedding_queue AS q ON q.target OPERATOR(pg_catalog.=) $1 AND q.key OPERATOR(pg_catalog.=) k.key
    GROUP BY k.n";

const DONE: &str = "DELETE FROM harca.embedding_queue AS q WHERE q.seq OPERATOR(pg_catalog.=) ANY ($1)";

/// A row that has failed: its entry says so, and one is made for a row that was there before.
const FAILED: &str = "
    UPDATE harca.embedding_queue AS q
    SET attempts = $2, error = $3, not_before = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $4)
    WHERE q.seq OPERATOR(pg_catalog.=) ANY ($1)";
const FAILED_FIRST: &str = "
    INSERT INTO harca.embedding_queue (target, key, attempts, error, not_before)
    SELECT $1, pg_catalog.convert_from($2, pg_catalog.getdatabaseencoding())::pg_catalog.jsonb, 1, $3,
           pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $4)";
/// Rows that were there before, and have to be looked at again.
const LATER: &str = "
    INSERT INTO harca.embedding_queue (target, key)
    SELECT $1, k.key
    FROM pg_catalog.jsonb_array_elements(pg_catalog.convert_from($2, pg_catalog.getdatabaseencoding())::pg_catalog.jsonb) AS k (key)";
const ATTEMPTS: &str =
    "SELECT pg_catalog.max(q.attempts) FROM harca.embedding_queue AS q WHERE q.seq OPERATOR(pg_catalog.=) ANY ($1)";

const COUNTED: &str = "UPDATE harca.embedded_table AS k SET rows = $2 WHERE k.target OPERATOR(pg_catalog.=) $1";
const BACKFILLED: &str = "
    UPDATE harca.embedded_table AS k
    SET backfilled = k.backfilled OPERATOR(pg_catalog.+) $2,
        backfilled_to = pg_catalog.convert_from($3, pg_catalog.getdatabaseencoding())::pg_catalog.jsonb,
        is_backfilled = $3 IS NULL
    WHERE k.target OPERATOR(pg_catalog.=) $1";
const EMBEDDED: &str = "
    UPDATE harca.embedded_table AS k
    SET embedded = k.embedded OPERATOR(pg_catalog.+) $2, embedded_at = pg_catalog.clock_timestamp(), failure = NULL,
        failed_at = NULL,
        per_second = coalesce((k.per_second OPERATOR(pg_catalog.*) 0.8) OPERATOR(pg_catalog.+) ($3 OPERATOR(pg_catalog.*) 0.2), $3)
    WHERE k.target OPERATOR(pg_catalog.=) $1";
const FAILING: &str = "
    UPDATE harca.embedded_table AS k SET failure = $2, failed_at = pg_catalog.clock_timestamp()
    WHERE k.target OPERATOR(pg_catalog.=) $1";
/// Whether something waits of a target whose model changes, of either column. A row that has failed for good holds up nothing.
const WAITS: &str = "
    SELECT EXISTS (
        SELECT FROM harca.embedding_change AS h
        JOIN harca.embedding_queue AS q ON q.target OPERATOR(pg_catalog.=) h.target OR q.target OPERATOR(pg_catalog.=) h.shadow
        WHERE h.shadow OPERATOR(pg_catalog.=) $1
          AND (q.attempts OPERATOR(pg_catalog.=) 0 OR q.not_before IS NOT NULL))";
const SWITCH: &str = "SELECT harca.switch_embeddings($1)";
const USE_PASSAGES: &str = "SELECT harca.use_passages($1)";
const IN_STEP: &str = "SELECT pg_catalog.pg_notify('harca_embedding', $1)";

/// The keys of rows.
#[derive(Default, Clone)]
pub struct Keys {
    /// Each a JSON array in the server's encoding.
    pub keys: Vec<Vec<u8>>,
    /// Whether they are of rows that were there before.
    pub backfill: bool,
}

impl Keys {
    /// All of them as one JSON array.
    pub fn json(&self) -> Vec<u8> {
        let mut json = vec![b'['];
        for (n, key) in self.keys.iter().enumerate() {
            if n > 0 {
                json.push(b',');
            }
            json.extend_from_slice(key);
        }
        json.push(b']');
        json
    }

    /// Those at some places alone, in the order of these.
    pub fn some(&self, places: impl Iterator<Item = usize>) -> Self {
        Self { keys: places.filter_map(|n| self.keys.get(n).cloned()).collect(), backfill: self.backfill }
    }
}

/// Keys that triggers have queued, at most so many.
pub fn waiting(table: &Table, most: i64) -> Keys {
    let keys = or_raise(Spi::connect(|client| {
        let parameters = [table.target.clone().into(), most.into()];
        client.select(WAITING, None, &parameters)?.map(|row| Ok(row.get::<Vec<u8>>(1)?.unwrap_or_default())).collect()
    }));
    Keys { keys, backfill: false }
}

/// Keys of rows that were there before and have no embedding, at most so many.
pub fn missing(table: &Table, most: i64) -> Keys {
    let keys = acting_as(table.owner, || {
        or_raise(Spi::connect(|client| {
            let mut parameters: Vec<DatumWithOid<'_>> = vec![most.into()];
            parameters.extend(table.backfilled_to.clone().map(Into::into));
            let sql = table.columns.missing(table.backfilled_to.is_some());
            let rows = client.select(sql.as_str(), None, &parameters)?;
            rows.map(|row| Ok(row.get::<Vec<u8>>(1)?.unwrap_or_default())).collect()
        }))
    });
    Keys { keys, backfill: true }
}

/// The numbers of all entries of keys that this transaction's snapshot shows, by key.
pub fn entries(table: &Table, keys: &Keys) -> Vec<Vec<i64>> {
    let mut found = vec![Vec::new(); keys.keys.len()];
    or_raise(Spi::connect(|client| {
        for row in client.select(ENTRIES, None, &[table.target.clone().into(), keys.json().into()])? {
            let place = row.get::<i64>(1)?.and_then(|n| usize::try_from(n - 1).ok());
            if let Some(entries) = place.and_then(|place| found.get_mut(place)) {
                *entries = row.get(2)?.unwrap_or_default();
            }
        }
        Ok(())
    }));
    found
}

/// Counts the rows that were there before.
pub fn count(table: &Table) {
    let rows = acting_as(table.owner, || {
        or_raise(Spi::connect(|client| {
            client.select(table.columns.count_missing().as_str(), None, &[])?.first().get_one::<i64>()
        }))
    });
    change(COUNTED, &[table.target.clone().into(), rows.unwrap_or(0).into()]);
}

/// Queues rows that were there before, which are passed by for now.
pub fn later(table: &Table, keys: &Keys) {
    change(LATER, &[table.target.clone().into(), keys.json().into()]);
}

/// Takes entries out of the queue.
pub fn done(entries: Vec<i64>) {
    if !entries.is_empty() {
        change(DONE, &[entries.into()]);
    }
}

/// Notes that a row has failed, and when it is tried again.
pub fn failed(table: &Table, key: &[u8], entries: &[i64], error: &str) {
    if entries.is_empty() {
        let pause = retry::after_failure(1).unwrap_or(Duration::ZERO).as_secs_f64();
        let target = table.target.clone();
        return change(FAILED_FIRST, &[target.into(), key.to_vec().into(), error.to_owned().into(), pause.into()]);
    }
    let before = or_raise(Spi::connect(|client| {
        client.select(ATTEMPTS, None, &[entries.to_vec().into()])?.first().get_one::<i32>()
    }));
    let attempts = before.unwrap_or(0).saturating_add(1);
    let pause = retry::after_failure(u32::try_from(attempts).unwrap_or(u32::MAX)).map(|pause| pause.as_secs_f64());
    change(FAILED, &[entries.to_vec().into(), attempts.into(), error.to_owned().into(), pause.into()]);
}

/// Takes out passages of rows that are gone without a trigger that has seen it, and lets searches go by the others, which are all
/// there.
pub fn use_passages(table: &Table) {
    if let Some(sweep) = table.columns.sweep_passages() {
        acting_as(table.owner, || {
            change(&sweep, &[]);
            change(USE_PASSAGES, &[table.target.clone().into()]);
        });
    }
}

/// Notes how far the rows that were there before are done; without a key, they all are.
pub fn backfilled(table: &Table, rows: usize, to: Option<Vec<u8>>) {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    change(BACKFILLED, &[table.target.clone().into(), rows.into(), to.into()]);
}

/// Notes that rows were embedded, and how long it took.
pub fn embedded(table: &Table, rows: usize, took: Duration) {
    let per_second = rows as f64 / took.as_secs_f64().max(1e-6);
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    change(EMBEDDED, &[table.target.clone().into(), rows.into(), per_second.into()]);
}

/// Notes that nothing goes on, and why.
pub fn failing(table: &Table, error: &str) {
    change(FAILING, &[table.target.clone().into(), error.to_owned().into()]);
}

/// Lets searches go over to the embeddings of a table that is in step, unless something waits; whether they did.
pub fn switch(table: &Table) -> bool {
    let ask = |sql: &str| {
        or_raise(Spi::connect_mut(|client| {
            client.update(sql, None, &[table.target.clone().into()])?.first().get_one::<bool>()
        }))
        .unwrap_or(false)
    };
    !ask(WAITS) && acting_as(table.owner, || ask(SWITCH))
}

/// Tells who listens that nothing is left to do.
pub fn in_step(table: &Table) {
    change(IN_STEP, &[table.target.clone().into()]);
}

fn change(sql: &str, parameters: &[DatumWithOid<'_>]) {
    or_raise(Spi::connect_mut(|client| client.update(sql, None, parameters).map(drop)));
}
